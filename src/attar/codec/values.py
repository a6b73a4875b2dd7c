"""From data to symbols, residues and literals, and back to the very same data."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from attar.codec.exact import Column as AnyColumn
from attar.codec.exact import Exact, array_of, column_of, exact, exact_of, read_cells, write_cells
from attar.codec.indices import read_index, write_index
from attar.codec.literals import LiteralReader, LiteralWriter, damaged, refusing
from attar.codec.symbols import Channels, Mask
from attar.data.columns import frames
from attar.data.columns.arrow import floats, to_arrow
from attar.data.columns.base import Column
from attar.data.images import Images
from attar.data.kind import Json, Kind, back_to
from attar.data.table import MixedTable, NumericTable
from attar.errors import DataError
from attar.likelihoods.alphabets import Alphabet, Array, Integers, Residues
from attar.likelihoods.lattices import EXACT
from attar.likelihoods.memory import Memory


@dataclass(frozen=True)
class Encoded:
    """Some rows of data as what a coder takes.

    Attributes
    ----------
    rows : int
        As the user counts them: of series, points.
    symbols : int array (n, channels, *grid)
        The size of the channel's alphabet where a cell has no symbol.
    residues : array (m,)
        Of the cells whose symbol has residue bits, in the order of the array of symbols.
    literals : bytes
        All else: which cells have no symbol, and what symbols and residues do not restore.
    """

    rows: int
    symbols: Integers
    residues: Residues
    literals: bytes


@dataclass(frozen=True)
class Opened:
    """Literals whose beginning was read.

    Attributes
    ----------
    hidden : bool array (n, channels, *grid)
        Which cells have no symbol.
    form : object
        That of the rows, where it differs from that of the first ones.
    reader : LiteralReader
        Of what the symbols do not restore.
    """

    hidden: Mask
    form: Any
    reader: LiteralReader


class Values(ABC):
    """Data of a kind as symbols, residues and literals.

    ::

        data ── encode ──► symbols, residues, literals
             ◄─ decode ───

    A symbol is one that the model has a probability of, and a residue says which it is of the
    values that share a symbol. What these two do not restore to the last bit is a literal: so the
    data come back, whatever they are, and whatever the alphabets. Of a channel with an error bound,
    numbers that are decoded within the bound are no literals either.

    Attributes
    ----------
    channels : Channels
        Of images, or the cells of a table that have an alphabet.
    of_csv : bool
        Whether the data are the bytes of a CSV file.
    mean_cells : float or None
        Of a row, where rows have not the same number.
    """

    channels: Channels
    of_csv = False
    mean_cells: float | None = None

    @property
    def bounds(self) -> dict[str, float]:
        """The error bounds of columns that have one."""
        return {}

    @abstractmethod
    def encode(self, data: object) -> Encoded:
        """Return rows of data as symbols, residues and literals.

        Raises
        ------
        DataError
            If they are not of the model's kind, or hold objects that cannot be stored.
        """

    @abstractmethod
    def opened(self, n: int, literals: bytes) -> Opened:
        """Return the literals of n rows, read as far as symbols need them.

        Raises
        ------
        FileError
            If they are damaged.
        """

    @abstractmethod
    def decode(self, symbols: Integers, residues: Residues, opened: Opened) -> Any:
        """Return the data that were encoded.

        Raises
        ------
        FileError
            If the literals are damaged.
        """

    @abstractmethod
    def joined(self, parts: Sequence[Any]) -> Any:
        """Return pieces of decoded data as one."""

    @abstractmethod
    def to_json(self) -> Json:
        """Return the form of the data, which :func:`values_from_json` takes, as plain JSON data."""


class ArrayValues(Values):
    """Arrays: tables of numbers, and images.

    Parameters
    ----------
    kind : NumericTable or Images
    alphabets : sequence of Alphabet
        Of each column that is used, or of each channel.
    dtype : str
        That of the first rows.
    memories : sequence of Memory
        Of columns whose values repeat.

    Examples
    --------
    >>> from attar.likelihoods.alphabets import Levels
    >>> images = np.arange(8, dtype=np.uint8).reshape(2, 2, 2)
    >>> values = ArrayValues(Images((2, 2), "uint8"), [Levels()], "|u1")
    >>> encoded = values.encode(images)
    >>> encoded.symbols.shape, len(encoded.literals) < 8
    ((2, 1, 2, 2), True)
    >>> opened = values.opened(2, encoded.literals)
    >>> bool((values.decode(encoded.symbols, encoded.residues, opened) == images).all())
    True
    """

    def __init__(
        self,
        kind: NumericTable | Images,
        alphabets: Sequence[Alphabet],
        dtype: str,
        memories: Sequence[Memory] = (),
    ) -> None:
        self.kind, self.dtype = kind, dtype
        self.channels = Channels(tuple(alphabets), tuple(memories))

    def encode(self, data: object) -> Encoded:
        """Return an array as symbols, residues and literals."""
        array = self._checked(data)
        matrix = array.reshape(len(array), prod(array.shape[1:]))
        rows = self._rows(frames.array_of(matrix).reshape(array.shape))
        symbols, residues = self.channels.encode(rows)
        restored = self._array(self.channels.decode(symbols, residues), array.dtype)
        writer = LiteralWriter()
        dtype = array.dtype.str
        writer.text("" if dtype == self.dtype else dtype)
        hidden = self.channels.hidden(symbols)
        for i in range(hidden.shape[1]):
            writer.places(hidden[:, i].ravel())
        known, cells = exact(restored), exact(array)
        for i, place in enumerate(self._parts(array.shape)):
            bound = self.bounds.get(f"x{i}")
            near = None if bound is None else within(array[place], restored[place], bound)
            write_differing(writer, cells[place].ravel(), known[place].ravel(), near)
        return Encoded(len(symbols), symbols, residues, writer.finish())

    def opened(self, n: int, literals: bytes) -> Opened:
        """Return the literals of n rows, read as far as symbols need them."""
        reader = LiteralReader(literals)
        with refusing():
            dtype = np.dtype(reader.text() or self.dtype)
        grid = self._grid
        masks = [reader.places(n * int(np.prod(grid))) for _ in self.channels.alphabets]
        hidden = np.stack([mask.reshape(n, *grid) for mask in masks], 1)
        return Opened(hidden, dtype, reader)

    @refusing()
    def decode(self, symbols: Integers, residues: Residues, opened: Opened) -> NDArray[Any]:
        """Return the array that was encoded."""
        array = self._array(self.channels.decode(symbols, residues), opened.form)
        cells = exact(array)
        for place in self._parts(array.shape):
            part = cells[place]
            cells[place] = read_differing(opened.reader, part.ravel()).reshape(part.shape)
        return array_of(cells, opened.form)

    def joined(self, parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """Return arrays as one."""
        return np.concatenate(parts)

    def to_json(self) -> Json:
        """Return the dtype."""
        return {"dtype": self.dtype}

    @property
    def _grid(self) -> tuple[int, ...]:
        return self.kind.shape[1:] if isinstance(self.kind, Images) else ()

    def _checked(self, data: object) -> NDArray[Any]:
        if frames.is_table(data):
            raise DataError("The model was fitted on an array, not a table: give X.to_numpy().")
        array = np.asarray(data)
        if isinstance(self.kind, Images):
            self.kind.rows(array[:0] if array.ndim else array)
        elif array.ndim != 2 or array.shape[1] != self.kind.width:
            raise frames.misfit(array.shape, self.kind.width)
        return array

    def _rows(self, array: NDArray[Any]) -> Array:
        """Return raw rows: (n, channels, *grid)."""
        if isinstance(self.kind, NumericTable):
            return array[:, [int(cell.name[1:]) for cell in self.kind.cells]].astype(np.float64)
        finite = np.where(np.isfinite(array), array, np.nan) if array.dtype.kind == "f" else array
        return self.kind.rows(finite).astype(np.float64)

    def _array(self, rows: Array, dtype: np.dtype) -> NDArray[Any]:
        """Return raw rows as an array of a dtype."""
        if isinstance(self.kind, NumericTable):
            used = [int(cell.name[1:]) for cell in self.kind.cells]
            whole = np.full((len(rows), self.kind.width), np.nan)
            whole[:, used] = rows
        elif self.kind.first:
            whole = rows
        else:
            whole = rows[:, 0] if len(self.kind.size) == 2 else rows.transpose(0, 2, 3, 1)
        if dtype.kind not in "biuf":
            return whole.astype(dtype)
        if dtype.kind != "f":
            whole = np.where(np.isnan(whole), 0, whole)
        with np.errstate(over="ignore"):
            return back_to(dtype.newbyteorder("="), whole).astype(dtype, copy=False)

    def _parts(self, shape: tuple[int, ...]) -> list[Any]:
        """Return the places of cells that are stored together: columns of a table."""
        if isinstance(self.kind, Images):
            return [...]
        return [(slice(None), i) for i in range(shape[1])]

    @property
    def bounds(self) -> dict[str, float]:
        """The error bounds of columns that have one: of x0, x1, ..."""
        if isinstance(self.kind, Images):
            return {}
        pairs = zip(self.kind.cells, self.channels.bounds, strict=True)
        return {cell.name: bound for cell, bound in pairs if bound}


class TableCells:
    """The cells of a table that have an alphabet, and the columns that follow from them.

    Parameters
    ----------
    kind : MixedTable
    alphabets : sequence of (Alphabet or None)
        Of each cell of the kind.
    memories : sequence of Memory
        Of cells that have an alphabet, counted among these.

    Attributes
    ----------
    bounds : dict
        The error bounds of columns that have one.
    """

    def __init__(
        self,
        kind: MixedTable,
        alphabets: Sequence[Alphabet | None],
        memories: Sequence[Memory] = (),
    ) -> None:
        self.kind = kind
        known = tuple(one for one in alphabets if one is not None)
        self.channels = Channels(known, tuple(memories))
        self._coded = [i for i, one in enumerate(alphabets) if one is not None]
        owners = [column.name for column in kind.fields for _ in column.cells]
        bounds = zip((owners[i] for i in self._coded), self.channels.bounds, strict=True)
        self.bounds = {name: bound for name, bound in bounds if bound}

    def rows(self, table: Mapping[str, pa.ChunkedArray], n: int) -> Array:
        """Return n rows of coded cells; NaN where a value is none of its column's."""
        cells = [_cells(one, table[one.name]) for one in self.kind.fields if one.cells]
        return np.column_stack([np.empty((n, 0)), *cells])[:, self._coded]

    def arrays(self, rows: Array) -> dict[str, pa.Array]:
        """Return the values of all columns, as far as rows of coded cells say."""
        cells = np.full((len(rows), len(self.kind.cells)), np.nan)
        cells[:, self._coded] = rows
        arrays, start = {}, 0
        for column in self.kind.fields:
            stop = start + len(column.cells)
            arrays[column.name] = column.decode(np.asfortranarray(cells[:, start:stop]))
            start = stop
        return arrays


class TableValues(Values):
    """Tables of pandas, polars and pyarrow.

    Parameters
    ----------
    kind : MixedTable
    alphabets : sequence of (Alphabet or None)
        Of each cell of the kind; None: its column is stored as literals.
    format : FrameFormat
        That of the first rows.
    memories : sequence of Memory
        Of cells that have an alphabet, counted among these.

    Examples
    --------
    >>> from attar.likelihoods.alphabets import OneHot
    >>> frame = pd.DataFrame({"colour": ["red", "blue", "red"]})
    >>> values = values_of(MixedTable.fit([frame])[0], [OneHot(2)], frame)
    >>> new = pd.DataFrame({"colour": ["blue", None, "green"]})
    >>> encoded = values.encode(new)
    >>> encoded.symbols.ravel().tolist()
    [0, 2, 2]
    >>> opened = values.opened(3, encoded.literals)
    >>> values.decode(encoded.symbols, encoded.residues, opened).equals(new)
    True
    """

    def __init__(
        self,
        kind: MixedTable,
        alphabets: Sequence[Alphabet | None],
        format: frames.FrameFormat,
        memories: Sequence[Memory] = (),
    ) -> None:
        self.format = format
        self.cells = TableCells(kind, alphabets, memories)
        self.channels = self.cells.channels

    @property
    def bounds(self) -> dict[str, float]:
        """The error bounds of columns that have one."""
        return self.cells.bounds

    def encode(self, data: object) -> Encoded:
        """Return a table as symbols, residues and literals."""
        frame = frames.frame_of(data)
        table = frames.opened(frame)
        format_ = frames.format_of(data, frame, table)
        frames.in_order(table, [column.name for column in self.cells.kind.fields])
        columns = {name: table[name] for name in table.column_names}
        symbols, residues = self.channels.encode(self.cells.rows(columns, len(table)))
        hidden = self.channels.hidden(symbols)
        writer = LiteralWriter()
        same = format_ == self.format
        writer.text("" if same else json.dumps(format_.to_json()))
        if isinstance(frame, pd.DataFrame):
            write_index(writer, frame.index)
        for i in range(hidden.shape[1]):
            writer.places(hidden[:, i])
        restored = self._restored(self.channels.decode(symbols, residues), format_)
        for i, known in enumerate(restored):
            cells = _exact(_column(frame, i), format_.names[i])
            bound, near = self.bounds.get(str(format_.names[i])), None
            if bound is not None:
                near = within(_numbers(_column(frame, i)), _numbers(known), bound)
            write_differing(writer, cells, exact_of(known), near)
        return Encoded(len(symbols), symbols, residues, writer.finish())

    def opened(self, n: int, literals: bytes) -> Opened:
        """Return the literals of n rows, read as far as symbols need them."""
        reader = LiteralReader(literals)
        text = reader.text()
        with refusing():
            format_ = frames.FrameFormat.from_json(json.loads(text)) if text else self.format
        if {*map(str, format_.names)} != {column.name for column in self.cells.kind.fields}:
            raise damaged()
        index = read_index(reader, n) if isinstance(format_, frames.PandasFormat) else None
        masks = [reader.places(n) for _ in self.channels.alphabets]
        hidden = np.stack(masks, 1) if masks else np.zeros((n, 0), bool)
        return Opened(hidden, (format_, index), reader)

    @refusing()
    def decode(self, symbols: Integers, residues: Residues, opened: Opened) -> Any:
        """Return the table that was encoded."""
        format_, index = opened.form
        rows = self.channels.decode(symbols, residues)
        columns = []
        for known in self._restored(rows, format_):
            before = exact_of(known)
            cells = read_differing(opened.reader, before)
            columns.append(_held(known) if cells is before else column_of(cells, known))
        if isinstance(format_, frames.PandasFormat):
            series = {
                i: pd.Series(column, index, dtype, copy=False)
                for i, (column, dtype) in enumerate(zip(columns, format_.dtypes, strict=True))
            }
            return pd.DataFrame(series, index=index).set_axis(format_.labels, axis=1)
        assert isinstance(format_, frames.SchemaFormat)
        return format_.of_table(pa.table(columns, schema=format_.schema))

    def joined(self, parts: Sequence[Any]) -> Any:
        """Return tables as one."""
        return self.format.joined(parts)

    def to_json(self) -> Json:
        """Return the format."""
        return {"format": self.format.to_json()}

    def _restored(self, rows: Array, format_: frames.FrameFormat) -> list[AnyColumn]:
        """Return the columns of a format that follow from rows of coded cells alone."""
        arrays = self.cells.arrays(rows)
        return [
            _column(_closed(one, arrays[name], len(rows)), 0)
            for one, name in zip(_single(format_), map(str, format_.names), strict=True)
        ]


def values_of(
    kind: Kind,
    alphabets: Sequence[Alphabet | None],
    data: object,
    memories: Sequence[Memory] = (),
) -> Values:
    """Return how data of a kind become symbols.

    Parameters
    ----------
    kind : Kind
    alphabets : sequence of (Alphabet or None)
        Of each raw column: each cell of a table, each channel of images.
    data : object
        The first rows, of which the form is stored once for all.
    memories : sequence of Memory
        Of columns whose values repeat.

    Raises
    ------
    DataError
        If the data are not of the kind, or the kind is one that is not compressed.
    """
    if isinstance(kind, MixedTable):
        frame = frames.frame_of(data) if frames.is_table(data) else None
        if frame is None:
            raise DataError("The model was fitted on a table with named columns: give one.")
        format_ = frames.format_of(data, frame, frames.opened(frame))
        return TableValues(kind, alphabets, format_, memories)
    if isinstance(kind, NumericTable | Images):
        known = [one for one in alphabets if one is not None]
        return ArrayValues(kind, known, np.asarray(data).dtype.str, memories)
    raise DataError(
        f"Data of the kind {kind.name!r} are not compressed: give them as a table, an array, or "
        "images."
    )


def values_from_json(
    kind: Kind,
    alphabets: Sequence[Alphabet | None],
    data: Json,
    memories: Sequence[Memory] = (),
) -> Values:
    """Return the values of a form that :meth:`Values.to_json` described.

    Raises
    ------
    FileError
        If it is not of this kind.
    """
    with refusing():
        if isinstance(kind, MixedTable):
            format_ = frames.FrameFormat.from_json(data["format"])
            return TableValues(kind, alphabets, format_, memories)
        if isinstance(kind, NumericTable | Images):
            known = [one for one in alphabets if one is not None]
            return ArrayValues(kind, known, np.dtype(data["dtype"]).str, memories)
    raise damaged()


def _cells(column: Column, array: pa.ChunkedArray) -> Array:
    """Return the raw cells of a column; NaN for values that are of no such column."""
    try:
        cells = column.encode(column.fitting(array))
    except (DataError, pa.ArrowException, OverflowError):
        return np.full((len(array), len(column.cells)), np.nan)
    return np.where(np.isfinite(cells), cells, np.nan)


def _column(frame: frames.Frame, i: int) -> AnyColumn:
    return frame.iloc[:, i] if isinstance(frame, pd.DataFrame) else frame.column(i)


def _exact(column: AnyColumn, name: object) -> Exact:
    try:
        return exact_of(column)
    except DataError as error:
        raise DataError(str(error).replace("A cell", f"Column {str(name)!r}", 1)) from None


def _held(column: AnyColumn) -> Any:
    return column if isinstance(column, pa.ChunkedArray) else column.array


def _single(format_: frames.FrameFormat) -> list[frames.FrameFormat]:
    """Return the formats of single columns."""
    if isinstance(format_, frames.PandasFormat):
        triples = enumerate(zip(format_.dtypes, format_.missing, strict=True))
        return [
            replace(format_, labels=format_.labels[[i]], dtypes=(d,), missing=(m,))
            for i, (d, m) in triples
        ]
    assert isinstance(format_, frames.SchemaFormat)
    pairs = zip(format_.schema, format_.categories, strict=True)
    return [frames.TableFormat(pa.schema([field]), (labels,)) for field, labels in pairs]


def _closed(format_: frames.FrameFormat, array: pa.Array, n: int) -> frames.Frame:
    """Return a column in its own type; one without values if that type has not room for it."""
    name = str(format_.names[0])
    try:
        return format_.close({name: array}, None)
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        return format_.close({name: pa.nulls(n)}, None)


def _numbers(column: AnyColumn) -> NDArray[np.float64]:
    if isinstance(column, pd.Series):
        return floats(pa.chunked_array([to_arrow("", column)]))
    return floats(column)


def within(values: NDArray[Any], known: NDArray[Any], bound: float) -> Mask:
    """Return which values are known as numbers within an error bound.

    Examples
    --------
    >>> within(np.array([1.0, 2.0, np.nan]), np.array([1.1, 2.3, 0.0]), 0.2).tolist()
    [True, False, False]
    """
    exact_integers = values.dtype.kind not in "iu" or np.abs(values.astype(np.float64)) < EXACT
    with np.errstate(invalid="ignore"):
        near = np.abs(values.astype(np.float64) - known.astype(np.float64)) <= bound
    return np.asarray(near & exact_integers)


def write_differing(
    writer: LiteralWriter, cells: Exact, known: Exact, near: Mask | None = None
) -> None:
    """Add those cells that differ from what is known, and are not near enough."""
    differs = np.asarray(cells != known)
    if near is not None:
        differs &= ~near
    writer.places(differs)
    if differs.any():
        write_cells(writer, cells[differs])


def read_differing(reader: LiteralReader, known: Exact) -> Exact:
    """Return cells, of which those that differ from what is known are read."""
    differs = reader.places(len(known))
    if not differs.any():
        return known
    cells = known.copy()
    cells[differs] = read_cells(reader, int(differs.sum()), known.dtype)
    return cells
