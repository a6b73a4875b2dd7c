import pytest
import torch

from attar import SettingError
from attar.codes import Gaussian, Point
from attar.networks import Linear
from attar.penalties import DipI, DipII

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


def test_white_means_are_not_punished(model_of, trace_of):
    model, mean = model_of(Linear(), Gaussian()), white(12, 3)
    anything = torch.randn(12, 3, dtype=DOUBLE)
    assert value_of(DipI(), model, trace_of, mean, anything) == pytest.approx(0, abs=1e-20)


def test_posteriors_that_are_white_together_are_not_punished(model_of, trace_of):
    model, shares = model_of(Linear(), Gaussian()), torch.tensor([0.2, 0.5, 0.9]).double()
    mean = white(12, 3) * shares.sqrt()
    # The variances of the rows differ, but their mean is what is left to 1.
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


def test_the_second_covariance_is_that_of_the_draws(model_of, trace_of):
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
    with pytest.raises(SettingError, match="a gaussian for each row"):
        penalty_of(DipI(), model, x)
