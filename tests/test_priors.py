import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats
from torch.distributions import (
    Categorical,
    Independent,
    MixtureSameFamily,
    Normal,
    kl_divergence,
)

from attar.codes import Gaussian, Point
from attar.conditions import Joined
from attar.errors import SettingError
from attar.likelihoods import Bernoulli
from attar.networks import Mlp
from attar.priors import Mixture, NormalizingFlow, StandardNormal, Vamp, moments
from attar.recipes import Recipe
from attar.records import Batch

MEANS = st.lists(st.floats(-5, 5), min_size=1, max_size=4)


DOUBLE = torch.float64


PRIOR = StandardNormal().build(3)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def integral(prior, limit):
    """Return the integral of a prior's density in two dimensions."""
    axis = torch.linspace(-limit, limit, 400, dtype=DOUBLE)
    density = prior.log_prob(torch.cartesian_prod(axis, axis)).exp()
    return density.sum().item() * (axis[1] - axis[0]).item() ** 2


def torch_mixture(prior):
    gaussians = Independent(Normal(prior.means, (prior.log_variances / 2).exp()), 1)
    return MixtureSameFamily(Categorical(logits=prior.logits), gaussians)


def model_of(components, rows, size=2):
    """Return a model whose prior is initialized from rows (m, 6)."""
    recipe = Recipe(Gaussian(prior=Vamp(components)))
    model = recipe.build((6,), size, Mlp((8,), "silu"), Bernoulli()).model.to(rows.dtype)
    model.on_data(Batch(rows, rows))
    return model.requires_grad_(False)


def posteriors(model, rows):
    mean, log_variance = model.features(rows).chunk(2, -1)
    return Independent(Normal(mean, (log_variance / 2).exp()), 1)


def to_base(prior, z):
    """Return f(z)."""
    return prior.flow().transform(z)


class TestStandardNormal:
    @given(MEANS)
    def test_the_density_is_that_of_independent_standard_normals(self, z):
        z = torch.tensor([z, z], dtype=DOUBLE)
        expected = Independent(Normal(torch.zeros_like(z), 1.0), 1).log_prob(z)
        torch.testing.assert_close(PRIOR.log_prob(z), expected, rtol=1e-13, atol=1e-13)

    @given(MEANS, st.floats(-4, 3))
    def test_the_divergence_is_the_closed_form_of_torch(self, mean, log_variance):
        mean = torch.tensor([mean, mean[::-1]], dtype=DOUBLE)
        variances = torch.full_like(mean, log_variance)
        normal = Independent(Normal(mean, (variances / 2).exp()), 1)
        standard = Independent(Normal(torch.zeros_like(mean), 1.0), 1)
        expected = kl_divergence(normal, standard)
        torch.testing.assert_close(
            PRIOR.divergence(mean, variances), expected, rtol=1e-12, atol=1e-12
        )

    @pytest.mark.parametrize(("mean", "log_variance"), [(0.0, 0.0), (1.5, -1.0), (-2.0, 0.7)])
    def test_the_divergence_is_the_integral_of_q_log_q_over_p(self, mean, log_variance):
        q, p = stats.norm(mean, math.exp(log_variance / 2)), stats.norm()
        expected, _ = integrate.quad(lambda z: q.pdf(z) * (q.logpdf(z) - p.logpdf(z)), -20, 20)
        found = PRIOR.divergence(
            torch.tensor([[mean]], dtype=DOUBLE), torch.tensor([[log_variance]], dtype=DOUBLE)
        )
        assert found.item() == pytest.approx(expected, abs=1e-9)

    def test_moments_are_halves_of_the_features_clamped_before_they_overflow(self):
        features = torch.tensor([[1.0, -2.0, 0.5, -3.0], [9e9, 0.0, 1e4, -1e4]])
        mean, log_variance = moments(features)
        assert torch.equal(mean, features[:, :2])
        assert log_variance.tolist() == [[0.5, -3.0], [30.0, -30.0]]
        assert PRIOR.divergence(mean[:, 1:], log_variance[:, :1]).isfinite().all()

    def test_samples_are_standard_normal(self):
        z = PRIOR.sample(4000, generator()).numpy()
        assert stats.kstest(z.ravel(), "norm").pvalue > 0.01
        np.testing.assert_allclose(np.corrcoef(z.T), np.eye(3), atol=4 / math.sqrt(4000))

    def test_samples_depend_on_the_generator_alone(self):
        first = PRIOR.sample(5, generator(3))
        torch.manual_seed(9)
        assert torch.equal(PRIOR.sample(5, generator(3)), first)


class TestMixture:
    @pytest.fixture
    def prior(self):
        module = Mixture(3).build(2).double()
        with torch.no_grad():
            module.logits.copy_(torch.tensor([0.5, 0.0, -1.0]))
            module.means.copy_(torch.tensor([[-3.0, 0.0], [2.0, 2.0], [1.0, -3.0]]))
            module.log_variances.copy_(torch.tensor([[-1.0, 0.0], [-2.0, -0.5], [0.3, -1.0]]))
        return module.requires_grad_(False)

    def test_the_density_is_that_of_torch(self, prior):
        z = 3 * torch.randn(2, 5, 2, dtype=DOUBLE)
        torch.testing.assert_close(
            prior.log_prob(z), torch_mixture(prior).log_prob(z), rtol=1e-12, atol=1e-12
        )

    def test_the_density_integrates_to_one(self, prior):
        assert integral(prior, 12) == pytest.approx(1, abs=1e-9)

    def test_samples_have_the_mixtures_distribution(self, prior):
        z = prior.sample(4000, generator())
        weights = prior.logits.softmax(-1)
        for column in range(2):
            means, spreads = prior.means[:, column], (prior.log_variances[:, column] / 2).exp()

            def cdf(x, means=means, spreads=spreads):
                return stats.norm.cdf(np.asarray(x)[:, None], means, spreads) @ weights.numpy()

            assert stats.kstest(z[:, column].numpy(), cdf).pvalue > 0.01
        torch.testing.assert_close(z.mean(0), torch_mixture(prior).mean, rtol=0, atol=0.15)

    def test_samples_depend_on_the_generator_alone(self, prior):
        first = prior.sample(5, generator(3))
        torch.manual_seed(9)
        before = torch.get_rng_state()
        assert torch.equal(prior.sample(5, generator(3)), first)
        assert torch.equal(torch.get_rng_state(), before)

    def test_one_standard_component_is_the_standard_normal(self):
        prior = Mixture(1).build(3)
        with torch.no_grad():
            prior.means.zero_()
        z = torch.randn(7, 3)
        torch.testing.assert_close(prior.log_prob(z), StandardNormal().build(3).log_prob(z))

    def test_responsibilities_are_bayes_rule(self, prior):
        z = torch.randn(6, 2, dtype=DOUBLE)
        gaussians = Independent(Normal(prior.means, (prior.log_variances / 2).exp()), 1)
        joint = prior.logits.softmax(-1) * gaussians.log_prob(z[:, None]).exp()
        expected = joint / joint.sum(-1, keepdim=True)
        torch.testing.assert_close(prior.responsibilities(z), expected, rtol=1e-11, atol=1e-12)

    def test_distant_components_are_clusters(self, prior):
        with torch.no_grad():
            prior.means.mul_(10)
        assert prior.responsibilities(prior.means).argmax(-1).tolist() == [0, 1, 2]

    def test_fitting_by_likelihood_finds_the_clusters(self, prior):
        rows = prior.sample(600, generator())
        trained = Mixture(3).build(2).double()
        adam = torch.optim.Adam(trained.parameters(), 0.05)
        for _ in range(300):
            adam.zero_grad()
            loss = -trained.log_prob(rows).mean()
            loss.backward()
            adam.step()
        assert loss.item() < -prior.log_prob(rows).mean().item() + 0.02

    def test_the_rate_of_a_gaussian_code_is_log_q_over_p(self):
        module = Gaussian(prior=Mixture(4)).build(2)
        coded = module(torch.randn(3, 4), torch.randn(5, 3, 2))
        torch.testing.assert_close(coded.log_p, module.prior.log_prob(coded.z))
        torch.testing.assert_close(coded.rate, coded.log_q - coded.log_p)

    def test_the_mean_of_prior_over_posterior_is_one(self, prior):
        module = Gaussian().build(2)
        module.prior = prior
        features = torch.tensor([[0.0, 0.0, 2.0, 2.0]], dtype=DOUBLE)
        coded = module(features, torch.randn(40_000, 1, 2, dtype=DOUBLE))
        ratio = (coded.log_p - coded.log_q).exp()
        assert ratio.mean().item() == pytest.approx(1, abs=4 * ratio.std().item() / 200)

    @pytest.mark.parametrize("components", [0, -1, 2.5, True])
    def test_invalid_numbers_of_components_are_refused(self, components):
        with pytest.raises(SettingError, match="integer above 0"):
            Mixture(components).build(2)


class TestVamp:
    @pytest.fixture
    def rows(self):
        return torch.rand(12, 6, dtype=DOUBLE)

    def test_with_one_pseudo_input_it_is_the_posterior_of_it(self, rows):
        model, z = model_of(1, rows[:1]), torch.randn(5, 2, dtype=DOUBLE)
        expected = posteriors(model, rows[:1]).log_prob(z)
        torch.testing.assert_close(model.code.prior.log_prob(z), expected, rtol=1e-12, atol=1e-12)

    def test_with_all_rows_it_is_the_aggregate_posterior(self, rows):
        model, z = model_of(len(rows), rows), torch.randn(5, 2, dtype=DOUBLE)
        assert torch.equal(model.code.prior.pseudo_inputs, rows)
        expected = posteriors(model, rows).log_prob(z[:, None]).exp().mean(1).log()
        torch.testing.assert_close(model.code.prior.log_prob(z), expected, rtol=1e-11, atol=1e-11)

    def test_the_density_integrates_to_one(self, rows):
        prior = model_of(5, rows).code.prior
        assert integral(prior, 10) == pytest.approx(1, abs=1e-6)

    def test_samples_have_the_mean_posteriors_distribution(self, rows):
        model = model_of(4, 6 * rows)
        z = model.code.prior.sample(4000, generator())
        each = posteriors(model, model.code.prior.pseudo_inputs).base_dist
        for column in range(2):
            means, spreads = each.mean[:, column], each.stddev[:, column]

            def cdf(x, means=means, spreads=spreads):
                return stats.norm.cdf(np.asarray(x)[:, None], means, spreads).mean(1)

            assert stats.kstest(z[:, column].numpy(), cdf).pvalue > 0.01

    def test_pseudo_inputs_start_at_evenly_spaced_rows(self, rows):
        prior = model_of(4, rows).code.prior
        assert torch.equal(prior.pseudo_inputs, rows[[0, 3, 6, 9]])

    def test_more_components_than_rows_repeat_rows_with_noise(self, rows):
        prior = model_of(30, rows).code.prior
        assert torch.cdist(prior.pseudo_inputs, rows).amin(1).max() < 0.1
        assert (torch.pdist(prior.pseudo_inputs) > 0).all()

    def test_pseudo_inputs_start_at_sparse_rows(self, rows):
        dense = model_of(4, rows).code.prior
        sparse = Vamp(4).build(2, (6,)).double()
        sparse.on_data(rows.to_sparse())
        assert torch.equal(sparse.pseudo_inputs, dense.pseudo_inputs)

    def test_a_copied_model_uses_its_own_encoder(self, rows):
        model = model_of(5, rows.float())
        copied = copy.deepcopy(model).double()
        z = torch.randn(3, 2, dtype=DOUBLE)
        before = model.code.prior.log_prob(z.float())
        assert copied.code.prior.log_prob(z).dtype == DOUBLE
        torch.testing.assert_close(copied.code.prior.log_prob(z).float(), before)
        for weight in copied.encoder.parameters():
            weight.mul_(2)
        each = posteriors(copied, copied.code.prior.pseudo_inputs).log_prob(z[:, None])
        expected = each.exp().mean(1).log()
        torch.testing.assert_close(copied.code.prior.log_prob(z), expected)
        assert torch.equal(model.code.prior.log_prob(z.float()), before)

    def test_the_rate_has_gradients_for_pseudo_inputs_and_encoder(self, rows):
        model = model_of(5, rows).requires_grad_()
        model(Batch(rows, rows)).coded.rate.mean().backward()
        assert model.code.prior.pseudo_inputs.grad.any()
        assert all(weight.grad.any() for weight in model.encoder.parameters())

    def test_the_mean_of_prior_over_posterior_is_one(self, rows):
        model = model_of(3, rows)
        coded = model(Batch(rows[:1], rows[:1]), torch.randn(40_000, 1, 2, dtype=DOUBLE)).coded
        ratio = (coded.log_p - coded.log_q).exp()
        assert ratio.mean().item() == pytest.approx(1, abs=4 * ratio.std().item() / 200)

    def test_a_code_without_gaussian_posterior_is_refused(self, rows):
        with pytest.raises(SettingError, match=r"needs a code with a Gaussian posterior.*'point'"):
            Recipe(Point(prior=Vamp(3))).build((6,), 2, Mlp((8,)), Bernoulli())

    def test_a_condition_is_refused_as_pseudo_inputs_have_none(self):
        wrong = Recipe(Gaussian(prior=Vamp(3)), condition=Joined())
        with pytest.raises(SettingError, match="'vamp' encodes rows of its own"):
            wrong.build((6,), 2, Mlp((8,)), Bernoulli(), condition_size=2)


class TestNormalizingFlow:
    @pytest.fixture
    def prior(self):
        """A flow far from the identity."""
        module = NormalizingFlow(2, (16,), 6).build(2).double().requires_grad_(False)
        for weight in module.parameters():
            weight.copy_(0.3 * torch.randn_like(weight))
        return module

    def test_the_density_integrates_to_one(self, prior):
        assert integral(prior, 8) == pytest.approx(1, abs=1e-4)

    def test_the_density_is_the_normals_times_the_determinant_of_the_jacobian(self, prior):
        z = torch.randn(6, 2, dtype=DOUBLE)
        normal = StandardNormal().build(2)
        for one, found in zip(z, prior.log_prob(z), strict=True):
            slopes = torch.autograd.functional.jacobian(lambda x: to_base(prior, x), one)
            expected = normal.log_prob(to_base(prior, one)) + slopes.det().abs().log()
            assert found.item() == pytest.approx(expected.item(), abs=1e-10)

    def test_samples_transform_to_their_normals(self, prior):
        z = prior.sample(2000, generator())
        normals = torch.randn(2000, 2, generator=generator()).double()
        torch.testing.assert_close(to_base(prior, z), normals, rtol=0, atol=1e-6)

    def test_samples_have_the_density(self, prior):
        z = prior.sample(4000, generator()).numpy()
        axis = torch.linspace(-8, 8, 301, dtype=DOUBLE)
        step = (axis[1] - axis[0]).item()
        cells = prior.log_prob(torch.cartesian_prod(axis, axis)).exp().reshape(301, 301) * step**2
        for column, other in ((0, 1), (1, 0)):
            below = np.interp(z[:, column], axis + step / 2, cells.sum(other).cumsum(0))
            assert stats.kstest(below, "uniform").pvalue > 0.01

    def test_samples_depend_on_the_generator_alone(self, prior):
        first = prior.sample(5, generator(3))
        torch.manual_seed(9)
        before = torch.get_rng_state()
        assert torch.equal(prior.sample(5, generator(3)), first)
        assert torch.equal(torch.get_rng_state(), before)

    def test_outside_the_splines_it_is_the_standard_normal(self, prior):
        z = torch.tensor([[7.0, -9.0]], dtype=DOUBLE)
        expected = StandardNormal().build(2).log_prob(z)
        torch.testing.assert_close(prior.log_prob(z), expected)

    def test_gradients_are_those_of_finite_differences(self, prior):
        z = torch.randn(3, 2, dtype=DOUBLE, requires_grad=True)
        assert torch.autograd.gradcheck(prior.log_prob, (z,))

    @pytest.mark.parametrize("size", [1, 2, 5])
    def test_a_flow_on_the_meta_device_loads_weights(self, size):
        prior = NormalizingFlow(widths=(8,)).build(size)
        with torch.device("meta"):
            other = NormalizingFlow(widths=(8,)).build(size)
        other.load_state_dict(prior.state_dict(), assign=True)
        z = torch.randn(4, size)
        assert torch.equal(other.log_prob(z), prior.log_prob(z))

    def test_the_rate_of_a_gaussian_code_is_log_q_over_p(self):
        module = Gaussian(prior=NormalizingFlow(widths=(8,))).build(2)
        coded = module(torch.randn(3, 4), torch.randn(5, 3, 2))
        torch.testing.assert_close(coded.log_p, module.prior.log_prob(coded.z))
        torch.testing.assert_close(coded.rate, coded.log_q - coded.log_p)

    @pytest.mark.parametrize(
        "wrong",
        [{"transforms": 0}, {"transforms": 1.5}, {"bins": 1}, {"bins": 2.5}, {"widths": (0,)}],
    )
    def test_settings_out_of_range_are_refused(self, wrong):
        with pytest.raises(SettingError):
            NormalizingFlow(**wrong).build(2)
