import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch.distributions import Independent, Normal, kl_divergence

from attar.codes import Gaussian, Ladder
from attar.codes.ladder import divergence, product
from attar.errors import SettingError

DOUBLE = torch.float64
NUMBERS = st.lists(st.floats(-3, 3), min_size=8, max_size=8)


def normal(mean, log_variance):
    return Independent(Normal(mean, (log_variance / 2).exp()), 1)


@pytest.fixture
def ladder():
    return Ladder(3, hidden=8).build(7).double().requires_grad_(False)


@given(NUMBERS)
def test_the_product_of_gaussians_weighs_means_by_precisions(values):
    (m, v), (n, w) = torch.tensor(values, dtype=DOUBLE).reshape(2, 2, 2)
    precisions = (-v).exp(), (-w).exp()
    mean, log_variance = product((m, v), (n, w))
    total = precisions[0] + precisions[1]
    torch.testing.assert_close(log_variance.exp(), 1 / total)
    torch.testing.assert_close(mean, (m * precisions[0] + n * precisions[1]) / total)


@given(NUMBERS)
def test_the_product_of_gaussians_is_the_product_of_densities_but_for_a_constant(values):
    first, second = torch.tensor(values, dtype=DOUBLE).reshape(2, 2, 2)
    z = torch.linspace(-3, 3, 7, dtype=DOUBLE)[:, None].expand(7, 2)
    both = normal(*first).log_prob(z) + normal(*second).log_prob(z)
    rest = both - normal(*product(first, second)).log_prob(z)
    torch.testing.assert_close(rest, rest[:1].expand(7), rtol=1e-9, atol=1e-9)


@given(NUMBERS)
def test_the_divergence_is_the_closed_form_of_torch(values):
    q, p = torch.tensor(values, dtype=DOUBLE).reshape(2, 2, 2)
    expected = kl_divergence(normal(*q), normal(*p))
    torch.testing.assert_close(divergence(q, p), expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(
    ("size", "levels", "sizes"),
    [(16, 3, [4, 4, 8]), (7, 3, [1, 2, 4]), (3, 3, [1, 1, 1]), (5, 1, [5]), (64, 2, [32, 32])],
)
def test_each_level_is_about_as_large_as_all_above_it(size, levels, sizes):
    assert Ladder(levels).build(size).prior.sizes == sizes


@given(st.integers(1, 6), st.integers(0, 40))
def test_each_level_has_a_dimension_and_the_top_is_smallest(levels, more):
    sizes = Ladder(levels).build(levels + more).prior.sizes
    assert len(sizes) == levels
    assert sum(sizes) == levels + more
    assert 1 <= sizes[0] == min(sizes)


def test_the_rate_is_the_mean_of_log_q_over_p(ladder):
    features = torch.randn(2, 14, dtype=DOUBLE)
    coded = ladder(features, torch.randn(40_000, 1, 7, dtype=DOUBLE))
    gap = coded.log_q - coded.log_p - coded.rate
    assert (gap.mean(0).abs() < 4 * gap.std(0) / math.sqrt(40_000)).all()


def test_the_mean_of_prior_over_posterior_is_one(ladder):
    features = 0.3 * torch.randn(1, 14, dtype=DOUBLE)
    coded = ladder(features, torch.randn(40_000, 1, 7, dtype=DOUBLE))
    ratio = (coded.log_p - coded.log_q).exp()
    assert ratio.mean().item() == pytest.approx(1, abs=4 * ratio.std().item() / math.sqrt(40_000))


def test_without_weights_between_levels_the_rate_is_torchs_divergence(ladder):
    for weight in ladder.parameters():
        weight.zero_()
    features = torch.randn(4, 14, dtype=DOUBLE)
    coded = ladder(features, torch.randn(3, 4, 7, dtype=DOUBLE))
    mean, log_variance = features.chunk(2, -1)
    # Below the top, a standard normal is multiplied with what the encoder says.
    precision = (-log_variance).exp() + torch.tensor([0.0] + 6 * [1.0], dtype=DOUBLE)
    q = normal(mean * (-log_variance).exp() / precision, -precision.log())
    p = normal(torch.zeros(4, 7, dtype=DOUBLE), torch.zeros(4, 7, dtype=DOUBLE))
    torch.testing.assert_close(coded.rate, kl_divergence(q, p).expand(3, 4))
    torch.testing.assert_close(coded.log_q, q.log_prob(coded.z))
    torch.testing.assert_close(coded.log_p, p.log_prob(coded.z))
    torch.testing.assert_close(ladder.point(features), q.mean)


def test_the_priors_density_of_samples_is_log_p(ladder):
    coded = ladder(torch.randn(4, 14, dtype=DOUBLE), torch.randn(3, 4, 7, dtype=DOUBLE))
    torch.testing.assert_close(coded.log_p, ladder.prior.log_prob(coded.z))


def test_the_priors_variance_is_bounded(ladder):
    for weight in ladder.parameters():
        weight.mul_(1000)
    above = torch.randn(50, 1, dtype=DOUBLE)
    _, log_variance = ladder.prior.conditional(above, 1)
    assert log_variance.abs().max() == pytest.approx(2)


def test_the_priors_density_integrates_to_one():
    prior = Ladder(2, hidden=4).build(2).double().prior.requires_grad_(False)
    axis = torch.linspace(-12, 12, 400, dtype=DOUBLE)
    total = prior.log_prob(torch.cartesian_prod(axis, axis)).exp().sum() * (axis[1] - axis[0]) ** 2
    assert total.item() == pytest.approx(1, abs=1e-6)


def test_prior_samples_are_conditionally_normal(ladder):
    z = ladder.prior.sample(4000, torch.Generator().manual_seed(0))
    for level, (start, end) in enumerate([(0, 1), (1, 3), (3, 7)]):
        mean, log_variance = ladder.prior.conditional(z[:, :start], level)
        noise = (z[:, start:end] - mean) / (log_variance / 2).exp()
        assert stats.kstest(noise.numpy().ravel(), "norm").pvalue > 0.01


def test_samples_depend_on_the_generator_alone(ladder):
    first = ladder.prior.sample(5, torch.Generator().manual_seed(3))
    torch.manual_seed(9)
    assert torch.equal(ladder.prior.sample(5, torch.Generator().manual_seed(3)), first)


def test_the_point_is_the_sample_of_zero_noise(ladder):
    features = torch.randn(4, 14, dtype=DOUBLE)
    drawn = ladder(features, torch.zeros(1, 1, 7, dtype=DOUBLE)).z[0]
    assert torch.equal(ladder.point(features), drawn)


def test_noise_broadcasts_over_rows(ladder):
    features, noise = torch.randn(4, 14, dtype=DOUBLE), torch.randn(5, 1, 7, dtype=DOUBLE)
    shared, each = (ladder(features, n) for n in (noise, noise.expand(5, 4, 7)))
    for name in ("z", "rate", "log_q", "log_p"):
        torch.testing.assert_close(getattr(shared, name), getattr(each, name))


def test_a_single_level_is_a_gaussian_code():
    features, noise = torch.randn(4, 6), torch.randn(5, 4, 3)
    ladder, gaussian = (code.build(3)(features, noise) for code in (Ladder(1), Gaussian()))
    for name in ("z", "rate", "log_q", "log_p"):
        torch.testing.assert_close(getattr(ladder, name), getattr(gaussian, name))
    torch.manual_seed(0)
    drawn = Ladder(1).build(3).prior.sample(2)
    torch.manual_seed(0)
    assert torch.equal(drawn, torch.randn(2, 3))


def test_the_networks_between_levels_are_stored_once(ladder):
    names = ladder.state_dict().keys()
    assert all(name.startswith("prior.blocks.") for name in names)
    assert len(names) == len({tensor.data_ptr() for tensor in ladder.state_dict().values()}) == 8


def test_gradients_are_those_of_finite_differences(ladder):
    features = torch.randn(2, 14, dtype=DOUBLE, requires_grad=True)
    noise = torch.randn(2, 2, 7, dtype=DOUBLE)

    def outcome(features):
        coded = ladder(features, noise)
        return coded.z, coded.rate, coded.log_q, coded.log_p

    assert torch.autograd.gradcheck(outcome, (features,))


@pytest.mark.parametrize(
    "code", [Ladder(0), Ladder(8), Ladder(2.5), Ladder(hidden=0), Ladder(hidden=1.5)]
)
def test_settings_out_of_range_are_refused(code):
    with pytest.raises(SettingError):
        code.build(7)
