"""Raw rows as symbols and residues, and back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from attar.likelihoods.alphabets import Alphabet, Array, Integers, Residues
from attar.likelihoods.lattices import near
from attar.likelihoods.memory import PRECISION, Memory

Mask = NDArray[np.bool_]

# A coder takes so many bits of a residue at once.
DIGIT = 16


class SymbolEncoder(Protocol):
    """What takes symbols by their frequencies, and uniform integers."""

    def push(self, starts: Integers, frequencies: Integers, precision: int = 16) -> None:
        """Take symbols: where their frequencies start, and these, of 2^precision."""

    def push_bits(self, values: Integers, bits: int) -> None:
        """Take integers of so many bits."""


class SymbolDecoder(Protocol):
    """What gives symbols and uniform integers back, in the same order."""

    def pop(self, cumulative: Integers, precision: int = 16) -> Integers:
        """Return the next symbols, of which there are the sums of frequencies: (n, K + 1)."""

    def pop_bits(self, n: int, bits: int) -> Integers:
        """Return the next n integers of so many bits."""


@dataclass(frozen=True)
class Channels:
    """The alphabets of the channels of some rows.

    Parameters
    ----------
    alphabets : tuple of Alphabet
    memories : tuple of Memory
        Of columns whose values repeat.

    Examples
    --------
    >>> from attar.likelihoods.lattices import Decimals
    >>> channels = Channels((Decimals((0, 256), (8, 8)),))
    >>> symbols, residues = channels.encode(np.array([[7.0], [300.0], [0.5]]))
    >>> symbols.ravel().tolist(), residues.tolist()
    ([0, 1, 2], [7, 44])
    >>> channels.decode(symbols, residues).ravel().tolist()
    [7.0, 300.0, nan]
    """

    alphabets: tuple[Alphabet, ...]
    memories: tuple[Memory, ...] = ()

    def encode(self, rows: Array) -> tuple[Integers, Residues]:
        """Return symbols (n, channels, *grid), and the residues of those that have bits: (m,).

        The symbol is the size of the alphabet where a cell has none. Residues are in the order of
        the array of symbols. Of an alphabet with a bound, they are those of a number so near.
        """
        symbols = np.empty(rows.shape, np.int64)
        residues = np.zeros(rows.shape, np.uint64)
        for i, alphabet in enumerate(self.alphabets):
            raw = near(np.ascontiguousarray(rows[:, i]), alphabet.bound)
            symbols[:, i], residues[:, i] = alphabet.encode(raw)
        return symbols, self.kept(symbols, residues)

    @property
    def bounds(self) -> list[float]:
        """The largest absolute error of decoded numbers, of each channel."""
        return [alphabet.bound for alphabet in self.alphabets]

    def decode(self, symbols: Integers, residues: Residues) -> Array:
        """Return raw rows (n, channels, *grid), NaN where a cell has no symbol."""
        spread = self.spread(symbols, residues)
        rows = np.empty(symbols.shape)
        for i, alphabet in enumerate(self.alphabets):
            rows[:, i] = alphabet.decode(symbols[:, i], spread[:, i])
        return rows

    def spread(self, symbols: Integers, residues: Residues) -> Residues:
        """Return residues (m,) where their symbols are: (n, channels, *grid)."""
        spread = np.zeros(symbols.shape, np.uint64)
        spread[self._bits(symbols) > 0] = residues
        return spread

    def kept(self, symbols: Integers, spread: Residues) -> Residues:
        """Return the residues (m,) that :meth:`spread` spread."""
        kept: Residues = spread[self._bits(symbols) > 0]
        return kept

    def residue_bits(self, symbols: Integers) -> Integers:
        """Return how many bits each residue has: (m,)."""
        bits = self._bits(symbols)
        return bits[bits > 0]

    def push(self, encoder: SymbolEncoder, symbols: Integers, residues: Residues) -> None:
        """Code the residues of symbols.

        First those of columns that have a memory, then the others, 16 bits at once.
        """
        bits, spread = self._bits(symbols), self.spread(symbols, residues)
        for memory in self.memories:
            own = spread[:, memory.column]
            for places, cumulative, values in memory.blocks(symbols):
                choice = memory.chosen(values, own[places], cumulative)
                rows = np.arange(len(places))
                starts = cumulative[rows, choice]
                encoder.push(starts, cumulative[rows, choice + 1] - starts, PRECISION)
                bits[places[choice > 0], memory.column] = 0
        rest, lengths = spread[bits > 0], bits[bits > 0]
        for mask, start, width in digits(lengths):
            part = rest[mask] >> np.uint64(start) & np.uint64(2**width - 1)
            encoder.push_bits(part.astype(np.int64), width)

    def pop(self, decoder: SymbolDecoder, symbols: Integers) -> Residues:
        """Return the residues that :meth:`push` coded."""
        bits, spread = self._bits(symbols), np.zeros(symbols.shape, np.uint64)
        for memory in self.memories:
            for places, cumulative, values in memory.blocks(symbols):
                choice = np.asarray(decoder.pop(cumulative, PRECISION))
                known = choice > 0
                found = values[np.flatnonzero(known), choice[known] - 1]
                spread[places[known], memory.column] = found
                bits[places[known], memory.column] = 0
        rest = np.zeros(np.count_nonzero(bits), np.uint64)
        for mask, start, width in digits(bits[bits > 0]):
            part = np.asarray(decoder.pop_bits(int(mask.sum()), width))
            rest[mask] |= part.astype(np.uint64) << np.uint64(start)
        spread[bits > 0] = rest
        return self.kept(symbols, spread)

    def hidden(self, symbols: Integers) -> Mask:
        """Return which cells have no symbol."""
        mask: Mask = symbols == self._sizes(symbols.ndim)
        return mask

    def absent(self, hidden: Mask) -> Integers:
        """Return the symbols of cells that have none, and 0 for others."""
        return np.where(hidden, self._sizes(hidden.ndim), 0)

    def _sizes(self, axes: int) -> Integers:
        sizes = np.array([alphabet.size for alphabet in self.alphabets], np.int64)
        return sizes.reshape(-1, *[1] * (axes - 2))

    def _bits(self, symbols: Integers) -> Integers:
        bits = np.zeros(symbols.shape, np.int64)
        for i, alphabet in enumerate(self.alphabets):
            known = np.append(alphabet.residue_bits, 0)
            if known.any():
                bits[:, i] = known[symbols[:, i]]
        return bits


def digits(bits: Integers) -> Iterator[tuple[Mask, int, int]]:
    """Yield how residues of so many bits each are coded: which, from which bit, and how many bits.

    The lowest 16 bits come first, the shortest residues before longer ones.

    Examples
    --------
    >>> [(mask.tolist(), start, n) for mask, start, n in digits(np.array([3, 20]))]
    [([True, False], 0, 3), ([False, True], 0, 16), ([False, True], 16, 4)]
    """
    for start in range(0, int(bits.max(initial=0)), DIGIT):
        rest = (bits - start).clip(0, DIGIT)
        for width in np.unique(rest[rest > 0]).tolist():
            yield rest == width, start, width
