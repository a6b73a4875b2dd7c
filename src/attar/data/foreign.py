"""Data sets of other libraries: those of torch, and those of Hugging Face."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc as ipc
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from attar.data.files.base import MAX_ROWS, FileStream, rows_of_a_piece
from attar.data.files.tabular import FeatherStream
from attar.data.kind import Rows
from attar.data.stream import Stream
from attar.errors import DataError
from attar.remote import Copied, file_at


@dataclass(frozen=True)
class Items(Stream):
    """The items of a data set, in pieces: arrays of one shape, of which a label is left out.

    Parameters
    ----------
    items : iterable
        Of arrays, tensors or pictures, or of pairs of one and its label; the same in each pass.
    number : int or None
        How many they are, where that is known.
    """

    items: Iterable[object]
    number: int | None

    def __iter__(self) -> Iterator[Rows]:
        rows = (row for row, _ in map(_pair, self.items))
        while piece := list(islice(rows, self._length)):
            yield _stacked(piece)

    @cached_property
    def _first(self) -> Rows:
        for item in self.items:
            return _pair(item)[0]
        raise DataError(f"{type(self.items).__name__} holds no items: give one at least.")

    @property
    def _length(self) -> int:
        return rows_of_a_piece(self._first.nbytes)

    @property
    def bytes(self) -> int | None:
        """Those of the first item for each, where their number is known."""
        return None if self.number is None else self._first.nbytes * self.number

    @property
    def fingerprint(self) -> str:
        """The type, the size, and the first item."""
        first = hashlib.sha256(self._first.tobytes()).hexdigest()
        return f"{type(self.items).__name__} {self.number} {first}"

    def read(self) -> tuple[Rows, Rows | None]:
        """Return all rows, and their labels where all have one."""
        pairs = list(map(_pair, self.items))
        labels = [label for _, label in pairs if label is not None]
        rows = _stacked([row for row, _ in pairs])
        return rows, np.array(labels) if len(labels) == len(pairs) else None


class DatasetRows(Copied):
    """A data set of Hugging Face, as an Arrow file.

    Parameters
    ----------
    dataset : datasets.Dataset or datasets.IterableDataset
    """

    name = "rows.arrow"

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __str__(self) -> str:
        return f"the {type(self.dataset).__name__}"

    def _fetched(self, folder: Path) -> Path:
        copy, writer = folder / self.name, None
        try:
            for table in self.dataset.with_format("arrow").iter(MAX_ROWS):
                table = _with_classes(table, self.dataset.features or {})
                writer = writer or ipc.new_file(copy, table.schema)
                writer.write_table(table)
        finally:
            if writer is not None:
                writer.close()
        if writer is None:
            raise DataError(f"{self} holds no rows: give one at least.")
        return copy


def opened(data: object) -> FileStream | Items | None:
    """Return a data set of torch or Hugging Face as a stream; None of all else.

    Raises
    ------
    DataError
        If it holds more than rows, or several data sets.
    """
    if type(data).__module__.partition(".")[0] == "datasets" and hasattr(data, "with_format"):
        return _hugging_face(data)
    if isinstance(data, DataLoader):
        raise DataError("A DataLoader is no data: give its data set, loader.dataset.")
    if isinstance(data, Dataset):
        return Items(data, _number(data))  # type: ignore[arg-type]  # torch has no type for it
    return None


def _hugging_face(data: Any) -> FileStream | Items:
    if isinstance(data, Mapping):
        first = next(iter(data), "train")
        raise DataError(
            f"A {type(data).__name__} holds the data sets {', '.join(data)}: give one of them, "
            f"such as X[{first!r}]."
        )
    kinds = {name: type(feature).__name__ for name, feature in (data.features or {}).items()}
    pictures = [name for name, kind in kinds.items() if kind == "Image"]
    labels = [name for name, kind in kinds.items() if kind == "ClassLabel"]
    if len(pictures) == 1 and len(kinds) == 1 + len(labels) <= 2:
        return Items(_Pictures(data, pictures[0], *labels), _number(data))
    return FeatherStream(file_at(DatasetRows(data)))


@dataclass(frozen=True)
class _Pictures:
    """The pictures of a data set of Hugging Face, with their labels."""

    data: Any
    picture: str
    label: str | None = None

    def __iter__(self) -> Iterator[tuple[object, object]]:
        names = None if self.label is None else self.data.features[self.label].names
        for item in self.data:
            label = None if names is None else names[item[self.label]]
            yield item[self.picture], label


def _number(data: object) -> int | None:
    return len(data) if isinstance(data, Sized) else None


def _pair(item: object) -> tuple[Rows, Any]:
    """Return the row of an item, and its label or None.

    Raises
    ------
    DataError
        If it holds more.
    """
    row, label, *more = (*item, None, None) if isinstance(item, tuple | list) else (item, None)
    if any(one is not None for one in more) or isinstance(item, Mapping) or np.ndim(_array(label)):
        raise DataError(
            "An item of the data set holds more than a row and its label: give an array of the "
            "rows, such as dataset.tensors[0] or dataset.data."
        )
    value = _array(label)
    return _array(row), None if label is None else value.item()


def _array(value: Any) -> Rows:
    return value.numpy(force=True) if isinstance(value, Tensor) else np.asarray(value)


def _stacked(rows: list[Rows]) -> Rows:
    shapes = sorted({str(row.shape) for row in rows})
    if len(shapes) > 1:
        raise DataError(
            f"The items of the data set have different shapes ({', '.join(shapes[:4])}): bring "
            "them to one."
        )
    return np.stack(rows)


def _with_classes(table: pa.Table, features: Mapping[str, Any]) -> pa.Table:
    """Return a table with the names of classes in place of their numbers."""
    for i, name in enumerate(table.column_names):
        if type(features.get(name)).__name__ == "ClassLabel":
            names = pa.array(features[name].names)
            places = table.column(i).combine_chunks().cast(pa.int32())
            known = pc.if_else(pc.less(places, 0), None, places)
            table = table.set_column(i, name, pa.DictionaryArray.from_arrays(known, names))
    return table
