"""The index of a DataFrame as bytes, and back."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

from attar.codec.exact import column_of, exact_of, read_cells, write_cells
from attar.codec.literals import LiteralReader, LiteralWriter, damaged
from attar.codec.objects import object_of, text_of
from attar.data.columns.arrow import dtype_from_json, dtype_to_json


def write_index(writer: LiteralWriter, index: pd.Index) -> None:
    """Add an index: a range, or the cells of its levels, with names and types.

    Raises
    ------
    DataError
        If it holds objects that cannot be stored.
    """
    if isinstance(index, pd.RangeIndex):
        writer.number(0)
        writer.text(text_of(index.name))
        for number in (index.start, index.stop, index.step):
            writer.number(2 * number if number >= 0 else -2 * number - 1)
        return
    writer.number(index.nlevels)
    nameless = index.set_names([None] * index.nlevels)  # a level may have another one's number
    for i, name in enumerate(index.names):
        level = nameless.get_level_values(i)
        writer.text(text_of(name))
        if isinstance(level, pd.IntervalIndex):
            writer.text(level.closed)
            _write_cells(writer, level.left)
            _write_cells(writer, level.right)
        else:
            writer.text("")
            _write_cells(writer, level)


def read_index(reader: LiteralReader, n: int) -> pd.Index:
    """Return the next index of n rows."""
    try:
        return _read(reader, n)
    except (KeyError, TypeError, ValueError):
        raise damaged() from None


def _read(reader: LiteralReader, n: int) -> pd.Index:
    levels: list[pd.Index] = []
    count = reader.number()
    if not count:
        name = object_of(reader.text())
        numbers = [reader.number() for _ in range(3)]
        start, stop, step = [x >> 1 if not x & 1 else -(x >> 1) - 1 for x in numbers]
        return pd.RangeIndex(start, stop, step, name=name)
    for _ in range(count):
        name, closed = object_of(reader.text()), reader.text()
        level = _read_cells(reader, n)
        if closed:
            ends: Any = level, _read_cells(reader, n), closed
            level = pd.IntervalIndex.from_arrays(*ends)
        levels.append(level.rename(name))
    if count == 1:
        return levels[0]
    return pd.MultiIndex.from_arrays(levels)


def _write_cells(writer: LiteralWriter, level: pd.Index) -> None:
    writer.text(json.dumps(dtype_to_json(level.dtype)))
    writer.text(getattr(level, "freqstr", None) or "")
    write_cells(writer, exact_of(level))


def _read_cells(reader: LiteralReader, n: int) -> pd.Index:
    dtype, freq = dtype_from_json(json.loads(reader.text())), reader.text()
    like = pd.Index([], dtype=dtype)
    level: Any = pd.Index(column_of(read_cells(reader, n, exact_of(like).dtype), like), dtype=dtype)
    if freq and not isinstance(dtype, pd.PeriodDtype):
        level.freq = freq
    index: pd.Index = level
    return index
