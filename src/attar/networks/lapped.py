"""Lapped transforms: images of any size as coefficients of overlapping blocks, and back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import dctn
from torch import Tensor, nn
from torch.nn import functional

from attar.errors import SettingError
from attar.networks.base import Network, Shape
from attar.networks.mlp import Near


@dataclass(frozen=True)
class Lapped(Network, name="lapped"):
    """A linear transform of overlapping blocks of pixels, which starts as the cosine transform.

    Coefficients of a block are a linear map of twice as many rows and columns of pixels. The
    decoder corrects them by convolutions on the grid of blocks, and maps them back in the same way.
    Codes are coefficients (height, width, channels of a block), and the logarithm of the size of a
    correction; the decoder's output are pixels, and that logarithm again.

    Parameters
    ----------
    block : int
        Rows and columns of a block, even.
    hidden : int
        Feature maps of the convolutions that correct coefficients.

    Examples
    --------
    Before training the decoder inverts the encoder:

    >>> import torch
    >>> from attar.networks.lapped import Lapped
    >>> network, images = Lapped(), torch.rand(2, 3, 21, 16)
    >>> coefficients = network.encoder((3, 21, 16), network.features((3, 21, 16)))(images)
    >>> codes = torch.cat([coefficients, torch.zeros(2, 1)], 1)
    >>> parameters = network.decoder(codes.shape[1], (6, 21, 16))(codes)
    >>> torch.allclose(parameters[:, :3], images, atol=1e-5)
    True

    References
    ----------
    Malvar and Staelin, "The LOT: transform coding without blocking effects", IEEE Transactions on
    Acoustics, Speech, and Signal Processing 37, 1989.
    """

    block: int = 8
    hidden: int = 128

    masked: ClassVar[bool] = False
    tile: ClassVar[int] = 128

    def features(self, shape: Shape) -> int:
        """Return the number of coefficients of images of a shape."""
        channels, *sides = self._checked(shape)
        height, width = (-(-side // self.block) for side in sides)
        return height * width * channels * self.block**2

    def encoder(self, shape: Shape, width: int) -> nn.Module:
        """Return a module (B, C, H, W) -> (B, width)."""
        features = self.features(shape)
        if width != features:
            raise SettingError(
                f"The network 'lapped' makes {features:,} coefficients of images of shape {shape}, "
                f"not {width:,}: leave code_size='auto'."
            )
        return Analysis(shape[0], self.block)

    def decoder(self, width: int, shape: Shape) -> nn.Module:
        """Return a module (B, width) -> (B, 2 C, H, W)."""
        channels, *sides = self._checked(shape)
        return Synthesis(
            channels // 2, (sides[0], sides[1]), self.block, self.positive_integer("hidden")
        )

    def _checked(self, shape: Shape) -> tuple[int, int, int]:
        if self.positive_integer("block") % 2:
            raise SettingError(f"A block has an even number of rows, not {self.block}.")
        if len(shape) != 3:
            raise SettingError(
                "The network 'lapped' needs images (channels, height, width), but a row of this "
                f"data has shape {shape}: use 'mlp'."
            )
        return shape[0], shape[1], shape[2]


def frequencies(channels: int, block: int) -> list[tuple[int, int, int]]:
    """Return channel, vertical and horizontal frequency of coefficients, in the order of coding.

    The means of blocks come first, then low frequencies before high ones.

    Examples
    --------
    >>> frequencies(1, 2)
    [(0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 1)]
    """
    found = [(c, *divmod(place, block)) for c in range(channels) for place in range(block**2)]
    # Channels are transformed too: all but the first one are differences, which are small.
    return sorted(found, key=lambda f: (f[1] + f[2] > 0, f[1] ** 2 + f[2] ** 2 + 3 * (f[0] > 0)))


@cache
def spectrum(channels: int, block: int) -> NDArray[np.float32]:
    """Return about the scales that coefficients of natural images have, of pixels in [0, 1]."""
    places = np.array(frequencies(channels, block), np.float32)
    found: NDArray[np.float32] = 0.25 * block / (1 + np.square(places).sum(1))
    return found


def cosines(channels: int, block: int) -> Tensor:
    """Return the cosine transform of blocks of pixels: (coefficients, pixels), orthonormal."""
    pixels = channels * block**2
    basis = dctn(np.eye(pixels).reshape(-1, channels, block, block), axes=(1, 2, 3), norm="ortho")
    order = [(c * block + u) * block + v for c, u, v in frequencies(channels, block)]
    return torch.tensor(basis.reshape(pixels, pixels).T[order], dtype=torch.float)


class Analysis(nn.Module):
    """Pixels (B, C, H, W) as coefficients, block by block.

    Parameters
    ----------
    channels, block : int
    """

    def __init__(self, channels: int, block: int) -> None:
        super().__init__()
        self.block = block
        self.transform = Near(4 * channels * block**2, channels * block**2, bias=False)
        with torch.no_grad():
            self.transform.weight.copy_(windows(channels, block).flatten(1))

    def grid(self, images: Tensor) -> Tensor:
        """Return coefficients (B, height, width, n)."""
        height, width = (-side % self.block for side in images.shape[2:])
        half = self.block // 2
        padded = functional.pad(images, (half, width + half, half, height + half), mode="replicate")
        found: Tensor = self.transform(quadrants(_blocks(padded, self.block)))
        return found

    def forward(self, images: Tensor) -> Tensor:
        """Return coefficients (B, height · width · n)."""
        return self.grid(images).flatten(1)


class Synthesis(nn.Module):
    """Coefficients as pixels.

    Parameters
    ----------
    channels : int
    size : (int, int)
        Height and width of images.
    block, hidden : int
    """

    def __init__(self, channels: int, size: tuple[int, int], block: int, hidden: int) -> None:
        super().__init__()
        self.size, self.block, self.channels = size, block, channels
        n = channels * block**2
        self.first, self.last = nn.Linear(n + 1, hidden), nn.Linear(hidden, n)
        self.middle = nn.ModuleList(nn.Linear(9 * hidden, hidden) for _ in range(2))
        self.transform = Near(4 * n, n, bias=False)
        with torch.no_grad():
            nn.init.zeros_(self.last.weight)
            nn.init.zeros_(self.last.bias)
            # A window of pixels is made of the blocks around its centre.
            parts = windows(channels, block).flip(1)
            self.transform.weight.copy_(parts.permute(2, 1, 0).flatten(1))

    def pixels(self, grid: Tensor, log_step: Tensor, step: Tensor) -> Tensor:
        """Return pixels (B, C, H, W) of whole blocks.

        Parameters
        ----------
        grid : Tensor (B, height, width, n)
            Coefficients.
        log_step, step : Tensor (B,)
            To which the correction of coefficients is relative.
        """
        level = log_step[:, None, None, None].expand(*grid.shape[:3], 1)
        scales = torch.from_numpy(spectrum(self.channels, self.block)).to(grid)
        inputs = torch.cat([grid / scales, level], -1)
        hidden = first = functional.relu(self.first(inputs))
        for layer in self.middle:
            hidden = functional.relu(layer(around(replicated(hidden))))
        corrected = grid + self.last(hidden + first) * step[:, None, None, None]
        blocks = self.transform(quadrants(replicated(corrected)))
        half = self.block // 2
        return _pixels(blocks, self.block)[..., half:-half, half:-half]

    def forward(self, codes: Tensor) -> Tensor:
        """Return pixels, and the logarithm of the step for each: (B, 2 C, H, W)."""
        height, width = self.size
        rows, columns = -(-height // self.block), -(-width // self.block)
        log_step = codes[:, -1]
        grid = codes[:, :-1].reshape(len(codes), rows, columns, -1)
        pixels = self.pixels(grid, log_step, log_step.exp())[..., :height, :width]
        return torch.cat([pixels, log_step[:, None, None, None].expand_as(pixels)], 1)


def windows(channels: int, block: int) -> Tensor:
    """Return the cosine transform of the centres of windows: (n, 4, n), quadrant by quadrant."""
    half = block // 2
    basis = cosines(channels, block).reshape(-1, channels, block, block)
    return _blocks(functional.pad(basis, [half] * 4), block).flatten(1, 2)


def around(grid: Tensor, radius: int = 1, spacing: int = 1) -> Tensor:
    """Return each place with its neighbours: (B, h + 2 m, w + 2 m, c) -> (B, h, w, neighbours · c).

    The margin m is radius · spacing.
    """
    height, width = (side - 2 * radius * spacing for side in grid.shape[1:3])
    return torch.cat(list(_shifted(grid, 2 * radius + 1, spacing, height, width)), -1)


def quadrants(grid: Tensor) -> Tensor:
    """Return the four blocks around each corner: (B, h + 1, w + 1, n) -> (B, h, w, 4 n)."""
    return torch.cat(list(_shifted(grid, 2, 1, grid.shape[1] - 1, grid.shape[2] - 1)), -1)


def replicated(grid: Tensor, margin: int = 1) -> Tensor:
    """Return a grid (B, h, w, c) with a margin of copies of its edges."""
    channels_first = functional.pad(grid.permute(0, 3, 1, 2), [margin] * 4, mode="replicate")
    return channels_first.permute(0, 2, 3, 1)


def _shifted(grid: Tensor, n: int, spacing: int, height: int, width: int) -> Iterator[Tensor]:
    for i in range(0, n * spacing, spacing):
        for j in range(0, n * spacing, spacing):
            yield grid[:, i : i + height, j : j + width]


def _blocks(images: Tensor, block: int) -> Tensor:
    """Return the pixels of blocks: (B, h, w, C · block²)."""
    n, channels, height, width = images.shape
    cut = images.reshape(n, channels, height // block, block, width // block, block)
    return cut.permute(0, 2, 4, 1, 3, 5).reshape(n, height // block, width // block, -1)


def _pixels(blocks: Tensor, block: int) -> Tensor:
    """Return what :func:`_blocks` cut: (B, C, H, W)."""
    n, height, width, _ = blocks.shape
    cut = blocks.reshape(n, height, width, -1, block, block).permute(0, 3, 1, 4, 2, 5)
    return cut.reshape(n, -1, height * block, width * block)
