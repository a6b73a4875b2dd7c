"""Pixels of natural images: levels that are near those of the neighbouring pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attar.errors import SettingError
from attar.likelihoods.alphabets import (
    Alphabet,
    AlphabetModule,
    Array,
    Integers,
    Residues,
    counted,
    evenly_spaced,
)

# Drawings have levels of fewer bits.
MANY = 4.0


@dataclass(frozen=True)
class Intensities(Alphabet, name="intensities"):
    """Levels of natural images, whose distribution is smooth and near a prediction.

    The median edge detector predicts a level from the pixels to the left (a), above (b), and above
    to the left (c): min(a, b) if c ≥ max(a, b), max(a, b) if c ≤ min(a, b), else a + b - c. What it
    misses in the channel before is added. A network sees levels relative to their prediction, and
    gives a mixture of discretized logistic distributions around it.

    Raw values are 0, 1, ..., levels - 1.

    Parameters
    ----------
    levels : int
        256 or 65,536.
    components : int
        Of the mixture.

    Examples
    --------
    >>> symbols, _ = Intensities(256).encode(np.array([7.0, 256.0]))
    >>> symbols.tolist()
    [7, 256]

    References
    ----------
    Weinberger, Seroussi and Sapiro, "The LOCO-I lossless image compression algorithm", IEEE
    Transactions on Image Processing 2000. Salimans, Karpathy, Chen and Kingma, "PixelCNN++",
    ICLR 2017.
    """

    levels: int = 256
    components: int = 5
    mode: int = 0

    @property
    def size(self) -> int:
        """The number of levels."""
        return self.levels

    def build(self) -> AlphabetModule:
        """Return the symbols as tensors: a network sees the level, from -1 to 1, if present."""
        self.positive_integer("components")
        if self.levels not in (256, 1 << 16):
            raise SettingError(f"Intensities have 256 or 65,536 levels, not {self.levels}.")
        values, edges = evenly_spaced(self.levels)
        inputs = torch.zeros(self.levels + 1, 2)
        # Of 256 levels they are integers over 256.
        inputs[:-1, 0], inputs[:-1, 1] = (2 * values[:, 0] - 1) * (255 / 256), 1
        return AlphabetModule(inputs, values, torch.zeros(self.levels), edges)

    def encode(self, raw: Array) -> tuple[Integers, Residues]:
        """Return the values themselves, and no residues."""
        return counted(raw, self.size)

    def decode(self, symbols: Integers, residues: Residues) -> Array:
        """Return the symbols."""
        return np.where(symbols < self.size, symbols, np.nan)


def differences(levels: int) -> Tensor:
    """Return what a network sees of differences from a prediction, from -(levels - 1) to levels.

    It is their signed logarithm, from -1 to 1.
    """
    values = torch.arange(-(levels - 1), levels + 1)
    return values.sign() * values.abs().float().log1p() / math.log1p(levels)


def neighbours(height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return where the pixels to the left, above, and above to the left of each one are.

    At the margins one stands for the others. Places are counted row by row, and one beyond the last
    stands for nothing.

    Returns
    -------
    three Tensors (height · width,)

    Examples
    --------
    >>> [places.tolist() for places in neighbours(2, 2)]
    [[4, 0, 0, 2], [4, 0, 0, 1], [4, 0, 0, 0]]
    """
    places = torch.arange(height * width).reshape(height, width)
    left, above = places - 1, places - width
    left[:, 0], above[0] = above[:, 0], left[0]
    corner = above - 1
    corner[:, 0], corner[0] = above[:, 0], left[0]
    for each in (left, above, corner):
        each[0, 0] = height * width
    return left.flatten(), above.flatten(), corner.flatten()


def median_edge(left: Tensor, above: Tensor, corner: Tensor) -> Tensor:
    """Return the median of left, above, and left + above - corner.

    Examples
    --------
    >>> median_edge(*torch.tensor([[1, 5, 3], [4, 6, 9], [2, 7, 9]])).tolist()
    [3, 5, 3]
    """
    low, high = torch.minimum(left, above), torch.maximum(left, above)
    return torch.minimum(torch.maximum(left + above - corner, low), high)


def predicted(symbols: Tensor, levels: int) -> tuple[Tensor, Tensor]:
    """Return two predictions of symbols (B, channels, height, width).

    One is from pixels before alone; to the other, what it misses in the channel before is added.
    """
    known = torch.nn.functional.pad(present(symbols, levels).flatten(2), (0, 1))
    around = (known[..., n.to(known.device)] for n in neighbours(*symbols.shape[2:]))
    local = median_edge(*around).view_as(symbols)
    missed = symbols[:, :-1] - local[:, :-1]
    expected = torch.nn.functional.pad(missed, (0, 0, 0, 0, 1, 0)) + local
    return local, expected.clamp_(0, levels - 1)


def present(symbols: Tensor, levels: int) -> Tensor:
    """Return symbols, the highest level for missing ones."""
    return symbols.clamp_max(levels - 1)


def are_smooth(pixels: NDArray[np.integer]) -> bool:
    """Return whether pixels have many levels, and are near their neighbours, as of natural images.

    The entropy of levels is 4 bits at least, and that of what the prediction misses is smaller.

    Parameters
    ----------
    pixels : array of integers (n, channels, height, width)
    """
    symbols = torch.from_numpy(np.ascontiguousarray(pixels, dtype=np.int64))
    levels = int(symbols.max()) + 1
    local, _ = predicted(symbols, levels)
    missed = (symbols - local).numpy() % levels
    return _entropy(missed) < _entropy(pixels) >= MANY


def _entropy(values: NDArray[np.integer]) -> float:
    counts = np.bincount(values.ravel().astype(np.int64))
    shares = counts[counts > 0] / values.size
    return float(-(shares * np.log2(shares)).sum())
