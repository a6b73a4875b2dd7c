"""Odd rows by the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import attar


@pytest.fixture
def table(tmp_path):
    """Write a table with an odd row, the last, and return its path."""
    rng = np.random.default_rng(0)
    length = rng.normal(10, 2, 300)
    frame = pd.DataFrame({"length": length, "weight": 3 * length + rng.normal(0, 0.3, 300)})
    frame["colour"] = rng.choice(["red", "blue"], 300)
    frame.loc[299] = [10.0, 60.0, "red"]
    frame.to_csv(tmp_path / "t.csv", index=False)
    return frame


def test_rows_are_scored_and_explained(run, table):
    status, out, err = run("fit", "t.csv", "--for", "anomalies", "-o", "a.attar")
    assert (status, err) == (0, "")
    assert "are flagged (95% confidence)" in out
    assert run("score", "a.attar", "t.csv", "-o", "s.csv", "--explain") == (0, "", "")
    found = pd.read_csv("s.csv")
    assert list(found.columns[:3]) == ["score", "pvalue", "flag"]
    assert len(found) == 300
    assert found["score"].idxmax() == 299
    assert found["flag"][299]
    assert found["column_1"][299] in ("length", "weight")
    assert {"nats_3", "value_3", "expected_3"} < set(found.columns)
    detector = attar.AnomalyDetector.load("a.attar")
    np.testing.assert_allclose(found["score"], -detector.score_samples(table))
    assert run("score", "a.attar", "t.csv", "-o", "s.parquet") == (0, "", "")
    pd.testing.assert_frame_equal(pd.read_parquet("s.parquet"), found.iloc[:, :3])
    assert "anomalies" in run("info", "a.attar")[1]
    assert run("report", "a.attar", "t.csv", "-o", "page.html") == (0, "", "")
    assert "Oddest rows" in Path("page.html").read_text("utf-8")


def test_the_column_of_labels_is_left_out_where_a_file_has_it(run, table):
    marked = table.assign(note=np.where(table.index == 299, "attack", "fine"))
    marked.to_csv("m.csv", index=False)
    words = ("fit", "m.csv", "--for", "anomalies", "--quiet", "-o", "a.attar")
    assert run(*words, "--label", "note") == (0, "", "")
    for rows in ("t.csv", "m.csv"):
        assert run("score", "a.attar", rows, "-o", f"{rows}.parquet") == (0, "", "")
    found = [pd.read_parquet(f"{rows}.csv.parquet") for rows in "tm"]
    pd.testing.assert_frame_equal(*found)
    assert run("report", "a.attar", "m.csv", "-o", "page.html") == (0, "", "")
    assert "rows of 3 columns" in Path("page.html").read_text("utf-8")


def test_images_are_explained_by_the_places_of_regions(run):
    images = np.random.default_rng(0).normal(100, 9, (120, 6, 6))
    images[-1, 4, 1] = 400
    np.save("i.npy", images)
    assert run("fit", "i.npy", "--for", "anomalies", "-o", "i.attar")[0] == 0
    assert run("score", "i.attar", "i.npy", "-o", "s.csv", "--explain") == (0, "", "")
    last = pd.read_csv("s.csv").iloc[-1]
    assert abs(last["y_1"] - 4) + abs(last["x_1"] - 1) <= 2
    assert last["nats_1"] > last["nats_2"]
    assert last["value_1"] > last["expected_1"]


def test_counts_are_scored_and_explained(run):
    rng = np.random.default_rng(0)
    counts = rng.poisson(0.2 + rng.random(40), (200, 40))
    counts[-1, 5] = 50
    sparse.save_npz("c.npz", sparse.csr_matrix(counts))
    assert run("fit", "c.npz", "--for", "anomalies", "-o", "c.attar")[0] == 0
    for name in ("s.csv", "s.parquet"):
        assert run("score", "c.attar", "c.npz", "-o", name, "--explain") == (0, "", "")
    last = pd.read_parquet("s.parquet").iloc[-1]
    assert (last["column_1"], last["value_1"]) == (5, 50)
    assert pd.read_csv("s.csv")["score"].idxmax() == 199
    assert run("report", "c.attar", "c.npz", "-o", "page.html") == (0, "", "")
    assert "column 5 = 50" in Path("page.html").read_text("utf-8")


def test_rows_are_scored_by_an_autoencoder_too(run, table):
    settings = {"epochs": 1, "random_state": 0, "verbose": False}
    attar.Autoencoder("vae", **settings).fit(table).save("v.attar")
    assert run("score", "v.attar", "t.csv", "-o", "s.csv")[0] == 0
    assert pd.read_csv("s.csv")["log_likelihood"].notna().all()


def test_steps_of_a_series_are_scored_and_explained(run):
    times = pd.date_range("2024-01-01", periods=400, freq="h")
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"at": times, "load": rng.normal(size=400), "wind": rng.normal(size=400)})
    frame.loc[350:352, "wind"] += 9
    frame[:200].to_csv("old.csv", index=False)
    frame[200:].to_csv("new.csv", index=False)
    words = ("--time", "at", "--for", "anomalies", "--set", "span=5")
    status, _, err = run("fit", "old.csv", *words, "-o", "a.attar")
    assert (status, err) == (0, "")
    assert run("score", "a.attar", "new.csv", "-o", "s.csv", "--explain") == (0, "", "")
    found = pd.read_csv("s.csv")
    assert len(found) == 200
    assert found["score"].idxmax() in range(145, 156)
    assert found["flag"][150]
    assert found["column_1"][150] == "wind"
    assert "series" in run("info", "a.attar")[1]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["fit", "t.csv", "--for", "odd", "-o", "b.attar"],
            "takes anomalies, gaps, future, labels, numbers, clusters, not 'odd'",
        ),
        (
            ["fit", "t.csv", "--for", "anomalies", "--epochs", "3", "-o", "b.attar"],
            "--epochs is of",
        ),
        (
            ["fit", "t.csv", "--for", "anomalies", "--set", "contamination=2", "-o", "b.attar"],
            r"a share in (0, 0.5], not 2",
        ),
        (
            ["fit", "t.csv", "--for", "anomalies", "--set", "odd=2", "-o", "b.attar"],
            "not all of odd",
        ),
        (
            ["fit", "t.csv", "--for", "anomalies", "--recipe", "vea", "-o", "b.attar"],
            "no recipe named 'vea'",
        ),
        (["encode", "a.attar", "t.csv", "-o", "b.csv"], "attar.AnomalyDetector.load"),
        (["score", "a.attar", "t.csv", "-o", "b.npy"], "Scores are a table"),
        (["score", "a.attar", "u.csv", "-o", "b.csv"], "'weight'"),
    ],
)
def test_mistakes_are_answered_in_one_sentence(run, table, tmp_path, words, sentence):
    table.drop(columns="weight").to_csv("u.csv", index=False)
    if "a.attar" in words:
        attar.AnomalyDetector(random_state=0).fit(table).save("a.attar")
    status, out, err = run(*words)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert sentence in err
    assert not list(tmp_path.glob("b.*"))


def test_lines_of_a_log_and_of_a_column_are_scored_and_explained(run):
    lines = [f"Job {i} {('started', 'finished')[i % 2]}" for i in range(100)]
    Path("a.log").write_text("\n".join(lines))
    Path("b.log").write_text("Job 7 started\nno space left on device\n")
    assert run("fit", "a.log", "--for", "anomalies", "-o", "a.attar")[0] == 0
    assert run("score", "a.attar", "b.log", "-o", "s.csv", "--explain")[0] == 0
    table = pd.read_csv("s.csv")
    assert table["flag"].tolist() == [False, True]
    assert table["word_1"][1] in ("space", "left", "device", "no", "on")
    pd.DataFrame({"n": range(100), "text": lines}).to_csv("a.csv", index=False)
    words = ("fit", "a.csv", "--column", "text", "--for")
    assert run(*words, "anomalies", "-o", "c.attar")[0] == 0
    assert run("score", "c.attar", "a.csv", "-o", "c.csv")[0] == 0
    for verb in ("score", "report"):
        status, _, err = run(verb, "a.attar", "a.csv", "-o", "d.csv")
        assert (status, err.count("\n")) == (2, 1)
        assert "a .txt file or attar.Lines(path, column)" in err
    status, _, err = run(*words, "gaps", "-o", "g.attar")
    assert status == 2
    assert "not of --for gaps" in err
    Path("same.log").write_text("Job 1 done\n" * 30)
    status, _, err = run("fit", "same.log", "--for", "anomalies", "-o", "d.attar")
    assert status == 2
    assert "nothing to tell them apart by" in err


def test_paragraphs_stay_paragraphs(run, tmp_path):
    rng = np.random.default_rng(0)
    paragraphs = ["\n".join(rng.choice(["red ball", "blue car", "old hat"], 3)) for _ in range(100)]
    text = "\n\n".join([*paragraphs, "lost\ncafé"]) + "\n"
    Path("p.txt").write_text(text)
    Path("latin.txt").write_text(text, "cp1252")
    fit = ("fit", "p.txt", "--paragraphs", "--for", "anomalies", "--quiet", "-o", "p.attar")
    assert run(*fit) == (0, "", "")
    assert run("score", "p.attar", "p.txt", "-o", "s.csv") == (0, "", "")
    scores = pd.read_csv("s.csv")["score"]
    assert (len(scores), scores.idxmax()) == (101, 100)
    latin = ("score", "p.attar", "latin.txt", "--encoding", "cp1252", "-o", "l.csv")
    assert run(*latin) == (0, "", "")
    pd.testing.assert_series_equal(pd.read_csv("l.csv")["score"], scores)
    assert run("report", "p.attar", "p.txt", "-o", "page.html") == (0, "", "")
    assert "attar report on 101 lines" in Path("page.html").read_text("utf-8")
