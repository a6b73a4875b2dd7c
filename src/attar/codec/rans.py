"""An entropy coder: integers become bytes of the length that their frequencies promise.

Range asymmetric numeral systems: a symbol of frequency f out of T = 2^precision takes a state x
to (x // f) T + (x mod f) + start, and log2(T / f) bits more. A state is a stack: what went in
last comes out first. Many states, the lanes, are coded side by side, and share one stack of
words; all is integer arithmetic, exact on any machine.

References
----------
Duda (2013), "Asymmetric numeral systems", arXiv:1311.2540; Giesen (2014), "Interleaved entropy
coders", arXiv:1402.3392.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attar.errors import ArchiveError, SettingError

Integers = NDArray[np.integer[Any]]
Symbols = NDArray[np.int64]

# From places (n,) in the total frequency, and of which symbols they are, to these symbols, and the
# start and the size of their ranges.
Find = Callable[[Symbols, slice], tuple[Symbols, Symbols, Symbols]]

PRECISION = 16
MAX_PRECISION = 24
MAX_LANES = 512
# A lane costs the 4 bytes of its first state, and what its last one leaves unused of 8.
LANE_BYTES = 6
# The part of all bytes that lanes may cost.
LANES_SHARE = 0.003

# States are in [2^32, 2^64), so that a symbol moves one word of 32 bits at most.
_WORD_BITS, _LOW = 32, (1 << 32) - 1
_WORD = np.uint64(_WORD_BITS)
_LOWEST = np.uint64(1 << 32)
_STATE_BYTES = 8
_NARROW = 32
_DAMAGED = "The compressed data are damaged"


class AnsCoder:
    """States and their words: symbols that are pushed come back by pop, the last call first.

    Symbol i of one call belongs to lane i mod lanes.

    Parameters
    ----------
    lanes
        How many states are coded side by side.
    words
        What lies at the bottom, for coders that pop before they have pushed (bits-back).

    Examples
    --------
    >>> coder = AnsCoder(lanes=2)
    >>> coder.push(np.array([0, 3, 0]), np.array([3, 1, 3]), precision=2)
    >>> coder.pop(np.array([[0, 3, 4]] * 3), precision=2)
    array([0, 1, 0])
    """

    def __init__(self, lanes: int, words: NDArray[np.uint32] | None = None) -> None:
        if not 0 <= lanes < 1 << 16:
            raise SettingError(f"There are 0 to 65,535 lanes, not {lanes}.")
        bottom = np.array([] if words is None else words, np.uint32)
        self._set(np.full(lanes, _LOWEST), bottom)

    def _set(self, states: NDArray[np.uint64], words: NDArray[np.uint32]) -> None:
        self.lanes = len(states)
        self._states = states
        self._words, self._used = words, len(words)
        self._slots = np.empty_like(states)

    @classmethod
    def of(cls, data: bytes) -> AnsCoder:
        """Return the coder of :meth:`to_bytes`.

        Raises
        ------
        ArchiveError
            If the bytes are no coder.
        """
        lanes = int.from_bytes(data[:2], "little")
        end = 2 + _STATE_BYTES * lanes
        if data and (not lanes or len(data) < end or (len(data) - end) % 4):
            raise ArchiveError(f"{_DAMAGED}: they are cut, or were not made by this coder.")
        states = np.frombuffer(data[2:end], "<u8").astype(np.uint64)
        if (states < _LOWEST).any():
            raise ArchiveError(f"{_DAMAGED}: a state of the coder is out of range.")
        coder = cls(0)
        coder._set(states, np.frombuffer(data[end:], "<u4").astype(np.uint32))
        return coder

    def to_bytes(self) -> bytes:
        """Return the number of lanes, the states and the words, little-endian."""
        if not self.lanes:
            return b""
        states, words = self._states.astype("<u8"), self._words[: self._used].astype("<u4")
        return self.lanes.to_bytes(2, "little") + states.tobytes() + words.tobytes()

    @property
    def words(self) -> int:
        """How many words there are."""
        return self._used

    @property
    def is_empty(self) -> bool:
        """Whether all that was pushed has been popped."""
        return not self._used and bool((self._states == _LOWEST).all())

    def push(self, starts: Integers, frequencies: Integers, precision: int = PRECISION) -> None:
        """Put symbols in, each with the start and the size of its range of [0, 2^precision).

        Raises
        ------
        SettingError
            If a range is empty or reaches beyond 2^precision.
        """
        self._push(*_ranges(starts, frequencies, precision), precision)

    def _push(
        self, starts: NDArray[np.uint32], frequencies: NDArray[np.uint32], precision: int
    ) -> None:
        if self.lanes == 1:
            self._push_one_by_one(starts.tolist(), frequencies.tolist(), precision)
            return
        starts, frequencies = starts.astype(np.uint64), frequencies.astype(np.uint64)
        rest = np.uint64(1 << precision) - frequencies
        shift = np.uint64(64 - precision)
        self._reserve(len(starts))
        for begin in reversed(range(0, len(starts), self.lanes or 1)):
            group = slice(begin, begin + self.lanes)
            f = frequencies[group]
            x, quotient = self._states[: len(f)], self._slots[: len(f)]
            np.right_shift(x, shift, out=quotient)
            (full,) = (quotient >= f).nonzero()
            if len(full):
                large = x[full]
                used = self._used + len(full)
                self._words[self._used : used] = large  # the low 32 bits
                self._used = used
                large >>= _WORD
                x[full] = large
            # x + (x // f)(T - f) + start, which is the formula above.
            np.floor_divide(x, f, out=quotient)
            quotient *= rest[group]
            x += quotient
            x += starts[group]

    def _push_one_by_one(self, starts: list[int], frequencies: list[int], precision: int) -> None:
        """Put symbols into one state: Python's integers are faster than arrays of one."""
        x, shift, words = int(self._states[0]), 64 - precision, []
        for start, f in zip(reversed(starts), reversed(frequencies), strict=True):
            if x >> shift >= f:
                words.append(x & _LOW)
                x >>= _WORD_BITS
            quotient, rest = divmod(x, f)
            x = (quotient << precision) + rest + start
        self._reserve(len(words))
        self._words[self._used : self._used + len(words)] = words
        self._used += len(words)
        self._states[0] = x

    def pop_tabled(
        self,
        rows: Integers,
        cumulative: Sequence[Sequence[int]],
        found: Sequence[Sequence[int]],
        precision: int = PRECISION,
    ) -> NDArray[np.int64]:
        """Return the symbols (n,) that were pushed last into one state, each by one of few tables.

        Parameters
        ----------
        rows
            The number of the table of each symbol.
        cumulative
            Of each table the starts of the letters' ranges, and 2^precision.
        found
            Of each table the letter of each place in [0, 2^precision).
        precision
            log2 of the total frequency.

        Raises
        ------
        ArchiveError
            If there are not so many symbols, or several states: the data are damaged.
        """
        self._check_lanes(len(rows))
        if self.lanes > 1:
            raise ArchiveError(f"{_DAMAGED}: they were coded by several states.")
        x, mask, used = int(self._states[0]) if len(rows) else 0, (1 << precision) - 1, self._used
        words, letters, lowest = self._words.tolist(), [], int(_LOWEST)
        for row in rows.tolist():
            slot = x & mask
            letter, sums = found[row][slot], cumulative[row]
            start = sums[letter]
            x = (sums[letter + 1] - start) * (x >> precision) + slot - start
            if x < lowest:
                if not used:
                    raise ArchiveError(f"{_DAMAGED}: they end too early.")
                used -= 1
                x = x << _WORD_BITS | words[used]
            letters.append(letter)
        if len(rows):
            self._states[0], self._used = x, used
        return np.array(letters, np.int64)

    def pop_binary(self, zeros: Integers) -> NDArray[np.int64]:
        """Return the bits (n,) that were pushed last into one state.

        Parameters
        ----------
        zeros
            Of each bit the frequency of a zero, of 2^16, whose range is the first.

        Raises
        ------
        ArchiveError
            If there are not so many bits, or several states: the data are damaged.
        """
        self._check_lanes(len(zeros))
        if self.lanes > 1:
            raise ArchiveError(f"{_DAMAGED}: they were coded by several states.")
        x, bits, lowest = int(self._states[0]) if len(zeros) else 0, [], int(_LOWEST)
        total = 1 << PRECISION
        for zero in zeros.tolist():
            slot = x & total - 1
            x >>= PRECISION
            bits.append(slot >= zero)
            x = (total - zero) * x + slot - zero if slot >= zero else zero * x + slot
            if x < lowest:
                if not self._used:
                    raise ArchiveError(f"{_DAMAGED}: they end too early.")
                self._used -= 1
                x = x << _WORD_BITS | int(self._words[self._used])
        if bits:
            self._states[0] = x
        return np.array(bits, np.int64)

    def pop(self, cumulative: Integers, precision: int = PRECISION) -> NDArray[np.int64]:
        """Return the symbols (n,) that were pushed last.

        Parameters
        ----------
        cumulative
            (n, K + 1): for each symbol the starts of the K letters' ranges, and 2^precision.
        precision
            log2 of the total frequency.

        Raises
        ------
        ArchiveError
            If there are not so many symbols: the data are damaged.
        SettingError
            If a row does not begin with 0 and end with 2^precision, or is not of integers.
        """
        _check_precision(precision)
        n, width = cumulative.shape
        ends_right = (cumulative[:, 0] == 0).all() and (cumulative[:, -1] == 1 << precision).all()
        if cumulative.dtype.kind not in "iu" or not ends_right:
            raise SettingError(f"Cumulative frequencies are integers from 0 to 2^{precision}.")
        self._check_lanes(n)
        table = np.ascontiguousarray(cumulative).reshape(-1)
        # As states are, so that groups need no conversion: it costs little for narrow tables.
        if table.itemsize == _STATE_BYTES:
            table = table.view(np.uint64)
        elif width <= _NARROW:
            table = table.astype(np.uint64)
        ends = table[1:]
        first = np.arange(0, n * width, width)
        places = first.copy()
        # A binary search whose steps are the same for every row.
        steps = [(half, table[half:]) for half in _halves(width - 1)]
        mask, shift = np.uint64((1 << precision) - 1), np.uint64(precision)
        for begin in range(0, n, self.lanes or 1):
            place = places[begin : begin + self.lanes]
            x, slot = self._states[: len(place)], self._slots[: len(place)]
            np.bitwise_and(x, mask, out=slot)
            key = slot.astype(table.dtype, copy=False)
            for half, ahead in steps:
                beyond = ahead.take(place) <= key
                place += beyond if half == 1 else half * beyond
            start = table.take(place)
            key -= start
            frequency = ends.take(place)
            frequency -= start
            x >>= shift
            x *= frequency.astype(np.uint64, copy=False)
            x += key.astype(np.uint64, copy=False)
            self._refill(x)
        places -= first
        return places

    def pop_found(self, n: int, find: Find, precision: int) -> NDArray[np.int64]:
        """Return the symbols (n,) that were pushed last, each found from a place in its range.

        Parameters
        ----------
        n
            How many.
        find
            From places in [0, 2^precision), and of which of the n symbols they are, to symbols, and
            the start and the size of their ranges.
        precision
            log2 of the total frequency.

        Raises
        ------
        ArchiveError
            If there are not so many symbols: the data are damaged.
        """
        _check_precision(precision)
        self._check_lanes(n)
        found = np.empty(n, np.int64)
        mask, shift = np.uint64((1 << precision) - 1), np.uint64(precision)
        for begin in range(0, n, self.lanes or 1):
            group = slice(begin, min(n, begin + self.lanes))
            x = self._states[: group.stop - begin]
            slots = (x & mask).view(np.int64)
            found[group], starts, frequencies = find(slots, group)
            x >>= shift
            x *= frequencies.view(np.uint64)
            x += (slots - starts).view(np.uint64)
            self._refill(x)
        return found

    def pop_bits(self, n: int, bits: int) -> NDArray[np.int64]:
        """Return n symbols, all values of so many bits being equally frequent."""
        _check_precision(bits)
        values = np.empty(n, np.uint64)
        mask, shift = np.uint64((1 << bits) - 1), np.uint64(bits)
        self._check_lanes(n)
        for begin in range(0, n, self.lanes or 1):
            value = values[begin : begin + self.lanes]
            x = self._states[: len(value)]
            np.bitwise_and(x, mask, out=value)
            x >>= shift
            self._refill(x)
        return values.view(np.int64)

    def _check_lanes(self, n: int) -> None:
        if n and not self.lanes:
            raise ArchiveError(f"{_DAMAGED}: they end too early.")

    def _refill(self, x: NDArray[np.uint64]) -> None:
        """Take a word for each state that has fallen below the lowest."""
        (low,) = (x < _LOWEST).nonzero()
        if len(low):
            used = self._used - len(low)
            if used < 0:
                raise ArchiveError(f"{_DAMAGED}: they end too early.")
            small = x[low]
            small <<= _WORD
            small |= self._words[used : self._used]
            x[low] = small
            self._used = used

    def _reserve(self, n: int) -> None:
        """Have room for n more words."""
        if self._used + n > len(self._words):
            words = np.empty(2 * self._used + n, np.uint32)
            words[: self._used] = self._words[: self._used]
            self._words = words


class Encoder:
    """Symbols in, bytes out: what is pushed first is what a :class:`Decoder` pops first.

    Examples
    --------
    >>> encoder = Encoder()
    >>> encoder.push(np.array([0, 3, 0]), np.array([3, 1, 3]), precision=2)
    >>> encoder.push_bits(np.array([5, 7]), 3)
    >>> decoder = Decoder(encoder.finish())
    >>> decoder.pop(np.array([[0, 3, 4]] * 3), precision=2)
    array([0, 1, 0])
    >>> decoder.pop_bits(2, 3)
    array([5, 7])
    >>> decoder.done()
    """

    def __init__(self) -> None:
        self._calls: list[tuple[NDArray[np.uint32], NDArray[np.uint32], int]] = []

    def push(self, starts: Integers, frequencies: Integers, precision: int = PRECISION) -> None:
        """Record symbols (n,), each with the start and the size of its range of [0, 2^precision).

        Raises
        ------
        SettingError
            If a range is empty or reaches beyond 2^precision.
        """
        self._calls.append((*_ranges(starts, frequencies, precision), precision))

    def push_bits(self, values: Integers, bits: int) -> None:
        """Record values (n,) of so many bits each, all being equally frequent."""
        self.push(values, np.ones(len(values), np.uint32), bits)

    def finish(self, lanes: int | None = None) -> bytes:
        """Return the bytes.

        Parameters
        ----------
        lanes
            How many states are coded side by side. None: as many as cost 0.3% of the bytes, and
            512 at most.
        """
        coder = AnsCoder(self._lanes() if lanes is None else lanes)
        for starts, frequencies, precision in reversed(self._calls):
            coder._push(starts, frequencies, precision)
        return coder.to_bytes()

    def _lanes(self) -> int:
        longest = max((len(starts) for starts, _, _ in self._calls), default=0)
        if not longest:
            return 0
        bits = sum(p * len(f) - float(np.log2(f).sum()) for _, f, p in self._calls)
        most = min(MAX_LANES, max(1, int(bits / 8 * LANES_SHARE / LANE_BYTES)))
        return -(-longest // -(-longest // most))  # the groups of a call are of equal size


class Decoder:
    """The symbols of an :class:`Encoder`'s bytes, in the same calls.

    Raises
    ------
    ArchiveError
        If the bytes are not an encoder's.
    """

    def __init__(self, data: bytes) -> None:
        self._coder = AnsCoder.of(data)

    def pop(self, cumulative: Integers, precision: int = PRECISION) -> NDArray[np.int64]:
        """Return the next symbols (n,), as :meth:`AnsCoder.pop` does."""
        return self._coder.pop(cumulative, precision)

    def pop_found(self, n: int, find: Find, precision: int) -> NDArray[np.int64]:
        """Return the next symbols (n,), as :meth:`AnsCoder.pop_found` does."""
        return self._coder.pop_found(n, find, precision)

    def pop_tabled(
        self, rows: Integers, cumulative: Sequence[Sequence[int]], found: Sequence[Sequence[int]]
    ) -> NDArray[np.int64]:
        """Return the next symbols (n,), as :meth:`AnsCoder.pop_tabled` does."""
        return self._coder.pop_tabled(rows, cumulative, found)

    def pop_binary(self, zeros: Integers) -> NDArray[np.int64]:
        """Return the next bits (n,), as :meth:`AnsCoder.pop_binary` does."""
        return self._coder.pop_binary(zeros)

    def pop_bits(self, n: int, bits: int) -> NDArray[np.int64]:
        """Return the next n values of so many bits, as :meth:`AnsCoder.pop_bits` does."""
        return self._coder.pop_bits(n, bits)

    def done(self) -> None:
        """Check that every symbol was taken.

        Raises
        ------
        ArchiveError
            If something is left, or the states are not those that an encoder starts with.
        """
        if not self._coder.is_empty:
            raise ArchiveError(f"{_DAMAGED}: they do not end where their symbols do.")


def _halves(letters: int) -> list[int]:
    """Return the steps of a binary search for one of so many letters, the same for every row."""
    halves = []
    while letters > 1:
        halves.append(letters // 2)
        letters -= letters // 2
    return halves


def _check_precision(precision: int) -> None:
    if not 0 <= precision <= MAX_PRECISION:
        raise SettingError(f"A precision of {precision} bits is not in 0 to {MAX_PRECISION}.")


def _ranges(
    starts: Integers, frequencies: Integers, precision: int
) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Return ranges of symbols; refuse those that are empty or not within [0, 2^precision)."""
    _check_precision(precision)
    starts, frequencies = np.asarray(starts), np.asarray(frequencies)
    if starts.shape != frequencies.shape or {starts.dtype.kind, frequencies.dtype.kind} - set("iu"):
        raise SettingError("Starts and frequencies are as many, and integers.")
    first, size = starts.astype(np.int64), frequencies.astype(np.int64)
    within = first <= (1 << precision) - size
    if len(first) and not (within.all() and first.min() >= 0 and size.min() >= 1):
        raise SettingError(f"A range is empty, or not within [0, 2^{precision}).")
    return first.astype(np.uint32), size.astype(np.uint32)
