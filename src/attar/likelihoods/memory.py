"""The values of a column in remembered rows, which new rows may have again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Self

import numpy as np
from numpy.typing import NDArray

from attar.likelihoods.alphabets import Alphabet, Array, Integers, OneHot, Residues

# Frequencies are of 2^16.
PRECISION = 16

# The most remembered rows that share a symbol, and how many new rows are compared at once.
MOST, BLOCK = 512, 512

# So many rows are remembered at most.
MOST_ROWS = 1 << 16

# Each so many-th row judges columns, and so many rows at most; a column must save such a share.
HELD_OUT, JUDGES, GAIN = 10, 2000, 0.005

# A memory must save so many bits a row.
WORTH = 0.1

# Weights are powers of 2^(1/8), from 2^-10 to 2^10.
EIGHTH, REACH = 8, 80

# 2^(i / 8) in units of 2^-24: integers, alike on every machine.
ROOTS = [isqrt(isqrt(isqrt(2**i << 192))) for i in range(EIGHTH)]
WEIGHTS = np.array([ROOTS[i % 8] << i // 8 >> 20 for i in range(2 * REACH + 1)], np.int64)

# Distances of ordered symbols beyond this count as this.
FARTHEST = 31


@dataclass(frozen=True)
class Likeness:
    """How much likelier two rows share a rare value, by their symbols in another column.

    Parameters
    ----------
    column : int
    weights : int array (symbols + 1, reach + 1)
        By the new row's symbol and the distance of the other's, at most the reach: the logarithm,
        in units of 2^(1/8).
    """

    column: int
    weights: Integers

    def compared(self, new: Integers, old: Integers) -> Integers:
        """Return the logarithms of symbols (n, 1) beside those of remembered rows (n, k)."""
        distance = np.abs(new - old).clip(max=self.weights.shape[1] - 1)
        found: Integers = self.weights[new, distance]
        return found


@dataclass(frozen=True)
class Memory:
    """The residues of a column in remembered rows.

    A new row has the value of a remembered row with the same symbol, or another one. Rows count
    more that are like it in other columns: where weights of survey are given to groups of people,
    a weight comes back with the same sex and age.

    Parameters
    ----------
    column : int
    others : int
        How likely a value is new, in 256ths of how likely it is not.
    symbols : int array (rows,)
        In ascending order.
    residues : array (rows,)
    context : int array (rows, columns)
        The symbols in the columns that are compared.
    likenesses : tuple of Likeness

    Examples
    --------
    >>> from attar.likelihoods.lattices import Decimals
    >>> rng = np.random.default_rng(0)
    >>> prices = rng.integers(0, 2**20, 300)[rng.integers(0, 300, 5000)]
    >>> alphabet = Decimals(tuple(range(0, 2**20, 2**15)), (15,) * 32)
    >>> memory = Memory.of([alphabet], prices[:4000, None].astype(float), 0)
    >>> symbols, residues = alphabet.encode(prices[4000:].astype(float))
    >>> bits = memory.cost(symbols[:, None], residues, alphabet.residue_bits) / 1000
    >>> bool(2.5 < bits < 4)  # not 15: each interval has about 10 prices
    True
    """

    column: int
    others: int
    symbols: Integers
    residues: Residues
    context: Integers
    likenesses: tuple[Likeness, ...]

    @classmethod
    def of(cls, alphabets: Sequence[Alphabet], rows: Array, column: int) -> Memory | None:
        """Return the memory of a column; None where it does not pay.

        Parameters
        ----------
        alphabets : sequence of Alphabet
        rows : array (n, columns)
            Training rows.
        column : int
        """
        coded = [alphabet.encode(rows[:, i]) for i, alphabet in enumerate(alphabets)]
        symbols = np.stack([one for one, _ in coded], 1)
        residues = coded[column][1]
        bits = np.append(alphabets[column].residue_bits, 0)
        known = bits[symbols[:, column]] > 0
        symbols, residues = symbols[known], residues[known]
        judges = np.arange(len(symbols)) % HELD_OUT == 0
        if judges.sum() < 2:
            return None
        told, asked = symbols[~judges], symbols[judges][:JUDGES]
        values, wanted = residues[~judges], residues[judges][:JUDGES]
        pairs = _pairs(told[:, column], values)
        seen = np.isin(_keys(asked[:, column], wanted), _keys(told[:, column], values)).mean()
        if not len(pairs) or not seen > 0:
            return None
        share = int(np.clip((1 - seen) / max(seen, 0.01) * 256, 1, 1 << 14))

        def made(some: Integers, these: Residues, likenesses: Sequence[Likeness]) -> Memory:
            return cls._sorted(column, share, some, these, tuple(likenesses))

        def cost(likenesses: Sequence[Likeness]) -> float:
            return made(told, values, likenesses).cost(asked, wanted, bits)

        plain = float(bits[asked[:, column]].sum())
        chosen: list[Likeness] = []
        candidates = {
            i: _likeness(i, alphabets[i], told, pairs)
            for i in range(len(alphabets))
            if i != column and alphabets[i].size > 1
        }
        best = cost(chosen)
        while candidates:
            costs = {i: cost([*chosen, likeness]) for i, likeness in candidates.items()}
            first = min(costs, key=costs.__getitem__)
            if costs[first] > best * (1 - GAIN):
                break
            best = costs[first]
            chosen.append(candidates.pop(first))
        saved = (plain - best) / len(asked) * known.mean()
        return made(symbols, residues, chosen) if saved >= WORTH else None

    @classmethod
    def _sorted(
        cls,
        column: int,
        others: int,
        symbols: Integers,
        residues: Residues,
        likenesses: tuple[Likeness, ...],
    ) -> Memory:
        counts = np.bincount(symbols[:, column])
        kept = np.flatnonzero(counts[symbols[:, column]] <= MOST)
        order = kept[np.lexsort((residues[kept], symbols[kept, column]))]
        context = symbols[order][:, [likeness.column for likeness in likenesses]]
        own = symbols[order, column]
        return cls(column, others, own, residues[order], context, likenesses)

    def to_arrays(self) -> dict[str, NDArray[np.integer]]:
        """Return all that it holds."""
        columns = [likeness.column for likeness in self.likenesses]
        return {
            "head": np.array([self.column, self.others, *columns], np.int32),
            "symbols": _narrow(self.symbols),
            "residues": _narrow(self.residues),
            "context": _narrow(self.context),
            **{f"weights{i}": one.weights.astype(np.int8) for i, one in enumerate(self.likenesses)},
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.integer]]) -> Self:
        """Return the memory that :meth:`to_arrays` described."""
        column, others, *columns = arrays["head"].tolist()
        weights = [arrays[f"weights{i}"].astype(np.int64) for i in range(len(columns))]
        return cls(
            column,
            others,
            arrays["symbols"].astype(np.int64),
            arrays["residues"].astype(np.uint64),
            arrays["context"].astype(np.int64),
            tuple(map(Likeness, columns, weights)),
        )

    def blocks(self, symbols: Integers) -> Iterator[tuple[Integers, Integers, Residues]]:
        """Yield which of new rows have a choice, sums of frequencies, and the values.

        Parameters
        ----------
        symbols : int array (n, columns)

        Yields
        ------
        places : int array (m,)
        cumulative : int array (m, k + 2)
            Of a value that is new, then of the values that are not; 2^16 in all.
        values : array (m, k)
        """
        starts = np.searchsorted(self.symbols, symbols[:, self.column])
        stops = np.searchsorted(self.symbols, symbols[:, self.column], "right")
        some = np.flatnonzero(stops > starts)
        for begin in range(0, len(some), BLOCK):
            places = some[begin : begin + BLOCK]
            yield places, *self._block(symbols[places], starts[places], stops[places])

    def _block(
        self, symbols: Integers, starts: Integers, stops: Integers
    ) -> tuple[Integers, Residues]:
        width = int((stops - starts).max())
        index = starts[:, None] + np.arange(width)
        there = index < stops[:, None]
        index = np.minimum(index, stops[:, None] - 1)
        logarithm = np.zeros(index.shape, np.int64)
        for i, likeness in enumerate(self.likenesses):
            logarithm += likeness.compared(symbols[:, [likeness.column]], self.context[index, i])
        weights = np.where(there, WEIGHTS[logarithm.clip(-REACH, REACH) + REACH], 0)
        # Rows of one value are neighbours: the first of them has the weight of all.
        values = self.residues[index]
        first = np.ones(index.shape, bool)
        first[:, 1:] = values[:, 1:] != values[:, :-1]
        group = first.cumsum(1) - 1
        sums = np.zeros((len(index), width + 1), np.int64)
        rows = np.arange(len(index))[:, None]
        np.add.at(sums[:, 1:], (rows, group), weights)
        sums[:, 0] = (self.others * (stops - starts) * int(WEIGHTS[REACH]) >> 8) + 1
        count = group[:, -1:] + 2
        known = np.arange(width + 1) < count
        scaled = sums * ((1 << PRECISION) - count) // sums.sum(1, keepdims=True) + known
        scaled[:, 0] += (1 << PRECISION) - scaled.sum(1)
        cumulative = np.concatenate([np.zeros((len(index), 1), np.int64), scaled.cumsum(1)], 1)
        distinct = np.zeros(values.shape, np.uint64)
        distinct[rows, group] = values
        return cumulative, distinct

    def chosen(self, values: Residues, wanted: Residues, cumulative: Integers) -> Integers:
        """Return the place of residues (m,) among values (m, k), from 1 on; 0 where one is new."""
        possible = np.diff(cumulative[:, 1:]) > 0
        found = (values == wanted[:, None]) & possible
        return np.where(found.any(1), found.argmax(1) + 1, 0)

    def cost(self, symbols: Integers, residues: Residues, bits: Integers) -> float:
        """Return the bits of residues, where a symbol's residue has so many bits by itself."""
        plain = bits[symbols[:, self.column]]
        total = float(plain.sum())
        for places, cumulative, values in self.blocks(symbols):
            choice = self.chosen(values, residues[places], cumulative)
            rows = np.arange(len(places))
            frequency = cumulative[rows, choice + 1] - cumulative[rows, choice]
            total += float((PRECISION - np.log2(frequency)).sum())
            total -= float(plain[places][choice > 0].sum())
        return total


def memories_of(alphabets: Sequence[Alphabet], rows: Array) -> tuple[Memory, ...]:
    """Return the memories of those columns (n, columns) of raw rows that it pays for."""
    rows = rows[-MOST_ROWS:].astype(np.float64)
    wide = [i for i, alphabet in enumerate(alphabets) if alphabet.residue_bits.any()]
    found = [Memory.of(alphabets, rows, column) for column in wide]
    return tuple(memory for memory in found if memory is not None)


def _narrow(values: NDArray[np.integer]) -> NDArray[np.integer]:
    """Return integers of 0 or more in the smallest type that holds them."""
    return values.astype(np.min_scalar_type(int(values.max(initial=0))))


def _keys(symbols: Integers, residues: Residues) -> NDArray[np.void]:
    keys = np.zeros(len(symbols), [("symbol", np.int64), ("residue", np.uint64)])
    keys["symbol"], keys["residue"] = symbols, residues
    return keys


def _pairs(symbols: Integers, residues: Residues) -> Integers:
    """Return the places of pairs of rows with one value: (pairs, 2)."""
    order = np.lexsort((residues, symbols))
    keys = _keys(symbols, residues)[order]
    same = np.flatnonzero(keys[1:] == keys[:-1])
    return np.stack([order[same], order[same + 1]], 1)


def _likeness(column: int, alphabet: Alphabet, symbols: Integers, pairs: Integers) -> Likeness:
    """Return how much likelier pairs are than any two rows, by their symbols in a column."""
    own = symbols[:, column]
    frequency = np.bincount(own, minlength=alphabet.size + 1) + 0.5
    frequency /= frequency.sum()
    first, second = own[pairs].T
    if isinstance(alphabet, OneHot) or alphabet.size <= 2:
        chance = float((frequency**2).sum())
        same = (float((first == second).mean()) - chance) / max(1 - chance, 1e-9)
        same = min(max(same, 0.0), 0.98)
        ratios = np.stack([same / frequency + 1 - same, np.full(len(frequency), 1 - same)], 1)
    else:
        apart = np.abs(np.arange(alphabet.size + 1)[:, None] - np.arange(alphabet.size + 1))
        joint = frequency[:, None] * frequency
        expected = np.bincount(apart.clip(max=FARTHEST).ravel(), joint.ravel(), FARTHEST + 1)
        counts = np.bincount(np.abs(first - second).clip(max=FARTHEST), minlength=FARTHEST + 1)
        found = (counts + 4 * expected) / (counts.sum() + 4)
        ratios = np.tile(found / np.maximum(expected, 1e-9), (alphabet.size + 1, 1))
        ratios[:, expected <= 0] = 1
    logarithm = np.rint(EIGHTH * np.log2(ratios)).clip(-REACH, REACH)
    return Likeness(column, logarithm.astype(np.int64))
