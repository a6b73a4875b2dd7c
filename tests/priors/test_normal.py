import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats
from torch.distributions import Independent, Normal, kl_divergence

from attar.priors import StandardNormal, moments

MEANS = st.lists(st.floats(-5, 5), min_size=1, max_size=4)
DOUBLE = torch.float64
PRIOR = StandardNormal().build(3)


@given(MEANS)
def test_the_density_is_that_of_independent_standard_normals(z):
    z = torch.tensor([z, z], dtype=DOUBLE)
    expected = Independent(Normal(torch.zeros_like(z), 1.0), 1).log_prob(z)
    torch.testing.assert_close(PRIOR.log_prob(z), expected, rtol=1e-13, atol=1e-13)


@given(MEANS, st.floats(-4, 3))
def test_the_divergence_is_the_closed_form_of_torch(mean, log_variance):
    mean = torch.tensor([mean, mean[::-1]], dtype=DOUBLE)
    variances = torch.full_like(mean, log_variance)
    normal = Independent(Normal(mean, (variances / 2).exp()), 1)
    standard = Independent(Normal(torch.zeros_like(mean), 1.0), 1)
    expected = kl_divergence(normal, standard)
    torch.testing.assert_close(PRIOR.divergence(mean, variances), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("mean", "log_variance"), [(0.0, 0.0), (1.5, -1.0), (-2.0, 0.7)])
def test_the_divergence_is_the_integral_of_q_log_q_over_p(mean, log_variance):
    q, p = stats.norm(mean, math.exp(log_variance / 2)), stats.norm()
    expected, _ = integrate.quad(lambda z: q.pdf(z) * (q.logpdf(z) - p.logpdf(z)), -20, 20)
    found = PRIOR.divergence(
        torch.tensor([[mean]], dtype=DOUBLE), torch.tensor([[log_variance]], dtype=DOUBLE)
    )
    assert found.item() == pytest.approx(expected, abs=1e-9)


def test_moments_are_halves_of_the_features_cut_before_they_overflow():
    features = torch.tensor([[1.0, -2.0, 0.5, -3.0], [9e9, 0.0, 1e4, -1e4]])
    mean, log_variance = moments(features)
    assert torch.equal(mean, features[:, :2])
    assert log_variance.tolist() == [[0.5, -3.0], [30.0, -30.0]]
    assert PRIOR.divergence(mean[:, 1:], log_variance[:, :1]).isfinite().all()


def test_samples_are_standard_normal():
    z = PRIOR.sample(4000, torch.Generator().manual_seed(0)).numpy()
    assert stats.kstest(z.ravel(), "norm").pvalue > 0.01
    np.testing.assert_allclose(np.corrcoef(z.T), np.eye(3), atol=4 / math.sqrt(4000))


def test_samples_depend_on_the_generator_alone():
    first = PRIOR.sample(5, torch.Generator().manual_seed(3))
    torch.manual_seed(9)
    assert torch.equal(PRIOR.sample(5, torch.Generator().manual_seed(3)), first)
