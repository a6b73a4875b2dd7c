"""The search: its trials, that it goes on, what ends it, and the model that it gives."""

import sys
from itertools import count

import numpy as np
import optuna
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_iris

import attar
from attar import AttarWarning, DataError, FileError, SettingError, TrainingError
from attar.data.kinds import form_of
from attar.data.training_data import FromStream, training_data_of
from attar.tuning.study import Tuner

X = load_iris().data
AE = attar.Autoencoder(code_size=2, epochs=2, random_state=0, verbose=False)
RATE = ["learning_rate"]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """A search of three trials, and its file."""
    storage = tmp_path_factory.mktemp("study") / "iris.study"
    return attar.tune(X, AE, RATE, trials=3, storage=storage, verbose=False), storage


def test_the_first_trial_is_what_a_fit_chooses(found):
    tuning, _ = found
    assert tuning.trials.state.tolist() == ["complete"] * 3
    plan = AE._plan(X, None)[2]
    assert tuning.trials.learning_rate[0] == plan.training.learning_rate


def test_the_model_is_a_fit_with_the_best_settings(found):
    tuning, _ = found
    best = tuning.trials.loc[tuning.trials.loss.idxmin()]
    assert tuning.settings == {"learning_rate": float(f"{best.learning_rate:.3g}")}
    alone = attar.Autoencoder(**AE.get_params(deep=False) | tuning.settings).fit(X)
    assert_array_equal(tuning.estimator.transform(X), alone.transform(X))


def test_losses_are_of_the_rows_that_the_fit_holds_out(found):
    tuning, _ = found
    default = attar.Autoencoder(**AE.get_params(deep=False)).fit(X)
    for ae, loss in ((tuning.estimator, tuning.loss), (default, tuning.default_loss)):
        assert loss == pytest.approx(ae.evaluate_held_out(X).metrics["distortion"], rel=1e-6)


def test_the_importance_of_one_setting_is_all(found):
    assert found[0].importance == {"learning_rate": 1.0}


def test_the_plot_has_a_panel_for_each_setting_and_marks_the_best(found):
    tuning, _ = found
    (axes,) = tuning.plot().axes
    assert axes.get_title() == "learning_rate\n100% of the variance"
    points, best = (dots.get_offsets() for dots in axes.collections)
    assert len(points) == 3
    assert best.tolist() == [points[points[:, 1].argmin()].tolist()]


def test_a_search_goes_on(found, tmp_path):
    tuning, storage = found
    copy = tmp_path / "copy.study"
    copy.write_bytes(storage.read_bytes())
    more = attar.tune(X, AE, RATE, trials=4, storage=copy, verbose=False).trials
    assert more.loss[:3].tolist() == tuning.trials.loss.tolist()
    assert len(more) == 4
    assert len(set(more.learning_rate)) == 4
    copy.write_bytes(storage.read_bytes())
    again = attar.tune(X, AE, RATE, trials=2, storage=copy, verbose=False)
    assert again.trials.equals(tuning.trials)
    assert again.loss == tuning.loss


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"X": X + 1}, "is a search on other data: give the same, or another file"),
        (
            {"estimator": attar.Autoencoder(code_size=3, epochs=2, random_state=0)},
            "is a search with other settings, code_size=2 and not 3: give the same",
        ),
        ({"search": {"learning_rate": (0.1, 0.2)}}, "with other search, learning_rate=Interval"),
    ],
)
def test_a_search_of_other_data_or_settings_is_refused(found, changes, message):
    _, storage = found
    before = storage.read_bytes()
    given = {"X": X, "estimator": AE, "search": RATE, "storage": storage, "trials": 9}
    with pytest.raises(SettingError, match=message):
        attar.tune(**given | changes)
    assert storage.read_bytes() == before


def test_a_file_that_is_no_study_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    with pytest.raises(FileError, match=r"a\.csv is no study of attar's: give another file"):
        attar.tune(X, AE, RATE, trials=1, storage=tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text() == "a,b\n1,2\n"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"trials": 0}, "The number of trials must be an integer above 0, not 0"),
        ({"minutes": -1}, "The number of minutes must be None or a number above 0, not -1"),
        ({"search": {"recipe": ["ae", "vae"]}}, "search one sort at a time"),
        ({"search": {"code_size": (0, 3)}}, "code_size must be"),
        ({"search": {"network": ["conv"]}}, "conv"),
        ({"search": {"optimizer": ["addam"]}}, "did you mean 'adam'"),
    ],
)
def test_bad_settings_are_refused_before_a_trial(monkeypatch, given, message):
    monkeypatch.delattr(Tuner, "fitted")
    with pytest.raises(SettingError, match=message):
        attar.tune(X, AE, **{"search": RATE, "trials": 2} | given)


def test_too_few_rows_are_refused():
    with pytest.raises(DataError, match=r"Of 40 rows, validation_fraction=0\.1 holds out too few"):
        attar.tune(X[:40], AE, RATE, trials=1)


def test_optuna_that_is_not_installed_names_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(SettingError, match=r"needs optuna: .* pip install 'attar\[tune\]'"):
        attar.tune(X, AE, RATE)


def interrupted_at(monkeypatch, number, error=KeyboardInterrupt):
    """Let the trial of this number be interrupted."""
    fitted = Tuner.fitted

    numbers = count()

    def stop(self, *arguments):
        if next(numbers) == number:
            raise error("what went wrong")
        return fitted(self, *arguments)

    monkeypatch.setattr(Tuner, "fitted", stop)


def test_an_interrupted_search_gives_the_best_so_far_and_goes_on(monkeypatch, tmp_path):
    storage = tmp_path / "s"
    with monkeypatch.context() as patch:
        interrupted_at(patch, 1)
        with pytest.warns(AttarWarning, match="stopped after 1 complete trial: the best model so"):
            tuning = attar.tune(X, AE, RATE, trials=3, storage=storage, verbose=False)
    assert len(tuning.trials) == 1
    assert tuning.loss == tuning.default_loss
    more = attar.tune(X, AE, RATE, trials=2, storage=storage, verbose=False).trials
    assert more.trial.tolist() == [0, 2]


def test_a_search_interrupted_before_the_first_trial_is_over_raises(monkeypatch):
    interrupted_at(monkeypatch, 0)
    with pytest.raises(KeyboardInterrupt):
        attar.tune(X, AE, RATE, trials=2)


def test_a_trial_may_fail(monkeypatch):
    interrupted_at(monkeypatch, 1, TrainingError)
    tuning = attar.tune(X, AE, RATE, trials=2, verbose=False)
    assert tuning.trials.state.tolist() == ["complete", "failed"]


def test_a_search_without_a_complete_trial_says_why(monkeypatch):
    interrupted_at(monkeypatch, 0, TrainingError)
    message = "No trial was completed, the last as: what went wrong"
    with pytest.raises(TrainingError, match=message):
        attar.tune(X, AE, RATE, trials=1)


def test_the_time_ends_a_search_after_the_first_trial():
    assert len(attar.tune(X, AE, RATE, trials=9, minutes=1e-9, verbose=False).trials) == 1


def test_recipes_with_a_density_and_their_code_sizes_are_compared():
    search = {"recipe": ["vae", "iwae"], "code_size": (1, 3), "network": ["linear"]}
    tuning = attar.tune(X, AE, search, trials=2, verbose=False)
    assert tuning.criterion == "bound on the negative log-likelihood, nats per row"
    bound = tuning.estimator.evaluate_held_out(X).metrics["nll_bound"]
    assert tuning.loss == pytest.approx(bound, rel=1e-6)


def test_a_warning_is_said_once():
    large = attar.Autoencoder(code_size=5, epochs=1, verbose=False)
    with pytest.warns(AttarWarning, match="larger than the data's 4 cells") as warned:
        attar.tune(X, large, RATE, trials=1, verbose=False)
    assert len(warned) == 1


@pytest.mark.parametrize("level", [optuna.logging.ERROR, optuna.logging.CRITICAL])
def test_optunas_verbosity_is_the_users(level):
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(level)
    try:
        attar.tune(X, AE, RATE, trials=1, verbose=False)
        assert optuna.logging.get_verbosity() == level
    finally:
        optuna.logging.set_verbosity(before)


def test_a_line_says_what_a_trial_was(capsys):
    attar.tune(X, AE, RATE, trials=1, verbose=True)
    line, *_ = capsys.readouterr().err.splitlines()
    loss = line.partition(": trial 1 of 1: ")[2].split()[0]
    assert line.endswith(f"{loss} nats per row, best {loss}; learning_rate=0.02")


@pytest.mark.parametrize("window", [None, 20])
def test_nested_rows_leave_the_validation_rows_out(window):
    data = np.sin(np.arange(900.0))[:, None] * [1.0, 2.0]
    data = data if window is None else attar.Series(data[None, :, 0], window=window, stride=1)
    kind, summary = form_of(data)
    outer = training_data_of(data, kind, summary, 0.1, 0)
    inner = outer.nested(0.1, 1, kind.overlap)
    train, validation = set(inner.train_index), set(inner.validation_index)
    assert len(validation) >= 20
    assert not train & validation
    assert train | validation <= set(outer.train_index)
    if window is None:
        assert train | validation == set(outer.train_index)
    apart = np.abs(inner.train_index[:, None] - inner.validation_index).min()
    assert apart > kind.overlap


def test_of_a_stream_a_trial_trains_on_no_row_that_it_or_the_fit_holds_out(monkeypatch, tmp_path):
    monkeypatch.setattr("attar.data.source.MAX_FILE", 0)
    monkeypatch.setattr("attar.data.training_data.HELD", 0)
    rows = np.sin(np.arange(400.0))[:, None] * [1.0, -2.0, 3.0]
    path = tmp_path / "rows.csv"
    pd.DataFrame(rows, columns=list("abc")).to_csv(path, index=False)
    tuner = Tuner(AE, str(path), RATE, None)
    assert isinstance(tuner.inner, FromStream)
    preparation = tuner.plan({}).preparation
    batches = tuner.inner.batches(preparation, 32, torch.device("cpu"))
    trained = np.concatenate([batch.target.numpy() for batch in batches.shuffled()])
    held_out = [set(one.validation_index.tolist()) for one in (tuner.outer, tuner.inner)]
    assert not held_out[0] & held_out[1]
    left = sorted(set(range(400)) - held_out[0] - held_out[1])
    expected = preparation.prepare(tuner.inner.rows[left])[:, 0]
    assert_allclose(np.sort(trained[:, 0]), np.sort(np.asarray(expected)), rtol=1e-6)
    tuning = attar.tune(str(path), AE, RATE, trials=2, verbose=False)
    alone = attar.Autoencoder(**AE.get_params(deep=False) | tuning.settings).fit(str(path))
    assert_array_equal(tuning.estimator.transform(rows), alone.transform(rows))
