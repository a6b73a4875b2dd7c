"""Odd lines of text: n-grams, distances to the nearest lines, words that explain, bad input."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

import attar
from attar.errors import DataError, FileError, SettingError
from attar.tasks.anomalies.calibration import surprise
from attar.tasks.anomalies.texts import LEAST, ngrams

WHO = ["anna", "ben", "carla", "david", "emma"]


def log(n, seed):
    rng = np.random.default_rng(seed)
    usual = ["Job {n} of {who} finished in {n} ms", "Cache miss: key {n}", "Mail to {who} sent"]
    return [t.format(n=rng.integers(999), who=rng.choice(WHO)) for t in rng.choice(usual, n)]


NEW = "Disk 7 failed: no space left"


@pytest.fixture(scope="module")
def detector():
    return attar.AnomalyDetector(random_state=0).fit(log(300, 0))


def test_words_with_digits_are_alike_and_others_are_cut():
    assert ngrams("A Job7 x_1: 0.5") == [" a ", " 0 ", " 0 ", " 0 ", " 0 "]
    assert ngrams("Größe") == [" grö", "größ", "röße", "öße "]
    assert ngrams("") == ngrams(" -- ") == [" "]


def test_distances_are_those_of_tf_idf_with_unseen_terms(detector):
    lines, new = log(300, 0), [*log(20, 1), NEW]
    vectors = TfidfVectorizer(analyzer=ngrams, use_idf=False, norm=None).fit(lines + new)
    known, found = (np.log1p(vectors.transform(part).toarray()) for part in (lines, new))
    weights = np.log((1 + len(lines)) / (1 + (known > 0).sum(0))) + LEAST
    known, found = (
        part * weights / np.linalg.norm(part * weights, axis=1, keepdims=True)
        for part in (known, found)
    )
    similar = -np.sort(-(found @ known.T), axis=1)
    first = (similar[:, 0] > 1 - 1e-6).astype(int)  # one equal line may be the line itself
    distances = [1 - row[at : at + 20].mean() for row, at in zip(similar, first, strict=True)]
    expected = surprise(detector.model_.distances, np.round(distances, 5))
    scores = -detector.score_samples(new)
    np.testing.assert_allclose(scores, expected, rtol=1e-4)
    assert scores[-1] > scores[:-1].max()


def test_forms_of_text_and_files_have_equal_scores(detector, tmp_path):
    new = [*log(30, 2), NEW]
    scores = detector.score_samples(new)
    path = tmp_path / "new.log"
    path.write_text("\n".join(new))
    detector.save(tmp_path / "a.attar")
    loaded = attar.AnomalyDetector.load(tmp_path / "a.attar")
    for form in (np.array(new), pd.Series(new), [line.encode() for line in new], path):
        np.testing.assert_array_equal(loaded.score_samples(form), scores)
    table = pd.DataFrame({"message": log(300, 0)})
    table.to_csv(tmp_path / "a.csv", index=False)
    lines = attar.Lines(tmp_path / "a.csv", "message")
    column = attar.AnomalyDetector(random_state=0).fit(lines)
    np.testing.assert_array_equal(column.score_samples(pd.DataFrame({"message": new})), scores)
    assert column.feature_names_in_.tolist() == ["message"]
    assert detector.predict([NEW]).tolist() == [-1]


def test_words_that_few_lines_have_explain(detector):
    why = detector.explain([NEW, "", "Mail to anna sent"], most=3)
    assert why["row"].tolist() == [0] * 3 + [1] * 3 + [2] * 3
    assert set(why["word"][:3]) <= {"Disk", "failed", "no", "space", "left"}
    np.testing.assert_allclose(why["nats"][:3], np.log(301))  # no line of the fit has them
    assert why["word"][3:6].isna().all()
    mails = sum("Mail" in line for line in log(300, 0))
    assert why["nats"][6:].max() >= np.log(301 / (1 + mails)) - 1e-9


def test_lines_that_join_are_usual(detector):
    many = attar.AnomalyDetector(random_state=0).fit(log(300, 0))
    before = many.score_samples([NEW])[0]
    many.partial_fit([NEW] * 40)
    assert many.score_samples([NEW])[0] > before + 1
    assert detector.drift([NEW] * 40)
    assert not detector.drift(log(200, 5))


def test_bad_input_is_refused(detector, tmp_path):
    with pytest.raises(DataError, match="All lines of X are alike"):
        attar.AnomalyDetector().fit([f"Job {i} done" for i in range(20)])
    with pytest.raises(DataError, match="needs 10"):
        attar.AnomalyDetector().fit(["one", "two"])
    with pytest.raises(SettingError, match="recipe is for tables"):
        attar.AnomalyDetector(recipe="vae").fit(log(20, 0))
    with pytest.raises(DataError, match="fitted on text"):
        detector.score_samples(np.zeros((3, 2)))
    (tmp_path / "a.log").write_bytes(b"caf\xe9\n")
    with pytest.raises(FileError, match="not utf-8 at byte 3"):
        detector.score_samples(tmp_path / "a.log")
    # Lines are as long as they are, and empty ones are compared like others.
    assert np.isfinite(detector.score_samples(["", "word " * 5000])).all()
