import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mpmath import besseli
from scipy import stats

from attar.codes import Sphere, UniformSphere
from attar.errors import SettingError

DOUBLE = torch.float64


def features(direction, kappa):
    """The features of a mean direction (d,) and a concentration."""
    d = len(direction)
    softplus = kappa / math.sqrt(d) - 1
    last = torch.tensor([math.log(math.expm1(softplus))], dtype=DOUBLE)
    return torch.cat([torch.as_tensor(direction, dtype=DOUBLE), last])[None]


def coded(direction, kappa, draws):
    d = len(direction)
    noise = torch.randn(draws, 1, d + 1, dtype=DOUBLE)
    return Sphere().build(d)(features(direction, kappa), noise)


@pytest.mark.parametrize(("size", "kappa"), [(2, 3.0), (3, 2.0), (3, 50.0), (10, 12.0)])
def test_densities_are_those_of_scipy(size, kappa):
    direction = torch.randn(size, dtype=DOUBLE)
    law = stats.vonmises_fisher((direction / direction.norm()).numpy(), kappa)
    found = coded(direction, kappa, 20)
    expected = torch.from_numpy(law.logpdf(found.z[:, 0].numpy()))
    torch.testing.assert_close(found.log_q[:, 0], expected, rtol=1e-8, atol=1e-8)
    area = 2 * math.pi ** (size / 2) / math.gamma(size / 2)
    torch.testing.assert_close(found.log_p, torch.full_like(found.log_p, -math.log(area)))


@pytest.mark.parametrize("size", [2, 3, 16, 512])
def test_draws_lie_on_the_sphere_with_the_mean_that_theory_gives_them(size):
    kappa = 3 * math.sqrt(size)
    z = coded([1.0] + [0.0] * (size - 1), kappa, 4000).z[:, 0]
    torch.testing.assert_close(z.norm(dim=1), torch.ones(4000, dtype=DOUBLE))
    expected = torch.zeros(size, dtype=DOUBLE)
    order = size / 2
    expected[0] = float(besseli(order, kappa) / besseli(order - 1, kappa))
    assert ((z.mean(0) - expected).abs() < 5 * z.std(0) / 4000**0.5).all()


@pytest.mark.parametrize(("size", "kappa"), [(2, 2.0), (3, 4.0), (8, 5.0)])
def test_the_mean_weight_is_one_and_the_rate_the_mean_of_log_q_over_p(size, kappa):
    found = coded(torch.randn(size), kappa, 40_000)
    logs = found.log_q - found.log_p
    weights = (-logs).exp()
    assert weights.mean().item() == pytest.approx(1, abs=4 * weights.std().item() / 200)
    assert logs.mean().item() == pytest.approx(
        found.rate[0, 0].item(), abs=4 * logs.std().item() / 200
    )


def test_the_whole_code_is_differentiable():
    noise = torch.randn(2, 1, 6, dtype=DOUBLE)
    code = Sphere().build(5)

    def outcome(features):
        found = code(features, noise)
        return found.z, found.rate, found.log_q

    assert torch.autograd.gradcheck(outcome, torch.randn(3, 6, dtype=DOUBLE, requires_grad=True))


@pytest.mark.parametrize("size", [2, 16, 512])
def test_single_precision_agrees_with_double(size):
    noise, rows = torch.randn(3, 1, size + 1), torch.randn(4, size + 1)
    single = Sphere().build(size)(rows, noise)
    double = Sphere().build(size)(rows.double(), noise.double())
    for name in ("z", "rate", "log_q"):
        found, truth = getattr(single, name), getattr(double, name)
        assert found.dtype == torch.float32
        torch.testing.assert_close(found.double(), truth, rtol=1e-6, atol=1e-6)


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=2, max_size=5))
def test_any_numbers_become_a_direction_that_then_stays_bit_for_bit(numbers):
    code = Sphere().build(len(numbers))
    z = code.constrain(torch.tensor([numbers]))
    assert z.norm().item() == pytest.approx(1, abs=1e-6)
    assert torch.equal(code.constrain(z), z)


@pytest.mark.parametrize("size", [2, 64, 512])
@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
def test_points_and_samples_are_valid_bit_for_bit(size, dtype):
    code = Sphere().build(size)
    for z in (code.point(torch.randn(50, size + 1, dtype=dtype)), code.prior.sample(50)):
        assert torch.equal(code.constrain(z), z)


@pytest.mark.parametrize("size", [2, 64])
def test_the_decoder_sees_numbers_as_large_as_a_normals(size):
    code = Sphere().build(size)
    seen = code.decoder_input(code.prior.sample(50))
    torch.testing.assert_close(seen.square().mean(1), torch.ones(50))


def test_the_way_between_is_the_great_circle():
    code = Sphere().build(4)
    start, end = code.constrain(torch.randn(2, 4, dtype=DOUBLE))
    share = torch.linspace(0, 1, 5, dtype=DOUBLE)
    path = code.interpolate(start, end, share)
    torch.testing.assert_close(path[[0, -1]], torch.stack([start, end]))
    whole = torch.arccos(start @ end)
    torch.testing.assert_close(code.distance(path, start[None])[:, 0], share * whole)
    torch.testing.assert_close(path[2], code.constrain((start + end)[None])[0])


def test_ways_to_the_same_and_to_the_opposite_direction_are_found_too():
    code = Sphere().build(3)
    start = code.constrain(torch.randn(1, 3, dtype=DOUBLE))[0]
    share = torch.linspace(0, 1, 5, dtype=DOUBLE)
    torch.testing.assert_close(code.interpolate(start, start, share), start.expand(5, 3))
    path = code.interpolate(start, -start, share)
    torch.testing.assert_close(path[-1], -start)
    torch.testing.assert_close(code.distance(path, start[None])[:, 0], share * math.pi)


def test_distances_are_angles_even_where_they_are_tiny_or_all_but_half_a_turn():
    angles = torch.tensor([0, 1e-9, 0.5, 3, math.pi - 1e-9, math.pi], dtype=DOUBLE)
    z = torch.stack([angles.cos(), angles.sin()], dim=1)
    found = Sphere().build(2).distance(z, z[:1])[:, 0]
    torch.testing.assert_close(found, angles, rtol=1e-7, atol=1e-15)


def test_samples_of_the_prior_are_even_over_the_sphere():
    z = UniformSphere().build(3).sample(4000, torch.Generator().manual_seed(0)).numpy()
    for column in z.T:
        # Archimedes: each coordinate of an even direction in space is even between -1 and 1.
        assert stats.kstest(column, stats.uniform(-1, 2).cdf).pvalue > 0.01


def test_a_sphere_of_one_dimension_is_refused():
    with pytest.raises(SettingError, match="cannot have the size 1: choose 2 or more"):
        Sphere().build(1)
    assert Sphere().least_size == 2
