"""Samplers from a density: the prior, a Gaussian mixture, a kernel density."""

import numpy as np
import pytest
import torch
from scipy import stats

from attar.codes import Gaussian, Point
from attar.errors import SettingError
from attar.sampling import FromPrior, GaussianMixture, KernelDensity
from attar.sampling.density import fit_sampler

CENTRES = np.array([[-5.0, 0.0], [5.0, 5.0], [0.0, -6.0]])


@pytest.fixture
def clusters():
    generator = np.random.default_rng(0)
    which = generator.choice(3, 600, p=[0.5, 0.3, 0.2])
    return (CENTRES[which] + 0.4 * generator.normal(size=(600, 2))).astype(np.float32)


def generator(seed):
    return torch.Generator().manual_seed(seed)


def from_mixture(codes, n, seed):
    draw = GaussianMixture().fit(Point().build(codes.shape[1]), torch.from_numpy(codes))
    return draw(n, generator(seed)).numpy()


def from_prior(n, code_size, seed):
    codes = torch.zeros(1, code_size)
    return FromPrior().fit(Gaussian().build(code_size), codes)(n, generator(seed)).numpy()


def test_codes_from_the_prior_are_standard_normal():
    codes = from_prior(3000, 2, seed=0)
    assert codes.shape == (3000, 2)
    for column in codes.T:
        assert stats.kstest(column, "norm").pvalue > 0.01
    assert abs(np.corrcoef(codes.T)[0, 1]) < 4 / 3000**0.5


def test_codes_from_a_mixture_lie_where_the_clusters_do(clusters):
    drawn = from_mixture(clusters, 6000, seed=0)
    distance = np.linalg.norm(drawn[:, None] - CENTRES, axis=2)
    nearest = distance.argmin(1)
    assert np.mean(distance.min(1) < 2) > 0.99
    trained = np.linalg.norm(clusters[:, None] - CENTRES, axis=2).argmin(1)
    for k in range(3):
        found, truth = drawn[nearest == k], clusters[trained == k]
        assert len(found) / 6000 == pytest.approx(len(truth) / 600, abs=0.03)
        np.testing.assert_allclose(found.mean(0), truth.mean(0), atol=0.06)
        np.testing.assert_allclose(np.cov(found.T), np.cov(truth.T), atol=0.03)


def test_codes_from_a_mixture_have_the_moments_of_the_training_codes(clusters):
    drawn = from_mixture(clusters, 20_000, seed=1)
    np.testing.assert_allclose(drawn.mean(0), clusters.mean(0), atol=0.15)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(clusters.T), rtol=0.05, atol=0.2)


def test_codes_are_in_random_order(clusters):
    drawn = from_mixture(clusters, 600, seed=0)
    halves = [stats.ks_2samp(drawn[:300, j], drawn[300:, j]).pvalue for j in range(2)]
    assert min(halves) > 0.01


def test_equal_seeds_give_equal_codes(clusters):
    assert np.array_equal(from_mixture(clusters, 50, seed=3), from_mixture(clusters, 50, seed=3))
    assert not np.array_equal(
        from_mixture(clusters, 50, seed=3), from_mixture(clusters, 50, seed=4)
    )
    assert np.array_equal(from_prior(5, 2, seed=3), from_prior(5, 2, seed=3))


def test_a_single_code_gives_itself():
    assert from_mixture(np.array([[1.0, 2.0]]), 3, seed=0).tolist() == [[1.0, 2.0]] * 3


def test_equal_codes_give_themselves():
    codes = np.full((100, 2), 0.7, np.float32)
    drawn = from_mixture(codes, 20, seed=0)
    assert drawn.dtype == np.float32
    np.testing.assert_allclose(drawn, 0.7, atol=0.01)


@pytest.mark.parametrize("n", [1, 2, 7])
def test_any_number_of_codes_is_drawn(clusters, n):
    drawn = from_mixture(clusters, n, seed=0)
    assert drawn.shape == (n, 2)
    assert (np.linalg.norm(drawn[:, None] - CENTRES, axis=2).min(1) < 2).all()
    assert len(np.unique(drawn, axis=0)) == n


def test_codes_without_clusters_have_their_moments_too():
    codes = np.random.default_rng(0).uniform(-1, 1, (500, 3))
    drawn = from_mixture(codes, 10_000, seed=0)
    np.testing.assert_allclose(drawn.mean(0), codes.mean(0), atol=0.04)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(codes.T), atol=0.03)


def test_a_code_with_a_prior_is_drawn_from_it_and_any_other_from_a_mixture(clusters):
    codes = torch.from_numpy(clusters)
    prior, mixture = (
        fit_sampler(None, code.build(2), codes)(50, generator(1)) for code in (Gaussian(), Point())
    )
    assert np.array_equal(prior.numpy(), from_prior(50, 2, seed=1))
    assert np.array_equal(mixture.numpy(), from_mixture(clusters, 50, seed=1))


def test_a_code_without_a_prior_cannot_be_drawn_from_it():
    with pytest.raises(SettingError, match="'prior' needs a code with a prior"):
        FromPrior().fit(Point().build(2), torch.zeros(3, 2))


def test_many_codes_are_drawn_in_chunks_that_differ(monkeypatch):
    monkeypatch.setattr("attar.sampling.density.CHUNK", 1000)
    codes = fit_sampler(None, Gaussian().build(2), torch.zeros(1, 2))(2500, generator(1))
    assert codes.shape == (2500, 2)
    assert len(codes.unique(dim=0)) == 2500
    assert stats.kstest(codes.flatten().numpy(), "norm").pvalue > 0.01


DOUBLE = torch.float64


def drawn(codes, n, sampler=KernelDensity()):  # noqa: B008
    draw = sampler.fit(Point().build(codes.shape[1]), codes)
    return draw(n, torch.Generator().manual_seed(0))


@pytest.fixture
def codes():
    mixing = torch.tensor([[2.0, 0.0], [1.5, 0.5]], dtype=DOUBLE)
    return torch.rand(60, 2, dtype=DOUBLE).square() @ mixing


def test_draws_have_the_density_of_scipy(codes):
    z = drawn(codes, 4000).numpy()
    truth = stats.gaussian_kde(codes.numpy().T)
    for axis in ([1.0, 0.0], [0.0, 1.0], [0.6, -0.8]):
        spread = np.sqrt(np.asarray(axis) @ truth.covariance @ axis)
        centres = truth.dataset.T @ axis

        def cdf(x, centres=centres, spread=spread):
            return stats.norm.cdf(x[:, None], centres, spread).mean(1)

        assert stats.kstest(z @ axis, cdf).pvalue > 0.01


def test_the_kernel_has_the_covariance_of_scipy(codes):
    truth = stats.gaussian_kde(codes.numpy().T).covariance
    z = drawn(codes, 100_000) - drawn(codes, 100_000, KernelDensity(0.0))
    np.testing.assert_allclose(np.cov(z.numpy().T), truth, rtol=0.05, atol=1e-3)


def test_the_kernel_is_proportional_to_the_bandwidth(codes):
    centres = drawn(codes, 500, KernelDensity(0.0))
    near, far = (drawn(codes, 500, KernelDensity(h)) - centres for h in (1.0, 3.0))
    torch.testing.assert_close(far, 3 * near)


def test_with_no_bandwidth_training_codes_are_drawn(codes):
    z = drawn(codes, 300, KernelDensity(0.0))
    assert torch.cdist(z, codes).amin(1).max() < 1e-12
    assert len(z.unique(dim=0)) > 50


def test_directions_without_variance_stay_so(codes):
    flat = torch.cat([codes, codes.sum(1, keepdim=True), torch.full((60, 1), 0.7)], 1)
    z = drawn(flat, 200)
    torch.testing.assert_close(z[:, 2], z[:, 0] + z[:, 1], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(z[:, 3], torch.full((200,), 0.7, dtype=DOUBLE), rtol=0, atol=1e-7)


@pytest.mark.parametrize("m", [1, 2, 5])
def test_fewer_codes_than_dimensions_are_enough(m):
    codes = torch.randn(m, 8)
    z = drawn(codes, 20)
    assert z.shape == (20, 8)
    assert z.dtype == torch.float32
    assert z.isfinite().all()
    if m == 1:
        torch.testing.assert_close(z, codes.expand(20, 8))


def test_draws_depend_on_the_generator_alone(codes):
    first = drawn(codes, 5)
    torch.manual_seed(9)
    before = torch.get_rng_state()
    assert torch.equal(drawn(codes, 5), first)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("bandwidth", [-1.0, float("nan"), float("inf")])
def test_a_bandwidth_out_of_range_is_refused(codes, bandwidth):
    with pytest.raises(SettingError, match="bandwidth"):
        drawn(codes, 1, KernelDensity(bandwidth))
