"""Gaps: which cells of a table are missing, and the table with others in their place."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from attar.codec.csv_bytes import CsvLayout, CsvLines
from attar.codec.styles import CellStyle, style_of, unquoted
from attar.data.columns.frames import frame_of, is_table, opened
from attar.data.kind import Rows
from attar.data.table import MixedTable, Table

# The decimals of doubles.
MOST_DECIMALS = 15

# How times are written.
DAYS = ("%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d")
TIMES = [day + time for time, day in product(("", " %H:%M", " %H:%M:%S", "T%H:%M:%S"), DAYS)]


def used(table: Table) -> list[tuple[int, slice]]:
    """Return the places of columns that are used, and the raw cells of each."""
    portions = enumerate(table.portions)
    return [(i, one.columns) for i, one in portions if one.columns.stop > one.columns.start]


def gaps_of(table: Table, rows: Rows) -> NDArray[np.bool_]:
    """Return which columns of raw rows (n, cells) are missing: (n, used columns)."""
    return np.stack([np.isnan(rows[:, cells.start]) for _, cells in used(table)], 1)


def mended(table: Table, data: Any, raw: Rows, missing: NDArray[np.bool_]) -> Any:
    """Return a table as the user has it, with values of raw rows where cells are missing.

    All others are those of the user, bit for bit, in their dtypes.

    Parameters
    ----------
    table : Table
    data : array or frame
    raw : array (n, cells)
        Without gaps.
    missing : bool array (n, used columns)
    """
    if not isinstance(table, MixedTable):
        return _mended_array(table, data, raw, missing)
    columns = [column.name for column in table.fields]
    frame = frame_of(data) if is_table(data) else pd.DataFrame(np.asarray(data), columns=columns)
    places = [i for i, _ in used(table)]
    gaps = {table.fields[i].name: missing[:, k] for k, i in enumerate(places)}
    filled = table.restore(raw)
    if isinstance(frame, pd.DataFrame):
        own = frame_of(filled)
        own = own if isinstance(own, pd.DataFrame) else own.to_pandas()
        return mended_frame(frame, own.set_axis(columns, axis=1), gaps)
    known, values, arrays = opened(frame), opened(frame_of(filled)), {}
    for name in known.column_names:
        own, value = _plain(known[name]), _plain(values[name])
        arrays[name] = own
        if name in gaps and gaps[name].any():
            own = own.cast(value.type) if pa.types.is_null(own.type) else own
            arrays[name] = pc.if_else(pa.array(gaps[name]), value.cast(own.type, safe=False), own)
    return table.format.close(arrays, None)


def _mended_array(table: Table, data: Any, raw: Rows, missing: NDArray[np.bool_]) -> Any:
    filled, places = table.restore(raw), [i for i, _ in used(table)]
    if isinstance(data, pd.DataFrame):
        names = [str(name) for name in data.columns]
        own = pd.DataFrame(filled, columns=names)
        return mended_frame(data, own, {names[i]: missing[:, k] for k, i in enumerate(places)})
    array = np.array(data)
    gap = np.zeros(array.shape, bool)
    gap[:, places] = missing
    array[gap] = np.asarray(filled)[gap]
    return array


def mended_frame(
    frame: pd.DataFrame, filled: pd.DataFrame, gaps: Mapping[str, NDArray[np.bool_]]
) -> pd.DataFrame:
    """Return a frame with the values of another one in its gaps, column by column."""
    columns = []
    for i, label in enumerate(frame.columns):
        column, gap = frame.iloc[:, i], gaps.get(str(label), np.zeros(len(frame), bool))
        if gap.any():
            values = pd.Series(filled[str(label)].array, column.index)
            column = values if gap.all() else column.copy()
            column[gap] = values[gap].to_numpy() if column.dtype == object else values[gap]
        columns.append(column)
    return pd.concat(columns, axis=1).set_axis(frame.columns, axis=1)


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def mended_csv(
    table: Table,
    content: bytes,
    before: pd.DataFrame,
    after: pd.DataFrame,
    delimiter: str | None = None,
    encoding: str | None = None,
) -> bytes | None:
    r"""Return a CSV file with cells of a table in place of missing ones, all others as they were.

    New cells are written as others of their column are. None where lines are not rows.

    Parameters
    ----------
    table : Table
    content : bytes
        The file.
    before, after : DataFrame
        Its rows, and with fewer missing cells.
    delimiter, encoding : str or None
        None: they are recognized.

    Examples
    --------
    >>> from attar.data.table import MixedTable
    >>> before = pd.DataFrame({"a": [1.50, np.nan], "b": ["x", "y"]})
    >>> table, _ = MixedTable.fit([before])
    >>> mended_csv(table, b"a;b\n1,50;x\n;y", before, before.fillna(2.25))
    b'a;b\n1,50;x\n2,25;y'
    """
    if not isinstance(table, MixedTable):
        return None
    columns = {column.name: column for column in table.fields}
    layout = CsvLayout.of(content, delimiter, encoding, set(columns))
    text = layout.text(content)
    lines = None if text is None else CsvLines.of(text.removeprefix(layout.head), layout)
    if text is None or lines is None or len(lines) != len(before):
        return None
    head = layout.head if text.startswith(layout.head) else ""
    written = []
    for name, raw in zip(layout.names, lines.columns, strict=True):
        gap = (before[name].isna() & after[name].notna()).to_numpy()
        if gap.any():
            known = [cell for cell, missing in zip(raw, gap, strict=True) if not missing]
            values = after[name][gap]
            if pd.api.types.is_datetime64_any_dtype(values):
                texts = _times(before[name][~gap], known, values)
            else:
                style = style_of(columns[name], known, layout.delimiter, CellStyle())
                if values.dtype.kind == "f":
                    values = values.round(_decimals(known, style.point))
                texts = style.write(pa.array(values), layout.delimiter)
            new = iter(texts)
            raw = [next(new) if missing else cell for cell, missing in zip(raw, gap, strict=True)]
        written.append(raw)
    return layout.bytes(head + replace(lines, columns=written).text(layout))


def _decimals(known: Sequence[str], point: str) -> int:
    """Return the most decimals of numbers as they are written.

    Examples
    --------
    >>> _decimals(["1,5", "2", '"0,125"'], ","), _decimals(["1e-7"], ".")
    (3, 15)
    """
    texts = [unquoted(cell) for cell in known]
    if any("e" in text.lower() for text in texts):
        return MOST_DECIMALS
    found = (re.match(r"\d*", text.partition(point)[2]) for text in texts)
    return max((len(match[0]) for match in found if match), default=0)


def _times(values: pd.Series, texts: list[str], new: pd.Series) -> list[str]:
    """Return times as others of their column are written, else in ISO 8601."""
    some = values.notna().to_numpy()
    texts = [text.strip('"') for text, known in zip(texts, some, strict=True) if known]
    for style in TIMES:
        if values[some].dt.strftime(style).tolist() == texts:
            return list(new.dt.strftime(style))
    return list(new.astype(str))
