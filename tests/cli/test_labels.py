"""attar fit --for labels and attar predict."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import attar
from attar.cli import app
from attar.errors import DataError, FileError, ModelFileError, SettingError
from attar.tasks.labels import members


def invoke(*words):
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("labels"), np.random.default_rng(0)
    table = pd.DataFrame({"a": rng.normal(size=200), "town": rng.choice(["x", "y"], 200)})
    table["size"] = np.round(3 * table.a + (table.town == "x") + 0.1 * rng.normal(size=200), 2)
    table["kind"] = np.where(table.a > 0, "high", "low")
    table[:100].to_csv(folder / "new.csv", index=False)
    few = table[100:].copy()
    few.loc[few.index[60:], ["kind", "size"]] = None
    few.to_csv(folder / "few.csv", index=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(members, "TREES", 20)
        for label, name in (("kind", "c"), ("size", "r")):
            other = "size" if label == "kind" else "kind"
            done = invoke(
                *("fit", folder / "few.csv", "--for", "labels", "--label", label),
                *("--drop", other, "--epochs", 1, "-o", folder / f"{name}.attar"),
            )
            assert done.exit_code == 0, done.output
            what = "a classifier of 2 classes" if label == "kind" else "a regressor, as the labels"
            assert f"60 of 100 rows are labelled: {what}" in done.output
    return folder


def test_labels_and_probabilities_are_written_a_row_and_quality_is_said(folder):
    done = invoke("predict", folder / "c.attar", folder / "new.csv", "-o", folder / "p.csv")
    assert done.exit_code == 0, done.output
    found, truth = pd.read_csv(folder / "p.csv"), pd.read_csv(folder / "new.csv")
    assert list(found.columns) == ["kind", "probability_high", "probability_low"]
    assert np.allclose(found.iloc[:, 1:].sum(axis=1), 1)
    accuracy = (found["kind"] == truth["kind"]).mean()
    assert accuracy > 0.9
    assert f"100 labelled rows: accuracy {accuracy:.1%}" in done.output
    model = attar.Classifier.load(folder / "c.attar")
    assert (model.predict(truth) == found["kind"]).all()


def test_a_table_without_the_label_gets_the_same_predictions_and_no_quality(folder):
    truth = pd.read_csv(folder / "new.csv")
    truth.drop(columns="kind").to_csv(folder / "bare.csv", index=False)
    outputs = []
    for name in ("new", "bare"):
        done = invoke(
            "predict", folder / "c.attar", folder / f"{name}.csv", "-o", folder / f"{name}_p.csv"
        )
        assert done.exit_code == 0, done.output
        outputs.append(done.output)
    assert (folder / "new_p.csv").read_bytes() == (folder / "bare_p.csv").read_bytes()
    assert ["accuracy" in output for output in outputs] == [True, False]


def test_numbers_are_predicted_by_a_regressor(folder):
    done = invoke(
        "predict", folder / "r.attar", folder / "new.csv", "-o", folder / "n.csv", "--json"
    )
    assert done.exit_code == 0, done.output
    found, truth = pd.read_csv(folder / "n.csv"), pd.read_csv(folder / "new.csv")
    rmse = float(np.sqrt(((found["size"] - truth["size"]) ** 2).mean()))
    assert json.loads(done.output.splitlines()[-1])["rmse"] == pytest.approx(rmse)
    assert rmse < 0.5 * truth["size"].std()


def test_the_file_says_what_it_is(folder):
    done = invoke("info", folder / "c.attar")
    assert "Classifier" in done.output
    assert "held_out" in done.output
    done = invoke("info", folder / "r.attar", "--json")
    assert json.loads(done.output)["settings"]["name"] == "Regressor"


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (("fit", "few.csv", "--for", "labels", "-o", "x.attar"), SettingError, "--label COLUMN"),
        (
            ("fit", "few.csv", "--for", "labels", "--label", "knid", "-o", "x.attar"),
            DataError,
            "did you mean 'kind'",
        ),
        (
            ("fit", "few.csv", "--for", "numbers", "--label", "kind", "-o", "x.attar"),
            DataError,
            "use attar.Classifier",
        ),
        (("predict", "c.attar", "new.csv", "-o", "p.txt"), FileError, "Predictions are a table"),
        (("evaluate", "c.attar", "new.csv"), ModelFileError, "attar.Classifier.load"),
        (("report", "c.attar", "new.csv", "-o", "r.html"), SettingError, "no report of Classifier"),
        (("score", "r.attar", "new.csv", "-o", "s.csv"), ModelFileError, "attar.Regressor.load"),
    ],
)
def test_misfits_are_refused_in_a_sentence(folder, monkeypatch, words, error, message):
    monkeypatch.chdir(folder)
    refused = invoke(*words).exception
    assert isinstance(refused, error)
    assert message in str(refused)
