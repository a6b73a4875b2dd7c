"""The network corrects what is not linear, and is left out of all else."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from attar.tasks.future.correction import Correction
from attar.tasks.future.linear import Blend, LinearForecaster, Shape, WindowMoments

WIDTH, HORIZON = 24, 6
ONE = np.array([0])


def mackey_glass(steps):
    """Return chaos that is known to be forecast badly by linear maps (Mackey and Glass 1977)."""
    x = [1.2] * 18
    for _ in range(steps + 200):
        x.append(0.9 * x[-1] + 0.2 * x[-18] / (1 + x[-18] ** 10))
    series = np.array(x[-steps:])[:, None]
    return (series - series.mean()) / series.std()


def linear_of(series):
    moments = WindowMoments.of([series], [series > -np.inf], [ONE], WIDTH, HORIZON)
    return LinearForecaster.of(moments, Blend((Shape(WIDTH, 1e-5, np.inf),)))


@pytest.fixture(scope="module")
def chaos():
    series = mackey_glass(2400)
    linear = linear_of(series[:1200])
    return series, linear, Correction.fit([series[:1200]], [series[1200:1800]], linear, [ONE])


def test_chaos_is_forecast_better_than_by_the_linear_part(chaos):
    series, linear, correction = chaos
    origins = np.arange(1800, 2400 - HORIZON)
    outcomes = series[origins[:, None] + np.arange(HORIZON)]
    forecasts = linear.rolling(series, ONE, origins)
    corrected = forecasts + correction.rolling(series, origins)
    assert ((outcomes - corrected) ** 2).mean() < 0.75 * ((outcomes - forecasts) ** 2).mean()


def test_a_history_that_is_too_short_is_not_corrected(chaos):
    series, _, correction = chaos
    assert (correction.rolling(series[: WIDTH + 5], np.arange(1, WIDTH)) == 0).all()
    # The level and the unit of a series do not matter, but for the floor of its variance.
    origins = np.array([WIDTH, WIDTH + 3])
    assert_allclose(
        correction.rolling(series[: WIDTH + 5] + 7, origins),
        correction.rolling(series[: WIDTH + 5], origins),
        atol=1e-5,
    )


def test_a_file_gives_the_same(chaos):
    series, _, correction = chaos
    again = Correction.restored(correction.tensors())
    origins = np.arange(WIDTH, 200)
    assert_allclose(again.rolling(series, origins), correction.rolling(series, origins))


def test_what_is_linear_or_noise_needs_no_network():
    rng = np.random.default_rng(0)
    series = np.zeros((1500, 1))
    for i in range(1, 1500):
        series[i] = 0.9 * series[i - 1] + rng.normal()
    series /= series.std()
    assert Correction.fit([series[:1000]], [series[1000:]], linear_of(series[:1000]), [ONE]) is None
