"""Open what a user points at: a path, an array, a frame, or a data set by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from attar.data import datasets
from attar.data.idx import read_idx
from attar.data.images import Images
from attar.data.kind import Kind, Rows
from attar.data.table import Table
from attar.errors import DataError, FileError, unknown


@dataclass(frozen=True)
class Source:
    """Data as the user has it.

    Attributes
    ----------
    data : array or DataFrame
    labels : array (n,) or None
        A label of each row, where the source holds one; never learnt from.
    """

    data: Any
    labels: Rows | None = None


def read(source: Any, part: str = "train", label: str | None = None) -> Source:
    """Return the data that a path, a data set's name, or an object in memory stands for.

    Parameters
    ----------
    source : str, Path, array, DataFrame, or anything that NumPy takes
    part : str
        Which part of a data set by name, where the name doesn't say: ``"train"`` or ``"test"``.
    label : str or None
        The column of a table that holds labels.

    Raises
    ------
    FileError
        If there is no such file, or it cannot be read.
    DataError
        If its content is not data that attar knows.
    """
    if not isinstance(source, str | Path):
        return _with_label(Source(source), label)
    name, _, asked = str(source).partition("/")
    if name in datasets.DATASETS and not Path(source).exists():
        values, labels = datasets.load(name, asked or part)
        return Source(values, labels)
    path = Path(source)
    if path.is_dir():
        raise FileError(f"{path} is a folder: give a file ({', '.join(READERS)}).")
    if not path.exists():
        raise FileError(
            f"There is no file {path}, and no data set of that name "
            f"({', '.join(datasets.DATASETS)})."
        )
    reader = _reader(path)
    try:
        return _with_label(reader(path), label)
    except (FileError, DataError):
        raise
    except PermissionError:
        raise FileError(f"{path} may not be read: change its permissions.") from None
    except pd.errors.EmptyDataError:
        raise DataError(f"{path} is empty: it needs a header line and rows.") from None
    except Exception as error:  # on damaged files readers raise whatever they like
        raise FileError(f"{path} cannot be read: {_first_line(error)}.") from None


def kind_of(data: Any) -> Kind:
    """Return what kind of data this is, with its form.

    Raises
    ------
    DataError
        If it is no kind that attar knows.
    """
    if isinstance(data, pd.DataFrame):
        return Table.of(data)
    if hasattr(data, "tocsr"):
        raise TypeError("Sparse data is not supported yet: convert it with .toarray() if it fits.")
    try:
        dimensions = np.asarray(data).ndim
    except ValueError:
        sizes = sorted({str(np.shape(item)) for item in data})
        raise DataError(
            f"The rows have different shapes ({', '.join(sizes[:4])}): bring them to one."
        ) from None
    if dimensions in (3, 4):
        return Images.of(data)
    if dimensions == 2:
        return Table.of(data)
    raise DataError(
        f"Expected 2D array (rows, columns) or images (rows, height, width[, channels]), got an "
        f"array with {dimensions} dimensions instead. Reshape your data: array.reshape(-1, 1) for "
        "one column, array.reshape(1, -1) for one row."
    )


def _with_label(source: Source, label: str | None) -> Source:
    if label is None:
        return source
    if not isinstance(source.data, pd.DataFrame):
        raise DataError(f"The data is no table with named columns, so it has no column {label!r}.")
    if label not in source.data.columns:
        raise DataError(str(unknown("column", label, map(str, source.data.columns))))
    return Source(source.data.drop(columns=label), source.data[label].to_numpy())


def _reader(path: Path) -> Callable[[Path], Source]:
    for suffix, reader in READERS.items():
        if path.name.endswith(suffix):
            return reader
    raise FileError(
        f"{path} has a suffix that attar does not read: use one of {', '.join(READERS)}."
    )


def _csv(path: Path) -> Source:
    return Source(pd.read_csv(path))


def _parquet(path: Path) -> Source:
    return Source(pd.read_parquet(path))


def _npy(path: Path) -> Source:
    return Source(np.load(path, allow_pickle=False))


def _npz(path: Path) -> Source:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        names = archive.files
        if not names:
            raise DataError(f"{path} holds no array.")
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


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


READERS: dict[str, Callable[[Path], Source]] = {
    ".csv": _csv,
    ".csv.gz": _csv,
    ".parquet": _parquet,
    ".npy": _npy,
    ".npz": _npz,
    "ubyte": _idx,
    "ubyte.gz": _idx,
    ".idx": _idx,
    ".idx.gz": _idx,
}
