import copy
import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch.distributions import Independent, Normal

from attar.codes import Gaussian, Point
from attar.conditions import Joined
from attar.errors import SettingError
from attar.likelihoods import Bernoulli
from attar.networks import Mlp
from attar.priors import Vamp
from attar.recipes import Recipe
from attar.records import Batch

DOUBLE = torch.float64


def model_of(components, rows, size=2):
    """Return a model whose prior has looked at rows (m, 6)."""
    recipe = Recipe(Gaussian(prior=Vamp(components)))
    model = recipe.build((6,), size, Mlp((8,), "silu"), Bernoulli()).model.to(rows.dtype)
    model.on_data(Batch(rows, rows))
    return model.requires_grad_(False)


@pytest.fixture
def rows():
    return torch.rand(12, 6, dtype=DOUBLE)


def posteriors(model, rows):
    mean, log_variance = model.features(rows).chunk(2, -1)
    return Independent(Normal(mean, (log_variance / 2).exp()), 1)


def test_with_one_row_it_is_that_rows_posterior(rows):
    model, z = model_of(1, rows[:1]), torch.randn(5, 2, dtype=DOUBLE)
    expected = posteriors(model, rows[:1]).log_prob(z)
    torch.testing.assert_close(model.code.prior.log_prob(z), expected, rtol=1e-12, atol=1e-12)


def test_with_all_rows_it_is_the_aggregate_posterior(rows):
    model, z = model_of(len(rows), rows), torch.randn(5, 2, dtype=DOUBLE)
    assert torch.equal(model.code.prior.pseudo_inputs, rows)
    expected = posteriors(model, rows).log_prob(z[:, None]).exp().mean(1).log()
    torch.testing.assert_close(model.code.prior.log_prob(z), expected, rtol=1e-11, atol=1e-11)


def test_the_density_integrates_to_one(rows):
    prior = model_of(5, rows).code.prior
    axis = torch.linspace(-10, 10, 400, dtype=DOUBLE)
    total = prior.log_prob(torch.cartesian_prod(axis, axis)).exp().sum() * (axis[1] - axis[0]) ** 2
    assert total.item() == pytest.approx(1, abs=1e-6)


def test_draws_have_the_mean_posteriors_distribution(rows):
    model = model_of(4, 6 * rows)
    z = model.code.prior.sample(4000, torch.Generator().manual_seed(0))
    each = posteriors(model, model.code.prior.pseudo_inputs).base_dist
    for column in range(2):
        means, spreads = each.mean[:, column], each.stddev[:, column]

        def cdf(x, means=means, spreads=spreads):
            return stats.norm.cdf(np.asarray(x)[:, None], means, spreads).mean(1)

        assert stats.kstest(z[:, column].numpy(), cdf).pvalue > 0.01


def test_few_of_many_rows_are_taken_evenly(rows):
    prior = model_of(4, rows).code.prior
    assert torch.equal(prior.pseudo_inputs, rows[[0, 3, 6, 9]])


def test_more_components_than_rows_take_rows_again_but_differ(rows):
    prior = model_of(30, rows).code.prior
    assert torch.cdist(prior.pseudo_inputs, rows).amin(1).max() < 0.1
    assert (torch.pdist(prior.pseudo_inputs) > 0).all()


def test_sparse_rows_are_taken_too(rows):
    dense = model_of(4, rows).code.prior
    sparse = Vamp(4).build(2, (6,)).double()
    sparse.on_data(rows.to_sparse())
    assert torch.equal(sparse.pseudo_inputs, dense.pseudo_inputs)


def test_a_copy_of_a_model_asks_its_own_encoder(rows):
    model = model_of(5, rows.float())
    copied = copy.deepcopy(model).double()
    z = torch.randn(3, 2, dtype=DOUBLE)
    before = model.code.prior.log_prob(z.float())
    assert copied.code.prior.log_prob(z).dtype == DOUBLE
    torch.testing.assert_close(copied.code.prior.log_prob(z).float(), before)
    for weight in copied.encoder.parameters():
        weight.mul_(2)
    expected = posteriors(copied, copied.code.prior.pseudo_inputs).log_prob(z[:, None]).exp().mean(1).log()
    torch.testing.assert_close(copied.code.prior.log_prob(z), expected)
    assert torch.equal(model.code.prior.log_prob(z.float()), before)


def test_the_rate_teaches_the_rows_and_the_encoder(rows):
    model = model_of(5, rows).requires_grad_()
    model(Batch(rows, rows)).coded.rate.mean().backward()
    assert model.code.prior.pseudo_inputs.grad.any()
    assert all(weight.grad.any() for weight in model.encoder.parameters())


def test_the_mean_weight_of_prior_over_posterior_is_one(rows):
    model = model_of(3, rows)
    coded = model(Batch(rows[:1], rows[:1]), torch.randn(40_000, 1, 2, dtype=DOUBLE)).coded
    ratio = (coded.log_p - coded.log_q).exp()
    assert ratio.mean().item() == pytest.approx(1, abs=4 * ratio.std().item() / math.sqrt(40_000))


def test_a_code_that_is_no_gaussian_is_refused(rows):
    with pytest.raises(SettingError, match=r"'vamp' needs a code that is a gaussian.*'point'"):
        Recipe(Point(prior=Vamp(3))).build((6,), 2, Mlp((8,)), Bernoulli())


def test_a_condition_is_refused_since_the_learnt_rows_have_none():
    wrong = Recipe(Gaussian(prior=Vamp(3)), condition=Joined())
    with pytest.raises(SettingError, match="'vamp' encodes rows of its own"):
        wrong.build((6,), 2, Mlp((8,)), Bernoulli(), condition_size=2)
