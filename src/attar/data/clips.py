"""Sound in files and arrays: read, resampled, and written as it was."""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Self, overload

import numpy as np

from attar.data.files.base import readable
from attar.data.kind import Rows, back_to
from attar.errors import DataError, FileError
from attar.storage import written_whole

# The bits of the encodings that hold integers, and the encodings of arrays.
BITS = {"PCM_S8": 8, "PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32}
ENCODINGS = {
    **{"uint8": "PCM_U8", "int16": "PCM_16", "int32": "PCM_32"},
    **{"float32": "FLOAT", "float64": "DOUBLE"},
}

# A file is read in blocks of so many samples. Arrays have at most so many channels.
BLOCK, CHANNELS = 1 << 16, 64


def library(name: str) -> ModuleType:
    """Return soundfile or soxr, which are an extra.

    Raises
    ------
    FileError
        If it is not installed.
    """
    try:
        return import_module(name)
    except ImportError:
        raise FileError(
            "Sound needs soundfile and soxr: install them with pip install 'attar[sound]'."
        ) from None


@dataclass(frozen=True, eq=False)
class Sound(ABC):
    """A sound as the user has it.

    Attributes
    ----------
    name : str
    rate : int
        Samples a second.
    channels, samples : int
        The number of channels, and of samples of each.
    format, encoding : str
        Of the file that it is written to, as soundfile has them: ``"WAV"``, ``"PCM_16"``.
    dtype : str
        Of the array that the user gets back.
    """

    name: str
    rate: int
    channels: int
    samples: int
    format: str
    encoding: str
    dtype: str

    @property
    def precision(self) -> str:
        """The dtype of its samples as they are processed."""
        return "float64" if self.dtype in ("int32", "float64") else "float32"

    @property
    def full(self) -> float:
        """The least size of a sample at full scale: the largest positive integer's."""
        return 1 - 2.0 ** (1 - BITS.get(self.encoding, 24))

    @abstractmethod
    def blocks(self) -> Iterator[Rows]:
        """Yield samples from -1 to 1, at its own rate: (n, channels) at a time."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Return what identifies its content."""


@dataclass(frozen=True, eq=False)
class Recording(Sound):
    """A sound file, of which only the header was read."""

    path: str

    @classmethod
    def of(cls, path: str, name: str) -> Self:
        """Return a file's metadata.

        Raises
        ------
        FileError
            If it is no sound, or cannot be read.
        """
        with _opened(path) as file:
            form = file.samplerate, file.channels, file.frames, file.format, file.subtype
            dtype = "float64" if file.subtype in ("PCM_32", "DOUBLE") else "float32"
        return cls(name, *form, dtype, path)

    def blocks(self) -> Iterator[Rows]:
        """Yield the samples of the file.

        Raises
        ------
        FileError
            If it cannot be read, or ends too early.
        """
        found = 0
        with _opened(self.path) as file:
            for block in file.blocks(BLOCK, dtype=self.dtype, always_2d=True):
                found += len(block)
                yield block
        if found != self.samples:
            raise FileError(
                f"{self.path} has {found:,} samples, but its header says {self.samples:,}: repair "
                "it or leave it out."
            )

    def fingerprint(self) -> str:
        """Return name, size and modification time."""
        with readable(self.path):
            status = os.stat(self.path)
        return f"{self.name} {status.st_size} {status.st_mtime_ns}"


@contextmanager
def _opened(path: str) -> Iterator[Any]:
    soundfile = library("soundfile")
    with readable(path):
        with open(path, "rb"):  # which says why a file may not be read
            pass
        try:
            file = soundfile.SoundFile(path)
        except soundfile.LibsndfileError:
            raise FileError(
                f"{path} is no sound that attar reads: repair it or leave it out."
            ) from None
        with file:
            yield file


@dataclass(frozen=True, eq=False)
class Signal(Sound):
    """An array of samples (n, channels): floats from -1 to 1, or integers of their full range."""

    array: Rows

    @classmethod
    def of(cls, array: object, name: str, rate: int) -> Self:
        """Return an array (samples,) or (samples, channels) as a sound.

        Raises
        ------
        DataError
            If it is none.
        """
        samples = np.asarray(array)
        samples = samples.astype(np.float32) if samples.dtype == np.float16 else samples
        dtype, columns = str(samples.dtype), samples[:, None] if samples.ndim == 1 else samples
        if dtype not in ENCODINGS:
            raise DataError(
                f"{name} holds {dtype} values: give samples as floats from -1 to 1, or as int16, "
                "int32 or uint8."
            )
        if columns.ndim != 2 or not 0 < columns.shape[1] <= CHANNELS:
            raise DataError(
                f"{name} is an array of shape {samples.shape}, but sound is (samples,) or "
                "(samples, channels): transpose it, or give a list of clips."
            )
        n, channels = columns.shape
        return cls(name, rate, channels, n, "WAV", ENCODINGS[dtype], dtype, columns)

    def blocks(self) -> Iterator[Rows]:
        """Yield the array."""
        zero, full = _range(np.dtype(self.dtype))
        yield ((self.array.astype(np.float64) - zero) / full).astype(self.precision)

    def fingerprint(self) -> str:
        """Return a digest of the array."""
        return hashlib.sha256(np.ascontiguousarray(self.array).data).hexdigest()


def _range(dtype: np.dtype[Any]) -> tuple[float, float]:
    """Return the value of silence, and from there to full scale."""
    if dtype.kind == "f":
        return 0.0, 1.0
    full = 2.0 ** (8 * dtype.itemsize - 1)
    return (full if dtype.kind == "u" else 0.0), full


@dataclass(frozen=True, eq=False)
class Clip:
    """A sound at the rate of a model, or a part of a long one.

    Attributes
    ----------
    name : str
    samples : array (n, channels)
        From -1 to 1. Parts of a clip add up where they overlap, once they were reconstructed.
    start, length : int
        The first sample within the whole, and how many that has.
    shared : int
        How many samples the next part has too; 0 for the last.
    sound : Sound or None
        What it was read from; None for a new one.
    """

    name: str
    samples: Rows
    start: int
    length: int
    shared: int = 0
    sound: Sound | None = None

    def in_format(self, suffix: str) -> Clip:
        """Return the clip as a file with a suffix is to have it, where it came from another."""
        sound, wanted = self.sound, suffix.removeprefix(".").upper()
        wanted = {"OPUS": "OGG"}.get(wanted, wanted)
        if sound is None or sound.format == wanted:
            return self
        encoding = "OPUS" if suffix == ".opus" else library("soundfile").default_subtype(wanted)
        return replace(self, sound=replace(sound, format=wanted, encoding=encoding))


class Clips(Sequence[Rows]):
    """Sound in memory: a sequence of arrays (samples,), or (samples, channels) of several channels.

    Parameters
    ----------
    clips : sequence of Clip
    rate : int
        Samples a second.
    dtype : str
        Of the arrays; integers have their full range.

    Examples
    --------
    >>> import attar
    >>> tone = np.sin(np.arange(800) / 3)
    >>> clips = attar.Sounds([tone, tone[:300]], rate=8000).read()
    >>> clips.rate, [len(clip) for clip in clips]
    (8000, [800, 300])
    """

    def __init__(self, clips: Sequence[Clip], rate: int, dtype: str = "float32") -> None:
        self.clips, self.rate, self.dtype = list(clips), rate, dtype

    def __len__(self) -> int:
        return len(self.clips)

    @overload
    def __getitem__(self, index: int) -> Rows: ...
    @overload
    def __getitem__(self, index: slice) -> Clips: ...
    def __getitem__(self, index: int | slice) -> Rows | Clips:
        if isinstance(index, slice):
            return Clips(self.clips[index], self.rate, self.dtype)
        samples, dtype = self.clips[index].samples, np.dtype(self.dtype)
        zero, full = _range(dtype)
        mono = samples[:, 0] if samples.shape[1] == 1 else samples
        return back_to(dtype, mono * full + zero if dtype.kind in "iu" else mono)

    def __repr__(self) -> str:
        return f"<{len(self)} clips at {self.rate:,} Hz>"

    @property
    def names(self) -> list[str]:
        """The name of each clip."""
        return [clip.name for clip in self.clips]

    def fits(self, rate: int, channels: int) -> bool:
        """Return whether all clips are of a rate and a number of channels."""
        return self.rate == rate and all(c.samples.shape[1] == channels for c in self.clips)

    @classmethod
    def joined(cls, parts: Iterable[Clips]) -> Clips:
        """Return pieces as one, with each clip whole."""
        parts, whole = list(parts), list[Clip]()
        for clip in (clip for part in parts for clip in part.clips):
            if clip.start == 0 and len(clip.samples) < clip.length:
                samples = np.zeros((clip.length, clip.samples.shape[1]), clip.samples.dtype)
                samples[: len(clip.samples)] = clip.samples
                whole.append(replace(clip, samples=samples, shared=0))
            elif clip.start == 0:
                whole.append(clip)
            else:
                whole[-1].samples[clip.start : clip.start + len(clip.samples)] += clip.samples
        return cls(whole, parts[0].rate, parts[0].dtype)


def resampled(blocks: Iterator[Rows], rate: int, target: int, length: int) -> Iterator[Rows]:
    """Yield blocks (n, channels) at another rate, with this total length.

    Parameters
    ----------
    blocks : iterator of arrays
    rate, target : int
        Samples a second.
    length : int
        ``samples * target / rate``, rounded.
    """
    if rate == target:
        yield from blocks
        return
    stream, found, block = None, 0, None
    for block in blocks:
        if stream is None:
            settings = {"dtype": str(block.dtype), "quality": "HQ"}
            stream = library("soxr").ResampleStream(rate, target, block.shape[1], **settings)
        part = stream.resample_chunk(block)[: length - found]
        found += len(part)
        yield part
    if stream is None or block is None:
        return
    last = stream.resample_chunk(block[:0], last=True)[: length - found]
    missing = length - found - len(last)
    yield np.pad(last, [(0, missing), (0, 0)])


class SoundWriter:
    """Writes clips into a folder, as files of the form that they were read from.

    A clip of a file gets its name, rate, length, format and encoding; any other is WAV, of the
    encoding of its array, or 16 bits where it is new.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.count = folder, 0
        self._file: SoundOutput | None = None

    def write(self, clips: Clips) -> None:
        """Write clips; parts of a clip in their order.

        Raises
        ------
        DataError
            If they are no clips.
        FileError
            If a file cannot be written.
        """
        if not isinstance(clips, Clips):
            raise DataError("A folder of sound takes clips: write anything else to a file.")
        for clip in clips.clips:
            if clip.start == 0:
                name = clip.name if isinstance(clip.sound, Recording) else f"{clip.name}.wav"
                path = self.folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                self._file = SoundOutput(path, clip, clips.rate)
            assert self._file is not None  # the first part of a clip starts at 0
            self._file.write(clip)

    def close(self) -> None:
        """Close the file that is written, whole or not."""
        if self._file is not None:
            self._file.close()


class SoundOutput:
    """A file that the parts of a clip are written to, joined and at its own rate.

    Parameters
    ----------
    path : Path
    clip : Clip
        The first part.
    rate : int
        Samples a second of the parts.
    """

    def __init__(self, path: Path, clip: Clip, rate: int) -> None:
        sound, channels = clip.sound, clip.samples.shape[1]
        self.encoding = "PCM_16" if sound is None else sound.encoding
        self.rate, own = rate, rate if sound is None else sound.rate
        self.missing = clip.length if sound is None else sound.samples
        format_ = "WAV" if sound is None else sound.format
        self._file = library("soundfile").SoundFile(
            path, "w", own, channels, self.encoding, format=format_
        )
        self._resampler = (
            None
            if own == rate
            else library("soxr").ResampleStream(rate, own, channels, str(clip.samples.dtype))
        )
        self._held = clip.samples[:0]

    def write(self, clip: Clip) -> None:
        """Write the next part; the last closes the file."""
        samples = clip.samples.copy()
        samples[: len(self._held)] += self._held
        ready = len(samples) - clip.shared
        self._held = samples[ready:]
        self._put(samples[:ready], not clip.shared)
        if not clip.shared:
            self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _put(self, samples: Rows, last: bool) -> None:
        if self._resampler is not None:
            samples = self._resampler.resample_chunk(samples, last=last)
        samples = samples[: self.missing]
        self.missing -= len(samples)
        if last:
            samples = np.pad(samples, [(0, self.missing), (0, 0)])
        bits = BITS.get(self.encoding)
        if bits is not None:  # exact, where floats would be scaled by one level less
            limit = 2.0 ** (bits - 1)
            levels = np.rint(samples.astype(np.float64) * limit).clip(-limit, limit - 1)
            samples = (levels * 2.0 ** (32 - bits)).astype(np.int32)
        self._file.write(samples)


@contextmanager
def sound_writer(folder: Path) -> Iterator[SoundWriter]:
    """Yield a writer for a folder of sound, which is there at the end, whole, or not at all.

    An existing folder is replaced.

    Raises
    ------
    FileError
        If the folder cannot be written to.
    """
    with written_whole(folder) as beside:
        beside.mkdir()
        writer = SoundWriter(beside)
        try:
            yield writer
        finally:
            writer.close()
