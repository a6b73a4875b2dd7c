"""Arrow arrays, and the dtypes of pandas: types, values and their JSON."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pandas.api.extensions import ExtensionDtype
from pandas.api.types import infer_dtype, is_object_dtype

from attar.data.columns.notations import MISSING_WORDS, ColumnNotation
from attar.data.kind import Json, back_to
from attar.errors import DataError

Array = NDArray[np.float64]
Ticks = NDArray[np.int64]
ArrowArray: TypeAlias = "pa.Array | pa.ChunkedArray"
Dtype = np.dtype | ExtensionDtype

# A value of a cell as plain data; ticks for a time.
Plain = float | str

# Text has this type in all that follows.
TEXT = pa.large_string()

# The type of what Arrow cannot hold: such columns are dropped.
OPAQUE = pa.struct([])

SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}

TIMES = (pa.types.is_timestamp, pa.types.is_date, pa.types.is_time, pa.types.is_duration)


def sort_of(type_: pa.DataType) -> str:
    """Return what values of a type are called; columns of one sort fit each other."""
    types = pa.types
    if types.is_null(type_):
        return "nothing"
    if types.is_integer(type_) or types.is_floating(type_) or types.is_decimal(type_):
        return "numbers"
    if types.is_boolean(type_):
        return "booleans"
    if type_ == TEXT or (types.is_dictionary(type_) and type_.value_type == TEXT):
        return "text"
    if types.is_date(type_) or (types.is_timestamp(type_) and type_.tz is None):
        return "dates"
    if types.is_timestamp(type_):
        return "dates with a time zone"
    if types.is_time(type_):
        return "times of day"
    if types.is_duration(type_):
        return "durations"
    if type_ == OPAQUE:
        return "values of mixed or unknown types"
    return f"values of the type {type_}"


def held(name: str, values: pa.ChunkedArray) -> str:
    """Return in words what a column holds."""
    observed = values.drop_null()
    example = f" such as {_quoted(observed[0].as_py())}" if len(observed) else ""
    return f"Column {name!r} holds {sort_of(values.type)}{example}"


def _quoted(value: object) -> str:
    return str(value) if isinstance(value, dt.date | dt.time | dt.timedelta) else repr(value)


def foreign(name: str, values: pa.ChunkedArray, expected: str) -> DataError:
    """Return the error for a column that holds values of another sort than expected."""
    return DataError(f"{held(name, values)}, but the model was fitted on {expected} there.")


def converted(array: pa.ChunkedArray, type_: pa.DataType) -> pa.ChunkedArray | None:
    """Return text, numbers or booleans as values of another sort, or None if that loses something.

    Text may stand for numbers, booleans, dates and times as in CSV files, if it can be read in one
    way only, and 1 and 0 for true and false.

    Examples
    --------
    >>> converted(pa.chunked_array([["2024-01-03"]], TEXT), pa.date32()).to_pylist()
    [datetime.date(2024, 1, 3)]
    >>> converted(pa.chunked_array([[1, 2]]), pa.bool_())
    """
    given, wanted = sort_of(array.type), sort_of(type_)
    if given == "text":
        trimmed = pc.utf8_trim_whitespace(plain_text(array))
        for candidate in (type_, pa.float64()) if wanted == "numbers" else (type_,):
            with suppress(pa.ArrowException):
                return trimmed.cast(candidate)
        return read_text(trimmed, type_)
    if {given, wanted} == {"numbers", "booleans"}:
        known = pc.if_else(array.is_null(nan_is_null=True), pa.scalar(None, array.type), array)
        values = known.cast(pa.bool_()).cast(pa.int8())
        if values.cast(known.type).equals(known):
            return values.cast(pa.bool_() if wanted == "booleans" else pa.int8())
    return None


def read_text(texts: pa.ChunkedArray, type_: pa.DataType) -> pa.ChunkedArray | None:
    """Return text as values of a type, or None if that is not the only way to read it.

    Words for a missing value are as in CSV files; numbers may be of a wider type.

    Examples
    --------
    >>> read_text(pa.chunked_array([["1.234,50 €", "?", "0,99 €"]]), pa.float64()).to_pylist()
    [1234.5, None, 0.99]
    >>> read_text(pa.chunked_array([["03/04/2024"]]), pa.date32())
    """
    joined = texts.combine_chunks().cast(pa.string())
    absent = pc.is_in(joined, pa.array(["", *MISSING_WORDS]))
    joined = pc.if_else(absent, None, joined)
    notation = ColumnNotation()
    notation.add(joined)
    sort = sort_of(type_)
    if len(notation.conventions) > 1 or sort_of(notation.type) != sort:
        return None
    values = pa.chunked_array([notation.chosen.parse(joined)])
    if sort == "numbers":
        return values
    with suppress(pa.ArrowException):
        typed = values.cast(type_)
        if typed.cast(values.type).equals(values):  # a date has no time of day
            return typed
    return None


def labelled(array: pa.ChunkedArray, labels: Sequence[str]) -> pa.ChunkedArray | None:
    """Return values as those of some labels that stand for them; others as text of their own.

    None if no label stands for a value of this type.

    Examples
    --------
    >>> labelled(pa.chunked_array([[1234, 7, None]]), ["01234", "A1"]).to_pylist()
    ['01234', '7', None]
    """
    kind = pa.float64() if sort_of(array.type) == "numbers" else array.type
    meanings: dict[object, str] = {}
    for label in sorted(labels, key=len):  # of 7 and 007 the number means the first
        with suppress(pa.ArrowException):
            meanings.setdefault(pa.scalar(label, TEXT).cast(kind).as_py(), label)
    if not meanings:
        return None
    known = pa.array(meanings, kind)
    places = pc.index_in(array.cast(kind, safe=False), value_set=known, skip_nulls=True)
    found = pc.take(pa.array(meanings.values(), TEXT), places)
    missing = array.is_null(nan_is_null=True)
    return pc.if_else(missing, pa.scalar(None, TEXT), pc.coalesce(found, array.cast(TEXT)))


def floats(array: ArrowArray) -> Array:
    """Return numbers or booleans as doubles, NaN where one is missing."""
    values: Array = array.cast(pa.float64(), safe=False).to_numpy()
    return values


def from_floats(values: Array, type_: pa.DataType) -> pa.Array:
    """Return doubles as numbers of a type, NaN as missing; integers are kept in range."""
    if pa.types.is_decimal(type_):
        top = 10.0 ** (type_.precision - type_.scale)
        top = min(np.nextafter(top, 0), top - 10.0**-type_.scale)
        return pa.array(values.clip(-top, top), from_pandas=True).cast(type_, safe=False)
    dtype = np.dtype(type_.to_pandas_dtype())
    if dtype.kind in "iu":
        missing = np.isnan(values)
        return pa.array(back_to(dtype, np.where(missing, 0, values)), mask=missing)
    with np.errstate(over="ignore"):
        return pa.array(values.astype(dtype, copy=False), from_pandas=True)


def ticks(array: pa.ChunkedArray) -> tuple[Ticks, NDArray[np.bool_]]:
    """Return times in their type's own unit, 0 where one is missing, and which are not."""
    integers = array.cast(_integer(array.type)).cast(pa.int64())
    return integers.fill_null(0).to_numpy(), array.is_valid().to_numpy()


def from_ticks(values: Ticks, known: NDArray[np.bool_], type_: pa.DataType) -> pa.Array:
    """Return integers in a type's own unit as its times."""
    return pa.array(values, mask=~known).cast(_integer(type_)).cast(type_)


def ticks_per_day(type_: pa.DataType) -> int:
    """Return how many units of its own a type of times has in a day."""
    if pa.types.is_date32(type_):
        return 1
    return 86_400 * SECOND["ms" if pa.types.is_date64(type_) else type_.unit]


def coarsest(distance: int, type_: pa.DataType) -> int:
    """Return the ticks of the largest natural unit that divides a distance in ticks.

    The units are day, hour, minute, second, and thousandths thereof.
    """
    day = ticks_per_day(type_)
    units = [day // parts for parts in (1, 24, 1440, 86_400) if day % parts == 0]
    while units[-1] % 1000 == 0:
        units.append(units[-1] // 1000)
    return next(unit for unit in units if distance % unit == 0)


def _integer(type_: pa.DataType) -> pa.DataType:
    return pa.int32() if type_.bit_width == 32 else pa.int64()


def plain_text(array: ArrowArray) -> ArrowArray:
    """Return text that is held as a dictionary as text; any other array as it is."""
    return array.cast(TEXT) if pa.types.is_dictionary(array.type) else array


def places(array: pa.ChunkedArray, labels: pa.Array) -> Ticks:
    """Return the index of each text among labels; -1 where it is missing or not among them."""
    if not pa.types.is_dictionary(array.type):
        return _or_absent(pc.index_in(array.cast(TEXT), value_set=labels))
    array = array.unify_dictionaries().combine_chunks()
    among = np.append(places(array.dictionary, labels), -1)
    return among[_or_absent(array.indices)]


def _or_absent(indices: ArrowArray) -> Ticks:
    filled: Ticks = indices.cast(pa.int64()).fill_null(-1).to_numpy()
    return filled


def scalar(value: Plain, type_: pa.DataType) -> pa.Scalar:
    """Return a plain value, ticks for a time, as a scalar of a type."""
    if any(is_time(type_) for is_time in TIMES):
        return pa.scalar(value, _integer(type_)).cast(type_)
    if pa.types.is_floating(type_) or pa.types.is_decimal(type_):
        return pa.scalar(float(value)).cast(type_, safe=False)
    return pa.scalar(value, type_)


def schema_to_json(schema: pa.Schema) -> str:
    """Return a schema in Arrow's own format, as text."""
    return base64.b64encode(schema.serialize().to_pybytes()).decode()


def schema_from_json(text: str) -> pa.Schema:
    """Return the schema that :func:`schema_to_json` described."""
    return pa.ipc.read_schema(pa.BufferReader(base64.b64decode(text)))


# What stands for a missing value in a column of objects.
MISSING = {"None": None, "nan": np.nan, "NaT": pd.NaT, "NA": pd.NA}


def to_arrow(name: str, values: pd.Series) -> pa.Array:
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


def from_arrow(array: ArrowArray, dtype: Any, missing: str | None = None) -> Any:
    """Return an Arrow array as an array of a dtype of pandas.

    Where a dtype has no missing values, 0 and false stand for them.

    Parameters
    ----------
    array : Array or ChunkedArray
    dtype : dtype
    missing : str or None
        What stands for a missing value in a column of objects: a name in :data:`MISSING`.
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


def missing_of(values: pd.Series) -> str | None:
    """Return the name of what stands for missing values in a column of objects: the first one."""
    if not is_object_dtype(values.dtype):
        return None
    absent = values.isna().to_numpy()
    if not absent.any():
        return None
    first = values.iloc[int(absent.argmax())]
    return next((name for name, value in MISSING.items() if value is first), "nan")


def texts(values: pd.Index) -> list[str]:
    """Return values as text."""
    return [str(value) for value in values]


def _objects(name: str, values: pd.Series) -> pa.Array:
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


def joint(first: Dtype, second: Dtype) -> Dtype:
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


def dtype_to_json(dtype: Dtype) -> str | Json:
    """Return a dtype as plain JSON data.

    Raises
    ------
    DataError
        If its categories are neither text, numbers, booleans, times nor intervals.
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


def dtype_from_json(data: str | Json) -> Dtype:
    """Return the dtype that :func:`dtype_to_json` described; objects for one unknown here."""
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


def index_to_json(index: pd.Index) -> Json:
    """Return labels as plain JSON data.

    Raises
    ------
    DataError
        If they are neither text, numbers, booleans, times nor intervals.
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
    times: Any = index if index.dtype.kind in "mM" or isinstance(index, pd.PeriodIndex) else None
    values = index.tolist() if times is None else times.asi8.tolist()
    for value in values:
        if not isinstance(value, str | int | float):
            raise DataError(
                f"{value!r} is a category or the name of a column, but cannot be saved: make it "
                "text or a number."
            )
    return {"values": values, "dtype": dtype_to_json(index.dtype), "name": name}


def index_from_json(data: Json) -> pd.Index:
    """Return the labels that :func:`index_to_json` described."""
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
    if isinstance(dtype, pd.PeriodDtype):
        periods = pd.arrays.PeriodArray(np.array(values, "i8"), dtype=dtype)
        return pd.PeriodIndex(periods, name=data["name"])
    if isinstance(dtype, np.dtype) and dtype.kind in "mM":
        values = np.array(values, "i8").view(dtype)
    labels: pd.Index = pd.Index(values, dtype=dtype, name=data["name"])
    return labels
