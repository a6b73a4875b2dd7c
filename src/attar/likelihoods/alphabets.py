"""Alphabets: the symbols that the values of a channel or a column are."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from attar.parts import Part

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
Residues = NDArray[np.uint64]

# Alphabets of more symbols are described to a network by numbers, others one-hot encoded.
ONE_HOT = 32


class AlphabetModule(nn.Module):
    """Symbols as tensors.

    Attributes
    ----------
    inputs : Tensor (symbols + 1, features)
        What a network sees of each symbol, from -1 to 1; the last row is that of a missing cell.
    values : Tensor (symbols, cells)
        The prepared value of each symbol, or the mean of those that share it.
    log_widths : Tensor (symbols,)
        The logarithm of how many values share a symbol, in equal parts.
    """

    inputs: Tensor
    values: Tensor
    log_widths: Tensor

    def __init__(
        self, inputs: Tensor, values: Tensor, log_widths: Tensor, edges: Tensor | None = None
    ) -> None:
        super().__init__()
        self.register_buffer("inputs", inputs, persistent=False)
        self.register_buffer("values", values, persistent=False)
        self.register_buffer("log_widths", log_widths, persistent=False)
        # Between one-hot cells there are none.
        self.register_buffer("edges", edges, persistent=False)

    def symbols(self, prepared: Tensor) -> Tensor:
        """Return the symbol of prepared values (..., cells): (...), ``symbols`` where missing."""
        edges = self.edges
        if isinstance(edges, Tensor):
            return torch.bucketize(prepared[..., 0].contiguous(), edges)
        missing = len(self.values)
        return prepared.argmax(-1).masked_fill((prepared == 0).all(-1), missing)


class Alphabet(Part):
    """The symbols of one channel of images or series, or of one column of a table.

    Attributes
    ----------
    mode : int
        The symbol that is asked for first: the most frequent one.
    bound : float
        The largest absolute error of a decoded value; 0 in lossless compression.
    """

    mode: int
    bound: float = 0.0

    @property
    @abstractmethod
    def size(self) -> int:
        """The number of symbols."""

    @property
    def cells(self) -> int:
        """The number of prepared cells that a value takes."""
        return 1

    @abstractmethod
    def build(self) -> AlphabetModule:
        """Return the symbols as tensors.

        Raises
        ------
        SettingError
            If a hyperparameter is out of range.
        """

    @property
    def residue_bits(self) -> Integers:
        """How many bits a residue has, of the values that share a symbol: (symbols,)."""
        return np.zeros(self.size, np.int64)

    @abstractmethod
    def encode(self, raw: Array) -> tuple[Integers, Residues]:
        """Return the symbol of each raw value, and which it is of those that share the symbol.

        The symbol is ``size`` where a value is missing, or none that :meth:`decode` gives back.
        """

    @abstractmethod
    def decode(self, symbols: Integers, residues: Residues) -> Array:
        """Return the very values that were encoded; NaN where the symbol is ``size``."""


@dataclass(frozen=True)
class Levels(Alphabet, name="levels"):
    """Evenly spaced values from 0 to 1: the levels of a pixel, or a boolean.

    Raw values are 0, 1, ..., levels - 1.

    Parameters
    ----------
    levels : int
    mode : int
        The most frequent level.

    Examples
    --------
    >>> import torch
    >>> Levels(5).build().symbols(torch.tensor([[0.0], [0.5], [1.0]])).tolist()
    [0, 2, 4]
    """

    levels: int = 256
    mode: int = 0

    @property
    def size(self) -> int:
        """The number of levels."""
        return self.levels

    def build(self) -> AlphabetModule:
        """Return the symbols as tensors."""
        values, edges = evenly_spaced(self.positive_integer("levels"))
        inputs = described(values, self.mode)
        return AlphabetModule(inputs, values, torch.zeros(self.levels), edges)

    def encode(self, raw: Array) -> tuple[Integers, Residues]:
        """Return the values themselves, and no residues."""
        return counted(raw, self.size)

    def decode(self, symbols: Integers, residues: Residues) -> Array:
        """Return the symbols."""
        return np.where(symbols < self.size, symbols, np.nan)


@dataclass(frozen=True)
class OneHot(Alphabet, name="one-hot"):
    """Categories, one-hot encoded; cells that are all zero are missing, or of no known category.

    Raw values are 0, 1, ..., categories - 1.

    Parameters
    ----------
    categories : int
    mode : int
        The most frequent category.

    Examples
    --------
    >>> import torch
    >>> OneHot(3).build().symbols(torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])).tolist()
    [1, 3]
    """

    categories: int = 2
    mode: int = 0

    @property
    def size(self) -> int:
        """The number of categories."""
        return self.categories

    @property
    def cells(self) -> int:
        """One for each category."""
        return self.categories

    def build(self) -> AlphabetModule:
        """Return the symbols as tensors."""
        values = torch.eye(self.positive_integer("categories"))
        return AlphabetModule(described(values, self.mode), values, torch.zeros(self.categories))

    def encode(self, raw: Array) -> tuple[Integers, Residues]:
        """Return the values themselves, and no residues."""
        return counted(raw, self.size)

    def decode(self, symbols: Integers, residues: Residues) -> Array:
        """Return the symbols."""
        return np.where(symbols < self.size, symbols, np.nan)


@dataclass(frozen=True)
class Derived(Alphabet, name="derived"):
    """Cells that follow from others, such as the phases of a time: they cost nothing.

    Parameters
    ----------
    width : int
        The number of prepared cells.
    mode : int
        The only symbol.

    Examples
    --------
    >>> Derived(2).encode(np.array([0.25, 0.5]))[0].tolist()
    [0, 0]
    """

    width: int = 1
    mode: int = 0

    @property
    def size(self) -> int:
        """One."""
        return 1

    @property
    def cells(self) -> int:
        """The width."""
        return self.width

    def build(self) -> AlphabetModule:
        """Return the symbol as tensors."""
        return AlphabetModule(torch.zeros(2, 1), torch.zeros(1, self.width), torch.zeros(1))

    def encode(self, raw: Array) -> tuple[Integers, Residues]:
        """Return zeros."""
        return np.zeros(raw.shape, np.int64), np.zeros(raw.shape, np.uint64)

    def decode(self, symbols: Integers, residues: Residues) -> Array:
        """Return missing values: others say what they are."""
        return np.full(symbols.shape, np.nan)


def evenly_spaced(levels: int) -> tuple[Tensor, Tensor]:
    """Return values (levels, 1) from 0 to 1, and the edges between them: (levels - 1,)."""
    values = torch.arange(levels) / max(1, levels - 1)
    return values[:, None], (values[1:] + values[:-1]) / 2


def counted(raw: Array, size: int) -> tuple[Integers, Residues]:
    """Return integers from 0 to below a size as symbols; the size for all other values."""
    exact = (raw >= 0) & (raw < size) & (np.rint(raw) == raw) & ~np.signbit(raw)
    symbols = np.where(exact, raw, size).astype(np.int64)
    return symbols, np.zeros(symbols.shape, np.uint64)


def described(values: Tensor, mode: int) -> Tensor:
    """Return what a network sees of symbols of values (symbols, cells), and of a missing cell.

    Few symbols are one-hot encoded. Of others it sees the value, from -1 to 1, whether it is the
    most frequent, the highest, and present.
    """
    size = len(values)
    if size <= ONE_HOT or values.shape[1] > 1:
        return functional.pad(torch.eye(size), (0, 0, 0, 1))
    low, high = values.min(), values.max()
    value = (values[:, 0] - low) / (high - low)
    index = torch.arange(size)
    columns = [value, (index != mode).float(), (index == size - 1).float(), torch.ones(size)]
    return functional.pad(torch.stack(columns, 1), (0, 0, 0, 1))
