"""Distances of sound: log-mel spectra at several resolutions, and complex spectra."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from attar.data.spectra import hertz_of, mel_bank, mel_of
from attar.errors import SettingError
from attar.likelihoods.base import Likelihood, LikelihoodModule, Shape

# Seconds of the frames, of which the samples are the nearest power of two; so many samples a band.
FRAMES, SAMPLES_A_BAND = (0.008, 0.016, 0.032, 0.064), 8

# The frames of loudness and of the ratio of noise to signal, and the exponent of loudness.
HEARD, EXPONENT = 0.032, 0.23

# In units of the prepared samples: power of a mel band, and of a frame, where silence begins.
SILENT_BAND, SILENT_FRAME = 1e-4, 1e-3

# Decibels of sound pressure of a sine of amplitude 1.
LEVEL = 70.0

# Of the disturbance: the share of loudness that masks, the power beside which what is added counts,
# and its largest factor.
MASKING, ADDED, MOST_ADDED = 0.25, 5e-6, 12.0


@dataclass(frozen=True)
class MultiScaleMel(Likelihood, name="multi-scale-mel"):
    """Minus a perceptual distance of sound, for a decoder that gives the samples y of a row x.

    The sum of three distances of short-time spectra X and Y:

    - over frames of 8, 16, 32 and 64 ms, the mean of ``|log(M|X|² + ε) - log(M|Y|² + ε)|``, with
      mel bands M;
    - over frames of 32 ms, the logarithm of ``|X - Y|² / |X|²``, of the ratio of noise to signal,
      which alone depends on phases;
    - over these frames too, the disturbance of loudness N = P^0.23 above the threshold of hearing,
      |N_X - N_Y| beyond what is masked, and more where something was added, as in PESQ.

    They are split evenly among the cells of a row, which together have cells times as much. It is
    not a density. Missing samples count as silence.

    Parameters
    ----------
    mel, noise, loudness : float
        The weights of the distances.
    seconds : float
        Of a row, which tell its sampling rate.

    Examples
    --------
    >>> import torch
    >>> from attar.likelihoods import MultiScaleMel
    >>> module, x = MultiScaleMel().build(), torch.randn(1, 1, 8000)
    >>> far, near = (-module.log_prob(y * x[None], x).mean() for y in (0.5, 0.9))
    >>> bool(far > near)
    True

    References
    ----------
    Yamamoto, Song and Kim, "Parallel WaveGAN: a fast waveform generation model based on generative
    adversarial networks with multi-resolution spectrogram", ICASSP 2020. Martín-Doñas et al., "A
    deep learning loss function based on the perceptual evaluation of the speech quality", IEEE
    Signal Processing Letters 2018. Terhardt, "Calculating virtual pitch", Hearing Research 1979,
    for the threshold of hearing.
    """

    mel: float = 0.3
    noise: float = 1.0
    loudness: float = 0.25
    seconds: float = 1.0

    density = False

    def build(self) -> LikelihoodModule:
        """Return the module; no weight may be negative, and seconds are above 0."""
        mel, noise, loudness = map(self.non_negative, ("mel", "noise", "loudness"))
        return MultiScaleMelModule(mel, noise, loudness, self.positive("seconds"))

    def parameters(self, shape: Shape) -> Shape:
        """Return the shape of the samples, (channels, samples)."""
        if len(shape) != 2:
            raise SettingError(
                f"The likelihood {self.name!r} needs samples of sound, but a row of this data has "
                f"shape {shape}: give attar.Sounds(X, view='waveform')."
            )
        return shape


class MultiScaleMelModule(LikelihoodModule):
    """Minus the distance of spectra."""

    def __init__(self, mel: float, noise: float, loudness: float, seconds: float) -> None:
        super().__init__()
        self.mel, self.noise, self.loudness, self.seconds = mel, noise, loudness, seconds

    def log_prob(self, parameters: Tensor, target: Tensor) -> Tensor:
        """Return minus the distance, the same for each cell of a row."""
        rate = round(target.shape[-1] / self.seconds)
        heard, distance = frame_size(HEARD * rate), torch.zeros_like(parameters[..., 0, 0])
        for size in (frame_size(seconds * rate) for seconds in FRAMES):
            bank = torch.from_numpy(mel_bank(rate, size, size // SAMPLES_A_BAND).copy())
            x, y = short_time_spectra(target, size), short_time_spectra(parameters, size)
            before, after = (power(spectra) @ bank.to(parameters).mT for spectra in (x, y))
            difference = ((before + SILENT_BAND).log() - (after + SILENT_BAND).log()).abs()
            distance = distance + self.mel / len(FRAMES) * mean_of_row(difference)
            if size == heard:
                noise, signal = (power(one).sum(-1, keepdim=True) for one in (x - y, x))
                ratios = ((noise + SILENT_FRAME) / (signal + SILENT_FRAME)).log()
                threshold = hearing_threshold(rate, before.shape[-1])
                disturbed = disturbance(before, after, threshold)
                distance = distance + self.noise * mean_of_row(ratios)
                distance = distance + self.loudness * mean_of_row(disturbed)
        return -distance[..., None, None].expand_as(parameters)

    def mean(self, parameters: Tensor) -> Tensor:
        """Return the samples."""
        return parameters

    def sample(self, parameters: Tensor) -> Tensor:
        """Return the samples: a distance has no density to draw from."""
        return parameters


def frame_size(samples: float) -> int:
    """Return the nearest power of two, 16 or more."""
    return 1 << max(4, round(math.log2(samples)))


def power(spectra: Tensor) -> Tensor:
    """Return squared magnitudes, whose gradient is finite at zero."""
    return spectra.real.square() + spectra.imag.square()


def mean_of_row(x: Tensor) -> Tensor:
    """Return the mean of each row: (K, B)."""
    return x.mean((-3, -2, -1))


def hearing_threshold(rate: int, bands: int) -> Tensor:
    """Return the power at the threshold of hearing, at the centres of mel bands: (bands,)."""
    kilohertz = hertz_of(np.linspace(0, mel_of(rate / 2), bands + 2)[1:-1]) / 1000
    decibels = 3.64 * kilohertz**-0.8 - 6.5 * np.exp(-0.6 * (kilohertz - 3.3) ** 2)
    return torch.from_numpy(10 ** ((decibels + 1e-3 * kilohertz**4 - LEVEL) / 10))


def disturbance(x: Tensor, y: Tensor, threshold: Tensor) -> Tensor:
    """Return the disturbance of each frame by powers y (..., bands) in place of x: (..., 1)."""
    silent = threshold.to(x) ** EXPONENT
    scale = 10 ** (EXPONENT * LEVEL / 10)
    loud, other = (scale * ((p + threshold.to(x)) ** EXPONENT - silent) for p in (x, y))
    disturbance = ((loud - other).abs() - MASKING * torch.minimum(loud, other)).clamp_min(0)
    # Above three times the power, what was added disturbs more than what is missing.
    added = ((y + ADDED) / (x + ADDED)).detach() ** 1.2
    added = added.clamp_max(MOST_ADDED).where(added > 3, 0)
    both = (loud - other).abs().mean(-1, keepdim=True)
    symmetric = (disturbance.square().mean(-1, keepdim=True) + 1e-2).sqrt()
    return symmetric + 0.3 * (disturbance * added).mean(-1, keepdim=True) + 0.15 * both


def short_time_spectra(samples: Tensor, size: int) -> Tensor:
    """Return the spectra of frames with a Hann window, every quarter: (..., frames, bins).

    A sine of amplitude 1 on a bin has magnitude 1.
    """
    window = torch.hann_window(size, dtype=samples.dtype, device=samples.device) * 2 / size
    frames = functional.pad(samples, (size // 2, size // 2)).unfold(-1, size, size // 4)
    spectra: Tensor = torch.fft.rfft(frames * window)
    return spectra
