"""Columns of any type as arrays that are equal where cells are, to the last bit, and back."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from attar.codec.literals import (
    DOUBLES,
    LiteralReader,
    LiteralWriter,
    damaged,
    unzigzag,
    zigzag,
)
from attar.codec.objects import object_of, text_of
from attar.data.columns.arrow import TIMES

# Unsigned integers, texts as objects, or what is OPTIONAL.
Exact: TypeAlias = NDArray[Any]

# Bits of a value, and whether it is there.
OPTIONAL = np.dtype([("bits", np.uint64), ("there", np.bool_)])

MASKED = pd.arrays.IntegerArray | pd.arrays.FloatingArray | pd.arrays.BooleanArray

# A Series or an Index of pandas, or a ChunkedArray of pyarrow.
Column: TypeAlias = Any


def exact_of(column: Column) -> Exact:
    """Return a column as an array: of bit patterns, or of texts that stand for its cells."""
    if isinstance(column, pa.ChunkedArray):
        return _of_arrow(column)
    dtype = column.dtype
    if isinstance(dtype, np.dtype):
        return exact(column.to_numpy())
    if isinstance(dtype, pd.CategoricalDtype):
        return np.asarray(column.array.codes).astype(np.int64).view(np.uint64)
    if isinstance(dtype, pd.DatetimeTZDtype | pd.PeriodDtype):
        return np.asarray(column.array.asi8).view(np.uint64)
    if isinstance(dtype, pd.SparseDtype):
        return exact(np.asarray(column.array))
    if isinstance(dtype, pd.ArrowDtype):
        return _of_arrow(pa.chunked_array(pa.array(column.array)))
    if isinstance(column.array, MASKED):
        masked: Any = column.array
        values, there = masked._data, ~masked._mask
        return _optional(exact(np.where(there, values, values.dtype.type(0))), there)
    return _texts(column.astype(object))


def exact(array: NDArray[Any]) -> Exact:
    """Return an array of NumPy as one of bit patterns, or of texts."""
    if array.dtype.kind not in "biufmM" or array.dtype.itemsize > 8:
        return _texts(array.ravel()).reshape(array.shape)
    native = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="), copy=False))
    return native.view(f"u{native.dtype.itemsize}").astype(np.uint64)


def array_of(cells: Exact, dtype: np.dtype) -> NDArray[Any]:
    """Return the array of NumPy that :func:`exact` described."""
    if cells.dtype.kind == "O":
        objects = np.empty(cells.shape, object)
        objects.ravel()[:] = np.array([*map(object_of, cells.ravel()), None], object)[:-1]
        return objects.astype(dtype, copy=False)
    native = dtype.newbyteorder("=")
    bits = cells.astype(f"u{native.itemsize}")
    return bits.view(native).astype(dtype, copy=False)


def column_of(cells: Exact, like: Column) -> Any:
    """Return the array of a column's cells, which has the type of another column."""
    if isinstance(like, pa.ChunkedArray):
        return pa.chunked_array([_to_arrow(cells, like.type)])
    dtype = like.dtype
    if isinstance(dtype, np.dtype):
        return array_of(cells, dtype)
    if isinstance(dtype, pd.CategoricalDtype):
        return pd.Categorical.from_codes(cells.view(np.int64), dtype=dtype)
    if isinstance(dtype, pd.DatetimeTZDtype):
        times = pd.DatetimeIndex(cells.view(np.int64).view(f"M8[{dtype.unit}]"))
        return times.tz_localize("UTC").tz_convert(dtype.tz).array
    if isinstance(dtype, pd.PeriodDtype):
        return pd.arrays.PeriodArray(cells.view(np.int64), dtype=dtype)
    if isinstance(dtype, pd.SparseDtype):
        return pd.arrays.SparseArray(array_of(cells, np.dtype(dtype.subtype)), dtype=dtype)
    if isinstance(dtype, pd.ArrowDtype):
        array = _to_arrow(cells, dtype.pyarrow_dtype)
        return pd.arrays.ArrowExtensionArray(pa.chunked_array([array]))
    if cells.dtype == OPTIONAL:
        values, absent = array_of(cells["bits"], dtype.numpy_dtype), ~cells["there"]
        return type(like.array)(values, absent)
    objects = [object_of(text) for text in cells]
    return pd.array(objects, dtype=dtype)


def _texts(values: Any) -> NDArray[np.object_]:
    texts = np.empty(len(values), object)
    texts[:] = [text_of(value) for value in values]
    return texts


def _optional(bits: Exact, there: NDArray[np.bool_]) -> NDArray[np.void]:
    cells = np.zeros(len(bits), OPTIONAL)
    cells["bits"], cells["there"] = bits, there
    return cells


def _integer(type_: pa.DataType) -> pa.DataType:
    return pa.int32() if type_.bit_width == 32 else pa.int64()


def _of_arrow(column: pa.ChunkedArray) -> Exact:
    type_ = column.type
    if any(is_time(type_) for is_time in TIMES):
        column = column.cast(_integer(type_))
    elif not (pa.types.is_boolean(type_) or pa.types.is_integer(type_) or _plain_float(type_)):
        return _texts(column.to_pylist())
    there = column.is_valid().to_numpy()
    zero = pa.scalar(False if pa.types.is_boolean(type_) else 0, column.type)
    return _optional(exact(column.fill_null(zero).to_numpy()), there)


def _plain_float(type_: pa.DataType) -> bool:
    return bool(pa.types.is_float32(type_) or pa.types.is_float64(type_))


def _to_arrow(cells: Exact, type_: pa.DataType) -> pa.Array:
    if cells.dtype == OPTIONAL:
        timed = any(is_time(type_) for is_time in TIMES)
        plain = _integer(type_) if timed else type_
        values = array_of(cells["bits"], np.dtype(plain.to_pandas_dtype()))
        array = pa.array(values, plain, mask=~cells["there"])
        return array.cast(type_) if timed else array
    objects = [object_of(text) for text in cells]
    if pa.types.is_dictionary(type_):
        values = pa.array(objects, type_.value_type)
        return values.dictionary_encode().cast(type_)
    return pa.array(objects, type_)


def write_cells(writer: LiteralWriter, cells: Exact) -> None:
    """Add cells, of which the reader knows the number and the sort."""
    if cells.dtype.kind == "O":
        writer.texts(cells.tolist())
    elif cells.dtype == OPTIONAL:
        writer.places(cells["there"])
        _write_bits(writer, cells["bits"][cells["there"]])
    else:
        _write_bits(writer, cells)


def read_cells(reader: LiteralReader, n: int, dtype: np.dtype) -> Exact:
    """Return the next n cells of a sort."""
    if dtype.kind == "O":
        texts = np.empty(n, object)
        texts[:] = reader.texts(n)
        return texts
    if dtype == OPTIONAL:
        there = reader.places(n)
        bits = np.zeros(n, np.uint64)
        bits[there] = _read_bits(reader, int(there.sum()))
        return _optional(bits, there)
    return _read_bits(reader, n)


def _write_bits(writer: LiteralWriter, bits: NDArray[np.uint64]) -> None:
    if not len(bits):
        return
    numbers = bits.view(np.float64)
    for way, decimal in enumerate(DOUBLES if (bits >> np.uint64(52)).any() else []):
        integers = decimal.integers(numbers)
        if integers is not None:
            writer.number(way + 1)
            writer.integers(zigzag(integers))
            return
    writer.number(0)
    writer.integers(bits)


def _read_bits(reader: LiteralReader, n: int) -> NDArray[np.uint64]:
    if not n:
        return np.zeros(0, np.uint64)
    way, bits = reader.number(), reader.integers(n)
    if way > len(DOUBLES):
        raise damaged()
    if not way:
        return bits
    return DOUBLES[way - 1].numbers(unzigzag(bits)).view(np.uint64)
