import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import nn

from attar import SettingError
from attar.codes import Point
from attar.corruptions import (
    Corruption,
    Distortion,
    GaussianNoise,
    Masking,
    Patches,
    SaltAndPepper,
    Splicing,
)
from attar.corruptions.base import ValuesCorruption
from attar.likelihoods import FixedGaussian
from attar.model import Model
from attar.records import Batch

EVERY = [
    part
    for part in map(Corruption.named, Corruption.members)
    if isinstance(part.build(), ValuesCorruption) and part != Distortion()
]
CELLS = 40_000
SHAPES = st.sampled_from([(7,), (1, 9), (3, 8), (1, 8, 8), (3, 7, 10), (2, 1, 5)])


@pytest.mark.parametrize("corruption", EVERY, ids=lambda part: part.name)
class TestEveryCorruption:
    def test_does_not_change_its_input(self, corruption):
        values = torch.rand(20, 3)
        before = values.clone()
        assert not torch.equal(corruption.build()(values)[0], before)
        assert torch.equal(values, before)

    def test_acts_on_the_input_of_the_loss_and_never_on_the_target(self, corruption):
        model = Model(
            nn.Identity(),
            Point().build(50),
            nn.Identity(),
            FixedGaussian().build(),
            corruption.build(),
        )
        values = torch.rand(20, 50)
        batch = Batch(values, target=values)
        trace = model(model.corrupted(batch))
        assert not torch.equal(trace.inputs, values)
        assert torch.equal(trace.batch.target, values)
        assert torch.equal(model.encode(values), values)

    def test_only_masked_cells_must_be_reconstructed(self, corruption):
        values = torch.rand(20, 3, 12) + 0.5
        corrupted, target_cells, _ = corruption.build()(values)
        assert (target_cells is not None) == ("missing" in corruption.provides)
        if target_cells is not None:
            assert torch.equal(corrupted != values, target_cells)


@pytest.mark.parametrize(
    "part",
    [
        Masking(-0.1),
        Masking(1.1),
        SaltAndPepper(2.0),
        Masking(float("nan")),
        Masking("half"),
        Patches(1.5),
    ],
)
def test_shares_beyond_0_and_1_are_refused(part):
    with pytest.raises(SettingError, match=r"share of .* must lie between 0 and 1"):
        part.build()


def binomial(share):
    """Four standard deviations of an observed share."""
    return 4 * math.sqrt(share * (1 - share) / CELLS)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 0.9, 1.0])
def test_masking_sets_its_share_of_cells_to_zero_and_leaves_the_rest(share):
    values = torch.rand(200, 200) + 1
    masked = Masking(share).build()(values)[0]
    zeros = masked == 0
    assert zeros.double().mean().item() == pytest.approx(share, abs=binomial(share))
    assert torch.equal(masked[~zeros], values[~zeros])


def test_noise_is_normal_of_its_scale():
    values = torch.full((200, 200), 3.0, dtype=torch.float64)
    noise = (GaussianNoise(0.3).build()(values)[0] - 3).numpy().ravel()
    assert stats.kstest(noise / 0.3, "norm").pvalue > 0.01


@pytest.mark.parametrize("share", [0.0, 0.2, 1.0])
def test_salt_and_pepper_sets_half_of_its_share_to_either_extreme(share):
    values = torch.rand(200, 200)
    values[0, :2] = torch.tensor([-1.0, 2.0])
    corrupted = SaltAndPepper(share).build()(values)[0]
    low, high = corrupted == -1, corrupted == 2
    assert low.double().mean().item() == pytest.approx(share / 2, abs=binomial(share / 2) + 1e-4)
    assert high.double().mean().item() == pytest.approx(share / 2, abs=binomial(share / 2) + 1e-4)
    assert torch.equal(corrupted[~low & ~high], values[~low & ~high])


@pytest.mark.parametrize("scale", [-0.1, math.nan, math.inf, "0.1"])
def test_a_scale_that_is_none_is_refused(scale):
    with pytest.raises(SettingError, match=r"scale of .* must be 0 or a number above"):
        GaussianNoise(scale).build()


def patches_of(masked, size):
    """Cuts the positions of rows (B, *positions) into patches: tensors (B, cells)."""
    parts = [masked]
    for axis in range(1, masked.ndim):
        long = max(1, min(size, masked.shape[axis] // 2))
        parts = [piece for part in parts for piece in part.split(long, axis)]
    return [part.flatten(1) for part in parts]


@given(SHAPES, st.integers(1, 5), st.floats(0, 1, exclude_min=True))
def test_patches_are_masked_whole_with_all_channels_and_as_many_of_each_row(shape, size, share):
    values = torch.rand(6, *shape) + 1
    corrupted, masked, _ = Patches(share, size).build()(values)
    assert torch.equal(corrupted == 0, masked)
    assert torch.equal(corrupted[~masked], values[~masked])
    positions = masked if len(shape) == 1 else masked[:, 0]
    if len(shape) > 1:
        assert torch.equal(masked, positions[:, None].expand_as(masked))
    patches = patches_of(positions, 1 if len(shape) == 1 else size)
    whole = torch.stack([patch.all(1) for patch in patches], 1)
    assert torch.equal(whole, torch.stack([patch.any(1) for patch in patches], 1))
    assert (whole.sum(1) == max(1, round(share * len(patches)))).all()


def test_any_patch_is_masked_as_often_as_any_other():
    masked = Patches(0.25, 2).build()(torch.ones(20_000, 1, 4, 8))[1]
    often = masked.double().mean((0, 1))
    error = (0.25 * 0.75 / 20_000) ** 0.5
    torch.testing.assert_close(often, torch.full_like(often, 0.25), rtol=0, atol=4 * error)


def test_rows_have_different_patches():
    masked = Patches(0.5, 2).build()(torch.ones(50, 1, 8, 8))[1]
    assert len(masked.flatten(1).unique(dim=0)) > 40


@pytest.mark.parametrize("shape", [(1, 3), (2, 4), (1, 4, 4), (3, 2, 7)])
def test_a_row_no_longer_than_a_patch_is_never_masked_whole(shape):
    masked = Patches(0.5, 8).build()(torch.ones(20, *shape))[1].flatten(1)
    assert masked.any(1).all()
    assert not masked.all(1).any()


def test_however_small_the_share_one_patch_is_masked():
    masked = Patches(0.01).build()(torch.ones(20, 6))[1]
    assert (masked.sum(1) == 1).all()


def test_a_share_of_nothing_is_refused():
    with pytest.raises(SettingError, match=r"share of .* must be above 0"):
        Patches(0.0).build()


def test_a_zero_that_is_masked_must_be_brought_back_too():
    masked = Patches(1.0).build()(torch.zeros(3, 1, 8, 8))[1]
    assert masked.all()


@pytest.mark.parametrize("size", [0, -1, 1.5, True])
def test_a_size_that_is_none_is_refused(size):
    with pytest.raises(SettingError, match=r"size of .* must be an integer above 0"):
        Patches(size=size).build()


@pytest.mark.parametrize("lengths", [[3, 5, 8, 2], [8, 8], [1, 1]])
def test_splicing_joins_what_is_there_in_order(lengths):
    rows = torch.full((len(lengths), 2, 8), float("nan"))
    for i, length in enumerate(lengths):
        rows[i, :, :length] = 10 * (i + 1) + torch.arange(length)
    spliced = Splicing(gain=0.0).build().corrupted(Batch.of(rows))
    assert spliced.observed is None
    assert torch.equal(spliced.values, spliced.target)
    assert torch.equal(spliced.target[:, 0], spliced.target[:, 1])
    signal = spliced.target[:, 0].flatten().tolist()
    known = [x for x in signal if x]
    for x, after in itertools.pairwise(known):
        row = int(x) // 10 - 1
        within = x - 10 * (row + 1) < lengths[row] - 1
        assert after == x + 1 if within else after % 10 == 0
    if sum(lengths) >= 16:
        assert len(known) == len(signal)


def test_splicing_changes_the_level_of_each_row_within_its_gain():
    rows = torch.ones(5000, 1, 1)
    levels = 20 * Splicing(gain=6.0).build().corrupted(Batch.of(rows)).target.log10()
    assert -6 <= levels.min() < -5.9
    assert 2.9 < levels.max() <= 3
    conditioned = Batch(rows, rows, condition=torch.ones(5000, 1))
    assert Splicing().build().corrupted(conditioned) is conditioned
