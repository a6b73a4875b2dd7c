import math

import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from attar.penalties.covariance import total_correlation

DOUBLE = torch.float64


def test_it_is_the_log_ratio_of_a_mixture_and_its_marginals():
    z = torch.randn(4, 3, dtype=DOUBLE)
    mean, log_variance = torch.randn(2, 5, 3, dtype=DOUBLE)
    scale, equal = (log_variance / 2).exp(), Categorical(torch.ones(5, dtype=DOUBLE))
    together = MixtureSameFamily(equal, Independent(Normal(mean, scale), 1)).log_prob(z)
    apart = sum(
        MixtureSameFamily(equal, Normal(mean[:, j], scale[:, j])).log_prob(z[:, j])
        for j in range(3)
    )
    expected = (together - apart).mean().item()
    assert total_correlation(z, mean, log_variance).item() == pytest.approx(expected, rel=1e-12)


def correlated(correlation, rows):
    """Draws, means and log-variances of posteriors which are N(0, R) together."""
    covariance = torch.tensor([[1.0, correlation], [correlation, 1.0]], dtype=DOUBLE)
    width = torch.tensor(0.3 * (1 - abs(correlation)), dtype=DOUBLE)
    root = torch.linalg.cholesky(covariance - width * torch.eye(2, dtype=DOUBLE))
    mean, noise = torch.randn(2, rows, 2, dtype=DOUBLE)
    mean = mean @ root.T
    return mean + width.sqrt() * noise, mean, width.log().expand(rows, 2)


@pytest.mark.parametrize("correlation", [0.0, 0.6, -0.9])
def test_of_a_correlated_normal_it_nears_the_closed_form_as_rows_get_more(correlation):
    expected = -0.5 * math.log(1 - correlation**2)
    few, many = (
        sum(total_correlation(*correlated(correlation, rows)).item() for _ in range(n)) / n
        for rows, n in ((20, 200), (600, 20))
    )
    # A row is among those that it is compared with, which tells too much; by about 1 / rows.
    assert few > expected
    assert abs(many - expected) < (few - expected) / 5
    assert many == pytest.approx(expected, abs=0.03)


def test_weighing_by_the_whole_datas_size_changes_a_constant_alone():
    # Chen et al., equation (S5), for the estimate from a batch B of a data set of N.
    z, mean = torch.randn(6, 3, dtype=DOUBLE), torch.randn(6, 3, dtype=DOUBLE)
    log_variance, rows = torch.randn(6, 3, dtype=DOUBLE), 1000
    each = Normal(mean, (log_variance / 2).exp()).log_prob(z[:, None])
    together = each.sum(-1).logsumexp(1) - math.log(rows * 6)
    apart = (each.logsumexp(1) - math.log(rows * 6)).sum(-1)
    change = (together - apart).mean() - total_correlation(z, mean, log_variance)
    assert change.item() == pytest.approx(2 * math.log(rows), rel=1e-12)


def test_the_slope_of_the_estimate_is_right():
    given = [torch.randn(4, 3, dtype=DOUBLE, requires_grad=True) for _ in range(3)]
    assert torch.autograd.gradcheck(total_correlation, given)
