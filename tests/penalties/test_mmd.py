"""MMD and the sliced Wasserstein distance."""

import math

import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch.nn.functional import normalize

from attar import SettingError
from attar.codes import Point
from attar.networks import Linear
from attar.parts import Part
from attar.penalties import (
    GaussianKernel,
    InverseMultiquadratic,
    MaximumMeanDiscrepancy,
    SlicedWasserstein,
)
from attar.penalties.mmd import sliced_distance, squared_discrepancy
from attar.priors import StandardNormal

DOUBLE = torch.float64
KERNELS = [InverseMultiquadratic(), GaussianKernel(), GaussianKernel((0.7,))]


def similarity(kernel, x, y):
    """The kernel of two codes, as it is written in its formula."""
    square = sum((a - b) ** 2 for a, b in zip(x.tolist(), y.tolist(), strict=True))
    widths = [scale * 2 * len(x) for scale in kernel.scales]
    if isinstance(kernel, GaussianKernel):
        return sum(math.exp(-square / s) for s in widths) / len(widths)
    return sum(s / (s + square) for s in widths) / len(widths)


@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
def test_the_discrepancy_is_a_mean_over_pairs_of_different_codes(kernel):
    z, p = torch.randn(5, 3, dtype=DOUBLE), torch.randn(4, 3, dtype=DOUBLE)
    expected = -2 * sum(similarity(kernel, a, b) for a in z for b in p) / 20
    for codes, n in ((z, 5), (p, 4)):
        pairs = [(i, j) for i in range(n) for j in range(n) if i != j]
        expected += sum(similarity(kernel, codes[i], codes[j]) for i, j in pairs) / len(pairs)
    assert squared_discrepancy(z, p, kernel).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("shift", [0.0, 1.5])
def test_the_discrepancy_of_shifted_normals_is_the_closed_form_in_the_mean(shift, near):
    # E exp(-|x - y|² / s) with x - y ~ N(shift, 2 I) is (1 + 4/s)^(-d/2) exp(-|shift|² / (s + 4)).
    d, kernel = 2, GaussianKernel((0.5, 2.0))
    expected = 0.0
    for s in (scale * 2 * d for scale in kernel.scales):
        far = 1 - math.exp(-d * shift**2 / (s + 4))
        expected += (1 + 4 / s) ** (-d / 2) * far / len(kernel.scales) * 2
    pairs = torch.randn(800, 2, 20, d, dtype=DOUBLE)
    values = [squared_discrepancy(x + shift, y, kernel) for x, y in pairs]
    near(torch.stack(values), expected)


def test_the_estimate_of_equal_distributions_is_unbiased(near):
    pairs = torch.randn(800, 2, 15, 3, dtype=DOUBLE)
    values = torch.stack([squared_discrepancy(x, y, InverseMultiquadratic()) for x, y in pairs])
    near(values, 0.0)
    assert (values < 0).any()


def test_codes_are_compared_with_samples_of_their_prior(model_of, trace_of, near):
    model = model_of(Linear(), Point(prior=StandardNormal()))
    value = MaximumMeanDiscrepancy().build(model, 3, (5,)).value
    values = [value(trace_of(torch.randn(20, 3, dtype=DOUBLE))) for _ in range(500)]
    near(torch.stack(values), 0.0)
    far = value(trace_of(torch.randn(20, 3, dtype=DOUBLE) + 5))
    assert far > 0.5


def test_equal_codes_have_a_gradient_that_is_finite():
    z = torch.ones(6, 3, dtype=DOUBLE).requires_grad_()
    squared_discrepancy(z, torch.randn(6, 3, dtype=DOUBLE), InverseMultiquadratic()).backward()
    assert z.grad.isfinite().all()


def test_the_gradient_of_the_discrepancy_is_right():
    z = torch.randn(4, 3, dtype=DOUBLE, requires_grad=True)
    p = torch.randn(4, 3, dtype=DOUBLE)
    for kernel in KERNELS:
        assert torch.autograd.gradcheck(lambda z, k=kernel: squared_discrepancy(z, p, k), z)


def test_a_penalty_with_a_kernel_survives_json():
    penalty = MaximumMeanDiscrepancy(3.0, GaussianKernel((1.0, 2.0)))
    assert Part.from_json(penalty.to_json()) == penalty


@pytest.mark.parametrize("scales", [(), (1.0, 0.0), (math.nan,), (math.inf,)])
def test_invalid_scales_are_refused(scales, model_of):
    model = model_of(Linear(), Point(prior=StandardNormal()))
    with pytest.raises(SettingError, match=r"scales of .* (are empty|must be a number above 0)"):
        MaximumMeanDiscrepancy(kernel=GaussianKernel(scales)).build(model, 3, (5,))


def test_a_code_without_a_prior_is_refused(model_of):
    with pytest.raises(SettingError, match="'mmd' needs a code with a prior"):
        MaximumMeanDiscrepancy().build(model_of(Linear(), Point()), 3, (5,))


def test_along_a_direction_the_distance_is_the_optimal_assignment():
    z, p = torch.randn(7, 3, dtype=DOUBLE), torch.randn(7, 3, dtype=DOUBLE)
    directions = normalize(torch.randn(4, 3, dtype=DOUBLE), dim=1)
    expected = 0.0
    for direction in directions:
        costs = ((z @ direction)[:, None] - (p @ direction)).square().numpy()
        rows, columns = linear_sum_assignment(costs)
        expected += costs[rows, columns].mean() / 4
    assert sliced_distance(z, p, directions).item() == pytest.approx(expected, rel=1e-12)


def test_the_distance_of_a_shift_is_its_squared_norm_over_the_dimensions(near):
    p, shift = torch.randn(9, 4, dtype=DOUBLE), torch.tensor([1.0, -2.0, 0.5, 0.0]).double()
    directions = normalize(torch.randn(4000, 4, dtype=DOUBLE), dim=1)
    distances = torch.stack([sliced_distance(p + shift, p, one[None]) for one in directions])
    near(distances, shift.square().sum().item() / 4)


def test_shifted_codes_have_the_distance_of_their_shift(model_of, trace_of, near):
    model = model_of(Linear(), Point(prior=StandardNormal()))
    value = SlicedWasserstein(directions=40).build(model, 3, (5,)).value
    pairs = [torch.randn(800, 3, dtype=DOUBLE) for _ in range(25)]
    none = torch.stack([value(trace_of(z)) for z in pairs]).mean().item()
    assert none < 0.01
    shifted = torch.stack([value(trace_of(z + 2)) for z in pairs])
    near(shifted - none, 4.0)


def test_the_gradient_of_the_distance_is_right():
    z, p = torch.randn(5, 3, dtype=DOUBLE, requires_grad=True), torch.randn(5, 3, dtype=DOUBLE)
    directions = normalize(torch.randn(4, 3, dtype=DOUBLE), dim=1)
    assert torch.autograd.gradcheck(lambda z: sliced_distance(z, p, directions), z)


@pytest.mark.parametrize("directions", [0, 1.5])
def test_an_invalid_number_of_directions_is_refused(directions, model_of):
    model = model_of(Linear(), Point(prior=StandardNormal()))
    with pytest.raises(SettingError, match=r"directions of .* must be an integer above 0"):
        SlicedWasserstein(directions=directions).build(model, 3, (5,))
