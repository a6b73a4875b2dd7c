"""Intervals hold what they promise, also while series change."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from attar.tasks.future.conformal import RATE, AdaptiveQuantiles

LEVELS = np.array([0.05, 0.95])


def normal(n, horizon=3, channels=2, seed=0):
    return np.random.default_rng(seed).normal(size=(n, horizon, channels))


def test_quantiles_start_as_those_of_held_out_errors():
    errors = normal(499)
    found = AdaptiveQuantiles.of(errors).rolling(normal(0), LEVELS)
    assert found.shape == (1, 2, 3, 2)
    # Conformal: the 25th and the 475th of 499 are at 0.05 and 0.95.
    ordered = np.sort(errors, axis=0)
    assert_allclose(found[0], ordered[[24, 474]], atol=1e-12)


def test_a_step_moves_the_level_by_the_rate():
    errors = np.linspace(-1, 1, 199)[:, None, None]
    quantiles = AdaptiveQuantiles.of(errors)
    after = quantiles.rolling(np.array([[[0.0]]]), LEVELS)[1, :, 0, 0]
    # 0 is above the lower quantile and below the upper one: both come nearer.
    at = np.array([0.05 + 0.05 * RATE, 0.95 - 0.05 * RATE])
    assert_allclose(after, np.interp(at * 200 - 1, np.arange(199), errors[:, 0, 0]))


@pytest.mark.parametrize("scale", [3.0, 0.3])
def test_coverage_comes_back_after_the_errors_have_changed(scale):
    quantiles = AdaptiveQuantiles.of(normal(400))
    errors = scale * normal(3000, seed=1)
    found = quantiles.rolling(errors, LEVELS)[:-1]
    inside = (errors >= found[:, 0]) & (errors <= found[:, 1])
    fixed = np.abs(errors) <= 1.645
    assert abs(fixed.mean() - 0.9) > 0.08
    assert abs(inside[1000:].mean() - 0.9) < 0.015


def test_outcomes_that_are_missing_or_yet_to_come_move_nothing():
    quantiles = AdaptiveQuantiles.of(normal(100))
    found = quantiles.rolling(np.full((50, 3, 2), np.nan), LEVELS)
    assert_allclose(found, np.broadcast_to(found[:1], found.shape))


def test_no_quantile_knows_the_future():
    quantiles, errors = AdaptiveQuantiles.of(normal(100)), normal(60, seed=2)
    later = errors.copy()
    # The outcome of step 40 is known to origins after it, at whatever step it was forecast.
    for step in range(3):
        later[40 - step, step] = 100.0
    before, after = (quantiles.rolling(each, LEVELS) for each in (errors, later))
    assert_allclose(before[:41], after[:41])
    assert (before[41] != after[41]).any()


def test_paths_are_as_wide_as_intervals():
    quantiles = AdaptiveQuantiles.of(normal(500))
    now = 2 * quantiles.rolling(normal(0), LEVELS)[0]
    paths = quantiles.paths(now, LEVELS, seed=0, count=4000)
    inside = (paths >= now[0]) & (paths <= now[1])
    assert_allclose(inside.mean(0), 0.9, atol=0.02)


def test_missing_errors_are_filled_and_files_hold_the_same():
    errors = normal(50)
    errors[10:20, 0, 0] = np.nan
    quantiles = AdaptiveQuantiles.of(errors)
    assert not np.isnan(quantiles.errors).any()
    again = AdaptiveQuantiles.restored(quantiles.tensors())
    assert_allclose(again.errors, quantiles.errors, rtol=1e-6)
