"""Samplers with a trained network: a flow, and a second autoencoder."""

import pytest
import torch
from scipy.spatial.distance import cdist
from sklearn.datasets import make_moons
from torch import nn
from torch.distributions import MultivariateNormal

from attar.codes import Gaussian
from attar.networks import Linear
from attar.priors import NormalizingFlow
from attar.recipes import Recipe
from attar.sampling import FittedFlow, TwoStage
from attar.sampling.base import Standardizer, trained


def regression(rows, steps=50):
    """Fit the last column by a linear function of the others."""
    return trained(
        lambda: nn.Linear(rows.shape[1] - 1, 1),
        lambda line, batch: (line(batch[:, :-1]) - batch[:, -1:]).square(),
        rows,
        steps,
    )


@pytest.fixture
def rows():
    x = torch.randn(300, 2)
    return torch.cat([x, x @ torch.tensor([[0.4], [-0.8]]) + 0.5], 1)


def test_standardized_codes_have_mean_zero_and_variance_one_and_an_inverse():
    codes = 3 * torch.randn(100, 4, dtype=torch.float64) + 5
    standardizer = Standardizer.of(codes)
    z = standardizer.transform(codes)
    torch.testing.assert_close(z.mean(0), torch.zeros(4), rtol=0, atol=1e-6)
    torch.testing.assert_close(z.std(0, correction=0), torch.ones(4))
    torch.testing.assert_close(standardizer.inverse(z), codes, rtol=1e-6, atol=1e-6)


def test_a_constant_dimension_stays_constant():
    codes = torch.cat([torch.randn(50, 1), torch.full((50, 1), 0.7)], 1)
    standardizer = Standardizer.of(codes)
    assert standardizer.transform(codes).isfinite().all()
    torch.testing.assert_close(standardizer.inverse(torch.randn(9, 2))[:, 1], torch.full((9,), 0.7))


def test_a_linear_regression_is_found(rows):
    line = regression(rows, 400)
    torch.testing.assert_close(line.weight, torch.tensor([[0.4, -0.8]]), rtol=0, atol=0.01)
    torch.testing.assert_close(line.bias, torch.tensor([0.5]), rtol=0, atol=0.01)


def test_equal_rows_give_equal_modules(rows):
    first = regression(rows)
    torch.manual_seed(9)
    assert torch.equal(regression(rows).weight, first.weight)


def test_the_global_generator_is_left_alone(rows):
    before = torch.get_rng_state()
    regression(rows)
    assert torch.equal(torch.get_rng_state(), before)


def test_training_works_where_gradients_are_off(rows):
    expected = regression(rows)
    with torch.no_grad():
        found = regression(rows)
        assert not torch.is_grad_enabled()
    assert torch.equal(found.weight, expected.weight)
    assert not found.weight.requires_grad


SAMPLERS = [FittedFlow(NormalizingFlow(widths=(32,)), 150), TwoStage()]
ids = {"argvalues": SAMPLERS, "ids": lambda sampler: sampler.name}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def drawn(sampler, codes, n, seed=0):
    return sampler.fit(Gaussian().build(codes.shape[1]), codes)(n, generator(seed))


def energy(first, second):
    """Return the energy distance of two samples (Székely and Rizzo, 2013)."""
    within = cdist(first, first).mean() + cdist(second, second).mean()
    return 2 * cdist(first, second).mean() - within


def bimodal(n, seed):
    """Return rows around (-2, -1) and (3, 2), correlated and of different scales."""
    noise = torch.randn(n, 2, generator=generator(seed)) @ torch.tensor([[0.4, 0.3], [0.0, 0.2]])
    which = torch.rand(n, 1, generator=generator(seed + 1)) < 0.7
    return noise + torch.where(which, torch.tensor([-2.0, -1.0]), torch.tensor([3.0, 2.0]))


@pytest.fixture(scope="module", params=SAMPLERS, ids=lambda sampler: sampler.name)
def clusters(request):
    """Codes drawn by a sampler of two clusters: (3000, 2)."""
    return drawn(request.param, bimodal(1500, 0), 3000)


def gaussian(codes, n):
    """Return samples of the Gaussian with the moments of codes: (n, d)."""
    return MultivariateNormal(codes.mean(0), codes.T.cov()).sample((n,))


def between(rows):
    """Return the fraction of rows between the two clusters, where the density is low."""
    return ((rows[:, 0] > -0.6) & (rows[:, 0] < 1.6)).float().mean().item()


def test_two_clusters_keep_their_weights(clusters):
    assert (clusters[:, 0] < 0.5).float().mean().item() == pytest.approx(0.7, abs=0.06)


def test_little_is_drawn_between_two_clusters(clusters):
    assert between(bimodal(3000, 0)) < 0.005
    assert between(clusters) < between(gaussian(bimodal(1500, 0), 3000)) / 3


def test_samples_are_nearer_to_new_codes_than_those_of_a_gaussian(clusters):
    new = bimodal(1500, 7)
    assert energy(clusters, new) < 0.1 * energy(gaussian(bimodal(1500, 0), 1500), new)


def test_a_fitted_flow_gives_two_moons_a_higher_likelihood_than_a_gaussian():
    def moons(seed):
        return torch.from_numpy(make_moons(1000, noise=0.08, random_state=seed)[0])

    standardizer = Standardizer.of(moons(0))
    codes, new = standardizer.transform(moons(0)), standardizer.transform(moons(1))
    flow = trained(
        lambda: NormalizingFlow(widths=(32,)).build(2),
        lambda flow, rows: -flow.log_prob(rows),
        codes,
        120,
    )
    normal = MultivariateNormal(codes.mean(0), codes.T.cov())
    assert flow.log_prob(new).mean() > normal.log_prob(new).mean() + 0.5


def test_a_linear_second_stage_of_gaussian_codes_has_their_moments():
    mixing = torch.tensor([[1.0, 0.5, 0.2], [0.0, 1.0, -0.5], [0.0, 0.0, 0.3]])
    codes = torch.randn(2000, 3, generator=generator()) @ mixing + 4
    z = drawn(TwoStage(Linear(), 600), codes, 20_000)
    torch.testing.assert_close(z.mean(0), codes.mean(0), rtol=0, atol=0.1)
    torch.testing.assert_close(z.T.cov(), codes.T.cov(), rtol=0.15, atol=0.1)


@pytest.mark.parametrize("sampler", **ids)
def test_equal_codes_give_equal_samplers_and_leave_the_global_generator_alone(sampler):
    sampler, codes = sampler.replace(steps=10), bimodal(200, 0)
    before = torch.get_rng_state()
    first = drawn(sampler, codes, 20, seed=3)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(9)
    assert torch.equal(drawn(sampler, codes, 20, seed=3), first)
    assert not torch.equal(drawn(sampler, codes, 20, seed=4), first)


@pytest.mark.parametrize("sampler", **ids)
def test_draws_have_the_precision_of_codes(sampler):
    sampler, codes = sampler.replace(steps=5), bimodal(50, 0)
    assert drawn(sampler, codes.double(), 3).dtype == torch.float64
    assert drawn(sampler, codes, 3).dtype == torch.float32


@pytest.mark.parametrize("sampler", **ids)
def test_a_single_code_gives_itself_and_a_constant_stays_constant(sampler):
    sampler = sampler.replace(steps=5)
    one = torch.tensor([[1.0, -2.0]])
    torch.testing.assert_close(drawn(sampler, one, 4), one.expand(4, 2))
    codes = torch.cat([bimodal(50, 0), torch.full((50, 1), 0.7)], 1)
    torch.testing.assert_close(drawn(sampler, codes, 9)[:, 2], torch.full((9,), 0.7))


def test_a_recipe_may_name_its_sampler():
    recipe = Recipe(Gaussian(), sampler=TwoStage())
    assert Recipe.from_json(recipe.to_json()) == recipe
