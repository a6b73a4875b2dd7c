"""Open anything: arrays, frames, files, folders and data sets."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy import sparse

from attar.data import datasets
from attar.data.files.arrays import NpyStream, read_idx
from attar.data.files.base import FileStream, readable
from attar.data.files.tabular import STREAMS as TABLES
from attar.data.images import Images
from attar.data.kind import Kind, Rows
from attar.data.pictures import Pictures
from attar.data.series import Series
from attar.data.stream import Stream
from attar.errors import AttarWarning, DataError, FileError, unknown


class SupportsArray(Protocol):
    """What NumPy makes an array of: arrays, tensors, frames of pandas."""

    def __array__(self) -> NDArray[Any]:
        """Return the values as an array."""


class SupportsArrow(Protocol):
    """What pyarrow makes a table of: frames of polars, pyarrow and pandas."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Return the values as an Arrow stream."""


class SupportsCsr(Protocol):
    """A sparse matrix of SciPy."""

    def tocsr(self) -> Any:
        """Return the matrix as compressed rows."""


# Whatever holds rows: an object in memory, a path, or the name of a data set.
Data = (
    SupportsArray
    | SupportsArrow
    | SupportsCsr
    | Series
    | Stream
    | Sequence[object]
    | pd.DataFrame
    | pd.Series
    | str
    | Path
)


def without_infinities(data: Any) -> Any:
    """Return data with its infinite values missing, and warn of how many there were."""
    if isinstance(data, Pictures):
        return data  # pixels are whole numbers
    if isinstance(data, Series):
        return replace(data, data=without_infinities(data.data))
    if isinstance(data, Stream):
        return FiniteStream(data)
    cleaned, count = _cleaned(data)
    _warn(count)
    return cleaned


@dataclass
class FiniteStream(Stream):
    """A stream whose infinite values are missing; the first time through they are counted."""

    stream: Stream
    counted: bool = False

    def __iter__(self) -> Iterator[Any]:
        count = 0
        for piece in self.stream:
            cleaned, found = _cleaned(piece)
            count += found
            yield cleaned
        if not self.counted:
            self.counted = True
            _warn(count)

    @property
    def bytes(self) -> int | None:
        """How much memory all of it takes, where that is known."""
        return self.stream.bytes

    @property
    def fingerprint(self) -> str:
        """What tells the stream from others."""
        return self.stream.fingerprint


def _warn(count: int) -> None:
    if count:
        warnings.warn(f"{count:,} infinite values count as missing.", AttarWarning, stacklevel=4)


def _cleaned(data: Any) -> tuple[Any, int]:
    if isinstance(data, pd.DataFrame):
        places = [i for i, dtype in enumerate(data.dtypes) if pd.api.types.is_float_dtype(dtype)]
        infinite = np.isinf(data.iloc[:, places].to_numpy(np.float64, na_value=np.nan))
        if not infinite.any():
            return data, 0
        cleaned = data.copy(deep=False)
        for place, wrong in zip(places, infinite.T, strict=True):
            cleaned.isetitem(place, data.iloc[:, place].mask(wrong).array)
        return cleaned, int(infinite.sum())
    if hasattr(data, "__arrow_c_stream__"):
        return _arrow_cleaned(data)
    try:
        array = np.asarray(data)
    except ValueError:  # rows of different lengths, which are refused elsewhere
        return data, 0
    infinite = np.isinf(array) if array.dtype.kind == "f" else np.zeros(1, bool)
    if not infinite.any():
        return data, 0
    return np.where(infinite, np.nan, array).astype(array.dtype), int(infinite.sum())


def _arrow_cleaned(data: Any) -> tuple[Any, int]:
    table, count = pa.table(data), 0
    for i, name in enumerate(table.column_names):
        column = table.column(i)
        if pa.types.is_floating(column.type):
            infinite = pc.fill_null(pc.is_inf(column), False)
            found = pc.sum(infinite).as_py() or 0
            if found:
                count += found
                empty = pa.scalar(None, column.type)
                table = table.set_column(i, name, pc.if_else(infinite, empty, column))
    return table if isinstance(data, pa.Table) else type(data)(table), count


# A packed file of more bytes is streamed: in memory it would take many times as many. Arrays and
# pictures are counted as they are in memory.
HELD, UNPACKED_HELD = 1 << 25, 1 << 28


@dataclass(frozen=True)
class Source:
    """Data as the user has it.

    Attributes
    ----------
    data : array, table, SeriesData, or Stream of arrays or tables
    labels : array (n,) or None
        A label of each row, where the source holds one; never learnt from.
    """

    data: Any
    labels: Rows | None = None


def read(
    source: Any, part: str = "train", label: str | None = None, kind: Kind | None = None
) -> Source:
    """Return the data that a path, a data set's name, or an object in memory stands for.

    Parameters
    ----------
    source : str, Path, table, array, sparse matrix, SeriesData, or Stream
    part : str
        Which part of a data set by name, where the name doesn't say: ``"train"`` or ``"test"``.
    label : str or None
        The column of a table that holds labels.
    kind : Kind or None
        The form that a fitted model takes: a folder's pictures are brought to it.

    Raises
    ------
    FileError
        If there is no such file, or it cannot be read.
    DataError
        If its content is not data that attar knows.
    """
    if isinstance(source, Series):
        inner = read(source.data, part, label)
        return replace(inner, data=replace(source, data=inner.data))
    if isinstance(source, Pictures):
        if (source.bytes or 0) <= UNPACKED_HELD:
            source.whole()
        return Source(source, source.labels)
    if not isinstance(source, str | Path):
        return _with_label(Source(source), label)
    name, _, asked = str(source).partition("/")
    if name in datasets.DATASETS and not Path(source).exists():
        values, labels = datasets.load(name, asked or part)
        return Source(values, labels)
    path = Path(source)
    if path.is_dir():
        return read(kind.pictures(path) if isinstance(kind, Images) else Pictures(path))
    if not path.exists():
        raise FileError(
            f"There is no file {path}, and no data set of that name "
            f"({', '.join(datasets.DATASETS)})."
        )
    return _with_label(_opened(path), label)


def _opened(path: Path) -> Source:
    for suffix, stream in STREAMS.items():
        if path.name.endswith(suffix):
            opened = stream(path)
            return Source(opened if _is_large(opened) else opened.read())
    for suffix, reader in READERS.items():
        if path.name.endswith(suffix):
            with readable(path):
                return reader(path)
    known = ", ".join((*STREAMS, *READERS))
    raise FileError(f"{path} has a suffix that attar does not read: use one of {known}.")


def _is_large(stream: FileStream) -> bool:
    if stream.bytes is None:
        return stream.path.stat().st_size > HELD
    return stream.bytes > UNPACKED_HELD


def _with_label(source: Source, label: str | None) -> Source:
    if label is None:
        return source
    stream = isinstance(source.data, Stream)
    frame = next(iter(source.data)) if stream else source.data
    if not isinstance(frame, pd.DataFrame):
        raise DataError(f"The data is no table with named columns, so it has no column {label!r}.")
    if label not in frame.columns:
        raise DataError(str(unknown("column", label, map(str, frame.columns))))
    if stream:
        return Source(WithoutColumn(source.data, label))
    return Source(frame.drop(columns=label), frame[label].to_numpy())


@dataclass(frozen=True)
class WithoutColumn(Stream):
    """A stream of tables that lack one of their columns."""

    stream: Stream
    column: str

    def __iter__(self) -> Iterator[pd.DataFrame]:
        for piece in self.stream:
            yield piece.drop(columns=self.column)

    @property
    def fingerprint(self) -> str:
        """What tells the stream from others."""
        return f"{self.stream.fingerprint} without {self.column}"


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


STREAMS: dict[str, type[FileStream]] = {**TABLES, ".npy": NpyStream}

READERS: dict[str, Callable[[Path], Source]] = {
    ".npz": _npz,
    "ubyte": _idx,
    "ubyte.gz": _idx,
    ".idx": _idx,
    ".idx.gz": _idx,
}
