"""Values of pandas as Arrow arrays, and back in their own dtype."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pandas.api.types import infer_dtype, is_object_dtype

from attar.data.columns.arrow import OPAQUE, TEXT, places, plain_text
from attar.errors import DataError

# How a column of objects says that a value is missing.
MISSING = {"None": None, "nan": np.nan, "NaT": pd.NaT, "NA": pd.NA}


def to_arrow(name: str, values: pd.Series[Any]) -> Any:
    """Return a column as an Arrow array; categories become a dictionary of text.

    Raises
    ------
    DataError
        If it holds complex numbers.
    """
    dtype = values.dtype
    if dtype.kind == "c":
        raise _complex(name)
    if is_object_dtype(dtype):
        return _objects(name, values)
    if isinstance(dtype, pd.CategoricalDtype):
        codes = values.cat.codes.to_numpy()
        labels = pa.array(texts(dtype.categories), TEXT)
        return pa.DictionaryArray.from_arrays(pa.array(codes, mask=codes < 0), labels)
    if isinstance(dtype, pd.SparseDtype):
        return pa.array(np.asarray(values))
    if isinstance(dtype, np.dtype):
        array = values.to_numpy()
        return pa.array(array.astype(np.float64) if dtype.itemsize > 8 else array)
    return pa.array(values)


def from_arrow(array: Any, dtype: Any, missing: str | None = None) -> Any:
    """Return an Arrow array in a dtype of pandas'.

    Where a dtype has no missing values, 0 and false stand for them.

    Parameters
    ----------
    array : Array or ChunkedArray
    dtype : dtype
    missing : str or None
        What a column of objects has for missing values, by its name in :data:`MISSING`.
    """
    if is_object_dtype(dtype):
        objects = np.array(plain_text(array).to_pylist(), object)
        objects[array.is_null().to_numpy(zero_copy_only=False)] = MISSING[missing or "None"]
        return objects
    if pa.types.is_null(array.type) or array.type == OPAQUE:
        full = isinstance(dtype, np.dtype | pd.SparseDtype) and dtype.kind in "biu"
        return pd.Series(0 if full else None, range(len(array)), dtype).array
    if isinstance(dtype, pd.CategoricalDtype):
        labels = pa.array(texts(dtype.categories), TEXT)
        return pd.Categorical.from_codes(places(pa.chunked_array([array]), labels), dtype=dtype)
    array = plain_text(array)
    if isinstance(dtype, pd.SparseDtype):
        dense = array.to_numpy(zero_copy_only=False)
        return pd.arrays.SparseArray(dense.astype(dtype.subtype), dtype=dtype)
    if isinstance(dtype, pd.ArrowDtype):
        return pd.array(array.cast(dtype.pyarrow_dtype), dtype=dtype)
    if isinstance(dtype, np.dtype):
        if dtype.kind in "biu" and array.null_count:
            array = array.fill_null(False if dtype.kind == "b" else 0)
        return array.to_numpy(zero_copy_only=False).astype(dtype, copy=False)
    return dtype.__from_arrow__(array)


def missing_of(values: pd.Series[Any]) -> str | None:
    """Return what a column of objects has for missing values: the name of the first of them."""
    if not is_object_dtype(values.dtype):
        return None
    absent = values.isna().to_numpy()
    if not absent.any():
        return None
    first = values.iloc[int(absent.argmax())]
    return next((name for name, value in MISSING.items() if value is first), "nan")


def texts(values: pd.Index[Any]) -> list[str]:
    """Return values as text."""
    return [str(value) for value in values]


def _objects(name: str, values: pd.Series[Any]) -> pa.Array:
    """Return Python objects as an array of the type that all of them share, opaque without one."""
    try:
        array = pa.array(values, from_pandas=True)
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        if infer_dtype(values) == "complex":
            raise _complex(name) from None
        return pa.nulls(len(values), OPAQUE)
    # Arrow takes a time among dates for a date.
    types = set(map(type, values)) - {type(pd.NaT)} if pa.types.is_date(array.type) else ()
    if any(issubclass(type_, dt.datetime) for type_ in types):
        return pa.nulls(len(values), OPAQUE)
    return array


def _complex(name: str) -> DataError:
    return DataError(f"Complex data not supported: column {name!r} must hold real numbers.")
