"""Odd moments of series are found, explained, and scored one by one as all together."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import attar
from attar.errors import DataError, SettingError
from attar.tasks.anomalies.moments import _from_all, _from_before
from attar.tasks.steps import Last

TIMES = pd.date_range("2024-01-01", periods=1400, freq="30min")


def loads(seed=0, n=1400):
    """Return half-hourly loads with a daily pattern, and temperatures that go with them."""
    rng = np.random.default_rng(seed)
    load = 3 * np.sin(2 * np.pi * np.arange(n) / 48) + 0.3 * rng.normal(size=n)
    temperature = 10 + load / 2 + 0.1 * rng.normal(size=n)
    return pd.DataFrame({"at": TIMES[:n], "load": load, "temperature": temperature})


OLD = loads()[:800]
NEW = loads()[800:].reset_index(drop=True)
NEW.loc[300:309, "load"] += 4.0


@pytest.fixture(scope="module")
def detector():
    return attar.AnomalyDetector(random_state=0).fit(attar.Series(OLD, time="at"))


def copy_of(detector, tmp_path):
    detector.save(tmp_path / "s.attar")
    return attar.AnomalyDetector.load(tmp_path / "s.attar")


def test_an_odd_moment_is_found(detector):
    scores = detector.score_samples(NEW)
    assert scores.shape == (600,)
    assert 295 <= scores.argmin() <= 315
    np.testing.assert_allclose(detector.predict_pvalues(NEW), np.exp(scores))
    flagged = np.flatnonzero(detector.predict(NEW) == -1)
    assert {300, 309} <= set(flagged)
    assert set(flagged) <= set(range(150, 500))
    assert detector.offset_ == pytest.approx(np.log(0.01))
    # Few steps are independent of each other, so that little can be promised.
    low, high = detector.alarm_interval_
    assert low < 0.001
    assert 0.05 < high < 0.2


def test_the_order_of_rows_does_not_matter_where_times_say_it(detector):
    mixed = NEW.sample(frac=1, random_state=0)
    np.testing.assert_array_equal(
        detector.score_samples(mixed), detector.score_samples(NEW)[mixed.index]
    )


def test_steps_of_the_fit_are_scored_as_if_they_were_new(detector):
    own = detector.score_samples(OLD)
    np.testing.assert_array_equal(own, -detector.model_.own)
    assert (own < np.log(0.1)).mean() == pytest.approx(0.1, abs=0.03)


def test_a_channel_is_named_with_what_was_expected_of_it(detector):
    why = detector.explain(NEW, most=1)
    assert list(why["row"]) == list(range(600))
    first = why.iloc[300]
    assert (first["column"], first["value"]) == ("load", NEW["load"][300])
    assert abs(first["expected"] - (NEW["load"][300] - 4)) < 0.8
    assert first["low"] < first["expected"] < first["high"] < first["value"]
    assert first["nats"] > 5
    inside = detector.explain(NEW[:300], most=2)
    covered = (inside["value"] - inside["expected"]).abs() <= inside["high"] - inside["expected"]
    assert covered.mean() == pytest.approx(0.9, abs=0.05)


def test_steps_can_be_scored_as_they_come(detector, tmp_path):
    online, again = copy_of(detector, tmp_path), copy_of(detector, tmp_path)
    scores = [online.score_next([r.load, r.temperature], r.at) for r in NEW.itertuples()]
    assert np.argmin(scores) in range(300, 325)
    assert scores[300] < online.offset_
    # Times and names may be left out; a step that is missing has the score of those before.
    for i in range(100):
        one = again.score_next(NEW.iloc[i][["temperature", "load"]])
        assert one == scores[i]
    assert again.score_next([np.nan, np.nan]) == pytest.approx(scores[99], abs=0.5)
    # The file holds where the series was.
    third = copy_of(again, tmp_path)
    assert third.score_next([1.0, 11.0]) == again.score_next([1.0, 11.0])


def test_what_comes_later_has_no_say_in_a_step(detector, tmp_path):
    whole, part = copy_of(detector, tmp_path), copy_of(detector, tmp_path)
    changed = NEW.copy()
    changed.loc[50:, "load"] = 99.0
    a = [whole.score_next([r.load, r.temperature]) for r in NEW[:50].itertuples()]
    b = [part.score_next([r.load, r.temperature]) for r in changed[:50].itertuples()]
    assert a == b


def test_further_steps_are_learnt_as_those_that_were_scored(detector, tmp_path):
    online, again = copy_of(detector, tmp_path), copy_of(detector, tmp_path)
    for row in NEW[:60].itertuples():
        online.score_next([row.load, row.temperature], row.at)
    again.partial_fit(NEW[:60])
    np.testing.assert_array_equal(again.score_samples(NEW[60:]), online.score_samples(NEW[60:]))
    assert again.score_next([1.0, 2.0]) == online.score_next([1.0, 2.0])


def test_missing_steps_and_channels_are_not_odd(detector):
    holes = NEW.copy()
    holes.loc[100:110, ["load", "temperature"]] = np.nan
    holes.loc[150:250, "load"] = np.nan
    p = detector.predict_pvalues(holes)
    assert np.isfinite(p).all()
    assert (p[100:111] > 0.01).all()
    why = detector.explain(holes[:120], most=1)
    assert why["nats"].isna().sum() == 11


def test_series_of_unlike_levels_are_scored_by_their_own(detector):
    both = pd.concat([loads(1).assign(id="a"), loads(2).assign(id="b")], ignore_index=True)
    both.loc[both["id"] == "b", ["load", "temperature"]] *= 100
    old = both["at"] < TIMES[800]
    found = attar.AnomalyDetector(random_state=0).fit(
        attar.Series(both[old], time="at", series="id")
    )
    new = both[~old].reset_index(drop=True)
    new.loc[900:909, "load"] += 400
    scores = found.score_samples(new)
    assert 895 <= scores.argmin() <= 915
    assert scores[:600].min() > scores[600:].min() + 3
    assert found.score_next([0.0, 10.0], series="a") > found.score_next([900.0, 10.0], series="b")
    with pytest.raises(DataError, match="knows 2 series: name one"):
        found.score_next([0.0, 1.0])
    with pytest.raises(DataError, match="choose one of a, b"):
        found.score_next([0.0, 1.0], series="c")


def test_arrays_of_series_are_scored_in_their_shape(tmp_path):
    rng = np.random.default_rng(0)
    beats = np.sin(np.arange(40) / 3) + 0.1 * rng.normal(size=(60, 40))
    found = attar.AnomalyDetector(random_state=0).fit(attar.Series(beats[:50]))
    new = beats[50:].copy()
    new[3, 10:20] = 0.0
    scores = found.score_samples(new)
    assert scores.shape == new.shape
    assert scores.min(1).argmin() == 3
    assert found.discoveries(new, 0.1).shape == new.shape
    attar.report(found, new, tmp_path / "page.html")


def test_a_new_level_of_errors_is_drift(detector):
    assert not detector.drift(NEW[:250])
    noise = np.random.default_rng(0).normal(size=250)
    noisy = NEW[:250].assign(load=NEW["load"][:250] + noise)
    drift = detector.drift(noisy)
    assert drift
    assert drift.columns["column"][0] == "load"


def test_evidence_is_a_power_mean_of_near_steps():
    nats = np.random.default_rng(0).exponential(size=(40, 3))
    nats[5], nats[7, 1] = np.nan, np.nan
    past = np.array([1.5, 1.0]) / np.expm1(1 / 9)
    last = Last(np.zeros((1, 1)), 0.0, past)
    before = _from_before(nats, 9, last)
    both = _from_all(nats, [0, 2, 0], 9, 1.5)
    shifted = nats.copy()
    shifted[:, 1] = np.append(nats[2:, 1], [nats[-1, 1]] * 2)

    def mean(values, weights, t):
        each = np.nanmean(values, axis=1) ** 2
        known = ~np.isnan(each)
        sums = past * np.exp(-(t + 1) / 9)
        total = (weights * np.nan_to_num(each)).sum() + sums[0]
        return (total / ((weights * known).sum() + sums[1])) ** 0.5

    steps = np.arange(40)
    with warnings.catch_warnings(action="ignore"):
        for t in steps:
            fading = np.exp(-np.abs(steps - t) / 9)
            assert before[t] == pytest.approx(mean(nats, np.where(steps <= t, fading, 0.0), t))
            assert both[t] == pytest.approx(mean(shifted, fading, t))
    total = (
        np.nanmean(np.delete(nats, 5, 0), axis=1) ** 2 * np.exp(-(39 - np.delete(steps, 5)) / 9)
    ).sum()
    assert last.evidence[0] == pytest.approx(total + past[0] * np.exp(-40 / 9))


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (loads()[:20], DataError, r"20 step\(s\)"),
        (loads().assign(load=1.0, temperature=2.0), DataError, "alike"),
        (loads().assign(load=np.inf), DataError, "infinite"),
    ],
)
def test_what_cannot_be_is_refused(data, error, words):
    with pytest.raises(error, match=words):
        attar.AnomalyDetector().fit(attar.Series(data, time="at"))


def test_mistakes_with_a_fitted_detector_are_told(detector, tmp_path):
    with pytest.raises(DataError, match="lacks the column 'load'"):
        detector.score_samples(NEW.drop(columns="load"))
    with pytest.raises(DataError, match="1 values, and the series 2 channels"):
        detector.score_next([1.0])
    with pytest.raises(DataError, match="lacks temperature"):
        detector.score_next({"load": 1.0})
    with pytest.warns(attar.AttarWarning, match="comes before the last one"):
        copy_of(detector, tmp_path).score_next([1.0, 2.0], "2020-01-01")
    with pytest.raises(DataError, match="infinite"):
        detector.score_next([np.inf, 2.0])
    with pytest.warns(attar.AttarWarning, match="begins before the series of the fit ended"):
        detector.score_samples(loads()[790:1000])
    rows = attar.AnomalyDetector(random_state=0, false_alarms=0.1).fit(np.eye(30)[:, :3] * 1.0)
    with pytest.raises(DataError, match="score_next is for series"):
        rows.score_next([1.0, 2.0, 3.0])
    with pytest.raises(SettingError, match="span"):
        attar.AnomalyDetector(span=0).fit(attar.Series(OLD, time="at"))
    with pytest.raises(SettingError, match="columns is for tables"):
        attar.AnomalyDetector(columns={"load": "number"}).fit(attar.Series(OLD, time="at"))
