"""Log-mel frames become codes whatever their level and place in time."""

import numpy as np
import pytest
import torch
from scipy.fft import dct, idct

import attar
from attar.networks import Spectrogram
from attar.networks.spectrogram import Envelopes


def test_envelopes_are_the_first_cepstral_coefficients_of_frames():
    frames = torch.rand(3, 1, 32, 7, dtype=torch.float64)
    smooth = Envelopes(32, 32, 5, floor=9.0).double()(frames)
    loudest = frames.mean(2, keepdim=True).amax(3, keepdim=True)
    cepstra = dct((frames - loudest + 4.5).numpy(), axis=2, norm="ortho")
    cepstra[:, :, 5:] = 0
    np.testing.assert_allclose(smooth, idct(cepstra, axis=2, norm="ortho"), atol=1e-5)


def test_a_constant_spectrum_stays_so_with_fewer_bands():
    frames = torch.full((1, 1, 64, 3), 2.0)
    assert torch.allclose(Envelopes(64, 32, 13, floor=3.0)(frames), torch.full((1, 1, 32, 3), 1.5))


def test_neither_level_nor_missing_frames_change_the_level_of_others():
    module = Envelopes(16, 8, 4, floor=3.0)
    frames = torch.randn(2, 1, 16, 9)
    padded = torch.cat([frames, torch.zeros(2, 1, 16, 4)], 3)
    assert torch.allclose(module(frames - 5), module(frames), atol=1e-5)
    assert torch.allclose(module(padded)[..., :9], module(frames), atol=1e-5)
    assert not module(padded)[..., 9:].any()
    assert not module(torch.zeros(1, 1, 16, 9)).any()  # nothing is known


def test_far_below_the_loudest_frame_is_a_floor():
    frames = torch.ones(1, 1, 16, 4)
    frames[..., 2:] = -torch.tensor([50.0, 70.0])
    smooth = Envelopes(16, 16, 16, floor=3.0)(frames)
    assert torch.allclose(smooth[..., 2:], torch.tensor(-1.5), atol=1e-5)


def test_a_code_hardly_depends_on_when_a_word_is_said():
    torch.manual_seed(0)
    encoder = Spectrogram().encoder((1, 32, 64), 8).eval()
    word = torch.randn(1, 1, 32, 16) - 1
    early, late = (torch.zeros(1, 1, 32, 64) for _ in range(2))
    early[..., 8:24], late[..., 24:40] = word, word
    other = early.clone()
    other[..., 8:24] = word.flip(3)
    moved, changed = (torch.dist(encoder(early), encoder(x)) for x in (late, other))
    assert moved < 0.1 * changed


def test_rows_that_are_no_frames_are_refused():
    with pytest.raises(attar.SettingError, match="needs log-mel frames"):
        Spectrogram().encoder((1, 800), 4)
