"""Context mixing: the probability of each bit of a text, given all before it, on integers.

A context is what was seen last: the last bytes, the word so far, the place in the line. Eight
contexts count which bits followed them, for each beginning of a byte; five longer ones know the
byte that came last, and how often in a row. Places with like counts share a state, and a state
has a probability p_i of a one, learned from all such places. A logistic mixer joins them,

    p = sigmoid(mean over s of sum_i w_si stretch(p_i)),    stretch(p) = log(p / (1 - p)),

where s are three sets of weights, each chosen by the place and trained online by the gradient of
its own -log p. Two tables of corrections learn what comes of such a p in a place.

A text is cut into lanes that lie side by side: a step is one bit of each. What the lanes change in
one step is added up, so that no order matters. All is integers, or sums of such in double
precision: exact, and the same on every machine.

References
----------
Mahoney (2005), "Adaptive weighing of context models for lossless data compression", Florida
Institute of Technology CS-2005-16; Knoll and de Freitas (2012), "A machine learning perspective
on predictive coding with PAQ8", arXiv:1108.3298.
"""

from __future__ import annotations

import bz2
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from math import isqrt
from string import ascii_lowercase, ascii_uppercase, digits
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from attar.likelihoods.integer_tables import FAR, PRECISION, sigmoids

Integers = NDArray[np.int64]
Number = TypeVar("Number", bound=np.generic)
Hashes = NDArray[np.uint64]

# From the probability of a zero in each lane, of 2^16, to the bits.
Code = Callable[[Integers], Integers]

# There are so many lanes at most, or a part of the root of the bytes: to code, and to prime.
LANES, CODING, PRIMING = 128, 8, 3

# log2 of the number of counts: of a byte that primes about 128.
SMALLEST, LARGEST = 16, 25

# Contexts with counts, those of them that tell if a place is known, and contexts with a last byte.
COUNTED, TELLING, RUNS = 8, slice(2, 6), 5
INPUTS = COUNTED + RUNS

# The largest count: those of all lanes more still fit in a byte. Where the other bit comes, what is
# beyond the second is halved.
MOST, KEPT = 127, 8
# A state is of two counts, each from one of these on; or of how often the last byte came in a row,
# at most so often, the place in the byte, and the bit.
LEVELS = np.array([0, 1, 2, 3, 4, 6, 9, 15, 31, 63])
LONGEST = 15
STATES, RUN_STATES = len(LEVELS) ** 2, (LONGEST + 1) * 16

# Probabilities of states and corrections are multiples of 2^-22. They move by such powers of two of
# their errors: however many lanes move one at once, it does not go beyond its target.
FINE, STATE_RATE, CORRECTION_RATE = 22, 9, 7
TARGETS = np.array([1 << 8, (1 << FINE) - (1 << 8)], np.int32)

# Logits are in units of 2^-8 nats, and at most so large; weights in units of 2^-16.
LIMIT, UNIT, RATE = 2900, 1 << 16, 2.0**-16
# Sets of weights: of the bit and the last byte, of what is known, and of the byte so far.
SETS = np.array([8 * 256, 8 * 5 * (RUNS + 1), 8 * 256])
# Adaptive probability maps: the logits between which each interpolates, their distance, and the
# number of its contexts.
POINTS, SPACING, PLACES = 33, 160, 1 << 16
# The smallest probability that is coded, of 2^16.
LEAST = 4

_FACTOR, _NODE = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)
_BYTE, _MIX, _HALF, _HIGH = (np.uint64(bits) for bits in (8, 31, 32, 56))


@dataclass(frozen=True)
class MixingTables:
    """All that context mixing has learned.

    Attributes
    ----------
    counts : (2^size,) of uint16
        Of zeros in the low byte and of ones in the high one, by the hash of context and bits.
    runs : (RUNS 2^k,) of uint32
        A check of the context, its last byte, and how often this came in a row.
    states : (COUNTED STATES + RUNS RUN_STATES,) of int64
        The probabilities of a one, multiples of 2^-22.
    weights : (sum of SETS, INPUTS + 1) of float64
        Integers.
    corrections : (2 PLACES POINTS,) of int32
        Multiples of 2^-22.
    """

    counts: NDArray[np.uint16]
    runs: NDArray[np.uint32]
    states: Integers
    weights: NDArray[np.float64]
    corrections: NDArray[np.int32]

    @classmethod
    def fresh(cls, size: int = 22) -> Self:
        """Return the tables of a model that has seen nothing.

        Parameters
        ----------
        size
            log2 of the number of counts, of which a byte of text takes up to ten.
        """
        weights = np.full((SETS.sum(), INPUTS + 1), UNIT // 6, np.float64)
        weights[:, -1] = 0
        points = np.arange(POINTS) * SPACING - POINTS // 2 * SPACING
        corrections = _sigmoids()[points + FAR].astype(np.int32) << FINE - PRECISION
        return cls(
            np.zeros(1 << size, np.uint16),
            np.zeros(RUNS << max(8, size - 4), np.uint32),
            _first_states(),
            weights,
            np.tile(corrections, 2 * PLACES),
        )

    @classmethod
    def primed(cls, text: bytes) -> Self:
        """Return the tables of a model that has seen a text."""
        tables = cls.fresh(min(LARGEST, max(SMALLEST, 7 + len(text).bit_length())))
        Lanes(tables, len(text), PRIMING).over(text)
        return tables

    def copy(self) -> Self:
        """Return tables that can be changed."""
        return type(self)(*(getattr(self, field.name).copy() for field in fields(self)))

    def packed(self) -> dict[str, NDArray[np.uint8]]:
        """Return what differs from a model that has seen nothing, in few bytes."""
        fresh = self.fresh(len(self.counts).bit_length() - 1)
        packed = {}
        for name, form in _PACKED.items():
            change = getattr(self, name) - getattr(fresh, name)
            packed[name] = np.frombuffer(bz2.compress(change.astype(form).tobytes()), np.uint8)
        return packed

    @classmethod
    def unpacked(cls, packed: Mapping[str, NDArray[np.uint8]]) -> Self:
        """Return the tables of :meth:`packed`.

        Raises
        ------
        ValueError
            If they are none.
        """
        size = len(_unpacked(packed, "counts", 1 << LARGEST)).bit_length() - 1
        tables = cls.fresh(max(size, SMALLEST))
        for name in _PACKED:
            table = getattr(tables, name)
            change = _unpacked(packed, name, table.size)
            table += change.reshape(table.shape).astype(table.dtype)
        probabilities = tables.states, tables.corrections
        probable = all(0 < one.min() <= one.max() < 1 << FINE for one in probabilities)
        counted = not (tables.counts & 0x8080).any() and (tables.runs & 255).max() <= LONGEST
        if not (probable and counted):
            raise ValueError("the tables of context mixing are out of range")
        return tables


class Lanes:
    """A pass over a text in lanes: each bit is predicted, coded, and learned.

    Parameters
    ----------
    tables
        They are changed.
    length
        How many bytes the text has.
    part
        There are as many lanes as this part of the length's root: a few more bits, in less time.
    """

    def __init__(self, tables: MixingTables, length: int, part: int = CODING) -> None:
        self.length, self.lanes = length, max(1, min(LANES, isqrt(length) // part))
        self.steps = -(-length // self.lanes)
        self._history = _History(self.lanes)
        self._counts = _Counts(tables.counts)
        self._runs = _Runs(tables.runs)
        self._states = tables.states
        self._mixer = _Mixer(tables.weights, self.lanes)
        self._corrections = tables.corrections

    def over(self, text: bytes) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        """Learn a text, and return its bits (8 steps, lanes) and the probabilities of zeros."""
        steps = np.zeros((self.steps, self.lanes), np.uint8)
        steps[self._places()] = np.frombuffer(text, np.uint8)
        bits = np.unpackbits(steps[:, None], axis=1).reshape(-1, self.lanes)
        zeros, rest = np.empty(bits.shape, np.int32), iter(range(len(bits)))

        def given(probabilities: Integers) -> Integers:
            step = next(rest)
            zeros[step] = probabilities
            known: Integers = bits[step].astype(np.int64)
            return known

        self.coded(given)
        return bits, zeros

    def coded(self, code: Code) -> bytes:
        """Return the text, whose bits are asked for one after the other."""
        found = np.empty((self.steps, self.lanes), np.uint8)
        for step in range(self.steps):
            contexts = self._history.contexts()
            self._counts.look_up(contexts[:COUNTED])
            self._runs.look_up(contexts[COUNTED:])
            byte = np.ones(self.lanes, np.int64)
            # Lanes that are shorter by a byte end with zeros, which cost nothing.
            active = self.lanes
            if step == self.steps - 1:
                active -= self.steps * self.lanes - self.length
            for bit in range(8):
                byte = byte << 1 | self._coded_bit(code, bit, byte, active)
            found[step] = byte & 255
            self._runs.learn(found[step])
            self._history.add(found[step])
        return found[self._places()].tobytes()

    def _places(self) -> tuple[Integers, Integers]:
        """Return step and lane of each byte of the text."""
        lanes = np.array_split(np.arange(self.length), self.lanes)
        lane = np.repeat(np.arange(self.lanes), [len(one) for one in lanes])
        return np.concatenate([one - one[0] for one in lanes if len(one)]), lane

    def _coded_bit(self, code: Code, bit: int, byte: Integers, active: int) -> Integers:
        """Predict a bit of each lane, code it, and learn it."""
        history = self._history
        counted, known = self._counts.states(byte)
        runs, longest = self._runs.states(bit, byte)
        states = np.concatenate([counted, runs])
        probabilities = self._states.take(states)
        sets = np.concatenate(
            [
                history.last + (bit << 8),
                (known * (RUNS + 1) + longest) * 8 + (bit + SETS[0]),
                history.kind + byte + (SETS[0] + SETS[1]),
            ]
        )
        logits = self._mixer.logits(probabilities, sets)
        ones, places = self._corrected(logits + FAR, byte)
        zeros = (1 << PRECISION) - ones
        zeros[active:] = 1 << PRECISION
        bits = code(zeros)
        self._counts.learn(bits)
        self._mixer.learn(bits)
        target = TARGETS.take(bits)
        _move(self._states, states, (target - probabilities) >> STATE_RATE)
        near = self._corrections.take(places)
        _move(self._corrections, places, (target - near) >> CORRECTION_RATE)
        return bits

    def _corrected(self, logits: Integers, byte: Integers) -> tuple[Integers, Integers]:
        """Return the probabilities of ones, of 2^16, and the places of what corrected them."""
        history, (points, after) = self._history, _points()
        first = (history.last << 8) + byte
        second = (history.pair + byte * 0x2545F491 >> 8 & PLACES - 1) + PLACES
        lower = np.concatenate([first, second]).reshape(2, -1) * POINTS + points.take(logits)
        share = after.take(logits)
        found = self._corrections.take(lower) * (SPACING - share)
        found += self._corrections.take(lower + 1) * share
        found //= SPACING << FINE - PRECISION
        ones = (2 * _sigmoids().take(logits) + found[0] + found[1] + 2) >> 2
        ones = np.minimum(np.maximum(ones, LEAST), (1 << PRECISION) - LEAST)
        return ones, lower + (share > SPACING // 2)


class _History:
    """What each lane has seen."""

    def __init__(self, lanes: int) -> None:
        # The last eight bytes, those before, and the classes of the last; hashes of the word so far
        # and of the two before; how many bytes the line has.
        self.recent, self.earlier, self.classes = (np.zeros(lanes, np.uint64) for _ in range(3))
        self.word, self.before, self.first = (np.zeros(lanes, np.uint64) for _ in range(3))
        self.column = np.zeros(lanes, np.uint64)
        self._describe()

    def contexts(self) -> Hashes:
        """Return hashes (INPUTS, lanes)."""
        recent, last = self.recent, self.recent & np.uint64(255)
        orders = [recent & np.uint64((1 << 8 * n) - 1) for n in range(1, 7)]
        place, twelve = self.column << _BYTE | last, recent + (self.earlier << _HALF) * _NODE
        word = self.word * _FACTOR + last * (self.word == 0)
        pair = word + self.before * _NODE
        triple = pair * _FACTOR + self.first
        counted = [*orders[:5], word, place, self.classes]
        found = np.array([*counted, orders[5], pair, triple, recent, twelve])
        found += _SALTS
        found *= _FACTOR
        found ^= found >> _MIX
        return found

    def add(self, byte: NDArray[np.uint8]) -> None:
        """Append a byte to each lane."""
        letter = _letters().take(byte)
        between = letter == 0
        ended = between & (self.word != 0)
        self.first = np.where(ended, self.before, self.first)
        self.before = np.where(ended, self.word, self.before)
        self.word = np.where(between, np.uint64(0), (self.word + letter) * _NODE)
        self.column = np.where(byte == ord("\n"), np.uint64(0), self.column + np.uint64(1))
        self.earlier = self.earlier << _BYTE | self.recent >> _HIGH
        self.recent = self.recent << _BYTE | byte
        self.classes = self.classes << _BYTE | _classes().take(byte)
        self._describe()

    def _describe(self) -> None:
        last = (self.recent & np.uint64(0xFFFF)).astype(np.int64)
        self.last, self.kind = last & 255, _kinds().take(last >> 8) << 8
        self.pair = last * 0x9E3779B1


class _Counts:
    """How often which bit followed a context and the beginning of a byte."""

    def __init__(self, table: NDArray[np.uint16]) -> None:
        self._table, self._shift = table, np.uint64(65 - len(table).bit_length())

    def look_up(self, contexts: Hashes) -> None:
        """Take the contexts (COUNTED, lanes) of a byte."""
        self._contexts = contexts

    def states(self, byte: Integers) -> tuple[Integers, Integers]:
        """Return the states (COUNTED, lanes), and how many of the telling contexts are known."""
        slots = self._contexts + byte.view(np.uint64) * _NODE
        slots *= _FACTOR
        slots >>= self._shift
        self._slots = slots.view(np.int64)
        self._before = self._table.take(self._slots)
        known = (self._before[TELLING] > 0).sum(0)
        return _states_of_counts().take(self._before) + _COUNTED_OFFSETS, known

    def learn(self, bits: Integers) -> None:
        """Count bits."""
        slots = self._slots.ravel()
        _move(self._table, self._slots, np.tile(_COUNT.take(bits), COUNTED))
        after = self._table.take(slots)
        changed = after ^ self._before.ravel()
        came = (changed > 255) * 2 + (changed & 255 > 0)
        # Lanes that share a slot write the same.
        self._table[slots] = _limited().take((came << 16) + after)


class _Runs:
    """Which byte followed a context last, and how often in a row."""

    def __init__(self, table: NDArray[np.uint32]) -> None:
        self._table, self._rows = table, len(table) // RUNS
        self._shift = np.uint64(65 - self._rows.bit_length())

    def look_up(self, contexts: Hashes) -> None:
        """Take the contexts (RUNS, lanes) of a byte."""
        self._slots = (contexts * _NODE >> self._shift).view(np.int64)
        self._slots += _LONGER[:, None] * self._rows
        self._check = (contexts & np.uint64(255)).astype(np.uint32) << 16
        found = self._table.take(self._slots)
        self._often = (found & 255) * (found & 0xFF0000 == self._check)
        self._last = found >> 8 & 255
        # A leading one, as in the beginnings of bytes; unless nothing is known.
        self._expected = np.where(self._often > 0, self._last | 256, 0).astype(np.int64)
        self._state = self._often.astype(np.int64) << 4

    def states(self, bit: int, byte: Integers) -> tuple[Integers, Integers]:
        """Return the states (RUNS, lanes), and which is the longest context that expects a bit."""
        expecting = self._expected >> 8 - bit == byte
        states = expecting * (self._state | self._expected >> 7 - bit & 1)
        longest = (expecting * (_LONGER[:, None] + 1)).max(0)
        return states + (_RUN_OFFSETS + 2 * bit), longest

    def learn(self, byte: NDArray[np.uint8]) -> None:
        """Remember bytes (lanes,)."""
        again = (self._often > 0) & (self._last == byte)
        often = np.minimum(self._often * again + 1, LONGEST)
        new = self._check | byte.astype(np.uint32) << 8 | often
        # Of lanes that share a slot, the largest stays.
        slots = self._slots.ravel()
        self._table[slots] = 0
        np.maximum.at(self._table, slots, new.ravel())


class _Mixer:
    """Logistic mixing by sets of weights."""

    def __init__(self, weights: NDArray[np.float64], lanes: int) -> None:
        self._weights, self._flat = weights, weights.reshape(-1)
        self._inputs = np.full((lanes, INPUTS + 1), 256.0)

    def logits(self, probabilities: Integers, sets: Integers) -> Integers:
        """Return the mean logits (lanes,) of three sets for each lane."""
        self._inputs[:, :-1] = _stretched().take(probabilities >> FINE - 12).T
        self._sets = sets.reshape(len(SETS), -1)
        dots = np.vecdot(self._weights.take(self._sets, axis=0), self._inputs)
        dots = np.floor(dots * (1 / UNIT))
        self._logits = np.minimum(np.maximum(dots, -LIMIT), LIMIT).astype(np.int64)
        mean: Integers = self._logits.sum(0) // len(SETS)
        return mean

    def learn(self, bits: Integers) -> None:
        """Take a step along the gradient of each set's log-likelihood."""
        errors = (bits << PRECISION) - _sigmoids().take(self._logits + FAR)
        steps = np.rint((errors * RATE)[..., None] * self._inputs)
        _move(self._flat, (self._sets * (INPUTS + 1))[..., None] + _WEIGHTS, steps)


def _unpacked(
    packed: Mapping[str, NDArray[np.uint8]], name: str, most: int
) -> NDArray[np.integer[Any]]:
    """Return the changes of a table, of so many numbers at most."""
    form = np.dtype(_PACKED[name])
    data = bz2.BZ2Decompressor().decompress(packed[name].tobytes(), most * form.itemsize)
    return np.frombuffer(data, form)


def _move(table: NDArray[Number], places: Integers, steps: NDArray[Number]) -> None:
    """Add steps to a table, all of those that share a place."""
    np.add.at(table, places.ravel(), steps.ravel())


_LOWER, _UPPER, _DIGITS = (one.encode() for one in (ascii_lowercase, ascii_uppercase, digits))
# How tables are in files.
_PACKED = {
    "counts": "<u2",
    "runs": "<u4",
    "states": "<i4",
    "weights": "<i4",
    "corrections": "<i4",
}
_COUNT = np.array([1, 256], np.uint16)
# Contexts of different kinds that have the same number are others.
_SALTS = np.arange(1, INPUTS + 1, dtype=np.uint64)[:, None] * _NODE
_COUNTED_OFFSETS = np.arange(COUNTED)[:, None] * STATES
_RUN_OFFSETS = COUNTED * STATES + np.arange(RUNS)[:, None] * RUN_STATES
_LONGER, _WEIGHTS = np.arange(RUNS), np.arange(INPUTS + 1)


@cache
def _sigmoids() -> Integers:
    """Return the probabilities, of 2^16, of logits from -4096 to 4096."""
    return sigmoids().numpy()


@cache
def _points() -> tuple[Integers, Integers]:
    """Return of each logit the point of corrections below, and how far it is beyond that."""
    middle = POINTS // 2 * SPACING
    places = np.clip(np.arange(-FAR, FAR + 1), 1 - middle, middle - 1) + middle
    return places // SPACING, places % SPACING


@cache
def _stretched() -> NDArray[np.float64]:
    """Return the logits of probabilities in 4096 steps."""
    middles = np.arange(8, 1 << PRECISION, 16)
    return np.searchsorted(_sigmoids(), middles).astype(np.float64) - FAR


@cache
def _states_of_counts() -> Integers:
    """Return the state of each two counts."""
    levels = np.searchsorted(LEVELS, np.arange(256), "right") - 1
    counts = np.arange(1 << 16)
    states: Integers = levels[counts & 255] * len(LEVELS) + levels[counts >> 8]
    return states


def _first_states() -> Integers:
    """Return what probabilities are before any was learned: those of Krichevsky and Trofimov."""
    zeros, ones = np.repeat(LEVELS, len(LEVELS)), np.tile(LEVELS, len(LEVELS))
    counted = (2 * ones + 1 << FINE) // (2 * (zeros + ones + 1))
    often = np.repeat(np.arange(LONGEST + 1), 8)
    likely = (2 * often + 1 << FINE) // (2 * often + 2)
    runs = np.stack([(1 << FINE) - likely, likely], 1).ravel()
    return np.concatenate([np.tile(counted, COUNTED), np.tile(runs, RUNS)])


@cache
def _limited() -> NDArray[np.uint16]:
    """Return what counts become, by which bits came (1: zeros, 2: ones, 3: both)."""
    counts = np.arange(1 << 16)
    zeros, ones = counts & 255, counts >> 8

    def joined(zeros: Integers, ones: Integers) -> Integers:
        most = np.maximum(np.maximum(zeros, ones), MOST)
        return zeros * MOST // most | ones * MOST // most << 8

    fewer_zeros, fewer_ones = (np.where(n > KEPT, n + KEPT >> 1, n) for n in (zeros, ones))
    found = [(zeros, ones), (zeros, fewer_ones), (fewer_zeros, ones), (zeros, ones)]
    return np.concatenate([joined(*one) for one in found]).astype(np.uint16)


@cache
def _letters() -> Hashes:
    """Return of each byte a number, the same for both cases, where words have it; else 0."""
    folded = np.frombuffer(bytes(range(256)).lower(), np.uint8).astype(np.uint64)
    alphabetic = [byte > 127 or chr(byte).isalpha() or byte == ord("'") for byte in range(256)]
    return np.where(alphabetic, folded + np.uint64(1), np.uint64(0))


@cache
def _classes() -> Hashes:
    """Return of each byte its class: lower or upper case, a digit, or the byte itself."""
    of = {**dict.fromkeys(_LOWER, 1), **dict.fromkeys(_UPPER, 2), **dict.fromkeys(_DIGITS, 3)}
    return np.array([of.get(byte, byte) for byte in range(256)], np.uint64)


@cache
def _kinds() -> Integers:
    """Return of each byte one of eight kinds."""
    of = {0: 7, 1: 1, 2: 2, 3: 3, ord(" "): 4, ord("\n"): 5}
    return np.array([of.get(one, 0) for one in _classes().tolist()])
