"""A made dictionary is found again, and no unit stays dead."""

import numpy as np
import pytest

import attar
from attar.codes import BatchTopK, Matryoshka, TopK


@pytest.fixture(scope="module")
def made():
    chance = np.random.default_rng(0)
    features = chance.standard_normal((32, 16))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    active = chance.random((6000, 32)) < np.linspace(0.14, 0.04, 32)
    rows = (active * chance.uniform(0.5, 1.5, active.shape)) @ features
    return features, rows.astype(np.float32)


@pytest.mark.parametrize("code", [TopK(3), BatchTopK(3), Matryoshka(3, levels=3)])
def test_the_dictionary_is_found_and_every_unit_lives(code, made):
    features, rows = made
    ae = attar.Autoencoder(
        attar.Recipe(code),
        32,
        network="linear",
        likelihood="gaussian",
        scaling="none",
        epochs=15,
        batch_size=100,
        learning_rate=0.01,
        random_state=0,
        verbose=False,
    ).fit(rows)
    assert (ae.transform(rows) > 0).any(0).all()
    columns = ae.model_.decoder[0].weight.detach().numpy()
    cosines = features @ (columns / np.linalg.norm(columns, axis=0))
    print(code, cosines.max(1).mean(), np.sort(cosines.max(1))[:4])
    assert cosines.max(1).mean() > 0.95
