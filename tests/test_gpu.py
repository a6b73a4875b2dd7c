"""What a GPU must do as the processor does."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

import attar
from attar import recipes
from attar.data.source import read

# Recipes that need nothing but the rows, whatever these are.
PLAIN = [
    name
    for name, row in recipes.TABLE.items()
    if row.recipe.condition is None and row.recipe.likelihood is None
]


pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.mark.parametrize("name", PLAIN)
def test_every_recipe_learns_on_it_as_well(name, tmp_path):
    def fitted(device, seed=0):
        return attar.Autoencoder(
            name, epochs=8, device=device, precision="float32", random_state=seed, verbose=False
        ).fit("digits")

    # Random numbers differ between devices, as they do between seeds.
    others = [fitted("cpu", seed).evaluate("digits")["error"] for seed in range(3)]
    ae = fitted("cuda")
    assert min(others) / 1.1 < ae.evaluate("digits")["error"] < max(others) * 1.1
    ae.save(tmp_path / "m.attar")
    for device in ("cpu", "cuda"):
        back = attar.load(tmp_path / "m.attar", device=device)
        assert next(back.model_.parameters()).device.type == device
        assert_allclose(back.transform("digits"), ae.transform("digits"), atol=1e-3)


@pytest.mark.parametrize("network", ["mlp", "tcn", "gru", "transformer"])
def test_series_with_gaps_learn_on_it_as_well(network):
    waves = np.sin(np.arange(3000)[:, None] / [5.0, 9.0])[None]
    waves[0, ::17, 0] = np.nan
    data = attar.Series(waves, window=32)
    errors = [
        attar.Autoencoder(
            network=network,
            epochs=10,
            device=device,
            precision="float32",
            random_state=0,
            verbose=False,
        )
        .fit(data)
        .evaluate(data)["error"]
        for device in ("cpu", "cuda")
    ]
    assert errors[1] == pytest.approx(errors[0], rel=0.2)


def test_sparse_matrices_learn_on_it():
    counts = np.random.default_rng(0).poisson(0.2, (200, 40))
    ae = attar.Autoencoder(epochs=3, device="cuda", random_state=0, verbose=False)
    codes = ae.fit(sparse.csr_array(counts)).transform(sparse.csr_array(counts))
    assert np.isfinite(codes).all()


@pytest.mark.parametrize("network", ["mlp", "conv"])
def test_half_precision_costs_little_quality(network):
    images = np.repeat(np.repeat(read("digits").data, 4, 1), 4, 2)
    single, half = (
        attar.Autoencoder(
            network=network, epochs=10, precision=precision, random_state=0, verbose=False
        ).fit(images)
        for precision in ("float32", "bfloat16")
    )
    assert half.evaluate(images)["error"] <= 1.1 * single.evaluate(images)["error"]


def test_a_broken_training_goes_on_to_the_very_same_weights(tmp_path):
    class Break(attar.training.Callback):
        def on_epoch(self, progress):
            if len(progress.history) == 3:
                raise KeyboardInterrupt

    settings = {"epochs": 6, "device": "cuda", "random_state": 0, "verbose": False}
    whole = attar.Autoencoder("vae", **settings).fit("digits")
    with pytest.raises(KeyboardInterrupt):
        attar.Autoencoder("vae", callbacks=[Break()], **settings).fit(
            "digits", checkpoint=tmp_path / "c"
        )
    resumed = attar.Autoencoder("vae", **settings).fit("digits", checkpoint=tmp_path / "c")
    assert_array_equal(resumed.transform("digits"), whole.transform("digits"))
