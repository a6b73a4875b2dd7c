import math

import mpmath
import numpy as np
import pytest
import torch
from scipy import integrate, stats

from attar.codes.sphere import Angle

DOUBLE = torch.float64
SIZES = (2, 3, 10, 64, 256, 512)
CONCENTRATIONS = (1e-8, 1e-3, 0.1, 1.0, 8.0, 20.0, 25.0, 300.0, 1e4)


def law(size, *concentrations):
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
    found = law(size, *CONCENTRATIONS)
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
def test_without_concentration_the_law_is_the_uniform_one(size):
    found = law(size, 0.0)
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
    found = law(size, kappa)

    def integrand(angle):
        log = found.log_ratio(torch.tensor([[angle]], dtype=DOUBLE)).item()
        even = math.sin(angle) ** (size - 2) / float(mpmath.exp(log_uniform(size)))
        return math.exp(log) * log * even

    expected, _ = integrate.quad(integrand, 0, math.pi, epsabs=1e-10)
    assert found.divergence.item() == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("kappa", [0.01, 2.0, 50.0])
def test_in_three_dimensions_the_quantile_has_a_closed_form(kappa):
    share = torch.linspace(0.001, 0.999, 41, dtype=DOUBLE)[:, None]
    cosine = 1 + torch.log1p(share * math.expm1(-2 * kappa)) / kappa
    found = law(3, kappa).quantile(share).cos()
    torch.testing.assert_close(found, cosine, rtol=0, atol=1e-12)


@pytest.mark.parametrize("size", SIZES)
def test_evenly_spread_shares_give_the_mean_cosine_and_its_gradient(size):
    kappa = torch.tensor([0.3, 4.0, 30.0, 2000.0], dtype=DOUBLE, requires_grad=True)
    found = Angle(kappa, size)
    nodes, weights = np.polynomial.legendre.leggauss(60)
    # Shares s(t) that crowd towards 0 and 1, where quantiles are steep.
    t = torch.from_numpy(nodes * 6.5)
    weights = torch.from_numpy(weights * 6.5) * (-t.square() / 2).exp() / math.sqrt(2 * math.pi)
    share = torch.special.ndtr(t)[:, None].expand(-1, 4)
    mean = (weights[:, None] * found.quantile(share).cos()).sum(0)
    torch.testing.assert_close(mean, found.mean_cosine, rtol=1e-7, atol=1e-7)
    (slope,) = torch.autograd.grad(mean.sum(), kappa, retain_graph=True)
    (expected,) = torch.autograd.grad(found.mean_cosine.sum(), kappa)
    torch.testing.assert_close(slope, expected, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("size", [2, 3, 16, 512])
def test_the_implicit_gradient_is_that_of_finite_differences(size):
    share = torch.tensor([[0.01, 0.4, 0.97]], dtype=DOUBLE)
    kappa = torch.tensor([0.5, 10.0, 400.0], dtype=DOUBLE, requires_grad=True)
    assert torch.autograd.gradcheck(lambda k: Angle(k, size).quantile(share), kappa)


@pytest.mark.parametrize("size", SIZES)
def test_under_huge_concentrations_the_angle_is_a_normals_length(size):
    concentrations = (1e12, 1e16, 1e24)
    found = law(size, *concentrations)
    # The directions are then normals of variance 1/κ across the mean, beside an even sphere.
    area = math.log(2) + size / 2 * math.log(math.pi) - math.lgamma(size / 2)
    normal = [(size - 1) / 2 * math.log(k / (2 * math.pi * math.e)) for k in concentrations]
    expected = [area + each for each in normal]
    np.testing.assert_allclose(found.divergence.tolist(), expected, rtol=1e-8)
    median = found.quantile(torch.full((1, 3), 0.5, dtype=DOUBLE))[0]
    chi = math.sqrt(stats.chi2(size - 1).median())
    scaled = median * torch.tensor(concentrations, dtype=DOUBLE).sqrt()
    torch.testing.assert_close(scaled, torch.full_like(scaled, chi), rtol=1e-8, atol=0)


def test_shares_at_the_very_ends_give_finite_angles_and_gradients():
    kappa = torch.tensor([0.0, 1e4], dtype=DOUBLE, requires_grad=True)
    angles = Angle(kappa, 64).quantile(torch.tensor([[0.0, 0.0], [1.0, 1.0]], dtype=DOUBLE))
    angles.sum().backward()
    assert angles.isfinite().all()
    assert kappa.grad.isfinite().all()
