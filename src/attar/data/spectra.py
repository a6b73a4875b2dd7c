"""Short-time spectra of sound, their mel bands, and the way back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, rfft

from attar.data.summary import Rows

# Below this frequency the mel scale is linear, and above it logarithmic: each mel is a factor.
BREAK, LINEAR, FACTOR = 1000.0, 200 / 3, 6.4 ** (1 / 27)

# Updates of magnitudes from mel bands, and of the phases that fit magnitudes.
UPDATES, PHASES, MOMENTUM = 32, 32, 0.99

# Silence is at -80 dB.
FLOOR = 1e-8


@dataclass(frozen=True)
class Stft:
    """The short-time Fourier transform with Hann windows that overlap by three quarters.

    Frame i is centred on the samples i·hop to (i + 1)·hop - 1, so that n samples have n / hop
    frames; samples outside are zero. A sine of amplitude A on a bin has magnitude A there.

    Parameters
    ----------
    size : int
        Samples of a frame, a multiple of 8.

    Examples
    --------
    >>> stft = Stft(64)
    >>> sine = 0.5 * np.sin(2 * np.pi * np.arange(320) / 8)
    >>> spectrum = stft.spectra(sine)
    >>> spectrum.shape, float(abs(spectrum[8, 10]).round(6))
    ((33, 20), 0.5)
    >>> bool(abs(stft.signal(spectrum) - sine).max() < 1e-12)
    True
    """

    size: int

    @property
    def hop(self) -> int:
        """Samples from a frame to the next."""
        return self.size // 4

    @cached_property
    def window(self) -> NDArray[np.float64]:
        """The periodic Hann window, whose sum is 2."""
        return (1 - np.cos(2 * np.pi * np.arange(self.size) / self.size)) * 2 / self.size

    def spectra(self, signal: Rows) -> Rows:
        """Return the spectra of a signal (..., n), where hop divides n: (..., bins, n / hop)."""
        side = (self.size - self.hop) // 2
        padded = np.pad(signal, [(0, 0)] * (signal.ndim - 1) + [(side, side)])
        views = np.lib.stride_tricks.sliding_window_view(padded, self.size, axis=-1)
        frames = views[..., :: self.hop, :] * self.window.astype(signal.dtype)
        spectra: Rows = np.moveaxis(rfft(frames, axis=-1), -1, -2)
        return spectra

    def signal(self, spectra: Rows) -> Rows:
        """Return the signal whose spectra (..., bins, frames) are nearest in squared error."""
        frames = irfft(np.moveaxis(spectra, -2, -1), self.size, axis=-1)
        window = self.window.astype(frames.dtype)
        weights = self._added(np.broadcast_to(np.square(window), frames.shape[-2:]))
        signal: Rows = self._added(frames * window) / weights
        return signal

    def _added(self, frames: Rows) -> Rows:
        """Return the sum of overlapping frames (..., frames, size), without the zeros outside."""
        *before, n, _ = frames.shape
        hops = frames.reshape(*before, n, 4, self.hop)
        total = np.zeros((*before, n + 3, self.hop), frames.dtype)
        for i in range(4):
            total[..., i : i + n, :] += hops[..., i, :]
        side = (self.size - self.hop) // 2
        added: Rows = total.reshape(*before, -1)[..., side : side + n * self.hop]
        return added


def mel_of(hertz: Rows | float) -> Rows:
    """Return frequencies on the mel scale of Slaney's Auditory Toolbox (1998).

    ``f / 66.7`` up to 1,000 Hz, then ``15 + 27 ln(f / 1000) / ln(6.4)``.

    Examples
    --------
    >>> mel_of(np.array([0.0, 1000.0, 6400.0])).round(6)
    array([ 0., 15., 42.])
    """
    hertz = np.asarray(hertz, np.float64)
    above = BREAK / LINEAR + np.log(np.maximum(hertz, BREAK) / BREAK) / np.log(FACTOR)
    return np.where(hertz < BREAK, hertz / LINEAR, above)


def hertz_of(mel: Rows | float) -> Rows:
    """Return the frequencies of mels: the inverse of :func:`mel_of`."""
    mel, at_break = np.asarray(mel, np.float64), BREAK / LINEAR
    above = BREAK * FACTOR ** (np.maximum(mel, at_break) - at_break)
    return np.where(mel < at_break, mel * LINEAR, above)


@cache
def mel_bank(rate: int, size: int, bands: int) -> NDArray[np.float64]:
    """Return a bank of triangular filters with peaks of 1: (bands, size / 2 + 1).

    They are equally spaced on the mel scale from 0 to half of the sampling rate, and each is
    zero from its neighbours' centres on: between the first and the last centre they add up to 1.

    Parameters
    ----------
    rate : int
        Samples a second.
    size : int
        Samples of a frame.
    bands : int

    Examples
    --------
    >>> bank = mel_bank(8000, 256, 40)
    >>> bank.shape, bool(np.allclose(bank[:, 10:100].sum(0), 1))
    ((40, 129), True)
    """
    edges = hertz_of(np.linspace(0, mel_of(rate / 2), bands + 2))[:, None]
    hertz = np.fft.rfftfreq(size, 1 / rate)
    rising = (hertz - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - hertz) / (edges[2:] - edges[1:-1])
    bank: NDArray[np.float64] = np.minimum(rising, falling).clip(0)
    bank.flags.writeable = False
    return bank


def decibels(power: Rows) -> Rows:
    """Return ``10 log10(power + 1e-8)``: decibels, of which silence has -80."""
    level: Rows = 10 * np.log10(power + FLOOR)
    return level


def power_of(level: Rows) -> Rows:
    """Return the powers of decibels, 0 from -80 down: the inverse of :func:`decibels`."""
    power: Rows = np.maximum(10 ** (level / 10) - FLOOR, 0)
    return power


def magnitudes_of(bands: Rows, bank: Rows) -> Rows:
    """Return the magnitudes (bins, frames) of powers in mel bands (bands, frames).

    They minimize ``‖bank s - bands‖²`` over powers ``s >= 0``, by the multiplicative updates of Lee
    and Seung (2001), from powers that change smoothly from a band to the next.
    """
    tiny, target = np.finfo(bands.dtype).tiny, bank.T @ bands
    power: Rows = bank.T @ (bands / bank.sum(1, keepdims=True))
    for _ in range(UPDATES):
        power = power * target / (bank.T @ (bank @ power) + tiny)
    magnitudes: Rows = np.sqrt(power)
    return magnitudes


def with_phases(magnitudes: Rows, stft: Stft) -> Rows:
    """Return spectra with phases that fit magnitudes (..., bins, frames).

    By the fast Griffin-Lim algorithm (Perraudin et al., 2013), from random phases with a fixed
    seed: equal magnitudes give equal phases.
    """
    generator, dtype = np.random.default_rng(0), np.result_type(magnitudes, np.complex64)
    spectra: Rows = magnitudes * np.exp(2j * np.pi * generator.random(magnitudes.shape)).astype(
        dtype
    )
    before = np.zeros_like(spectra)
    for _ in range(PHASES):
        fitting = stft.spectra(stft.signal(spectra))
        ahead = fitting - MOMENTUM / (1 + MOMENTUM) * before
        before, spectra = fitting, in_phase(magnitudes, ahead)
    return spectra


def in_phase(magnitudes: Rows, spectra: Rows) -> Rows:
    """Return spectra with these magnitudes and the phases of others."""
    size = np.abs(spectra)
    phases = np.divide(spectra, size, np.ones_like(spectra), where=size > 0)
    found: Rows = magnitudes * phases
    return found
