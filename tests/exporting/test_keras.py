"""Models as Keras models."""

import json
import os
from importlib import import_module
from zipfile import ZipFile

import numpy as np
import pandas as pd
import pytest

import attar
from attar.data import datasets
from attar.data.scaling import Between
from attar.networks import Conv, Mlp

os.environ.setdefault("KERAS_BACKEND", "torch")  # before Keras is imported
keras = import_module("keras")
# Keras converts tensors to arrays as NumPy 1 did.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def fitted(X, recipe="vae", **settings):
    settings = {"code_size": 3, "epochs": 1, "random_state": 0, "verbose": False, **settings}
    return attar.Autoencoder(recipe, **settings).fit(X)


def called(model, X):
    return keras.ops.convert_to_numpy(model(X))


def images(*size, first=False, dtype="uint8"):
    drawn = np.random.default_rng(0).integers(0, 256, (64, *size)).astype(dtype)
    return drawn.transpose(0, 3, 1, 2) if first else drawn


DIGITS = datasets.load("digits", "train")[0][:256]
NUMBERS = np.random.default_rng(0).normal(3e4, 5.0, (200, 4))
SKEWED = np.exp(np.random.default_rng(0).normal(0, 2, (200, 3))) * [1, -1, 1]
SKEWED[:, 2] = NUMBERS[:, 2]
FAR = np.random.default_rng(0).random((200, 4))
FAR[7, 1], FAR[9, 1] = 4e7, -5e8
PARTIAL = np.column_stack([NUMBERS[:, 0], np.full(200, np.nan), np.full(200, 7.5), NUMBERS[:, 1:]])
GAPS = np.where(np.random.default_rng(1).random((200, 4)) < 0.2, np.nan, NUMBERS)


@pytest.mark.parametrize(
    ("X", "recipe", "settings"),
    [
        (DIGITS, "vae", {}),
        (DIGITS, "vae", {"network": Conv((8, 16), normalization=True, shortcut=True)}),
        (images(7, 5, 3), "ae", {"network": Conv((4, 8), "gelu")}),
        (images(7, 5, 3, first=True), "ae", {"network": Conv((4,), "leaky-relu")}),
        (images(6, 5, 3) / 255, "vae", {"network": Mlp((8,), "elu", normalization="layer")}),
        (DIGITS, "vae", {"likelihood": "bernoulli", "scaling": "min-max"}),
        (NUMBERS, "ae", {}),
        (GAPS, "vae", {}),
        (SKEWED, "ae", {}),
        (SKEWED.astype(np.float32), "vae", {}),
        (FAR, "ae", {"scaling": Between()}),
        (PARTIAL, "ae", {}),
        (NUMBERS.astype(int), "ae", {"network": "linear"}),
    ],
)
@pytest.mark.filterwarnings("ignore::attar.AttarWarning")
def test_a_keras_model_gives_what_attar_does(X, recipe, settings):
    ae = fitted(X, recipe, **settings)
    model = attar.to_keras(ae, data=X)
    encoder, decoder = attar.to_keras(ae, "encoder"), attar.to_keras(ae, "decoder")
    assert len(model.trainable_weights) >= 4
    back, codes = ae.reconstruct(X), ae.transform(X)
    largest = max(1, np.nanmax(np.abs(back)))
    rounding = 1 if X.dtype.kind in "iu" else 0  # where a value is halfway between two
    found = called(model, X)
    assert found.dtype == X.dtype
    assert (np.isnan(found) == np.isnan(back)).all()
    distance = np.nan_to_num(np.abs(found.astype(float) - back))
    assert distance.max() <= rounding + 1e-5 * largest
    assert (distance > 1e-5 * largest).mean() < 1e-3
    np.testing.assert_allclose(called(encoder, X), codes, rtol=1e-5, atol=1e-5)
    again = called(decoder, codes).astype(float)
    assert np.nanmax(np.abs(again - back)) <= rounding + 1e-5 * largest


def test_the_command_writes_a_file_that_keras_reads(run, tmp_path):
    ae = fitted(DIGITS)
    ae.save(tmp_path / "digits.attar")
    np.save(tmp_path / "some.npy", DIGITS[:9])
    status, out, _ = run("export", "digits.attar", "some.npy", "--format", "keras", "-o", "d.keras")
    assert status == 0
    assert out.splitlines()[0] == "inputs  x (batch, 8, 8) uint8"
    model = keras.saving.load_model(tmp_path / "d.keras")
    distance = np.abs(called(model, DIGITS).astype(float) - ae.reconstruct(DIGITS))
    assert (distance > 0).mean() < 1e-3
    described = json.loads(ZipFile(tmp_path / "d.keras").read("attar.json"))
    assert described["outputs"][0]["shape"] == ["batch", 8, 8]


FRAME = pd.DataFrame({"x": NUMBERS[:, 0], "city": ["Oslo", "Rome"] * 100})


@pytest.mark.parametrize(
    ("X", "settings", "named"),
    [
        (FRAME, {}, "categories"),
        (attar.Series(NUMBERS, window=10), {}, "windows of series"),
        (NUMBERS, {"network": Mlp((8,), normalization="batch")}, "BatchNorm1d"),
        (NUMBERS, {"recipe": "vq-vae", "code_size": 4}, "the code"),
    ],
)
@pytest.mark.filterwarnings("ignore::attar.AttarWarning")
def test_what_keras_cannot_hold_is_refused(X, settings, named, tmp_path):
    with pytest.raises(attar.SettingError, match=f"cannot hold .*{named}.*: it holds"):
        attar.export(fitted(X, **settings), tmp_path / "a.keras")
    assert not list(tmp_path.iterdir())


def test_a_condition_is_refused():
    ae = attar.Autoencoder("conditional", 2, epochs=1, random_state=0, verbose=False)
    ae.fit(NUMBERS, condition=np.arange(200) % 2)
    with pytest.raises(attar.SettingError, match="cannot hold a condition"):
        attar.to_keras(ae)


def test_scores_are_refused(tmp_path):
    with pytest.raises(attar.SettingError, match="cannot hold the part 'score'"):
        attar.to_keras(fitted(NUMBERS), "score")
