"""A causal network of sound, frame by frame, with an inverse Fourier transform as its head."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from attar.errors import SettingError
from attar.networks.base import Network, Shape
from attar.networks.mlp import linear, zeroed

# A frame has so many hops of the short-time spectra, whose windows are as long as a frame.
HOPS = 4

# Magnitudes and mean powers below these are silence, in units of the prepared samples; magnitudes
# of the decoder are from exp(-10) to exp(5).
SILENCE, SILENT_POWER, MAGNITUDES = 1e-2, 1e-3, (-10.0, 5.0)


@dataclass(frozen=True)
class Spectral(Network, name="spectral"):
    """Causal convolutions over frames of sound, with a head for an inverse Fourier transform.

    The encoder sees samples and log-magnitudes of the short-time spectra of a frame, of the frame
    before, and of 5/8 of the next; each frame has features of its own. The decoder gives four
    short-time spectra a frame, as ``exp(m) · (a + ib)`` at each frequency. Their inverse transforms
    are added where they overlap, which takes 3/8 of a frame more. What is decoded of a frame
    depends on nothing behind the next one: a stream is two frames late. Linear maps past the
    blocks, from samples of a mean square of 1 and to the spectra, keep the phases: without them, a
    network learns none.

    Parameters
    ----------
    frames : int
        How many frames a row has, about: a frame has a multiple of 8 samples.
    width : int
    encoder_dilations, decoder_dilations : tuple of int
        How many frames back the residual blocks look, each at the present frame and at one before.

    Examples
    --------
    >>> import torch
    >>> network = Spectral(width=8)
    >>> encoder, decoder = network.encoder((1, 8000), 50 * 4), network.decoder(50 * 4, (1, 8000))
    >>> encoder(torch.zeros(3, 1, 8000)).shape, decoder(torch.zeros(3, 200)).shape
    (torch.Size([3, 200]), torch.Size([3, 1, 8000]))

    References
    ----------
    Siuzdak, "Vocos: closing the gap between time-domain and Fourier-based neural vocoders for
    high-quality audio synthesis", ICLR 2024. Zeghidour et al., "SoundStream: an end-to-end neural
    audio codec", IEEE/ACM TASLP 2022.
    """

    frames: int = 50
    width: int = 192
    encoder_dilations: tuple[int, ...] = (1, 2, 4)
    decoder_dilations: tuple[int, ...] = (1, 2, 4, 8, 1)

    masked: ClassVar[bool] = False
    seconds: ClassVar[float | None] = 1.0

    def encoder(self, shape: Shape, width: int) -> nn.Module:
        """Return a module (B, 1, samples) -> (B, width), of width / frames features a frame."""
        frame, features = self._sizes(shape, width)
        return FrameEncoder(frame, self.positive_integer("width"), features, self.encoder_dilations)

    def decoder(self, width: int, shape: Shape) -> nn.Module:
        """Return a module (B, width) -> (B, 1, samples)."""
        frame, features = self._sizes(shape, width)
        units = self.positive_integer("width")
        return FrameDecoder(frame, units, features, self.decoder_dilations, shape[1])

    def blocks(self, shape: Shape) -> int:
        """Return the number of frames."""
        return self._frames(shape)[1]

    def _sizes(self, shape: Shape, width: int) -> tuple[int, int]:
        """Return the samples and the features of a frame."""
        frame, frames = self._frames(shape)
        if width % frames:
            raise SettingError(
                f"The network {self.name!r} has features for each of {frames} frames: choose a "
                f"code_size that is a multiple of {frames}, for example {frames * 16}."
            )
        return frame, width // frames

    def _frames(self, shape: Shape) -> tuple[int, int]:
        """Return the samples of a frame, and the number of frames."""
        if len(shape) != 2 or shape[0] != 1:
            raise SettingError(
                f"The network {self.name!r} needs samples of one channel, but a row of this data "
                f"has shape {shape}: give attar.Sounds(X, channels='mono')."
            )
        frame = 8 * max(1, round(shape[1] / 8 / self.positive_integer("frames")))
        return frame, math.ceil(shape[1] / frame)


class Delay(nn.Module):
    """Puts the features of an earlier frame beside those of each: (B, n, w) -> (B, n, 2 w).

    Attributes
    ----------
    past : Tensor (B, frames, w) or None
        The last frames of a stream, which the next ones follow; None where no frames came before.
    """

    def __init__(self, frames: int) -> None:
        super().__init__()
        self.frames = frames
        self.past: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Return both."""
        past = x.new_zeros(len(x), self.frames, x.shape[2]) if self.past is None else self.past
        known = torch.cat([past, x], 1)
        if self.past is not None:
            self.past = known[:, -self.frames :]
        return torch.cat([known[:, : x.shape[1]], x], -1)


class FrameBlock(nn.Module):
    """A residual block over the present frame and an earlier one, which starts at zero."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.LayerNorm(width),
            Delay(dilation),
            linear(2 * width, 2 * width),
            nn.GELU(),
            zeroed(linear(2 * width, width)),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, n, width) for as much."""
        y: Tensor = x + self.body(x)
        return y


class FrameEncoder(nn.Module):
    """Features of each frame of samples: (B, 1, samples) -> (B, frames · features).

    Attributes
    ----------
    frame : int
        Samples of a frame.
    ahead : int
        Samples behind a frame that it depends on.
    """

    def __init__(self, frame: int, width: int, features: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.frame, self.hop, self.ahead = frame, frame // HOPS, 5 * frame // 8
        self.seen = 2 * frame + self.ahead
        spectra = (self.seen - frame) // self.hop + 1
        self.samples = linear(self.seen, width)
        self.levels = linear(spectra * (frame // 2 + 1), width)
        self.blocks = nn.Sequential(*(FrameBlock(width, dilation) for dilation in dilations))
        self.output = nn.Sequential(nn.LayerNorm(width), zeroed(linear(width, features)))
        self.straight = linear(self.seen, features)

    def forward(self, x: Tensor) -> Tensor:
        """Return the features; behind the end are zeros."""
        rest = -x.shape[2] % self.frame
        return self.features(functional.pad(x[:, 0], (self.frame, rest + self.ahead))).flatten(1)

    def features(self, samples: Tensor) -> Tensor:
        """Return features (B, n, w) of samples with the frame before the first, and those ahead."""
        seen = samples.unfold(1, self.seen, self.frame)
        frames = seen.unfold(2, self.frame, self.hop) * hann(self.frame, samples)
        levels = (torch.fft.rfft(frames).abs() + SILENCE).log().flatten(2)
        level = (seen.square().mean(-1, keepdim=True) + SILENT_POWER).sqrt()
        seen = seen / level
        units = self.blocks(self.samples(seen) + self.levels(levels))
        features: Tensor = self.output(units) + self.straight(seen)
        return features


class FrameDecoder(nn.Module):
    """Samples of the features of frames: (B, frames · features) -> (B, 1, samples)."""

    def __init__(
        self, frame: int, width: int, features: int, dilations: tuple[int, ...], samples: int
    ) -> None:
        super().__init__()
        self.frame, self.hop, self.count, self.total = frame, frame // HOPS, features, samples
        self.bins = frame // 2 + 1
        self.before = (frame - self.hop) // 2
        self.width, self.input = width, linear(features, width)
        self.blocks = nn.Sequential(*(FrameBlock(width, dilation) for dilation in dilations))
        outputs = HOPS * 3 * self.bins
        self.output = nn.Sequential(nn.LayerNorm(width), zeroed(linear(width, outputs)))
        self.straight = linear(features, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return the samples of a row."""
        pieces = self.overlapping(x.reshape(len(x), -1, self.count))
        return pieces[:, None, self.before :][..., : self.total]

    def overlapping(self, x: Tensor) -> Tensor:
        """Return the sum of the inverse transforms of frames (B, n, w).

        They begin ``before`` samples before the first frame, and end as many behind the last.
        """
        outputs = self.output(self.blocks(self.input(x))) + self.straight(x)
        sizes, real, imaginary = outputs.unflatten(2, (HOPS, 3, self.bins)).flatten(1, 2).unbind(2)
        sizes = sizes.clamp(*MAGNITUDES).exp()
        spectra = torch.complex(sizes * real, sizes * imaginary)
        pieces = torch.fft.irfft(spectra, self.frame) * hann(self.frame, x)
        hops = pieces.unflatten(2, (HOPS, self.hop)).unbind(2)
        shifted = [functional.pad(hop, (0, 0, i, HOPS - 1 - i)) for i, hop in enumerate(hops)]
        return torch.stack(shifted).sum(0).flatten(1)


def hann(size: int, like: Tensor) -> Tensor:
    """Return the periodic Hann window, in type and place of another tensor."""
    return torch.hann_window(size, dtype=like.dtype, device=like.device)


def delays(network: nn.Module) -> Iterator[Delay]:
    """Yield the delays of a network."""
    return (module for module in network.modules() if isinstance(module, Delay))
