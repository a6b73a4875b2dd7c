"""Sparse codes by a penalty or a threshold."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import expit, rel_entr

from attar import SettingError
from attar.codes import Gated, JumpRelu, SparseKL, SparseL1

DOUBLE = torch.float64


def random_gated(seed, size=5):
    """Return a gated code with random weights, and features."""
    generator = torch.Generator().manual_seed(seed)
    code = Gated().build(size).double()
    with torch.no_grad():
        for weight in code.parameters():
            weight.copy_(0.5 * torch.randn(size, dtype=DOUBLE, generator=generator))
    return code, torch.randn(20, size, dtype=DOUBLE, generator=generator)


def module(threshold, bandwidth):
    code = JumpRelu(threshold=threshold, bandwidth=bandwidth).build(1).double()
    torch.nn.init.constant_(code.log_threshold, math.log(threshold))  # in double precision
    return code


def smoothed(function, x, bandwidth, threshold):
    """Return the mean over a rectangle around x of a function that jumps at the threshold."""
    ends = x - bandwidth / 2, x + bandwidth / 2
    middle = np.clip(threshold, *ends)
    return (
        sum(quad(function, *part)[0] for part in ((ends[0], middle), (middle, ends[1]))) / bandwidth
    )


class TestSparseL1:
    def test_units_are_relu_and_the_rate_is_their_sum(self):
        features = torch.tensor([[-1.0, 0.5, 2.0], [-3.0, -0.1, 0.0]])
        coded = SparseL1().build(3)(features)
        assert coded.z.tolist() == [[[0.0, 0.5, 2.0], [0.0, 0.0, 0.0]]]
        assert coded.rate.tolist() == [[2.5, 0.0]]

    def test_the_nearest_valid_code_has_no_negative_unit(self):
        assert SparseL1().build(2).constrain(torch.tensor([[-1.0, 2.0]])).tolist() == [[0.0, 2.0]]

    def test_the_smallest_code_has_one_unit(self):
        assert SparseL1().least_size == 1


class TestSparseKL:
    @given(st.floats(0.01, 0.99), st.integers(0, 1000))
    def test_the_rate_is_the_sum_of_relative_entropies(self, target, seed):
        features = torch.randn(7, 4, dtype=DOUBLE, generator=torch.Generator().manual_seed(seed))
        coded = SparseKL(target).build(4)(features)
        mean = expit(features.numpy()).mean(0)
        expected = (rel_entr(target, mean) + rel_entr(1 - target, 1 - mean)).sum()
        np.testing.assert_allclose(coded.rate.numpy(), np.full((1, 7), expected), rtol=1e-9)

    def test_the_rate_is_zero_at_the_target(self):
        features = torch.full((3, 2), 0.25, dtype=DOUBLE).logit()
        rate = SparseKL(0.25).build(2)(features).rate
        torch.testing.assert_close(rate, torch.zeros_like(rate), rtol=0, atol=1e-15)

    @pytest.mark.parametrize("feature", [-200.0, 200.0])
    def test_the_rate_of_saturated_units_is_finite(self, feature):
        assert SparseKL().build(2)(torch.full((3, 2), feature)).rate.isfinite().all()

    @pytest.mark.parametrize("target", [0, 1, -0.1, 1.1])
    def test_a_target_beyond_0_and_1_is_refused(self, target):
        with pytest.raises(SettingError, match="must lie between 0 and 1"):
            SparseKL(target).build(2)

    def test_the_nearest_valid_code_lies_between_0_and_1(self):
        z = torch.tensor([[-1.0, 0.3, 2.0]])
        assert torch.equal(SparseKL().build(3).constrain(z), torch.tensor([[0.0, 0.3, 1.0]]))


class TestGated:
    @given(st.integers(0, 1000))
    def test_the_code_is_the_magnitude_where_the_gate_is_open(self, seed):
        code, features = random_gated(seed)
        coded = code(features)
        r, b, c = (
            w.detach().numpy() for w in (code.log_scale, code.gate_bias, code.magnitude_bias)
        )
        gate = features.numpy() + b
        magnitude = np.exp(r) * features.numpy() + c
        expected = (gate > 0) * np.maximum(magnitude, 0)
        np.testing.assert_allclose(coded.z[0].detach().numpy(), expected, rtol=1e-12)
        expected = np.maximum(gate, 0).sum(1)
        np.testing.assert_allclose(coded.rate[0].detach().numpy(), expected, rtol=1e-12)

    def test_the_penalty_has_a_gradient_in_the_gates_alone(self):
        code, features = random_gated(0)
        code(features).rate.sum().backward()
        assert code.gate_bias.grad.any()
        assert code.log_scale.grad is None
        assert code.magnitude_bias.grad is None

    def test_the_gates_must_reconstruct_the_row_with_a_frozen_decoder(self):
        code, features = random_gated(1)
        features.requires_grad_()
        decoder, row = torch.nn.Linear(5, 3).double(), torch.randn(20, 3, dtype=DOUBLE)

        def log_likelihood(z):
            return -(row - decoder(z)).square().sum(-1)

        auxiliary_loss = code(features, None, log_likelihood).auxiliary_loss
        opening = (features + code.gate_bias).relu()
        expected = -log_likelihood(opening[None])
        torch.testing.assert_close(auxiliary_loss, expected)
        wanted = torch.autograd.grad(expected.sum(), [features, code.gate_bias])
        auxiliary_loss.sum().backward()
        torch.testing.assert_close((features.grad, code.gate_bias.grad), wanted)
        assert code.log_scale.grad is None
        assert decoder.weight.grad is None
        assert decoder.bias.grad is None

    def test_there_is_no_auxiliary_loss_outside_training_nor_without_a_decoder(self):
        code, features = random_gated(2)
        assert code(features).auxiliary_loss is None
        assert code.eval()(features, None, lambda z: z.sum(-1)).auxiliary_loss is None

    @given(st.integers(0, 1000))
    def test_codes_are_their_own_nearest_valid_codes(self, seed):
        code, features = random_gated(seed)
        z = code.float().point(features.float())
        assert torch.equal(code.constrain(z), z)

    def test_the_nearest_valid_code_is_zero_where_an_open_gate_has_larger_magnitudes(self):
        code = Gated().build(2)
        with torch.no_grad():
            code.gate_bias.copy_(torch.tensor([-1.0, 1.0]))
            code.log_scale.fill_(np.log(2))
        # The first gate opens at π = 1, where the magnitude is 2; the second before any magnitude.
        z = torch.tensor([[1.9, 0.1], [2.1, -0.1]])
        assert torch.equal(code.constrain(z), torch.tensor([[0.0, 0.1], [2.1, 0.0]]))


class TestJumpRelu:
    def test_units_are_active_above_their_thresholds_and_the_rate_is_their_number(self):
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
    def test_the_gradient_of_a_threshold_is_that_of_the_smoothed_step(
        self, threshold, x, bandwidth
    ):
        # Where the kernel's own edge meets the threshold, there is no gradient.
        if abs(abs(x - threshold) - bandwidth / 2) < 1e-3:
            return
        code, step = module(threshold, bandwidth), 1e-4
        coded = code(torch.tensor([[x]], dtype=DOUBLE))
        for value, function in (
            (coded.rate, lambda y, at: float(y > at)),
            (coded.z, lambda y, at: y * (y > at)),
        ):
            (gradient,) = torch.autograd.grad(value.sum(), code.log_threshold, retain_graph=True)
            values = [
                smoothed(lambda y, at=at, f=function: f(y, at), x, bandwidth, at)
                for at in (threshold - step, threshold + step)
            ]
            # The parameter is the threshold's logarithm.
            expected = threshold * (values[1] - values[0]) / (2 * step)
            assert gradient.item() == pytest.approx(expected, abs=1e-6)

    def test_features_have_the_gradient_of_active_units(self):
        features = torch.tensor([[0.1, 0.6, 2.0]], requires_grad=True)
        code = JumpRelu(threshold=0.5, bandwidth=1.0).build(3)
        code(features).z.sum().backward()
        assert features.grad.tolist() == [[0.0, 1.0, 1.0]]
        features.grad = None
        code(features).rate.sum().backward()
        assert features.grad is None or not features.grad.any()

    def test_thresholds_are_trained_in_training_alone(self):
        code = JumpRelu(bandwidth=10.0).build(3).eval()
        coded = code(torch.rand(5, 3, requires_grad=True))
        assert not coded.rate.requires_grad
        coded.z.sum().backward()
        assert code.log_threshold.grad is None

    def test_the_penalty_raises_the_threshold_to_its_optimum(self):
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

    def test_the_nearest_valid_code_is_zero_up_to_the_threshold(self):
        code = JumpRelu(threshold=0.5).build(3)
        z = torch.tensor([[0.4, 0.6, -1.0]])
        assert torch.equal(code.constrain(z), torch.tensor([[0.0, 0.6, 0.0]]))
        features = torch.randn(100, 3)
        assert torch.equal(code.constrain(code.point(features)), code.point(features))

    @pytest.mark.parametrize(
        "wrong", [{"threshold": 0.0}, {"bandwidth": -1.0}, {"threshold": math.inf}]
    )
    def test_threshold_and_bandwidth_must_be_positive(self, wrong):
        with pytest.raises(SettingError, match="must be a number above 0"):
            JumpRelu(**wrong).build(4)
