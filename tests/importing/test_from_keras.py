"""What Keras trained gives the same as an estimator of attar's."""

import os
from importlib import import_module

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

import attar
from attar.importing.keras import KerasLayers

os.environ.setdefault("KERAS_BACKEND", "torch")  # before Keras is imported
keras = import_module("keras")
layers = keras.layers
# Keras converts tensors to arrays as NumPy 1 did.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

RNG = np.random.default_rng(0)
FLAT = RNG.random((60, 64), np.float32)
IMAGES = RNG.random((40, 8, 8, 1), np.float32)
COLOURS = RNG.normal(size=(20, 9, 8, 3)).astype(np.float32)
STEPS = RNG.normal(size=(30, 12, 5)).astype(np.float32)
FAR = RNG.normal(3e3, 5, (60, 16)).astype(np.float32)


def called(model, X):
    found = model(X, training=False)
    found = found[0] if isinstance(found, list | tuple) else found
    return keras.ops.convert_to_numpy(found)


def sequential(*parts):
    return keras.Sequential([keras.Input(parts[0]), *parts[1:]])


def textbook():
    encoder = sequential((64,), layers.Dense(32, "relu"), layers.Dense(8))
    return encoder, sequential((8,), layers.Dense(32, "relu"), layers.Dense(64, "sigmoid"))


def ending(size, shape, *first):
    """Return a decoder that ends in rows of a shape."""
    cells = int(np.prod(shape))
    last = layers.Flatten(), layers.Dense(cells), layers.Reshape(shape)
    return sequential((size,), *first, *last)


def blog():
    """Return the convolutional autoencoder of Keras's blog, as one model and as two."""
    image = keras.Input((8, 8, 1))
    x = layers.Conv2D(4, 3, activation="relu", padding="same")(image)
    x = layers.MaxPooling2D(2, padding="same")(x)
    x = layers.Conv2D(2, 3, activation="relu", padding="same")(x)
    code = layers.MaxPooling2D(2, padding="same", name="code")(x)
    x = layers.Conv2D(4, 3, activation="relu", padding="same")(code)
    x = layers.UpSampling2D(2)(x)
    x = layers.UpSampling2D(2, interpolation="bilinear")(x)
    decoded = layers.Conv2D(1, 3, activation="sigmoid", padding="same")(x)
    pair = keras.Model(image, code), keras.Model(code, decoded)
    return keras.Model(image, decoded), pair


def strided(size, stride, padding):
    statistics = RNG.random((4, 4)) + 0.5
    normalization = layers.BatchNormalization()
    encoder = sequential(
        (9, 8, 3),
        layers.Conv2D(4, size, stride, padding, activation="gelu", bias_initializer="normal"),
        normalization,
        layers.LeakyReLU(0.1),
        layers.GroupNormalization(2),
        layers.Flatten(),
        layers.Dense(5, "tanh"),
    )
    normalization.set_weights(list(statistics))
    back = {"strides": stride, "padding": padding, "bias_initializer": "normal"}
    first = layers.Dense(24), layers.Reshape((4, 3, 2)), layers.Conv2DTranspose(3, size, **back)
    return encoder, ending(5, (9, 8, 3), *first)


def pooled(kind, size, stride, padding):
    encoder = sequential(
        (9, 8, 3), kind(size, stride, padding), layers.ReLU(6.0), layers.GlobalMaxPooling2D()
    )
    margins = layers.ZeroPadding2D(((1, 2), (0, 3))), layers.Cropping2D(((2, 1), (1, 2)))
    return encoder, ending(3, (9, 8, 3), layers.Dense(6), layers.Reshape((3, 2, 1)), *margins)


def one_dimensional():
    encoder = sequential(
        (12, 5),
        layers.Conv1D(4, 3, padding="causal", dilation_rate=2, groups=1),
        layers.AveragePooling1D(2),
        layers.Conv1D(2, 3, strides=2, padding="same"),
        layers.GlobalAveragePooling1D(),
    )
    up = layers.UpSampling1D(2), layers.Conv1DTranspose(5, 3, padding="same")
    return encoder, sequential((2,), layers.Dense(12), layers.Reshape((6, 2)), *up)


def recurrent(cell):
    settings = {"bias_initializer": "normal"}
    encoder = sequential((12, 5), cell(6, return_sequences=True, **settings), cell(4, **settings))
    steps = layers.RepeatVector(12), cell(6, return_sequences=True, use_bias=False)
    return encoder, sequential((4,), *steps, layers.TimeDistributed(layers.Dense(5)))


def graph():
    """Return an encoder with preprocessing, a residual connection and layers of training."""
    row = keras.Input((16,))
    normalization = layers.Normalization()
    normalization.adapt(FAR)
    x = normalization(row)
    hidden = layers.Dense(16, "relu")(x)
    x = layers.Concatenate()([layers.Add()([x, hidden]), hidden])
    x = layers.GaussianNoise(0.1)(layers.Dropout(0.2)(layers.LayerNormalization()(x)))
    x = layers.ELU(0.5)(layers.Activation("softplus")(x))
    encoder = keras.Model(row, layers.Softmax()(layers.Dense(4)(x)))
    return encoder, sequential((4,), layers.Dense(16), layers.Rescaling(5.0, 3e3))


class Sampling(layers.Layer):
    """The layer that draws a code, in every VAE of Keras's pages."""

    def call(self, moments):
        return moments[0]


def variational():
    row = keras.Input((64,))
    hidden = layers.Dense(8, "selu")(row)
    mean, log_variance = layers.Dense(3)(hidden), layers.Dense(3)(hidden)
    encoder = keras.Model(row, [mean, log_variance, Sampling()([mean, log_variance])])
    return encoder, sequential((3,), layers.Dense(64, "sigmoid"))


CASES = {
    "textbook": (textbook, FLAT),
    "blog": (lambda: blog()[1], IMAGES),
    "variational": (variational, FLAT),
    "graph": (graph, FAR),
    "1d": (one_dimensional, STEPS),
    **{
        f"conv-{size}-{stride}-{padding}": (
            lambda size=size, stride=stride, padding=padding: strided(size, stride, padding),
            COLOURS,
        )
        for size, stride, padding in (
            *((3, 2, "same"), (4, 2, "same"), (2, 1, "same"), (2, 3, "same"), (3, 2, "valid")),
        )
    },
    **{
        f"{kind.__name__}-{size}-{stride}-{padding}": (
            lambda kind=kind, size=size, stride=stride, padding=padding: pooled(
                kind, size, stride, padding
            ),
            COLOURS,
        )
        for kind, size, stride, padding in (
            (layers.MaxPooling2D, 2, 2, "same"),
            (layers.MaxPooling2D, 2, 1, "same"),
            (layers.AveragePooling2D, 3, 1, "same"),
            (layers.AveragePooling2D, 2, 2, "valid"),
        )
    },
    **{
        cell.__name__: (lambda cell=cell: recurrent(cell), STEPS)
        for cell in (layers.LSTM, layers.GRU, layers.SimpleRNN)
    },
}


@pytest.mark.parametrize("name", CASES)
def test_codes_and_reconstructions_are_those_of_keras(name):
    make, X = CASES[name]
    encoder, decoder = make()
    ae = attar.from_keras(encoder, decoder, X)
    # Rows far outside of X too.
    new = np.concatenate([X, 30 * X[:5]])
    codes = called(encoder, new)
    back = called(decoder, codes)
    near = {"rtol": 1e-5, "atol": 1e-5 * max(1, np.abs(codes).max())}
    np.testing.assert_allclose(ae.transform(new), codes.reshape(len(new), -1), **near)
    near = {"rtol": 1e-5, "atol": 1e-5 * max(1, np.abs(back).max())}
    np.testing.assert_allclose(ae.reconstruct(new), back, **near)


@pytest.fixture(scope="module")
def pair():
    return textbook()


@pytest.fixture
def ae(pair):
    return attar.from_keras(*pair, FLAT)


def test_likelihood_and_recipe_are_those_of_the_layers(ae):
    assert (ae.recipe, ae.likelihood, ae.code_size_) == ("ae", "bernoulli-probability", 8)
    p = ae.reconstruct(FLAT).astype(float)
    cross_entropy = FLAT * np.log(p) + (1 - FLAT) * np.log1p(-p)
    np.testing.assert_allclose(ae.score_samples(FLAT), cross_entropy.sum(1), rtol=1e-5)
    gaussian = attar.from_keras(*variational(), FLAT)
    assert (gaussian.recipe, gaussian.likelihood) == ("vae", "bernoulli-probability")
    assert attar.from_keras(*graph(), FAR).likelihood == "gaussian"


def test_the_model_file_needs_no_keras(ae, tmp_path, monkeypatch):
    ae.save(tmp_path / "k.attar")
    monkeypatch.setitem(__import__("sys").modules, "keras", None)
    again = attar.load(tmp_path / "k.attar")
    np.testing.assert_array_equal(again.transform(FLAT), ae.transform(FLAT))
    np.testing.assert_array_equal(again.reconstruct(FLAT), ae.reconstruct(FLAT))
    np.testing.assert_array_equal(again.score_samples(FLAT), ae.score_samples(FLAT))
    assert again.history_.empty


def test_it_is_exported_and_shown_like_any_other(ae, tmp_path):
    for part in ("whole", "score"):
        assert attar.export(ae, tmp_path / f"{part}.pt2", part, data=FLAT).difference < 1e-6
    assert "trained by another library" in ae.report(FLAT).html
    assert ae.evaluate_held_out(FLAT).rows_of == "training"
    assert "train it further" in str(ae.diagnose()[0])
    with pytest.raises(attar.SettingError, match="no losses"):
        attar.plotting.LossDisplay.from_estimator(ae)


@pytest.mark.filterwarnings("ignore:The validation rows are not those:attar.AttarWarning")
def test_it_is_trained_further(ae):
    before = ae.score(FLAT)
    ae.set_params(warm_start=True, epochs=9, early_stopping=False, random_state=0).fit(FLAT)
    assert ae.score(FLAT) > before + 0.1
    assert list(ae.history_.epoch) == list(range(1, 10))


def test_the_same_layers_are_trained_anew(ae):
    fresh = clone(ae).set_params(epochs=1, random_state=0).fit(FLAT)
    assert fresh.network == ae.network
    assert fresh.history_.loss.iloc[-1] < 64 * np.log(2) + 1


def test_a_whole_autoencoder_is_divided_at_its_code():
    whole, (encoder, decoder) = blog()
    ae = attar.from_keras(whole, None, IMAGES[..., 0], code="code")
    codes = called(encoder, IMAGES)
    np.testing.assert_allclose(ae.transform(IMAGES[..., 0]), codes.reshape(40, -1), atol=1e-6)
    back = called(decoder, codes)[..., 0]
    np.testing.assert_allclose(ae.reconstruct(IMAGES[..., 0]), back, atol=1e-6)


def test_a_model_of_two_models_is_divided_between_them(pair):
    encoder, decoder = pair
    row = keras.Input((64,))
    for whole in (sequential((64,), *pair), keras.Model(row, decoder(encoder(row)))):
        ae = attar.from_keras(whole, None, FLAT, code=encoder.name)
        np.testing.assert_allclose(ae.transform(FLAT), called(encoder, FLAT), atol=1e-6)
        np.testing.assert_allclose(ae.reconstruct(FLAT), called(whole, FLAT), atol=1e-6)


def test_bytes_are_scaled_for_the_encoder(pair):
    bytes_ = RNG.integers(0, 256, (40, 8, 8), np.uint8)
    bytes_[0, 0, :2] = 0, 255
    ae = attar.from_keras(*pair, bytes_, scaling="min-max")
    codes = called(pair[0], bytes_.reshape(40, 64) / np.float32(255))
    np.testing.assert_allclose(ae.transform(bytes_), codes, rtol=1e-5, atol=1e-5)
    back = 255 * called(pair[1], codes).reshape(40, 8, 8)
    assert np.abs(ae.reconstruct(bytes_) - back).max() < 0.5 + 1e-4


def test_windows_of_series_are_rows():
    encoder, decoder = one_dimensional()
    series = RNG.normal(size=(1, 60, 5))
    ae = attar.from_keras(encoder, decoder, attar.Series(series, window=12))
    windows = np.lib.stride_tricks.sliding_window_view(series[0], 12, 0).transpose(0, 2, 1)
    codes = called(encoder, windows.astype(np.float32))
    np.testing.assert_allclose(
        ae.transform(attar.Series(series, window=12)), codes, rtol=1e-5, atol=1e-5
    )


def test_a_table_of_numbers_may_have_names(pair):
    frame = pd.DataFrame(FLAT, columns=[f"c{i}" for i in range(64)])
    ae = attar.from_keras(*pair, frame)
    np.testing.assert_allclose(ae.transform(frame), called(pair[0], FLAT), atol=1e-6)
    back = called(pair[1], called(pair[0], FLAT))
    np.testing.assert_allclose(ae.reconstruct(frame), back, atol=1e-6)


class Hidden(keras.Model):
    def call(self, x):
        return x


class Own(layers.Layer):
    def call(self, x):
        return x


def around_the_code():
    row = keras.Input((64,))
    code = layers.Dense(8, name="code")(row)
    return keras.Model(row, layers.Add()([layers.Dense(64)(code), row]))


def average(padding):
    return sequential((9, 8, 3), layers.AveragePooling2D(2, 2, padding), layers.Flatten())


def dense(n, m, activation=None):
    return sequential((n,), layers.Dense(m, activation))


REFUSED = {
    "a custom layer": (
        lambda: (sequential((64,), Own()), dense(64, 64)),
        r"'own.*' of Keras \(Own\) has no counterpart",
    ),
    "an activation": (
        lambda: (dense(64, 8, lambda x: x), dense(8, 64)),
        r"\(Dense with the activation '<lambda>'\) has no",
    ),
    "a subclass": (lambda: (Hidden(), dense(8, 64)), "is no graph of layers with one input"),
    "no shape": (lambda: (keras.Sequential([layers.Dense(8)]), dense(8, 64)), "is no graph of"),
    "any size": (
        lambda: (sequential((None, 3), layers.Conv1D(2, 2)), dense(8, 64)),
        "takes rows of any size",
    ),
    "another row": (lambda: (dense(63, 8), dense(8, 63)), r"rows of shape \(63,\), but a row of X"),
    "another code": (lambda: (dense(64, 8), dense(7, 64)), r"codes of shape \(7,\), but the enc"),
    "another output": (lambda: (dense(64, 8), dense(8, 63)), r"gives rows of shape \(63,\), but"),
    "no model": (lambda: (np.eye(3), dense(8, 64)), "encoder must be a path or a model of Keras"),
    "no decoder": (lambda: (dense(64, 8), None), "A decoder is needed beside the encoder"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused(name):
    make, message = REFUSED[name]
    with pytest.raises(attar.SettingError, match=message):
        attar.from_keras(*make(), FLAT)


def test_uneven_means_are_refused_as_backends_differ():
    with pytest.raises(attar.SettingError, match="more padding on one side"):
        attar.from_keras(average("same"), dense(60, 216), COLOURS)


@pytest.mark.parametrize(
    ("code", "decoder", "message"),
    [
        ("cod", None, "no layer of the Keras model named 'cod': did you mean 'code'"),
        ("code", dense(8, 64), "leave out the decoder"),
        ("code", None, "not computed from that layer alone"),
    ],
)
def test_a_model_that_cannot_be_divided_is_refused(code, decoder, message):
    with pytest.raises(attar.SettingError, match=message):
        attar.from_keras(around_the_code(), decoder, FLAT, code=code)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (pd.DataFrame({"a": ["x", "y"] * 9, "b": range(18)}), "give an array, as Keras had it"),
        (np.where(np.arange(64) == 3, np.nan, FLAT), "Column 3 of X has no values"),
    ],
)
@pytest.mark.filterwarnings("ignore::attar.AttarWarning")
def test_data_of_other_types_are_refused(pair, X, message):
    with pytest.raises(attar.DataError, match=message):
        attar.from_keras(*pair, X)


def test_a_translation_that_differs_is_refused(pair, monkeypatch):
    def load(self, graph):
        true(self, graph)
        graph.layers[0].weight.data += 0.01

    true = KerasLayers.load
    monkeypatch.setattr(KerasLayers, "load", load)
    with pytest.raises(attar.SettingError, match="encoder as layers of torch differs from Keras"):
        attar.from_keras(*pair, FLAT)


@pytest.fixture(scope="module")
def files(pair, tmp_path_factory):
    folder = tmp_path_factory.mktemp("keras")
    encoder, decoder = pair
    encoder.save(folder / "encoder.keras")
    encoder.save(folder / "encoder.h5")
    decoder.save(folder / "decoder.keras")
    np.save(folder / "X.npy", FLAT)
    (folder / "damaged.keras").write_bytes(b"PK nothing")
    (folder / "saved").mkdir()
    (folder / "saved" / "saved_model.pb").touch()
    return folder


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("name", ["encoder.keras", "encoder.h5"])
def test_the_command_makes_a_model_of_files(run, files, tmp_path, pair, name):
    words = "--encoder", str(files / name), "--decoder", str(files / "decoder.keras")
    status, out, _ = run("import", str(files / "X.npy"), *words, "-o", "k.attar")
    assert (status, out.startswith("k.attar: a code of 8, MSE 0.0")) == (0, True)
    codes = attar.load(tmp_path / "k.attar").transform(FLAT)
    np.testing.assert_allclose(codes, called(pair[0], FLAT), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.keras", "There is no file"),
        ("damaged.keras", "cannot be read by Keras: "),
        ("X.npy", "cannot be read by Keras: "),
        ("saved", "is a SavedModel, which only TensorFlow reads: save a .keras file there"),
        ("decoder.keras", "takes rows of shape (8,), but a row of X has shape (64,)"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_sentence(run, files, tmp_path, name, message):
    words = "--encoder", str(files / name), "--decoder", str(files / "decoder.keras")
    status, out, err = run("import", str(files / "X.npy"), *words, "-o", "k.attar")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert list(tmp_path.iterdir()) == []
