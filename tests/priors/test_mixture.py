import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from attar.codes import Gaussian
from attar.errors import SettingError
from attar.priors import Mixture, StandardNormal

DOUBLE = torch.float64


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def prior():
    module = Mixture(3).build(2).double()
    with torch.no_grad():
        module.logits.copy_(torch.tensor([0.5, 0.0, -1.0]))
        module.means.copy_(torch.tensor([[-3.0, 0.0], [2.0, 2.0], [1.0, -3.0]]))
        module.log_variances.copy_(torch.tensor([[-1.0, 0.0], [-2.0, -0.5], [0.3, -1.0]]))
    return module.requires_grad_(False)


def truth(prior):
    gaussians = Independent(Normal(prior.means, (prior.log_variances / 2).exp()), 1)
    return MixtureSameFamily(Categorical(logits=prior.logits), gaussians)


def test_the_density_is_that_of_torch(prior):
    z = 3 * torch.randn(2, 5, 2, dtype=DOUBLE)
    torch.testing.assert_close(prior.log_prob(z), truth(prior).log_prob(z), rtol=1e-12, atol=1e-12)


def test_the_density_integrates_to_one(prior):
    axis = torch.linspace(-12, 12, 400, dtype=DOUBLE)
    total = prior.log_prob(torch.cartesian_prod(axis, axis)).exp().sum() * (axis[1] - axis[0]) ** 2
    assert total.item() == pytest.approx(1, abs=1e-9)


def test_draws_have_the_mixtures_distribution(prior):
    z = prior.sample(4000, generator())
    weights = prior.logits.softmax(-1)
    for column in range(2):
        means, spreads = prior.means[:, column], (prior.log_variances[:, column] / 2).exp()

        def cdf(x, means=means, spreads=spreads):
            return stats.norm.cdf(np.asarray(x)[:, None], means, spreads) @ weights.numpy()

        assert stats.kstest(z[:, column].numpy(), cdf).pvalue > 0.01
    torch.testing.assert_close(z.mean(0), truth(prior).mean, rtol=0, atol=0.15)


def test_draws_depend_on_the_generator_alone(prior):
    first = prior.sample(5, generator(3))
    torch.manual_seed(9)
    before = torch.get_rng_state()
    assert torch.equal(prior.sample(5, generator(3)), first)
    assert torch.equal(torch.get_rng_state(), before)


def test_one_standard_component_is_the_standard_normal():
    prior = Mixture(1).build(3)
    with torch.no_grad():
        prior.means.zero_()
    z = torch.randn(7, 3)
    torch.testing.assert_close(prior.log_prob(z), StandardNormal().build(3).log_prob(z))


def test_responsibilities_are_bayes_rule(prior):
    z = torch.randn(6, 2, dtype=DOUBLE)
    gaussians = Independent(Normal(prior.means, (prior.log_variances / 2).exp()), 1)
    joint = prior.logits.softmax(-1) * gaussians.log_prob(z[:, None]).exp()
    expected = joint / joint.sum(-1, keepdim=True)
    torch.testing.assert_close(prior.responsibilities(z), expected, rtol=1e-11, atol=1e-12)


def test_far_apart_components_are_clusters(prior):
    with torch.no_grad():
        prior.means.mul_(10)
    assert prior.responsibilities(prior.means).argmax(-1).tolist() == [0, 1, 2]


def test_fitting_by_likelihood_finds_the_clusters(prior):
    rows = prior.sample(600, generator())
    learnt = Mixture(3).build(2).double()
    adam = torch.optim.Adam(learnt.parameters(), 0.05)
    for _ in range(300):
        adam.zero_grad()
        loss = -learnt.log_prob(rows).mean()
        loss.backward()
        adam.step()
    assert loss.item() < -prior.log_prob(rows).mean().item() + 0.02


def test_a_gaussian_code_pays_log_q_over_p():
    module = Gaussian(prior=Mixture(4)).build(2)
    coded = module(torch.randn(3, 4), torch.randn(5, 3, 2))
    torch.testing.assert_close(coded.log_p, module.prior.log_prob(coded.z))
    torch.testing.assert_close(coded.rate, coded.log_q - coded.log_p)


def test_the_mean_weight_of_prior_over_posterior_is_one(prior):
    module = Gaussian().build(2)
    module.prior = prior
    features = torch.tensor([[0.0, 0.0, 2.0, 2.0]], dtype=DOUBLE)
    coded = module(features, torch.randn(40_000, 1, 2, dtype=DOUBLE))
    ratio = (coded.log_p - coded.log_q).exp()
    assert ratio.mean().item() == pytest.approx(1, abs=4 * ratio.std().item() / math.sqrt(40_000))


@pytest.mark.parametrize("components", [0, -1, 2.5, True])
def test_components_that_are_no_number_are_refused(components):
    with pytest.raises(SettingError, match="integer above 0"):
        Mixture(components).build(2)
