"""What a GPU must do as the processor does."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

import attar
from attar import recipes
from attar.data import training_data
from attar.data.source import read
from attar.data.transfer import IN_FLIGHT, transferred
from attar.training import graphs

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

# Steps that cannot be captured are as right as others.
either_way = pytest.mark.filterwarnings("ignore:The GPU gets the operations of each step")


@either_way
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
        # A symbol near the border of two is rounded to either, in another precision.
        near = np.isclose(back.transform("digits"), ae.transform("digits"), rtol=0, atol=1e-3)
        assert near.mean() > 0.999


@either_way
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


@either_way
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


def fitted(name="vae", data="digits", **settings):
    return attar.Autoencoder(
        name,
        **{"epochs": 8, "batch_size": 50, "device": "cuda", "random_state": 0, "verbose": False},
        **settings,
    ).fit(data)


@pytest.mark.parametrize("name", PLAIN)
def test_steps_of_every_recipe_are_captured(name):
    """A warning, which says why one cannot be, is an error here."""
    captured = []

    class Count(graphs.CudaGraphs):
        def captured(self, work):
            captured.append(work)
            return super().captured(work)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graphs, "CudaGraphs", Count)
        fitted(name)
    assert captured


# Noise, a rate that grows, a critic, moving averages; Adam, Muon and momentum.
@pytest.mark.parametrize("name", ["vae", "annealed-vae", "factor-vae", "vq-vae"])
@pytest.mark.parametrize("optimizer", ["adam", "muon", "sgd"])
def test_replayed_steps_are_those_made_one_by_one(name, optimizer, monkeypatch):
    settings = {"optimizer": optimizer, "precision": "float32"}
    replayed = fitted(name, **settings).history_
    monkeypatch.setattr(graphs, "WARM_UP", 10**9)
    for column in ("loss", "distortion", "rate", "learning_rate"):
        wanted = fitted(name, **settings).history_[column]
        assert_allclose(replayed[column], wanted, rtol=1e-3, err_msg=column)


def test_no_step_waits_for_a_result():
    class Refuse(attar.training.Callback):
        """Makes any wait an error, from a captured step to the end of its epoch."""

        def on_step(self, progress):
            self.steps = getattr(self, "steps", 0) + 1
            late = self.steps % progress.steps_per_epoch
            refuse = self.steps > 2 * progress.steps_per_epoch and late != 0
            torch.cuda.set_sync_debug_mode("error" if refuse else "default")

    try:
        fitted(callbacks=[Refuse()])
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_muon_on_it_makes_the_steps_of_eigenvalues():
    torch.manual_seed(0)
    steps = []
    for device in ("cpu", "cuda"):
        weight = torch.nn.Parameter(torch.ones(6, 9, device=device))
        optimizer = attar.training.Optimizer("muon", {"every": 1}).build([weight], 0.1)
        weight.grad = torch.linspace(-1, 1, 54, device=device).sin().reshape(6, 9).contiguous()
        weight.grad += torch.eye(6, 9, device=device)
        optimizer.step()
        steps.append(weight.detach().cpu())
    torch.testing.assert_close(steps[1], steps[0], atol=1e-3, rtol=0)


def test_what_is_transferred_arrives_whole_and_in_its_order():
    batches = [torch.full((1000, 100), float(i)) for i in range(5 * IN_FLIGHT)]
    ones = torch.ones(100, 50, device="cuda")  # a product takes longer than a copy
    arrived = [(x @ ones).mean() for x in transferred(iter(batches), torch.device("cuda"))]
    assert torch.stack(arrived).tolist() == [100.0 * i for i in range(len(batches))]


def test_a_stream_learns_as_rows_that_are_held_do(tmp_path, monkeypatch):
    rows = np.random.default_rng(0).normal(size=(20_000, 3)) @ np.ones((3, 8)) + np.arange(8.0)
    np.save(tmp_path / "rows.npy", rows)
    held = fitted("ae", tmp_path / "rows.npy", code_size=1)
    monkeypatch.setattr(training_data, "HELD", 0)
    streamed = fitted("ae", tmp_path / "rows.npy", code_size=1)
    errors = [ae.evaluate(rows)["error"] for ae in (held, streamed)]
    assert max(errors) < 1e-2 * rows.var()
