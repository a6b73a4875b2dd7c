"""The compressed file of sound (``.atz``): a few bytes of overhead, for clips of a few seconds.

::

    magic, format, half the fingerprint of the model
    length of the model's file and that; or 0
    number of clips, and for each
        name, file format: empty for one clip without, and for 16-bit WAV
        rate, samples, level, lengths of the runs of blocks with sound and of silence
        length of the symbols' bytes, and these
    CRC-32 of all before
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from attar.codec.compact import Reader, begins_with, number, sealed, sized, unsealed
from attar.errors import ArchiveError

MAGIC, FORMAT = b"\x93ATS", 1
FINGERPRINT = 8

# A clip has so many samples at most, a day at 192 kHz.
MOST_SAMPLES = 1 << 34

WAV = "WAV PCM_16"


@dataclass(frozen=True)
class CodedClip:
    """A compressed clip.

    Attributes
    ----------
    name : str
    form : str
        Format and encoding of the file that it came from.
    rate, samples : int
        Of the file that it came from.
    level : int
        How many 256ths of stages a frame has on average.
    runs : tuple of int
        The lengths of runs of blocks with sound, without, with, ...
    data : bytes
        The symbols.
    """

    name: str
    form: str
    rate: int
    samples: int
    level: int
    runs: tuple[int, ...]
    data: bytes = field(repr=False)

    @property
    def seconds(self) -> float:
        """The length."""
        return self.samples / self.rate


@dataclass(frozen=True)
class CodedClips:
    """The contents of a compressed file of sound.

    Attributes
    ----------
    fingerprint : str
        The first half of the model's.
    clips : sequence of CodedClip
    model : bytes
        The model's file, or nothing.

    Examples
    --------
    >>> clips = CodedClips("00" * 8, [CodedClip("", WAV, 8000, 4000, 512, (0, 25), b"")])
    >>> data = clips.to_bytes()
    >>> len(data), CodedClips.of(data) == clips
    (31, True)
    """

    fingerprint: str
    clips: Sequence[CodedClip]
    model: bytes = field(default=b"", repr=False)

    @property
    def kbps(self) -> float:
        """The kilobits of a second, of all but the model."""
        seconds = sum(clip.seconds for clip in self.clips)
        return 8 * (len(self.to_bytes()) - len(self.model)) / 1000 / seconds

    def to_bytes(self) -> bytes:
        """Return the file."""
        parts = [bytes.fromhex(self.fingerprint), sized(self.model)]
        parts.append(number(len(self.clips)))
        for clip in self.clips:
            parts += [
                sized(clip.name.encode()),
                sized(b"" if clip.form == WAV else clip.form.encode()),
            ]
            parts += map(number, (clip.rate, clip.samples, clip.level, len(clip.runs), *clip.runs))
            parts.append(sized(clip.data))
        return sealed(MAGIC, FORMAT, b"".join(parts))

    @classmethod
    def of(cls, source: str | Path | bytes) -> Self:
        """Return the contents of a file.

        Raises
        ------
        FileError
            If it cannot be read.
        ArchiveError
            If it is damaged, of a newer format, or no compressed sound.
        """
        reader = unsealed(source, MAGIC, FORMAT)
        try:
            return cls._parsed(reader)
        except (IndexError, ValueError):
            raise ArchiveError("The file is damaged: it does not end where its clips do.") from None

    @classmethod
    def _parsed(cls, reader: Reader) -> Self:
        fingerprint, model = reader.take(FINGERPRINT).hex(), reader.sized()
        clips = []
        for _ in range(reader.number()):
            name, form = reader.sized().decode(), reader.sized().decode() or WAV
            rate, samples, level = reader.number(), reader.number(), reader.number()
            if not rate or not 0 < samples <= MOST_SAMPLES:
                raise ValueError
            runs = tuple(reader.number() for _ in range(reader.number()))
            clips.append(CodedClip(name, form, rate, samples, level, runs, reader.sized()))
        if not clips or reader.place != len(reader.data):
            raise ValueError
        return cls(fingerprint, clips, model)


def is_compressed_sound(path: str | Path) -> bool:
    """Return whether a file begins as compressed sound does."""
    return begins_with(path, MAGIC)
