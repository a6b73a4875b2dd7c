"""Muon: steps of matrices with equal singular values."""

import numpy as np
import pytest
import torch
from torch import nn

from attar.training import Optimizer
from attar.training.muon import Muon, inverse_root
from attar.training.muon import polar as products

DOUBLE = torch.float64


def polar(matrix):
    """Return the nearest matrix with orthonormal rows or columns."""
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    return left @ right


def steps_of(weight, gradients, **settings):
    optimizer = Muon([weight], lr=1.0, weight_decay=0.0, **settings)
    steps = []
    for gradient in gradients:
        before, weight.grad = weight.detach().clone(), gradient.reshape(weight.shape).clone()
        optimizer.step()
        steps.append((weight.detach() - before).flatten(1))
    return steps


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 4), (4, 2, 3, 1)])
def test_steps_are_orthogonal_with_nesterovs_momentum(shape):
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(shape, dtype=DOUBLE))
    gradients = [torch.randn(shape, dtype=DOUBLE).flatten(1) for _ in range(3)]
    mean = torch.zeros_like(gradients[0])
    for step, gradient in zip(steps_of(weight, gradients, every=1), gradients, strict=True):
        mean = 0.95 * mean + 0.05 * gradient
        size = 0.2 * np.sqrt(max(gradient.shape))
        torch.testing.assert_close(step, -size * polar(0.05 * gradient + 0.95 * mean))
    assert np.isclose(step.square().mean().sqrt(), 0.2)


def test_a_whitening_is_reused():
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(3, 4, dtype=DOUBLE))
    gradients = [torch.randn(3, 4, dtype=DOUBLE) for _ in range(3)]
    _, second, third = steps_of(weight, gradients, every=2, momentum=0.0)
    first = gradients[0]
    reused = (polar(first) @ first.T).inverse() @ gradients[1]
    torch.testing.assert_close(second, -0.4 * np.sqrt(3) * reused / reused.norm())
    torch.testing.assert_close(third, -0.4 * polar(gradients[2]))


def test_directions_without_a_gradient_get_no_step():
    weight = nn.Parameter(torch.zeros(3, 4))
    one, other = torch.tensor([1.0, 2.0, -2.0]) / 3, torch.tensor([0.5, 0.5, -0.5, 0.5])
    (step,) = steps_of(weight, [torch.outer(one, other)])
    torch.testing.assert_close(step, -0.4 * torch.outer(one, other), atol=1e-5, rtol=0)
    (still,) = steps_of(weight, [torch.zeros(3, 4)])
    assert not still.any()


def test_matrices_decay_and_vectors_do_not():
    matrix, vector = nn.Parameter(torch.ones(2, 3)), nn.Parameter(torch.ones(3))
    matrix.grad, vector.grad = torch.zeros(2, 3), torch.zeros(3)
    Muon([matrix, vector], lr=0.1, weight_decay=0.5).step()
    torch.testing.assert_close(matrix, torch.full((2, 3), 0.95))
    assert torch.equal(vector, torch.ones(3))


def test_vectors_make_adams_steps():
    torch.manual_seed(0)
    shapes = [(5,), (1, 4), (4, 1), ()]
    ours = [nn.Parameter(torch.ones(shape)) for shape in shapes]
    theirs = [nn.Parameter(torch.ones(shape)) for shape in shapes]
    optimizers = (
        Muon(ours, lr=0.2, eps=1e-6, adam_rate=0.5),
        torch.optim.Adam(theirs, 0.1, (0.9, 0.99), 1e-6),
    )
    for _ in range(3):
        for one, other in zip(ours, theirs, strict=True):
            one.grad = torch.randn_like(one)
            other.grad = one.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)


def test_the_steps_of_a_relative_group_are_adams_in_proportion_to_the_weight():
    torch.manual_seed(0)
    ours, theirs = (nn.Parameter(torch.full((2, 3), 4.0)) for _ in range(2))
    optimizer = Muon([{"params": [ours], "relative": True}], lr=0.2, eps=1e-6, relative_rate=0.25)
    adam = torch.optim.Adam([theirs], 4 * 0.25 * 0.2, (0.9, 0.99), 1e-6)
    ours.grad = torch.randn(2, 3)
    theirs.grad = ours.grad.clone()
    optimizer.step()
    adam.step()
    torch.testing.assert_close(ours, theirs)
    assert optimizer.param_groups[0]["lr"] == 0.2


def test_a_gradient_that_is_not_finite_stops_nothing():
    weight = nn.Parameter(torch.zeros(2, 3))
    (step,) = steps_of(weight, [torch.full((2, 3), torch.nan)])
    assert step.isnan().all()


def test_the_inverse_root_keeps_small_eigenvalues_finite():
    values = torch.tensor([4.0, 1.0, 0.0], dtype=DOUBLE)
    basis = torch.linalg.qr(torch.randn(3, 3, dtype=DOUBLE)).Q
    root = inverse_root((basis * values) @ basis.T)
    expected = torch.tensor([0.5, 1.0, 50.0], dtype=DOUBLE)
    torch.testing.assert_close(root, (basis * expected) @ basis.T)
    assert inverse_root(torch.zeros(2, 2)).isfinite().all()


def test_it_is_named_and_its_eps_has_a_gradients_unit():
    built = Optimizer("muon", {"every": 3}).build([nn.Parameter(torch.ones(2))], 0.5, cells=4)
    assert isinstance(built, Muon)
    assert built.every == 3
    assert built.param_groups[0]["lr"] == 0.5
    assert built.param_groups[0]["eps"] == 1e-8 / 4
    assert Optimizer("muon").learning_rate == 0.02


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (40, 40)])
def test_products_find_the_nearest_orthogonal_matrix(shape):
    torch.manual_seed(0)
    matrix = torch.randn(shape, dtype=DOUBLE)
    found = products(matrix)
    values = torch.linalg.svdvals(matrix)
    kept = torch.linalg.svdvals(found)[values > 1e-3 * matrix.norm()]
    torch.testing.assert_close(kept, torch.ones_like(kept), atol=1e-3, rtol=0)
    torch.testing.assert_close(products(1e-20 * matrix), found)


def test_products_leave_no_gradient_as_it_is():
    assert not products(torch.zeros(3, 4)).any()
