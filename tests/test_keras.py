"""Encoders and decoders of Keras can be trained by attar."""

import os

os.environ["KERAS_BACKEND"] = "torch"

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.preprocessing import MinMaxScaler

import attar

# Keras converts tensors to NumPy in a deprecated way.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

IMAGES = load_digits().images[:600]
FLAT = IMAGES.reshape(-1, 64)
SETTINGS = {"likelihood": "bernoulli-probability", "scaling": "min-max", "random_state": 0}


@pytest.fixture(scope="module")
def keras():
    return pytest.importorskip("keras")


def dense(keras, *between):
    """Return the textbook's networks, with further layers before the code."""
    layers = keras.layers
    encoder = [keras.Input((64,)), layers.Dense(16, activation="relu"), *between]
    decoder = [keras.Input((16,)), layers.Dense(64, activation="sigmoid")]
    return keras.Sequential(encoder), keras.Sequential(decoder)


def convolutional(keras):
    """Return networks of images with channels last."""
    layers = keras.layers
    encoder = [
        keras.Input((8, 8, 1)),
        layers.Conv2D(4, 3, strides=2, padding="same", activation="relu"),
        layers.Flatten(),
        layers.Dense(16),
    ]
    decoder = [
        keras.Input((16,)),
        layers.Dense(64, activation="relu"),
        layers.Reshape((4, 4, 4)),
        layers.Conv2DTranspose(1, 3, strides=2, padding="same", activation="sigmoid"),
    ]
    return keras.Sequential(encoder), keras.Sequential(decoder)


def weights(network):
    return [variable.value.detach().numpy().copy() for variable in network.variables]


def trained(network, data, epochs=5):
    return attar.Autoencoder(network=network, epochs=epochs, **SETTINGS).fit(data)


@pytest.fixture(scope="module")
def network(keras):
    return dense(keras)


@pytest.fixture(scope="module")
def ae(network):
    return trained(network, FLAT, epochs=15)


def test_the_loss_falls(ae):
    assert ae.history_.loss.iloc[-1] < 0.85 * ae.history_.loss.iloc[0]


def test_the_given_networks_are_not_changed(keras):
    network = dense(keras, keras.layers.BatchNormalization())
    before = [weights(part) for part in network]
    trained(network, FLAT, epochs=1)
    after = [weights(part) for part in network]
    for old, new in zip(before, after, strict=True):
        np.testing.assert_equal(old, new)


def test_the_trained_keras_parts_give_what_the_estimator_gives(ae):
    scaler = MinMaxScaler().fit(FLAT)
    codes = ae.model_.encoder.layer(scaler.transform(FLAT))
    reconstructed = scaler.inverse_transform(ae.model_.decoder.layer(codes).detach())
    assert ae.code_size_ == codes.shape[1] == 16
    np.testing.assert_allclose(codes.detach(), ae.transform(FLAT), atol=1e-5)
    np.testing.assert_allclose(reconstructed, ae.reconstruct(FLAT), atol=1e-4)


def test_a_saved_model_is_loaded_into_new_networks(keras, ae, tmp_path):
    ae.save(tmp_path / "m.attar")
    loaded = attar.load(tmp_path / "m.attar", network=dense(keras))
    np.testing.assert_array_equal(loaded.reconstruct(FLAT), ae.reconstruct(FLAT))
    np.testing.assert_array_equal(loaded.score_samples(FLAT), ae.score_samples(FLAT))


def test_a_pickled_model_gives_equal_reconstructions(ae):
    copied = pickle.loads(pickle.dumps(ae))
    np.testing.assert_array_equal(copied.reconstruct(FLAT), ae.reconstruct(FLAT))


def test_a_clone_is_trained_to_the_same_model(ae):
    again = clone(ae).fit(FLAT)
    np.testing.assert_allclose(again.reconstruct(FLAT), ae.reconstruct(FLAT), atol=1e-4)


@pytest.mark.parametrize("data", [IMAGES, IMAGES[..., None]], ids=["grey", "one channel"])
@pytest.mark.parametrize("make", [dense, convolutional])
def test_images_reach_a_network_in_the_form_that_it_wants(keras, make, data):
    ae = trained(make(keras), data)
    assert ae.reconstruct(data).shape == data.shape
    assert ae.history_.loss.iloc[-1] < ae.history_.loss.iloc[0]


def test_layers_that_are_built_when_called_are_trained_too(keras):
    layers = keras.layers
    network = keras.Sequential([layers.Dense(16)]), layers.Dense(64, activation="sigmoid")
    ae = attar.Autoencoder(network=network, code_size=16, epochs=5, **SETTINGS).fit(FLAT)
    assert ae.history_.loss.iloc[-1] < ae.history_.loss.iloc[0]
    assert not network[0].built


def test_dropout_acts_in_training_only(keras):
    ae = trained(dense(keras, keras.layers.Dropout(0.5)), FLAT, epochs=1)
    encoder = ae.model_.encoder
    prepared = (FLAT / 16).astype(np.float32)
    assert (encoder(prepared) == encoder(prepared)).all()
    encoder.train()
    assert (encoder(prepared) != encoder(prepared)).any()


def test_batch_normalization_follows_the_data(keras):
    network = dense(keras, keras.layers.BatchNormalization())
    ae = trained(network, FLAT, epochs=1)
    mean = ae.model_.encoder.layer.layers[-1].moving_mean
    assert (mean.value != 0).any()


def test_a_layer_that_keras_cannot_copy_is_refused_in_words(keras):
    class Unknown(keras.layers.Layer):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def call(self, x):
            return self.inner(x)

    with pytest.raises(attar.SettingError, match="cannot be copied"):
        trained((Unknown(keras.layers.Dense(16)), dense(keras)[1]), FLAT)
