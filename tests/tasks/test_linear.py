"""The linear forecast is the solution of weighted ridge regression on windows."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from attar.tasks.future.ahead import Explained
from attar.tasks.future.linear import QUIET, LinearForecaster, Shape, WindowMoments, _path, decay

HISTORY, HORIZON = 8, 3


@pytest.fixture(scope="module")
def parts():
    rng = np.random.default_rng(0)
    return [rng.normal(size=(n, 2)).cumsum(0) for n in (60, 90)]


@pytest.fixture(scope="module")
def moments(parts):
    return WindowMoments.of(parts, [part > -np.inf for part in parts], HISTORY, HORIZON)


def windows(parts, channel):
    """Return histories and what came, each less the last value, and the weights of windows."""
    length = HISTORY + HORIZON
    rows = np.array([p[i : i + length, channel] for p in parts for i in range(len(p) - length + 1)])
    rows = rows - rows[:, HISTORY - 1, None]
    return rows[:, :HISTORY], rows[:, HISTORY:], 1 / (rows[:, :HISTORY].var(1) + QUIET)


@pytest.mark.parametrize("history", [HISTORY, 3])
def test_weights_solve_the_penalized_least_squares_of_windows(parts, moments, history):
    found = [windows(parts, channel) for channel in range(2)]
    x, y, w = (np.concatenate(each) for each in zip(*found, strict=True))
    x, root = x[:, -history:], np.sqrt(w)[:, None]
    shape = Shape(history, 0.1, np.inf)
    assert moments.count == len(x)
    rows = np.concatenate([root * x, np.diag(np.sqrt(0.1 * len(x) * decay(history)))])
    expected = np.linalg.lstsq(rows, np.concatenate([root * y, np.zeros((history, HORIZON))]))[0]
    weights = shape.solve(moments)[0]
    assert_allclose(weights, expected, atol=1e-9)
    error = (w[:, None] * (y - x @ weights) ** 2).sum()
    assert_allclose(moments.summed().error(weights[None]), error)
    assert_allclose(moments.error(weights[None]), error)


def test_many_channels_are_summed_at_once(parts, moments, monkeypatch):
    monkeypatch.setattr("attar.tasks.future.linear.CHANNELS", 1)
    known = [part > -np.inf for part in parts]
    found = WindowMoments.of(parts, known, HISTORY, HORIZON)
    assert_allclose(found.products, moments.summed().products)
    assert found.count == moments.count


def test_one_decomposition_gives_the_weights_of_all_penalties(moments):
    for penalty, weights in _path(moments.summed(), 5):
        assert_allclose(weights, Shape(5, penalty, np.inf).solve(moments), rtol=1e-6, atol=1e-8)


def test_a_channels_own_weights_are_between_its_solution_and_that_of_all(moments):
    own = Shape(4, 1e-3, 1e-9).solve(moments)
    alone = WindowMoments(moments.products[:1], moments.squares[:1], moments.count / 2)
    assert_allclose(own[0], Shape(4, 1e-3, np.inf).solve(alone)[0], rtol=1e-6)
    common = Shape(4, 1e-3, np.inf).solve(moments)[0]
    assert_allclose(Shape(4, 1e-3, 1e9).solve(moments)[0], common, rtol=1e-6)


def test_moments_of_two_halves_add_up(parts, moments):
    known = [part > -np.inf for part in parts]
    halves = [
        WindowMoments.of(parts[i : i + 1], known[i : i + 1], HISTORY, HORIZON) for i in (0, 1)
    ]
    assert_allclose((halves[0] + halves[1]).products, moments.products)


def test_the_best_shape_ignores_steps_that_do_not_matter():
    rng = np.random.default_rng(1)
    y = np.zeros((4000, 1))
    for i in range(1, 4000):
        y[i] = 0.8 * y[i - 1] + rng.normal()
    train, held_out = (
        WindowMoments.of([part], [part > -np.inf], 48, 2) for part in (y[:3000], y[3000:])
    )
    shape = Shape.best(train, held_out, [1, 48])
    forecaster = LinearForecaster.of(train, shape)
    # The best forecast is 0.8 and 0.64 of the last value: nearly so, after removing it.
    future = forecaster.rolling(y, np.arange(3000, 3998))[..., 0]
    truth = y[2999:3997] * [0.8, 0.64]
    assert ((future - truth) ** 2).mean() < 0.03 * y.var()


def test_a_sine_is_forecast_exactly_from_any_origin(parts):
    steps = np.sin(2 * np.pi * np.arange(200) / 20)[:, None] + 5
    moments = WindowMoments.of([steps], [steps > 0], 40, 7)
    forecaster = LinearForecaster.of(moments, Shape(40, 1e-9, np.inf))
    origins = np.arange(40, 194)
    found = forecaster.rolling(steps, origins)
    assert_allclose(found, steps[origins[:, None] + np.arange(7)], atol=1e-3)
    assert_allclose(forecaster.forecast(steps[:-9]), found[191 - 40], atol=1e-12)


def test_a_short_series_is_forecast_from_what_it_has():
    line = np.arange(50.0)[:, None]
    moments = WindowMoments.of([line], [line >= 0], 12, 2)
    forecaster = LinearForecaster.of(moments, Shape(12, 1e-9, np.inf))
    assert forecaster.histories == [1, 2, 3, 6, 12]
    assert_allclose(forecaster.forecast(np.array([[7.0], [8.0]])), [[9.0], [10.0]], atol=1e-3)
    assert_allclose(forecaster.forecast(np.array([[7.0]])), [[7.0], [7.0]])


def test_windows_with_gaps_count_less():
    steps = np.random.default_rng(2).normal(size=(30, 1))
    known = np.ones((30, 1), bool)
    known[10:20] = False
    some = WindowMoments.of([steps], [known], 4, 1)
    share = np.array([known[i : i + 5].mean() for i in range(26)])
    assert_allclose(some.count, (share**4).sum())


def test_what_is_known_ahead_explains_what_it_does():
    rng = np.random.default_rng(3)
    price = rng.normal(size=(1500, 1)).cumsum(0)
    noise = rng.normal(size=(1500, 1)).cumsum(0)
    load = 3.0 * price + noise
    moments = WindowMoments.of([load], [load > -np.inf], 6, 4)
    forecaster = LinearForecaster.of(moments, Shape(6, 1e-3, np.inf))
    found = Explained.of([load], [price], forecaster)
    assert_allclose(found.of_known(price + 1) - found.of_known(price), 3.0, rtol=0.05)
    # Two walks that have nothing to do with each other do not explain each other.
    assert abs(np.polyfit(price[:, 0], noise[:, 0], 1)[0]) > 0.1
    other = Explained.of([noise], [price], forecaster)
    assert abs((other.of_known(price + 1) - other.of_known(price))[0, 0]) < 0.1
