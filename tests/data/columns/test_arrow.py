import datetime as dt
import decimal
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from attar import DataError
from attar.data.columns.arrow import (
    OPAQUE,
    TIMES,
    coarsest,
    converted,
    dtype_from_json,
    dtype_to_json,
    from_arrow,
    from_ticks,
    index_from_json,
    index_to_json,
    joint,
    labelled,
    missing_of,
    places,
    scalar,
    schema_from_json,
    schema_to_json,
    sort_of,
    ticks,
    ticks_per_day,
    to_arrow,
)

TEXT = pa.large_string()

TIME_TYPES = [
    pa.date32(),
    pa.date64(),
    pa.time32("s"),
    pa.time64("ns"),
    pa.timestamp("ms"),
    pa.timestamp("ns", "Asia/Kathmandu"),
    pa.duration("us"),
]


@pytest.mark.parametrize(
    ("type_", "sort"),
    [
        (pa.null(), "nothing"),
        (pa.uint8(), "numbers"),
        (pa.float16(), "numbers"),
        (pa.decimal256(40, 2), "numbers"),
        (pa.bool_(), "booleans"),
        (TEXT, "text"),
        (pa.dictionary(pa.int8(), TEXT), "text"),
        (pa.date32(), "dates"),
        (pa.timestamp("s"), "dates"),
        (pa.timestamp("s", "UTC"), "dates with a time zone"),
        (pa.time32("s"), "times of day"),
        (pa.duration("s"), "durations"),
        (pa.binary(), "values of the type binary"),
        (OPAQUE, "values of mixed or unknown types"),
    ],
)
def test_types_have_plain_words(type_, sort):
    assert sort_of(type_) == sort


@pytest.mark.parametrize("type_", TIME_TYPES, ids=str)
def test_times_are_whole_numbers_and_come_back(type_):
    day = ticks_per_day(type_)
    array = from_ticks(np.array([0, day, 9]), np.array([True, True, False]), type_)
    assert array.type == type_
    numbers, known = ticks(pa.chunked_array([array]))
    assert numbers.tolist() == [0, day, 0]
    assert known.tolist() == [True, True, False]
    assert any(is_time(type_) for is_time in TIMES)
    assert scalar(day, type_).equals(array[1])


def test_a_day_has_as_many_ticks_as_its_unit_says():
    days = [1, 86_400_000, 86_400, 86_400 * 10**9, 86_400_000, 86_400 * 10**9, 86_400 * 10**6]
    assert [ticks_per_day(type_) for type_ in TIME_TYPES] == days


@pytest.mark.parametrize(
    ("seconds", "unit"),
    [(0, 86_400), (172_800, 86_400), (7200, 3600), (5400, 60), (90, 1), (-86_400, 86_400)],
)
def test_the_coarsest_unit_divides_a_distance(seconds, unit):
    assert coarsest(seconds, pa.timestamp("s")) == unit
    assert coarsest(seconds * 10**9, pa.timestamp("ns")) == unit * 10**9


def test_units_below_a_second_are_thousandths():
    for distance, unit in [(5 * 10**6, 10**6), (2000, 1000), (7, 1)]:
        assert coarsest(distance, pa.time64("ns")) == unit
    assert coarsest(3, pa.date32()) == 1


def test_places_of_text_among_labels():
    labels = pa.array(["b", "a"], TEXT)
    plain = pa.chunked_array([["a", None], ["c", "b"]], TEXT)
    for array in (plain, plain.dictionary_encode()):
        assert places(array, labels).tolist() == [1, -1, -1, 0]
    assert places(pa.chunked_array([pa.nulls(2)]), labels).tolist() == [-1, -1]


@pytest.mark.parametrize(
    ("value", "type_"),
    [(2**63, pa.uint64()), (0.1, pa.float32()), (1.25, pa.decimal128(5, 2)), (True, pa.bool_())],
)
def test_plain_values_are_scalars_of_a_type(value, type_):
    assert scalar(value, type_).type == type_
    assert float(scalar(value, type_).as_py()) == pytest.approx(float(value), rel=1e-7)


def test_a_schema_comes_back_from_text():
    schema = pa.schema([pa.field("a", pa.list_(pa.int8()), metadata={"k": "v"})], {"m": "n"})
    assert schema_from_json(schema_to_json(schema)).equals(schema, check_metadata=True)


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


DATES = pd.to_datetime(["2020-01-02", "2021-03-04"])

INDEXES = [
    pd.period_range("2020-01", periods=3, freq="M", name="month"),
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
    with pytest.raises(DataError, match=r"\(1, 2\) is a category or .*, but cannot be saved"):
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


@pytest.mark.parametrize(
    ("values", "type_", "expected"),
    [
        (["1", " 2.5", None], pa.int64(), [1, 2.5, None]),
        ([str(2**60 + 1)], pa.int64(), [2**60 + 1]),
        (["old"], pa.int64(), None),
        (["True", "false"], pa.bool_(), [True, False]),
        (["2024-01-03", None], pa.date32(), [dt.date(2024, 1, 3), None]),
        (["2024-01-03"], pa.timestamp("us"), [dt.datetime(2024, 1, 3)]),
        (["2024-01-03 12:00:00"], pa.date32(), None),
        (["07:30:00"], pa.time32("s"), [dt.time(7, 30)]),
        (["7:30", None], pa.time64("us"), [dt.time(7, 30), None]),
        (["1.234,5", "7"], pa.int64(), [1234.5, 7]),
        (["5 %"], pa.float64(), [5]),
        (["1,234"], pa.float64(), None),
        (["31.12.2024"], pa.timestamp("s"), [dt.datetime(2024, 12, 31)]),
        (["03/04/2024"], pa.date32(), None),
        ([1, 0, None], pa.bool_(), [True, False, None]),
        ([1.0, np.nan], pa.bool_(), [True, None]),
        ([1, 2], pa.bool_(), None),
        ([0.5], pa.bool_(), None),
        ([True, False, None], pa.float64(), [1, 0, None]),
        ([5], pa.date32(), None),
    ],
    ids=str,
)
def test_values_of_another_sort_are_taken_where_nothing_is_lost(values, type_, expected):
    array = pa.array(values)
    array = array.cast(TEXT) if array.type == pa.string() else array
    found = converted(pa.chunked_array([array]), type_)
    assert (found and found.to_pylist()) == expected


@pytest.mark.parametrize(
    ("values", "labels", "expected"),
    [
        ([90210, 1234, None], ["01234", "90210"], ["90210", "01234", None]),
        ([7, 8], ["007", "7", "B9"], ["7", "8"]),
        ([23.0, np.nan, 2.5], ["23", "A1"], ["23", None, "2.5"]),
        ([True, False], ["False", "True", "unknown"], ["True", "False"]),
        ([dt.date(2024, 1, 3)], ["2024-01-03", "open"], ["2024-01-03"]),
        ([dt.datetime(2024, 1, 3)], ["2024-01-03", "open"], ["2024-01-03"]),
        ([1, 2], ["red", "blue"], None),
        ([True], ["yes", "no"], None),
    ],
    ids=str,
)
def test_values_have_the_labels_that_stand_for_them(values, labels, expected):
    found = labelled(pa.chunked_array([pa.array(values)]), labels)
    assert (found and found.to_pylist()) == expected
