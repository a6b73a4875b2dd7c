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
from attar.likelihoods import Categorical, Circular, Discretized, StudentT
from attar.parts import Part

DOUBLE = torch.float64
LEAST = 0.03
NUMBERS = st.lists(st.floats(-20, 20), min_size=4, max_size=4)
LOG_SCALES = st.floats(-4, 3)


def close(found, expected, rtol=1e-11):
    expected = torch.as_tensor(expected)
    torch.testing.assert_close(found.detach(), expected, rtol=rtol, atol=1e-11)


def built(part, log_scale=0.0):
    module = part.build().double()
    torch.nn.init.constant_(module.log_scale, log_scale)
    return module, LEAST + math.exp(log_scale)


def scalar(x):
    return torch.tensor([float(x)], dtype=DOUBLE)


# Student's t


@given(NUMBERS, NUMBERS, st.floats(0.3, 300), LOG_SCALES)
def test_students_t_is_scipys(numbers, targets, freedom, log_scale):
    a, x = torch.tensor(numbers, dtype=DOUBLE), torch.tensor(targets, dtype=DOUBLE)
    module, scale = built(StudentT(freedom), log_scale)
    close(module.log_prob(a, x), stats.t.logpdf(x.numpy(), freedom, a.numpy(), scale))


def test_students_t_is_torchs_too():
    a, x = torch.randn(3, 5, 2, dtype=DOUBLE), torch.randn(5, 2, dtype=DOUBLE)
    module, scale = built(StudentT(2.5), -1)
    close(module.log_prob(a, x), distributions.StudentT(2.5, a, scale).log_prob(x))


def test_students_scale_is_learnt_as_scipy_finds_it():
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


# Whole numbers


@given(NUMBERS, NUMBERS, st.sampled_from([0.125, 0.5, 1.0, 4.0]), LOG_SCALES)
def test_discretized_is_a_difference_of_scipys_distribution(numbers, targets, width, log_scale):
    a, x = torch.tensor(numbers, dtype=DOUBLE), torch.tensor(targets, dtype=DOUBLE)
    module, scale = built(Discretized(width), log_scale)
    # In the upper tail, where the difference of survivals keeps its digits.
    near = (x - a).abs().numpy() - width / 2
    log_more = stats.logistic.logsf(near, scale=scale)
    log_less = stats.logistic.logsf(near + width, scale=scale)
    close(module.log_prob(a, x), log_more + np.log(-np.expm1(log_less - log_more)), rtol=1e-9)


@pytest.mark.parametrize("log_scale", [-9.0, -2.0, 0.0, 2.0])
def test_the_bins_have_all_of_the_probability(log_scale):
    module, _ = built(Discretized(0.5), log_scale)
    x = torch.arange(-1000, 1000, dtype=DOUBLE) / 2
    for mean in (0.0, 0.1, -0.25, 3.9):
        assert module.log_prob(scalar(mean), x).exp().sum().item() == pytest.approx(1, abs=1e-12)


def test_a_narrow_bin_has_the_density_of_a_logistic():
    module, scale = built(Discretized(2**-20), -0.5)
    x = torch.linspace(-9, 9, 50, dtype=DOUBLE)
    density = module.log_prob(scalar(0.3), x) - math.log(2**-20)
    close(density, stats.logistic.logpdf(x.numpy(), 0.3, scale), rtol=1e-8)


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
def test_a_scale_at_its_floor_can_be_learnt_away_from_it(part):
    module, _ = built(part, math.log(LEAST) - 3)
    module.log_prob(scalar(0), scalar(1)).sum().backward()
    assert module.log_scale.grad.item() > 0.01
    torch.nn.init.constant_(module.log_scale, -1e3)
    assert module.log_prob(scalar(0), scalar(0)).item() < math.log(1 / LEAST)


@pytest.mark.parametrize("width", [0.0, -1.0, math.nan, math.inf])
def test_a_width_of_bins_that_is_none_is_refused(width):
    with pytest.raises(SettingError, match="must be a number above 0"):
        Discretized(width).build()


# Categories


@given(st.integers(1, 9), st.data())
def test_categorical_is_torchs(levels, data):
    a = torch.tensor(
        data.draw(st.lists(st.floats(-50, 50), min_size=levels, max_size=levels)), dtype=DOUBLE
    )
    module = Categorical(levels).build()
    chosen = torch.arange(levels)
    found = module.log_prob(a.expand(levels, levels), torch.eye(levels, dtype=DOUBLE))
    close(found.sum(-1), distributions.Categorical(logits=a).log_prob(chosen))
    close(module.mean(a), distributions.Categorical(logits=a).probs)


def test_categorical_is_the_cross_entropy_for_each_sample_of_a_code():
    a, x = torch.randn(3, 7, 5, dtype=DOUBLE), torch.randint(5, (7,))
    cells = Categorical(5).build().log_prob(a, functional.one_hot(x, 5).to(DOUBLE))
    assert cells.shape == (3, 7, 5)
    expected = functional.cross_entropy(a.flatten(0, 1), x.repeat(3), reduction="none")
    close(-cells.sum(-1), expected.reshape(3, 7))


def test_a_level_never_seen_costs_nothing_and_teaches_nothing():
    a = torch.tensor([[3.0, -1e4, 1e4]], requires_grad=True)
    cells = Categorical(3).build().log_prob(a, torch.zeros(1, 3))
    cells.sum().backward()
    assert torch.equal(cells.detach().abs(), torch.zeros(1, 3))
    assert torch.equal(a.grad, torch.zeros(1, 3))


def test_extreme_logits_leave_all_finite():
    a = torch.tensor([[1e30, -1e30, 0.0]], requires_grad=True)
    for x in torch.eye(3):
        cells = Categorical(3).build().log_prob(a, x[None])
        (gradient,) = torch.autograd.grad(cells.sum(), a)
        assert cells.isfinite().all()
        assert gradient.isfinite().all()


def test_categories_that_do_not_fit_are_refused():
    assert Categorical(4).parameters((4,)) == (4,)
    with pytest.raises(SettingError, match=r"needs rows of 4 cells.*have 5"):
        Categorical(4).parameters((5,))
    with pytest.raises(SettingError, match="must be an integer above 0"):
        Categorical(0).build()


# Angles


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
def test_columns_come_back_from_json(part):
    assert Part.from_json(json.loads(json.dumps(part.to_json()))) == part
