"""Dtypes and labels of pandas as plain JSON data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from attar.data.columns.arrow import schema_from_json, schema_to_json
from attar.errors import DataError


def joint(first: Any, second: Any) -> Any:
    """Return the dtype of a column whose pieces have two different ones."""
    if first == second:
        return first
    if isinstance(first, pd.CategoricalDtype) and isinstance(second, pd.CategoricalDtype):
        both = first.categories.append(second.categories.difference(first.categories, sort=False))
        return pd.CategoricalDtype(both, first.ordered)
    if first.kind in "iuf" and second.kind in "iuf":
        one = [pd.Series([0], dtype=dtype) for dtype in (first, second)]
        return pd.concat(one).dtype
    return first


def dtype_to_json(dtype: Any) -> Any:
    """Return a dtype as plain JSON data.

    Raises
    ------
    DataError
        If its categories are neither text, numbers, booleans, dates nor intervals.
    """
    if isinstance(dtype, pd.CategoricalDtype):
        return {"categories": index_to_json(dtype.categories), "ordered": bool(dtype.ordered)}
    if isinstance(dtype, pd.StringDtype):
        return {"string": dtype.storage, "na": "NA" if dtype.na_value is pd.NA else "nan"}
    if isinstance(dtype, pd.SparseDtype):
        return {"sparse": str(dtype.subtype), "fill": np.asarray(dtype.fill_value).item()}
    if isinstance(dtype, pd.ArrowDtype):
        return {"arrow": schema_to_json(pa.schema([("", dtype.pyarrow_dtype)]))}
    return str(dtype)


def dtype_from_json(data: Any) -> Any:
    """Return the dtype that :func:`dtype_to_json` wrote down; objects for one unknown here."""
    if isinstance(data, str):
        try:
            return pd.api.types.pandas_dtype(data)
        except TypeError:
            return np.dtype(object)
    if "categories" in data:
        return pd.CategoricalDtype(index_from_json(data["categories"]), data["ordered"])
    if "string" in data:
        na = {} if data["na"] == "NA" else {"na_value": np.nan}
        return pd.StringDtype(data["string"], **na)
    if "sparse" in data:
        return pd.SparseDtype(data["sparse"], data["fill"])
    return pd.ArrowDtype(schema_from_json(data["arrow"]).field(0).type)


def index_to_json(index: pd.Index[Any]) -> dict[str, Any]:
    """Return labels as plain JSON data.

    Raises
    ------
    DataError
        If they are neither text, numbers, booleans, dates nor intervals.
    """
    if isinstance(index, pd.MultiIndex):
        levels = [index.get_level_values(level) for level in range(index.nlevels)]
        return {"levels": [index_to_json(level) for level in levels]}
    name = index.name if isinstance(index.name, str | int | None) else str(index.name)
    if isinstance(index, pd.RangeIndex):
        return {"range": [index.start, index.stop, index.step], "name": name}
    if isinstance(index, pd.IntervalIndex):
        ends = [index_to_json(index.left), index_to_json(index.right)]
        return {"ends": ends, "closed": index.closed, "name": name}
    times: Any = index if isinstance(index, pd.DatetimeIndex | pd.TimedeltaIndex) else None
    values = index.tolist() if times is None else times.asi8.tolist()
    for value in values:
        if not isinstance(value, str | int | float):
            raise DataError(
                f"{value!r} is a category or the name of a column: make it text or a number."
            )
    return {"values": values, "dtype": dtype_to_json(index.dtype), "name": name}


def index_from_json(data: dict[str, Any]) -> pd.Index[Any]:
    """Return the labels that :func:`index_to_json` wrote down."""
    if "levels" in data:
        return pd.MultiIndex.from_arrays([index_from_json(level) for level in data["levels"]])
    if "range" in data:
        start, stop, step = data["range"]
        return pd.RangeIndex(start, stop, step, name=data["name"])
    if "ends" in data:
        left, right = map(index_from_json, data["ends"])
        return pd.IntervalIndex.from_arrays(left, right, data["closed"], name=data["name"])
    values, dtype = data["values"], dtype_from_json(data["dtype"])
    if isinstance(dtype, pd.DatetimeTZDtype):
        times = pd.DatetimeIndex(np.array(values, "i8").view(f"M8[{dtype.unit}]"))
        return times.tz_localize("UTC").tz_convert(dtype.tz).rename(data["name"])
    if isinstance(dtype, np.dtype) and dtype.kind in "mM":
        values = np.array(values, "i8").view(dtype)
    labels: pd.Index[Any] = pd.Index(values, dtype=dtype, name=data["name"])
    return labels
