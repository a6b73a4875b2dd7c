import numpy as np
import pytest
import torch
from scipy import stats

from attar.codes import Point
from attar.errors import SettingError
from attar.sampling import KernelDensity

DOUBLE = torch.float64


def drawn(codes, n, sampler=KernelDensity()):  # noqa: B008
    draw = sampler.fit(Point().build(codes.shape[1]), codes)
    return draw(n, torch.Generator().manual_seed(0))


@pytest.fixture
def codes():
    skew = torch.tensor([[2.0, 0.0], [1.5, 0.5]], dtype=DOUBLE)
    return torch.rand(60, 2, dtype=DOUBLE).square() @ skew


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


def test_a_wider_kernel_spreads_in_proportion(codes):
    known = drawn(codes, 500, KernelDensity(0.0))
    near, far = (drawn(codes, 500, KernelDensity(h)) - known for h in (1.0, 3.0))
    torch.testing.assert_close(far, 3 * near)


def test_without_width_known_codes_are_drawn(codes):
    z = drawn(codes, 300, KernelDensity(0.0))
    assert torch.cdist(z, codes).amin(1).max() < 1e-12
    assert len(z.unique(dim=0)) > 50


def test_directions_without_variance_keep_none(codes):
    flat = torch.cat([codes, codes.sum(1, keepdim=True), torch.full((60, 1), 0.7)], 1)
    z = drawn(flat, 200)
    torch.testing.assert_close(z[:, 2], z[:, 0] + z[:, 1], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(z[:, 3], torch.full((200,), 0.7, dtype=DOUBLE), rtol=0, atol=1e-7)


@pytest.mark.parametrize("m", [1, 2, 5])
def test_few_codes_of_many_numbers_are_enough(m):
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
