import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Independent, Normal, kl_divergence

from attar.codes import Gaussian
from attar.priors import StandardNormal

DOUBLE = torch.float64
FEATURES = st.lists(st.floats(-3, 3), min_size=6, max_size=6)


def posterior(features):
    mean, log_variance = features.chunk(2, -1)
    return Independent(Normal(mean, (log_variance / 2).exp()), 1)


def test_a_code_is_made_from_twice_as_many_features():
    assert Gaussian().width(7) == 14


@given(FEATURES)
def test_rate_and_densities_are_those_of_torch(values):
    features = torch.tensor([values, values[::-1]], dtype=DOUBLE)
    noise = torch.randn(5, 2, 3, dtype=DOUBLE, generator=torch.Generator().manual_seed(1))
    coded = Gaussian().build(3)(features, noise)
    q, p = posterior(features), Independent(Normal(torch.zeros(2, 3, dtype=DOUBLE), 1.0), 1)
    close = {"rtol": 1e-11, "atol": 1e-11}
    torch.testing.assert_close(coded.rate, kl_divergence(q, p).expand(5, 2), **close)
    torch.testing.assert_close(coded.log_q, q.log_prob(coded.z), **close)
    torch.testing.assert_close(coded.log_p, p.log_prob(coded.z), **close)


def test_noise_broadcasts_over_rows():
    features, noise = torch.randn(4, 6), torch.randn(5, 1, 3)
    shared, each = (Gaussian().build(3)(features, n) for n in (noise, noise.expand(5, 4, 3)))
    for name in ("z", "rate", "log_q", "log_p"):
        assert torch.equal(getattr(shared, name), getattr(each, name))


def test_the_mean_of_prior_over_posterior_is_one():
    features = torch.tensor([[0.3, -0.2, 0.1, -0.1]], dtype=DOUBLE)
    weights = Gaussian().build(2)(features, torch.randn(40_000, 1, 2, dtype=DOUBLE))
    ratio = (weights.log_p - weights.log_q).exp()
    assert ratio.mean().item() == pytest.approx(1, abs=4 * ratio.std().item() / 200)


def test_the_rate_is_the_mean_of_log_q_over_p():
    features = torch.tensor([[1.0, -0.5, -1.0, 0.5]], dtype=DOUBLE)
    coded = Gaussian().build(2)(features, torch.randn(40_000, 1, 2, dtype=DOUBLE))
    logs = coded.log_q - coded.log_p
    assert logs.mean().item() == pytest.approx(
        coded.rate[0, 0].item(), abs=4 * logs.std().item() / 200
    )


def test_samples_have_the_posteriors_mean_and_variance():
    features = torch.tensor([[1.0, -2.0, 0.0, 2 * math.log(3)]], dtype=DOUBLE).expand(40_000, 4)
    coded = Gaussian().build(2)(features)
    z, tolerance = coded.z[0], 4 / 200
    assert coded.z.shape == (1, 40_000, 2)
    assert coded.log_q is None
    torch.testing.assert_close(
        z.mean(0), torch.tensor([1.0, -2.0], dtype=DOUBLE), rtol=0, atol=3 * tolerance
    )
    torch.testing.assert_close(
        z.std(0), torch.tensor([1.0, 3.0], dtype=DOUBLE), rtol=tolerance, atol=0
    )


def test_the_point_is_the_posteriors_mean():
    features = torch.randn(4, 6)
    assert torch.equal(Gaussian().build(3).point(features), features[:, :3])


def test_the_code_offers_a_density_and_its_prior():
    assert "density" in Gaussian().provides
    assert Gaussian().prior == StandardNormal()
    assert Gaussian().build(2).prior is not None
