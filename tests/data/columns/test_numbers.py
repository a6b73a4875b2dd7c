import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from attar import DataError
from attar.data.cells import Boolean, Number
from attar.data.columns.base import Column
from attar.data.columns.numbers import BooleanColumn, IntegerColumn, NumberColumn
from attar.data.columns.profiles import UntypedProfile

NAN = np.nan


def profiled(*pieces):
    profile = UntypedProfile("x")
    for piece in pieces:
        profile.add(pa.chunked_array([piece]))
    return profile, profile.column(pa.chunked_array(list(pieces)))


def column_of(values, type_=None):
    return profiled(pa.array(values, type_))[1]


@pytest.mark.parametrize(
    ("values", "type_", "expected"),
    [
        ([1.5, 2.0, None], pa.float64(), NumberColumn),
        ([1.0, 2.0], pa.float64(), NumberColumn),
        ([1.0, 2.0, None], pa.float64(), IntegerColumn),
        ([1.0, 2.0, NAN], pa.float32(), IntegerColumn),
        ([1, 2], pa.int8(), IntegerColumn),
        ([0, 1, None], pa.uint64(), IntegerColumn),
        ([True, False, None], pa.bool_(), BooleanColumn),
        ([1, 2], pa.decimal128(5, 2), NumberColumn),
    ],
)
def test_what_numbers_are_is_seen_from_their_values(values, type_, expected):
    column = column_of(values, type_)
    assert type(column) is expected
    assert Column.from_json(column.to_json(), type_) == column
    array = pa.chunked_array([pa.array(values, type_, from_pandas=True)])
    assert column.decode(column.encode(array)).equals(array.combine_chunks())


def test_cells_say_what_they_are():
    assert NumberColumn("x", pa.float64()).cells == (Number("x"),)
    assert IntegerColumn("x", pa.int64()).cells == (Number("x", integer=True),)
    assert BooleanColumn("x", pa.bool_()).cells == (Boolean("x"),)


@pytest.mark.parametrize("type_", [pa.float16(), pa.float32(), pa.int16(), pa.uint8()])
def test_short_types_are_exact_in_single_precision(type_):
    column = column_of([1, 3], type_)
    assert column.single
    assert column.encode(pa.chunked_array([[1, 3]], type_)).tolist() == [[1], [3]]


@pytest.mark.parametrize("type_", [pa.float64(), pa.int32(), pa.decimal128(5, 2)])
def test_long_types_are_not(type_):
    assert not column_of([1, 3], type_).single


def test_integers_are_rounded_and_kept_in_range_on_the_way_back():
    column = IntegerColumn("x", pa.uint8())
    rows = np.array([[-3.0], [2.4], [2.6], [999.0], [NAN]])
    assert column.decode(rows).to_pylist() == [0, 2, 3, 255, None]


@pytest.mark.parametrize("type_", [pa.int64(), pa.uint64()])
def test_the_largest_integers_do_not_overflow_on_the_way_back(type_):
    limits = np.iinfo(type_.to_pandas_dtype())
    low, high = IntegerColumn("x", type_).decode(np.array([[-1e30], [1e30]])).to_pylist()
    assert low == limits.min
    assert limits.max - high <= 2**11


def test_whole_floats_are_rounded_on_the_way_back():
    column = column_of([1.0, 2.0, None])
    assert column.decode(np.array([[1.4], [1.6]])).to_pylist() == [1.0, 2.0]


def test_decimals_are_rounded_and_kept_in_range_on_the_way_back():
    column = NumberColumn("x", pa.decimal128(6, 2))
    back = column.decode(np.array([[1.128], [1e9], [-1e9], [9999.999], [NAN]])).to_pylist()
    assert [None if x is None else str(x) for x in back] == [
        "1.13",
        "9999.99",
        "-9999.99",
        "9999.99",
        None,
    ]


def test_numbers_too_large_for_a_short_type_are_infinite_without_a_warning():
    assert NumberColumn("x", pa.float32()).decode(np.array([[1e300]])).to_pylist() == [np.inf]


def test_flags_come_back_from_one_half():
    back = BooleanColumn("x", pa.bool_()).decode(np.array([[0.49], [0.5], [NAN]]))
    assert back.to_pylist() == [False, True, None]


@given(
    arrays(np.float64, st.integers(2, 40), elements=st.floats(-1e6, 1e6) | st.just(NAN)),
    st.integers(1, 39),
)
def test_moments_are_numpys_however_the_values_are_cut(values, cut):
    values = np.append(values, [0.5, -0.5])
    profile, column = profiled(pa.array(values[:cut]), pa.array(values[cut:]))
    moments, known = profile.moments(column), values[~np.isnan(values)]
    assert moments.count.tolist() == [len(known)]
    np.testing.assert_allclose(moments.mean, known.mean(), rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(moments.squares, known.var() * len(known), rtol=1e-9, atol=1e-6)
    assert moments.low == known.min()
    assert moments.high == known.max()


def test_row_numbers_are_dropped():
    column = column_of(np.arange(11) + 7)
    assert column.remark == "it is a row number"
    assert column.decode(np.empty((3, 0))).to_pylist() == [0, 1, 2]


def test_row_numbers_run_on_from_piece_to_piece():
    runs = profiled(pa.array(np.arange(80)), pa.array(np.arange(80, 160)))[1]
    assert runs.remark == "it is a row number"
    starts_anew = profiled(pa.array(np.arange(80)), pa.array(np.arange(80)))[1]
    assert type(starts_anew) is IntegerColumn


@pytest.mark.parametrize(
    "values",
    [
        np.arange(10),
        np.arange(200)[::-1],
        np.arange(200) * 2,
        np.arange(200.0),
        [*range(150), None],
        [*range(100), 150, *range(101, 202)],
    ],
    ids=["few", "backwards", "even", "floats", "missing", "with a jump"],
)
def test_other_numbers_are_used(values):
    assert column_of(values).cells


def test_integers_too_large_for_doubles_are_dropped():
    assert column_of([0, 2**52]).cells
    for large in (2**52 + 1, -(2**52) - 1):
        column = column_of([0, large])
        assert column.remark == "its integers are too large for exact arithmetic"
    assert not column_of([0, 2**64 - 1], pa.uint64()).cells


def test_a_constant_comes_back_exactly():
    for value, type_ in [(2**60 + 1, pa.int64()), (0.1, pa.float64()), (True, pa.bool_())]:
        column = column_of([value, value], type_)
        assert column.remark == "it is constant"
        assert Column.from_json(column.to_json(), type_) == column
        assert column.decode(np.empty((2, 0))).equals(pa.array([value, value], type_))


def test_a_constant_with_gaps_is_a_category_and_comes_back_exactly():
    for value, other, type_ in [
        (2**60 + 1, 2**60, pa.int64()),
        (0.1, 0.2, pa.float32()),
        (True, False, pa.bool_()),
    ]:
        column = column_of([value, None, value], type_)
        rows = column.encode(pa.chunked_array([pa.array([value, other, None, value], type_)]))
        np.testing.assert_array_equal(rows, [[0], [-1], [NAN], [0]])
        assert Column.from_json(column.to_json(), type_) == column
        known = pa.array([value, None, None, value], type_)
        assert column.decode(rows).equals(known)
    doubles = column_of([0.1, NAN], pa.float32()).encode(pa.chunked_array([[0.1, NAN, 0.2]]))
    np.testing.assert_array_equal(doubles, [[0], [NAN], [-1]])
    integers = column_of([2, None], pa.int64()).encode(pa.chunked_array([[2.0, 2.5, NAN]]))
    np.testing.assert_array_equal(integers, [[0], [-1], [NAN]])


def test_infinite_numbers_are_refused():
    with pytest.raises(DataError, match=r"Column 'x' has 2 infinite values \(inf\)"):
        column_of([1.0, np.inf, -np.inf])
