"""Frames of pandas, polars and pyarrow, and arrays, as Arrow columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from attar.data.columns.arrow import OPAQUE, TEXT, floats, foreign, sort_of, to_arrow
from attar.data.kind import Rows
from attar.errors import DataError

# A table of pandas' or of Arrow's.
Frame = Any


def is_table(data: Any) -> bool:
    """Return whether data are a table with names."""
    return isinstance(data, pd.DataFrame) or hasattr(data, "__arrow_c_stream__")


def frame_of(data: Any) -> Frame:
    """Return a table of any maker as one of pandas' or of Arrow's.

    Raises
    ------
    DataError
        If it is one column without a table.
    """
    if isinstance(data, pd.DataFrame | pa.Table):
        return data
    try:
        return pa.table(data)
    except pa.ArrowInvalid:
        raise DataError(
            "Expected a table or 2D array, got one column instead: make it a table of one column."
        ) from None


def names_of(frame: Frame) -> list[str]:
    """Return the names of the columns as text.

    Raises
    ------
    DataError
        If there are none, or two are equal.
    """
    labels = frame.columns if isinstance(frame, pd.DataFrame) else frame.column_names
    names = [str(label) for label in labels]
    if not names:
        raise DataError("The table has no columns: there is nothing to learn.")
    again = pd.Index(names).duplicated()
    if again.any():
        raise DataError(
            f"The table has more than one column named {names[again.argmax()]!r}: rename them."
        )
    return names


def in_order(frame: Frame, names: Sequence[str]) -> Frame:
    """Return a table with its columns in the order of these names.

    Raises
    ------
    DataError
        If it has others.
    """
    given = {name: place for place, name in enumerate(names_of(frame))}
    absent = [name for name in names if name not in given]
    if absent:
        raise DataError(f"The table lacks the column {absent[0]!r} that the model was fitted on.")
    if len(given) > len(names):
        extra = next(name for name in given if name not in set(names))
        raise DataError(
            f"The table has a column {extra!r} that the model was not fitted on: drop it."
        )
    return frame if list(given) == list(names) else picked(frame, [given[name] for name in names])


def picked(frame: Frame, places: Sequence[int]) -> Frame:
    """Return the columns of a table at these places."""
    if isinstance(frame, pd.DataFrame):
        return frame.iloc[:, list(places)]
    return frame.select(list(places))


def opened(frame: Frame) -> pa.Table:
    """Return the columns of a table as Arrow arrays.

    Text is of one type; categories are dictionaries of text, whatever they are; a column without
    a value has the type null.

    Raises
    ------
    DataError
        If a column holds complex numbers.
    """
    names = names_of(frame)
    if isinstance(frame, pd.DataFrame):
        columns = [to_arrow(name, frame.iloc[:, i]) for i, name in enumerate(names)]
    else:
        columns = frame.columns
    return pa.table([_opened(column) for column in columns], names)


def _opened(column: Any) -> Any:
    type_ = column.type
    if not _has_values(column):
        return pa.nulls(len(column))
    if pa.types.is_string(type_) or pa.types.is_string_view(type_):
        return column.cast(TEXT)
    if pa.types.is_dictionary(type_) and type_.value_type != TEXT:
        try:
            return _with_text(column)
        except pa.ArrowException:
            return column
    return column


def _has_values(column: Any) -> bool:
    if column.type == OPAQUE:
        return True
    if column.null_count == len(column):
        return False
    if not pa.types.is_floating(column.type):
        return True
    first = column[0].as_py()
    if first is not None and first == first:
        return True
    return not pc.all(column.is_null(nan_is_null=True)).as_py()


def _with_text(column: Any) -> pa.Array:
    """Return a dictionary of anything as a dictionary of text."""
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    whole = pa.chunked_array(chunks).unify_dictionaries().combine_chunks()
    return pa.DictionaryArray.from_arrays(whole.indices, whole.dictionary.cast(TEXT))


def array_of(data: Any) -> Rows:
    """Return an array, or a frame of numbers, as an array of numbers: None is NaN.

    Raises
    ------
    DataError, TypeError
        If it holds anything but real numbers.
    """
    array = _side_by_side(data) if is_table(data) else np.asarray(data)
    if array.dtype.kind in "biuf":
        return array
    if array.dtype.kind == "c":
        raise DataError("Complex data not supported: give real numbers.")
    if array.dtype.kind == "O":
        try:
            return array.astype(np.float64)
        except TypeError as error:
            raise TypeError(f"argument must be a string or a real number: {error}.") from None
        except ValueError:
            pass
    example = array.ravel().tolist()[0]
    raise DataError(
        f"The array holds {array.dtype} values such as {example!r} where numbers belong."
    )


def misfit(shape: tuple[int, ...], width: int) -> DataError:
    """Return the error for an array that has not the right number of columns."""
    # scikit-learn's own words: its checks look for them.
    given = shape[1] if len(shape) == 2 else shape
    return DataError(
        f"X has {given} features, but Autoencoder is expecting {width} features as input."
    )


def _side_by_side(data: Any) -> Rows:
    table = opened(frame_of(data))
    for name in table.column_names:
        if sort_of(table[name].type) not in ("numbers", "booleans", "nothing"):
            raise foreign(name, table[name], "numbers")
    return np.column_stack([floats(column) for column in table.columns])
