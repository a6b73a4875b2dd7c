"""A linear start: principal components and least squares."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_diabetes
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from torch import nn

import attar
from attar.codes import Point
from attar.networks import Mlp
from attar.networks.start import RIDGE, fit_least_squares, shortcut_of, start_at_components

CHANCE = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(60, 5), (6, 20)])
def test_the_first_outputs_are_principal_components_of_variance_1(shape):
    rows = CHANCE.normal(size=shape) @ np.diag(np.linspace(1, 9, shape[1])) + 3
    layer = nn.Linear(shape[1], 3).double()
    start_at_components(layer, torch.tensor(rows))
    codes = layer(torch.tensor(rows)).detach().numpy()
    expected = PCA(3, svd_solver="full").fit_transform(rows)
    expected /= expected.std(0)
    np.testing.assert_allclose(np.abs(codes), np.abs(expected), atol=1e-8)


def test_a_mask_has_no_weight_and_outputs_beyond_the_rank_keep_theirs():
    rows = torch.outer(torch.arange(9.0), torch.tensor([1.0, 2.0, 0.0]))
    layer = nn.Linear(6, 2)
    before = layer.weight.detach().clone()
    start_at_components(layer, rows)
    assert not layer.weight[0, 3:].any()
    torch.testing.assert_close(layer.weight[1], before[1])
    alike = nn.Linear(3, 2)
    start_at_components(alike, torch.ones(9, 3))
    assert alike.weight.isfinite().all()


def test_least_squares_is_ridge_regression():
    z, x = CHANCE.normal(size=(40, 3)) + 2, CHANCE.normal(size=(40, 5))
    z /= z.std(0)
    layer = nn.Linear(3, 5).double()
    fit_least_squares(layer, torch.tensor(z), torch.tensor(x))
    ridge = Ridge(alpha=RIDGE * len(z)).fit(z, x)
    np.testing.assert_allclose(layer.weight.detach(), ridge.coef_, atol=1e-10)
    np.testing.assert_allclose(layer.bias.detach(), ridge.intercept_, atol=1e-10)


def test_a_dead_input_does_no_harm():
    layer, z = nn.Linear(2, 1), torch.tensor([[1.0, 0.0], [2.0, 0.0], [3.0, 0.0]])
    fit_least_squares(layer, z, 2 * z[:, :1])
    torch.testing.assert_close(layer(z), 2 * z[:, :1], atol=1e-2, rtol=0)


def test_only_networks_with_a_linear_shortcut_have_one():
    assert shortcut_of(Mlp((4,)).encoder((3,), 2)) is None
    found = shortcut_of(Mlp((4,), shortcut=True).encoder((3,), 2))
    assert (found.in_features, found.out_features) == (3, 2)


RELU = attar.Recipe(Point("relu"))


@pytest.mark.parametrize(
    ("recipe", "settings"),
    [
        *[(recipe, {}) for recipe in ("ae", "vae", RELU)],
        *[(recipe, {"likelihood": "gaussian"}) for recipe in ("ae", "vae")],
        *[(recipe, {"network": "linear"}) for recipe in ("ae", "ordered", RELU)],
        *[(recipe, {"network": Mlp(())}) for recipe in ("ae", RELU)],
    ],
)
def test_a_fit_starts_where_principal_components_end(recipe, settings):
    rows = load_diabetes().data[:, [0, 2, 3, 4, 5, 6, 7, 8, 9]]
    ae = attar.Autoencoder(recipe, 3, epochs=1, learning_rate=1e-9, random_state=0, **settings)
    ae.set_params(validation_fraction=0, verbose=False).fit(rows)
    metrics = ae.evaluate(rows)
    assert metrics["error"] == pytest.approx(metrics["pca_error"], rel=0.01)


def test_a_table_of_types_starts_below_the_typical_row():
    import pandas as pd

    size = CHANCE.normal(size=400)
    table = pd.DataFrame({"size": size, "sign": np.where(size > 0, "up", "down")})
    ae = attar.Autoencoder("ae", 1, epochs=1, learning_rate=1e-9, random_state=0, verbose=False)
    assert ae.fit(table).evaluate(table)["accuracy"] > 0.9
