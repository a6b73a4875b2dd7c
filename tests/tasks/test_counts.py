"""Odd rows of counts: probabilities of cells, calibrated scores, explanations, drift."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.metrics import roc_auc_score

import attar
from attar.errors import DataError, SettingError
from attar.tasks.anomalies.counts import SHRINKAGE, UNSEEN, StoredCells

COLUMNS = 400


def documents(n, seed, topics=3, size=40):
    """Return rows of counts, each of one topic."""
    shares = np.random.default_rng(0).dirichlet(np.full(COLUMNS, 0.05), 5)
    rng = np.random.default_rng(seed)
    lengths = rng.poisson(size, n)
    chosen = rng.integers(topics, size=n) if topics else np.full(n, 4)
    rows = [rng.multinomial(m, shares[t]) for m, t in zip(lengths, chosen, strict=True)]
    return sparse.csr_array(np.array(rows))


@pytest.fixture(scope="module")
def detector():
    return attar.AnomalyDetector(random_state=0, false_alarms=0.05).fit(documents(600, 1))


def test_probabilities_of_cells_leave_out_the_own_row():
    counts = sparse.csr_array(np.array([[2.0, 1, 0], [1, 0, 0], [4, 0, 0]]))
    cells = StoredCells.of(counts)
    np.testing.assert_array_equal(cells.rows, [3, 1, 0])
    mean = (7 + SHRINKAGE * 2) / (3 + SHRINKAGE)  # of the first column: 7 in 3 rows, 2 in all
    assert cells.geometric[0] == pytest.approx(1 - 1 / mean)
    share = (2 + UNSEEN) / (2 + 3 * UNSEEN)
    own = cells.nats(counts, np.array([1.0, 0, 0]))
    likely = (1 - np.exp(-2 * share)) * cells.geometric[0]
    assert own[0] == pytest.approx(-np.log(likely))
    assert cells.nats(counts)[1] < own[1]  # only the first row has the second column


def test_documents_of_another_topic_are_odd(detector):
    usual, other = documents(400, 2), documents(200, 3, topics=0)
    scores = -detector.score_samples(sparse.vstack([usual, other]))
    assert roc_auc_score(np.arange(600) >= 400, scores) > 0.99
    low, high = detector.alarm_interval_
    assert low - 0.03 < (detector.predict(usual) == -1).mean() < high + 0.03
    np.testing.assert_allclose(-detector.score_samples(usual), scores[:400])
    # Of dense rows as of sparse ones, and in any format.
    np.testing.assert_array_equal(detector.score_samples(usual.toarray()), -scores[:400])
    np.testing.assert_array_equal(detector.score_samples(usual.tocsc()), -scores[:400])


def test_what_was_planted_is_explained_and_longer_rows_are_odd(detector):
    new = documents(5, 4).tolil()
    new[2, 7] = 60
    new = new.tocsr()
    why = detector.explain(new, most=2)
    assert list(why["row"]) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    first = why[why["row"] == 2].iloc[0]
    assert (first["column"], first["value"]) == (7, 60)
    assert first["low"] <= first["expected"] + 1
    assert first["high"] < 60
    assert first["nats"] > np.log(600)  # no row of the fit has a cell as unlikely
    assert np.median(why["nats"][why["row"] != 2]) < 2
    long = documents(50, 5, size=200)
    assert (detector.predict_pvalues(long) < 0.1).mean() > 0.8


def test_rows_with_fewer_cells_than_reasons_have_missing_ones(detector):
    new = sparse.csr_array(([1.0], ([0], [3])), (2, COLUMNS))
    why = detector.explain(new, most=2)
    assert why["column"].tolist() == [3, pd.NA, pd.NA, pd.NA]
    assert np.isfinite(detector.score_samples(new)).all()


def test_a_file_holds_the_detector(detector, tmp_path):
    detector.save(tmp_path / "c.attar")
    again, new = attar.AnomalyDetector.load(tmp_path / "c.attar"), documents(50, 6)
    np.testing.assert_array_equal(again.score_samples(new), detector.score_samples(new))
    pd.testing.assert_frame_equal(again.explain(new), detector.explain(new))


def test_drift_names_the_columns_that_moved(detector):
    assert not detector.drift(documents(300, 7))
    moved = documents(300, 8).tolil()
    moved[:, 11] = 1
    drift = detector.drift(moved.tocsr())
    assert drift
    assert drift.columns["column"][0] == "11"


def test_partial_fit_learns_a_new_topic(tmp_path):
    detector = attar.AnomalyDetector(random_state=0, false_alarms=0.05).fit(documents(600, 1))
    new = documents(300, 10, topics=0)
    before = detector.predict_pvalues(new[:100])
    detector.partial_fit(new[100:])
    assert detector.model_.own.shape == (800,)
    assert np.median(before) < 0.02 < 0.3 < np.median(detector.predict_pvalues(new[:100]))


def test_counts_of_any_unit_are_scored_alike(detector):
    scaled = attar.AnomalyDetector(random_state=0, false_alarms=0.05).fit(documents(600, 1) * 0.25)
    new = documents(20, 9)
    np.testing.assert_allclose(scaled.score_samples(new * 0.25), detector.score_samples(new))


@pytest.mark.parametrize(
    ("X", "error", "words"),
    [
        (documents(30, 1) * -1, DataError, "negative values"),
        (sparse.csr_array(np.ones((30, 4))), DataError, "alike"),
        (documents(6, 1), DataError, r"6 sample\(s\)"),
        (attar.Sparse(documents(30, 1), absent="missing"), DataError, "absent cells are zero"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(X, error, words):
    with pytest.raises(error, match=words) as raised:
        attar.AnomalyDetector(random_state=0).fit(X)
    assert "\n" not in str(raised.value)


def test_columns_and_shapes_that_do_not_fit_are_refused(detector):
    with pytest.raises(SettingError, match="recipe is for tables"):
        attar.AnomalyDetector(recipe="ae").fit(documents(30, 1))
    with pytest.raises(SettingError, match="columns is for tables"):
        attar.AnomalyDetector(columns={"0": "number"}).fit(documents(30, 1))
    with pytest.raises(DataError, match="5 features"):
        detector.score_samples(documents(3, 1)[:, :5])
    with pytest.raises(DataError, match="Only images have maps"):
        detector.anomaly_maps(documents(3, 1))
