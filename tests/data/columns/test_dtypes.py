import datetime as dt
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from attar import DataError
from attar.data.columns.arrow import (
    dtype_from_json,
    dtype_to_json,
    index_from_json,
    index_to_json,
    joint,
)

DATES = pd.to_datetime(["2020-01-02", "2021-03-04"])

INDEXES = [
    pd.Index(["a", "b"], name="letters"),
    pd.Index(["a", "b"], dtype=object),
    pd.Index([3, 1], dtype="int32"),
    pd.Index([0.5, 0.1]),
    pd.Index([True, False]),
    pd.Index([1, 2], dtype="Int64"),
    pd.Index(["a", 1], dtype=object),
    pd.RangeIndex(2, 8, 3, name="r"),
    DATES,
    DATES.as_unit("s"),
    DATES.tz_localize("Europe/Paris"),
    pd.to_timedelta([1, 5], unit="h"),
    pd.interval_range(0, 2),
    pd.IntervalIndex.from_breaks([0.0, 0.5, np.inf], closed="left"),
    pd.IntervalIndex.from_breaks(DATES),
    pd.MultiIndex.from_tuples([("a", 1), ("a", 2)], names=["x", None]),
]

DTYPES = [
    *map(np.dtype, ["float16", "int8", "uint64", "bool", "object", "M8[s]", "m8[ns]"]),
    *(pd.api.types.pandas_dtype(name) for name in ["Int64", "Float32", "boolean", "str"]),
    pd.StringDtype("python"),
    pd.StringDtype("pyarrow"),
    pd.StringDtype("python", na_value=np.nan),
    pd.DatetimeTZDtype("us", "Europe/Paris"),
    pd.DatetimeTZDtype("ns", dt.timezone(dt.timedelta(hours=5, minutes=30))),
    pd.PeriodDtype("M"),
    pd.IntervalDtype("int64", "left"),
    pd.SparseDtype("float64", 0.0),
    pd.SparseDtype("int8"),
    pd.ArrowDtype(pa.timestamp("us", "Europe/Paris")),
    pd.ArrowDtype(pa.decimal128(5, 2)),
    pd.ArrowDtype(pa.dictionary(pa.int8(), pa.string())),
]


@pytest.mark.parametrize("index", INDEXES, ids=str)
def test_labels_come_back_from_json(index):
    back = index_from_json(json.loads(json.dumps(index_to_json(index))))
    pd.testing.assert_index_equal(back, index, exact=True, check_freq=False)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_dtypes_come_back_from_json(dtype):
    back = dtype_from_json(json.loads(json.dumps(dtype_to_json(dtype))))
    assert back == dtype
    assert type(back) is type(dtype)


@pytest.mark.parametrize("index", INDEXES[:-1], ids=str)
@pytest.mark.parametrize("ordered", [False, True])
def test_categories_come_back_from_json_in_their_order(index, ordered):
    dtype = pd.CategoricalDtype(index, ordered)
    back = dtype_from_json(json.loads(json.dumps(dtype_to_json(dtype))))
    assert back == dtype
    assert list(back.categories) == list(index)


def test_a_dtype_that_is_unknown_here_is_objects():
    assert dtype_from_json("of another library") == np.dtype(object)


def test_labels_that_are_neither_text_nor_numbers_are_refused():
    with pytest.raises(DataError, match=r"\(1, 2\) is a category or the name of a column"):
        index_to_json(pd.Index([(1, 2), 3], tupleize_cols=False))


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("int64", "float64", "float64"),
        ("int8", "int32", "int32"),
        ("Int64", "Float64", "Float64"),
        ("int64", "Int64", "Int64"),
        ("str", "object", "str"),
        ("M8[s]", "M8[s]", "M8[s]"),
    ],
)
def test_two_dtypes_have_a_joint_one(first, second, expected):
    first, second, expected = map(pd.api.types.pandas_dtype, (first, second, expected))
    assert joint(first, second) == expected


def test_categories_are_joined_in_the_order_they_come():
    first, second = pd.CategoricalDtype(["b", "a"]), pd.CategoricalDtype(["c", "a"])
    assert list(joint(first, second).categories) == ["b", "a", "c"]
