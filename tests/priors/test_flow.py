import numpy as np
import pytest
import torch
from scipy import stats

from attar.codes import Gaussian
from attar.errors import SettingError
from attar.priors import NormalizingFlow, StandardNormal

DOUBLE = torch.float64


@pytest.fixture
def prior():
    """A flow far from the identity."""
    module = NormalizingFlow(2, (16,), 6).build(2).double().requires_grad_(False)
    for weight in module.parameters():
        weight.copy_(0.3 * torch.randn_like(weight))
    return module


def to_base(prior, z):
    """Return the standard normals that codes are sent to."""
    return prior.flow().transform(z)


def test_the_density_integrates_to_one(prior):
    axis = torch.linspace(-8, 8, 401, dtype=DOUBLE)
    total = prior.log_prob(torch.cartesian_prod(axis, axis)).exp().sum() * (axis[1] - axis[0]) ** 2
    assert total.item() == pytest.approx(1, abs=1e-4)


def test_the_density_is_the_normals_times_the_determinant_of_the_jacobian(prior):
    z = torch.randn(6, 2, dtype=DOUBLE)
    normal = StandardNormal().build(2)
    for one, found in zip(z, prior.log_prob(z), strict=True):
        slopes = torch.autograd.functional.jacobian(lambda x: to_base(prior, x), one)
        expected = normal.log_prob(to_base(prior, one)) + slopes.det().abs().log()
        assert found.item() == pytest.approx(expected.item(), abs=1e-10)


def test_draws_go_back_to_the_normals_they_were_made_of(prior):
    z = prior.sample(2000, torch.Generator().manual_seed(0))
    normals = torch.randn(2000, 2, generator=torch.Generator().manual_seed(0)).double()
    torch.testing.assert_close(to_base(prior, z), normals, rtol=0, atol=1e-6)


def test_draws_have_the_density(prior):
    z = prior.sample(4000, torch.Generator().manual_seed(0)).numpy()
    axis = torch.linspace(-8, 8, 301, dtype=DOUBLE)
    step = (axis[1] - axis[0]).item()
    cells = prior.log_prob(torch.cartesian_prod(axis, axis)).exp().reshape(301, 301) * step**2
    for column, other in ((0, 1), (1, 0)):
        below = np.interp(z[:, column], axis + step / 2, cells.sum(other).cumsum(0))
        assert stats.kstest(below, "uniform").pvalue > 0.01


def test_draws_depend_on_the_generator_alone(prior):
    first = prior.sample(5, torch.Generator().manual_seed(3))
    torch.manual_seed(9)
    before = torch.get_rng_state()
    assert torch.equal(prior.sample(5, torch.Generator().manual_seed(3)), first)
    assert torch.equal(torch.get_rng_state(), before)


def test_codes_beyond_the_splines_are_left_alone(prior):
    z = torch.tensor([[7.0, -9.0]], dtype=DOUBLE)
    expected = StandardNormal().build(2).log_prob(z)
    torch.testing.assert_close(prior.log_prob(z), expected)


def test_gradients_are_those_of_finite_differences(prior):
    z = torch.randn(3, 2, dtype=DOUBLE, requires_grad=True)
    assert torch.autograd.gradcheck(prior.log_prob, (z,))


@pytest.mark.parametrize("size", [1, 2, 5])
def test_a_flow_without_memory_takes_weights_from_a_file(size):
    prior = NormalizingFlow(widths=(8,)).build(size)
    with torch.device("meta"):
        other = NormalizingFlow(widths=(8,)).build(size)
    other.load_state_dict(prior.state_dict(), assign=True)
    z = torch.randn(4, size)
    assert torch.equal(other.log_prob(z), prior.log_prob(z))


def test_a_gaussian_code_pays_log_q_over_p():
    module = Gaussian(prior=NormalizingFlow(widths=(8,))).build(2)
    coded = module(torch.randn(3, 4), torch.randn(5, 3, 2))
    torch.testing.assert_close(coded.log_p, module.prior.log_prob(coded.z))
    torch.testing.assert_close(coded.rate, coded.log_q - coded.log_p)


@pytest.mark.parametrize(
    "wrong", [{"transforms": 0}, {"transforms": 1.5}, {"bins": 1}, {"bins": 2.5}, {"widths": (0,)}]
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(SettingError):
        NormalizingFlow(**wrong).build(2)
