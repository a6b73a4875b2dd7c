"""A network of frames is causal, and its inverse transform adds up."""

import numpy as np
import pytest
import torch

from attar.errors import SettingError
from attar.networks import Spectral
from attar.networks.spectral import Delay

FRAME = 160


def networks():
    torch.manual_seed(0)
    network = Spectral(width=16)
    pair = network.encoder((1, 8000), 50 * 6), network.decoder(50 * 6, (1, 8000))
    for module in pair:  # blocks start at zero
        for weight in module.parameters():
            if not weight.any():
                torch.nn.init.normal_(weight, std=0.1)
    return [module.double() for module in pair]


def test_a_frame_depends_on_nothing_behind_its_reach():
    encoder, decoder = networks()
    x = torch.randn(1, 1, 8000, dtype=torch.double)
    features = encoder(x).reshape(50, 6)
    for frame in (0, 7, 30):
        changed = x.clone()
        changed[..., (frame + 1) * FRAME + encoder.ahead :] += 1
        same = encoder(changed).reshape(50, 6)
        torch.testing.assert_close(same[: frame + 1], features[: frame + 1])
        assert not torch.allclose(same[frame + 1], features[frame + 1])
    samples = decoder(features.reshape(1, -1))
    features[30:] += 1
    end = 30 * FRAME - decoder.before
    torch.testing.assert_close(decoder(features.reshape(1, -1))[..., :end], samples[..., :end])
    assert not torch.allclose(decoder(features.reshape(1, -1))[..., end:], samples[..., end:])


def test_decoded_samples_are_the_overlap_add_of_the_spectra():
    _, decoder = networks()
    z = torch.randn(1, 50 * 6, dtype=torch.double)
    frames = z.reshape(1, 50, 6)
    outputs = decoder.output(decoder.blocks(decoder.input(frames))) + decoder.straight(frames)
    sizes, real, imaginary = outputs.reshape(200, 3, 81).detach().numpy().swapaxes(0, 1)
    window, wanted = np.sin(np.pi * np.arange(FRAME) / FRAME) ** 2, np.zeros(200 * 40 + 120)
    for i in range(200):
        spectrum = np.exp(sizes[i].clip(-10, 5)) * (real[i] + 1j * imaginary[i])
        wanted[40 * i : 40 * i + FRAME] += np.fft.irfft(spectrum, FRAME) * window
    found = decoder(z)[0, 0].detach().numpy()
    np.testing.assert_allclose(found, wanted[60 : 60 + 8000], atol=1e-12)


def test_a_delay_remembers_the_frames_of_a_stream():
    x, whole, stream = torch.randn(1, 9, 2), Delay(2), Delay(2)
    stream.past = torch.zeros(1, 2, 2)
    parts = torch.cat([stream(x[:, :1]), stream(x[:, 1:6]), stream(x[:, 6:])], 1)
    torch.testing.assert_close(parts, whole(x))
    torch.testing.assert_close(whole(x)[:, 2:, :2], x[:, :-2])


@pytest.mark.parametrize("samples", [22_050, 16_000, 44_100])
def test_frames_of_any_rate_have_a_multiple_of_eight_samples(samples):
    network = Spectral(width=8)
    frames = network.blocks((1, samples))
    decoder = network.decoder(frames * 2, (1, samples))
    assert decoder.frame % 8 == 0
    assert decoder.frame == pytest.approx(samples / 50, abs=4)
    assert decoder(torch.randn(2, frames * 2)).shape == (2, 1, samples)


def test_what_is_no_mono_sound_is_refused():
    with pytest.raises(SettingError, match="samples of one channel"):
        Spectral().encoder((2, 8000), 100)
    with pytest.raises(SettingError, match="samples of one channel"):
        Spectral().blocks((1, 8, 8))
    with pytest.raises(SettingError, match="a multiple of 50"):
        Spectral().encoder((1, 8000), 77)
