"""DIP and the total correlation."""

import math

import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from attar import SettingError
from attar.codes import Gaussian, Point
from attar.networks import Linear
from attar.penalties import DipI, DipII
from attar.penalties.covariance import total_correlation

DOUBLE = torch.float64


def white(n, d):
    """Rows whose covariance is the identity."""
    rows = torch.randn(n, d, dtype=DOUBLE)
    centred = rows - rows.mean(0)
    return torch.linalg.qr(centred)[0] * n**0.5 + 3


def value_of(penalty, model, trace_of, mean, log_variance):
    moments = (mean, log_variance)
    return penalty.build(model, 3, (5,)).value(trace_of(mean, moments)).item()


def expected(covariance, diagonal):
    total = 0.0
    for i, row in enumerate(covariance.tolist()):
        for j, cell in enumerate(row):
            total += diagonal * (cell - 1) ** 2 if i == j else cell**2
    return total


def test_white_means_have_no_penalty(model_of, trace_of):
    model, mean = model_of(Linear(), Gaussian()), white(12, 3)
    log_variance = torch.randn(12, 3, dtype=DOUBLE)
    assert value_of(DipI(), model, trace_of, mean, log_variance) == pytest.approx(0, abs=1e-20)


def test_a_white_aggregate_posterior_has_no_penalty(model_of, trace_of):
    model, shares = model_of(Linear(), Gaussian()), torch.tensor([0.2, 0.5, 0.9]).double()
    mean = white(12, 3) * shares.sqrt()
    # The variances of the rows differ, but their mean completes the covariance to the identity.
    factor = torch.linspace(0.5, 1.5, 12, dtype=DOUBLE)[:, None]
    log_variance = (factor * (1 - shares)).log()
    assert value_of(DipII(), model, trace_of, mean, log_variance) == pytest.approx(0, abs=1e-20)
    assert value_of(DipI(), model, trace_of, mean, log_variance) > 0.1


@pytest.mark.parametrize("diagonal", [0.0, 1.0, 7.0])
def test_the_penalties_are_their_formulas(diagonal, model_of, trace_of):
    model = model_of(Linear(), Gaussian())
    mean, log_variance = torch.randn(2, 9, 3, dtype=DOUBLE)
    first = torch.cov(mean.T, correction=0)
    second = first + log_variance.exp().mean(0).diag()
    one = value_of(DipI(diagonal=diagonal), model, trace_of, mean, log_variance)
    two = value_of(DipII(diagonal=diagonal), model, trace_of, mean, log_variance)
    assert one == pytest.approx(expected(first, diagonal), rel=1e-12)
    assert two == pytest.approx(expected(second, diagonal), rel=1e-12)


def test_the_second_covariance_is_that_of_posterior_samples(model_of, trace_of):
    mean, log_variance = torch.randn(2, 9, 3, dtype=DOUBLE)
    noise = torch.randn(100_000, 9, 3, dtype=DOUBLE)
    drawn = torch.cov((mean + (log_variance / 2).exp() * noise).flatten(0, 1).T)
    value = value_of(DipII(), model_of(Linear(), Gaussian()), trace_of, mean, log_variance)
    assert value == pytest.approx(expected(drawn, 1.0), rel=0.01)


@pytest.mark.parametrize("penalty", [DipI(diagonal=-1.0), DipII(diagonal=float("nan"))], ids=repr)
def test_a_negative_diagonal_is_refused(penalty, model_of):
    with pytest.raises(SettingError, match=r"diagonal of .* must be 0 or a number above"):
        penalty.build(model_of(Linear(), Gaussian()), 3, (5,))


def test_a_code_without_moments_is_refused(model_of, penalty_of):
    model, x = model_of(Linear(), Point()), torch.randn(4, 5, dtype=DOUBLE)
    with pytest.raises(SettingError, match="needs a code with a Gaussian posterior"):
        penalty_of(DipI(), model, x)


def test_total_correlation_is_the_log_ratio_of_a_mixture_and_its_marginals():
    z = torch.randn(4, 3, dtype=DOUBLE)
    mean, log_variance = torch.randn(2, 5, 3, dtype=DOUBLE)
    scale, equal = (log_variance / 2).exp(), Categorical(torch.ones(5, dtype=DOUBLE))
    joint = MixtureSameFamily(equal, Independent(Normal(mean, scale), 1)).log_prob(z)
    marginals = sum(
        MixtureSameFamily(equal, Normal(mean[:, j], scale[:, j])).log_prob(z[:, j])
        for j in range(3)
    )
    expected = (joint - marginals).mean().item()
    assert total_correlation(z, mean, log_variance).item() == pytest.approx(expected, rel=1e-12)


def correlated(correlation, rows):
    """Samples, means and log-variances of posteriors whose mixture is N(0, R)."""
    covariance = torch.tensor([[1.0, correlation], [correlation, 1.0]], dtype=DOUBLE)
    width = torch.tensor(0.3 * (1 - abs(correlation)), dtype=DOUBLE)
    root = torch.linalg.cholesky(covariance - width * torch.eye(2, dtype=DOUBLE))
    mean, noise = torch.randn(2, rows, 2, dtype=DOUBLE)
    mean = mean @ root.T
    return mean + width.sqrt() * noise, mean, width.log().expand(rows, 2)


@pytest.mark.parametrize("correlation", [0.0, 0.6, -0.9])
def test_total_correlation_of_a_normal_approaches_the_closed_form_with_more_rows(correlation):
    expected = -0.5 * math.log(1 - correlation**2)
    few, many = (
        sum(total_correlation(*correlated(correlation, rows)).item() for _ in range(n)) / n
        for rows, n in ((20, 200), (600, 20))
    )
    # Each code is a sample of one of the components: a bias of about 1 / rows.
    assert few > expected
    assert abs(many - expected) < (few - expected) / 5
    assert many == pytest.approx(expected, abs=0.03)


def test_weights_for_the_size_of_the_whole_data_change_a_constant_alone():
    # Chen et al., equation (S5), for the estimate from a batch B of a data set of N.
    z, mean = torch.randn(6, 3, dtype=DOUBLE), torch.randn(6, 3, dtype=DOUBLE)
    log_variance, rows = torch.randn(6, 3, dtype=DOUBLE), 1000
    each = Normal(mean, (log_variance / 2).exp()).log_prob(z[:, None])
    joint = each.sum(-1).logsumexp(1) - math.log(rows * 6)
    marginals = (each.logsumexp(1) - math.log(rows * 6)).sum(-1)
    change = (joint - marginals).mean() - total_correlation(z, mean, log_variance)
    assert change.item() == pytest.approx(2 * math.log(rows), rel=1e-12)


def test_the_gradient_of_the_total_correlation_is_right():
    inputs = [torch.randn(4, 3, dtype=DOUBLE, requires_grad=True) for _ in range(3)]
    assert torch.autograd.gradcheck(total_correlation, inputs)
