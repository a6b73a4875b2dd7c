import math

import pytest
import torch
from scipy import stats
from torch import nn

from attar import SettingError
from attar.codes import Point
from attar.corruptions import Corruption, GaussianNoise, Masking, SaltAndPepper
from attar.likelihoods import Gaussian
from attar.model import Model
from attar.records import Batch

CELLS = 40_000
EVERY = [Corruption.named(name) for name in Corruption.members]


def binomial(share):
    """Four standard deviations of an observed share."""
    return 4 * math.sqrt(share * (1 - share) / CELLS)


def test_noise_is_normal_of_its_scale():
    values = torch.full((200, 200), 3.0, dtype=torch.float64)
    noise = (GaussianNoise(0.3).build()(values) - 3).numpy().ravel()
    assert stats.kstest(noise / 0.3, "norm").pvalue > 0.01


@pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 0.9, 1.0])
def test_masking_sets_its_share_of_cells_to_zero_and_leaves_the_rest(share):
    values = torch.rand(200, 200) + 1
    masked = Masking(share).build()(values)
    gone = masked == 0
    assert gone.double().mean().item() == pytest.approx(share, abs=binomial(share))
    assert torch.equal(masked[~gone], values[~gone])


@pytest.mark.parametrize("share", [0.0, 0.2, 1.0])
def test_salt_and_pepper_sets_half_of_its_share_to_either_extreme(share):
    values = torch.rand(200, 200)
    values[0, :2] = torch.tensor([-1.0, 2.0])
    damaged = SaltAndPepper(share).build()(values)
    low, high = damaged == -1, damaged == 2
    assert low.double().mean().item() == pytest.approx(share / 2, abs=binomial(share / 2) + 1e-4)
    assert high.double().mean().item() == pytest.approx(share / 2, abs=binomial(share / 2) + 1e-4)
    assert torch.equal(damaged[~low & ~high], values[~low & ~high])


@pytest.mark.parametrize("corruption", EVERY, ids=lambda part: part.name)
class TestEveryCorruption:
    def test_leaves_the_given_values_alone(self, corruption):
        values = torch.rand(20, 3)
        before = values.clone()
        assert not torch.equal(corruption.build()(values), before)
        assert torch.equal(values, before)

    def test_acts_in_training_only_and_never_on_the_target(self, corruption):
        model = Model(
            nn.Identity(), Point().build(50), nn.Identity(), Gaussian().build(), corruption.build()
        )
        values = torch.rand(20, 50)
        batch = Batch(values, target=values)
        trace = model(batch)
        assert not torch.equal(trace.inputs, values)
        assert torch.equal(trace.batch.target, values)
        assert torch.equal(model.eval()(batch).inputs, values)
        assert torch.equal(model.encode(values), values)


@pytest.mark.parametrize(
    "part", [Masking(-0.1), Masking(1.1), SaltAndPepper(2.0), Masking(float("nan"))]
)
def test_shares_beyond_0_and_1_are_refused(part):
    with pytest.raises(SettingError, match=r"share of .* must lie between 0 and 1"):
        part.build()


@pytest.mark.parametrize("scale", [-0.1, float("nan")])
def test_a_negative_scale_is_refused(scale):
    with pytest.raises(SettingError, match=r"scale of .* must not be negative"):
        GaussianNoise(scale).build()
