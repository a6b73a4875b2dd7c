"""The verb tune, and the option --log of fit."""

import json
from importlib import import_module

import numpy as np
import pytest
from sklearn.datasets import load_iris

import attar
from attar.tuning.study import Tuner

SMALL = ("--code-size", "2", "--epochs", "1", "--search", "learning_rate")


@pytest.fixture
def iris(tmp_path):
    """A CSV file with a blank cell and a column of names."""
    frame = load_iris(as_frame=True).data
    frame.loc[3, "petal width (cm)"] = np.nan
    frame["kind"] = load_iris().target_names[load_iris().target]
    frame.to_csv(tmp_path / "iris.csv", index=False)


def test_tune_writes_the_best_model_its_trials_and_a_plot(run, iris, tmp_path):
    words = ("tune", "iris.csv", "-o", "b.attar", "--label", "kind", "--trials", "2", *SMALL)
    status, out, err = run(*words, "--json", "--plot", "p.png")
    assert (status, err) == (0, "")
    found = json.loads(out)
    assert [trial["trial"] for trial in found["trials"]] == [0, 1]
    assert found["loss"] == pytest.approx(found["distortion"], rel=1e-6)
    assert (tmp_path / "p.png").read_bytes()[:4] == b"\x89PNG"
    ae = attar.load(tmp_path / "b.attar")
    assert ae.learning_rate == found["settings"]["learning_rate"]
    assert ae.fitted_.label == "kind"
    status, out, err = run(*words)
    assert (status, out) == (2, "")
    assert err == (
        "attar: b.attar.study has the trials of a search: go on with --resume, or delete it.\n"
    )
    status, out, err = run(*words, "--resume", "--trials", "3")
    assert (status, err) == (0, "")
    header, *rows = out.splitlines()
    assert header.split() == ["trial", "loss", "error", "seconds", "learning_rate"]
    assert rows[3] == "3 trials: 3 complete."
    assert rows[-1].endswith("b.attar, with the trials in b.attar.study.")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--trials", "0"], "The number of trials must be an integer above 0, not 0."),
        (["--search", "likelihood"], "likelihood cannot be searched, as the losses of trials"),
        (["--search", "lr"], "There is no setting named 'lr': did you mean 'learning_rate'?"),
        (["--search", "code_size="], "--search takes a setting, such as code_size or"),
        (["--search", "recipe=ae,vea"], "There is no recipe named 'vea': did you mean 'vae'?"),
        (["--search", "recipe=ae,vae"], "recipe=vae cannot be compared: some recipes have a"),
        (["--set", "lr=3"], "There is no setting named 'lr'"),
        (["--plot", "p.csv"], "--plot takes a picture, .png, .svg, .pdf, not p.csv."),
        (["-o", "no/b.attar"], "no/b.attar cannot be written: there is no folder no"),
    ],
)
def test_bad_words_are_refused_in_one_sentence(run, iris, tmp_path, words, message):
    status, out, err = run("tune", "iris.csv", "-o", "b.attar", *words)
    assert (status, out) == (2, "")
    assert err.startswith(f"attar: {message}")
    assert err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["iris.csv"]


def test_an_interrupted_tune_says_how_to_go_on(run, iris, tmp_path, monkeypatch):
    def stop(self, trial, until):
        raise KeyboardInterrupt

    monkeypatch.setattr(Tuner, "fitted", stop)
    status, _, err = run("tune", "iris.csv", "-o", "b.attar", *SMALL)
    assert status == 130
    assert err == "attar: stopped; go on with --resume (kept in b.attar.study).\n"
    assert not (tmp_path / "b.attar").exists()


def test_fit_logs_losses_and_a_report(run, iris, tmp_path):
    words = ("fit", "iris.csv", "-o", "m.attar", "--epochs", "1", "-q")
    status, out, err = run(*words, "--log", "tensorboard:runs")
    assert (status, out, err) == (0, "", "")
    assert "Comparison with PCA" in (tmp_path / "runs" / "fit-1" / "report.html").read_text()
    assert {path.name for path in tmp_path.iterdir()} == {"iris.csv", "m.attar", "runs"}


def written(folder):
    """The scalars and texts of event files of TensorBoard."""
    module = import_module("tensorboard.backend.event_processing.event_accumulator")
    events = module.EventAccumulator(str(folder)).Reload()
    scalars = {
        name: [one.value for one in events.Scalars(name)] for name in events.Tags()["scalars"]
    }
    return scalars, {tag.partition("/")[0] for tag in events.Tags()["tensors"]}


def test_a_search_logs_its_trials_and_the_best_model(run, iris, tmp_path):
    words = ("tune", "iris.csv", "-o", "b.attar", "--label", "kind", "--trials", "2", *SMALL)
    status, out, err = run(*words, "--json", "--log", "tensorboard:runs")
    assert (status, err) == (0, "")
    found = json.loads(out)
    runs = [written(tmp_path / "runs" / f"fit-{number}")[0] for number in (1, 2, 3)]
    assert [path.name for path in sorted((tmp_path / "runs").iterdir())] == [
        "fit-1",
        "fit-2",
        "fit-3",
    ]
    for trial, scalars in zip(found["trials"], runs, strict=False):
        assert scalars["results/error"][0] == pytest.approx(trial["error"], rel=1e-6)
    assert runs[2]["results/error"][-1] == pytest.approx(found["error"], rel=1e-6)
    assert (tmp_path / "runs" / "fit-3" / "report.html").exists()


@pytest.mark.parametrize(
    ("purpose", "words", "name"),
    [
        ("anomalies", ["--drop", "kind"], "alarm_interval_low"),
        ("gaps", ["--drop", "kind"], "petal width (cm)"),
        ("clusters", ["--label", "kind", "--clusters", "3"], "clusters"),
        ("labels", ["--label", "kind", "--epochs", "2"], "accuracy"),
    ],
)
def test_fits_for_a_task_log_figures_and_a_report(run, iris, tmp_path, purpose, words, name):
    task = ("fit", "iris.csv", "-o", "m.attar", "--for", purpose, *words)
    status, out, err = run(*task, "--json", "--log", "tensorboard:runs")
    assert (status, err) == (0, "")
    scalars, texts = written(tmp_path / "runs" / "fit-1")
    found = json.loads(out)
    known = {
        "alarm_interval_low": lambda: found["alarm_interval"][0],
        "petal width (cm)": lambda: next(
            one["error"] for one in found["errors"] if one["column"] == name
        ),
        "clusters": lambda: len(found["sizes"]),
        "accuracy": lambda: found["accuracy"],
    }
    assert scalars[f"results/{name}"][-1] == pytest.approx(known[name](), rel=1e-6)
    assert "settings" in texts
    # Only a classifier trains an autoencoder on a table here, and only it has no report.
    assert len(scalars.get("loss", ())) == 2 * (purpose == "labels")
    assert (tmp_path / "runs" / "fit-1" / "report.html").exists() == (purpose != "labels")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--log", "tensorbord:runs"], "no tracker named 'tensorbord': did you mean 'tensorboard'"),
        (["--log", "mlflow"], "A tracker needs a place: mlflow:PLACE, such as tensorboard:runs."),
        (["--log", "mlflow", "--for", "gaps"], "A tracker needs a place"),
    ],
)
def test_bad_trackers_are_refused(run, iris, tmp_path, words, message):
    status, out, err = run("fit", "iris.csv", "-o", "m.attar", *words)
    assert (status, out) == (2, "")
    assert message in err
    assert [path.name for path in tmp_path.iterdir()] == ["iris.csv"]


def test_a_tracker_that_is_not_installed_names_the_command(run, iris, tmp_path, monkeypatch):
    monkeypatch.setattr("attar.training.callbacks.find_spec", lambda name: None)
    status, out, err = run("fit", "iris.csv", "-o", "m.attar", "--log", "trackio:iris")
    assert (status, out) == (2, "")
    assert err == ("attar: Trackio needs trackio: install it with pip install 'attar[trackers]'.\n")
    assert [path.name for path in tmp_path.iterdir()] == ["iris.csv"]
