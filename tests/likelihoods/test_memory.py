"""Memories: values that come back take fewer bits, and all of them come back."""

from __future__ import annotations

import numpy as np
import pytest

from attar.codec.symbols import Channels
from attar.likelihoods.alphabets import OneHot
from attar.likelihoods.lattices import alphabet_of
from attar.likelihoods.memory import EIGHTH, PRECISION, REACH, WEIGHTS, Memory

rng = np.random.default_rng(0)


class Exact:
    """A coder that keeps what it takes, and adds up its bits."""

    def __init__(self):
        self.taken, self.bits = [], 0.0

    def push(self, starts, frequencies, precision=16):
        assert (frequencies > 0).all()
        self.taken.append((starts, frequencies))
        self.bits += float((precision - np.log2(frequencies)).sum())

    def push_bits(self, values, bits):
        self.taken.append((values, bits))
        self.bits += len(values) * bits

    def pop(self, cumulative, precision=16):
        starts, frequencies = self.taken.pop(0)
        assert (cumulative[:, 0] == 0).all()
        assert (cumulative[:, -1] == 2**precision).all()
        # Of sums that are equal, the last one starts a symbol that has a frequency.
        places = np.where(np.diff(cumulative, append=2**precision) > 0, cumulative, -1)
        symbols = (places == starts[:, None]).argmax(1)
        rows = np.arange(len(symbols))
        assert (cumulative[rows, symbols + 1] - cumulative[rows, symbols] == frequencies).all()
        return symbols

    def pop_bits(self, n, bits):
        values, width = self.taken.pop(0)
        assert (len(values), width) == (n, bits)
        return values


@pytest.fixture(scope="module")
def groups():
    """Rows of two columns: a weight that comes back within a group, and the group."""
    n = 12_000
    group = rng.integers(0, 8, n)
    repeated = rng.integers(0, 10**6, (8, 300))[group, rng.integers(0, 300, n)]
    weights = np.where(rng.random(n) < 0.7, repeated, rng.integers(0, 10**6, n))
    rows = np.stack([weights, group], 1).astype(float)
    alphabets = (alphabet_of(rows[:8000, 0], size=64), OneHot(8))
    return alphabets, rows


def memory_of(alphabets, rows, column):
    coded = [alphabet.encode(rows[:, i]) for i, alphabet in enumerate(alphabets)]
    symbols = np.stack([one for one, _ in coded], 1)
    return Memory.of(alphabets, symbols, coded[column][1], column)


def test_values_that_come_back_take_fewer_bits(groups):
    alphabets, rows = groups
    memory = memory_of(alphabets, rows[:10_000], 0)
    assert [similarity.column for similarity in memory.similarities] == [1]
    again = Memory.from_arrays(memory.to_arrays())
    plain, channels = Channels(alphabets), Channels(alphabets, (again,))
    symbols, residues = channels.encode(rows[10_000:])
    costs = []
    for one in (plain, channels):
        coder = Exact()
        one.push(coder, symbols, residues)
        costs.append(coder.bits / 2000)
        np.testing.assert_array_equal(one.pop(coder, symbols), residues)
    # In a group an interval has 300 / 64 of the repeated values, of which some are not seen yet.
    seen = 0.7 * (1 - np.exp(-0.7 * 10_000 / 2400))
    choice = -seen * np.log2(seen) - (1 - seen) * np.log2(1 - seen)
    least = seen * np.log2(300 / 64) + (1 - seen) * costs[0] + choice
    assert costs[0] > 13.5
    assert least - 0.1 < costs[1] < least + 0.8


def test_no_memory_of_values_that_do_not_come_back(groups):
    alphabets, rows = groups
    fresh = rows.copy()
    fresh[:, 0] = rng.integers(0, 10**6, len(rows))
    assert memory_of(alphabets, fresh, 0) is None
    assert memory_of(alphabets, rows, 1) is None
    assert memory_of(alphabets, rows[:3], 0) is None


def test_rows_without_a_symbol_take_no_choice(groups):
    alphabets, rows = groups
    memory = memory_of(alphabets, rows, 0)
    channels = Channels(alphabets, (memory,))
    odd = np.array([[np.nan, 3], [1e12, np.nan], [rows[0, 0], np.nan], rows[1]])
    symbols, residues = channels.encode(odd)
    coder = Exact()
    channels.push(coder, symbols, residues)
    assert len(residues) == 2
    np.testing.assert_array_equal(channels.pop(coder, symbols), residues)


def test_weights_are_powers():
    exact = 2.0 ** (np.arange(-REACH, REACH + 1) / EIGHTH)
    np.testing.assert_allclose(WEIGHTS / WEIGHTS[REACH], exact, rtol=0.05)
    np.testing.assert_allclose(WEIGHTS[REACH:] / WEIGHTS[REACH], exact[REACH:], rtol=1e-4)
    assert PRECISION == 16
