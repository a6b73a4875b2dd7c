import math

import pytest
import torch

from attar.corruptions import Masking

CELLS = 40_000


def binomial(share):
    """Four standard deviations of an observed share."""
    return 4 * math.sqrt(share * (1 - share) / CELLS)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 0.9, 1.0])
def test_masking_sets_its_share_of_cells_to_zero_and_leaves_the_rest(share):
    values = torch.rand(200, 200) + 1
    masked = Masking(share).build()(values)
    gone = masked == 0
    assert gone.double().mean().item() == pytest.approx(share, abs=binomial(share))
    assert torch.equal(masked[~gone], values[~gone])
