import datetime as dt
import json
import re
import warnings
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from attar import AttarWarning, DataError
from attar.data.cells import Boolean, Category, Number, Phase
from attar.data.scaling import MinMax, Standard, Symmetric
from attar.data.table import CHUNK, NumericTable, Table

NAN = np.nan


def fitted(*pieces):
    return Table.of(pieces)[0]


def there_and_back(table, data, passthrough=True):
    """Return data after they were cells and features, by a table that was written down."""
    again = Table.from_json(json.loads(json.dumps(table.to_json())))
    assert again == table
    features = again.expand(torch.from_numpy(again.rows(data)).double())
    assert features.shape[1:] == again.shape
    cells = again.collapse(features).numpy()
    return again.restore(cells, again.passthrough(data) if passthrough else None)


def floats(bits):
    # Squares of numbers beyond these overflow.
    most = {16: 6e4, 32: 2.0**100, 64: 2.0**400}[bits]
    return st.floats(-most, most, width=bits)


# ---------------------------------------------------------------- arrays


DTYPES = ["bool", "uint8", "int8", "int16", "uint32", "int32", "float32", "float64", "float16"]


@given(st.data())
def test_an_array_comes_back_in_its_own_dtype(data):
    dtype = np.dtype(data.draw(st.sampled_from(DTYPES)))
    cells = floats(8 * dtype.itemsize) | st.just(NAN) if dtype.kind == "f" else None
    shape = data.draw(st.tuples(st.integers(1, 6), st.integers(1, 5)))
    x = data.draw(arrays(dtype, shape, elements=cells))
    back = there_and_back(fitted(x), x)
    assert back.dtype == dtype
    np.testing.assert_array_equal(back, x)


def test_arrays_are_taken_as_they_are():
    x = np.arange(6, dtype=np.uint8).reshape(3, 2)
    table = fitted(x)
    assert table == NumericTable("uint8", 2)
    assert table.rows(x) is x
    assert table.feature_names() == ["x0", "x1"]
    assert table.names is None
    assert table.shape == (2,)
    assert table.passthrough(x) is None
    np.testing.assert_array_equal(table.joined([x, x]), np.vstack([x, x]))


def test_columns_without_a_value_are_not_used_and_come_back_missing():
    x = np.array([[1, NAN, 2], [3, NAN, NAN], [5, NAN, 7]])
    table, summary = Table.of([x[:2], x[2:]])
    assert table == NumericTable("float64", 3, (1,))
    assert table.shape == (2,)
    assert table.feature_names() == ["x0", "x2"]
    assert table.remarks == [("x1", "all of its values are missing")]
    assert summary.moments.count.tolist() == [3, 2]
    assert summary.moments.mean.tolist() == [3, 4.5]
    np.testing.assert_array_equal(summary.sample, x[:, [0, 2]])
    np.testing.assert_array_equal(there_and_back(table, x), x)
    later = x + np.array([0, 1, 0])
    later[:, 1] = 8
    np.testing.assert_array_equal(there_and_back(table, later), later)
    np.testing.assert_array_equal(table.restore(np.ones((1, 2))), [[1, NAN, 1]])


def test_lists_are_arrays_too():
    assert fitted([[1, 2], [3, 4]]) == NumericTable("int64", 2)


def test_missing_cells_are_0_where_an_array_has_integers_or_booleans():
    rows = np.array([[NAN, 1.6]])
    assert NumericTable("int8", 2).restore(rows).tolist() == [[0, 2]]
    assert NumericTable("bool", 2).restore(rows).tolist() == [[False, True]]


def test_a_frame_of_numbers_is_taken_for_an_array():
    table = fitted(np.eye(4, 2))
    np.testing.assert_array_equal(table.rows(pd.DataFrame({"a": [1], "b": [2.5]})), [[1, 2.5]])


@pytest.mark.parametrize("data", [np.zeros((4, 2)), pd.DataFrame({"a": [0, 1], "b": [1.5, 2]})])
def test_the_wrong_number_of_columns_is_refused(data):
    with pytest.raises(DataError, match=r"X has 3 features, but .* is expecting 2 features as"):
        fitted(data).rows(np.zeros((4, 3)))


def test_pieces_of_arrays_make_one():
    x = np.random.default_rng(0).normal(size=(90, 3))
    table, summary = Table.of([x[:7].astype(np.float32), x[7:7], x[7:]])
    assert table == NumericTable("float64", 3)
    np.testing.assert_allclose(summary.moments.mean, x.mean(0), atol=1e-7)
    assert summary.rows == len(summary.sample) == 90
    with pytest.raises(DataError, match=r"X has 2 features, but .* is expecting 3 features"):
        Table.of([x, x[:, :2]])


@pytest.mark.parametrize("shape", [(0, 3), (4, 0)])
def test_an_empty_array_is_left_to_others_to_refuse(shape):
    table, summary = Table.of([np.zeros(shape)])
    assert table.shape == shape[1:]
    assert summary.sample.shape == shape


def test_no_pieces_are_no_data():
    with pytest.raises(DataError, match="no rows"):
        Table.of([])


# ---------------------------------------------------------------- frames of every type

ZONES = ["UTC", "Europe/Paris", "America/New_York", "Asia/Kathmandu", "+05:30"]
TIMES = st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2150, 1, 1))
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=3)
DAYS = TIMES.map(lambda time: time.replace(hour=9, minute=30, second=0, microsecond=0))


def categories(values, ordered):
    return pd.CategoricalDtype(pd.Index(values), ordered)


NUMPY = {
    **{f"int{bits}": st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 64)},
    "uint8": st.integers(0, 255),
    "bool": st.booleans(),
}
FLOATS = {f"float{bits}": floats(bits) for bits in (16, 32, 64)}
NULLABLE = {
    "Int64": st.integers(-(2**63), 2**63 - 1),
    "UInt8": st.integers(0, 255),
    "Float32": floats(32),
    "boolean": st.booleans(),
    "string": TEXT,
    "str": TEXT,
    "int8[pyarrow]": st.integers(-128, 127),
    "double[pyarrow]": floats(64),
    "bool[pyarrow]": st.booleans(),
    "M8[s]": TIMES.map(lambda time: time.replace(microsecond=0)),
    "M8[us]": TIMES,
    "M8[ns]": DAYS,
    "m8[s]": st.integers(-(2**40), 2**40).map(lambda s: dt.timedelta(seconds=s // 60 * 60)),
    "m8[us]": st.timedeltas(dt.timedelta(-(10**4)), dt.timedelta(10**4)),
    "Period[D]": st.dates(dt.date(1970, 1, 1)).map(lambda day: pd.Period(day, "D")),
    categories(["b", "a", "c"], ordered=False): st.sampled_from("abc"),
    categories(["b", "a", "c"], ordered=True): st.sampled_from("ab"),
    categories([3, 1, 2], ordered=False): st.sampled_from([1, 2, 3]),
    categories(pd.interval_range(0, 3), ordered=True): st.sampled_from(
        list(pd.interval_range(0, 3))
    ),
    pd.ArrowDtype(pa.string()): TEXT,
    pd.ArrowDtype(pa.date32()): st.dates(),
    pd.ArrowDtype(pa.timestamp("us", "Europe/Paris")): TIMES.map(
        lambda time: time.replace(tzinfo=dt.UTC)
    ),
    pd.ArrowDtype(pa.time64("ns")): st.times(),
    pd.ArrowDtype(pa.duration("ms")): st.integers(-(10**6), 10**6).map(
        lambda hours: dt.timedelta(hours=hours)
    ),
    pd.ArrowDtype(pa.decimal128(6, 2)): st.decimals(-1000, 1000, places=2),
}
OBJECTS = [
    TEXT,
    st.booleans(),
    st.integers(-(2**70), 2**70),
    floats(64),
    st.dates(),
    st.times(),
    TIMES,
    st.timedeltas(dt.timedelta(-(10**4)), dt.timedelta(10**4)),
    st.just([1]),
    st.just({"a", 1}),
]


@st.composite
def columns(draw, n):
    """Return a column of any dtype, with any of its cells missing where it can have some."""

    def values(cells):
        return draw(st.lists(cells, min_size=n, max_size=n))

    family = draw(st.sampled_from(["numpy", "floats", "nullable", "zoned", "objects"]))
    if family == "numpy":
        dtype = draw(st.sampled_from(sorted(NUMPY)))
        return pd.Series(values(NUMPY[dtype]), dtype=dtype)
    if family == "floats":
        dtype = draw(st.sampled_from(sorted(FLOATS)))
        cells = draw(st.sampled_from([FLOATS[dtype], st.integers(-9, 9)])) | st.just(NAN)
        return pd.Series(values(cells), dtype=dtype)
    if family == "nullable":
        dtype = draw(st.sampled_from(list(NULLABLE)))
        return pd.Series(values(NULLABLE[dtype] | st.none()), dtype=dtype)
    if family == "zoned":
        times = pd.Series(values(TIMES | st.none()), dtype="M8[us]").dt.tz_localize("UTC")
        return times.dt.tz_convert(draw(st.sampled_from(ZONES)))
    missing = st.just(draw(st.sampled_from([None, NAN, pd.NA, pd.NaT])))
    return pd.Series(values(draw(st.sampled_from(OBJECTS)) | missing), dtype=object)


@st.composite
def frames(draw):
    n = draw(st.integers(2, 12))
    found = {"anchor": pd.Series(np.arange(n) / 2)}
    for i in range(draw(st.integers(1, 5))):
        found[draw(st.sampled_from([i, f"column {i}"]))] = draw(columns(n))
    frame = pd.DataFrame(found)
    index = draw(st.sampled_from([None, pd.Index(np.arange(n) % 3, name="key"), "text"]))
    if index is None:
        return frame
    return frame.set_axis([f"row {i}" for i in range(n)] if isinstance(index, str) else index)


@st.composite
def cut_frames(draw):
    frame = draw(frames())
    cuts = sorted(draw(st.lists(st.integers(0, len(frame)), max_size=4)))
    return frame, np.split(np.arange(len(frame)), cuts)


@given(cut_frames())
def test_any_frame_comes_back_as_it_was_in_memory_and_in_pieces(given_frame):
    frame, cuts = given_frame
    table, summary = Table.of([frame])
    back = there_and_back(table, frame)
    pd.testing.assert_frame_equal(back, frame, check_exact=True)

    pieces = [frame.iloc[rows] for rows in cuts]
    streamed, cut_summary = Table.of(pieces)
    assert streamed == table
    np.testing.assert_array_equal(cut_summary.sample, summary.sample)
    np.testing.assert_array_equal(cut_summary.places, summary.places)
    for name in ("count", "mean", "squares", "low", "high"):
        one, other = (getattr(s.moments, name) for s in (summary, cut_summary))
        assert one.shape == (len(table.cells),)
        np.testing.assert_allclose(other, one, rtol=1e-9, atol=1e-9)
    joined = table.joined([there_and_back(table, piece) for piece in pieces])
    pd.testing.assert_frame_equal(joined, frame, check_exact=True)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_number_with_gaps_comes_back_in_any_precision(dtype):
    frame = pd.DataFrame({"a": np.array([1.1, NAN, 1.1], dtype)})
    back = there_and_back(Table.of([frame])[0], frame)
    assert back.dtypes.equals(frame.dtypes)
    np.testing.assert_array_equal(back["a"], frame["a"])


@given(frames())
def test_new_rows_have_the_frames_columns_and_dtypes(frame):
    table = fitted(frame)
    new = there_and_back(table, frame, passthrough=False)
    assert new.dtypes.tolist() == frame.dtypes.tolist()
    assert new.columns.tolist() == frame.columns.tolist()
    assert new.index.equals(pd.RangeIndex(len(frame)))


ARROW = {
    pa.int16(): st.integers(-(2**15), 2**15 - 1),
    pa.float32(): floats(32),
    pa.bool_(): st.booleans(),
    pa.string(): TEXT,
    pa.large_string(): st.sampled_from("ab"),
    pa.dictionary(pa.int32(), pa.string()): st.sampled_from("abc"),
    pa.date32(): st.dates(),
    pa.timestamp("us"): TIMES,
    pa.timestamp("ms", "Europe/Paris"): DAYS,
    pa.time64("us"): st.times(),
    pa.duration("us"): st.timedeltas(dt.timedelta(-(10**4)), dt.timedelta(10**4)),
    pa.decimal128(8, 2): st.decimals(-1000, 1000, places=2),
    pa.binary(): st.binary(),
    pa.list_(pa.int8()): st.lists(st.integers(0, 3), max_size=2),
    pa.null(): st.none(),
}


@st.composite
def arrow_tables(draw):
    n = draw(st.integers(2, 12))
    found = {"anchor": pa.array(np.arange(n) / 2)}
    for type_ in draw(st.lists(st.sampled_from(list(ARROW)), min_size=1, max_size=5)):
        values = draw(st.lists(ARROW[type_] | st.none(), min_size=n, max_size=n))
        plain = pa.types.is_dictionary(type_)
        array = pa.array(values, type_.value_type if plain else type_)
        found[f"column {len(found)}"] = array.dictionary_encode() if plain else array
    return pa.table(found), draw(st.integers(0, n))


@given(arrow_tables())
def test_any_table_of_pyarrow_comes_back_as_it_was(given_table):
    data, cut = given_table
    table = fitted(data)
    assert there_and_back(table, data).equals(data)
    streamed = fitted(data[:cut], data[cut:])
    assert streamed == table
    parts = [there_and_back(table, data[:cut]), there_and_back(table, data[cut:])]
    assert table.joined(parts).equals(data)
    assert there_and_back(table, data, passthrough=False).schema == data.schema


@given(arrow_tables())
def test_any_frame_of_polars_comes_back_as_it_was(given_table):
    pl = pytest.importorskip("polars")
    data, cut = pl.from_arrow(given_table[0]), given_table[1]
    table = fitted(data)
    back = there_and_back(table, data)
    assert back.schema == data.schema
    assert back.equals(data)
    assert table.joined([there_and_back(table, data[:cut]), back[cut:]]).equals(data)


def test_record_batches_come_back_as_such():
    batch = pa.RecordBatch.from_pydict({"a": [1, None, 3], "b": ["x", "y", "x"]})
    table = fitted(batch)
    assert there_and_back(table, batch).equals(batch)
    assert table.joined([batch, batch]).num_rows == 6


# ---------------------------------------------------------------- what a frame becomes


def mixed_frame():
    return pd.DataFrame(
        {
            "age": [31, 45, 28, 60],
            "height": [1.8, NAN, 1.6, 1.7],
            "member": [True, False, True, True],
            "race": pd.Categorical(["White", "Black", None, "White"]),
            "when": pd.to_datetime(["2020-01-01 06", "2020-01-01 00", "2020-01-02 00", None]),
            "source": "survey",
        }
    )


def test_a_row_is_a_cell_for_each_thing_that_may_be_missing():
    table, summary = Table.of([mixed_frame()])
    assert table.cells == (
        Number("age", integer=True),
        Number("height"),
        Boolean("member"),
        Category("race", ("Black", "White")),
        Number("when"),
        Phase("when", "day"),
    )
    expected = [
        [31, 1.8, 1, 1, 6, 0.25],
        [45, NAN, 0, 0, 0, 0],
        [28, 1.6, 1, NAN, 24, 0],
        [60, 1.7, 1, 1, NAN, NAN],
    ]
    rows = table.rows(mixed_frame())
    np.testing.assert_array_equal(rows, expected)
    np.testing.assert_array_equal(summary.sample, expected)
    assert summary.moments.count.tolist() == [4, 3, 4, 3, 3, 3]
    np.testing.assert_allclose(summary.moments.mean[[0, 1, 4]], np.nanmean(rows, 0)[[0, 1, 4]])
    assert summary.missing


def test_features_have_names():
    table = fitted(mixed_frame())
    assert table.feature_names() == [
        "age",
        "height",
        "member",
        "race=Black",
        "race=White",
        "when",
        "when (day, cos)",
        "when (day, sin)",
    ]
    assert table.shape == (8,)
    assert table.names == ("age", "height", "member", "race", "when", "source")
    assert table.name == "table"


def test_columns_that_are_not_used_are_reported():
    n = 150
    frame = pd.DataFrame(
        {
            "key": np.arange(n),
            "name": [f"n{i}" for i in range(n)],
            "x": np.arange(n) % 7 / 2,
            "nothing": NAN,
            "unit": "m",
            "hash": np.arange(n) * 2**48,
            "tags": [[i] for i in range(n)],
            "town": [f"t{i % 130}" for i in range(n)],
        }
    )
    assert fitted(frame).remarks == [
        ("key", "it is a row number"),
        ("name", "nearly all of its values are different"),
        ("nothing", "all of its values are missing"),
        ("unit", "it is constant"),
        ("hash", "its integers are too large for exact arithmetic"),
        ("tags", "it holds values of the type list<item: int64>"),
        ("town", "nearly all of its values are different"),
    ]
    new = there_and_back(fitted(frame), frame[:2], passthrough=False)
    assert new["key"].tolist() == [0, 1]
    assert new["name"].tolist() == ["", ""]
    assert new["unit"].tolist() == ["m", "m"]
    assert new["nothing"].isna().all()
    assert new["tags"].isna().all()


def test_rare_categories_are_reported_and_restored_as_one():
    towns = np.concatenate([np.arange(130), np.arange(90), np.arange(90)]).astype(str)
    frame = pd.DataFrame({"town": towns, "kind": pd.Categorical(towns)})
    table = fitted(frame)
    kept = "kept the 100 most frequent categories, the rest become"
    back = there_and_back(table, frame)
    rare = back["town"] == "other"
    assert rare.sum() == 30
    assert back["town"][~rare].equals(frame["town"][~rare])
    assert back["kind"].dtype == frame["kind"].dtype
    (other,) = back["kind"][rare].unique()
    assert table.remarks == [("town", f"{kept} 'other'"), ("kind", f"{kept} {other!r}")]


def test_a_frame_without_a_column_to_use_is_refused():
    frame = pd.DataFrame({"a": [1, 1], "b": [None, None]})
    message = "'a' (it is constant), 'b' (all of its values are missing)"
    with pytest.raises(DataError, match=re.escape(message)):
        Table.of([frame])


@pytest.mark.parametrize("value", [dt.date(2020, 1, 1), (1, 2), Decimal("1.5"), b"x"], ids=str)
def test_what_cannot_be_saved_is_refused_before_training(value):
    labels = pd.Index([value, "other"], tupleize_cols=False)
    category = pd.DataFrame({"a": [0.5, 1.5], "c": pd.Categorical.from_codes([0, 1], labels)})
    name = pd.DataFrame([[0.5, 1.5], [1.5, 0.5]], columns=labels)
    for frame in (category, name):
        message = re.escape(f"{value!r} is a category or the name of a column, but cannot be saved")
        with pytest.raises(DataError, match=message):
            Table.of([frame])


def test_a_frame_of_one_row_is_left_to_others_to_refuse():
    summary = Table.of([mixed_frame()[:1]])[1]
    assert (summary.rows, summary.sample.shape) == (1, (1, 0))


def test_a_frame_without_rows_is_left_to_others_to_refuse():
    table, summary = Table.of([mixed_frame()[:0]])
    assert (summary.rows, summary.sample.shape) == (0, (0, 0))
    assert table.shape == (0,)


def test_cells_that_have_no_unit_are_not_scaled():
    table = fitted(mixed_frame())
    spread = table.spread(np.arange(6.0) + 2, neutral=-1)
    assert spread.tolist() == [2, 3, -1, -1, 6, -1]


def test_columns_between_0_and_1_keep_their_range():
    def scaling(**columns):
        table, summary = Table.of([pd.DataFrame(columns)])
        return table.scaling(summary)

    assert scaling(a=[0.0, 1.0], b=[0.5, 0.2]) == MinMax()
    assert scaling(a=[0.0, 1.1], b=[0.5, 0.2]) == Standard()
    assert scaling(a=[0.0, 0.1], b=["x", "y"]) == MinMax()
    assert scaling(a=np.exp(np.arange(9.0))) == Symmetric()
    assert Table.of([np.array([[0.0], [1.0]])])[0].scaling(
        Table.of([np.array([[0.0], [1.0]])])[1]
    ) == (MinMax())


def test_objects_of_mixed_types_come_back_though_they_are_not_used():
    frame = pd.DataFrame({"a": pd.Series([1, "x", None], dtype=object), "b": [1.5, 2.5, 3.5]})
    table = fitted(frame)
    assert table.remarks == [("a", "it holds values of mixed or unknown types")]
    pd.testing.assert_frame_equal(there_and_back(table, frame), frame)
    with pytest.raises(DataError, match=r"Column 'a' holds numbers .* and text .* in another"):
        fitted(frame[:1], frame[1:])


def test_what_comes_back_may_be_written_to():
    frame = mixed_frame()
    back = there_and_back(fitted(frame), frame)
    back.loc[1, ["age", "height", "member"]] = [46, 1.9, True]
    assert back.loc[1].tolist()[:3] == [46, 1.9, True]
    np.testing.assert_array_equal(fitted(frame).rows(frame), fitted(frame).rows(mixed_frame()))


def test_short_columns_are_held_in_single_precision():
    frame = mixed_frame().astype({"age": "int8", "height": "float32"})[["age", "height", "race"]]
    assert fitted(frame).rows(frame).dtype == np.float32
    assert fitted(mixed_frame()).rows(mixed_frame()).dtype == np.float64


def test_long_frames_are_encoded_in_parts():
    n = 2 * CHUNK + 5
    frame = pd.DataFrame({"a": np.arange(n) % 1000, "b": pd.Categorical(np.arange(n) % 3)})
    table = fitted(frame)
    rows = table.rows(frame)
    np.testing.assert_array_equal(rows, np.column_stack([np.arange(n) % 1000, np.arange(n) % 3]))
    assert rows.flags.c_contiguous


# ---------------------------------------------------------------- other data than was fitted


def test_columns_may_come_in_another_order_and_table():
    table = fitted(pd.DataFrame({"a": [1, 2], "b": [3, 4]}))
    for make in (pd.DataFrame, pa.table):
        assert table.rows(make({"b": [30], "a": [10]})).tolist() == [[10, 30]]
    back = there_and_back(table, pa.table({"b": [30], "a": [10]}))
    pd.testing.assert_frame_equal(back, pd.DataFrame({"a": [10], "b": [30]}))


def test_an_array_stands_for_the_columns_in_their_order():
    table = fitted(pd.DataFrame({"a": [1, 2], "b": [3.5, 4]}))
    assert table.rows([[10, 0.5]]).tolist() == [[10, 0.5]]


def test_pieces_with_missing_and_foreign_columns_are_refused():
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": [2.0, 1.0]})
    with pytest.raises(DataError, match="lacks the column 'b'"):
        Table.of([frame, frame[["a"]]])
    with pytest.raises(DataError, match="lacks the column 'a'"):
        fitted(frame).rows(frame[["b"]])
    with pytest.raises(DataError, match="a column 'c' that the model was not fitted on"):
        fitted(frame).rows(frame.assign(c=1))


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("age", ["old"], "holds text such as 'old', but the model was fitted on numbers there"),
        ("member", [2], "holds numbers such as 2, but the model was fitted on booleans"),
        ("race", [1], "holds numbers such as 1, but the model was fitted on text"),
        ("when", [5], "holds numbers such as 5, but the model was fitted on dates"),
        (
            "when",
            [pd.Timestamp("2020", tz="UTC")],
            "holds dates with a time zone such as .*, but the model was fitted on dates there",
        ),
        ("race", [{1, "a"}], "holds values of mixed or unknown types, but the model was"),
    ],
)
def test_columns_of_another_type_are_refused(column, values, message):
    frame = mixed_frame()[:1].assign(**{column: pd.Series(values)})
    with pytest.raises(DataError, match=f"Column '{column}' {message}"):
        fitted(mixed_frame()).rows(frame)


def test_columns_without_a_value_are_taken_for_any_type():
    frame = mixed_frame()[:2].astype(object)
    frame[:] = None
    rows = fitted(mixed_frame()).rows(frame)
    assert rows.shape == (2, 6)
    assert np.isnan(rows).all()


def test_text_stands_for_categories_and_numbers_for_integers():
    frame = mixed_frame()[:1].assign(race="White", age=31.5)
    np.testing.assert_array_equal(fitted(mixed_frame()).rows(frame)[:, [0, 3]], [[31.5, 1]])


def test_unseen_categories_are_counted_in_a_warning():
    table = fitted(pd.DataFrame({"a": ["x", "y"], "b": ["u", "v"], "c": [1, 2]}))
    new = pd.DataFrame({"a": ["x", "z", "w"], "b": ["q", None, "v"], "c": [1, 2, 3]})
    with pytest.warns(
        AttarWarning, match=r"that the fit did not see .*: 3 in the columns 'a', 'b'\.$"
    ):
        rows = table.rows(new)
    np.testing.assert_array_equal(rows, [[0, -1, 1], [-1, NAN, 2], [-1, 1, 3]])
    back = table.restore(rows)
    assert back["a"].tolist()[0] == "x"
    assert back["a"].isna().tolist() == [False, True, True]
    features = table.expand(torch.from_numpy(rows))
    assert features[1].nan_to_num(9).tolist() == [0, 0, 9, 9, 2]
    with pytest.warns(AttarWarning, match=r"that the fit did not see .*: 1 in the column 'a'\.$"):
        table.rows(pd.DataFrame({"a": ["z"], "b": ["u"], "c": [1]}))


def test_unseen_categories_are_another_one_where_rare_ones_were_left_out():
    towns = np.concatenate([np.arange(130), np.arange(130)]).astype(str)
    table = fitted(pd.DataFrame({"town": towns, "x": np.arange(260) % 9}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert table.rows(pd.DataFrame({"town": ["new"], "x": [1]})).tolist() == [[100, 1]]


@pytest.mark.parametrize("as_frame", [True, False])
def test_infinite_cells_are_counted_by_column(as_frame):
    x = np.random.default_rng(0).normal(size=(10, 3))
    table_of = pd.DataFrame(x, columns=["a", "b", "c"]) if as_frame else x
    x = x.copy()
    x[[2, 5, 7], 1] = [np.inf, -np.inf, np.inf]
    data = pd.DataFrame(x, columns=["a", "b", "c"]) if as_frame else x
    column = "Column 'b'" if as_frame else "Column 1 of X"
    message = re.escape(f"{column} has 3 infinite values (inf): replace them by finite ones")
    with pytest.raises(DataError, match=message):
        Table.of([data])
    with pytest.raises(DataError, match=message):
        fitted(table_of).rows(data)


def test_numbers_so_large_that_their_sum_overflows_are_taken():
    x = np.array([[1.7e308], [1.6e308], [1.7e308]])
    np.testing.assert_array_equal(NumericTable("float64", 1).rows(x), x)
    table = fitted(pd.DataFrame({"a": [1.5, 2.5]}))
    np.testing.assert_array_equal(table.rows(pd.DataFrame({"a": x[:, 0]})), x)


@pytest.mark.parametrize("dtype", [complex, object])
def test_complex_columns_are_refused(dtype):
    frame = pd.DataFrame({"a": [1, 2], "v": pd.Series([1j, 2j], dtype=dtype)})
    with pytest.raises(DataError, match="Complex data not supported: column 'v'"):
        Table.of([frame])
