"""Literals: what a model does not say, stored as such in few bytes."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from attar.data.columns.arrow import TEXT, from_ticks, ticks
from attar.data.columns.temporal import FORMS, DateText
from attar.errors import FileError
from attar.likelihoods.lattices import Decimals

Unsigned = NDArray[np.uint64]
Integers = NDArray[np.int64]
Array = NDArray[np.float64]

# Compression divides a length by so much at most: a file that claims more is damaged.
MOST = 1 << 16

# The memory in which LZMA looks back.
LEAST_WINDOW, WINDOW = 1 << 12, 1 << 23

# How many decimals numbers in text may have.
DECIMALS = 12

# A number read without care is at most so many steps of a double beside the nearest one.
ASTRAY = 8


def damaged() -> FileError:
    """Return the error for bytes that no writer has written."""
    return FileError("The compressed data are damaged: take them from a copy that is whole.")


@dataclass(frozen=True)
class Doubles:
    """Doubles as integers: decimal numbers, rounded to single precision or not.

    Parameters
    ----------
    lattice : Decimals
    careless : bool
        Whether a number may be some steps of a double beside the nearest one.

    Examples
    --------
    >>> decimal = Doubles(Decimals(decimals=2), careless=True)
    >>> integers = decimal.integers(np.array([0.3, 0.1 + 0.2]))
    >>> integers.tolist(), decimal.numbers(integers).tolist()
    ([488, 489], [0.3, 0.30000000000000004])
    """

    lattice: Decimals
    careless: bool = False

    def integers(self, numbers: Array) -> Integers | None:
        """Return the integers of numbers; None if one is none of these."""
        points = self.lattice.points(numbers)
        nearest = self.lattice.numbers(points).view(np.int64)
        steps = numbers.view(np.int64) - nearest
        if not self.careless:
            return None if steps.any() else points
        small = (np.abs(points) < 2**48).all() and ((steps >= -ASTRAY) & (steps < ASTRAY)).all()
        return points * 2 * ASTRAY + steps + ASTRAY if small else None

    def numbers(self, integers: Integers) -> Array:
        """Return the numbers of integers."""
        if not self.careless:
            return self.lattice.numbers(integers)
        points, steps = np.divmod(integers, 2 * ASTRAY)
        bits = self.lattice.numbers(points).view(np.int64) + steps - ASTRAY
        return bits.view(np.float64)


DOUBLES = [
    Doubles(Decimals(decimals=decimals, single=single), careless)
    for careless in (False, True)
    for decimals in range(7)
    for single in (False, True)
]


class LiteralWriter:
    """Numbers and texts become bytes.

    Examples
    --------
    >>> writer = LiteralWriter()
    >>> writer.number(300)
    >>> writer.texts(["2024-01-01", "2024-01-02", "2024-01-03"] * 100)
    >>> data = writer.finish()
    >>> reader = LiteralReader(data)
    >>> reader.number(), reader.texts(300)[:2], len(data) < 30
    (300, ['2024-01-01', '2024-01-02'], True)
    """

    def __init__(self) -> None:
        self._data = bytearray()

    def number(self, value: int) -> None:
        """Add an integer of 0 or more."""
        while value >= 128:
            self._data.append(value & 127 | 128)
            value >>= 7
        self._data.append(value)

    def blob(self, data: bytes) -> None:
        """Add bytes."""
        self.number(len(data))
        self._data += data

    def text(self, text: str) -> None:
        """Add a text."""
        self.blob(text.encode("utf-8", "surrogatepass"))

    def integers(self, values: Unsigned) -> None:
        """Add integers whose number the reader knows: as they are, or as differences."""
        if not len(values):
            return
        forms = [_planes(order(values)) for order in (_same, _once, _twice)]
        best = int(np.argmin([len(zlib.compress(form, 1)) for form in forms]))
        form = forms[best]
        self.number(best << 4 | len(form) // len(values))
        self._data += form

    def places(self, mask: NDArray[np.bool_]) -> None:
        """Add a mask of cells whose number the reader knows: the number and the places of true."""
        places = np.flatnonzero(mask)
        self.number(len(places))
        if 0 < 8 * len(places) < len(mask):
            self.integers(np.diff(places, prepend=-1).astype(np.uint64))
        elif 0 < len(places) < len(mask):
            self._data += np.packbits(mask).tobytes()

    def texts(self, texts: Sequence[str]) -> None:
        """Add texts whose number the reader knows: as integers where all stand for such."""
        if not texts:
            return
        for way, (reads, _) in enumerate(_NOTATIONS):
            values = reads(texts)
            if values is not None:
                self.number(way + 1)
                self.integers(zigzag(values))
                return
        self.number(0)
        encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
        self.integers(np.array([len(text) for text in encoded], np.uint64))
        self.blob(b"".join(encoded))

    def finish(self) -> bytes:
        """Return the shortest of what three compressors make of all that was added."""
        data = bytes(self._data)
        ways = [data, *(press(data) for press in (_deflated, bz2.compress, _lzma))]
        best = min(range(len(ways)), key=lambda way: len(ways[way]))
        if not data:
            return b""
        head = LiteralWriter()
        head.number(len(data) << 2 | best)
        return bytes(head._data) + ways[best]


class LiteralReader:
    """Numbers and texts from the bytes of a :class:`LiteralWriter`.

    Raises
    ------
    FileError
        If no writer has written them; here, or when they are read.
    """

    def __init__(self, data: bytes) -> None:
        self._data, self._place = memoryview(data), 0
        if not data:
            return
        head = self.number()
        length, packed = head >> 2, bytes(self._data[self._place :])
        if length > MOST * len(packed):
            raise damaged()
        try:
            whole = _WAYS[head & 3](packed, length)
        except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError):
            raise damaged() from None
        if len(whole) != length:
            raise damaged()
        self._data, self._place = memoryview(whole), 0

    @property
    def ended(self) -> bool:
        """Whether all was read."""
        return self._place == len(self._data)

    def number(self) -> int:
        """Return the next integer."""
        value = shift = 0
        while True:
            (byte,) = self._bytes(1)
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
            if shift > 63:
                raise damaged()

    def blob(self) -> bytes:
        """Return the next bytes."""
        return bytes(self._bytes(self.number()))

    def text(self) -> str:
        """Return the next text."""
        return _text(self.blob())

    def integers(self, n: int) -> Unsigned:
        """Return the next n integers."""
        if not n:
            return np.zeros(0, np.uint64)
        head = self.number()
        order, width = head >> 4, head & 15
        if order > 2 or width > 8:
            raise damaged()
        planes = np.frombuffer(self._bytes(n * width), np.uint8).reshape(width, n)
        whole = np.zeros((n, 8), np.uint8)
        whole[:, :width] = planes.T
        values = whole.view("<u8")[:, 0].astype(np.uint64)
        for _ in range(order):
            values = np.cumsum(unzigzag(values).view(np.uint64), dtype=np.uint64)
        return values

    def places(self, n: int) -> NDArray[np.bool_]:
        """Return the next mask of n cells."""
        count = self.number()
        mask = np.zeros(n, bool)
        if 0 < 8 * count < n:
            places = np.cumsum(self.integers(count), dtype=np.uint64) - np.uint64(1)
            if int(places.max()) >= n:
                raise damaged()
            mask[places.astype(np.int64)] = True
        elif 0 < count < n:
            packed = np.frombuffer(self._bytes(-(-n // 8)), np.uint8)
            mask = np.unpackbits(packed, count=n).astype(bool)
        else:
            mask[:] = count > 0
        if np.count_nonzero(mask) != count:
            raise damaged()
        return mask

    def texts(self, n: int) -> list[str]:
        """Return the next n texts."""
        if not n:
            return []
        way = self.number()
        if way:
            if way > len(_NOTATIONS):
                raise damaged()
            try:
                return _NOTATIONS[way - 1][1](unzigzag(self.integers(n)))
            except (pa.ArrowException, OverflowError, ValueError):
                raise damaged() from None
        lengths, whole = self.integers(n), self.blob()
        if int(lengths.max()) > len(whole):
            raise damaged()
        ends = np.cumsum(lengths).tolist()
        if ends[-1] != len(whole):
            raise damaged()
        return [_text(whole[a:b]) for a, b in zip([0, *ends], ends, strict=False)]

    def _bytes(self, n: int) -> memoryview:
        part = self._data[self._place : self._place + n]
        if len(part) < n:
            raise damaged()
        self._place += n
        return part


def zigzag(values: Integers) -> Unsigned:
    """Return 0, -1, 1, -2, ... as 0, 1, 2, 3, ..."""
    return ((values << 1) ^ (values >> 63)).view(np.uint64)


def unzigzag(values: Unsigned) -> Integers:
    """Return the integers that :func:`zigzag` took."""
    return (values >> np.uint64(1) ^ -(values & np.uint64(1))).view(np.int64)


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        raise damaged() from None


def _same(values: Unsigned) -> Unsigned:
    return values


def _once(values: Unsigned) -> Unsigned:
    """Return differences, the first from 0, those below 0 as odd numbers."""
    return zigzag(np.diff(values, prepend=np.uint64(0)).view(np.int64))


def _twice(values: Unsigned) -> Unsigned:
    return _once(_once(values))


def _planes(values: Unsigned) -> bytes:
    """Return all lowest bytes, then all second ones, ...: as many as the largest value has."""
    width = (int(values.max()).bit_length() + 7) // 8
    octets = values.astype("<u8").view(np.uint8).reshape(len(values), 8)
    return np.ascontiguousarray(octets[:, :width].T).tobytes()


def _deflated(data: bytes) -> bytes:
    press = zlib.compressobj(9, zlib.DEFLATED, -15)
    return press.compress(data) + press.flush()


def _lzma(data: bytes) -> bytes:
    return lzma.compress(data, lzma.FORMAT_RAW, filters=_filters(len(data)))


def _unlzma(data: bytes, length: int) -> bytes:
    reader = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=_filters(length))
    return reader.decompress(data, length + 1)


def _filters(length: int) -> list[dict[str, int]]:
    """Return LZMA in its best setting for a length, which both sides know."""
    window = min(max(length, LEAST_WINDOW), WINDOW)
    preset = 9 | lzma.PRESET_EXTREME
    return [{"id": lzma.FILTER_LZMA2, "preset": preset, "dict_size": window}]


# How what was compressed is read again, up to a length.
_WAYS: list[Callable[[bytes, int], bytes]] = [
    lambda data, length: data,
    lambda data, length: zlib.decompressobj(-15).decompress(data, length + 1),
    lambda data, length: bz2.BZ2Decompressor().decompress(data, length + 1),
    _unlzma,
]

# Integers that texts stand for, and the texts of integers.
_Notation = tuple[Callable[[Sequence[str]], Integers | None], Callable[[Integers], list[str]]]


def fixed(value: int, decimals: int) -> str:
    """Return an integer with a decimal point before its last digits.

    Examples
    --------
    >>> fixed(-1205, 2), fixed(7, 0)
    ('-12.05', '7')
    """
    if not decimals:
        return str(value)
    digits = str(abs(value)).zfill(decimals + 1)
    return f"{'-' * (value < 0)}{digits[:-decimals]}.{digits[-decimals:]}"


def _decimal(decimals: int) -> _Notation:
    def reads(texts: Sequence[str]) -> Integers | None:
        values = []
        for text in texts:
            if len(text) > 18 or not text.isascii():
                return None
            digits = text.replace(".", "", 1) if decimals else text
            if not digits.removeprefix("-").isdecimal() or fixed(int(digits), decimals) != text:
                return None
            values.append(int(digits))
        return np.array(values, np.int64)

    return reads, lambda values: [fixed(value, decimals) for value in values.tolist()]


def _date(form: DateText) -> _Notation:
    def reads(texts: Sequence[str]) -> Integers | None:
        if not all(map(str.isprintable, texts)):
            return None
        dates = form.read(pa.chunked_array([pa.array(texts, TEXT)]))
        return None if dates is None else ticks(dates)[0]

    def written(values: Integers) -> list[str]:
        dates = from_ticks(values, np.ones(len(values), bool), form.type)
        texts: list[str] = form.written(dates).to_pylist()
        return texts

    return reads, written


def _shortest(decimal: Doubles) -> _Notation:
    def reads(texts: Sequence[str]) -> Integers | None:
        if not all(text.isascii() and text[-1:].isdecimal() for text in texts):
            return None
        try:
            numbers = np.array([float(text) for text in texts])
        except ValueError:
            return None
        integers = decimal.integers(numbers)
        return integers if integers is not None and written(integers) == list(texts) else None

    def written(integers: Integers) -> list[str]:
        return list(map(repr, decimal.numbers(integers).tolist()))

    return reads, written


_NOTATIONS: list[_Notation] = [
    *map(_decimal, range(DECIMALS + 1)),
    *map(_shortest, DOUBLES),
    *map(_date, FORMS),
]
