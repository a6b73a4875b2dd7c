"""A made dictionary is found again, and no unit stays dead."""

import numpy as np
import pytest

import attar
from attar.codes import BatchTopK, Matryoshka, TopK


@pytest.fixture(scope="module")
def made():
    generator = np.random.default_rng(0)
    features = generator.standard_normal((48, 32))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    active = generator.random((4000, 48)) < 0.04
    rows = (active * generator.uniform(0.5, 1.5, active.shape)) @ features
    return features, rows.astype(np.float32)


@pytest.mark.parametrize("code", [TopK(2), BatchTopK(2), Matryoshka(2, levels=3)])
def test_the_dictionary_is_found_and_every_unit_lives(code, made):
    features, rows = made
    ae = attar.Autoencoder(
        attar.Recipe(code),
        48,
        network="linear",
        likelihood="gaussian",
        scaling="none",
        epochs=20,
        batch_size=100,
        learning_rate=0.01,
        validation_fraction=0,
        random_state=0,
        verbose=False,
    ).fit(rows)
    assert (ae.transform(rows) > 0).any(0).all()
    columns = ae.model_.decoder[0].weight.detach().numpy()
    cosines = features @ (columns / np.linalg.norm(columns, axis=0))
    assert cosines.max(1).mean() > 0.9
