import math

import pytest
import torch
from scipy import stats

from attar import SettingError
from attar.corruptions import GaussianNoise, SaltAndPepper

CELLS = 40_000


def binomial(share):
    """Four standard deviations of an observed share."""
    return 4 * math.sqrt(share * (1 - share) / CELLS)


def test_noise_is_normal_of_its_scale():
    values = torch.full((200, 200), 3.0, dtype=torch.float64)
    noise = (GaussianNoise(0.3).build()(values) - 3).numpy().ravel()
    assert stats.kstest(noise / 0.3, "norm").pvalue > 0.01


@pytest.mark.parametrize("share", [0.0, 0.2, 1.0])
def test_salt_and_pepper_sets_half_of_its_share_to_either_extreme(share):
    values = torch.rand(200, 200)
    values[0, :2] = torch.tensor([-1.0, 2.0])
    damaged = SaltAndPepper(share).build()(values)
    low, high = damaged == -1, damaged == 2
    assert low.double().mean().item() == pytest.approx(share / 2, abs=binomial(share / 2) + 1e-4)
    assert high.double().mean().item() == pytest.approx(share / 2, abs=binomial(share / 2) + 1e-4)
    assert torch.equal(damaged[~low & ~high], values[~low & ~high])


@pytest.mark.parametrize("scale", [-0.1, math.nan, math.inf, "0.1"])
def test_a_scale_that_is_none_is_refused(scale):
    with pytest.raises(SettingError, match=r"scale of .* must be 0 or a number above"):
        GaussianNoise(scale).build()
