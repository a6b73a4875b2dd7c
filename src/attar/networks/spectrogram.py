"""Convolutions over log-mel frames, pooled over time: codes of what is said."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from scipy.fft import dct
from torch import Tensor, nn

from attar.errors import SettingError
from attar.networks.base import Network, Reshape, Shape, glorot
from attar.networks.mlp import linear


@dataclass(frozen=True)
class Spectrogram(Network, name="spectrogram"):
    """Strided convolutions over log-mel frames, whose mean and maximum over time become a code.

    Before them, the loudest frame of each row is set to one level, what is far below it to a floor,
    and spectra are smoothed to their first cepstral coefficients, which keep formants and drop the
    harmonics of the voice. The decoder has one hidden layer.

    Parameters
    ----------
    channels : tuple of int
        Feature maps of each stage, which halves bands and frames, rounding up.
    cepstra : int
        How many cepstral coefficients are kept.
    floor : float
        How far below the loudest frame the floor is, in units of the prepared rows.
    hidden : int
        Units of the decoder's hidden layer.

    Examples
    --------
    >>> import torch
    >>> from attar.networks import Spectrogram
    >>> encoder = Spectrogram(channels=(8, 16)).encoder((1, 32, 40), 10).eval()
    >>> frames = torch.rand(2, 1, 32, 40)
    >>> encoder(frames).shape, torch.allclose(encoder(frames), encoder(frames + 1), atol=1e-5)
    (torch.Size([2, 10]), True)

    References
    ----------
    Davis and Mermelstein, "Comparison of parametric representations for monosyllabic word
    recognition in continuously spoken sentences", IEEE TASSP 1980. Snyder et al., "X-vectors:
    robust DNN embeddings for speaker recognition", ICASSP 2018.
    """

    channels: tuple[int, ...] = (16, 32, 64)
    cepstra: int = 13
    floor: float = 3.0
    hidden: int = 128

    def encoder(self, shape: Shape, width: int) -> nn.Module:
        """Return a module (B, channels, bands, frames) -> (B, width)."""
        if len(shape) != 3:
            raise SettingError(
                f"The network 'spectrogram' needs log-mel frames (channels, bands, frames), but a "
                f"row of this data has shape {shape}: use 'mlp'."
            )
        bands, cepstra = -(-shape[1] // 2), self.positive_integer("cepstra")
        envelopes = Envelopes(shape[1], bands, cepstra, self.positive("floor"))
        layers: list[nn.Module] = [envelopes, nn.BatchNorm2d(shape[0])]
        before, kernel = shape[0], 5
        for after in self.channels:
            layers += [glorot(nn.Conv2d(before, after, kernel, stride=2, padding=kernel // 2))]
            layers += [nn.BatchNorm2d(after), nn.SiLU()]
            before, kernel, bands = after, 3, -(-bands // 2)
        return nn.Sequential(*layers, PooledOverTime(), linear(2 * before * bands, width))

    def decoder(self, width: int, shape: Shape) -> nn.Module:
        """Return a module (B, width) -> (B, channels, bands, frames)."""
        hidden = self.positive_integer("hidden")
        layers = [linear(width, hidden), nn.SiLU(), linear(hidden, math.prod(shape))]
        return nn.Sequential(*layers, Reshape(shape))


class Envelopes(nn.Module):
    """Smooth spectra of frames below the loudest one: (B, c, bands, n) -> (B, c, fewer bands, n).

    Parameters
    ----------
    bands, smoothed : int
        Of a frame, before and after.
    cepstra : int
    floor : float
    """

    smoothing: Tensor

    def __init__(self, bands: int, smoothed: int, cepstra: int, floor: float) -> None:
        super().__init__()
        self.floor = floor
        cosines = [
            torch.from_numpy(dct(torch.eye(n, dtype=torch.float64).numpy(), axis=0, norm="ortho"))
            for n in (smoothed, bands)
        ]
        inverse, forward = (matrix[:cepstra] for matrix in cosines)
        smoothing = (smoothed / bands) ** 0.5 * inverse.T @ forward[: len(inverse)]
        self.register_buffer("smoothing", smoothing.float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return smooth spectra, whose floor is -floor / 2; missing frames are 0."""
        known = (x != 0).any(2, keepdim=True)
        levels = x.mean(2, keepdim=True).masked_fill(~known, -math.inf).amax(3, keepdim=True)
        relative = (x - levels.nan_to_num(neginf=0.0)).clamp_min(-self.floor) + self.floor / 2
        return self.smoothing @ (relative * known)


class PooledOverTime(nn.Module):
    """The mean and the maximum over frames: (B, channels, bands, n) -> (B, 2 channels bands)."""

    def forward(self, x: Tensor) -> Tensor:
        """Return both."""
        return torch.cat([x.mean(3), x.amax(3)], 1).flatten(1)
