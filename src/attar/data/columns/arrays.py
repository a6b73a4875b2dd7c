"""Arrays of numbers, out of what users call an array."""

from __future__ import annotations

from typing import Any

import numpy as np

from attar.data.columns.arrow import floats, foreign, sort_of
from attar.data.columns.frames import frame_of, is_table, opened
from attar.data.kind import Rows
from attar.errors import DataError


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
