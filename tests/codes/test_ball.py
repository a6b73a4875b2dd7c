import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from attar.codes import Poincare, WrappedNormal
from attar.codes.ball import Ball
from attar.errors import SettingError
from attar.priors import StandardNormal

DOUBLE = torch.float64
CURVATURES = st.floats(0.01, 4)
SEEDS = st.integers(0, 1000)


def module(curvature=1.0, size=2):
    return Poincare(prior=WrappedNormal(curvature)).build(size)


def points(curvature, seed, n=6, size=3):
    generator = torch.Generator().manual_seed(seed)
    return Ball(curvature).exp0(torch.randn(n, size, dtype=DOUBLE, generator=generator))


def log_density(ball, z, mean, log_variance):
    """log N(v; 0, σ²) - (d - 1) log(sinh(√c r) / (√c r)), with v = λ log_μ(z) and r its length."""
    v = ball.log0(ball.add(-mean, z))
    r = ball.root * v.norm(dim=-1)
    normal = torch.distributions.Normal(torch.zeros_like(v), (log_variance / 2).exp())
    return normal.log_prob(v).sum(-1) - (v.shape[-1] - 1) * (r.sinh() / r).log()


@given(CURVATURES, SEEDS)
def test_exp0_and_log0_are_inverse_and_preserve_lengths(curvature, seed):
    ball = Ball(curvature)
    v = torch.randn(6, 3, dtype=DOUBLE, generator=torch.Generator().manual_seed(seed))
    z = ball.exp0(v)
    torch.testing.assert_close(ball.log0(z), v)
    origin = torch.zeros(1, 3, dtype=DOUBLE)
    torch.testing.assert_close(ball.distance(z, origin)[:, 0], v.norm(dim=1))
    closed = 2 / math.sqrt(curvature) * (math.sqrt(curvature) * z.norm(dim=1)).atanh()
    torch.testing.assert_close(ball.distance(z, origin)[:, 0], closed)


@given(CURVATURES, SEEDS)
def test_mobius_addition_is_undone_from_the_left(curvature, seed):
    ball, (x, y) = Ball(curvature), points(curvature, seed).chunk(2)
    torch.testing.assert_close(ball.add(-x, ball.add(x, y)), y, rtol=1e-6, atol=1e-9)
    length = ball.log0(ball.add(-x, y)).norm(dim=1)
    torch.testing.assert_close(ball.distance(x, y).diagonal(), length, rtol=1e-6, atol=1e-9)


def test_distances_are_the_inverse_hyperbolic_cosine():
    x, y = points(1.0, 0).chunk(2)
    squares = torch.cdist(x, y).square()
    scale = (1 - x.square().sum(1))[:, None] * (1 - y.square().sum(1))
    expected = torch.arccosh(1 + 2 * squares / scale)
    torch.testing.assert_close(module(size=3).distance(x, y), expected, rtol=1e-7, atol=1e-9)


@given(CURVATURES, SEEDS, st.floats(0, 1))
def test_interpolation_is_linear_in_the_distance(curvature, seed, fraction):
    code, (start, end) = module(curvature, 3), points(curvature, seed, 2)
    z = code.interpolate(start, end, torch.tensor([fraction], dtype=DOUBLE))
    whole = code.distance(start[None], end[None])
    near = {"rtol": 1e-6, "atol": 1e-7}
    torch.testing.assert_close(code.distance(z, start[None]), fraction * whole, **near)
    torch.testing.assert_close(code.distance(z, end[None]), (1 - fraction) * whole, **near)


@pytest.mark.parametrize("curvature", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("mean", [[0.0, 0.0], [1.0, -0.7]])
def test_the_wrapped_normal_integrates_to_one_over_the_ball(curvature, mean):
    ball = Ball(curvature)
    mean = ball.exp0(torch.tensor(mean, dtype=DOUBLE))
    log_variance = torch.tensor([-1.0, -0.3], dtype=DOUBLE)
    # Polar coordinates around the origin: the area is sinh(√c r) / √c dr dφ.
    r = torch.linspace(0, 12, 1201, dtype=DOUBLE)[1:] - 0.005
    turn = torch.arange(128, dtype=DOUBLE) / 128 * 2 * math.pi
    directions = torch.stack([turn.cos(), turn.sin()], dim=-1)
    z = ball.exp0(r[:, None, None] * directions)
    density = log_density(ball, z, mean.expand_as(z), log_variance).exp()
    area = (ball.root * r).sinh() / ball.root * 0.01 * 2 * math.pi / 128
    assert (density.sum(1) * area).sum().item() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("curvature", [0.3, 1.0, 2.0])
@pytest.mark.parametrize("size", [2, 3, 8])
def test_the_prior_integrates_to_one_in_any_dimension(curvature, size):
    prior, root = WrappedNormal(curvature).build(size), math.sqrt(curvature)
    # A sphere of radius r has sinh(√c r) / √c for the radius in its flat area.
    area = 2 * math.pi ** (size / 2) / math.gamma(size / 2)

    def shell(r):
        z = prior.ball.exp0(torch.tensor([[r] + [0.0] * (size - 1)], dtype=DOUBLE))
        return prior.log_prob(z).exp().item() * area * (math.sinh(root * r) / root) ** (size - 1)

    total, _ = integrate.quad(shell, 0, 10, epsabs=1e-9)
    assert total == pytest.approx(1, abs=1e-7)


@given(CURVATURES, SEEDS)
def test_the_law_of_cosines_gives_the_radius_of_a_sum(curvature, seed):
    ball = Ball(curvature)
    generator = torch.Generator().manual_seed(seed)
    first, then = torch.randn(2, 6, 3, dtype=DOUBLE, generator=generator)
    end = ball.log0(ball.add(ball.exp0(first), ball.exp0(then))).norm(dim=1)
    torch.testing.assert_close(ball.sum_radius(first, then)[:, 0], end, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("curvature", [0.3, 1.0, 2.0])
def test_the_radius_of_a_sum_is_accurate_beyond_the_boundary(curvature):
    along = torch.tensor([[0.6, 0.8]], dtype=DOUBLE)
    ball, lengths = Ball(curvature), torch.tensor([[1e-3], [3.0], [100.0], [1e6]], dtype=DOUBLE)
    torch.testing.assert_close(ball.sum_radius(400 * along, lengths * along), 400 + lengths)
    near = lengths[:2]
    torch.testing.assert_close(ball.sum_radius(400 * along, -near * along), 400 - near)
    torch.testing.assert_close(ball.sum_radius(0 * along, lengths * along), lengths)


@pytest.mark.parametrize("size", [2, 16])
def test_around_the_origin_the_rate_is_that_of_normals_of_any_width(size):
    for log_variance in (-3.0, 0.0, 4.0, 12.0):
        features = torch.tensor([[0.0] * size + [log_variance] * size])
        noise = torch.randn(50, 1, size)
        scale = torch.tensor(log_variance / 2, dtype=DOUBLE).exp()
        v = noise[:, 0].double() * scale
        ratio = torch.distributions.Normal(0, scale).log_prob(v)
        ratio -= torch.distributions.Normal(0.0, 1.0).log_prob(v)
        found = module(size=size)(features, noise).rate[:, 0]
        torch.testing.assert_close(found.double(), ratio.sum(-1), rtol=1e-5, atol=1e-4)


@given(CURVATURES, SEEDS)
def test_the_densities_of_samples_are_those_of_wrapped_normals(curvature, seed):
    generator = torch.Generator().manual_seed(seed)
    features, noise = (
        torch.randn(*n, dtype=DOUBLE, generator=generator) for n in ((4, 6), (3, 4, 3))
    )
    code = module(curvature, 3)
    coded = code(features, noise)
    mean, log_variance = code.point(features).expand(3, 4, 3), features[:, 3:]
    nothing = torch.zeros_like(mean)
    near = {"rtol": 1e-5, "atol": 1e-5}
    log_q = log_density(code.ball, coded.z, mean, log_variance)
    torch.testing.assert_close(coded.log_q, log_q, **near)
    torch.testing.assert_close(
        coded.log_p, log_density(code.ball, coded.z, nothing, nothing), **near
    )
    assert torch.equal(coded.rate, coded.log_q - coded.log_p)


def test_without_curvature_codes_are_gaussian():
    features, noise = torch.randn(4, 6, dtype=DOUBLE), torch.randn(5, 1, 3, dtype=DOUBLE)
    code = module(1e-9, 3)
    coded, (mean, log_variance) = code(features, noise), features.chunk(2, -1)
    v = mean + noise * (log_variance / 2).exp()
    torch.testing.assert_close(code.decoder_input(coded.z.flatten(0, 1)), v.flatten(0, 1))
    normal = torch.distributions.Normal(mean, (log_variance / 2).exp())
    torch.testing.assert_close(coded.log_q, normal.log_prob(v).sum(-1))
    standard = torch.distributions.Normal(0.0, 1.0)
    torch.testing.assert_close(coded.log_p, standard.log_prob(v).sum(-1))


def test_the_mean_of_prior_over_posterior_is_one():
    features = torch.tensor([[0.3, -0.2, 0.1, -0.1]], dtype=DOUBLE)
    coded = module()(features, torch.randn(40_000, 1, 2, dtype=DOUBLE))
    ratio = (coded.log_p - coded.log_q).exp()
    assert ratio.mean().item() == pytest.approx(1, abs=4 * ratio.std().item() / 200)


@pytest.mark.parametrize("curvature", [0.3, 2.0])
def test_the_radii_of_samples_are_the_lengths_of_normals(curvature):
    prior = WrappedNormal(curvature).build(3)
    z = prior.sample(4000, torch.Generator().manual_seed(0))
    distance = Ball(curvature).distance(z, torch.zeros(1, 3))[:, 0]
    assert stats.kstest(distance.numpy(), stats.chi(3).cdf).pvalue > 0.01


@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
@pytest.mark.parametrize("curvature", [0.3, 1.0, 2.0])
def test_constraining_gives_points_of_the_ball_and_is_idempotent(curvature, dtype):
    code = module(curvature, 16)
    for scale in (0.01, 1.0, 100.0):
        z = code.constrain(scale * torch.randn(200, 16, dtype=dtype))
        assert (z.norm(dim=1) < 1 / math.sqrt(curvature)).all()
        assert torch.equal(code.constrain(z), z)
        assert code.decoder_input(z).isfinite().all()
        assert code.prior.log_prob(z).isfinite().all()
        point = code.point(scale * torch.randn(200, 32, dtype=dtype))
        assert torch.equal(code.constrain(point), point)


def test_the_origin_is_a_code_with_a_gradient():
    features = torch.zeros(1, 4, dtype=DOUBLE, requires_grad=True)
    z = module().point(features)
    z[0, 0].backward()
    assert not z.any()
    torch.testing.assert_close(
        features.grad, torch.tensor([[0.5, 0.0, 0.0, 0.0]], dtype=DOUBLE), rtol=0, atol=1e-12
    )


def test_the_whole_code_is_differentiable():
    code, noise = module(0.7, 3), torch.randn(2, 1, 3, dtype=DOUBLE)

    def outcome(features):
        coded = code(features, noise)
        return coded.z, coded.log_q, coded.log_p

    assert torch.autograd.gradcheck(outcome, torch.randn(3, 6, dtype=DOUBLE, requires_grad=True))


def test_invalid_curvatures_and_priors_are_refused():
    for wrong in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(SettingError, match=r"curvature .* must be a number above 0"):
            module(wrong)
    with pytest.raises(SettingError, match="must be a WrappedNormal"):
        Poincare(prior=StandardNormal()).build(2)


def test_points_at_the_boundary_are_interpolated_in_single_precision():
    code = module(size=4)
    start, end = code.constrain(torch.tensor([[9.0, 0, 0, 0], [0, 9.0, 0, 0]]))
    path = code.interpolate(start, end, torch.linspace(0, 1, 5))
    assert path.dtype == torch.float32
    torch.testing.assert_close(path[[0, -1]], torch.stack([start, end]), rtol=0, atol=1e-5)
    # By symmetry the middle lies on the diagonal.
    torch.testing.assert_close(path[2, 0], path[2, 1], rtol=0, atol=1e-5)
    same = code.interpolate(start, start, torch.linspace(0, 1, 3))
    torch.testing.assert_close(same, start.expand(3, 4), rtol=0, atol=1e-5)
