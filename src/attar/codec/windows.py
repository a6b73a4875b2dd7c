"""Series as windows of symbols, one beside the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from attar.codec.csv_bytes import CsvLayout, CsvValues
from attar.codec.literals import refusing
from attar.codec.symbols import Mask
from attar.codec.values import Encoded, Opened, TableValues, Values, values_from_json, values_of
from attar.data.columns import frames
from attar.data.columns.arrow import TEXT
from attar.data.columns.base import Column, DroppedColumn
from attar.data.columns.numbers import NumberColumn
from attar.data.kind import Json
from attar.data.points import LongTable
from attar.data.series import Windows
from attar.data.table import MixedTable
from attar.errors import DataError
from attar.likelihoods.alphabets import Alphabet, Integers, Residues


class SeriesValues(Values):
    """A table, or a CSV file, with a row for each point of a series: windows side by side.

    Symbols are (windows, channels, steps), in the order of the rows; the last window may not be
    full. All columns but the channels are literals: regular times take a few bytes.

    Parameters
    ----------
    points : TableValues or CsvValues
        The rows of the table.
    window : int

    Examples
    --------
    >>> import attar
    >>> import pandas as pd
    >>> from attar.likelihoods.alphabets import Levels
    >>> days = pd.date_range("2024-01-01", periods=7)
    >>> table = pd.DataFrame({"day": days, "load": [0, 1, 2, 3, 2, 1, 0]})
    >>> kind, _ = Windows.of([attar.Series(table, time="day", window=3)])
    >>> values = series_values(kind, [Levels(4)], table)
    >>> encoded = values.encode(table)
    >>> encoded.symbols.tolist()
    [[[0, 1, 2]], [[3, 2, 1]], [[0, 4, 4]]]
    >>> opened = values.opened(7, encoded.literals)
    >>> values.decode(encoded.symbols, encoded.residues, opened).equals(table)
    True
    """

    def __init__(self, points: TableValues | CsvValues, window: int) -> None:
        self.points, self.window = points, window
        self.channels, self.of_csv = points.channels, points.of_csv

    @property
    def bounds(self) -> dict[str, float]:
        """The error bounds of channels that have one."""
        return self.points.bounds

    def encode(self, data: object) -> Encoded:
        """Return rows as windows of symbols, residues and literals."""
        encoded = self.points.encode(data)
        spread = self.channels.spread(encoded.symbols, encoded.residues)
        sizes = np.array([alphabet.size for alphabet in self.channels.alphabets], np.int64)
        symbols = self._cut(encoded.symbols, sizes)
        residues = self.channels.kept(symbols, self._cut(spread, np.zeros(len(sizes), np.uint64)))
        return Encoded(encoded.rows, symbols, residues, encoded.literals)

    def opened(self, n: int, literals: bytes) -> Opened:
        """Return the literals of n points, read as far as symbols need them."""
        opened = self.points.opened(n, literals)
        hidden: Mask = self._cut(opened.hidden, np.ones(opened.hidden.shape[1], bool))
        return Opened(hidden, (n, opened), opened.reader)

    @refusing()
    def decode(self, symbols: Integers, residues: Residues, opened: Opened) -> Any:
        """Return the rows that were encoded."""
        count, points = opened.form
        spread = self._joined(self.channels.spread(symbols, residues), count)
        rows = self._joined(symbols, count)
        return self.points.decode(rows, self.channels.kept(rows, spread), points)

    def joined(self, parts: Sequence[Any]) -> Any:
        """Return pieces as one."""
        return self.points.joined(parts)

    def to_json(self) -> Json:
        """Return the form of the table."""
        return {"kind": self.points.cells.kind.to_json(), "points": self.points.to_json()}

    def _cut(self, rows: NDArray[Any], rest: NDArray[Any]) -> NDArray[Any]:
        """Return rows (n, channels) as windows, the last one filled up: (m, channels, steps)."""
        empty = -len(rows) % self.window
        whole = np.concatenate([rows, np.tile(rest, (empty, 1))])
        return whole.reshape(-1, self.window, rows.shape[1]).transpose(0, 2, 1)

    def _joined(self, windows: NDArray[Any], count: int) -> NDArray[Any]:
        rows = windows.transpose(0, 2, 1).reshape(-1, windows.shape[1])
        return np.ascontiguousarray(rows[:count])


def series_values(kind: Windows, alphabets: Sequence[Alphabet], data: object) -> SeriesValues:
    """Return how tables with a row for each point become windows of symbols.

    Parameters
    ----------
    kind : Windows
    alphabets : sequence of Alphabet
        Of the channels that are used.
    data : table, or bytes of a CSV file
        The first rows.

    Raises
    ------
    DataError
        If they lack a channel, or the kind is that of arrays, or of series each standardized by
        itself.
    """
    if not isinstance(kind.form, LongTable) or any(kind.typical):
        raise DataError(
            "Series are compressed as tables with a row for each point, whose channels share one "
            "scale: give such a table, or compress it with a model of a table."
        )
    channels = [str(kind.form.channels[i]) for i in kind.channels_used]
    if isinstance(data, bytes):
        layout = CsvLayout.of(data, names=channels)
        types = {name: pa.float64() if name in channels else TEXT for name in layout.names}
        frame = pa.table([pa.nulls(0, type_) for type_ in types.values()], [*types])
    elif not frames.is_table(data):
        raise DataError("The model was fitted on a table with a row for each point: give one.")
    else:
        frame = frames.opened(frames.frame_of(data))
        types = {field.name: field.type for field in frame.schema}
    frames.in_order(frame, [*channels, *(name for name in types if name not in channels)])
    fields: list[Column] = [NumberColumn(name, types[name]) for name in channels]
    rest = [name for name in types if name not in channels]
    fields += [DroppedColumn(name, types[name], "it is no channel") for name in rest]
    table = MixedTable(frames.format_of(frame, frame, frame), tuple(fields))
    if isinstance(data, bytes):
        return SeriesValues(CsvValues.of(table, alphabets, data), kind.window)
    values = values_of(table, alphabets, data)
    assert isinstance(values, TableValues)
    return SeriesValues(values, kind.window)


def series_from_json(kind: Windows, alphabets: Sequence[Alphabet], data: Json) -> SeriesValues:
    """Return the values of a form that :meth:`SeriesValues.to_json` described."""
    with refusing():
        table = MixedTable.read(data["kind"])
        points: Values
        if "layout" in data["points"]:
            points = CsvValues.from_json(table, alphabets, data["points"])
        else:
            points = values_from_json(table, alphabets, data["points"])
        assert isinstance(points, TableValues | CsvValues)
        return SeriesValues(points, kind.window)
