"""Distances of spectra: none of equal sounds, and each term is what it says."""

import numpy as np
import pytest
import torch
from scipy.signal import ShortTimeFFT, get_window

from attar.data.spectra import mel_bank
from attar.errors import SettingError
from attar.likelihoods import MultiScaleMel
from attar.likelihoods.spectra import hearing_threshold, short_time_spectra

RATE = 8000


def distance(x, y, **weights):
    """Return the distance of two rows of samples, with all weights 0 but those given."""
    module = MultiScaleMel(**{"mel": 0.0, "noise": 0.0, "loudness": 0.0} | weights).build()
    return -module.log_prob(y.expand(1, 1, 1, -1), x.expand(1, 1, -1)).mean().item()


@pytest.fixture
def x():
    return torch.randn(RATE, dtype=torch.double)


def test_spectra_are_scipys(x):
    window = get_window("hann", 256) * 2 / 256
    wanted = np.abs(ShortTimeFFT(window, 64, RATE).stft(x.numpy()))[:, 1:-1].T
    found = short_time_spectra(x, 256).abs()
    np.testing.assert_allclose(found, wanted[: len(found)], atol=1e-9)


def test_the_distance_of_levels_is_that_of_their_logarithms(x):
    factor = 10.0
    x = 30 * x  # far above what counts as silence
    assert distance(x, factor * x, mel=1.0) == pytest.approx(2 * np.log(factor), rel=1e-3)
    assert distance(x, -x, mel=1.0) == 0


def test_the_ratio_of_noise_to_signal_depends_on_phases(x):
    x = 10 * x
    assert distance(x, -x, noise=1.0) == pytest.approx(2 * np.log(2), rel=1e-3)
    assert distance(x, 0.9 * x, noise=1.0) == pytest.approx(2 * np.log(0.1), rel=0.01)
    silence = torch.zeros(RATE, dtype=torch.double)
    assert distance(silence, silence, noise=1.0) == 0


def test_what_was_added_disturbs_more_than_what_is_missing(x):
    tone = torch.sin(torch.arange(RATE, dtype=torch.double) * 1.5)
    less, more = distance(x + tone, x, loudness=1.0), distance(x, x + tone, loudness=1.0)
    same = distance(x, x, loudness=1.0)
    assert more > 1.5 * less > same
    assert same == pytest.approx(0.1)  # the root of the sum is smooth


def test_hearing_is_best_near_three_and_a_half_kilohertz():
    threshold = hearing_threshold(16_000, 64)
    hertz = np.fft.rfftfreq(512, 1 / 16_000)[mel_bank(16_000, 512, 64).argmax(1)]
    assert 3000 < hertz[threshold.argmin()] < 4000


def test_gradients_of_silence_are_finite():
    y = torch.zeros(1, 1, 1, RATE, requires_grad=True)
    MultiScaleMel().build().log_prob(y, torch.zeros(1, 1, RATE)).sum().backward()
    assert y.grad.isfinite().all()


def test_what_is_no_sound_is_refused():
    with pytest.raises(SettingError, match="needs samples of sound"):
        MultiScaleMel().parameters((1, 8, 8))
    with pytest.raises(SettingError, match="noise"):
        MultiScaleMel(noise=-1.0).build()
