"""Networks that are given layer by layer."""

import numpy as np
import pytest
import torch
from torch import nn

import attar
from attar.networks import Layered
from attar.networks.layers import AddedNoise

SHORT = (("Linear", (6, 2), (0,)),)
BACK = (("Linear", (2, 6), (0,)),)


def test_layers_take_the_outputs_of_those_before():
    layers = ("Linear", (6, 2), (0,)), ("Added", (), (1, 1)), ("Concatenated", (), (1, 2))
    encoder, x = Layered(layers, BACK).encoder((6,), 4), torch.randn(3, 6)
    once = nn.functional.linear(x, encoder.layers[0].weight, encoder.layers[0].bias)
    torch.testing.assert_close(encoder(x), torch.cat([once, 2 * once], 1))


def test_noise_is_added_in_training_only():
    noise, x = AddedNoise(0.5), torch.zeros(20_000)
    assert noise.eval()(x).eq(0).all()
    assert abs(noise.train()(x).std() - 0.5) < 0.02


def test_an_estimator_trains_them(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 2)) @ rng.normal(size=(2, 6))
    network = Layered(SHORT, BACK)
    settings = {"network": network, "epochs": 50, "learning_rate": 0.05, "random_state": 0}
    ae = attar.Autoencoder("ae", 2, **settings).fit(X)
    assert ae.evaluate(X)["explained_variance"] > 0.99
    ae.save(tmp_path / "a.attar")
    assert attar.load(tmp_path / "a.attar").fitted_.network == network


@pytest.mark.parametrize(
    ("encoding", "message"),
    [
        ((), "has no layers: attar.from_keras finds those of a Keras model"),
        ((("Liner", (6, 2), (0,)),), "no layer named 'Liner': did you mean 'Linear'"),
        ((("Linear", (5, 2), (0,)),), r"layers of the encoder don't take rows of shape \(6,\)"),
        ((("Linear", (6, 2), (3,)),), r"layers of the encoder don't take rows of shape \(6,\)"),
        ((("Linear", (6, 3), (0,)),), r"give shape \(3,\) .* where \(2,\) is needed"),
    ],
)
def test_layers_that_do_not_fit_are_refused(encoding, message):
    with pytest.raises(attar.SettingError, match=message):
        Layered(encoding, BACK).encoder((6,), 2)
