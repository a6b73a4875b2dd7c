import datetime as dt

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attar.data.cells import Number, Phase
from attar.data.columns.base import Column
from attar.data.columns.profiles import UntypedProfile


def surveyed(*pieces):
    profile = UntypedProfile("t")
    for piece in pieces:
        profile.add(pa.chunked_array([piece]))
    return profile, profile.column(pa.chunked_array(list(pieces)))


def column_of(values, type_):
    return surveyed(pa.array(values, type_))[1]


def there_and_back(array):
    column = surveyed(array)[1]
    assert Column.from_json(column.to_json(), array.type) == column
    return column.decode(column.encode(pa.chunked_array([array])))


@given(st.lists(st.times() | st.none(), min_size=1, max_size=20))
def test_times_of_day_come_back_exactly(values):
    for type_ in (pa.time64("us"), pa.time64("ns"), pa.time32("s"), pa.time32("ms")):
        array = pa.array(values, pa.time64("us")).cast(type_, safe=False)
        if len(array.unique().drop_null()) > 1:
            assert there_and_back(array).equals(array)


@given(
    st.lists(st.integers(-(2**52), 2**52) | st.none(), min_size=2, max_size=20),
    st.sampled_from(["s", "ms", "us", "ns"]),
)
def test_durations_come_back_exactly(values, unit):
    array = pa.array([*values, 0, 1], pa.duration(unit))
    assert there_and_back(array).equals(array)


def test_a_time_of_day_is_the_share_of_the_day_that_has_passed():
    column = column_of([dt.time(6), dt.time(18, 30)], pa.time64("us"))
    assert column.cells == (Phase("t", "day"),)
    rows = column.encode(pa.chunked_array([[dt.time(18), None]], pa.time64("us")))
    np.testing.assert_array_equal(rows, [[0.75], [np.nan]])


def test_predicted_times_are_rounded_to_whole_steps_of_the_same_day():
    column = column_of([dt.time(6), dt.time(18)], pa.time64("us"))
    back = column.decode(np.array([[0.26], [0.999], [1.25], [np.nan]])).to_pylist()
    assert back == [dt.time(6), dt.time(0), dt.time(6), None]


def test_durations_are_steps_of_the_largest_unit():
    hours = [dt.timedelta(hours=3), dt.timedelta(days=2)]
    column = column_of(hours, pa.duration("us"))
    assert column.cells == (Number("t"),)
    rows = column.encode(pa.chunked_array([[dt.timedelta(minutes=90), -hours[0], None]]))
    np.testing.assert_array_equal(rows, [[1.5], [-3], [np.nan]])
    assert column.decode(np.array([[1.6]])).to_pylist() == [dt.timedelta(hours=2)]


def test_wild_durations_stay_within_64_bits():
    column = column_of([1, 10**6], pa.duration("us"))
    low, high = column.decode(np.array([[-1e300], [1e300]])).cast(pa.int64()).to_pylist()
    assert low == -high
    assert 2**62 < high < 2**63


@given(st.lists(st.integers(-(2**40), 2**40), min_size=1, max_size=20), st.integers(1, 19))
def test_moments_of_durations_are_those_of_their_steps(values, cut):
    array = pa.array([*values, 0, 7000], pa.duration("ms"))
    profile, column = surveyed(array[:cut], *([array[cut:]] if cut < len(array) else []))
    assert column == surveyed(array)[1]
    moments, steps = profile.moments(column), column.encode(pa.chunked_array([array]))
    scale = np.abs(steps).max()
    np.testing.assert_allclose(moments.mean, steps.mean(0), atol=1e-12 * scale)
    np.testing.assert_allclose(moments.squares, steps.var(0) * len(steps), rtol=1e-9)
    assert moments.low == steps.min()
    assert moments.high == steps.max()
    assert moments.count == len(steps)


@pytest.mark.parametrize(
    ("value", "type_"),
    [(dt.time(7, 30), pa.time64("ns")), (dt.timedelta(seconds=5), pa.duration("s"))],
)
def test_one_value_is_a_constant(value, type_):
    column = column_of([value, None, value], type_)
    assert column.remark == "it is constant"
    assert column.decode(np.empty((2, 0))).equals(pa.array([value, value], type_))
