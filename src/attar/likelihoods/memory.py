"""The values of a column in remembered rows, which new rows may have again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isqrt
from operator import itemgetter
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import entr
from torch import Tensor

from attar.likelihoods.alphabets import Alphabet, Array, Integers, OneHot, Residues
from attar.likelihoods.lattices import near
from attar.storage import unnested

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

# So many columns are compared, those that tell most of this many pairs of rows with one value, and
# so many eighths of a bit.
COMPARED, PAIRS, INFORMATIVE = 6, 1 << 13, 0.5

# Distances of ordered symbols beyond this count as this.
FARTHEST = 31


@dataclass(frozen=True)
class Similarity:
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
    similarities : tuple of Similarity

    Examples
    --------
    >>> from attar.likelihoods.lattices import Decimals
    >>> rng = np.random.default_rng(0)
    >>> prices = rng.integers(0, 2**20, 300)[rng.integers(0, 300, 5000)]
    >>> alphabet = Decimals(tuple(range(0, 2**20, 2**15)), (15,) * 32)
    >>> symbols, residues = alphabet.encode(prices.astype(float))
    >>> memory = Memory.of([alphabet], symbols[:4000, None], residues[:4000], 0)
    >>> bits = memory.cost(symbols[4000:, None], residues[4000:], alphabet.residue_bits) / 1000
    >>> bool(2.5 < bits < 4)  # not 15: each interval has about 10 prices
    True
    """

    column: int
    others: int
    symbols: Integers
    residues: Residues
    context: Integers
    similarities: tuple[Similarity, ...]

    @classmethod
    def of(
        cls, alphabets: Sequence[Alphabet], symbols: Integers, residues: Residues, column: int
    ) -> Memory | None:
        """Return the memory of a column; None where it does not pay.

        Parameters
        ----------
        alphabets : sequence of Alphabet
        symbols : int array (n, columns)
            Of training rows.
        residues : array (n,)
            Of the column.
        column : int
        """
        bits, own = np.append(alphabets[column].residue_bits, 0), symbols[:, column]
        kept = np.flatnonzero((bits[own] > 0) & (np.bincount(own)[own] <= MOST))
        if not len(kept):
            return None
        order = kept[np.lexsort((residues[kept], own[kept]))]
        # Rows of one value have a number.
        changed = (np.diff(own[order]) != 0) | (np.diff(residues[order]) != 0)
        value = np.zeros(len(own), np.int64)
        value[order[1:]] = changed.cumsum()
        fitted, held_out = order[~np.isin(order, kept[::HELD_OUT])], kept[::HELD_OUT][:JUDGES]
        known = np.bincount(value[fitted], minlength=len(kept))[value[held_out]] > 0
        seen, plain = float(known.mean()), bits[own[held_out]]
        # If other columns determined which value is repeated, only whether one is would be coded.
        least = float(entr([seen, 1 - seen]).sum() / np.log(2))
        worth = WORTH * len(own) / len(kept)
        if (plain * known).mean() - least < worth:
            return None
        others = int(np.clip((1 - seen) / max(seen, 0.01) * 256, 1, 1 << 14))
        new, wanted = symbols[held_out], residues[held_out]

        def made(rows: Integers, similarities: Sequence[Similarity]) -> Memory:
            context = symbols[:, [similarity.column for similarity in similarities]][rows]
            return cls(column, others, own[rows], residues[rows], context, tuple(similarities))

        def cost(similarities: Sequence[Similarity]) -> float:
            return made(fitted, similarities).cost(new, wanted, bits)

        same = np.flatnonzero(np.diff(value[fitted]) == 0)
        same = same[:: max(1, len(same) // PAIRS)]
        chosen: list[Similarity] = []
        best = cost(chosen)
        for similarity in _informative(alphabets, symbols, fitted[[same, same + 1]], column):
            with_it = cost([*chosen, similarity])
            if with_it < best * (1 - GAIN):
                best = with_it
                chosen.append(similarity)
        saved = plain.mean() - best / len(held_out)
        return made(order, chosen) if saved >= worth else None

    def to_arrays(self) -> dict[str, NDArray[np.integer]]:
        """Return all that it holds."""
        columns = [similarity.column for similarity in self.similarities]
        return {
            "head": np.array([self.column, self.others, *columns], np.int32),
            "symbols": _narrow(self.symbols),
            "residues": _narrow(self.residues),
            "context": _narrow(self.context),
            **{
                f"weights{i}": one.weights.astype(np.int8)
                for i, one in enumerate(self.similarities)
            },
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
            tuple(map(Similarity, columns, weights)),
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
        for i, similarity in enumerate(self.similarities):
            logarithm += similarity.compared(
                symbols[:, [similarity.column]], self.context[index, i]
            )
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
    columns = zip(alphabets, rows.T, strict=True)
    coded = [alphabet.encode(near(column, alphabet.bound)) for alphabet, column in columns]
    symbols = np.stack([one for one, _ in coded]).T
    wide = [i for i, alphabet in enumerate(alphabets) if alphabet.residue_bits.any()]
    found = [Memory.of(alphabets, symbols, coded[column][1], column) for column in wide]
    return tuple(memory for memory in found if memory is not None)


def _narrow(values: NDArray[np.integer]) -> NDArray[np.integer]:
    """Return integers of 0 or more in the smallest type that holds them."""
    return values.astype(np.min_scalar_type(int(values.max(initial=0))))


def _informative(
    alphabets: Sequence[Alphabet], symbols: Integers, pairs: Integers, column: int
) -> list[Similarity]:
    """Return how much likelier rows share a value by other columns, most informative first.

    Parameters
    ----------
    alphabets : sequence of Alphabet
    symbols : int array (n, columns)
    pairs : int array (2, m)
        Rows of one value.
    column : int
    """
    if not pairs.size:
        return []
    found: list[tuple[float, Similarity]] = []
    for i, alphabet in enumerate(alphabets):
        if i != column and alphabet.size > 1:
            similarity = _similarity(i, alphabet, symbols[:, i], pairs)
            first, second = symbols[:, i][pairs]
            found.append((float(similarity.compared(first, second).mean()), similarity))
    found.sort(key=itemgetter(0), reverse=True)
    return [similarity for gain, similarity in found[:COMPARED] if gain >= INFORMATIVE]


def _similarity(column: int, alphabet: Alphabet, own: Integers, pairs: Integers) -> Similarity:
    """Return how much likelier pairs are than any two rows, by their symbols in a column."""
    frequency = np.bincount(own, minlength=alphabet.size + 1) + 0.5
    frequency /= frequency.sum()
    first, second = own[pairs]
    if isinstance(alphabet, OneHot) or alphabet.size <= 2:
        chance = float((frequency**2).sum())
        same = (float((first == second).mean()) - chance) / max(1 - chance, 1e-9)
        same = min(max(same, 0.0), 0.98)
        ratios = np.stack([same / frequency + 1 - same, np.full(len(frequency), 1 - same)], 1)
    else:
        near = [2 * float(frequency[d:] @ frequency[:-d]) for d in range(1, FARTHEST)]
        near = [float(frequency @ frequency), *near]
        expected = np.array([*near, 1 - sum(near) if len(frequency) > FARTHEST else 0.0])
        counts = np.bincount(np.abs(first - second).clip(max=FARTHEST), minlength=FARTHEST + 1)
        found = (counts + 4 * expected) / (counts.sum() + 4)
        ratios = np.tile(found / np.maximum(expected, 1e-9), (alphabet.size + 1, 1))
        ratios[:, expected <= 0] = 1
    logarithm = np.rint(EIGHTH * np.log2(ratios)).clip(-REACH, REACH)
    return Similarity(column, logarithm.astype(np.int64))


def tensors_of(memories: Sequence[Memory]) -> dict[str, Tensor]:
    """Return everything of memories that is an array, by number and name."""
    return {
        f"{number}.{name}": torch.from_numpy(array)
        for number, memory in enumerate(memories)
        for name, array in memory.to_arrays().items()
    }


def restored_memories(tensors: Mapping[str, Tensor]) -> tuple[Memory, ...]:
    """Return the memories that :func:`tensors_of` wrote down."""
    numbers = sorted({int(name.partition(".")[0]) for name in tensors})
    return tuple(
        Memory.from_arrays({name: t.numpy() for name, t in unnested(str(number), tensors).items()})
        for number in numbers
    )
