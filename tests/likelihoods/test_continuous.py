import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, optimize, special, stats
from torch import distributions
from torch.autograd import gradcheck
from torch.nn import functional

from attar import SettingError
from attar.likelihoods import (
    Categorical,
    Circular,
    Discretized,
    FixedGaussian,
    Huber,
    Laplace,
    LearnedGaussian,
    StudentT,
)
from attar.parts import Part

DOUBLE = torch.float64
LEAST = 0.03
NUMBERS = st.lists(st.floats(-20, 20), min_size=8, max_size=8)
UNIT = st.lists(st.floats(0, 1), min_size=8, max_size=8)
LOG_SCALES = st.floats(-4, 3)
POSITIVE = st.floats(0.05, 10)


def tensors(*values):
    return [torch.tensor(numbers, dtype=DOUBLE) for numbers in values]


def close(found, expected, rtol=1e-12):
    expected = torch.as_tensor(expected)
    torch.testing.assert_close(found.detach(), expected, rtol=rtol, atol=1e-12)


def built(part, log_scale=0.0):
    module = part.build().double()
    torch.nn.init.constant_(module.log_scale, log_scale)
    return module, LEAST + math.exp(log_scale)


def scalar(x):
    return torch.tensor([float(x)], dtype=DOUBLE)


@given(NUMBERS, NUMBERS, st.floats(0.3, 300), LOG_SCALES)
def test_students_t_is_scipys(numbers, targets, freedom, log_scale):
    a, x = torch.tensor(numbers, dtype=DOUBLE), torch.tensor(targets, dtype=DOUBLE)
    module, scale = built(StudentT(freedom), log_scale)
    close(module.log_prob(a, x), stats.t.logpdf(x.numpy(), freedom, a.numpy(), scale))


def test_students_t_is_torchs_too():
    a, x = torch.randn(3, 5, 2, dtype=DOUBLE), torch.randn(5, 2, dtype=DOUBLE)
    module, scale = built(StudentT(2.5), -1)
    close(module.log_prob(a, x), distributions.StudentT(2.5, a, scale).log_prob(x))


def test_the_trained_scale_of_students_t_is_scipys():
    x = stats.t(4, scale=2.5).rvs(2000, random_state=0)
    module, _ = built(StudentT())
    zeros, targets = torch.zeros(2000, dtype=DOUBLE), torch.from_numpy(x)

    def loss(log_scale):
        torch.nn.init.constant_(module.log_scale, log_scale)
        return -module.log_prob(zeros, targets).mean().item()

    found = LEAST + math.exp(optimize.minimize_scalar(loss, bounds=(-5, 5)).x)
    assert found == pytest.approx(stats.t.fit(x, fdf=4, floc=0)[2], rel=1e-4)


def test_the_mean_of_students_t_is_the_densitys():
    module, _ = built(StudentT())
    a = scalar(1.7)

    def moment(x):
        return x * module.log_prob(a, scalar(x)).exp().item()

    below, _ = integrate.quad(moment, -np.inf, 1.7)
    above, _ = integrate.quad(moment, 1.7, np.inf)
    assert module.mean(a).item() == pytest.approx(below + above, abs=1e-7)


@pytest.mark.parametrize("freedom", [0.0, -1.0, math.nan, math.inf])
def test_a_freedom_that_is_none_is_refused(freedom):
    with pytest.raises(SettingError, match="must be a number above 0"):
        StudentT(freedom).build()


@pytest.mark.parametrize("log_scale", [-60.0, -3.0, 0.0, 20.0])
@pytest.mark.parametrize("distance", [0.0, 1e-3, 1.0, 1e3, 1e6])
@pytest.mark.parametrize("part", [Discretized(0.25), StudentT(), StudentT(0.5)], ids=repr)
def test_far_values_and_tiny_scales_leave_all_finite(part, distance, log_scale):
    module = part.build()
    torch.nn.init.constant_(module.log_scale, log_scale)
    a = torch.tensor([distance, -distance], requires_grad=True)
    log_prob = module.log_prob(a, torch.zeros(2))
    log_prob.sum().backward()
    assert log_prob.isfinite().all()
    assert a.grad.isfinite().all()
    assert module.log_scale.grad.isfinite().all()
    if distance and log_scale <= 0:
        assert (a.grad.sign() == torch.tensor([-1.0, 1.0])).all()


@pytest.mark.parametrize("part", [Discretized(0.25), StudentT(), StudentT(0.5)], ids=repr)
def test_gradients_are_those_of_finite_differences(part):
    module = part.build().double()
    x = torch.tensor([0.0, 0.7, -3.0, 40.0], dtype=DOUBLE)
    a = torch.tensor([0.1, -9.0, 2.0, 0.0], dtype=DOUBLE, requires_grad=True)

    def value(a, log_scale):
        return torch.func.functional_call(_Alone(module), {"of.log_scale": log_scale}, (a, x))

    log_scale = torch.tensor([-0.7], dtype=DOUBLE, requires_grad=True)
    assert gradcheck(value, (a, log_scale))


class _Alone(torch.nn.Module):
    def __init__(self, of):
        super().__init__()
        self.of = of

    def forward(self, a, x):
        return self.of.log_prob(a, x)


@pytest.mark.parametrize("part", [Discretized(0.25), StudentT()], ids=repr)
def test_a_scale_at_its_floor_has_a_gradient(part):
    module, _ = built(part, math.log(LEAST) - 3)
    module.log_prob(scalar(0), scalar(1)).sum().backward()
    assert module.log_scale.grad.item() > 0.01
    torch.nn.init.constant_(module.log_scale, -1e3)
    assert module.log_prob(scalar(0), scalar(0)).item() < math.log(1 / LEAST)


@given(st.floats(-math.pi, math.pi), st.floats(1e-3, 700), st.floats(-math.pi, math.pi))
def test_circular_is_scipys_von_mises(angle, kappa, middle):
    x = torch.tensor([math.cos(angle), math.sin(angle)], dtype=DOUBLE)
    a = kappa * torch.tensor([math.cos(middle), math.sin(middle)], dtype=DOUBLE)
    cells = Circular().build().log_prob(a, x)
    expected = stats.vonmises.logpdf(angle, kappa, middle)
    assert cells.sum().item() == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert cells[0] == cells[1]
    length = special.ive(1, kappa) / special.ive(0, kappa)
    close(Circular().build().mean(a), a / kappa * length, rtol=1e-9)


@pytest.mark.parametrize("kappa", [0.0, 1e-4, 1.0, 30.0, 1e5])
def test_the_density_of_an_angle_integrates_to_one(kappa):
    module = Circular().build()
    a = torch.tensor([kappa, 0.0], dtype=DOUBLE)

    def density(angle):
        x = torch.tensor([math.cos(angle), math.sin(angle)], dtype=DOUBLE)
        return module.log_prob(a, x).sum().exp().item()

    middle = min(math.pi, 12 / math.sqrt(kappa + 1e-9))
    half, _ = integrate.quad(density, 0, middle, epsabs=1e-12)
    assert 2 * half == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize(
    "a", [(0.0, 0.0), (1e-9, 0.0), (0.3, -2.0), (80.0, 60.0), (-1e6, 1e6), (1e15, 0.0)]
)
def test_the_gradient_of_an_angle_is_the_angle_less_the_expected_one(a):
    a = torch.tensor(a, dtype=DOUBLE, requires_grad=True)
    x = torch.tensor([0.6, -0.8], dtype=DOUBLE)
    Circular().build().log_prob(a, x).sum().backward()
    kappa = torch.linalg.vector_norm(a.detach())
    length = torch.special.i1e(kappa) / torch.special.i0e(kappa)
    expected = length * a.detach() / kappa.clamp_min(1e-30)
    torch.testing.assert_close(a.grad, x - expected, rtol=1e-6, atol=1e-6)


def test_gradients_of_angles_are_those_of_finite_differences():
    x = torch.tensor([0.6, -0.8, 0.0, 1.0], dtype=DOUBLE)
    a = torch.tensor([0.3, 1.1, -20.0, 5.0], dtype=DOUBLE, requires_grad=True)
    assert gradcheck(lambda a: Circular().build().log_prob(a, x), (a,))


def test_an_angle_without_direction_has_a_mean_of_zero():
    assert torch.equal(Circular().build().mean(torch.zeros(3, 4)), torch.zeros(3, 4))


def test_an_odd_row_is_no_row_of_angles():
    assert Circular().parameters((6,)) == (6,)
    with pytest.raises(SettingError, match=r"pairs of cosine and sine.*have 7 cells"):
        Circular().parameters((7,))


@pytest.mark.parametrize(
    "part", [StudentT(1.5), Discretized(0.03), Categorical(40), Circular()], ids=repr
)
def test_columns_survive_json(part):
    assert Part.from_json(json.loads(json.dumps(part.to_json()))) == part


@given(NUMBERS, UNIT, POSITIVE)
def test_gaussian_is_torchs_normal(numbers, targets, variance):
    a, x = tensors(numbers, targets)
    close(
        FixedGaussian(variance).build().log_prob(a, x),
        distributions.Normal(a, variance**0.5).log_prob(x),
    )


@given(NUMBERS, UNIT, st.floats(-4, 4))
def test_learned_gaussian_is_torchs_normal_of_its_variance(numbers, targets, log_variance):
    a, x = tensors(numbers, targets)
    module = LearnedGaussian().build().double()
    torch.nn.init.constant_(module.tenth, log_variance / 10)
    close(
        module.log_prob(a, x).detach(),
        distributions.Normal(a, math.exp(log_variance / 2)).log_prob(x),
    )


@given(NUMBERS, UNIT, POSITIVE)
def test_laplace_is_scipys(numbers, targets, scale):
    a, x = tensors(numbers, targets)
    expected = stats.laplace.logpdf(x.numpy(), a.numpy(), scale)
    close(Laplace(scale).build().log_prob(a, x), torch.from_numpy(expected))


@given(NUMBERS, UNIT, POSITIVE)
def test_huber_is_minus_torchs_huber_loss_but_for_a_constant(numbers, targets, delta):
    a, x = tensors(numbers, targets)
    module = Huber(delta).build()
    loss = functional.huber_loss(a, x, delta=delta, reduction="none")
    close(module.log_prob(x, x) - module.log_prob(a, x), loss)


@pytest.mark.parametrize("delta", [0.1, 0.5, 1.0, 1.345, 3.0, 40.0])
def test_hubers_density_integrates_to_one(delta):
    module = Huber(delta).build()
    zero = torch.zeros((), dtype=DOUBLE)

    def density(x):
        return module.log_prob(zero, torch.tensor(x, dtype=DOUBLE)).exp().item()

    body, _ = integrate.quad(density, -min(delta, 30), min(delta, 30))
    tail, _ = integrate.quad(density, delta, np.inf)
    assert body + 2 * tail == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize(
    "part", [FixedGaussian(0.3), LearnedGaussian(), Laplace(2.0), Huber(0.7)], ids=repr
)
def test_the_mean_is_the_densitys_mean(part):
    module = part.build().double()
    a = torch.tensor(1.7, dtype=DOUBLE)

    def moment(x):
        return x * module.log_prob(a, torch.tensor(x, dtype=DOUBLE)).exp().item()

    mean, _ = integrate.quad(moment, -40, 40, points=[1.7], limit=200)
    assert module.mean(a).item() == pytest.approx(mean, abs=1e-6)


def test_the_best_trained_variance_is_the_mean_squared_error():
    module = LearnedGaussian().build().double()
    a, x = torch.randn(500, dtype=DOUBLE), 3 * torch.randn(500, dtype=DOUBLE)
    optimizer = torch.optim.LBFGS(
        module.parameters(),
        max_iter=100,
        line_search_fn="strong_wolfe",
        tolerance_grad=1e-12,
        tolerance_change=1e-15,
    )

    def loss():
        optimizer.zero_grad()
        value = -module.log_prob(a, x).mean()
        value.backward()
        return value

    optimizer.step(loss)
    error = (a - x).square().mean().item()
    assert module.log_variances().exp().item() == pytest.approx(error, rel=1e-6)


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan")])
@pytest.mark.parametrize("part", [FixedGaussian, Laplace, Huber])
def test_a_scale_that_is_not_positive_is_refused(part, value):
    with pytest.raises(SettingError, match="must be a number above 0"):
        part(value).build()
