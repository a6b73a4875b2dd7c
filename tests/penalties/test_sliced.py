import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch.nn.functional import normalize

from attar import SettingError
from attar.codes import Point
from attar.networks import Linear
from attar.penalties import Sliced
from attar.penalties.mmd import sliced_distance
from attar.priors import StandardNormal

DOUBLE = torch.float64


def test_along_a_direction_it_is_the_cheapest_pairing():
    z, p = torch.randn(7, 3, dtype=DOUBLE), torch.randn(7, 3, dtype=DOUBLE)
    directions = normalize(torch.randn(4, 3, dtype=DOUBLE), dim=1)
    expected = 0.0
    for direction in directions:
        costs = ((z @ direction)[:, None] - (p @ direction)).square().numpy()
        rows, columns = linear_sum_assignment(costs)
        expected += costs[rows, columns].mean() / 4
    assert sliced_distance(z, p, directions).item() == pytest.approx(expected, rel=1e-12)


def test_a_shift_counts_its_squared_length_over_the_dimensions(near):
    p, shift = torch.randn(9, 4, dtype=DOUBLE), torch.tensor([1.0, -2.0, 0.5, 0.0]).double()
    directions = normalize(torch.randn(4000, 4, dtype=DOUBLE), dim=1)
    distances = torch.stack([sliced_distance(p + shift, p, one[None]) for one in directions])
    near(distances, shift.square().sum().item() / 4)


def test_far_codes_are_as_far_from_the_prior_as_they_are_shifted(model_of, trace_of, near):
    model = model_of(Linear(), Point(prior=StandardNormal()))
    value = Sliced(directions=40).build(model, 3, (5,)).value
    pairs = [torch.randn(800, 3, dtype=DOUBLE) for _ in range(25)]
    none = torch.stack([value(trace_of(z)) for z in pairs]).mean().item()
    assert none < 0.01
    shifted = torch.stack([value(trace_of(z + 2)) for z in pairs])
    near(shifted - none, 4.0)


def test_the_slope_of_the_distance_is_right():
    z, p = torch.randn(5, 3, dtype=DOUBLE, requires_grad=True), torch.randn(5, 3, dtype=DOUBLE)
    directions = normalize(torch.randn(4, 3, dtype=DOUBLE), dim=1)
    assert torch.autograd.gradcheck(lambda z: sliced_distance(z, p, directions), z)


@pytest.mark.parametrize("directions", [0, 1.5])
def test_what_is_no_count_of_directions_is_refused(directions, model_of):
    model = model_of(Linear(), Point(prior=StandardNormal()))
    with pytest.raises(SettingError, match=r"directions of .* must be an integer above 0"):
        Sliced(directions=directions).build(model, 3, (5,))
