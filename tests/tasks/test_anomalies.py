"""AnomalyDetector keeps scikit-learn's rules and its own promises."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.metrics import roc_auc_score

import attar
from attar.data import datasets
from attar.errors import DataError, ModelFileError, SettingError
from attar.tasks.anomalies import rows

N = 400
rng = np.random.default_rng(0)


def people(n, seed):
    rng = np.random.default_rng(seed)
    age = rng.integers(18, 70, n).astype(float)
    return pd.DataFrame(
        {
            "age": np.where(rng.random(n) < 0.1, np.nan, age),
            "pay": 1000 + 50 * age + rng.normal(0, 60, n),
            "job": rng.choice(["clerk", "cook"], n),
            "floor": 3,
        }
    )


@pytest.fixture(scope="module")
def detector():
    with pytest.warns(attar.AttarWarning, match="'floor' is not used"):
        return attar.AnomalyDetector(random_state=0, false_alarms=0.05).fit(people(N, 0))


def test_scores_offset_and_predictions_agree(detector):
    new = people(2000, 1)
    scores = detector.score_samples(new)
    np.testing.assert_array_equal(detector.decision_function(new), scores - detector.offset_)
    flagged = detector.predict(new) == -1
    p = detector.predict_pvalues(new)
    np.testing.assert_array_equal(flagged, p <= 0.05)
    low, high = detector.alarm_interval_
    assert low < flagged.mean() < high
    assert not detector.discoveries(new[~flagged], 0.01).any()


def test_odd_cells_are_found_and_explained(detector):
    new = people(6, 2).assign(floor=3)
    new["age"] = [30.0, 30.0, 30.0, 30.0, 30.0, 30.0]
    new["pay"] = [2500.0] * 5 + [4200.0]
    new.loc[4, "floor"] = 7
    with pytest.warns(attar.AttarWarning, match="floor"):
        p = detector.predict_pvalues(new)
    assert (p[[4, 5]] < 0.03).all()
    assert (p[:4] > 0.1).all()
    why = detector.explain(new.drop(index=4), most=2)
    last = why[why["row"] == 4]
    assert set(last["column"].iloc[:1]) <= {"pay", "age"}
    assert list(why["row"]) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    pay = last[last["column"] == "pay"]
    if len(pay):
        assert pay["value"].item() == 4200
        assert pay["low"].item() < 2500 < pay["high"].item()


def test_a_row_without_known_cells_is_told(detector):
    new = people(3, 8)
    new.loc[1] = [np.nan, np.nan, None, np.nan]
    with pytest.warns(attar.AttarWarning, match="1 of 3 rows have no known cell"):
        detector.score_samples(new)


def test_contamination_is_the_share_of_the_fit_that_is_flagged():
    X = people(N, 3).drop(columns="floor")
    found = attar.AnomalyDetector(0.07, random_state=0).fit_predict(X)
    assert (found == -1).sum() == round(0.07 * N)


def test_a_file_holds_the_detector(detector, tmp_path):
    detector.save(tmp_path / "a.attar")
    again = attar.AnomalyDetector.load(tmp_path / "a.attar")
    new = people(50, 4)
    np.testing.assert_array_equal(again.score_samples(new), detector.score_samples(new))
    np.testing.assert_array_equal(again.predict(new), detector.predict(new))
    with pytest.raises(ModelFileError, match=r"attar.AnomalyDetector.load"):
        attar.Autoencoder.load(tmp_path / "a.attar")


def test_pyods_words_say_the_same(detector):
    pyod, new = detector.as_pyod(), people(50, 7)
    np.testing.assert_array_equal(pyod.decision_function(new), -detector.score_samples(new))
    np.testing.assert_array_equal(pyod.predict(new) == 1, detector.predict(new) == -1)
    np.testing.assert_array_equal(pyod.predict_proba(new)[:, 0], detector.predict_pvalues(new))
    assert pyod.labels_.sum() == int(0.05 * (N + 1)) - 1  # the limit itself is one of the scores
    assert len(pyod.decision_scores_) == N


def test_drift_names_the_column_that_moved(detector):
    assert not detector.drift(people(500, 5))
    moved = people(500, 6).assign(job="cook")
    drift = detector.drift(moved)
    assert drift
    assert drift.columns["column"][0] == "job"


def moved(n, seed, by):
    """Return numbers of which some go together, around another place."""
    x = np.random.default_rng(seed).normal(by, 1, (n, 3))
    x[:, 2] += x[:, 0]
    return x


def test_after_drift_false_alarms_return_to_what_was_asked(monkeypatch):
    monkeypatch.setattr(rows, "ROWS", 400)
    settings = {"random_state": 0, "false_alarms": 0.05}
    before = attar.AnomalyDetector(**settings).partial_fit(moved(400, 0, 0))
    after = attar.AnomalyDetector(**settings).fit(moved(400, 0, 0))
    new = moved(2000, 3, 2.5)
    np.testing.assert_array_equal(before.score_samples(new), after.score_samples(new))
    after.partial_fit(moved(3000, 2, 2.5))
    low, high = after.alarm_interval_
    assert low < (after.predict(new) == -1).mean() < high
    assert (before.predict(new) == -1).mean() > 0.5
    assert before.drift(new)
    assert not after.drift(new)


def test_the_sample_forgets_by_half_in_so_many_rows(monkeypatch):
    monkeypatch.setattr(rows, "ROWS", 300)
    detector = attar.AnomalyDetector(random_state=0).fit(moved(250, 0, 0))
    for seed, n in ((1, 150), (2, 100)):
        detector.partial_fit(moved(n, seed, 100 * seed))
    features = detector.model_.outlyingness.rows
    raw = detector.model_.features.preparation.raw(torch.from_numpy(features))
    counts = np.bincount(np.round(raw[:, 1] / 100).astype(int))
    # 50 of the new rows fill the sample; each of the others spares a row with 299 chances of 300.
    spared = (1 - 1 / 300) ** np.array([200, 100])
    expected = [250 * spared[0], 300 * (spared[1] - spared[0] * 250 / 300), 300 * (1 - spared[1])]
    np.testing.assert_allclose(counts, expected, atol=3 * np.sqrt(300) / 2)


def test_an_unknown_digit_is_odd():
    images, labels = datasets.load("digits", "train")
    new, of_new = datasets.load("digits", "test")
    detector = attar.AnomalyDetector(random_state=0).fit(images[labels == 0])
    assert roc_auc_score(of_new != 0, -detector.score_samples(new)) > 0.99


@pytest.mark.parametrize(
    ("settings", "X", "error", "words"),
    [
        ({"contamination": 0.6}, np.eye(20), SettingError, r"a share in \(0, 0.5\], not 0.6"),
        ({"contamination": 0}, np.eye(20), SettingError, "not 0"),
        ({"false_alarms": 1.0}, np.eye(20), SettingError, "false_alarms"),
        ({}, np.eye(5), DataError, "5 sample"),
        ({}, np.ones((20, 2)), DataError, "alike"),
    ],
)
@pytest.mark.filterwarnings("ignore::attar.AttarWarning")
def test_what_cannot_be_is_refused_in_one_sentence(settings, X, error, words):
    with pytest.raises(error, match=words) as raised:
        attar.AnomalyDetector(**settings).fit(X)
    assert "\n" not in str(raised.value)


def test_a_label_among_the_columns_is_told():
    X = people(60, 9).drop(columns="floor").assign(is_fraud=np.arange(60) % 9 == 0)
    with pytest.warns(attar.AttarWarning, match="Column 'is_fraud' seems to be a label") as told:
        attar.AnomalyDetector(false_alarms=0.05, random_state=0).fit(X)
    assert len(told) == 1


def test_another_number_of_columns_is_told(detector):
    with pytest.raises(DataError, match="X has 3 features, but attar is expecting 4 features"):
        detector.predict(np.zeros((2, 3)))


def test_too_few_rows_for_the_false_alarms_are_told():
    with pytest.warns(attar.AttarWarning, match="need 99 rows at least, and X has 60"):
        found = attar.AnomalyDetector(random_state=0).fit(rng.normal(size=(60, 2)))
    assert (found.predict([[99.0, -99.0]]) == 1).all()


def test_it_is_cloned_without_what_was_learnt(detector):
    assert not hasattr(clone(detector), "offset_")
    assert detector.n_features_in_ == 4
