import datetime as dt
import decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from attar import DataError
from attar.data.columns.arrow import OPAQUE, from_arrow, missing_of, to_arrow

NS = dt.timezone(dt.timedelta(hours=5, minutes=30))

SERIES = {
    "float16": pd.Series([0.5, np.nan], dtype="float16"),
    "float32": pd.Series([0.1, np.nan], dtype="float32"),
    "int8": pd.Series([-128, 127], dtype="int8"),
    "uint64": pd.Series([0, 2**64 - 1], dtype="uint64"),
    "bool": pd.Series([True, False]),
    "longdouble": pd.Series(np.array([0.5, np.nan], np.longdouble)),
    "Int64": pd.Series([2**60 + 1, None], dtype="Int64"),
    "UInt8": pd.Series([255, None], dtype="UInt8"),
    "Float32": pd.Series([0.1, None], dtype="Float32"),
    "boolean": pd.Series([True, None], dtype="boolean"),
    "str": pd.Series(["a", None], dtype="str"),
    "string": pd.Series(["a", None], dtype="string"),
    "string[python]": pd.Series(["a", None], dtype="string[python]"),
    "category": pd.Series(["b", None], dtype=pd.CategoricalDtype(["b", "a"])),
    "ordered": pd.Series(["b", "a"], dtype=pd.CategoricalDtype(["b", "a", "c"], ordered=True)),
    "category of integers": pd.Series([3, None, 1]).astype("Int64").astype("category"),
    "category of floats": pd.Series([0.1, None, 2.0], dtype="category"),
    "category of dates": pd.Series(pd.to_datetime(["2020-01-02", None]), dtype="category"),
    "intervals": pd.Series(pd.cut([1, 5, 9], [0, 4, 10])),
    "datetime64[s]": pd.Series(pd.to_datetime(["0001-01-02", None])).astype("M8[s]"),
    "datetime64[ns]": pd.Series(pd.to_datetime([1, None])),
    "time zone": pd.Series(pd.to_datetime(["2020-07-01", None])).dt.tz_localize("Europe/Paris"),
    "fixed offset": pd.Series(pd.to_datetime(["2020-07-01", None])).dt.tz_localize(NS),
    "timedelta64[ms]": pd.Series(pd.to_timedelta([5, None], "s")).astype("m8[ms]"),
    "objects: text": pd.Series(["a", None], dtype=object),
    "objects: booleans": pd.Series([True, np.nan], dtype=object),
    "objects: integers": pd.Series([1, pd.NA], dtype=object),
    "objects: dates": pd.Series([dt.date(1, 1, 1), pd.NaT], dtype=object),
    "objects: times": pd.Series([dt.time(1, 2, 3, 4), None], dtype=object),
    "objects: datetimes": pd.Series([dt.datetime(1, 1, 1, 5), None], dtype=object),
    "objects: durations": pd.Series([dt.timedelta(-1, 5), None], dtype=object),
    "objects: decimals": pd.Series([decimal.Decimal("1.25"), None], dtype=object),
    "int32[pyarrow]": pd.Series([1, None], dtype="int32[pyarrow]"),
    "string[pyarrow]": pd.Series(["a", None], dtype=pd.ArrowDtype(pa.string())),
    "date32[pyarrow]": pd.Series([dt.date(1, 1, 1), None], dtype=pd.ArrowDtype(pa.date32())),
    "bool[pyarrow]": pd.Series([True, None], dtype="bool[pyarrow]"),
    "sparse": pd.Series(pd.arrays.SparseArray([0.0, 1.5, 0.0], fill_value=0.0)),
    "sparse integers": pd.Series([0, 1, 0], dtype="Sparse[int8]"),
}

NEVER_MISSING = {"int8", "uint64", "bool", "sparse integers"}


@pytest.mark.parametrize("name", SERIES)
def test_values_come_back_in_their_own_dtype(name):
    values = SERIES[name]
    array = to_arrow("x", values)
    assert array.type != OPAQUE
    back = pd.Series(from_arrow(array, values.dtype, missing_of(values)), dtype=values.dtype)
    pd.testing.assert_series_equal(back, values, check_exact=True)


@pytest.mark.parametrize("name", SERIES)
def test_columns_without_a_value_come_back_missing_or_0(name):
    dtype = SERIES[name].dtype
    back = pd.Series(from_arrow(pa.nulls(2), dtype), dtype=dtype)
    nothing = 0 if name in NEVER_MISSING else None
    pd.testing.assert_series_equal(back, pd.Series([nothing] * 2, dtype=dtype))


def test_categories_are_text_inside():
    array = to_arrow("x", SERIES["intervals"])
    assert array.to_pylist() == ["(0, 4]", "(4, 10]", "(4, 10]"]


@pytest.mark.parametrize("values", [[1, None], [True, None]])
def test_numpys_dtypes_have_0_and_false_for_what_is_missing(values):
    dtype = np.array(values[:1]).dtype
    assert from_arrow(pa.array(values), dtype).tolist() == [values[0], 0]


@pytest.mark.parametrize(
    "values",
    [
        ["a", 1],
        [2**70],
        [object()],
        [dt.date(2020, 1, 1), dt.datetime(2020, 1, 1, 5)],
        [pd.Period("2020")],
        ["\ud800"],
    ],
    ids=["mixed", "huge", "unknown", "dates and times", "periods", "broken text"],
)
def test_objects_that_arrow_cannot_hold_are_opaque(values):
    assert to_arrow("x", pd.Series(values, dtype=object)).type == OPAQUE


@pytest.mark.parametrize("dtype", [complex, object])
def test_complex_numbers_are_refused(dtype):
    with pytest.raises(DataError, match="Complex data not supported: column 'x'"):
        to_arrow("x", pd.Series([1j], dtype=dtype))


@pytest.mark.parametrize(
    ("values", "expected"),
    [([None, np.nan], "None"), (["a", np.nan, None], "nan"), ([pd.NaT], "NaT"), ([pd.NA], "NA")],
)
def test_the_first_missing_object_says_how_all_of_them_are_missing(values, expected):
    assert missing_of(pd.Series(values, dtype=object)) == expected


def test_columns_of_other_dtypes_have_one_way_to_be_missing():
    assert missing_of(pd.Series([np.nan])) is None
    assert missing_of(pd.Series(["a"], dtype=object)) is None
