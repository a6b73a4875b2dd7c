import math

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import optimize
from torch.distributions import Independent, Normal

from attar.codes import Flowed, InverseAutoregressive, Planar
from attar.errors import SettingError
from attar.priors import Mixture, StandardNormal

DOUBLE = torch.float64


FLOWS = [Planar(3), InverseAutoregressive(3, (8,))]


flows = {"argvalues": FLOWS, "ids": lambda flow: flow.name}


def built_flow(flow, size, scale=2.0):
    """Return a flow's module and the context of one row, both far from the identity."""
    module = flow.build(size).double()
    return module, scale * torch.randn(1, flow.width(size), dtype=DOUBLE)


def one(module, context):
    """Return the map of a single code (d,)."""
    return lambda z: module(z[None, None], context)[0][0, 0]


@pytest.mark.parametrize("flow", **flows)
@pytest.mark.parametrize("size", [1, 2, 5])
def test_the_log_determinant_is_that_of_the_jacobian(flow, size):
    module, context = built_flow(flow, size)
    z = torch.randn(6, 1, size, dtype=DOUBLE)
    _, log_det = module(z, context)
    for code, found in zip(z[:, 0], log_det[:, 0], strict=True):
        slopes = torch.autograd.functional.jacobian(one(module, context), code)
        assert found.item() == pytest.approx(slopes.det().abs().log().item(), abs=1e-10)


@given(st.lists(st.floats(-30, 30), min_size=7, max_size=7))
def test_a_planar_step_is_invertible(values):
    module, context = Planar(1).build(3), torch.tensor([values], dtype=DOUBLE)
    z, log_det = module(torch.randn(40, 1, 3, dtype=DOUBLE), context)
    assert z.isfinite().all()
    assert log_det.isfinite().all()
    origin = torch.zeros(3, dtype=DOUBLE)
    slopes = torch.autograd.functional.jacobian(one(module, context), origin)
    # The determinant is positive, though it may be less than what rounding leaves of it here.
    expected = module(origin[None, None], context)[1].exp().item()
    assert expected > 0
    assert slopes.det().item() == pytest.approx(expected, abs=1e-9)


@given(st.lists(st.floats(-30, 30), min_size=5, max_size=5))
@example([0.0, 1.0, 0.0, 0.001953125, 2.0])
def test_a_planar_step_is_inverted_along_its_direction(values):
    module, context = Planar(1).build(2), torch.tensor([values], dtype=DOUBLE)
    start = torch.randn(2, dtype=DOUBLE)
    step = one(module, context)
    end = step(start)
    # Far along w or against it tanh is 1 or -1: half the difference of the steps is u.
    w = context[0, 2:4] / context[0, 2:4].square().sum().clamp(min=1e-30) * 1e6
    direction = ((step(w) - w) - (step(-w) + w)) / 2

    def residual(fraction):
        return ((step(end - fraction * direction) - end) @ direction).item()

    if direction.norm() > 1e-6:
        fraction = optimize.brentq(residual, -1.1, 1.1, xtol=1e-14)
        torch.testing.assert_close(step(end - fraction * direction), end, rtol=1e-6, atol=1e-6)


def test_planar_steps_with_u_zero_are_the_identity():
    context = torch.randn(2, Planar(2).width(3), dtype=DOUBLE)
    for step in context.chunk(2, -1):
        step[:, :3] = 0
    z = torch.randn(4, 2, 3, dtype=DOUBLE)
    moved, log_det = Planar(2).build(3)(z, context)
    torch.testing.assert_close(moved, z, rtol=0, atol=1e-15)
    torch.testing.assert_close(log_det, torch.zeros_like(log_det), rtol=0, atol=1e-15)


def test_a_planar_step_moves_codes_along_one_direction_and_keeps_planes():
    module, context = built_flow(Planar(1), 3)
    w = context[0, 3:6]
    z = torch.randn(5, 1, 3, dtype=DOUBLE)
    passthrough = torch.linalg.cross(w, torch.randn(3, dtype=DOUBLE))
    pushes = module(z, context)[0] - z
    torch.testing.assert_close(module(z + passthrough, context)[0] - z - passthrough, pushes)
    assert torch.linalg.matrix_rank(pushes[:, 0], rtol=1e-10) == 1


def test_an_inverse_autoregressive_flow_is_inverted_dimension_by_dimension():
    module, context = built_flow(InverseAutoregressive(3, (8,)), 4)
    z = torch.randn(6, 1, 4, dtype=DOUBLE)
    inverse, _ = module(z, context)
    for network in reversed(module.networks):
        after, inverse = inverse.flip(-1), torch.zeros_like(inverse)
        for _ in range(4):
            inputs = torch.cat([inverse, context.expand(6, 1, -1)], -1)
            mean, gate = network(inputs).unflatten(-1, (-1, 2)).unbind(-1)
            gate = (gate + 2).sigmoid()
            inverse = (after - (1 - gate) * mean) / gate
    torch.testing.assert_close(inverse, z, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("flow", **flows)
def test_a_rows_flow_does_not_depend_on_the_other_rows(flow):
    module = flow.build(3).double()
    z, context = torch.randn(2, 5, 3, dtype=DOUBLE), torch.randn(5, flow.width(3), dtype=DOUBLE)
    together, alone = module(z, context), module(z[:, 2:3], context[2:3])
    for all_rows, row in zip(together, alone, strict=True):
        torch.testing.assert_close(all_rows[:, 2:3], row, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("flow", **flows)
def test_a_flow_starts_near_the_identity(flow):
    size = 16
    module, context = built_flow(flow, size, scale=1.0)
    z = torch.randn(200, 1, size, dtype=DOUBLE)
    moved, log_det = module(z, context)
    # An odd number of steps leaves the dimensions in reversed order.
    moved = moved.flip(-1) if isinstance(flow, InverseAutoregressive) else moved
    assert (moved - z).norm(dim=-1).mean() < 0.6 * math.sqrt(size)
    assert log_det.abs().mean() < 0.5 * size


@pytest.mark.parametrize("flow", **flows)
def test_gradients_are_those_of_finite_differences(flow):
    module, context = built_flow(flow, 2)
    z = torch.randn(3, 1, 2, dtype=DOUBLE, requires_grad=True)
    assert torch.autograd.gradcheck(module, (z, context.requires_grad_()))


@pytest.mark.parametrize("flow", [Planar(0), Planar(True), InverseAutoregressive(0)])
def test_invalid_numbers_of_steps_are_refused(flow):
    with pytest.raises(SettingError, match="integer above 0"):
        flow.build(2)


CODES = [Flowed(), Flowed(flow=InverseAutoregressive(widths=(8,))), Flowed(prior=Mixture(3))]


codes = {"argvalues": CODES, "ids": lambda code: f"{code.flow.name}-{code.prior.name}"}


def built(code, rows=1):
    """Return a code's module for two dimensions, and features of rows."""
    return code.build(2).double(), torch.randn(rows, code.width(2), dtype=DOUBLE)


@pytest.mark.parametrize("code", **codes)
def test_the_mean_of_prior_over_posterior_is_one(code):
    module, features = built(code)
    features[:, 2:4] += 1
    coded = module(features, torch.randn(40_000, 1, 2, dtype=DOUBLE))
    ratio = (coded.log_p - coded.log_q).exp()
    assert ratio.mean().item() == pytest.approx(1, abs=4 * ratio.std().item() / math.sqrt(40_000))


@pytest.mark.parametrize("code", **codes)
def test_the_rate_is_log_q_over_p_and_its_mean_is_positive(code):
    module, features = built(code, 4)
    coded = module(features, torch.randn(5000, 1, 2, dtype=DOUBLE))
    assert torch.equal(coded.rate, coded.log_q - coded.log_p)
    torch.testing.assert_close(coded.log_p, module.prior.log_prob(coded.z))
    assert (coded.rate.mean(0) > 0).all()


@pytest.mark.parametrize("code", **codes)
def test_the_posteriors_density_is_the_gaussians_over_the_determinant(code):
    module, features = built(code)
    mean, log_variance, context = features.split([2, 2, features.shape[1] - 4], -1)
    gaussian = Independent(Normal(mean[0], (log_variance[0] / 2).exp()), 1)
    noise = torch.randn(5, 1, 2, dtype=DOUBLE)
    coded = module(features, noise)
    for k in range(5):
        start = mean[0] + (log_variance[0] / 2).exp() * noise[k, 0]

        def flow(z):
            return module.flow(z[None, None], context)[0][0, 0]

        slopes = torch.autograd.functional.jacobian(flow, start)
        expected = gaussian.log_prob(start) - slopes.det().abs().log()
        assert coded.log_q[k, 0].item() == pytest.approx(expected.item(), abs=1e-10)
        torch.testing.assert_close(coded.z[k, 0], flow(start))


@pytest.mark.parametrize("code", **codes)
def test_the_point_is_the_sample_of_zero_noise(code):
    module, features = built(code, 4)
    drawn = module(features, torch.zeros(1, 1, 2, dtype=DOUBLE)).z[0]
    assert torch.equal(module.point(features), drawn)
    assert torch.equal(module.constrain(drawn), drawn)


@pytest.mark.parametrize("code", **codes)
def test_noise_broadcasts_over_rows(code):
    module, features = built(code, 4)
    noise = torch.randn(5, 1, 2, dtype=DOUBLE)
    shared, each = (module(features, n) for n in (noise, noise.expand(5, 4, 2)))
    for name in ("z", "rate", "log_q", "log_p"):
        torch.testing.assert_close(getattr(shared, name), getattr(each, name))


def test_a_flow_fits_a_bimodal_posterior():
    """The best Gaussian lacks log 2 of the evidence of two modes; a flow lacks less."""

    def gap(steps):
        torch.manual_seed(1)
        code = Flowed(flow=Planar(steps))
        module = code.build(1).double()
        features = (0.1 * torch.randn(1, code.width(1), dtype=DOUBLE)).requires_grad_()
        adam = torch.optim.Adam([features], 0.03)
        for _ in range(250):
            coded = module(features, torch.randn(128, 1, 1, dtype=DOUBLE))
            modes = [Normal(mode, 0.3).log_prob(coded.z[..., 0]) for mode in (-1.5, 1.5)]
            loss = (coded.log_q - torch.stack(modes).logsumexp(0) + math.log(2)).mean()
            adam.zero_grad()
            loss.backward()
            adam.step()
        return loss.item()

    assert gap(8) < 0.3 < math.log(2) - 0.05


def test_the_code_offers_a_density_but_no_moments():
    assert Flowed().provides == {"density"}
    assert Flowed().prior == StandardNormal()
    assert Flowed(flow=Planar(3)).width(5) == 10 + 3 * 11
