"""Open what a user points at: a path, a folder, an object in memory, or a data set by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from attar.data import datasets
from attar.data.files.arrays import NpyStream
from attar.data.files.filestream import FileStream, readable
from attar.data.files.idx import read_idx
from attar.data.files.tabular import STREAMS as TABLES
from attar.data.images import Images
from attar.data.kind import Kind, Rows
from attar.data.pictures.folder import Pictures
from attar.data.series import SeriesData
from attar.data.stream import Stream
from attar.errors import DataError, FileError, unknown

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
    if isinstance(source, SeriesData):
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
