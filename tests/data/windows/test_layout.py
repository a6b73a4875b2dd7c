import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attar.data.windows.layout import Layout, suitable_stride, suitable_window

# How many steps each point is after the one before; 0 begins a series.
STEPS = st.lists(st.sampled_from([0, 1, 1, 1, 1, 2, 3, 9, 500]), min_size=1, max_size=60)
SIZES = st.integers(1, 12).flatmap(lambda w: st.tuples(st.just(w), st.integers(1, w)))


def layout_of(steps, window, stride, order=None):
    order = np.arange(len(steps)) if order is None else order
    return Layout.of(order, np.array([0, *steps[1:]]), window, stride)


@given(STEPS, SIZES)
def test_each_point_is_in_a_window_and_each_window_has_a_point(steps, size):
    layout = layout_of(steps, *size)
    inside = layout.places - layout.starts[:, None]
    inside = (inside >= 0) & (inside < layout.window)
    assert inside.any(0).all()
    assert inside.any(1).all()
    assert (np.diff(layout.starts) > 0).all()
    assert (np.diff(layout.starts) <= max(size)).all()


@given(STEPS, SIZES)
def test_no_window_holds_points_of_two_series(steps, size):
    layout = layout_of(steps, *size)
    series = np.cumsum(np.array([0, *steps[1:]]) == 0).astype(float)
    rows = layout.cut(series[:, None])
    assert (np.nanmin(rows, axis=2) == np.nanmax(rows, axis=2)).all()


@given(STEPS, SIZES, st.randoms(use_true_random=False))
def test_windows_average_back_to_their_points_in_any_order(steps, size, random):
    order = list(range(len(steps)))
    random.shuffle(order)
    layout = layout_of(steps, *size, np.array(order))
    rng = np.random.default_rng(random.randrange(1000))
    values = np.where(rng.random((len(steps), 2)) < 0.2, np.nan, rng.normal(size=(len(steps), 2)))
    np.testing.assert_allclose(layout.averaged(layout.cut(values)), values, rtol=1e-14)


@given(STEPS, SIZES)
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


def test_windows_hold_steps_in_order_and_gaps_as_missing_points():
    layout = layout_of([0, 1, 2, 1], 3, 1)
    nan = np.nan
    assert layout.length == 5
    np.testing.assert_array_equal(
        layout.cut(np.array([[1.0], [2.0], [3.0], [4.0]]))[:, 0],
        [[1, 2, nan], [2, nan, 3], [nan, 3, 4]],
    )


def test_a_short_series_is_filled_up_at_its_end():
    rows = layout_of([0, 1, 0, 1, 1], 3, 1).cut(np.arange(5.0)[:, None])
    np.testing.assert_array_equal(rows[:, 0], [[0, 1, np.nan], [2, 3, 4]])


def test_a_gap_of_a_whole_window_cuts_a_series_and_takes_no_memory():
    layout = layout_of([0, 1, 1, 2**31, 1, 1], 3, 1)
    np.testing.assert_array_equal(layout.cut(np.arange(6.0)[:, None])[:, 0], [[0, 1, 2], [3, 4, 5]])
    assert layout_of([0, 1, 1, 3, 1, 1], 3, 1).length == 8
    assert layout_of([0, 1, 1, 4, 1, 1], 3, 1).length == 6


def test_missing_values_count_for_nothing_in_means():
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
