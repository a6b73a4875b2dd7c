import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize

from attar.codes.flowed import InverseAutoregressive, Planar
from attar.errors import SettingError

DOUBLE = torch.float64
FLOWS = [Planar(3), InverseAutoregressive(3, (8,))]
ids = {"argvalues": FLOWS, "ids": lambda flow: flow.name}


def built(flow, size, scale=2.0):
    """Return a flow's module and the context of one row, both far from the identity."""
    module = flow.build(size).double()
    return module, scale * torch.randn(1, flow.width(size), dtype=DOUBLE)


def one(module, context):
    """Return the map of a single code (d,)."""
    return lambda z: module(z[None, None], context)[0][0, 0]


@pytest.mark.parametrize("flow", **ids)
@pytest.mark.parametrize("size", [1, 2, 5])
def test_the_log_determinant_is_that_of_the_jacobian(flow, size):
    module, context = built(flow, size)
    z = torch.randn(6, 1, size, dtype=DOUBLE)
    _, log_det = module(z, context)
    for code, found in zip(z[:, 0], log_det[:, 0], strict=True):
        slopes = torch.autograd.functional.jacobian(one(module, context), code)
        assert found.item() == pytest.approx(slopes.det().abs().log().item(), abs=1e-10)


@given(st.lists(st.floats(-30, 30), min_size=7, max_size=7))
def test_a_planar_step_can_always_be_undone(numbers):
    module, context = Planar(1).build(3), torch.tensor([numbers], dtype=DOUBLE)
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
def test_a_planar_step_is_undone_along_its_push(numbers):
    module, context = Planar(1).build(2), torch.tensor([numbers], dtype=DOUBLE)
    start = torch.randn(2, dtype=DOUBLE)
    step = one(module, context)
    goal = step(start)
    # Far along w or against it tanh is 1 or -1: half the difference of pushes is u.
    w = 1e6 * context[0, 2:4]
    push = ((step(w) - w) - (step(-w) + w)) / 2

    def beyond(share):
        return ((step(goal - share * push) - goal) @ push).item()

    if push.norm() > 1e-6:
        share = optimize.brentq(beyond, -1.1, 1.1, xtol=1e-14)
        torch.testing.assert_close(step(goal - share * push), goal, rtol=1e-6, atol=1e-6)


def test_planar_steps_without_push_are_the_identity():
    context = torch.randn(2, Planar(2).width(3), dtype=DOUBLE)
    for step in context.chunk(2, -1):
        step[:, :3] = 0
    z = torch.randn(4, 2, 3, dtype=DOUBLE)
    moved, log_det = Planar(2).build(3)(z, context)
    torch.testing.assert_close(moved, z, rtol=0, atol=1e-15)
    torch.testing.assert_close(log_det, torch.zeros_like(log_det), rtol=0, atol=1e-15)


def test_a_planar_step_moves_codes_along_one_direction_and_keeps_planes():
    module, context = built(Planar(1), 3)
    w = context[0, 3:6]
    z = torch.randn(5, 1, 3, dtype=DOUBLE)
    passthrough = torch.linalg.cross(w, torch.randn(3, dtype=DOUBLE))
    pushes = module(z, context)[0] - z
    torch.testing.assert_close(module(z + passthrough, context)[0] - z - passthrough, pushes)
    assert torch.linalg.matrix_rank(pushes[:, 0], rtol=1e-10) == 1


def test_an_inverse_autoregressive_flow_is_undone_number_by_number():
    module, context = built(InverseAutoregressive(3, (8,)), 4)
    z = torch.randn(6, 1, 4, dtype=DOUBLE)
    back, _ = module(z, context)
    for network in reversed(module.networks):
        after, back = back.flip(-1), torch.zeros_like(back)
        for _ in range(4):
            seen = torch.cat([back, context.expand(6, 1, -1)], -1)
            guess, gate = network(seen).unflatten(-1, (-1, 2)).unbind(-1)
            gate = (gate + 2).sigmoid()
            back = (after - (1 - gate) * guess) / gate
    torch.testing.assert_close(back, z, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("flow", **ids)
def test_a_rows_flow_does_not_depend_on_the_other_rows(flow):
    module = flow.build(3).double()
    z, context = torch.randn(2, 5, 3, dtype=DOUBLE), torch.randn(5, flow.width(3), dtype=DOUBLE)
    together, alone = module(z, context), module(z[:, 2:3], context[2:3])
    for all_rows, row in zip(together, alone, strict=True):
        torch.testing.assert_close(all_rows[:, 2:3], row, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("flow", **ids)
def test_a_flow_starts_near_the_identity(flow):
    size = 16
    module, context = built(flow, size, scale=1.0)
    z = torch.randn(200, 1, size, dtype=DOUBLE)
    moved, log_det = module(z, context)
    # An odd number of steps leaves the numbers in reversed order.
    moved = moved.flip(-1) if isinstance(flow, InverseAutoregressive) else moved
    assert (moved - z).norm(dim=-1).mean() < 0.6 * math.sqrt(size)
    assert log_det.abs().mean() < 0.5 * size


@pytest.mark.parametrize("flow", **ids)
def test_gradients_are_those_of_finite_differences(flow):
    module, context = built(flow, 2)
    z = torch.randn(3, 1, 2, dtype=DOUBLE, requires_grad=True)
    assert torch.autograd.gradcheck(module, (z, context.requires_grad_()))


@pytest.mark.parametrize("flow", [Planar(0), Planar(True), InverseAutoregressive(0)])
def test_steps_that_are_no_number_are_refused(flow):
    with pytest.raises(SettingError, match="integer above 0"):
        flow.build(2)
