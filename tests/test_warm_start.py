"""A second fit with warm_start=True trains the fitted model further."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_digits

import attar
from attar.data.stream import Stream
from attar.data.training_data import split, training_data_of
from attar.training import Callback
from attar.training.checkpoints import module_state

X = load_digits().data[:300] / 16


class Pieces(Stream):
    """The digits in pieces, never as a whole."""

    fingerprint = "the digits"

    def __iter__(self):
        yield from np.split(X, 3)


SERIES = pd.DataFrame(
    {"time": pd.date_range("2020", periods=200, freq="h"), "x": np.sin(np.arange(200.0) / 5)}
)
DATA = {
    "mlp": (X, {}),
    "conv": (load_digits().images[:120], {"network": "conv"}),
    "stream": (Pieces(), {}),
    "sparse": (sparse.csr_array(X), {}),
    "series": (attar.Series(SERIES, time="time", window=8), {"network": "mlp"}),
    "custom": (X, {"network": (torch.nn.Linear(64, 4), torch.nn.Linear(4, 64))}),
    "codebook": (X, {"recipe": "vq-vae"}),  # k-means is for new models only
    "pseudo-inputs": (X, {"recipe": "vamp"}),
}


def warm(**settings):
    steps = {"optimizer": "adam", "learning_rate": 0.003, "schedule": "constant", "epochs": 4}
    defaults = {"code_size": 4, "warm_start": True, "random_state": 0}
    return attar.Autoencoder(**steps | defaults | settings)


def weights(ae):
    return module_state(ae.model_)


def assert_equal(first, second):
    assert first.keys() == second.keys()
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())


class Start(Callback):
    """Keeps the weights of before the first step."""

    def on_start(self, progress):
        self.weights = module_state(progress.model)


@pytest.mark.parametrize("name", DATA)
def test_training_goes_on_from_the_weights_reached(name):
    data, settings = DATA[name]
    ae = warm(**settings).fit(data)
    first, before, seed, start = ae.history_, ae.fitted_, ae.fitted_.seed, Start()
    reached = weights(ae)
    ae.set_params(callbacks=[start]).fit(data)
    assert_equal(start.weights, reached)
    losses = ae.history_.validation_loss
    assert list(ae.history_.epoch) == list(range(1, 9))
    assert ae.history_[:4].equals(first)
    assert losses[4:].min() < losses[:4].min()
    assert ae.fitted_.training_summary.diagnostics.best_epoch == losses.idxmin() + 1
    assert (ae.fitted_.seed, ae.fitted_.kind) == (seed, before.kind)
    measured = [fitted.training_summary.measured for fitted in (ae.fitted_, before)]
    assert measured[0].held_out
    assert measured[0].digest == measured[1].digest
    assert_equal(
        ae.fitted_.predictor.preparation.scaler.state_dict(),
        before.predictor.preparation.scaler.state_dict(),
    )


def test_a_new_estimator_and_a_clone_train_from_random_weights():
    plain = warm(warm_start=False).fit(X)
    ae = warm().fit(X)
    assert_equal(weights(ae), weights(plain))
    assert ae.get_params()["warm_start"] is True
    again = clone(ae)
    assert not hasattr(again, "fitted_")
    assert_equal(weights(again.fit(X)), weights(plain))
    assert_equal(weights(plain.fit(X)), weights(ae))
    assert len(plain.history_) == 4


def test_equal_seeds_go_on_to_equal_weights_and_so_does_a_loaded_model(tmp_path):
    ae = warm().fit(X)
    ae.save(tmp_path / "m.attar")
    loaded = attar.load(tmp_path / "m.attar")
    assert_equal(weights(loaded.fit(X)), weights(ae.fit(X)))
    assert loaded.history_.validation_loss.equals(ae.history_.validation_loss)


@pytest.mark.parametrize("random_state", [0, None, np.random.RandomState(0)])
def test_the_same_rows_are_held_out_whatever_the_random_state(random_state):
    ae = warm(random_state=random_state, epochs=1).fit(X)
    kept = ae.fitted_.seed
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ae.set_params(epochs=5).fit(X)
    held_out = X[split(len(X), 0.1, kept)[1]]
    measured = ae.fitted_.training_summary.measured
    assert measured.held_out
    assert_array_equal(X[measured.places], held_out)


@pytest.mark.filterwarnings("ignore:None of 4 further epochs")
def test_rows_that_may_have_been_trained_on_are_not_held_out_silently():
    ae = warm().fit(X)
    leak = "may have been trained on some of them"
    with pytest.warns(attar.AttarWarning, match=leak):
        ae.fit(X[:200])
    ae.set_params(validation_fraction=0.3)
    with pytest.warns(attar.AttarWarning, match=leak):
        ae.fit(X[:200])
    ae.set_params(validation_fraction=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ae.fit(X)
    ae.set_params(validation_fraction=0.1)
    with pytest.warns(attar.AttarWarning, match=leak):
        ae.fit(X)


def test_a_stream_holds_out_the_rows_that_it_held_out_before():
    ae = warm(epochs=1).fit(Pieces())
    kind, summary, _ = ae._plan_again(Pieces(), ae.fitted_)
    again = training_data_of(Pieces(), kind, summary, 0.1, ae.fitted_.seed)
    assert again.measured.digest == ae.fitted_.training_summary.measured.digest
    assert_array_equal(summary.places, np.arange(300))
    assert_array_equal(again.validation, X[split(300, 0.1, ae.fitted_.seed)[1]])


def test_the_weights_stay_where_no_further_epoch_is_better():
    ae = warm().fit(X)
    before, best = weights(ae), ae.fitted_.training_summary.diagnostics.best_epoch
    ae.set_params(learning_rate=0.5, epochs=1)
    with pytest.warns(attar.AttarWarning, match="the weights stay as they were"):
        ae.fit(X)
    assert_equal(weights(ae), before)
    assert ae.fitted_.training_summary.diagnostics.best_epoch == best
    assert len(ae.history_) == 5


def test_settings_of_another_model_are_refused():
    ae = warm(epochs=1).fit(X)
    for setting, value in {
        **{"code_size": 5, "recipe": "vae", "network": "linear", "likelihood": "laplace"},
        **{"scaling": "robust", "corruption": "masking", "columns": {"x0": "ignore"}},
    }.items():
        before = getattr(ae, setting)
        with pytest.raises(attar.SettingError, match=f"and {setting}=.* makes another one: set it"):
            ae.set_params(**{setting: value}).fit(X)
        ae.set_params(**{setting: before})


def test_settings_of_the_training_may_change():
    ae = warm().fit(X)
    ae.set_params(epochs="auto", batch_size=100, optimizer="adamw", max_minutes=0.005).fit(X)
    chosen = [choice.setting for choice in ae.choices_]
    assert {"network", "scaling", "likelihood", "epochs"} <= set(chosen)
    assert not {"optimizer", "batch_size"} & set(chosen)
    assert len(set(chosen)) == len(chosen)


def test_data_of_another_form_are_refused():
    frame = pd.DataFrame({"a": np.arange(60.0), "b": ["x", "y", "z"] * 20})
    ae = warm(code_size=1, epochs=1).fit(frame)
    before = weights(ae)
    with pytest.raises(attar.DataError, match="lacks the column 'b' that the model was fitted on"):
        ae.fit(frame[["a"]])
    with pytest.raises(attar.DataError, match="fitted on table, but X is images"):
        ae.fit(load_digits().images)
    with pytest.raises(attar.DataError, match="has missing cells, and the fitted model has no"):
        ae.fit(frame.assign(a=frame.a.where(frame.a > 3)))
    with (
        pytest.warns(attar.AttarWarning, match="did not see"),
        pytest.raises(attar.DataError, match="Column 'b' has categories that the fitted model"),
    ):
        ae.fit(frame.assign(b=["x", "y", "new"] * 20))
    with pytest.raises(attar.SettingError, match="fitted without a condition"):
        ae.fit(frame, condition=frame.b)
    assert_equal(weights(ae), before)


def test_a_condition_is_prepared_as_before():
    labels = load_digits().target[:300]
    ae = warm().fit(X, condition=labels)
    with pytest.raises(attar.SettingError, match="fitted with a condition"):
        ae.fit(X)
    encoder = ae.fitted_.condition_encoder
    ae.fit(X, condition=labels)
    assert ae.fitted_.condition_encoder is encoder
    assert ae.history_.validation_loss[4:].min() < ae.history_.validation_loss[:4].min()


class Break(Callback):
    """Stops the program in an epoch, as Ctrl-C does."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_step(self, progress):
        if len(progress.history) == self.epoch - 1:
            raise KeyboardInterrupt


@pytest.mark.parametrize("name", ["mlp", "stream"])
def test_a_fit_that_is_stopped_keeps_the_best_model_in_the_second_fit_too(name):
    data, whole = DATA[name][0], warm().fit(DATA[name][0])
    first = weights(whole)
    whole.set_params(epochs=2).fit(data)
    stopped = warm().fit(data)
    stopped.set_params(epochs=2, callbacks=[Break(1)])
    with pytest.raises(KeyboardInterrupt):
        stopped.fit(data)
    assert_equal(weights(stopped), first)
    stopped.set_params(callbacks=[Break(3)], epochs=9)
    with pytest.raises(KeyboardInterrupt, match="stopped after 6 epochs: the model is that of ep"):
        stopped.fit(data)
    assert_equal(weights(stopped), weights(whole))
    assert stopped.history_.validation_loss.equals(whole.history_.validation_loss)


@pytest.mark.parametrize("name", ["mlp", "stream"])
def test_a_second_fit_that_was_killed_resumes_from_its_checkpoint(name, tmp_path):
    data, path = DATA[name][0], tmp_path / "c"
    whole = warm().fit(data)
    whole.save(tmp_path / "m.attar")
    whole.fit(data)
    killed = attar.load(tmp_path / "m.attar").set_params(callbacks=[Break(3)])
    with pytest.raises(KeyboardInterrupt):
        killed.fit(data, checkpoint=path)
    resumed = attar.load(tmp_path / "m.attar").fit(data, checkpoint=path)
    assert_equal(weights(resumed), weights(whole))
    with pytest.raises(attar.ModelFileError, match="checkpoint of a training with other data or"):
        warm().fit(data, checkpoint=path)


def test_a_truncated_code_is_trained_further():
    ae = warm(recipe="ordered").fit(X).truncate(2)
    before = ae.evaluate(X)["error"]
    assert ae.fit(X).evaluate(X)["error"] < before
    assert ae.transform(X).shape == (300, 2)


@pytest.mark.filterwarnings("ignore:Columns that were constant in the fit")
@pytest.mark.parametrize("name", ["mlp", "conv", "codebook", "pseudo-inputs"])
def test_with_a_frozen_encoder_rows_keep_their_codes_and_the_decoder_learns(name, tmp_path):
    data, settings = DATA[name]
    old, new = data[::2], data[1::2] / 2
    warm(**settings).fit(old).save(tmp_path / "old.attar")
    ae = attar.load(tmp_path / "old.attar")
    before, codes = ae.evaluate(new)["error"], ae.transform(data)
    with pytest.warns(attar.AttarWarning, match="are not those of the fit before"):
        ae.fit(new, freeze="encoder")
    assert_array_equal(ae.transform(data), codes)
    assert ae.evaluate(new)["error"] < before
    with pytest.warns(attar.AttarWarning, match="are not those of the fit before"):
        ae.fit(old)  # nothing is frozen any more
    assert not np.array_equal(ae.transform(data), codes)


def test_statistics_of_a_frozen_encoder_stay():
    network = torch.nn.Sequential(torch.nn.BatchNorm1d(64), torch.nn.Linear(64, 4))
    ae = warm(network=(network, torch.nn.Linear(4, 64))).fit(X)
    codes = ae.transform(X)
    assert_array_equal(ae.fit(X, freeze="encoder").transform(X), codes)


def test_freezing_needs_a_fitted_model_and_a_known_part():
    with pytest.raises(attar.SettingError, match="keeps a part of a fitted model, and there is no"):
        warm().fit(X, freeze="encoder")
    with pytest.raises(attar.SettingError, match="no part to freeze named 'decoder': did you mean"):
        warm(epochs=1).fit(X).fit(X, freeze="decoder")
