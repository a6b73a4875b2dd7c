"""The compressed file of pictures (``.atz``) at a chosen quality: layers, from coarse to fine.

::

    magic, format, half the fingerprint of the model
    length of the model's file and that; or 0
    form: one picture, a list, or an array
    quality, in 1024ths, and number of stacks of pictures of one size; for each
        number of pictures, and their names; height and width
        for each part of the size: its layers, each with its length, and 16 bits of the CRC-32 of
            all since those before
    CRC-32 of all before
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from attar.codec.compact import Reader, begins_with, number, sealed, sized, unsealed, unsealed_part
from attar.errors import ArchiveError

MAGIC, FORMAT = b"\x93ATP", 1
FINGERPRINT, CHECK = 8, 2

# What is decoded at once: the means of blocks, low frequencies, and high ones.
LAYERS = 3

# What the pictures were given as.
ONE, LIST, ARRAY = range(3)

# The steps of the quality, and the most pixels of a picture and of a stack.
QUALITIES, MOST_PIXELS = 1 << 10, 1 << 29

# A larger picture than this is coded in parts.
SIDE = 1024

Layers = tuple[bytes, ...]


@dataclass(frozen=True)
class CodedStack:
    """Compressed pictures of one size.

    Attributes
    ----------
    names : tuple of str
        Of the files that they came from; empty where there was none.
    size : (int, int)
        Height and width.
    parts : tuple of tuple of bytes
        The layers of each part of the size.
    """

    names: tuple[str, ...]
    size: tuple[int, int]
    parts: tuple[Layers, ...] = field(repr=False)

    @property
    def pixels(self) -> int:
        """Of all pictures."""
        return len(self.names) * self.size[0] * self.size[1]


def parts_of(size: tuple[int, int]) -> Iterator[tuple[slice, slice]]:
    """Yield the rows and columns of the parts of a picture, of 1024 x 1024 pixels at most.

    Examples
    --------
    >>> [(rows.stop, columns.stop) for rows, columns in parts_of((10, 1500))]
    [(10, 1024), (10, 1500)]
    """
    for top in range(0, size[0], SIDE):
        for left in range(0, size[1], SIDE):
            rows, columns = (top, size[0]), (left, size[1])
            yield (
                slice(rows[0], min(top + SIDE, rows[1])),
                slice(columns[0], min(left + SIDE, columns[1])),
            )


@dataclass(frozen=True)
class CodedPictures:
    """The contents of a compressed file of pictures.

    Attributes
    ----------
    fingerprint : str
        The first half of the model's.
    form : int
        Whether one picture, a list or an array was given.
    level : int
        The quality, in 1024ths.
    stacks : sequence of CodedStack
    model : bytes
        The model's file, or nothing.

    Examples
    --------
    >>> stack = CodedStack(("",), (4, 6), ((b"coarse", b"finer", b"fine"),))
    >>> pictures = CodedPictures("00" * 8, ONE, 512, [stack])
    >>> data = pictures.to_bytes()
    >>> len(data), CodedPictures.of(data) == pictures, round(pictures.bits_per_pixel, 1)
    (50, True, 16.7)
    """

    fingerprint: str
    form: int
    level: int
    stacks: Sequence[CodedStack]
    model: bytes = field(default=b"", repr=False)

    @property
    def bits_per_pixel(self) -> float:
        """The bits of a pixel, of all but the model."""
        pixels = sum(stack.pixels for stack in self.stacks)
        return 8 * (len(self.to_bytes()) - len(self.model)) / max(1, pixels)

    @property
    def quality(self) -> float:
        """1 to 100."""
        return quality_of(self.level)

    def to_bytes(self) -> bytes:
        """Return the file."""
        found, since = [], bytes.fromhex(self.fingerprint) + sized(self.model)
        since += b"".join(map(number, (self.form, self.level, len(self.stacks))))
        for stack in self.stacks:
            since += number(len(stack.names))
            since += b"".join(sized(name.encode()) for name in stack.names)
            since += b"".join(map(number, stack.size))
            for layer in (layer for layers in stack.parts for layer in layers):
                found.append(since + sized(layer))
                since = _check(found[-1])
        return sealed(MAGIC, FORMAT, b"".join([*found, since]))

    @classmethod
    def of(cls, source: str | Path | bytes, cut: bool = False) -> Self:
        """Return the contents of a file.

        Parameters
        ----------
        source : path or bytes
        cut : bool
            Whether the file may end too early: layers that are not there are left out, and
            pictures that have none.

        Raises
        ------
        FileError
            If it cannot be read.
        ArchiveError
            If it is damaged, of a newer format, or no compressed pictures.
        """
        reader = (unsealed_part if cut else unsealed)(source, MAGIC, FORMAT)
        try:
            found = cls._parsed(reader, cut)
        except (IndexError, ValueError):
            raise ArchiveError("The file is damaged: its pictures are not whole.") from None
        if not cut and reader.place != len(reader.data):
            raise ArchiveError("The file is damaged: it does not end where its pictures do.")
        return found

    @classmethod
    def _parsed(cls, reader: Reader, cut: bool) -> Self:
        fingerprint, model = reader.take(FINGERPRINT).hex(), reader.sized()
        form, level, count = (reader.number() for _ in range(3))
        if form > ARRAY or level > QUALITIES:
            raise ValueError
        stacks = []
        for _ in range(count):
            names = tuple(reader.sized().decode() for _ in range(reader.number()))
            size = reader.number(), reader.number()
            if not 0 < size[0] * size[1] * len(names) <= MOST_PIXELS:
                raise ValueError
            parts = tuple(tuple(_layers(reader, cut)) for _ in parts_of(size))
            if not parts[0]:  # names and size are not checked
                break
            stacks.append(CodedStack(names, size, parts))
            if cut and reader.ended:
                break
        if not stacks:
            raise ValueError
        return cls(fingerprint, form, level, stacks, model)


def quality_of(level: int) -> float:
    """Return the quality, 1 to 100, of a level.

    Examples
    --------
    >>> quality_of(0), quality_of(1024)
    (1.0, 100.0)
    """
    return 1 + 99 * level / QUALITIES


def is_compressed_pictures(path: str | Path) -> bool:
    """Return whether a file begins as compressed pictures do."""
    return begins_with(path, MAGIC)


def _check(since: bytes) -> bytes:
    return zlib.crc32(since).to_bytes(4, "little")[:CHECK]


def _layers(reader: Reader, cut: bool) -> Iterator[bytes]:
    for _ in range(LAYERS):
        try:
            layer = reader.sized()
            check = _check(reader.since())
            whole = reader.take(CHECK) == check
        except IndexError:
            if not cut:
                raise
            reader.end()
            return
        if not whole:
            raise ValueError
        yield layer
