"""Trackers, each against what the real one has stored; failures, with one of our own."""

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image
from sklearn.datasets import load_digits

import attar
from attar import AttarWarning, FileError, SettingError
from attar.training import TensorBoard
from attar.training.callbacks import Tracker

X = load_digits().images[:80]
SETTINGS = {"code_size": 4, "epochs": 4, "random_state": 0, "verbose": False}
TERMS = {"loss", "distortion", "rate", "validation_loss", "learning_rate", "rows_per_second"}


class Notes(Tracker):
    """Keeps what it is given, and fails where it is told to."""

    package = "json"

    def __init__(self, fails=""):
        super().__init__()
        self.fails, self.calls = fails, []

    def note(self, *call):
        self.calls.append(call)
        if call[0] == self.fails:
            raise OSError("no route to https://me:secret@host/x\nand more")

    def _start(self, settings):
        self.note("start", settings)

    def _metrics(self, metrics, epoch):
        self.note("metrics", epoch, metrics)

    def _picture(self, pixels, epoch):
        self.note("picture", epoch, pixels)

    def _end(self, error):
        self.note("end", type(error))

    def _results(self, metrics, page=None):
        self.note("results", metrics, page)


@pytest.fixture(scope="module")
def noted(tmp_path_factory):
    """A fit and a report of it, with what a tracker got."""
    page = tmp_path_factory.mktemp("page") / "page.html"
    notes = Notes()
    ae = attar.Autoencoder(**SETTINGS, callbacks=[notes]).fit(X)
    attar.report(ae, X, page)
    return ae, notes.calls, page


def test_a_run_has_settings_terms_pictures_and_results_in_order(noted):
    _, calls, _ = noted
    named = [call[:2] if call[0] in ("metrics", "picture") else call[:1] for call in calls]
    assert named == [
        ("start",),
        *[("metrics", 1), ("picture", 1), ("metrics", 2), ("picture", 2)],
        *[("metrics", 3), ("metrics", 4), ("picture", 4)],
        *[("end",), ("results",), ("results",)],
    ]


def test_the_settings_are_those_of_the_fit(noted):
    ae, calls, _ = noted
    _, settings = calls[0]
    assert settings["recipe"] == "ae"
    assert (settings["code_size"], settings["epochs"]) == ("4", "4")
    assert settings["network"] == str(ae.fitted_.network)


def test_the_terms_are_those_of_the_history(noted):
    ae, calls, _ = noted
    terms = [call[2] for call in calls if call[0] == "metrics"]
    for epoch, found in zip(ae.history_.to_dict("records"), terms, strict=True):
        assert found == {name: epoch[name] for name in TERMS}


def test_the_results_are_those_of_the_diagnostics_and_of_the_report(noted):
    ae, calls, page = noted
    assert calls[-2][1:] == (ae.fitted_.training_summary.diagnostics.metrics, None)
    assert calls[-1][1:] == (ae.evaluate_held_out(X).metrics, page)


def test_a_tracker_does_not_change_the_weights(noted):
    ae, _, _ = noted
    assert_array_equal(ae.transform(X), attar.Autoencoder(**SETTINGS).fit(X).transform(X))


def test_a_tracker_that_fails_is_left_out_with_a_warning_that_has_no_password():
    notes = Notes("metrics")
    said = "^Notes failed, and the fit goes on without it: no route to https://host/x.$"
    with pytest.warns(AttarWarning, match=said) as warned:
        attar.Autoencoder(**SETTINGS, callbacks=[notes]).fit(X)
    assert len(warned) == 1
    assert [call[0] for call in notes.calls] == ["start", "metrics"]


def test_a_run_that_cannot_start_is_refused():
    with pytest.raises(FileError, match=r"Notes cannot start a run: no route to https://host/x\."):
        attar.Autoencoder(**SETTINGS, callbacks=[Notes("start")]).fit(X)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_the_end_of_a_run_knows_the_error(training, error):
    class Break(attar.training.Callback):
        def on_step(self, progress):
            raise error

    notes = Notes()
    with pytest.raises(error):
        training(callbacks=[Break(), notes]).run()
    assert notes.calls[-1] == ("end", error)


def test_a_tracker_that_is_not_installed_names_the_command(monkeypatch):
    monkeypatch.setattr("attar.training.callbacks.find_spec", lambda name: None)
    message = "TensorBoard needs tensorboard: install it with pip install 'attar\\[trackers\\]'"
    with pytest.raises(SettingError, match=message):
        TensorBoard("runs")


def test_event_files_hold_the_fit(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    tracker = TensorBoard(tmp_path / "runs")
    ae = attar.Autoencoder(**SETTINGS, callbacks=[tracker]).fit(X)
    attar.report(ae, X, tmp_path / "page.html")
    read = EventAccumulator(str(tmp_path / "runs" / "fit-1")).Reload()
    for term in TERMS:
        events = read.Scalars(term)
        assert [event.step for event in events] == [1, 2, 3, 4]
        assert_array_equal([e.value for e in events], ae.history_[term].astype(np.float32))
    assert [event.step for event in read.Images("reconstruction")] == [1, 2, 4]
    error = ae.fitted_.training_summary.diagnostics.error
    assert read.Scalars("results/error")[0].value == np.float32(error)
    page = tmp_path / "runs" / "fit-1" / "report.html"
    assert page.read_bytes() == (tmp_path / "page.html").read_bytes()
    assert (
        b"| code_size | 4 |" in read.Tensors("settings/text_summary")[0].tensor_proto.string_val[0]
    )
    attar.Autoencoder(**SETTINGS | {"epochs": 1}, callbacks=[tracker]).fit(X)
    assert tracker.run_ == tmp_path / "runs" / "fit-2"


# A process of its own: these libraries take seconds to load, and start threads.
PROGRAM = """
import sys
from pathlib import Path
import numpy as np
from attar.records import Epoch
from attar.training.callbacks import Progress, tracker
for assignment in sys.argv[1:]:
    store = tracker(assignment)
    progress = Progress(None, 3, 1, settings={"recipe": "ae", "code_size": 4})
    progress.picture = lambda: np.full((4, 6, 3), 7, np.uint8)
    store.on_start(progress)
    for number in (1, 2, 3):
        progress.history.append(Epoch(number, 1 / number, 0.5, 0.0, 0.25, 0.001, 100.0))
        store.on_epoch(progress)
    store.on_end(progress)
    store.on_fit({"error": 0.5})
    store.on_report(Path("page.html"), {"accuracy": 0.75})
    print(store.run_)
    store.on_start(progress)  # of a task that trains nothing
    store.on_end(progress)
    store.on_fit({"clusters": 3.0})
    print(store.run_)
"""
STORES = {"mlflow": "mlflow:store", "trackio": "trackio:digits"}
INSTALLED = [name for name in STORES if find_spec(name)]
LOSSES = [(1, 1.0), (2, 1 / 2), (3, 1 / 3)]


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A folder with the stores of trackers, and the run in each."""
    folder = tmp_path_factory.mktemp("stores")
    (folder / "page.html").write_text("a page")
    words = [sys.executable, "-W", "ignore", "-c", PROGRAM, *(STORES[name] for name in INSTALLED)]
    # A folder is read without MLflow, and made faster than a database.
    folders = {"TRACKIO_DIR": str(folder / "trackio"), "MLFLOW_ALLOW_FILE_STORE": "true"}
    environment = {**os.environ, **folders}
    done = subprocess.run(
        words, capture_output=True, text=True, cwd=folder, env=environment, check=True
    )
    runs = done.stdout.splitlines()
    pairs = zip(runs[::2], runs[1::2], strict=True)
    return folder, dict(zip(INSTALLED, pairs, strict=True))


@pytest.mark.skipif("mlflow" not in INSTALLED, reason="MLflow is not installed")
def test_an_mlflow_store_holds_the_fit(stored):
    folder, runs = stored
    (run,) = (folder / "store").glob(f"*/{runs['mlflow'][0]}")
    lines = [line.split() for line in (run / "metrics" / "loss").read_text().splitlines()]
    assert [(int(step), float(value)) for _, value, step in lines] == LOSSES
    assert (run / "params" / "code_size").read_text() == "4"
    assert "status: 3" in (run / "meta.yaml").read_text()  # finished
    assert (run / "metrics" / "results.accuracy").read_text().split()[1] == "0.75"
    assert (run / "artifacts" / "report.html").read_text() == "a page"
    pictures = [np.asarray(Image.open(path)) for path in (run / "artifacts").rglob("*.png")]
    assert [(picture == 7).all() for picture in pictures] == [True, True]  # of epochs 1 and 2


@pytest.mark.skipif("trackio" not in INSTALLED, reason="Trackio is not installed")
def test_trackios_store_holds_the_fit(stored):
    folder, runs = stored
    with closing(sqlite3.connect(folder / "trackio" / "digits.db")) as store:
        found = "select step, metrics from metrics where run_name = ? order by step"
        rows, untrained = (
            [(step, json.loads(row)) for step, row in store.execute(found, [run])]
            for run in runs["trackio"]
        )
        (config,), *_ = store.execute("select config from configs")
    assert [row["results/clusters"] for _, row in untrained] == [3.0]
    assert [(step, row["loss"]) for step, row in rows if "loss" in row] == LOSSES
    assert json.loads(config)["code_size"] == "4"
    results = {name: row[name] for _, row in rows for name in row if "results" in name}
    assert results == {"results/error": 0.5, "results/accuracy": 0.75}
    blobs = [path for path in (folder / "trackio" / "artifacts").rglob("*") if path.is_file()]
    assert [path.read_text() for path in blobs] == ["a page"]
    found = [Image.open(path).convert("RGB") for path in (folder / "trackio").rglob("*.png")]
    assert [(np.asarray(picture) == 7).all() for picture in found] == [True, True]


def test_penalties_are_those_of_the_last_batch(training):
    from attar.codes import Point
    from attar.penalties import CodeNorm
    from attar.recipe import Recipe

    found = []

    class Watch(attar.training.Callback):
        def on_epoch(self, progress):
            found.append(progress.penalties)

    recipe = Recipe(Point(), penalties=(CodeNorm(2.0),))
    loop = training(recipe, callbacks=[Watch()], epochs=1, batch_size=40, learning_rate=1e-12)
    loop.train = loop.train.__class__(loop.train.held, loop.train.index, 40)
    (batch,) = loop.train
    z = loop.model.encode(batch.values)
    loop.run()
    (penalties,) = found
    assert penalties == {"code-norm": pytest.approx(z.square().sum(1).mean().item(), rel=1e-5)}


@pytest.mark.parametrize("page", [Path("p.html")])
def test_callbacks_do_nothing_by_default(page):
    callback = attar.training.Callback()
    assert callback.on_fit({}) is None
    assert callback.on_report(page, {}) is None
