"""The augmentation of log-mel frames does what its parameters say."""

from dataclasses import replace

import pytest
import torch

import attar
from attar.corruptions import SpectrogramAugmentation
from attar.records import Batch

STILL = SpectrogramAugmentation(
    warp=0.0, stretch=0.0, shift=0.0, gain=0.0, tilt=0.0, noise=0.0, bands=0.0, frames=0.0
)
RAMP = torch.linspace(0, 63, 64)


def views(part, rows, observed=None):
    torch.manual_seed(0)
    return part.build().corrupted(replace(Batch.of(rows), observed=observed))


def test_warping_multiplies_the_place_of_bands():
    rows = RAMP[:, None].expand(500, 1, 64, 5)  # a band's value is its number
    values = views(STILL.replace(warp=0.2), rows).values
    factors = values[:, 0, 1, 0]
    assert torch.allclose(values[:, 0, :, 3], (factors[:, None] * RAMP).clamp(max=63), atol=1e-3)
    logarithms = factors.log()
    assert -0.2 <= logarithms.min() < -0.19
    assert 0.19 < logarithms.max() <= 0.2


def test_time_is_shifted_and_stretched():
    rows = RAMP.expand(500, 1, 5, 64)  # a frame's value is its number
    shifted = views(STILL.replace(shift=0.1), rows).values[:, 0, 2]
    shift = RAMP[30] - shifted[:, 30]
    assert torch.allclose(shifted, (RAMP - shift[:, None]).clamp(0, 63), atol=1e-3)
    assert 6.2 < shift.abs().max() <= 6.3 + 1e-3
    stretched = views(STILL.replace(stretch=0.3), rows).values[:, 0, 2]
    assert torch.allclose(stretched, (stretched[:, 1:2] * RAMP).clamp(max=63), atol=1e-3)
    assert 0.29 < stretched[:, 1].log().abs().max() <= 0.3 + 1e-5


def test_gain_is_linear_in_bands_and_equal_in_all_frames():
    values = views(STILL.replace(gain=2.0, tilt=1.0), torch.zeros(500, 1, 9, 4)).values[:, 0]
    assert torch.allclose(values, values[:, :, :1].expand_as(values), atol=1e-5)
    assert torch.allclose(values.diff(n=2, dim=1), torch.zeros(()), atol=1e-5)
    assert 1.95 < values[:, 4].abs().max() <= 2
    assert 0.95 < (values[:, 8] - values[:, 4]).abs().max() <= 1.001


def test_noise_has_at_most_its_level():
    values = views(STILL.replace(noise=0.5), torch.zeros(200, 1, 40, 50)).values
    levels = values.std((1, 2, 3))
    assert 0.48 < levels.max() < 0.52
    assert abs(levels.mean() - 0.25) < 0.03


def test_one_run_of_bands_and_one_of_known_frames_is_masked():
    observed = torch.ones(400, 1, 40, 50, dtype=torch.bool)
    observed[..., 25:] = False  # half of the clip is missing
    batch = views(STILL.replace(bands=0.5, frames=0.4), torch.ones(400, 1, 40, 50), observed)
    masked = batch.values[:, 0] == 0
    bands, frames = masked.all(2), masked.all(1)
    assert torch.equal(masked, bands[:, :, None] | frames[:, None])
    for runs, most in ((bands, 0.5 * 40), (frames, 0.4 * 25)):
        assert (runs.int().diff(dim=1) == 1).sum(1).max() <= 1  # one run
        assert most - 2 <= runs.sum(1).max() <= most + 1
    assert not frames[:, 30:].any()
    assert torch.equal(batch.visible, observed)
    assert torch.equal(batch.target, torch.ones(400, 1, 40, 50))


def test_missing_frames_move_with_the_known():
    observed = torch.zeros(300, 1, 6, 50, dtype=torch.bool)
    observed[..., :25] = True
    rows = RAMP[:50].expand(300, 1, 6, 50)
    batch = views(STILL.replace(stretch=0.3), rows, observed)
    known = batch.visible[:, 0, 0]
    assert torch.equal(batch.observed, observed)
    assert known.sum(1).min() < 20
    assert known.sum(1).max() > 32
    assert torch.equal(known, batch.values[:, 0, 0] < 24.5)


def test_rows_that_are_no_frames_are_refused():
    with pytest.raises(attar.SettingError, match="is for log-mel frames"):
        views(SpectrogramAugmentation(), torch.zeros(3, 1, 80))
    with pytest.raises(attar.SettingError, match=r"frames of .* must lie between 0 and 1"):
        SpectrogramAugmentation(frames=1.5).build()
