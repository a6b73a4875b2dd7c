"""Data in any form: its pieces, how they become symbols, and the bytes that they stand for."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from attar.codec.coding import SymbolCoding, TextCoding
from attar.codec.container import digest_of
from attar.codec.csv_bytes import CsvLayout, CsvValues, csv_pieces
from attar.codec.exact import exact, exact_of
from attar.codec.pictures import PictureValues, in_pieces, pictures_of
from attar.codec.text import TextValues, opened_text, text_bytes
from attar.codec.values import Values, values_from_json, values_of
from attar.codec.windows import SeriesValues, series_from_json, series_values
from attar.data.columns import frames
from attar.data.files.csv import Csv
from attar.data.images import Images
from attar.data.kind import Json, Kind
from attar.data.series import Series, Windows
from attar.data.source import Data, read
from attar.data.stream import Stream
from attar.data.table import MixedTable
from attar.data.text import Text
from attar.errors import DataError, FileError
from attar.remote import file_at

# How much of a CSV file is read to recognize its layout.
BEGINNING = 1 << 20

# Files that are compressed as bytes, where the model is one of a table.
SUFFIXES = (".csv", ".tsv", ".txt")


def opened(X: Data, kind: Kind, coding: SymbolCoding, rows: int) -> tuple[Values, Iterator[Any]]:
    """Return how data become symbols, and the data in pieces of so many rows.

    Raises
    ------
    DataError
        If they are not of the kind.
    FileError
        If there is no such file, or it cannot be read.
    """
    if isinstance(coding, TextCoding):
        return opened_text(X, coding.tables)
    csv = _csv_of(X, kind)
    if csv is not None:
        return _opened_csv(csv, kind, coding, rows)
    if isinstance(kind, Images) and (pictures := pictures_of(X, kind)) is not None:
        names, cells, whole = pictures
        alphabets = [one for one in coding.alphabets if one is not None]
        mean = sum(cells) / max(1, len(cells))
        return PictureValues(kind, alphabets, names, mean), in_pieces(whole, rows)
    data: Any = read(X, part="test", kind=kind).data
    data = data.data if isinstance(data, Series) else data
    if isinstance(data, Stream):
        raise DataError(
            "A file in pieces is compressed as CSV or as an array in memory: give a .csv, or an "
            "array of np.load."
        )
    data = data if frames.is_table(data) else np.asarray(data)
    if not frames.is_table(data) and not data.ndim:
        raise DataError("A single number is not compressed: give rows.")
    starts = range(0, max(1, len(data)), rows)
    pieces = (part_of(data, start, start + rows) for start in starts)
    return values_for(kind, coding, part_of(data, 0, rows)), pieces


def values_for(kind: Kind, coding: SymbolCoding, first: Any, csv: Csv | None = None) -> Values:
    """Return how data become symbols, by the first rows: of a CSV file its bytes.

    Raises
    ------
    DataError
        If they are not of the kind.
    """
    alphabets, memories = coding.alphabets, coding.memories
    if isinstance(kind, Windows):
        return series_values(kind, [one for one in alphabets if one is not None], first)
    if csv is not None and isinstance(kind, MixedTable):
        return CsvValues.of(kind, alphabets, first, csv.delimiter, csv.encoding, memories)
    return values_of(kind, alphabets, first, memories)


def values_from(kind: Kind, coding: SymbolCoding, described: Json) -> Values:
    """Return the values that :meth:`Values.to_json` described.

    Raises
    ------
    FileError
        If they are not of the kind.
    """
    alphabets, memories = coding.alphabets, coding.memories
    if isinstance(coding, TextCoding):
        return TextValues.from_json(coding.tables, described)
    if isinstance(kind, Windows):
        return series_from_json(kind, [one for one in alphabets if one is not None], described)
    if "names" in described and isinstance(kind, Images):
        known = [one for one in alphabets if one is not None]
        return PictureValues.from_json(kind, known, described)
    if "layout" in described and isinstance(kind, MixedTable):
        return CsvValues.from_json(kind, alphabets, described, memories)
    return values_from_json(kind, alphabets, described, memories)


def part_of(data: Any, start: int, stop: int) -> Any:
    """Return some rows of a table or an array, or some pictures."""
    if isinstance(data, pd.DataFrame | pd.Series):
        return data.iloc[start:stop]
    if isinstance(data, np.ndarray | list | tuple):
        return data[start:stop]
    return data.slice(start, stop - start)


def rows_at(data: Any, places: NDArray[np.intp]) -> Any:
    """Return the rows of a table or an array at some places, without their index.

    Raises
    ------
    DataError
        If they are series, whose rows are windows.
    """
    if isinstance(data, Series):
        raise DataError("Series have no rows: give a table with a row for each point.")
    if isinstance(data, pd.DataFrame):
        return data.iloc[places].reset_index(drop=True)
    return pa.table(data).take(places) if frames.is_table(data) else np.asarray(data)[places]


def digest(rows: Any) -> bytes:
    """Return a digest of all that some rows are: values to the last bit, types, and names."""
    if isinstance(rows, bytes):
        return digest_of(rows)
    if isinstance(rows, str):
        return digest_of(rows.encode("utf-8", "surrogatepass"))
    if isinstance(rows, list):
        return digest_of(*map(digest, rows))
    if isinstance(rows, np.ndarray):
        return digest_of(f"{rows.dtype.str}{rows.shape}".encode(), _content(exact(rows)))
    columns = _columns(frames.frame_of(rows))
    head = [f"{name!r} {getattr(column, 'dtype', '')}" for name, column in columns]
    cells = (_content(exact_of(column)) for _, column in columns)
    return digest_of(json.dumps(head).encode(), *cells)


def _columns(frame: frames.Frame) -> list[tuple[object, Any]]:
    """Return the columns of a table, and those of its index, with their names."""
    if not isinstance(frame, pd.DataFrame):
        return [(name, frame.column(name)) for name in frame.column_names]
    columns = [(name, frame.iloc[:, i]) for i, name in enumerate(frame.columns)]
    index = frame.index
    levels = [index.get_level_values(i) for i in range(index.nlevels)]
    return [*columns, *((level.name, level) for level in levels)]


def raw_bytes(X: Data, kind: Kind) -> bytes:
    """Return data as a general compressor gets them: a file, an array, or a table as CSV."""
    if isinstance(kind, Text):
        return text_bytes(X)
    csv = _csv_of(X, kind)
    if csv is not None:
        with _reading(csv.path) as file:
            return file.read()
    if isinstance(kind, Images) and (pictures := pictures_of(X, kind)) is not None:
        return b"".join(picture.tobytes() for picture in pictures[2])
    data: Any = read(X, part="test", kind=kind).data
    data = data.data if isinstance(data, Series) else data
    if not frames.is_table(data):
        return np.ascontiguousarray(data).tobytes()
    frame = frames.frame_of(data)
    table = frame if isinstance(frame, pd.DataFrame) else frame.to_pandas()
    return str(table.to_csv(index=False)).encode("utf-8", "surrogatepass")


def _csv_of(X: Data, kind: Kind) -> Csv | None:
    """Return the CSV file that is compressed as bytes, where data are one."""
    X = X.data if isinstance(X, Series) else X
    if not isinstance(kind, MixedTable | Windows):
        return None
    if isinstance(X, str | os.PathLike) and str(X).lower().endswith(SUFFIXES):
        return Csv(file_at(X))
    return X if isinstance(X, Csv) else None


def _opened_csv(
    csv: Csv, kind: Kind, coding: SymbolCoding, rows: int
) -> tuple[Values, Iterator[Any]]:
    with _reading(csv.path) as file:
        beginning = file.read(BEGINNING)
    layout = CsvLayout.of(beginning, csv.delimiter, csv.encoding)
    values = values_for(kind, coding, _whole_lines(beginning, layout), csv)
    points = values.points if isinstance(values, SeriesValues) else values
    assert isinstance(points, CsvValues)
    return values, _pieces_of_file(csv.path, points.layout, rows)


def _reading(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise FileError(f"{path} cannot be read: {reason}.") from None


def _pieces_of_file(path: Path, layout: CsvLayout, rows: int) -> Iterator[bytes]:
    with _reading(path) as file:
        yield from csv_pieces(file, layout, rows)


def _whole_lines(beginning: bytes, layout: CsvLayout) -> bytes:
    """Return the lines that are whole, or all where none is."""
    if len(beginning) < BEGINNING:
        return beginning
    end = beginning.rfind(layout.end.encode(layout.encoding))
    return beginning[: end + 1] if end > 0 else beginning


def _content(cells: np.ndarray) -> bytes:
    if cells.dtype.kind == "O":
        return "\0".join(map(str, cells.ravel())).encode("utf-8", "surrogatepass")
    return cells.tobytes()
