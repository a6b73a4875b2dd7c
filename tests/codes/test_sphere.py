import math

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from attar.codes import Sphere, UniformSphere
from attar.codes.sphere import Angle
from attar.errors import SettingError

DOUBLE = torch.float64


SIZES = (2, 3, 10, 64, 256, 512)


CONCENTRATIONS = (1e-8, 1e-3, 0.1, 1.0, 8.0, 20.0, 25.0, 300.0, 1e4)


def angle_of(size, *concentrations):
    return Angle(torch.tensor(concentrations, dtype=DOUBLE, requires_grad=True), size)


def log_scale(size, kappa):
    """log ∫ exp(κ (cos θ - 1)) sin^(d-2) θ dθ by its Bessel function, to forty digits."""
    order = mpmath.mpf(size) / 2 - 1
    bessel = mpmath.besseli(order, kappa) * (2 / mpmath.mpf(kappa)) ** order
    return mpmath.log(mpmath.sqrt(mpmath.pi) * mpmath.gamma(order + 0.5) * bessel) - kappa


def mean_cosine(size, kappa):
    order = mpmath.mpf(size) / 2
    return mpmath.besseli(order, kappa) / mpmath.besseli(order - 1, kappa)


def log_uniform(size):
    half = mpmath.mpf(size) / 2
    return mpmath.log(mpmath.sqrt(mpmath.pi) * mpmath.gamma(half - 0.5) / mpmath.gamma(half))


@pytest.mark.parametrize("size", SIZES)
def test_scale_mean_and_divergence_are_those_of_bessel_functions(size):
    found = angle_of(size, *CONCENTRATIONS)
    with mpmath.workdps(40):
        scales = [log_scale(size, k) for k in CONCENTRATIONS]
        means = [mean_cosine(size, k) for k in CONCENTRATIONS]
        pairs = zip(CONCENTRATIONS, means, scales, strict=True)
        divergences = [float(k * (a - 1) - s + log_uniform(size)) for k, a, s in pairs]
        versines = [float(1 - a) for a in means]
    np.testing.assert_allclose(found.log_scale.tolist(), [*map(float, scales)], rtol=1e-13)
    np.testing.assert_allclose(found.versine.tolist(), versines, rtol=1e-13)
    np.testing.assert_allclose(found.divergence.tolist(), divergences, rtol=1e-12, atol=3e-13)


@pytest.mark.parametrize("size", SIZES)
def test_without_concentration_the_distribution_is_uniform(size):
    found = angle_of(size, 0.0)
    assert found.divergence.item() == pytest.approx(0, abs=1e-12)
    assert found.mean_cosine.item() == pytest.approx(0, abs=1e-14)
    angles = torch.linspace(0.1, 3, 7, dtype=DOUBLE)[:, None]
    torch.testing.assert_close(found.log_ratio(angles), torch.zeros_like(angles))


@pytest.mark.parametrize("size", SIZES)
def test_the_gradients_of_scale_and_divergence_are_their_closed_forms(size):
    kappa = torch.tensor(CONCENTRATIONS[2:], dtype=DOUBLE, requires_grad=True)
    found = Angle(kappa, size)
    (scale,) = torch.autograd.grad(found.log_scale.sum(), kappa, retain_graph=True)
    torch.testing.assert_close(scale, -found.versine.detach(), rtol=1e-12, atol=1e-14)
    (divergence,) = torch.autograd.grad(found.divergence.sum(), kappa)
    a = found.mean_cosine.detach()
    slope = 1 - (size - 1) / kappa.detach() * a - a.square()
    torch.testing.assert_close(divergence, kappa.detach() * slope, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("kappa", [0.5, 5.0, 40.0])
def test_the_divergence_is_the_integral_of_q_log_q_over_p(size, kappa):
    found = angle_of(size, kappa)

    def integrand(angle):
        log = found.log_ratio(torch.tensor([[angle]], dtype=DOUBLE)).item()
        uniform = math.sin(angle) ** (size - 2) / float(mpmath.exp(log_uniform(size)))
        return math.exp(log) * log * uniform

    expected, _ = integrate.quad(integrand, 0, math.pi, epsabs=1e-10)
    assert found.divergence.item() == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("kappa", [0.01, 2.0, 50.0])
def test_in_three_dimensions_the_quantile_has_a_closed_form(kappa):
    probability = torch.linspace(0.001, 0.999, 41, dtype=DOUBLE)[:, None]
    cosine = 1 + torch.log1p(probability * math.expm1(-2 * kappa)) / kappa
    found = angle_of(3, kappa).quantile(probability).cos()
    torch.testing.assert_close(found, cosine, rtol=0, atol=1e-12)


@pytest.mark.parametrize("size", SIZES)
def test_the_mean_cosine_of_quantiles_and_its_gradient_are_exact(size):
    kappa = torch.tensor([0.3, 4.0, 30.0, 2000.0], dtype=DOUBLE, requires_grad=True)
    found = Angle(kappa, size)
    nodes, weights = np.polynomial.legendre.leggauss(60)
    # Probabilities that are dense near 0 and 1, where quantiles are steep.
    t = torch.from_numpy(nodes * 6.5)
    weights = torch.from_numpy(weights * 6.5) * (-t.square() / 2).exp() / math.sqrt(2 * math.pi)
    probability = torch.special.ndtr(t)[:, None].expand(-1, 4)
    mean = (weights[:, None] * found.quantile(probability).cos()).sum(0)
    torch.testing.assert_close(mean, found.mean_cosine, rtol=1e-7, atol=1e-7)
    (slope,) = torch.autograd.grad(mean.sum(), kappa, retain_graph=True)
    (expected,) = torch.autograd.grad(found.mean_cosine.sum(), kappa)
    torch.testing.assert_close(slope, expected, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("size", [2, 3, 16, 512])
def test_the_implicit_gradient_is_that_of_finite_differences(size):
    probability = torch.tensor([[0.01, 0.4, 0.97]], dtype=DOUBLE)
    kappa = torch.tensor([0.5, 10.0, 400.0], dtype=DOUBLE, requires_grad=True)
    assert torch.autograd.gradcheck(lambda k: Angle(k, size).quantile(probability), kappa)


@pytest.mark.parametrize("size", SIZES)
def test_at_huge_concentrations_the_angle_is_the_length_of_a_normal(size):
    concentrations = (1e12, 1e16, 1e24)
    found = angle_of(size, *concentrations)
    # The directions are then normals of variance 1/κ in the tangent space of the mean.
    area = math.log(2) + size / 2 * math.log(math.pi) - math.lgamma(size / 2)
    normal = [(size - 1) / 2 * math.log(k / (2 * math.pi * math.e)) for k in concentrations]
    expected = [area + each for each in normal]
    np.testing.assert_allclose(found.divergence.tolist(), expected, rtol=1e-8)
    median = found.quantile(torch.full((1, 3), 0.5, dtype=DOUBLE))[0]
    chi = math.sqrt(stats.chi2(size - 1).median())
    scaled = median * torch.tensor(concentrations, dtype=DOUBLE).sqrt()
    torch.testing.assert_close(scaled, torch.full_like(scaled, chi), rtol=1e-8, atol=0)


def test_probabilities_0_and_1_give_finite_angles_and_gradients():
    kappa = torch.tensor([0.0, 1e4], dtype=DOUBLE, requires_grad=True)
    angles = Angle(kappa, 64).quantile(torch.tensor([[0.0, 0.0], [1.0, 1.0]], dtype=DOUBLE))
    angles.sum().backward()
    assert angles.isfinite().all()
    assert kappa.grad.isfinite().all()


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
    distribution = stats.vonmises_fisher((direction / direction.norm()).numpy(), kappa)
    found = coded(direction, kappa, 20)
    expected = torch.from_numpy(distribution.logpdf(found.z[:, 0].numpy()))
    torch.testing.assert_close(found.log_q[:, 0], expected, rtol=1e-8, atol=1e-8)
    area = 2 * math.pi ** (size / 2) / math.gamma(size / 2)
    torch.testing.assert_close(found.log_p, torch.full_like(found.log_p, -math.log(area)))


@pytest.mark.parametrize("size", [2, 3, 16, 512])
def test_samples_lie_on_the_sphere_with_the_theoretical_mean(size):
    kappa = 3 * math.sqrt(size)
    z = coded([1.0] + [0.0] * (size - 1), kappa, 4000).z[:, 0]
    torch.testing.assert_close(z.norm(dim=1), torch.ones(4000, dtype=DOUBLE))
    expected = torch.zeros(size, dtype=DOUBLE)
    expected[0] = float(mean_cosine(size, kappa))
    assert ((z.mean(0) - expected).abs() < 5 * z.std(0) / 4000**0.5).all()


@pytest.mark.parametrize(("size", "kappa"), [(2, 2.0), (3, 4.0), (8, 5.0)])
def test_the_mean_importance_weight_is_one_and_the_rate_the_mean_of_log_q_over_p(size, kappa):
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
def test_constraining_gives_directions_and_is_idempotent(values):
    code = Sphere().build(len(values))
    z = code.constrain(torch.tensor([values]))
    assert z.norm().item() == pytest.approx(1, abs=1e-6)
    assert torch.equal(code.constrain(z), z)


@pytest.mark.parametrize("size", [2, 64, 512])
@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
def test_points_and_samples_are_valid_bit_for_bit(size, dtype):
    code = Sphere().build(size)
    for z in (code.point(torch.randn(50, size + 1, dtype=dtype)), code.prior.sample(50)):
        assert torch.equal(code.constrain(z), z)


@pytest.mark.parametrize("size", [2, 64])
def test_the_decoder_input_has_the_scale_of_a_normal(size):
    code = Sphere().build(size)
    inputs = code.decoder_input(code.prior.sample(50))
    torch.testing.assert_close(inputs.square().mean(1), torch.ones(50))


def test_interpolation_follows_the_great_circle():
    code = Sphere().build(4)
    start, end = code.constrain(torch.randn(2, 4, dtype=DOUBLE))
    fraction = torch.linspace(0, 1, 5, dtype=DOUBLE)
    path = code.interpolate(start, end, fraction)
    torch.testing.assert_close(path[[0, -1]], torch.stack([start, end]))
    whole = torch.arccos(start @ end)
    torch.testing.assert_close(code.distance(path, start[None])[:, 0], fraction * whole)
    torch.testing.assert_close(path[2], code.constrain((start + end)[None])[0])


def test_equal_and_opposite_directions_are_interpolated():
    code = Sphere().build(3)
    start = code.constrain(torch.randn(1, 3, dtype=DOUBLE))[0]
    fraction = torch.linspace(0, 1, 5, dtype=DOUBLE)
    torch.testing.assert_close(code.interpolate(start, start, fraction), start.expand(5, 3))
    path = code.interpolate(start, -start, fraction)
    torch.testing.assert_close(path[-1], -start)
    torch.testing.assert_close(code.distance(path, start[None])[:, 0], fraction * math.pi)


def test_distances_are_angles_also_near_0_and_pi():
    angles = torch.tensor([0, 1e-9, 0.5, 3, math.pi - 1e-9, math.pi], dtype=DOUBLE)
    z = torch.stack([angles.cos(), angles.sin()], dim=1)
    found = Sphere().build(2).distance(z, z[:1])[:, 0]
    torch.testing.assert_close(found, angles, rtol=1e-7, atol=1e-15)


def test_prior_samples_are_uniform_on_the_sphere():
    z = UniformSphere().build(3).sample(4000, torch.Generator().manual_seed(0)).numpy()
    for column in z.T:
        # Archimedes: each coordinate of a uniform direction in space is uniform between -1 and 1.
        assert stats.kstest(column, stats.uniform(-1, 2).cdf).pvalue > 0.01


def test_a_sphere_of_one_dimension_is_refused():
    with pytest.raises(SettingError, match="cannot have the size 1: choose 2 or more"):
        Sphere().build(1)
    assert Sphere().least_size == 2
