"""One form for data: arrays come out as NumPy's own, and tables as those of pandas or Arrow."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import torch
from scipy import sparse
from torch import Tensor

from attar.data.kind import Rows
from attar.errors import DataError, first_line

T = TypeVar("T")

# Libraries whose data are tables, but not yet in memory, and the method that has them read.
COLLECTED = (
    ("polars", "collect"),
    ("pyarrow", "to_table"),
    ("pyarrow", "read_all"),
    ("datasets", "to_pandas"),
)


def native(data: T) -> T | Rows | pd.DataFrame:
    """Return data in a form that torch and Arrow take; anything else as it is.

    Tensors are detached and copied from their device. Masked cells become NaN, and integers with
    masked cells double precision. Byte order becomes the machine's, ``longdouble`` double
    precision, and strides positive. Dictionaries of columns, lists of records, structured arrays
    and ``datasets`` of Hugging Face become frames; lazy frames and Arrow's data sets are collected.

    Parameters
    ----------
    data : array, tensor, DataFrame, or anything else

    Raises
    ------
    DataError
        If it holds rows, but in a form that can only be guessed at.

    Examples
    --------
    >>> native(np.ma.masked_equal([1, -9, 3], -9))
    array([ 1., nan,  3.])
    >>> native(np.array([1, 2], ">i2")).dtype.isnative
    True
    >>> native(torch.ones(2, dtype=torch.bfloat16, requires_grad=True))
    array([1., 1.], dtype=float32)
    >>> native([{"a": 1, "b": "x"}, {"a": 2}])
       a    b
    0  1    x
    1  2  NaN
    """
    if isinstance(data, Tensor):
        return _numpy(data)
    if isinstance(data, np.ndarray) and data.dtype.names is None:
        return native_array(data)
    frame = _collected(data)
    if isinstance(frame, pd.DataFrame):
        foreign = _foreign(frame)
        return frame.astype(foreign) if foreign else frame
    return frame  # type: ignore[return-value]  # Arrow's tables have no type


def _numpy(tensor: Tensor) -> Rows:
    if tensor.layout != torch.strided:
        raise DataError("A sparse tensor is not data: make it a scipy.sparse matrix, or to_dense.")
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy(force=True)


def _collected(data: Any) -> object:
    """Return data that are a table in some form as one of pandas or Arrow; all else as it is."""
    if sparse.issparse(data):
        type_ = _native_type(data.dtype)
        return data if data.dtype == type_ else data.astype(type_)
    if isinstance(data, np.ndarray):
        fields = {name: native_array(data[name]) for name in data.dtype.names or ()}
        return _frame(fields)
    if isinstance(data, Mapping) and data and all(np.ndim(column) for column in data.values()):
        return _frame(data)
    if isinstance(data, list | tuple) and data and isinstance(data[0], Mapping):
        return pd.DataFrame(list(data))
    for library, method in COLLECTED:
        if type(data).__module__.partition(".")[0] == library and hasattr(data, method):
            return getattr(data, method)()
    return data


def _frame(columns: Mapping[Any, Any]) -> pd.DataFrame:
    for name, column in columns.items():
        if np.ndim(column) != 1:
            raise DataError(
                f"A column has one value for each row, but {name!r} has the shape "
                f"{np.shape(column)}: give that array by itself, X[{name!r}]."
            )
    try:
        return pd.DataFrame({name: native(column) for name, column in columns.items()})
    except ValueError as error:
        raise DataError(
            f"A dictionary of columns needs one value of each for each row: {first_line(error)}."
        ) from None


def native_array(array: Rows) -> Rows:
    """Return an array in native byte order, with NaN in place of masked cells."""
    if isinstance(array, np.ma.MaskedArray):
        array = _unmasked(array)
    if array.dtype == object and array.ndim == 1 and _stackable(array):
        array = np.stack(list(array))
    array = array.astype(_native_type(array.dtype), copy=False)
    # A reversed axis of length 1 counts as contiguous.
    return array.copy() if any(stride < 0 for stride in array.strides) else array


def _stackable(array: Rows) -> bool:
    """Return whether all objects are arrays of one shape, such as images."""
    shapes = {item.shape if isinstance(item, np.ndarray) else None for item in array}
    return len(shapes) == 1 and None not in shapes and () not in shapes


def _unmasked(array: Rows) -> Rows:
    values, mask = np.ma.getdata(array), np.ma.getmaskarray(array)
    if not mask.any():
        return values
    if values.dtype.kind in "biu":
        values = values.astype(np.float64)
    if values.dtype.kind != "f":
        values = values.astype(object)
    masked = values.copy()
    masked[mask] = np.nan if values.dtype.kind == "f" else None
    return masked


def _foreign(frame: pd.DataFrame) -> dict[Hashable, np.dtype[Any]]:
    """Return the dtypes that the columns of other byte orders and precisions must get."""
    return {
        name: _native_type(dtype)
        for name, dtype in frame.dtypes.items()
        if isinstance(dtype, np.dtype) and dtype != _native_type(dtype)
    }


def _native_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return a dtype in the machine's byte order, of double precision at most."""
    if dtype.kind == "f" and dtype.itemsize > 8:
        return np.dtype(np.float64)
    return dtype.newbyteorder("=")
