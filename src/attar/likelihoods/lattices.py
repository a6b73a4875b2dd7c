"""Alphabets of numbers: few values, or intervals of decimal numbers or of bit patterns."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from math import floor, log10
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from attar.likelihoods.alphabets import (
    ONE_HOT,
    Alphabet,
    AlphabetModule,
    Array,
    Integers,
    Residues,
    described,
)
from attar.likelihoods.partition import partition

# What a value costs in bits that its alphabet does not have, beside its place and its digits.
ESCAPE = 48.0

# The most values of an alphabet without intervals.
DISTINCT = 1024

# The most decimals of a number, and how many of the values must be such numbers.
DECIMALS, NEARLY_ALL = 15, 0.999

# Each so many-th value judges alphabets.
HELD_OUT = 5

# How many hat functions describe a symbol's rank.
HATS = 16

# Integers beyond this have no double of their own.
EXACT = 2.0**53

# What rounding of numbers near the middle of two multiples needs, as a share of their distance.
ROOM = 1e-9

# Prepared values are at most so large.
LARGEST = 1e30
FARTHEST = np.finfo(np.float64).max


@dataclass(frozen=True)
class Distinct(Alphabet, name="distinct"):
    """The values that a column has, each a symbol.

    Parameters
    ----------
    numbers : tuple of float
        In ascending order.
    shift, scale : float
        Prepared values are (raw - shift) / scale.
    mode : int
        The most frequent symbol.
    bound : float
        The largest absolute error of a decoded value.

    Examples
    --------
    >>> alphabet = Distinct((0.0, 2174.0, 99999.0))
    >>> alphabet.encode(np.array([0.0, 99999.0, 5.0]))[0].tolist()
    [0, 2, 3]
    """

    numbers: tuple[float, ...] = (0.0, 1.0)
    shift: float = 0.0
    scale: float = 1.0
    mode: int = 0
    bound: float = 0.0

    @property
    def size(self) -> int:
        """The number of values."""
        return len(self.numbers)

    def build(self) -> AlphabetModule:
        """Return the symbols as tensors."""
        numbers = np.array(self.numbers)
        prepared = (numbers - self.shift) / self.positive("scale")
        edges = prepared[1:] / 2 + prepared[:-1] / 2
        values = single(prepared)[:, None]
        widths = torch.zeros(self.size)
        return AlphabetModule(ranked(values, self.mode), values, widths, single(edges))

    def encode(self, raw: Array) -> tuple[Integers, Residues]:
        """Return the places of the values, and no residues."""
        numbers = np.array(self.numbers)
        symbols = np.searchsorted(numbers, raw).clip(max=self.size - 1)
        exact = (numbers[symbols] == raw) & (np.signbit(raw) == np.signbit(numbers[symbols]))
        return np.where(exact, symbols, self.size), np.zeros(raw.shape, np.uint64)

    def decode(self, symbols: Integers, residues: Residues) -> Array:
        """Return the values at these places."""
        return np.append(self.numbers, np.nan)[symbols]


@dataclass(frozen=True)
class Lattice(Alphabet):
    """Numbers that stand for integers, of which each symbol is an interval; abstract.

    Parameters
    ----------
    lows : tuple of int
        Where the intervals start, one after the other.
    bits : tuple of int
        An interval of b bits holds 2^b integers.
    low, high : float
        The smallest and the largest number that is typical.
    shift, scale : float
        Prepared values are (raw - shift) / scale.
    mode : int
        The most frequent symbol.
    bound : float
        The largest absolute error of a decoded value.
    """

    lows: tuple[int, ...] = (0,)
    bits: tuple[int, ...] = (8,)
    low: float = -np.inf
    high: float = np.inf
    shift: float = 0.0
    scale: float = 1.0
    mode: int = 0
    bound: float = 0.0

    @property
    def size(self) -> int:
        """The number of intervals."""
        return len(self.lows)

    @property
    def residue_bits(self) -> Integers:
        """The bits of the intervals."""
        return np.array(self.bits, np.int64)

    @abstractmethod
    def numbers(self, points: Integers) -> Array:
        """Return the numbers that integers stand for."""

    @abstractmethod
    def points(self, raw: Array) -> Integers:
        """Return the nearest integers that stand for numbers; any where a number is not finite."""

    def build(self) -> AlphabetModule:
        """Return the symbols as tensors."""
        lows, bits = np.array(self.lows, np.int64), self.residue_bits
        last = lows + ((np.int64(1) << bits) - 1)
        middle = lows + ((np.int64(1) << bits) - 1) // 2
        ends = self._finite(last[:-1]) / 2 + self._finite(lows[1:]) / 2
        edges = (ends - self.shift) / self.positive("scale")
        values = (self._finite(middle).clip(self.low, self.high) - self.shift) / self.scale
        prepared, widths = single(values)[:, None], torch.from_numpy(bits * np.log(2.0)).float()
        return AlphabetModule(ranked(prepared, self.mode), prepared, widths, single(edges))

    def _finite(self, points: Integers) -> Array:
        """Return numbers, patterns that are none as the largest ones."""
        numbers = self.numbers(points)
        return np.where(np.isfinite(numbers), numbers, np.copysign(FARTHEST, points))

    def encode(self, raw: Array) -> tuple[Integers, Residues]:
        """Return intervals, and places within them."""
        lows = np.array(self.lows, np.int64)
        points = self.points(raw)
        symbols = np.searchsorted(lows, points, "right").clip(1) - 1
        # Unsigned differences don't overflow.
        places = points.view(np.uint64) - lows.view(np.uint64)[symbols]
        within = places >> self.residue_bits.astype(np.uint64)[symbols] == 0
        same = self.numbers(points).view(np.int64) == raw.view(np.int64)
        exact = (points >= lows[0]) & within & same & ~np.isnan(raw)
        return np.where(exact, symbols, self.size), np.where(exact, places, np.uint64(0))

    def decode(self, symbols: Integers, residues: Residues) -> Array:
        """Return the numbers at these places."""
        lows = np.append(np.array(self.lows, np.int64), 0).view(np.uint64)
        numbers = self.numbers((lows[symbols] + residues).view(np.int64))
        return np.where(symbols < self.size, numbers, np.nan)


@dataclass(frozen=True)
class Decimals(Lattice, name="decimals"):
    """Decimal numbers: k · step / 10^decimals.

    Parameters
    ----------
    decimals, step : int
    single : bool
        Whether they are rounded to single precision.

    Examples
    --------
    >>> alphabet = Decimals(lows=(0, 256), bits=(8, 4), decimals=2)
    >>> symbols, residues = alphabet.encode(np.array([0.07, 2.6, 2.601, 9.0]))
    >>> symbols.tolist(), residues.tolist()
    ([0, 1, 2, 2], [7, 4, 0, 0])
    >>> alphabet.decode(symbols, residues).tolist()
    [0.07, 2.6, nan, nan]
    """

    decimals: int = 0
    step: int = 1
    single: bool = False

    def numbers(self, points: Integers) -> Array:
        """Return k · step / 10^decimals."""
        numbers = points.astype(np.float64) * self.step / 10.0**self.decimals
        with np.errstate(over="ignore"):
            return numbers.astype(np.float32).astype(np.float64) if self.single else numbers

    def points(self, raw: Array) -> Integers:
        """Return k."""
        with np.errstate(over="ignore", invalid="ignore"):
            points = np.rint(raw * 10.0**self.decimals / self.step)
        return np.where(np.abs(points) < EXACT, points, 0).astype(np.int64)


@dataclass(frozen=True)
class Bits(Lattice, name="bits"):
    """Any floating point numbers: their bit patterns, in the order of the numbers.

    Parameters
    ----------
    single : bool
        Whether they have single precision.

    Examples
    --------
    >>> alphabet = Bits(lows=(-(2**63), 0), bits=(63, 63))
    >>> symbols, residues = alphabet.encode(np.array([-1.5, 0.1, 1e-320]))
    >>> symbols.tolist(), alphabet.decode(symbols, residues).tolist()
    ([0, 1, 1], [-1.5, 0.1, 1e-320])
    """

    single: bool = False

    def numbers(self, points: Integers) -> Array:
        """Return the numbers of bit patterns."""
        if self.single:
            narrow = points.astype(np.int32)
            return _flipped(narrow).view(np.float32).astype(np.float64)
        return _flipped(points).view(np.float64)

    def points(self, raw: Array) -> Integers:
        """Return bit patterns."""
        if not self.single:
            return _flipped(np.ascontiguousarray(raw).view(np.int64))
        with np.errstate(over="ignore", invalid="ignore"):
            narrow = raw.astype(np.float32)
        return _flipped(narrow.view(np.int32)).astype(np.int64)


def _flipped(patterns: np.ndarray) -> np.ndarray:
    """Return the bits of negative numbers flipped, but for the sign: their order is then right."""
    width = patterns.dtype.itemsize * 8
    flipped: np.ndarray = patterns ^ ((patterns >> (width - 1)) & np.iinfo(patterns.dtype).max)
    return flipped


Way: TypeAlias = Callable[[Array, int], Alphabet | None]


def near(values: Array, bound: float) -> Array:
    """Return numbers at most ``bound`` from values: multiples of nearly twice the bound.

    The step has three digits, so that these are short decimal numbers. What no multiple is near
    enough to, such as an infinity, is returned as it is.

    Parameters
    ----------
    values : array
    bound : float
        0: values are returned as they are.

    Examples
    --------
    >>> near(np.array([3.14159, -0.001, np.inf]), 0.05).tolist()
    [3.0969, 0.0, inf]
    """
    if not bound:
        return values
    # Halves of whole numbers are exact; in the middle of other multiples rounding needs room.
    width = 2 * bound if (2 * bound).is_integer() else 2 * bound * (1 - ROOM)
    exponent = floor(log10(width)) - 2
    step, decimals = floor(width * 10.0**-exponent * (1 + ROOM / 10)), -exponent
    while decimals > 0 and step % 10 == 0:
        step, decimals = step // 10, decimals - 1
    lattice = Decimals(decimals=max(0, decimals), step=step * 10 ** max(0, -decimals))
    found = lattice.numbers(lattice.points(values))
    with np.errstate(invalid="ignore"):
        return np.where(np.abs(found - values) <= bound, found, values)


def alphabet_of(
    values: Array, shift: float = 0.0, scale: float = 1.0, size: int = 256, bound: float = 0.0
) -> Alphabet:
    """Return the alphabet that takes the fewest bits for a column of numbers.

    It is chosen by values held out, each symbol as probable as it is frequent.

    Parameters
    ----------
    values : array (n,)
        Some raw values of the column; NaN is missing.
    shift, scale : float
        Prepared values are (raw - shift) / scale.
    size : int
        The largest number of intervals.
    bound : float
        The largest absolute error of a decoded value.

    Examples
    --------
    >>> prices = np.random.default_rng(0).integers(0, 9000, 5000) / 100
    >>> alphabet = alphabet_of(prices)
    >>> alphabet.name, alphabet.decimals, alphabet.size <= 256
    ('decimals', 2, True)
    """
    known = np.asarray(values, np.float64)
    known = near(known[np.isfinite(known)], bound)
    if not len(known):
        return Distinct((0.0,), shift, scale, bound=bound)
    judges = np.arange(len(known)) % HELD_OUT == HELD_OUT - 1
    some = known[~judges]
    ways: tuple[Way, ...] = (_distinct, _decimal, _pattern)
    costs = [_cost(way(some, size), some, known[judges]) for way in ways]
    chosen = ways[int(np.argmin(costs))](known, size) or _pattern(known, size)
    symbols = chosen.encode(known)[0]
    mode = int(np.bincount(symbols, minlength=chosen.size)[: chosen.size].argmax())
    return chosen.replace(mode=mode, shift=float(shift), scale=float(scale), bound=float(bound))


def _distinct(values: Array, size: int) -> Alphabet | None:
    numbers = np.unique(values + 0.0)  # not -0.0
    return Distinct(tuple(numbers.tolist())) if len(numbers) <= DISTINCT else None


def _decimal(values: Array, size: int) -> Alphabet | None:
    """Return decimal numbers, of as few decimals as suit nearly all values; None if none do."""
    for decimals, short in product(range(DECIMALS + 1), (False, True)):
        lattice = Decimals(decimals=decimals, single=short)
        few = values[:: max(1, len(values) // 500)]
        if all(_share(lattice, part) >= NEARLY_ALL for part in (few, values)):
            points = lattice.points(values)
            step = int(np.gcd.reduce(points)) or 1
            return _divided(lattice.replace(step=step), values, points // step, size)
    return None


def _share(lattice: Lattice, values: Array) -> float:
    return float((lattice.numbers(lattice.points(values)) == values).mean())


def _pattern(values: Array, size: int) -> Alphabet:
    with np.errstate(over="ignore"):
        lattice = Bits(single=bool((values.astype(np.float32) == values).all()))
    return _divided(lattice, values, lattice.points(values), size)


def _divided(lattice: Lattice, values: Array, points: Integers, size: int) -> Alphabet:
    """Return numbers in intervals that suit values, with as much room again at either end."""
    limit = 31 if isinstance(lattice, Bits) and lattice.single else 63
    top = min((int(points.max()) - int(points.min())).bit_length(), limit)
    lows, bits = partition(points, top, size - 2)
    starts, lengths = lows.tolist(), bits.tolist()
    if (below := starts[0] - 2**top) >= -(2**limit):
        starts, lengths = [below, *starts], [top, *lengths]
    if (above := starts[-1] + 2 ** lengths[-1]) < 2**limit:
        starts, lengths = [*starts, above], [*lengths, top]
    low, high = float(values.min()), float(values.max())
    return lattice.replace(lows=tuple(starts), bits=tuple(lengths), low=low, high=high)


def _cost(alphabet: Alphabet | None, values: Array, judges: Array) -> float:
    """Return the bits of values, each symbol as probable as it was frequent among others."""
    if alphabet is None:
        return np.inf
    size = alphabet.size
    frequency = np.bincount(alphabet.encode(values)[0], minlength=size + 1) + 0.5
    bits = np.append(alphabet.residue_bits, ESCAPE) - np.log2(frequency / frequency.sum())
    return float(bits[alphabet.encode(judges)[0]].sum())


def ranked(values: Tensor, mode: int) -> Tensor:
    """Return what a network sees of ordered symbols, and of a missing cell.

    Few symbols are one-hot encoded. Of others it sees the value and the rank, from 0 to 1, whether
    it is the most frequent, and present, and hat functions of the rank: a linear layer on these is
    any function that is linear between knots.
    """
    size = len(values)
    if size <= ONE_HOT:
        return described(values, mode)
    low, high = values.min(), values.max()
    value = (values[:, 0] - low) / (high - low).clamp_min(1e-30)
    index = torch.arange(size)
    rank = index / (size - 1)
    hats = (1 - (rank[:, None] * (HATS - 1) - torch.arange(HATS)).abs()).clamp_min(0)
    columns = [value, rank, (index != mode).float(), torch.ones(size)]
    return functional.pad(torch.cat([torch.stack(columns, 1), hats], 1), (0, 0, 0, 1))


def single(numbers: Array) -> Tensor:
    """Return numbers in single precision, all of them finite."""
    return torch.from_numpy(numbers).clamp(-LARGEST, LARGEST).float()
