import datetime
import json
import math
import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from attar import DataError, SettingError
from attar.data.images import Images
from attar.data.scaling import Standard
from attar.data.series import Layout, Series, Windows, suitable_stride, suitable_window
from attar.data.summary import Moments

DTYPES = ["float64", "float32", "int16", "uint8", "int64", "Int32", "Float64", "int8[pyarrow]"]


def fitted(data, **named):
    """The kind of series, by way of JSON."""
    kind, _ = Windows.of([Series(data, **named)])
    again = Windows.from_json(json.loads(json.dumps(kind.to_json())))
    assert again == kind
    return again


def there_and_back(data, **named):
    kind = fitted(data, **named)
    return kind.restore(kind.rows(data), kind.passthrough(data))


def hours(n, start="2024-03-30"):
    return pd.date_range(start, periods=n, freq="h")


@st.composite
def long_tables(draw):
    """Series of any length and mean, with absent steps and missing values, in any order."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    parts = []
    for name in draw(st.lists(st.text(max_size=3), min_size=1, max_size=4, unique=True)):
        n = draw(st.integers(1, 40))
        steps = np.flatnonzero(rng.random(2 * n + 1) < draw(st.sampled_from([0.6, 0.9, 1])))
        steps = steps if len(steps) else np.array([0])
        mean = draw(st.sampled_from([0, 0, 50]))
        frame = pd.DataFrame({"b": rng.normal(mean, 3, len(steps))})
        frame["when"] = pd.Timestamp("2024-02-28") + steps * pd.Timedelta("15min")
        frame["a"] = rng.integers(0, 100, len(steps))
        frame["of"] = name
        parts.append(frame)
    table = pd.concat(parts)[draw(st.permutations(["a", "b", "when", "of"]))]
    for name in ("a", "b"):
        dtype = draw(st.sampled_from(DTYPES))
        integer = (
            np.dtype(getattr(pd.api.types.pandas_dtype(dtype), "numpy_dtype", dtype)).kind in "iu"
        )
        table[name] = (table[name].round().clip(0, 100) if integer else table[name]).astype(dtype)
        if dtype[0] in "fIF" or "pyarrow" in dtype:
            table[name] = table[name].mask(rng.random(len(table)) < draw(st.sampled_from([0, 0.3])))
    table.index = pd.Index(rng.integers(0, 9, len(table)), name="row")
    return table.iloc[rng.permutation(len(table))]


@given(long_tables(), st.integers(1, 12), st.integers(1, 12))
def test_a_table_is_restored_with_its_own_rows_columns_dtypes_and_index(table, window, stride):
    assume(table[["a", "b"]].notna().any(axis=None))
    given = {"time": "when", "series": "of", "window": window, "stride": min(window, stride)}
    back = there_and_back(table.copy(), **given)
    # Windows are in single precision where that holds all channels.
    pd.testing.assert_frame_equal(back, table, rtol=1e-6, atol=2e-6)
    doubles = table.columns[table.dtypes == "float64"]
    pd.testing.assert_frame_equal(back[doubles], table[doubles], rtol=1e-13, atol=1e-13)


@given(long_tables(), st.integers(1, 12))
def test_the_order_of_rows_and_columns_changes_nothing(table, window):
    assume(table[["a", "b"]].notna().any(axis=None))
    kind = fitted(table, time="when", series="of", window=window)
    ordered = table.sort_values("when", kind="stable")[list(table.columns[::-1])]
    names, ordered_names = (list(dict.fromkeys(t["of"])) for t in (table, ordered))
    rows, index = kind.rows(ordered), kind.index(ordered)
    expected, at = kind.rows(table), kind.index(table)
    for name in names:
        np.testing.assert_allclose(rows[index["of"] == name], expected[at["of"] == name], atol=1e-5)
    assert sorted(names) == sorted(ordered_names)


@given(st.integers(1, 4), st.integers(1, 30), st.sampled_from([None, 1, 3]), st.data())
def test_an_array_is_restored_in_its_own_shape_and_dtype(series, steps, channels, data):
    dtype = np.dtype(data.draw(st.sampled_from(["uint8", "int64", "float32", "float64", "bool"])))
    shape = (series, steps) if channels is None else (series, steps, channels)
    x = (np.random.default_rng(steps).random(shape) * 200 * (dtype.kind != "b")).astype(dtype)
    window = data.draw(st.sampled_from([None, 1, 7]))
    kind = fitted(x, window=window)
    back = kind.restore(kind.rows(x), kind.passthrough(x))
    assert back.dtype == dtype
    np.testing.assert_allclose(back, x, rtol=1e-6)


def test_several_series_of_an_array_are_a_row_each():
    x = np.random.default_rng(0).normal(size=(5, 200, 3))
    kind = fitted(x)
    assert kind.shape == (3, 200)
    np.testing.assert_array_equal(kind.rows(x), x.transpose(0, 2, 1))
    np.testing.assert_array_equal(kind.restore(kind.rows(x)), x)
    flat = x[..., 0]
    np.testing.assert_array_equal(fitted(flat).rows(flat)[:, 0], flat)
    np.testing.assert_array_equal(fitted(flat).restore(kind.rows(x)[:, :1]), flat)


def test_one_long_series_of_an_array_is_cut():
    x = np.random.default_rng(0).normal(size=(1, 5000, 2))
    kind = fitted(x)
    np.testing.assert_array_equal(kind.rows(x)[0], x[0, :96].T)
    np.testing.assert_allclose(kind.restore(kind.rows(x), kind.passthrough(x)), x, rtol=1e-12)


def test_absent_steps_and_missing_values_are_restored_from_the_rows():
    table = pd.DataFrame({"t": [0, 1, 2, 5, 6, 7], "x": [0.0, 1.0, np.nan, 5.0, 6.0, 7.0]})
    kind = fitted(table, time="t", window=4, stride=1)
    rows = kind.rows(table)
    np.testing.assert_array_equal(rows[2, 0], [np.nan, np.nan, np.nan, 5])
    predicted = np.arange(5.0)[:, None, None] + np.arange(4.0)
    back = kind.restore(predicted, kind.passthrough(table))
    pd.testing.assert_frame_equal(back, pd.DataFrame({"t": table["t"], "x": table["t"] * 1.0}))


def test_integers_with_a_missing_value_are_integers_again_where_it_is_filled():
    full = pd.DataFrame({"x": np.arange(20, dtype=np.int16)})
    holes = full.astype(float).where(full["x"] != 7)
    kind = fitted(full, window=5)
    rows = kind.rows(holes)
    filled = kind.restore(np.nan_to_num(rows, nan=7.2), kind.passthrough(holes))
    pd.testing.assert_frame_equal(filled, full)
    pd.testing.assert_frame_equal(kind.restore(rows, kind.passthrough(holes)), holes)


def test_series_of_different_means_are_standardized_each_by_itself():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 100)) * [[1], [50], [2]] + [[0], [-4000], [900]]
    frame = pd.DataFrame(
        {"of": np.repeat([0, 1, 2], 100), "x": x.ravel(), "y": rng.normal(size=300)}
    )
    kind = fitted(frame, series="of", window=100)
    rows = kind.rows(frame)
    expected = (x - x.mean(1, keepdims=True)) / x.std(1, ddof=1, keepdims=True)
    np.testing.assert_allclose(rows[:, 0], expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(rows[:, 1].ravel(), frame["y"])
    pd.testing.assert_frame_equal(kind.restore(rows, kind.passthrough(frame)), frame, rtol=1e-12)
    assert kind.remarks == [("x", "means differ: standardized within each series")]
    zero, one = (kind.restore(np.full((1, 2, 100), v))["x"].iloc[0] for v in (0.0, 1.0))
    assert zero == pytest.approx(np.median(x.mean(1)))
    assert one - zero == pytest.approx(np.median(x.std(1, ddof=1)))


def test_series_of_one_mean_and_single_series_are_not():
    rng = np.random.default_rng(0)
    several = rng.normal(5, 1, (6, 40))
    np.testing.assert_array_equal(fitted(several).rows(several)[:, 0], several)
    one = pd.DataFrame({"x": np.linspace(1e6, 2e6, 50)})
    kind = fitted(one, window=50)
    np.testing.assert_array_equal(kind.rows(one)[0, 0], one["x"])


def test_a_constant_and_an_empty_series_among_others_take_typical_values():
    x = np.random.default_rng(0).normal(size=(5, 30)) + np.array([[0], [100], [200], [300], [400]])
    kind = fitted(x)
    x[0], x[1] = 7.0, np.nan
    rows = kind.rows(x)
    assert (rows[0] == 0).all()
    assert np.isnan(rows[1]).all()
    np.testing.assert_allclose(kind.restore(rows, kind.passthrough(x)), x)
    predicted = kind.restore(np.zeros_like(rows), kind.passthrough(x))
    assert predicted[1] == pytest.approx(np.full(30, kind.typical[0][0]))


@pytest.mark.parametrize("freq", ["MS", "ME", "QS", "YS", "B", "D", "h", "ms", "W"])
def test_calendar_steps_are_steps(freq):
    times = pd.date_range("2001-01-01", periods=48, freq=freq)
    frame = pd.DataFrame({"t": times, "x": np.arange(48.0)})
    kind = fitted(frame, time="t", window=4)
    if freq == "B":  # a week has seven days
        assert kind.step == 86400
    else:
        np.testing.assert_array_equal(kind.rows(frame)[:, 0, 0], kind.index(frame).index)
        sparse = frame.drop(index=[10, 11])
        places = kind.passthrough(sparse).layout.places
        np.testing.assert_array_equal(places, sparse.index)


def test_a_long_absence_of_months_has_the_right_length():
    frame = pd.DataFrame({"x": 1.0}, index=pd.period_range("1950-01", periods=900, freq="M"))
    sparse = frame.drop(frame.index[20:880])
    kind = fitted(sparse, window=899)
    assert np.diff(kind.passthrough(sparse).layout.places).max() == 861
    pd.testing.assert_frame_equal(there_and_back(sparse, window=5), sparse)


def test_the_step_is_found_where_most_points_are_absent():
    rng = np.random.default_rng(0)
    steps = np.flatnonzero(rng.random(1000) < 0.4)
    frame = pd.DataFrame({"t": steps * 0.1, "x": 1.0})
    kind = fitted(frame, time="t", window=1000)
    assert kind.step == pytest.approx(0.1)
    np.testing.assert_array_equal(kind.passthrough(frame).layout.places, steps - steps[0])


def test_clocks_may_drift_and_jitter():
    rng = np.random.default_rng(0)
    times = np.cumsum(rng.uniform(0.8, 1.25, 500))
    frame = pd.DataFrame({"t": times, "x": np.arange(500.0)})
    kind = fitted(frame, time="t", window=500)
    np.testing.assert_array_equal(kind.rows(frame)[0, 0], frame["x"])


@pytest.mark.parametrize(
    "times",
    [
        hours(60),
        hours(60).tz_localize("UTC").tz_convert("Europe/Paris"),
        hours(60).astype(str),
        hours(60).to_period("h"),
        hours(60) - hours(1)[0],
        [str(t.date()) for t in pd.date_range("2024-01-01", periods=60)],
        [t.date() for t in pd.date_range("2024-01-01", periods=60)],
        [t.isoformat() for t in hours(60).tz_localize("UTC").tz_convert("Europe/Paris")],
        np.arange(60, dtype=np.uint8),
        np.arange(60) * 0.1 + 1e5,
        2**60 + np.arange(60) * 1000,
        pd.array(range(60), dtype="Int64"),
        pd.array(hours(60), dtype="timestamp[us][pyarrow]"),
    ],
)
def test_times_of_all_types_are_read_and_restored(times):
    frame = pd.DataFrame({"t": times, "x": np.arange(60.0)}).drop(index=[13, 14, 15])
    shuffled = frame.sample(frac=1, random_state=0)
    kind = fitted(shuffled, time="t", window=60)
    assert np.flatnonzero(np.isnan(kind.rows(shuffled)[0, 0])).tolist() == [13, 14, 15]
    pd.testing.assert_frame_equal(
        kind.restore(kind.rows(shuffled), kind.passthrough(shuffled)), shuffled
    )
    assert kind.index(shuffled).iloc[0].tolist() == [frame["t"].iloc[0], frame["t"].iloc[-1]]


def test_an_index_of_dates_is_the_time_and_another_index_is_none():
    frame = pd.DataFrame({"x": np.arange(30.0)}, index=hours(30)).drop(hours(30)[[4]])
    assert np.isnan(fitted(frame, window=30).rows(frame)).sum() == 1
    plain = frame.reset_index(drop=True).drop(index=[2])
    assert not np.isnan(fitted(plain, window=28).rows(plain)).any()


def test_rows_without_times_follow_each_other_in_their_series():
    frame = pd.DataFrame({"x": range(6), "of": list("ababba")})
    assert fitted(frame, series="of", window=3).rows(frame)[:, 0].tolist() == [[0, 2, 5], [1, 3, 4]]


def test_the_data_may_be_wrapped_or_not_after_the_fit():
    frame = pd.DataFrame({"t": hours(40), "x": np.arange(40.0)})
    wrapped = Series(frame, time="t", window=10)
    kind, _ = Windows.of([wrapped])
    np.testing.assert_array_equal(kind.rows(wrapped), kind.rows(frame))
    with pytest.raises(DataError, match=r"fitted on series with window=10: .* with window=7"):
        kind.rows(Series(frame, window=7))
    with pytest.raises(DataError, match=r"with series=None: .* with series='x'"):
        kind.rows(Series(frame, series="x"))


def test_restoring_leaves_the_users_data_unchanged():
    frame = pd.DataFrame({"t": hours(40), "x": np.arange(40.0)})
    kind = fitted(frame, time="t")
    kind.restore(np.zeros_like(kind.rows(frame)), kind.passthrough(frame))
    assert frame["x"].tolist() == list(range(40))


def test_series_need_not_be_called_so_after_the_fit():
    kind = fitted(np.zeros((2, 9)))
    assert kind.accepts(Windows)
    assert kind.accepts(Images)


def test_pieces_are_joined_first():
    frame = pd.DataFrame({"t": hours(40), "x": np.arange(40.0)})
    parts = [Series(part, time="t") for part in (frame[25:], frame[:25])]
    kind, summary = Windows.of(parts)
    at_once, expected = Windows.of([Series(frame, time="t")])
    assert kind == at_once
    np.testing.assert_array_equal(summary.sample, expected.sample)
    pd.testing.assert_frame_equal(kind.joined([frame[:25], frame[25:]]), frame)


def test_the_summary_is_that_of_the_windows():
    x = np.random.default_rng(0).normal(size=(1, 300, 2))
    kind, summary = Windows.of([Series(x, window=20)])
    rows = kind.rows(x)
    assert summary.rows == len(rows)
    np.testing.assert_array_equal(summary.sample, rows)
    columns = rows.transpose(1, 0, 2).reshape(2, -1)
    np.testing.assert_allclose(summary.moments.mean, columns.mean(1))
    np.testing.assert_allclose(summary.moments.deviation, columns.std(1))
    scales = kind.scaling(summary).fit(summary.moments, kind.columns(summary.sample))
    assert kind.scaling(summary) == Standard()
    scaled = (rows - kind.spread(scales.shift, 0)) / kind.spread(scales.scale, 1)
    moments = Moments.of(kind.columns(scaled))
    np.testing.assert_allclose(moments.mean, 0, atol=1e-12)
    np.testing.assert_allclose(moments.deviation, 1)


def test_names_of_cells_are_in_the_order_of_the_cells():
    frame = pd.DataFrame({"u": [0, 1, 2], 7: [10, 11, 12]})
    kind = fitted(frame, window=3)
    assert kind.feature_names() == ["u[0]", "u[1]", "u[2]", "7[0]", "7[1]", "7[2]"]
    assert kind.rows(frame).ravel().tolist() == [0, 1, 2, 10, 11, 12]


def test_a_channel_without_values_is_left_out_and_restored_as_it_is():
    frame = pd.DataFrame({"x": np.arange(30.0), "none": np.nan, "y": np.arange(30)})
    kind = fitted(frame, window=10)
    assert kind.shape == (2, 10)
    assert kind.remarks == [("none", "all of its values are missing")]
    pd.testing.assert_frame_equal(kind.restore(kind.rows(frame), kind.passthrough(frame)), frame)
    assert kind.restore(kind.rows(frame))["none"].isna().all()
    known = frame.assign(none=3.0)
    pd.testing.assert_frame_equal(kind.restore(kind.rows(known), kind.passthrough(known)), known)
    array = frame.to_numpy()[None]
    kind = fitted(array, window=10)
    np.testing.assert_array_equal(kind.restore(kind.rows(array), kind.passthrough(array)), array)
    with pytest.raises(DataError, match="have no values"):
        fitted(frame[["none"]])


def test_the_index_of_windows_has_series_and_times():
    frame = pd.DataFrame(
        {"t": [*hours(5), *hours(2)], "of": list("aaaaabb"), "x": np.arange(7.0)}
    ).drop(index=1)
    index = fitted(frame, time="t", series="of", window=3, stride=1).index(frame)
    expected = pd.DataFrame(
        {"of": list("aaab"), "start": hours(5)[[0, 2, 2, 0]], "end": hours(5)[[2, 3, 4, 1]]}
    )
    pd.testing.assert_frame_equal(index, expected)
    array = np.zeros((2, 5))
    index = fitted(array, window=3, stride=2).index(array)
    assert index.to_dict("list") == {"series": [0, 0, 1, 1], "start": [0, 2] * 2, "end": [2, 4] * 2}


@pytest.mark.parametrize("time", ["t", None])
@pytest.mark.parametrize("times", [hours(60), np.arange(60) * 5, None])
@pytest.mark.parametrize("series", ["of", None])
def test_new_windows_are_series_that_the_kind_reads(time, times, series):
    frame = pd.DataFrame({"x": np.arange(60), "y": np.arange(60) / 8})
    if series is not None:
        frame["of"] = np.repeat(["u", "v"], 30)
    if times is not None and time is not None:
        frame["t"] = times
    elif times is not None:
        frame.index = times
    named = {"time": time if "t" in frame else None, "series": series}
    kind = fitted(frame, window=10, **named)
    rows = kind.rows(frame)
    new = kind.restore(rows)
    assert new.groupby(series or "series").size().tolist() == [10] * len(rows)
    assert new["x"].dtype == np.int64
    np.testing.assert_array_equal(kind.rows(new), rows)


def test_new_windows_begin_at_time_0():
    frame = pd.DataFrame({"t": hours(30), "x": np.arange(30.0)})
    new = fitted(frame, time="t", window=3).restore(np.zeros((2, 1, 3)))
    expected = pd.DataFrame(
        {"series": [0, 0, 0, 1, 1, 1], "t": [*pd.to_timedelta([0, 1, 2], unit="h")] * 2, "x": 0.0}
    )
    pd.testing.assert_frame_equal(new, expected, check_dtype=False)


def test_tables_that_speak_arrow_are_read():
    times = [datetime.date(2024, 1, 1 + i) for i in range(20)]
    table = pa.table({"t": times, "x": pa.array(range(20), pa.int8()), "none": pa.nulls(20)})
    back = there_and_back(table, time="t", window=5)
    expected = table.to_pandas()
    pd.testing.assert_frame_equal(back[["t", "x"]], expected[["t", "x"]])
    assert list(back) == list(expected)
    assert back["none"].isna().all()


FRAME = pd.DataFrame({"t": hours(6), "of": list("aaabbb"), "x": np.arange(6.0)})


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"t": [0, 1, np.nan, 3, 4, 5]}, "Column 't' holds no time in row 2"),
        ({"t": [0, 1, 2, np.inf, 4, 5]}, "Column 't' holds 'inf', which is no time, in row 3"),
        ({"t": ["2024-01-01", "soon", None, *"abc"]}, "Column 't' holds 'soon', which is no time"),
        (
            {"t": ["2024-01-01", 3, None, *"abc"]},
            "Column 't' holds '3', which is no time, in row 1",
        ),
        ({"t": [True] * 6}, "Column 't' holds 'True', which is no time, in row 0"),
        ({"t": [0, 1, 1, 0, 1, 2]}, "The rows 1 (1) and 2 (1) of the series a have the same time"),
        (
            {"t": [0, 1, 2, 3, 4, 4.3], "of": "a"},
            "The rows 4 (4.0) and 5 (4.3) are closer than half a step of the series, which is 1: "
            "bring them to regular times",
        ),
        ({"of": ["a", None, *"abbb"]}, "Column 'of' names no series in row 1"),
        ({"x": list("abcdef")}, "values such as 'a' where numbers belong: leave it out"),
        ({"x": hours(6)}, "values such as '2024-03-30 00:00:00' where numbers belong"),
        ({"x": [1j] * 6}, "Column 'x' holds complex128 values"),
        ({"x": [0, np.inf, -np.inf, 1, 1, 1]}, "Column 'x' has 2 infinite values (inf)"),
        ({"x": [np.nan] * 6}, "The series have no values"),
    ],
)
def test_what_cannot_be_read_is_refused_by_its_place(changed, sentence):
    with pytest.raises(DataError, match=re.escape(sentence)):
        fitted(FRAME.assign(**changed), time="t", series="of")


@pytest.mark.parametrize(
    ("data", "named", "sentence"),
    [
        (FRAME, {"time": "T", "series": "of"}, "no column named 'T'"),
        (FRAME[["t"]], {"time": "t"}, "no column besides those of times and series"),
        (FRAME.set_axis(["x", "of", "x"], axis=1), {"series": "of"}, "more than one column named"),
        (FRAME[:0], {"time": "t", "series": "of"}, "has no rows"),
        (np.zeros(5), {}, "array with 1 dimensions: array.reshape(1, -1) makes one series"),
        (np.zeros((2, 0)), {}, "holds no value: its shape is (2, 0)"),
        (np.zeros((2, 5)), {"time": "t"}, "An array has no columns"),
        (np.array([["a", "b"]]), {}, "holds <U1 values where numbers belong"),
        ([[1, 2], [1, 2, 3]], {}, "give series of different lengths as one table"),
        (object(), {}, "neither a table nor an array of numbers"),
    ],
)
def test_data_that_is_no_series_is_refused(data, named, sentence):
    with pytest.raises(DataError, match=re.escape(sentence)):
        fitted(data, **named)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (FRAME.drop(columns="t"), "lacks the column 't' that the model was fitted on"),
        (FRAME.assign(z=1.0), "has a column 'z' that the model was not fitted on"),
        (FRAME.assign(t=range(6)), "The times of the series are numbers, but .* fitted on dates"),
        (np.zeros((2, 5)), "fitted on a table of series, but this is an array"),
        (FRAME[:0], "has no rows"),
    ],
)
def test_series_of_another_form_than_fitted_are_refused(data, sentence):
    with pytest.raises(DataError, match=sentence):
        fitted(FRAME, time="t", series="of").rows(data)


def test_arrays_of_another_form_than_fitted_are_refused():
    kind = fitted(np.zeros((2, 5, 3)))
    with pytest.raises(DataError, match=r"fitted on one of shape \(series, steps, 3\)"):
        kind.rows(np.zeros((2, 5)))
    with pytest.raises(DataError, match="fitted on an array of series, but this is a table"):
        kind.rows(FRAME)
    with pytest.raises(DataError, match="Channel 1 of the series has 2 infinite values"):
        kind.rows(np.full((1, 2, 3), [0, np.inf, 0]))


@pytest.mark.parametrize("value", [0, -3, 2.5, "6", True])
@pytest.mark.parametrize("name", ["window", "stride"])
def test_windows_and_strides_are_integers(name, value):
    with pytest.raises(SettingError, match=f"{name} must be None or an integer above 0, not"):
        Series(FRAME, **{name: value})


def test_a_stride_beyond_the_window_is_refused():
    with pytest.raises(SettingError, match="stride=9 would leave out steps between windows of 4"):
        fitted(np.zeros((1, 30)), window=4, stride=9)


def test_hourly_loads_are_restored_exactly(data_folder):
    frame = pd.read_csv(data_folder / "series" / "ETTh1.csv")
    kind = fitted(frame, time="date")
    rows = kind.rows(frame)
    assert (kind.shape, kind.step, len(rows)) == ((7, 96), 3600.0, 1576)
    np.testing.assert_array_equal(rows[1], frame.iloc[11:107, 1:].to_numpy(np.float64).T)
    pd.testing.assert_frame_equal(kind.restore(rows, kind.passthrough(frame)), frame, rtol=1e-14)


# How many steps each point is after the one before; 0 begins a series.
INTERVALS = st.lists(st.sampled_from([0, 1, 1, 1, 1, 2, 3, 9, 500]), min_size=1, max_size=60)
WINDOWS_AND_STRIDES = st.integers(1, 12).flatmap(lambda w: st.tuples(st.just(w), st.integers(1, w)))


def layout_of(steps, window, stride, order=None):
    order = np.arange(len(steps)) if order is None else order
    return Layout.of(order, np.array([0, *steps[1:]]), window, stride)


@given(INTERVALS, WINDOWS_AND_STRIDES)
def test_each_point_is_in_a_window_and_each_window_has_a_point(steps, size):
    layout = layout_of(steps, *size)
    inside = layout.places - layout.starts[:, None]
    inside = (inside >= 0) & (inside < layout.window)
    assert inside.any(0).all()
    assert inside.any(1).all()
    assert (np.diff(layout.starts) > 0).all()
    assert (np.diff(layout.starts) <= max(size)).all()


@given(INTERVALS, WINDOWS_AND_STRIDES)
def test_no_window_holds_points_of_two_series(steps, size):
    layout = layout_of(steps, *size)
    series = np.cumsum(np.array([0, *steps[1:]]) == 0).astype(float)
    rows = layout.cut(series[:, None])
    assert (np.nanmin(rows, axis=2) == np.nanmax(rows, axis=2)).all()


@given(INTERVALS, WINDOWS_AND_STRIDES, st.randoms(use_true_random=False))
def test_windows_average_back_to_their_points_in_any_order(steps, size, random):
    order = list(range(len(steps)))
    random.shuffle(order)
    layout = layout_of(steps, *size, np.array(order))
    rng = np.random.default_rng(random.randrange(1000))
    values = np.where(rng.random((len(steps), 2)) < 0.2, np.nan, rng.normal(size=(len(steps), 2)))
    np.testing.assert_allclose(layout.averaged(layout.cut(values)), values, rtol=1e-14)


@given(INTERVALS, WINDOWS_AND_STRIDES)
def test_overlapping_windows_have_true_means(steps, size):
    layout = layout_of(steps, *size)
    numbers = np.arange(len(layout.starts), dtype=float)
    rows = np.broadcast_to(numbers[:, None, None], (len(numbers), 1, layout.window)).copy()
    means = [
        np.mean(
            [number for number, start in enumerate(layout.starts) if 0 <= place - start < size[0]]
        )
        for place in layout.places
    ]
    np.testing.assert_allclose(layout.averaged(rows)[:, 0], means, rtol=1e-14)


def test_the_last_window_ends_with_its_series():
    assert layout_of([0] + [1] * 9, 4, 3).starts.tolist() == [0, 3, 6]
    assert layout_of([0] + [1] * 9, 4, 4).starts.tolist() == [0, 4, 6]
    assert layout_of([0] + [1] * 3, 4, 2).starts.tolist() == [0]


def test_windows_hold_steps_in_order_and_absent_ones_as_missing():
    layout = layout_of([0, 1, 2, 1], 3, 1)
    nan = np.nan
    assert layout.length == 5
    np.testing.assert_array_equal(
        layout.cut(np.array([[1.0], [2.0], [3.0], [4.0]]))[:, 0],
        [[1, 2, nan], [2, nan, 3], [nan, 3, 4]],
    )


def test_a_short_series_is_padded_at_its_end():
    rows = layout_of([0, 1, 0, 1, 1], 3, 1).cut(np.arange(5.0)[:, None])
    np.testing.assert_array_equal(rows[:, 0], [[0, 1, np.nan], [2, 3, 4]])


def test_a_series_is_split_where_a_whole_window_is_absent_and_takes_no_memory():
    layout = layout_of([0, 1, 1, 2**31, 1, 1], 3, 1)
    np.testing.assert_array_equal(layout.cut(np.arange(6.0)[:, None])[:, 0], [[0, 1, 2], [3, 4, 5]])
    assert layout_of([0, 1, 1, 3, 1, 1], 3, 1).length == 8
    assert layout_of([0, 1, 1, 4, 1, 1], 3, 1).length == 6


def test_means_ignore_missing_values():
    layout = layout_of([0, 1, 1], 2, 1)
    rows = np.array([[[np.nan, 2.0]], [[np.nan, 7.0]]])
    np.testing.assert_array_equal(layout.averaged(rows)[:, 0], [np.nan, 2, 7])


def test_ends_are_the_first_and_last_points_in_the_users_own_numbers():
    layout = layout_of([0, 1, 2, 1, 0], 3, 1, np.array([4, 3, 2, 1, 0]))
    first, last = layout.ends()
    assert first.tolist() == [4, 3, 2, 0]
    assert last.tolist() == [3, 2, 1, 0]


@pytest.mark.parametrize(
    ("lengths", "window"),
    [([17420], 96), ([100], 10), ([60] * 1000, 60), ([3], 2), ([400] * 9, 96)],
)
def test_windows_are_96_steps_unless_there_are_too_few_points(lengths, window):
    assert suitable_window(np.array(lengths)) == window


def test_strides_meet_all_hours_days_and_months():
    for window in range(1, 400):
        for points in (100, 17_420, 10**6, 10**9):
            stride = suitable_stride(window, points)
            assert math.gcd(stride, 24 * 7 * 12) == 1
            assert stride <= max(1, window / 2)
    assert suitable_stride(96, 17_420) == 11
    assert suitable_stride(96, 10**6) == 47
