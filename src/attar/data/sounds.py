"""Sound as the user has it: folders, files, tables of paths, arrays; in pieces."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from attar.checks import positive, positive_integer
from attar.data.clips import Clip, Clips, Recording, Signal, Sound, resampled
from attar.data.files.base import files_in
from attar.data.kind import Rows
from attar.data.stream import Stream, SupportsArrow
from attar.data.views import SoundView, Waveform, view_named
from attar.errors import DataError, FileError, SettingError, unknown, warn
from attar.remote import file_at

SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3")

# A piece has about so many bytes; a part of a long clip has so many windows.
PIECE, WINDOWS = 1 << 25, 256

T = TypeVar("T")

# Sound is clipped where so many neighbouring samples are at full scale.
RUN = 3


class Sounds(Stream):
    """Sound: files in a folder and its subfolders, or arrays, at one rate.

    They are WAV, FLAC, Ogg, Opus or MP3 files, in the natural order of their names; hidden files,
    and files with other suffixes, are ignored. A model sees windows of one length: longer clips are
    cut into windows that overlap by an eighth, and joined again without a seam; of shorter ones the
    rest is missing, and no part of the loss. Samples that are not finite are missing too.

    Parameters
    ----------
    source : str, Path, DataFrame, array, or sequence of these
        A folder, a file, a list of files; a table with a column of paths; :class:`attar.Clips`; an
        array (samples,) or (samples, channels), or a list of them: floats from -1 to 1, or integers
        of full range.
    rate : int or None
        Samples a second: of arrays those that they have; files are resampled to it. None takes
        the most common one of the files, with a warning if others are resampled.
    view : {"mel", "waveform"} or None
        What the model sees: the power in mel bands, frame by frame, or the samples. None is
        ``"mel"``.
    channels : {"mono", "all"} or None
        Whether channels are mixed to their mean, or kept. None mixes them, with a warning.
    window : float or None
        Seconds of a window. None takes 1 s of frames, or less where 95% of the clips are shorter,
        and about 0.1 s of samples.
    column : str or None
        The column of a table that has the paths.
    label : str or None
        The column of a table that has a label of each file. Labels of files are the topmost
        subfolders they are in, where these differ.

    Attributes
    ----------
    rate : int
    view : SoundView
    names : list of str
        The name of each clip: the path of a file within the folder.
    labels : array (n,) or None
        A label of each row: of each window of each clip.

    Raises
    ------
    DataError
        If there is no sound.
    FileError
        If a file is no sound or cannot be read, or soundfile is not installed.
    SettingError
        If rate, view, channels or window are out of range.

    Examples
    --------
    >>> import attar
    >>> tones = [np.sin(f * np.arange(4000)) for f in (0.1, 0.2)]
    >>> sounds = attar.Sounds(tones, rate=8000)
    >>> sounds.view.words, sounds.rows
    ('63 frames of 64 mel bands, every 8 ms', 2)
    """

    def __init__(
        self,
        source: object,
        rate: int | None = None,
        view: str | None = None,
        channels: str | None = None,
        window: float | None = None,
        *,
        column: str | None = None,
        label: str | None = None,
    ) -> None:
        if rate is not None:
            positive_integer("rate", rate, "None or ")
        if channels not in (None, "mono", "all"):
            raise unknown("choice of channels", channels, ("mono", "all"))
        seconds = None if window is None else positive("window", window, "None or ")
        self.given = view, seconds
        sounds, labels = _sounds_of(source, rate, column, label)
        self.sounds, self._labels = _with_samples(sounds, labels)
        self.rate = rate or _common_rate(self.sounds)
        self.channels = _common_channels(self.sounds, channels)
        chosen = view_named(view or "mel")
        self.view: SoundView = chosen.of(self.rate, [self.length(s) for s in self.sounds], seconds)
        self._said: set[str] = set()
        self._whole: list[Clips] | None = None

    def seen_by(self, view: SoundView, channels: int) -> Sounds:
        """Return the same sound as a model sees it, with a warning if it is resampled for it.

        Raises
        ------
        DataError
            If the model's view, window or number of channels is another than that given.
        """
        name, seconds = self.given
        if name not in (None, view.name):
            raise _other("view", view.name, name)
        if seconds is not None and type(view).of(view.rate, [], seconds) != view:
            raise _other("window", view.seconds, seconds)
        if (view, channels) == (self.view, self.channels):
            return self
        _require_channels(self.sounds, channels)
        if view.rate != self.rate:
            self.warn_of_rates(view.rate)
        other = object.__new__(Sounds)
        other.__dict__ |= self.__dict__
        other.view, other.rate, other.channels, other._whole = view, view.rate, channels, None
        return other

    def warn_of_rates(self, rate: int) -> None:
        """Warn of sounds that are of another rate than a model."""
        _warn_of_rates(self.sounds, rate, f"the model's {rate:,} Hz")

    @property
    def names(self) -> list[str]:
        """The name of each clip."""
        return [sound.name for sound in self.sounds]

    @property
    def rows(self) -> int:
        """The number of windows."""
        return sum(len(starts_of(self.length(sound), self.view)) for sound in self.sounds)

    @property
    def bytes(self) -> int:
        """How much memory all samples take."""
        return sum(4 * self.channels * self.length(sound) for sound in self.sounds)

    @property
    def labels(self) -> Rows | None:
        """The label of each row's clip: (n,)."""
        if self._labels is None:
            return None
        counts = [len(starts_of(self.length(sound), self.view)) for sound in self.sounds]
        return np.repeat(self._labels, counts)

    @property
    def dtype(self) -> str:
        """That of the arrays that a user gets back."""
        dtypes = {sound.dtype for sound in self.sounds}
        return dtypes.pop() if len(dtypes) == 1 else "float32"

    @property
    def fingerprint(self) -> str:
        """A digest of rate, view, and what identifies each sound."""
        digest = hashlib.sha256(f"{self.view} {self.channels}".encode())
        for sound in self.sounds:
            digest.update(os.fsencode(f"\n{sound.name} {sound.fingerprint()}"))
        return digest.hexdigest()

    def length(self, sound: Sound) -> int:
        """Return how many samples a sound has at the rate."""
        return max(1, round(sound.samples * self.rate / sound.rate))

    def __iter__(self) -> Iterator[Clips]:
        return iter(self._whole) if self._whole is not None else self._read()

    def read(self) -> Clips:
        """Return all clips whole, and keep them: later passes read no files.

        Raises
        ------
        FileError
            If a file cannot be read.
        """
        self.keep()
        parts = [
            replace(clip, samples=clip.samples[: len(clip.samples) - clip.shared])
            for piece in self
            for clip in piece.clips
        ]
        return Clips.joined([Clips(parts, self.rate, self.dtype)])

    def keep(self) -> None:
        """Read all pieces, and keep them for later passes."""
        if self._whole is None:
            self._whole = list(self._read())

    def _read(self) -> Iterator[Clips]:
        batch, size = list[Clip](), 0
        for sound in self.sounds:
            for clip in self._parts(sound):
                batch.append(clip)
                size += clip.samples.nbytes
                if size >= PIECE:
                    yield Clips(batch, self.rate, self.dtype)
                    batch, size = [], 0
        if batch:
            yield Clips(batch, self.rate, self.dtype)

    def _parts(self, sound: Sound) -> Iterator[Clip]:
        """Yield the parts of a sound: a whole number of windows each, and what is left."""
        view, length = self.view, self.length(sound)
        blocks = resampled(self._blocks(sound), sound.rate, self.rate, length)
        most, start = view.window + (WINDOWS - 1) * view.stride, 0
        held, shared = np.empty((0, self.channels), sound.precision), view.overlap
        while shared:
            if length - (start + most - shared) < view.window:
                most, shared = length - start, 0
            parts = [held]
            while sum(map(len, parts)) < most:
                parts.append(next(blocks))
            held = np.concatenate(parts)
            yield Clip(sound.name, held[:most], start, length, shared, sound)
            held, start = held[most - shared :], start + most - shared

    def _blocks(self, sound: Sound) -> Iterator[Rows]:
        """Yield the samples of a sound, mixed where channels are, with what is odd in a warning."""
        for block in sound.blocks():
            self._warn_of_clipping(sound, block)
            missing = ~np.isfinite(block)
            if missing.any():
                fate = "count as missing" if sound.rate == self.rate else "are taken for silence"
                self._say("finite", f"{sound.name} has samples that are not finite: they {fate}.")
                block = np.where(missing, np.nan if sound.rate == self.rate else 0, block)
            mixed = block.mean(1, keepdims=True) if self.channels == 1 else block
            yield mixed.astype(sound.precision, copy=False)

    def _warn_of_clipping(self, sound: Sound, block: Rows) -> None:
        full = np.abs(block) >= sound.full
        if full.sum() < RUN:
            return
        runs = np.lib.stride_tricks.sliding_window_view(np.pad(full, [(0, RUN), (0, 0)]), RUN, 0)
        if runs.all(-1).any():
            self._say(
                "clipped",
                f"{sound.name} is clipped: it has runs of samples at full scale; record it at a "
                "lower level, or expect distortion.",
            )

    def _say(self, what: str, message: str) -> None:
        """Warn of the first sound of which something is to be said."""
        if what not in self._said:
            self._said.add(what)
            warn(message)


def in_windows(data: T, seconds: float | None) -> T | Sounds:
    """Return sound as windows of samples, of so many seconds where none were given.

    Anything else, and with None all data, stays as it is.

    Raises
    ------
    DataError
        If the sound was described as of another view.
    """
    if seconds is None or not isinstance(data, Sounds):
        return data
    _, given = data.given
    view = Waveform.of(data.rate, [], given or seconds)
    return data.seen_by(view, data.channels)


def _other(name: str, fitted: object, given: object) -> DataError:
    """Return the error for an option that is not the model's."""
    return DataError(
        f"The model was fitted on sound with {name}={fitted!r}: it cannot take it with "
        f"{name}={given!r}."
    )


def starts_of(length: int, view: SoundView) -> NDArray[np.intp]:
    """Return the first samples of the windows of a clip, of which the last ends with it.

    Examples
    --------
    >>> from attar.data.views import Waveform
    >>> starts_of(30, Waveform(8000, 16)), starts_of(10, Waveform(8000, 16))
    (array([ 0, 14]), array([0]))
    """
    last = max(0, length - view.window)
    return np.append(np.arange(0, last, view.stride), last)


def _sounds_of(
    source: object, rate: int | None, column: str | None, label: str | None
) -> tuple[list[Sound], Rows | None]:
    """Return the sounds of a source, and a label of each, where there are labels."""
    if isinstance(source, Clips):
        return [
            Signal.of(x, clip.name, source.rate)
            for x, clip in zip(source, source.clips, strict=True)
        ], None
    if isinstance(source, pd.Series):
        source = source.tolist()
    if isinstance(source, SupportsArrow):
        return _sounds_of_table(source, column, label)
    if column is not None or label is not None:
        raise DataError("column and label are of a table with a column of paths: leave them out.")
    if isinstance(source, str | os.PathLike):
        return _sounds_of_path(file_at(source))
    if isinstance(source, np.ndarray):
        return _signals([source], rate), None
    if not isinstance(source, Sequence) or not len(source):
        raise DataError(
            f"{type(source).__name__!r} is no sound: give a folder, a file, a table with a column "
            "of paths, or arrays with a rate."
        )
    if all(isinstance(item, str | os.PathLike) for item in source):
        return _recordings([file_at(item) for item in source]), None
    return _signals(source, rate), None


def _sounds_of_table(
    source: SupportsArrow, column: str | None, label: str | None
) -> tuple[list[Sound], Rows | None]:
    frame = source if isinstance(source, pd.DataFrame) else pa.table(source).to_pandas()
    for name in (column, label):
        if name is not None and name not in frame.columns:
            raise DataError(str(unknown("column", name, map(str, frame.columns))))
    if column is None:
        raise DataError("Sound in a table is a column of paths: name it with column=.")
    if frame[column].isna().any():
        raise DataError(f"Column {column!r} lacks paths: leave these rows out.")
    labels = None if label is None else frame[label].to_numpy()
    return _recordings([file_at(str(path)) for path in frame[column]]), labels


def _sounds_of_path(path: Path) -> tuple[list[Sound], Rows | None]:
    if not path.is_dir():
        return _recordings([path]), None
    paths = list(files_in(os.fspath(path), SUFFIXES))
    if not paths:
        raise DataError(f"{path} holds no sound: attar reads {', '.join(SUFFIXES)}.")
    names = [Path(file).relative_to(path).as_posix() for file in paths]
    sounds = [Recording.of(*pair) for pair in zip(paths, names, strict=True)]
    tops = [name.partition("/")[0] for name in names if "/" in name]
    several = len(tops) == len(names) and len(set(tops)) > 1
    return list(sounds), np.array(tops) if several else None


def _recordings(paths: Sequence[Path]) -> list[Sound]:
    """Return sound files, named from the folder that has all of them."""
    for path in paths:
        if not path.exists():
            raise FileError(f"There is no file {path}.")
    whole = [os.path.abspath(path) for path in paths]
    twice = next((path for path, n in Counter(whole).items() if n > 1), None)
    if twice is not None:
        raise DataError(f"{twice} is there twice: name each file once.")
    folder = os.path.commonpath([os.path.dirname(path) for path in whole])
    names = [PurePosixPath(os.path.relpath(path, folder)).as_posix() for path in whole]
    return [Recording.of(str(path), name) for path, name in zip(paths, names, strict=True)]


def _signals(arrays: Sequence[object], rate: int | None) -> list[Sound]:
    if rate is None:
        raise SettingError("Arrays of sound need the samples a second: give rate=.")
    return [Signal.of(array, f"clip_{i}", rate) for i, array in enumerate(arrays)]


def _with_samples(sounds: list[Sound], labels: Rows | None) -> tuple[list[Sound], Rows | None]:
    """Return the sounds that have samples, with a warning of the others, and their labels."""
    empty = [sound.name for sound in sounds if not sound.samples]
    if len(empty) == len(sounds):
        raise DataError(f"{empty[0]} has no samples: give sound that has some.")
    if not empty:
        return sounds, labels
    more = f" and {len(empty) - 1} more" if len(empty) > 1 else ""
    warn(f"{empty[0]}{more} without samples: left out.")
    kept = [i for i, sound in enumerate(sounds) if sound.samples]
    return [sounds[i] for i in kept], None if labels is None else labels[kept]


def _common_rate(sounds: Sequence[Sound]) -> int:
    """Return the most common rate, the highest of several, with a warning if it is not the only."""
    counts = Counter(sound.rate for sound in sounds)
    rate = max(counts, key=lambda rate: (counts[rate], rate))
    words = f"the most common rate of {rate:,} Hz; give rate= (--rate) for another"
    _warn_of_rates(sounds, rate, words)
    return rate


def _warn_of_rates(sounds: Sequence[Sound], rate: int, words: str) -> None:
    others = [sound for sound in sounds if sound.rate != rate]
    if others:
        warn(
            f"{len(others):,} of {len(sounds):,} sounds, such as {others[0].name} "
            f"({others[0].rate:,} Hz), are resampled to {words}."
        )


def _common_channels(sounds: Sequence[Sound], choice: str | None) -> int:
    most = max(sound.channels for sound in sounds)
    if choice == "all":
        _require_channels(sounds, most)
        return most
    if choice is None and most > 1:
        first = next(sound for sound in sounds if sound.channels > 1)
        warn(
            f"{first.name} has {first.channels} channels, which are mixed to one: give "
            "channels='mono' to have it so, or channels='all' (--channels all) to keep them."
        )
    return 1


def _require_channels(sounds: Sequence[Sound], channels: int) -> None:
    """Refuse sounds of another number of channels, unless they are mixed to one."""
    other = next((sound for sound in sounds if sound.channels != channels), None)
    if other is not None and channels > 1:
        raise DataError(
            f"{other.name} has {other.channels} channel{'s' * (other.channels > 1)}, where "
            f"{channels} belong: convert it, or fit with channels='mono'."
        )
