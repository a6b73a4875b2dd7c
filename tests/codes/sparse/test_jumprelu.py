import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from attar import SettingError
from attar.codes import JumpRelu

DOUBLE = torch.float64


def module(threshold, bandwidth):
    return JumpRelu(threshold=threshold, bandwidth=bandwidth).build(1).double()


def smoothed(function, x, bandwidth, threshold):
    """Return the mean over a rectangle around x of a function that jumps at the threshold."""
    ends = x - bandwidth / 2, x + bandwidth / 2
    middle = np.clip(threshold, *ends)
    return (
        sum(quad(function, *part)[0] for part in ((ends[0], middle), (middle, ends[1]))) / bandwidth
    )


def test_units_are_active_above_their_thresholds_and_pay_for_it():
    code = JumpRelu().build(3)
    with torch.no_grad():
        code.log_threshold.copy_(torch.tensor([0.5, 1.0, 2.0]).log())
    features = torch.tensor([[0.6, 0.9, 3.0], [-4.0, 1.1, 1.9], [0.4, 0.0, 0.0]])
    for coded in (code(features), code.eval()(features)):
        assert (
            coded.z.tolist()
            == torch.tensor([[[0.6, 0.0, 3.0], [0.0, 1.1, 0.0], [0.0, 0.0, 0.0]]]).tolist()
        )
        assert coded.rate.tolist() == [[2.0, 1.0, 0.0]]


@given(st.floats(0.3, 2.0), st.floats(-1.0, 3.0), st.floats(0.05, 0.5))
def test_a_thresholds_slope_is_that_of_the_smoothed_step(threshold, x, bandwidth):
    # Where the kernel's own edge meets the threshold, there is no slope.
    if abs(abs(x - threshold) - bandwidth / 2) < 1e-3:
        return
    code, step = module(threshold, bandwidth), 1e-4
    coded = code(torch.tensor([[x]], dtype=DOUBLE))
    for value, function in (
        (coded.rate, lambda y, at: float(y > at)),
        (coded.z, lambda y, at: y * (y > at)),
    ):
        (slope,) = torch.autograd.grad(value.sum(), code.log_threshold, retain_graph=True)
        rise = [
            smoothed(lambda y, at=at, f=function: f(y, at), x, bandwidth, at)
            for at in (threshold - step, threshold + step)
        ]
        # The parameter is the threshold's logarithm.
        expected = threshold * (rise[1] - rise[0]) / (2 * step)
        assert slope.item() == pytest.approx(expected, abs=1e-6)


def test_features_have_the_slope_of_what_is_active():
    features = torch.tensor([[0.1, 0.6, 2.0]], requires_grad=True)
    code = JumpRelu(threshold=0.5, bandwidth=1.0).build(3)
    code(features).z.sum().backward()
    assert features.grad.tolist() == [[0.0, 1.0, 1.0]]
    features.grad = None
    code(features).rate.sum().backward()
    assert features.grad is None or not features.grad.any()


def test_thresholds_learn_in_training_alone():
    code = JumpRelu(bandwidth=10.0).build(3).eval()
    coded = code(torch.rand(5, 3, requires_grad=True))
    assert not coded.rate.requires_grad
    coded.z.sum().backward()
    assert code.log_threshold.grad is None


def test_a_higher_price_raises_the_threshold():
    """With one unit of uniform activity, the best threshold of z² / 2 = β is √(2β)."""
    code, beta = JumpRelu(threshold=0.3, bandwidth=0.2).build(1), 0.18
    optimizer = torch.optim.Adam(code.parameters(), 0.01)
    x = torch.linspace(0, 2, 2001)[:, None]
    for _ in range(400):
        coded = code(x)
        loss = ((coded.z[0] - x).square().sum(-1) / 2 + beta * coded.rate[0]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert code.log_threshold.exp().item() == pytest.approx(math.sqrt(2 * beta), abs=0.03)


def test_the_nearest_valid_code_has_nothing_up_to_the_threshold():
    code = JumpRelu(threshold=0.5).build(3)
    z = torch.tensor([[0.4, 0.6, -1.0]])
    assert torch.equal(code.constrain(z), torch.tensor([[0.0, 0.6, 0.0]]))
    features = torch.randn(100, 3)
    assert torch.equal(code.constrain(code.point(features)), code.point(features))


@pytest.mark.parametrize(
    "wrong", [{"threshold": 0.0}, {"bandwidth": -1.0}, {"threshold": math.inf}]
)
def test_threshold_and_bandwidth_must_be_positive(wrong):
    with pytest.raises(SettingError, match="must be a number above 0"):
        JumpRelu(**wrong).build(4)
