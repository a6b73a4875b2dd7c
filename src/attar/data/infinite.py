"""Infinities, taken for missing values where the user wants that."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from attar.data.pictures.folder import Pictures
from attar.data.series import SeriesData
from attar.data.stream import Stream
from attar.errors import AttarWarning


def without_infinities(data: Any) -> Any:
    """Return data with its infinite values missing, and warn of how many there were."""
    if isinstance(data, Pictures):
        return data  # pixels are whole numbers
    if isinstance(data, SeriesData):
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
