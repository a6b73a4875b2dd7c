"""Series in units of their own, and what is known of their steps beforehand."""

from __future__ import annotations

import numpy as np
import pandas as pd

from attar.data.points import LongTable, Stack
from attar.tasks.steps import OneSeries, SeriesScales, calendar, places_of_series

DATES = LongTable(("x",), ("float64",), "t", None, "dates")


def test_a_calendar_has_four_harmonics_of_the_day_and_again_of_weekends():
    times = pd.DatetimeIndex(["2024-03-01 06:00", "2024-03-02 06:00", "2024-03-04 15:30"])
    found = calendar(DATES, times.astype("datetime64[s]").asi8.astype(float))
    for row, hour, weekend in zip(found, [6.0, 6.0, 15.5], [False, True, False], strict=True):
        angles = 2 * np.pi * hour / 24 * np.array([1, 2, 3, 4])
        day = np.concatenate([[1.0], np.sin(angles), np.cos(angles)])
        np.testing.assert_allclose(row, np.concatenate([day, day * weekend]), atol=1e-9)
    np.testing.assert_array_equal(calendar(Stack(None, "float64"), np.arange(3.0)), np.ones((3, 1)))


def test_series_are_scaled_by_their_own_where_their_means_differ():
    rng = np.random.default_rng(0)
    alike = rng.normal(size=(400, 1))
    values = np.concatenate([alike, 1000 * np.repeat([[0.0], [1.0]], 200, 0) + alike], 1)
    codes = np.repeat([0, 1], 200)
    scales = SeriesScales.of(values, codes)
    np.testing.assert_array_equal(scales.own, [False, True])
    centre, scale = scales.at(1)
    np.testing.assert_allclose(centre, [np.median(values[:, 0]), np.median(values[200:, 1])])
    np.testing.assert_allclose(scale, [values[:, 0].std(), values[200:, 1].std()])
    new = np.array([[5.0, 70.0], [7.0, 80.0], [9.0, 72.0]])
    centre, scale = scales.of_new(new)
    np.testing.assert_allclose(centre, [np.median(values[:, 0]), 72.0])
    np.testing.assert_allclose(scale, [values[:, 0].std(), new[:, 1].std()])


def test_points_become_series_by_time_whose_gaps_are_on_lines():
    table = pd.DataFrame(
        {"t": pd.to_datetime(["2024-01-03", "2024-01-01", "2024-01-02"]), "x": [4.0, 2.0, np.nan]}
    )
    points = DATES.points(table)
    (places,) = places_of_series(points)
    np.testing.assert_array_equal(places, [1, 2, 0])
    one = OneSeries.of(points, points.values, places, np.array([1.0]), np.array([2.0]))
    np.testing.assert_array_equal(one.rows[:, 0], [0.5, np.nan, 1.5])
    np.testing.assert_array_equal(one.filled()[:, 0], [0.5, 1.0, 1.5])
    assert one.times[0] == pd.Timestamp("2024-01-01").timestamp()
    empty = OneSeries.of(points, points.values * np.nan, places, np.zeros(1), np.ones(1))
    np.testing.assert_array_equal(empty.filled(), np.zeros((3, 1)))
