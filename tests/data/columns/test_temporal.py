import datetime as dt

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attar.data.cells import Number, Phase
from attar.data.columns.base import Column
from attar.data.columns.profiles import UntypedProfile
from attar.data.columns.temporal import DatetimeColumn, phases_of

DAY = dt.timedelta(days=1)


def profiled(*pieces):
    profile = UntypedProfile("d")
    for piece in pieces:
        profile.add(pa.chunked_array([piece]))
    return profile, profile.column(pa.chunked_array(list(pieces)))


def column_of(values, type_="us", tz=None):
    type_ = pa.timestamp(type_, tz) if isinstance(type_, str) else type_
    return profiled(pa.array(values, type_))[1]


def there_and_back(array):
    column = profiled(array)[1]
    assert Column.from_json(column.to_json(), array.type) == column
    return column.decode(column.encode(pa.chunked_array([array])))


TIMES = st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2150, 1, 1))
DATES = st.dates(dt.date(1, 1, 1), dt.date(9999, 12, 31))
ZONES = [None, "UTC", "Europe/Paris", "America/New_York", "Asia/Kathmandu", "+05:30"]


@given(
    st.lists(TIMES | st.none(), min_size=1, max_size=20),
    st.sampled_from(["s", "ms", "us", "ns"]),
    st.sampled_from(ZONES),
    st.sampled_from([DAY, dt.timedelta(minutes=15), dt.timedelta(microseconds=1)]),
)
def test_times_come_back_exactly(values, unit, zone, grid):
    start = dt.datetime(1900, 1, 1)
    cut = [None if v is None else start + (v - start) // grid * grid for v in values]
    array = pa.array(cut, pa.timestamp("us")).cast(pa.timestamp(unit, zone), safe=False)
    if len(array.unique().drop_null()) > 1:
        assert there_and_back(array).equals(array)


@given(st.lists(DATES | st.none(), min_size=1, max_size=20))
def test_dates_come_back_exactly(values):
    for type_ in (pa.date32(), pa.date64()):
        array = pa.array(values, type_)
        if len(array.unique().drop_null()) > 1:
            assert there_and_back(array).equals(array)


@given(st.lists(st.integers(-(10**18) * 9, 10**18 * 9), min_size=2, max_size=9, unique=True))
def test_nanoseconds_over_centuries_come_back_exactly(ticks):
    array = pa.array([*ticks, ticks[0] + 1], pa.timestamp("ns"))
    assert there_and_back(array).equals(array)


def test_the_step_is_the_largest_unit_between_values():
    nine = dt.datetime(2020, 1, 1, 9, 30)
    for gap, step in [
        (14 * DAY, 86_400 * 10**6),
        (dt.timedelta(hours=6), 3600 * 10**6),
        (dt.timedelta(minutes=30), 60 * 10**6),
        (dt.timedelta(seconds=90), 10**6),
        (dt.timedelta(milliseconds=20), 1000),
        (dt.timedelta(microseconds=3), 1),
    ]:
        assert column_of([nine, nine + gap, nine + 5 * gap]).step == step


def test_the_trend_counts_steps_from_the_first_value():
    column = column_of([dt.date(2020, 3, 1), dt.date(2020, 1, 1)], pa.date32())
    assert column.cells[0] == Number("d")
    rows = column.encode(pa.chunked_array([[dt.date(2020, 1, 3), dt.date(2019, 12, 31)]]))
    assert rows[:, 0].tolist() == [2, -1]


def test_phases_are_what_the_values_go_round():
    start = dt.datetime(2020, 1, 1)

    def phases(*distances):
        return column_of([start, *(start + distance for distance in distances)]).phases

    assert phases(DAY / 2) == ()
    assert phases(3 * DAY) == ()
    assert phases(1.5 * DAY) == ("day",)
    assert phases(8 * DAY) == ("week",)
    assert phases(8.25 * DAY) == ("day", "week")
    assert phases(14 * DAY) == ()
    assert phases(400 * DAY) == ("week", "year")
    assert phases(366 * DAY, (366 + 365) * DAY) == ("week",)


def test_phases_are_the_shares_of_day_week_and_year_that_have_passed():
    us = np.array(["2024-02-29T18:00", "2023-12-31T12:00"], "M8[us]").astype(np.int64)
    day = 86_400 * 10**6
    assert phases_of(us, day, "day").tolist() == [0.75, 0.5]
    assert phases_of(us, day, "week").tolist() == [3 / 7, 6 / 7]  # a Thursday and a Sunday
    assert phases_of(us, day, "year").tolist() == [59.75 / 366, 364.5 / 365]


def test_phases_are_those_of_the_columns_time_zone():
    values = pd.date_range("2024-01-01", periods=400, freq="D", tz="Europe/Paris")
    array = pa.chunked_array([pa.array(pd.Series(values))])
    column = profiled(array.chunk(0))[1]
    assert column.phases == ("week", "year")
    assert column.cells[1:] == (Phase("d", "week"), Phase("d", "year"))
    assert column.encode(array)[181, 2] == 181 / 366  # midnight in summer too


def test_midnights_stay_midnights_over_the_change_of_clocks():
    days = pd.date_range("2024-03-01", "2024-11-30", freq="D", tz="Europe/Paris")
    column = profiled(pa.array(pd.Series(days)))[1]
    rows = column.encode(pa.chunked_array([pa.array(pd.Series(days))]))
    rows[:, 0] += np.random.default_rng(0).uniform(-0.3, 0.3, len(rows))
    assert column.decode(rows).equals(pa.array(pd.Series(days)))


def test_both_hours_that_are_called_two_come_back():
    times = pd.date_range("2024-10-26 21:30", periods=12, freq="h", tz="UTC")
    array = pa.array(pd.Series(times.tz_convert("Europe/Paris")))
    assert there_and_back(array).equals(array)


def test_a_prediction_is_moved_to_its_time_of_day_and_rounded():
    hourly = [dt.datetime(2020, 1, 1) + i * dt.timedelta(hours=1) for i in range(48)]
    column = column_of(hourly)
    assert column.phases == ("day",)
    rows = np.array([[30.2, 0.0], [30.2, 0.26], [1.0, 23 / 24], [5.0, np.nan]])
    assert column.decode(rows).to_pylist() == [
        dt.datetime(2020, 1, 2, 0),
        dt.datetime(2020, 1, 2, 6),
        dt.datetime(2019, 12, 31, 23),
        dt.datetime(2020, 1, 1, 5),
    ]


def test_a_missing_trend_is_a_missing_date():
    column = column_of([dt.datetime(2020, 1, 1), dt.datetime(2020, 1, 3)])
    assert column.decode(np.array([[np.nan]])).to_pylist() == [None]


@pytest.mark.parametrize(
    "type_", [pa.date32(), pa.date64(), pa.timestamp("us"), pa.timestamp("us", "Europe/Paris")]
)
def test_wild_predictions_stay_dates(type_):
    column = column_of([0, 86_400_000], type_)
    early, late = column.decode(np.array([[-1e300], [1e300]])).to_pylist()
    assert early.year == 1
    assert late.year == 9999


def test_wild_predictions_in_nanoseconds_stay_within_64_bits():
    column = column_of([0, 10**9], "ns")
    early, late = column.decode(np.array([[-1e300], [1e300]])).to_pandas()
    assert (early.year, late.year) == (1677, 2262)


def test_dates_of_another_unit_are_taken():
    column = column_of([dt.datetime(2020, 1, 1), dt.datetime(2020, 1, 3)])
    for type_ in (pa.date32(), pa.timestamp("ns"), pa.timestamp("s")):
        array = pa.chunked_array([pa.array([dt.datetime(2020, 1, 2)]).cast(type_)])
        assert column.encode(array).tolist() == [[1]]


@given(st.lists(TIMES | st.none(), min_size=2, max_size=20), st.integers(1, 19))
def test_column_and_moments_do_not_depend_on_the_pieces(values, cut):
    array = pa.array([*values, dt.datetime(2000, 1, 1, 5)])
    if len(array.unique().drop_null()) < 2:
        return
    whole, column = profiled(array)
    parts = [part for part in (array[:cut], array[cut:]) if part.null_count < len(part)]
    cut_profile, again = profiled(*parts)
    assert again == column
    rows = column.encode(pa.chunked_array([array]))
    known = rows[~np.isnan(rows[:, 0]), 0]
    for moments in (whole.moments(column), cut_profile.moments(column)):
        assert (moments.count == len(known)).all()
        assert len(moments.mean) == len(column.cells)
        scale = known.max()
        np.testing.assert_allclose(moments.mean[0], known.mean(), atol=1e-9 * scale)
        np.testing.assert_allclose(
            moments.squares[0], known.var() * len(known), rtol=1e-6, atol=1e-12 * scale**2
        )
        np.testing.assert_allclose([moments.low[0], moments.high[0]], [0, scale], rtol=1e-12)


def test_one_date_is_a_constant():
    day = dt.date(1815, 12, 10)
    column = column_of([day, day], pa.date32())
    assert column.decode(np.empty((2, 0))).to_pylist() == [day, day]
    gaps = column_of([day, None, day], pa.date32())
    days = pa.chunked_array([pa.array([day, None, dt.date(1815, 12, 11)])])
    np.testing.assert_array_equal(gaps.encode(days), [[0], [np.nan], [-1]])


def test_a_column_of_dates_is_known_by_its_settings():
    column = column_of([dt.date(2020, 1, 1), dt.date(2020, 1, 3)], pa.date32())
    assert column == DatetimeColumn("d", pa.date32(), 18262, 1, ())


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
    assert column.cells == (Phase("d", "day"),)
    rows = column.encode(pa.chunked_array([[dt.time(18), None]], pa.time64("us")))
    np.testing.assert_array_equal(rows, [[0.75], [np.nan]])


def test_predicted_times_are_rounded_to_steps_of_the_same_day():
    column = column_of([dt.time(6), dt.time(18)], pa.time64("us"))
    back = column.decode(np.array([[0.26], [0.999], [1.25], [np.nan]])).to_pylist()
    assert back == [dt.time(6), dt.time(0), dt.time(6), None]


def test_durations_are_steps_of_the_largest_unit():
    hours = [dt.timedelta(hours=3), dt.timedelta(days=2)]
    column = column_of(hours, pa.duration("us"))
    assert column.cells == (Number("d"),)
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
    profile, column = profiled(array[:cut], *([array[cut:]] if cut < len(array) else []))
    assert column == profiled(array)[1]
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
    column = column_of([value, value], type_)
    assert column.remark == "it is constant"
    assert column.decode(np.empty((2, 0))).equals(pa.array([value, value], type_))
    gaps = column_of([value, None, value], type_)
    rows = gaps.encode(pa.chunked_array([pa.array([None, value], type_)]))
    assert gaps.decode(rows).equals(pa.array([None, value], type_))
