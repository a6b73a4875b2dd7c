"""What is learnt step by step is what closed forms and brute force say of all steps together."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from attar.tasks.anomalies import online
from attar.tasks.anomalies.calibration import RunningTails
from attar.tasks.anomalies.online import LinearForecast, NearestWindows, OnlineSeries

rng = np.random.default_rng(0)


def ones(rows):
    return np.ones((len(rows), 1))


def test_tails_are_shares_below_and_paretos_beyond():
    numbers = np.column_stack([rng.pareto(2.5, 20_000) + 1, np.exp(rng.normal(size=20_000))])
    tails = RunningTails.fit(numbers)
    np.testing.assert_allclose(
        tails.nats(np.array([2.0, 1.0])), [2.5 * np.log(2), np.log(2)], rtol=0.03
    )
    far = tails.nats(np.array([[100.0, 1.0], [1000.0, 1.0]]))[:, 0]
    assert far[0] == pytest.approx(2.5 * np.log(100), rel=0.05)
    assert far[1] - far[0] == pytest.approx(2.5 * np.log(10), rel=0.05)
    np.testing.assert_allclose(tails.quantile(0.9), np.quantile(numbers, 0.9, axis=0), rtol=0.1)


def test_tails_tell_any_two_numbers_apart():
    tails = RunningTails.fit(np.array([[1.0], [1.0], [1.0], [2.0]]))
    grid = np.geomspace(1e-4, 1e6, 500)[:, None]
    assert (np.diff(tails.nats(grid)[:, 0]) > 0).all()
    assert tails.nats(np.array([[0.0], [np.nan]]))[0, 0] == pytest.approx(0.0, abs=1e-12)
    assert np.isnan(tails.nats(np.array([[np.nan]]))).all()


def test_tails_that_saw_numbers_one_by_one_are_those_of_all():
    numbers = rng.gamma(2.0, size=(300, 2))
    numbers[7, 0] = np.nan
    whole, tails = RunningTails.fit(numbers), RunningTails.fit(numbers[:100])
    tails.unit[:] = whole.unit  # what counts are in is settled by the first numbers
    tails = RunningTails(whole.unit, RunningTails.fit(numbers[:1]).counts * 0, np.zeros(2))
    for row in numbers:
        before = tails.nats(row)
        np.testing.assert_array_equal(tails.next(row), before)
    np.testing.assert_array_equal(tails.counts, whole.counts)
    np.testing.assert_allclose(tails.totals, whole.totals)
    again = RunningTails.restored(tails.tensors())
    np.testing.assert_array_equal(again.nats(numbers[9]), tails.nats(numbers[9]))


@pytest.mark.parametrize("standardized", [False, True])
def test_the_second_nearest_window_counts_that_does_not_overlap(standardized):
    parts = [rng.normal(size=(50, 2)), rng.normal(size=(30, 2))]
    view = NearestWindows(6, standardized, 0)
    found = view.fit(parts, [ones(part) for part in parts])[:, 0]
    windows, of = [], []
    for number, part in enumerate(parts):
        padded = np.concatenate([np.repeat(part[:1], 5, 0), part])
        for end in range(len(part)):
            window = padded[end : end + 6]
            if standardized:
                window = window - window.mean(0)
                window = window / np.maximum(window.std(0), online.FLAT)
            windows.append(window.ravel())
            of.append((number, end))
    far = cdist(windows, windows)
    for i, (a, at) in enumerate(of):
        for j, (b, other) in enumerate(of):
            if a == b and abs(at - other) < 3:
                far[i, j] = np.inf
    np.testing.assert_allclose(found, np.sort(far, 1)[:, 1])
    new = np.concatenate([parts[1], rng.normal(size=(1, 2))])[-12:]
    last = NearestWindows(6, standardized, 0)
    padded = np.concatenate([np.repeat(new[:1], 5, 0), new])
    window = last._of(padded[-6:])
    assert view.step(new, np.ones(1)) == pytest.approx(
        np.sort(np.linalg.norm(windows - window, axis=1))[1]
    )
    # The window before the last one is one of the past now.
    assert view.size == len(windows) + 1
    np.testing.assert_allclose(view.bank[len(windows)], view._of(new[:6]))


def test_windows_of_the_past_are_kept_with_equal_probability(monkeypatch):
    monkeypatch.setattr(online, "KEPT", 20)
    counts = np.zeros(100)
    for seed in range(200):
        view = NearestWindows(1, False, seed)
        view.fit([np.arange(20.0)[:, None]], [np.ones((20, 1))])
        for step in range(21, 101):
            view.step(np.array([[step - 1.0], [float(step)]]), np.ones(1))
        assert view.size == 20
        counts[view.bank[:, 0].astype(int)] += 1
    # The 20 windows of the fit, and 80 later ones: each is kept with probability 20 / 101.
    assert counts[:20].mean() == pytest.approx(counts[20:].mean(), rel=0.15)


def test_forecasts_are_least_squares_with_a_memory():
    rows = rng.normal(size=(400, 2)).cumsum(0) / 8
    view = LinearForecast(3)
    errors = view.fit([rows], [ones(rows)])
    padded = np.concatenate([np.repeat(rows[:1], 3, 0), rows])
    inputs = np.array([[*padded[i : i + 3].T.ravel(), 1.0] for i in range(400)])
    weights = online.MEMORY ** np.arange(399, -1, -1)
    ridge = online.MEMORY**400 * np.eye(7)
    exact = np.linalg.solve(
        inputs.T @ (weights[:, None] * inputs) + ridge, inputs.T @ (weights[:, None] * rows)
    )
    np.testing.assert_allclose(errors, rows - inputs @ exact, atol=1e-6)
    new = np.array([0.3, -0.2])
    recent = np.concatenate([rows[-3:], new[None]])
    far = view.step(recent, np.ones(1))
    expected = np.append(rows[-3:].T.ravel(), 1.0) @ exact
    np.testing.assert_allclose(view.expected, expected, atol=1e-6)
    assert far == pytest.approx(np.linalg.norm(new - expected), rel=1e-5)


def test_one_wild_step_moves_a_forecast_little():
    rows = np.sin(np.arange(300.0) / 5)[:, None]
    view = LinearForecast(2)
    view.fit([rows], [ones(rows)])
    before = view.weights.copy()
    view.step(np.array([[0.1], [0.2], [1e9]]), np.ones(1))
    wild = np.abs(view.weights - before).max()
    assert wild <= online.BOUND * np.abs(view.covariance @ [0.1, 0.2, 1.0]).max() * 2
    assert np.isfinite(view.weights).all()


def test_steps_are_restored_with_their_random_state(monkeypatch):
    monkeypatch.setattr(online, "KEPT", 50)
    rows = rng.normal(size=(200, 1))
    series, nats, errors = OnlineSeries.fit(
        [rows[:120]], [ones(rows[:120])], np.zeros(120, bool), 8, 0
    )
    assert nats.shape == (120, len(series.views))
    assert errors.shape == (120, 1)
    again = OnlineSeries.restored(series.tensors(), series.to_json())
    for i in range(120, 200):
        recent = rows[i + 1 - series.before : i + 1]
        one, other = (each.step(recent, np.ones(1)) for each in (series, again))
        np.testing.assert_array_equal(one.nats, other.nats)
        np.testing.assert_array_equal(one.expected, other.expected)
