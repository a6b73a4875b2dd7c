"""Autoencoders beside neighbours and mixtures: calibrated on rows that they were not fitted on."""

from __future__ import annotations

from copy import copy
from functools import partial

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

import attar
from attar.errors import SettingError
from attar.tasks.anomalies import members
from attar.tasks.anomalies.calibration import pvalues, surprise


def ring(n, seed):
    """Return points on a ring, of a size that a word tells, some of them missing."""
    rng = np.random.default_rng(seed)
    angle, size = rng.uniform(0, 2 * np.pi, n), rng.choice(["small", "large"], n)
    radius = np.where(size == "large", 3, 1) + rng.normal(0, 0.1, n)
    return pd.DataFrame(
        {
            "x": np.where(rng.random(n) < 0.03, np.nan, radius * np.cos(angle)),
            "y": radius * np.sin(angle),
            "size": size,
            "note": [f"of {seed}, {i}" for i in range(n)],
        }
    )


@pytest.fixture(scope="module")
def detector():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(members, "Autoencoder", partial(attar.Autoencoder, epochs=8))
        found = attar.AnomalyDetector(recipe="vae", false_alarms=0.05, random_state=0)
        with pytest.warns(attar.AttarWarning, match="'note' is not used") as told:
            found.fit(ring(300, 0))
    assert len(told) == 1
    return found


def used(detector, X):
    """Return what members see of rows."""
    kind = detector.model_.features.kind
    return kind.restore(kind.rows(X))


def test_usual_rows_are_flagged_as_often_as_was_asked(detector):
    low, high = detector.alarm_interval_
    assert low < (detector.predict(ring(2000, 1)) == -1).mean() < high


def test_two_scores_are_added_to_three(detector):
    new, scorer = ring(50, 2), detector.model_
    three = scorer.outlyingness.score(scorer.features.of(scorer.features.kind.rows(new)))
    each = [member.autoencoder for member in scorer.members.each]
    seen = used(detector, new)
    likelihood = np.mean([-one.score_samples(seen) for one in each], axis=0)
    first = surprise(scorer.members.known[0], likelihood)
    distances = []
    for member, one in zip(scorer.members.each, each, strict=True):
        spread = member.codes.std(0)
        apart = (one.transform(seen)[:, None] - member.codes) / spread
        distances.append(np.sort(np.linalg.norm(apart, axis=2), 1)[:, :5].mean(1))
    second = surprise(scorer.members.known[1], np.mean(distances, axis=0))
    np.testing.assert_allclose(-detector.score_samples(new), (3 * three + first + second) / 5)


def test_no_member_was_fitted_on_the_rows_that_it_calibrates(detector):
    scorer = detector.model_
    assert [len(member.codes) for member in scorer.members.each] == pytest.approx([190] * 3, abs=9)
    fresh = used(detector, ring(1000, 3))
    fresh = np.mean([m.scores(fresh)[0] for m in scorer.members.each], axis=0)
    shares = [(pvalues(scorer.members.known[0], fresh) <= p).mean() for p in (0.1, 0.3)]
    np.testing.assert_allclose(shares, [0.1, 0.3], atol=0.07)


def test_a_file_holds_the_members(detector, tmp_path):
    detector.save(tmp_path / "a.attar")
    again, new = attar.AnomalyDetector.load(tmp_path / "a.attar"), ring(50, 4)
    np.testing.assert_array_equal(again.score_samples(new), detector.score_samples(new))
    np.testing.assert_array_equal(again.model_.own, detector.model_.own)
    assert clone(again).recipe == "vae"
    copied = copy(detector).set_params(recipe=attar.Recipe())
    copied.save(tmp_path / "b.attar")
    assert attar.AnomalyDetector.load(tmp_path / "b.attar").recipe == attar.Recipe()


def test_columns_that_are_not_used_change_nothing(detector):
    new = ring(50, 4)
    assert "note" in dict(detector.model_.features.kind.remarks)
    again = detector.score_samples(new.assign(note="x"))
    np.testing.assert_array_equal(again, detector.score_samples(new))
    with pytest.warns(attar.AttarWarning, match="did not see") as told:
        unseen = detector.score_samples(new.assign(size=["huge", *new["size"][1:]]))
    assert len(told) == 1
    np.testing.assert_allclose(unseen[1:], again[1:])


def test_what_cannot_be_is_refused():
    with pytest.raises(SettingError, match="'vea'"):
        attar.AnomalyDetector(recipe="vea").fit(ring(60, 5).drop(columns="note"))
    with pytest.raises(SettingError, match="leave recipe out"):
        attar.AnomalyDetector(recipe="vae").partial_fit(ring(60, 5))
