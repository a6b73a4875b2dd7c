"""Arrow arrays as NumPy's and back; Arrow types in plain words."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from attar.data.kind import back_to
from attar.errors import DataError

Array = NDArray[np.float64]
Ticks = NDArray[np.int64]

# Text has one type inside.
TEXT = pa.large_string()

# What Arrow cannot hold: it is not learnt, so none of it is needed.
OPAQUE = pa.struct([])

SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}

TIMES = (pa.types.is_timestamp, pa.types.is_date, pa.types.is_time, pa.types.is_duration)


def sort_of(type_: pa.DataType) -> str:
    """Return what values of a type are, in plain words; columns of one sort fit each other."""
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


def foreign(name: str, values: pa.ChunkedArray, expected: str) -> DataError:
    """Return the error for a column that holds values of another sort than expected."""
    known = values.drop_null()
    example = f" such as {known[0].as_py()!r}" if len(known) else ""
    return DataError(
        f"Column {name!r} holds {sort_of(values.type)}{example}, but the model was fitted on "
        f"{expected} there."
    )


def floats(array: pa.ChunkedArray) -> Array:
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
    """Return times in their type's own unit, 0 where one is missing, and which are known."""
    numbers = array.cast(_whole(array.type)).cast(pa.int64())
    return numbers.fill_null(0).to_numpy(), array.is_valid().to_numpy()


def from_ticks(values: Ticks, known: NDArray[np.bool_], type_: pa.DataType) -> pa.Array:
    """Return whole numbers of a type's own unit as its times."""
    return pa.array(values, mask=~known).cast(_whole(type_)).cast(type_)


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


def _whole(type_: pa.DataType) -> pa.DataType:
    return pa.int32() if type_.bit_width == 32 else pa.int64()


def plain_text(array: Any) -> Any:
    """Return text that is held as a dictionary as text; any other array as it is."""
    return array.cast(TEXT) if pa.types.is_dictionary(array.type) else array


def places(array: pa.ChunkedArray, labels: pa.Array) -> Ticks:
    """Return the place of each text among labels; -1 where it is missing or not among them."""
    if not pa.types.is_dictionary(array.type):
        return _or_absent(pc.index_in(array.cast(TEXT), value_set=labels))
    whole = array.unify_dictionaries().combine_chunks()
    among = np.append(places(whole.dictionary, labels), -1)
    return among[_or_absent(whole.indices)]


def _or_absent(indices: Any) -> Ticks:
    numbers: Ticks = indices.cast(pa.int64()).fill_null(-1).to_numpy()
    return numbers


def scalar(value: Any, type_: pa.DataType) -> pa.Scalar:
    """Return a plain value, ticks for a time, as a scalar of a type."""
    if any(is_time(type_) for is_time in TIMES):
        return pa.scalar(value, _whole(type_)).cast(type_)
    if pa.types.is_floating(type_) or pa.types.is_decimal(type_):
        return pa.scalar(float(value)).cast(type_, safe=False)
    return pa.scalar(value, type_)


def schema_to_json(schema: pa.Schema) -> str:
    """Return a schema in Arrow's own format, as text."""
    return base64.b64encode(schema.serialize().to_pybytes()).decode()


def schema_from_json(text: str) -> pa.Schema:
    """Return the schema that :func:`schema_to_json` wrote down."""
    return pa.ipc.read_schema(pa.BufferReader(base64.b64decode(text)))
