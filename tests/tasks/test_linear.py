"""The linear forecast is the solution of weighted ridge regression on windows."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from attar.tasks.future.ahead import Explained
from attar.tasks.future.linear import (
    QUIET,
    Blend,
    LinearForecaster,
    Shape,
    WindowMoments,
    _path,
    decay,
)

HISTORY, HORIZON = 8, 3
ONE = np.array([0])


def moments_of(parts, history, horizon, known=None):
    known = [part > -np.inf for part in parts] if known is None else known
    channels = [np.arange(part.shape[1]) for part in parts]
    return WindowMoments.of(parts, known, channels, history, horizon)


@pytest.fixture(scope="module")
def parts():
    rng = np.random.default_rng(0)
    return [rng.normal(size=(n, 2)).cumsum(0) for n in (60, 90)]


@pytest.fixture(scope="module")
def moments(parts):
    return moments_of(parts, HISTORY, HORIZON)


def windows(parts, channel):
    """Return histories and what came, each minus the last value, and the weights of windows."""
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


def test_windows_of_a_group_are_summed(parts, moments):
    known = [part > -np.inf for part in parts]
    groups = [np.array([1, 0]), np.array([1, 1])]
    found = WindowMoments.of(parts, known, groups, HISTORY, HORIZON)
    alone = moments_of([parts[0][:, 1:]], HISTORY, HORIZON)
    assert_allclose(found.products[0], alone.products[0])
    assert_allclose(found.summed().products, moments.summed().products)
    assert found.count == moments.count
    assert_allclose((found - found).products, 0.0)


def test_folds_are_forecast_from_the_others():
    rng = np.random.default_rng(5)
    folds = [moments_of([rng.normal(size=(60, 2))], 4, 2) for _ in range(3)]
    shape = Shape(3, 0.1, 3.0)
    weights = shape.solve(folds[0] + folds[2])
    blend = Blend((shape,))
    assert_allclose(blend.errors(folds)[1], folds[1].error(weights))
    assert_allclose(blend.errors(folds[:1]), folds[0].error(shape.solve(folds[0])))


def test_a_blend_is_the_mean_of_solutions(moments):
    shapes = (Shape(2, 0.1, np.inf), Shape(5, 0.3, np.inf))
    weights = Blend(shapes).solve(moments)[0]
    short, long = (shape.solve(moments)[0] for shape in shapes)
    assert_allclose(weights[:3], long[:3] / 2)
    assert_allclose(weights[3:], (long[3:] + short) / 2)


def test_groups_that_differ_have_weights_of_their_own_and_others_share_them():
    rng = np.random.default_rng(6)
    y = rng.normal(size=(1200, 2))
    for i in range(1, 1200):
        y[i] += np.array([0.9, -0.9]) * y[i - 1]
    folds = [moments_of([some], 6, 2) for some in np.split(y, 4)]
    assert Blend.best(folds, [2, 6]).shapes[0].others < np.inf
    # Two copies of a series have the same weights, and none is better of its own.
    folds = [moments_of([np.repeat(some[:, :1], 2, 1)], 6, 2) for some in np.split(y, 4)]
    assert Blend.best(folds, [2, 6]).shapes[0].others == np.inf
    new = np.random.default_rng(7).normal(size=(600, 2))
    for i in range(1, 600):
        new[i] += np.array([0.9, -0.9]) * new[i - 1]
    forecaster = LinearForecaster.of(moments_of([y], 6, 2), Blend((Shape(6, 1e-4, 0.3),)))
    common = LinearForecaster.of(moments_of([y], 6, 2), Blend((Shape(6, 1e-4, np.inf),)))
    origins = np.arange(6, 598)
    outcomes = new[origins[:, None] + np.arange(2)]
    errors = [
        ((outcomes - each.rolling(new, np.array([0, 1]), origins)) ** 2).mean()
        for each in (forecaster, common)
    ]
    assert errors[0] < 0.8 * errors[1]
    last = new[:6]
    # A channel without a group gets the common weights.
    assert_allclose(
        forecaster.forecast(last, np.array([-1, -1])), common.forecast(last, np.array([0, 0]))
    )


def test_one_decomposition_gives_the_errors_of_all_penalties(moments):
    fold = moments_of([np.random.default_rng(1).normal(size=(40, 2)).cumsum(0)], HISTORY, HORIZON)
    for penalty, error in _path(moments.summed(), fold.summed(), 5):
        weights = Shape(5, penalty, np.inf).solve(moments)
        assert_allclose(error, fold.error(weights), rtol=1e-9)


def test_a_channels_own_weights_are_between_its_solution_and_that_of_all(moments):
    own = Shape(4, 1e-3, 1e-9).solve(moments)
    alone = WindowMoments(moments.products[:1], moments.squares[:1], moments.count / 2)
    assert_allclose(own[0], Shape(4, 1e-3, np.inf).solve(alone)[0], rtol=1e-6)
    common = Shape(4, 1e-3, np.inf).solve(moments)[0]
    assert_allclose(Shape(4, 1e-3, 1e9).solve(moments)[0], common, rtol=1e-6)


def test_moments_of_two_halves_add_up(parts, moments):
    halves = [moments_of(parts[i : i + 1], HISTORY, HORIZON) for i in (0, 1)]
    assert_allclose((halves[0] + halves[1]).products, moments.products)


def test_the_best_shape_ignores_steps_that_do_not_matter():
    rng = np.random.default_rng(1)
    y = np.zeros((4000, 1))
    for i in range(1, 4000):
        y[i] = 0.8 * y[i - 1] + rng.normal()
    folds = [moments_of([part], 48, 2) for part in (y[:1500], y[1500:3000])]
    blend = Blend.best(folds, [1, 48])
    forecaster = LinearForecaster.of(folds[0] + folds[1], blend)
    # The best forecast is 0.8 and 0.64 of the last value: nearly so, after removing it.
    future = forecaster.rolling(y, ONE, np.arange(3000, 3998))[..., 0]
    truth = y[2999:3997] * [0.8, 0.64]
    assert ((future - truth) ** 2).mean() < 0.03 * y.var()


def test_a_sine_is_forecast_exactly_from_any_origin(parts):
    steps = np.sin(2 * np.pi * np.arange(200) / 20)[:, None] + 5
    moments = moments_of([steps], 40, 7)
    forecaster = LinearForecaster.of(moments, Blend((Shape(40, 1e-9, np.inf),)))
    origins = np.arange(40, 194)
    found = forecaster.rolling(steps, ONE, origins)
    assert_allclose(found, steps[origins[:, None] + np.arange(7)], atol=1e-3)
    assert_allclose(forecaster.forecast(steps[:-9], ONE), found[191 - 40], atol=1e-12)


def test_a_short_series_is_forecast_from_what_it_has():
    line = np.arange(50.0)[:, None]
    moments = moments_of([line], 12, 2)
    forecaster = LinearForecaster.of(moments, Blend((Shape(12, 1e-9, np.inf),)))
    assert forecaster.histories == [1, 2, 3, 6, 12]
    assert_allclose(forecaster.forecast(np.array([[7.0], [8.0]]), ONE), [[9.0], [10.0]], atol=1e-3)
    assert_allclose(forecaster.forecast(np.array([[7.0]]), ONE), [[7.0], [7.0]])


def test_windows_with_gaps_count_less():
    steps = np.random.default_rng(2).normal(size=(30, 1))
    known = np.ones((30, 1), bool)
    known[10:20] = False
    some = moments_of([steps], 4, 1, [known])
    share = np.array([known[i : i + 5].mean() for i in range(26)])
    assert_allclose(some.count, (share**4).sum())


def test_what_is_known_ahead_explains_what_it_does():
    rng = np.random.default_rng(3)
    price = rng.normal(size=(1500, 1)).cumsum(0)
    noise = rng.normal(size=(1500, 1)).cumsum(0)
    load = 3.0 * price + noise
    moments = moments_of([load], 6, 4)
    forecaster = LinearForecaster.of(moments, Blend((Shape(6, 1e-3, np.inf),)))
    one = np.ones(1)
    found = Explained.of([load], [price], [one], forecaster)
    assert_allclose(found.of_known(price + 1, one) - found.of_known(price, one), 3.0, rtol=0.05)
    # Two walks that have nothing to do with each other do not explain each other.
    assert abs(np.polyfit(price[:, 0], noise[:, 0], 1)[0]) > 0.1
    other = Explained.of([noise], [price], [one], forecaster)
    assert abs((other.of_known(price + 1, one) - other.of_known(price, one))[0, 0]) < 0.1


def test_effects_of_known_columns_depend_on_traits():
    rng = np.random.default_rng(4)
    price = [rng.normal(size=(800, 1)) for _ in range(2)]
    traits = [np.array([1.0, 1.0, 0.0]), np.array([1.0, 0.0, 1.0])]
    load = [k * x + 0.1 * rng.normal(size=x.shape) for k, x in zip((2.0, -1.0), price, strict=True)]
    forecaster = LinearForecaster.of(moments_of(load, 6, 4), Blend((Shape(6, 1e-3, np.inf),)))
    found = Explained.of(load, price, traits, forecaster)
    for trait, effect in zip(traits, (2.0, -1.0), strict=True):
        of = found.of_known(price[0] + 1, trait) - found.of_known(price[0], trait)
        assert_allclose(of, effect, atol=0.05)
