"""Read data from anything: arrays, frames, files, folders and data sets by name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from attar.data import datasets, foreign
from attar.data.arrays import native
from attar.data.clips import Clips
from attar.data.files.arrays import NpyStream, read_idx
from attar.data.files.base import FileStream, files_in, readable
from attar.data.files.csv import Csv
from attar.data.files.several import Files, matching
from attar.data.files.tabular import STREAMS as TABLES
from attar.data.images import Images
from attar.data.kind import Kind, Rows
from attar.data.lines import SUFFIXES as TEXTS
from attar.data.lines import Lines
from attar.data.pictures import SUFFIXES, Pictures
from attar.data.recordings import SoundWindows
from attar.data.series import Series
from attar.data.sounds import SUFFIXES as SOUNDS
from attar.data.sounds import Sounds
from attar.data.sparse import Sparse
from attar.data.stream import Share, Stream, SupportsArrow, Tabular
from attar.data.text import Text
from attar.errors import DataError, FileError, unknown, warn
from attar.remote import file_at

# Whatever holds rows: an object in memory, a path, or the name of a data set.
Data = Tabular | Series | Sparse | Clips

# A file of more bytes is streamed, as in memory it may take many times as many. Where the size in
# memory is known, as of arrays and pictures, data of more bytes there is.
MAX_FILE, MAX_MEMORY = 1 << 25, 1 << 28


@dataclass(frozen=True)
class Source:
    """Data as the user has it.

    Attributes
    ----------
    data : array, table, Series, or Stream of arrays or tables
    labels : array (n,) or None
        A label of each row, where the source has them; never used in training.
    description : str
        What was recognized of a CSV file; empty for all else.
    part : str
        ``"test"`` for the test rows of a data set by name; else empty.
    """

    data: Data
    labels: Rows | None = None
    description: str = ""
    part: str = ""


def read(
    source: Data | Source, part: str = "train", label: str | None = None, kind: Kind | None = None
) -> Source:
    """Return the data of a path, a data set's name, or an object in memory.

    Parameters
    ----------
    source : str, Path, table, array, sparse matrix, Series, Stream, or Source
    part : str
        The part of a data set by name, where the name doesn't have it: ``"train"`` or ``"test"``.
    label : str or None
        The column of a table that holds labels.
    kind : Kind or None
        The form that a fitted model takes: a folder's pictures are converted to it.

    Raises
    ------
    FileError
        If there is no such file, or it cannot be read.
    DataError
        If its content cannot be used as data.

    Examples
    --------
    >>> source = read("digits/test")
    >>> source.data.shape, source.labels.shape
    ((360, 8, 8), (360,))
    """
    if isinstance(source, Source):
        return with_label(source, label)
    if isinstance(source, Series):
        inner = read(source.data, part, label)
        assert not isinstance(inner.data, Series | Sparse | Clips)
        return replace(inner, data=replace(source, data=inner.data))
    if isinstance(source, Sparse):
        matrix = read(source.matrix, part).data
        if not isinstance(matrix, sparse.sparray | sparse.spmatrix):
            raise DataError(
                f"attar.Sparse takes a scipy.sparse matrix, not {type(matrix).__name__}: convert "
                "it, or fit on it as it is."
            )
        return Source(replace(source, matrix=matrix))
    if isinstance(source, Pictures):
        if source.bytes <= MAX_MEMORY:
            source.read()
        return with_label(Source(source, source.labels), label)
    if isinstance(source, Sounds):
        sounds = kind.sounds(source) if isinstance(kind, SoundWindows) else source
        if sounds.bytes <= MAX_MEMORY:
            sounds.keep()
        return with_label(Source(sounds, sounds.labels), label)
    if isinstance(source, Clips):
        return with_label(Source(source), label)
    if isinstance(source, Lines):
        lines = kind.lines(source) if isinstance(kind, Text) else source
        return with_label(Source(lines), label)
    if isinstance(source, FileStream):
        return with_label(_of_stream(source), label)
    if isinstance(source, list | tuple) and source and isinstance(source[0], os.PathLike):
        return read(Files(source), label=label)
    if not isinstance(source, str | os.PathLike):
        return with_label(_of_object(source), label)
    name, _, own_part = str(source).partition("/")
    if name in datasets.DATASETS and not Path(source).exists():
        part = own_part or part
        data, labels = datasets.load(name, part)
        return with_label(Source(data, labels, part="test" * (part == "test")), label)
    path, *others = matching(file_at(source))
    if others:
        return read(Files([path, *others]), label=label)
    if path.is_dir():
        tables = list(files_in(os.fspath(path), tuple(TABLES)))
        if tables and not any(files_in(os.fspath(path), (*SUFFIXES, *SOUNDS))):
            return read(Files(tables), label=label)
    if path.is_dir() or path.name.lower().endswith(SOUNDS):
        return read(_files(path, kind), label=label, kind=kind)
    if not path.exists():
        raise FileError(
            f"There is no file {path}, and no data set of that name "
            f"({', '.join(datasets.DATASETS)})."
        )
    return with_label(_opened(path, kind), label)


def _files(path: Path, kind: Kind | None) -> Pictures | Sounds:
    """Return a folder's pictures or sound, whichever it has, as a model takes them.

    Raises
    ------
    DataError
        If it has both, and no model says which.
    """
    if isinstance(kind, Images) and path.is_dir():
        return kind.pictures(path)
    if isinstance(kind, SoundWindows):
        return kind.sounds(path)
    if not path.is_dir():
        return Sounds(path)
    picture, sound = (
        next(files_in(os.fspath(path), suffixes), None) for suffixes in (SUFFIXES, SOUNDS)
    )
    if picture is not None and sound is not None:
        raise DataError(
            f"{path} holds pictures and sound, such as {picture} and {sound}: give "
            "attar.Pictures(path) or attar.Sounds(path), or --view for sound."
        )
    return Pictures(path) if sound is None else Sounds(path)


def _opened(path: Path, kind: Kind | None) -> Source:
    name = path.name.lower()
    if isinstance(kind, Text) and (name.endswith(TEXTS) or kind.split):
        return Source(kind.lines(path))
    for suffix, stream in STREAMS.items():
        if name.endswith(suffix):
            return _of_stream(stream(path))
    if name.endswith(TEXTS):
        return _of_stream(Lines(path))
    for suffix, reader in READERS.items():
        if name.endswith(suffix):
            with readable(path):
                opened = reader(path)
            return replace(opened, data=native(opened.data))
    if path.name.lower().endswith(SUFFIXES):
        raise FileError(
            f"{path} is one picture: give the path of its folder, or "
            "np.asarray(PIL.Image.open(path))[None]."
        )
    suffixes = ", ".join((*STREAMS, *TEXTS, *READERS))
    raise FileError(f"{path} has a suffix that attar does not read: use one of {suffixes}.")


def _of_object(data: Any) -> Source:
    """Return the rows of an object in memory, or of a data set of torch or Hugging Face."""
    found = foreign.opened(data)
    if found is None:
        return Source(native(data))
    if isinstance(found, FileStream):
        return _of_stream(found)
    small = found.bytes is not None and found.bytes <= MAX_MEMORY
    return Source(*found.read()) if small else Source(found)


def _of_stream(stream: FileStream) -> Source:
    """Return the rows of a file: in memory, where they take little."""
    data = stream if _is_large(stream) else stream.read()
    return Source(data, description=stream.description if isinstance(stream, Csv) else "")


def _is_large(stream: FileStream) -> bool:
    if stream.bytes is None:
        return stream.size > MAX_FILE
    return stream.bytes > MAX_MEMORY


def has_column(data: Data, name: str) -> bool:
    """Return whether data are a table, of pandas or streamed, with a column of this name."""
    frame = next(iter(data)) if isinstance(data, Stream) else data
    return isinstance(frame, pd.DataFrame) and name in frame.columns


def with_label(source: Source, label: str | None) -> Source:
    """Return a source whose labels are a column of its table; None leaves it as it is.

    Raises
    ------
    DataError
        If it is no table, or has no such column.
    """
    if label is None:
        return source
    data = source.data
    frame = next(iter(data)) if isinstance(data, Stream) else data
    if not isinstance(frame, pd.DataFrame):
        raise DataError(f"The data is no table with named columns, so it has no column {label!r}.")
    if label not in frame.columns:
        raise DataError(str(unknown("column", label, map(str, frame.columns))))
    if isinstance(data, Stream):
        return replace(source, data=WithoutColumn(data, label))
    return replace(source, data=frame.drop(columns=label), labels=frame[label].to_numpy())


def without_labels(source: Source, label: str | None, of_fit: str | None) -> Source:
    """Return a source without its column of labels, by default that of the fit, if it has it."""
    if label is None and of_fit is not None and has_column(source.data, of_fit):
        label = of_fit
    return with_label(source, label)


@dataclass(frozen=True)
class WithoutColumn(Stream):
    """A stream of tables without one of their columns."""

    stream: Stream
    column: str

    def __iter__(self) -> Iterator[pd.DataFrame]:
        return self._without(self.stream)

    @property
    def fingerprint(self) -> str:
        """The stream's, and the column."""
        return f"{self.stream.fingerprint} without {self.column}"

    def share(self) -> Share | None:
        """Return the stream's share without the column."""
        share = self.stream.share()
        return share and Share(partial(self._without, share), share.start)

    def _without(self, pieces: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for piece in pieces:
            yield piece.drop(columns=self.column)


def _npz(path: Path) -> Source:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        names = archive.files
        if not names:
            raise DataError(f"{path} holds no array.")
        if {"format", "shape", "data"} <= set(names):
            return Source(sparse.load_npz(path))
        candidates = [name for name in names if name in ("X", "x", "data", "values", "images")]
        name = candidates[0] if candidates else names[0]
        if not candidates and len(names) > 1:
            raise DataError(
                f"{path} holds the arrays {', '.join(names)}: name the one with the data 'X'."
            )
        labels = next((archive[label] for label in ("y", "labels") if label in names), None)
        return Source(archive[name], None if labels is None else np.ravel(labels))


def _idx(path: Path) -> Source:
    return Source(read_idx(path))


STREAMS: dict[str, Callable[[Path], FileStream]] = {**TABLES, ".npy": NpyStream}

READERS: dict[str, Callable[[Path], Source]] = {
    ".npz": _npz,
    "ubyte": _idx,
    "ubyte.gz": _idx,
    ".idx": _idx,
    ".idx.gz": _idx,
}


def without_infinities(data: Data) -> Data:
    """Return data with infinite values as missing ones, and warn of their number.

    Examples
    --------
    >>> import warnings
    >>> with warnings.catch_warnings(action="ignore"):
    ...     without_infinities(np.array([1.0, np.inf]))
    array([ 1., nan])
    """
    if isinstance(data, Pictures | Sounds | Clips):
        return data  # pixels are integers, and samples that are not finite count as missing
    if isinstance(data, Series):
        finite = without_infinities(data.data)
        assert not isinstance(finite, Series | Sparse | Clips)
        return replace(data, data=finite)
    if isinstance(data, Stream):
        return FiniteStream(data)
    finite, count = _finite(data)
    _warn(count)
    return finite


@dataclass
class FiniteStream(Stream):
    """A stream whose infinite values are missing; the first pass counts them."""

    stream: Stream
    counted: bool = False

    def __iter__(self) -> Iterator[Data]:
        return self._read(self.stream)

    @property
    def bytes(self) -> int | None:
        """The stream's."""
        return self.stream.bytes

    @property
    def fingerprint(self) -> str:
        """The stream's."""
        return self.stream.fingerprint

    def share(self) -> Share | None:
        """Return the stream's share, its infinite values missing."""
        share = self.stream.share()
        return share and Share(partial(self._read, share), share.start)

    def _read(self, pieces: Iterable[Data]) -> Iterator[Data]:
        count = 0
        for piece in pieces:
            finite, found = _finite(piece)
            count += found
            yield finite
        if not self.counted:
            self.counted = True
            _warn(count)


def _warn(count: int) -> None:
    if count:
        warn(f"{count:,} infinite values count as missing.")


def _finite(data: Data) -> tuple[Data, int]:
    """Return data with infinite values as missing ones, and their number."""
    if isinstance(data, pd.DataFrame):
        return _finite_frame(data)
    if isinstance(data, SupportsArrow):
        return _finite_arrow(data)
    try:
        array = np.asarray(data)
    except ValueError:  # rows of different lengths, which are refused elsewhere
        return data, 0
    infinite = np.isinf(array) if array.dtype.kind == "f" else np.zeros(1, bool)
    if not infinite.any():
        return data, 0
    return np.where(infinite, np.nan, array).astype(array.dtype), int(infinite.sum())


def _finite_frame(frame: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    places = [i for i, dtype in enumerate(frame.dtypes) if pd.api.types.is_float_dtype(dtype)]
    infinite = np.isinf(frame.iloc[:, places].to_numpy(np.float64, na_value=np.nan))
    if not infinite.any():
        return frame, 0
    finite = frame.copy(deep=False)
    for place, mask in zip(places, infinite.T, strict=True):
        finite.isetitem(place, frame.iloc[:, place].mask(mask).array)
    return finite, int(infinite.sum())


def _finite_arrow(data: Any) -> tuple[SupportsArrow, int]:
    table, count = pa.table(data), 0
    for i, name in enumerate(table.column_names):
        column = table.column(i)
        if pa.types.is_floating(column.type):
            infinite = pc.fill_null(pc.is_inf(column), False)
            found = pc.sum(infinite).as_py() or 0
            if found:
                count += found
                missing = pa.scalar(None, column.type)
                table = table.set_column(i, name, pc.if_else(infinite, missing, column))
    return table if isinstance(data, pa.Table) else type(data)(table), count
