"""Distances of sound: log-mel spectra at several resolutions, and complex spectra."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from attar.data.spectra import mel_bank
from attar.errors import SettingError
from attar.likelihoods.base import Likelihood, LikelihoodModule, Shape

# Seconds of the frames, of which the samples are the nearest power of two, a number of bands for
# each, and the frames whose complex spectra are compared.
FRAMES, SAMPLES_A_BAND, PHASED = (0.008, 0.016, 0.032, 0.064), 8, 0.032

# Powers of mel bands, and magnitudes, where silence begins: in units of the prepared samples.
SILENT_POWER, SILENT_MAGNITUDE = 1e-5, 0.02


@dataclass(frozen=True)
class MultiScaleMel(Likelihood, name="multi-scale-mel"):
    """Minus a perceptual distance of sound, for a decoder that gives the samples y of a row x.

    The mean over frames of 8, 16, 32 and 64 ms of ``|log(M|X|² + ε) - log(M|Y|² + ε)|``, with mel
    bands M, and share times the mean of ``|X - Y| / √(|X| + δ)`` at 32 ms, which keeps the phases.
    It is split evenly among the cells of a row, which together have cells times as much. It is not
    a density. Missing samples count as silence.

    Parameters
    ----------
    share : float
        The weight of the distance of complex spectra.
    seconds : float
        Of a row, which tell its sampling rate.

    Examples
    --------
    >>> import torch
    >>> from attar.likelihoods import MultiScaleMel
    >>> module, x = MultiScaleMel().build(), torch.randn(1, 1, 8000)
    >>> far, near = (-module.log_prob(y * x[None], x).mean() for y in (0.5, 0.9))
    >>> bool(far > near > 0)
    True

    References
    ----------
    Yamamoto, Song and Kim, "Parallel WaveGAN: a fast waveform generation model based on generative
    adversarial networks with multi-resolution spectrogram", ICASSP 2020. Défossez et al., "High
    fidelity neural audio compression", TMLR 2023.
    """

    share: float = 1.0
    seconds: float = 1.0

    density = False

    def build(self) -> LikelihoodModule:
        """Return the module; share must not be negative, seconds above 0."""
        return MultiScaleMelModule(self.non_negative("share"), self.positive("seconds"))

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

    def __init__(self, share: float, seconds: float) -> None:
        super().__init__()
        self.share, self.seconds = share, seconds

    def log_prob(self, parameters: Tensor, target: Tensor) -> Tensor:
        """Return minus the distance, the same for each cell of a row."""
        rate, distance = target.shape[-1] / self.seconds, torch.zeros_like(parameters[..., 0, 0])
        sizes = [frame_size(seconds * rate) for seconds in FRAMES]
        phased = frame_size(PHASED * rate)
        for size in sizes:
            bank = torch.from_numpy(mel_bank(round(rate), size, size // SAMPLES_A_BAND).copy())
            bank = bank.to(parameters).mT
            x, y = short_time_spectra(target, size), short_time_spectra(parameters, size)
            levels = ((power(one) @ bank + SILENT_POWER).log() for one in (x, y))
            distance = distance + mean_of_row(next(levels) - next(levels)) / len(sizes)
            if size == phased:
                apart = (power(x - y) + 1e-10).sqrt() / (power(x).sqrt() + SILENT_MAGNITUDE).sqrt()
                distance = distance + self.share * mean_of_row(apart)
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
    """Return the mean of the absolute values of each row: (K, B)."""
    return x.abs().mean((-3, -2, -1))


def short_time_spectra(samples: Tensor, size: int) -> Tensor:
    """Return the spectra of frames with a Hann window, every quarter: (..., frames, bins).

    A sine of amplitude 1 on a bin has magnitude 1.
    """
    window = torch.hann_window(size, dtype=samples.dtype, device=samples.device) * 2 / size
    frames = functional.pad(samples, (size // 2, size // 2)).unfold(-1, size, size // 4)
    spectra: Tensor = torch.fft.rfft(frames * window)
    return spectra
