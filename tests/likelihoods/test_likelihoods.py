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
    Bernoulli,
    BernoulliProbability,
    Categorical,
    Circular,
    Discretized,
    FixedGaussian,
    Huber,
    Laplace,
    LearnedGaussian,
    Likelihood,
    Mixed,
    Multinomial,
    MultiScaleMel,
    Poisson,
    StudentT,
)
from attar.parts import Part

DOUBLE = torch.float64
# That of text needs a vocabulary: test_language.py.
EVERY = [Likelihood.named(name) for name in Likelihood.members if name != "language"]
PARTS = [*EVERY, FixedGaussian(0.3), Laplace(2.5), Huber(0.2), Huber(4.0)]
WITH_GRADIENT = [
    part for part in PARTS if part.build().gradient(torch.zeros(1), torch.zeros(1)) is not None
]
NUMBERS = st.lists(st.floats(-20, 20), min_size=8, max_size=8)
UNIT = st.lists(st.floats(0, 1), min_size=8, max_size=8)
LEAST = 0.03
LOG_SCALES = st.floats(-4, 3)
POSITIVE = st.floats(0.05, 10)
LOG_RATES = st.lists(st.floats(-20, 12), min_size=5, max_size=5)
COUNTS = st.lists(st.integers(0, 3000), min_size=5, max_size=5)


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


@pytest.mark.parametrize("part", WITH_GRADIENT, ids=repr)
@given(numbers=NUMBERS, targets=UNIT)
def test_a_closed_form_gradient_is_that_of_autograd(part, numbers, targets):
    a, x = tensors(numbers, targets)
    module = part.build()
    leaf = a.clone().requires_grad_()
    (expected,) = torch.autograd.grad(-module.log_prob(leaf, x).sum(), leaf)
    a_before, x_before = a.clone(), x.clone()
    close(module.gradient(a, x), expected)
    assert torch.equal(a, a_before)
    assert torch.equal(x, x_before)


def test_these_have_a_closed_form_gradient():
    assert {part.name for part in WITH_GRADIENT} == {
        "bernoulli",
        "gaussian",
        "huber",
        "laplace",
        "multinomial",
        "poisson",
    }


def test_a_closed_form_gradient_excludes_trained_parameters():
    for part in WITH_GRADIENT:
        assert not list(part.build().parameters())


def test_only_perceptual_distances_are_no_densities():
    names = {part.name for part in EVERY if not part.density}
    assert names == {"ms-ssim", "multi-scale-mel"}


def test_a_cell_has_one_parameter_but_in_a_mixture_and_a_map():
    others = {
        part.name
        for part in EVERY
        if part not in (Mixed(), MultiScaleMel()) and part.parameters((1, 8, 2)) != (1, 8, 2)
    }
    assert others == {"causal", "heteroscedastic-gaussian", "logistic-mixture"}


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
    slopes = []
    for factor in (0.9, 1.0, 1.1):
        log_variance = (factor * (a - x).square().mean()).log()
        torch.nn.init.constant_(module.tenth, log_variance.item() / 10)
        (slope,) = torch.autograd.grad(-module.log_prob(a, x).mean(), module.tenth)
        slopes.append(slope.item())
    assert slopes[0] < 0 < slopes[2]
    assert slopes[1] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan")])
@pytest.mark.parametrize("part", [FixedGaussian, Laplace, Huber])
def test_a_scale_that_is_not_positive_is_refused(part, value):
    with pytest.raises(SettingError, match="must be a number above 0"):
        part(value).build()


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


@pytest.mark.parametrize("width", [0.0, -1.0, math.nan, math.inf])
def test_a_width_of_bins_that_is_none_is_refused(width):
    with pytest.raises(SettingError, match="must be a number above 0"):
        Discretized(width).build()


@given(st.integers(1, 9), st.data())
def test_categorical_is_torchs(categories, data):
    a = torch.tensor(
        data.draw(st.lists(st.floats(-50, 50), min_size=categories, max_size=categories)),
        dtype=DOUBLE,
    )
    module = Categorical(categories).build()
    chosen = torch.arange(categories)
    found = module.log_prob(a.expand(categories, categories), torch.eye(categories, dtype=DOUBLE))
    close(found.sum(-1), distributions.Categorical(logits=a).log_prob(chosen))
    close(module.mean(a), distributions.Categorical(logits=a).probs)


def test_categorical_is_the_cross_entropy_for_each_sample_of_a_code():
    a, x = torch.randn(3, 7, 5, dtype=DOUBLE), torch.randint(5, (7,))
    cells = Categorical(5).build().log_prob(a, functional.one_hot(x, 5).to(DOUBLE))
    assert cells.shape == (3, 7, 5)
    expected = functional.cross_entropy(a.flatten(0, 1), x.repeat(3), reduction="none")
    close(-cells.sum(-1), expected.reshape(3, 7))


def test_an_unseen_category_has_no_loss_and_no_gradient():
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


@given(LOG_RATES, COUNTS)
def test_poisson_is_scipys(numbers, counts):
    a, x = tensors(numbers, counts)
    found = Poisson().build().log_prob(a, x)
    expected = stats.poisson.logpmf(x.numpy(), a.exp().numpy())
    torch.testing.assert_close(found, torch.from_numpy(expected), rtol=1e-9, atol=1e-9)


def test_poisson_is_torchs_for_each_sample_of_a_code():
    a, x = torch.randn(3, 4, 6, dtype=DOUBLE), torch.randint(9, (4, 6)).to(DOUBLE)
    expected = distributions.Poisson(a.exp())
    torch.testing.assert_close(Poisson().build().log_prob(a, x), expected.log_prob(x))
    torch.testing.assert_close(Poisson().build().mean(a), expected.mean)


@pytest.mark.parametrize("log_rate", [-200.0, 29.0, 31.0, 88.0, 1e6])
def test_a_poisson_of_any_log_rate_is_finite_and_has_a_gradient(log_rate):
    a, x = torch.tensor([log_rate]), torch.tensor([3.0])
    module = Poisson().build()
    assert module.log_prob(a, x).isfinite().all()
    assert module.mean(a).isfinite().all()
    gradient = module.gradient(a, x)
    assert gradient.isfinite().all()
    assert gradient.sign().item() == (1 if log_rate > 0 else -1)


def test_gradients_of_a_poisson_are_those_of_finite_differences():
    a, x = tensors([-9.0, 0.0, 1.5, 4.0, -0.3], [0, 7, 2, 30, 1])
    assert gradcheck(lambda a: Poisson().build().log_prob(a, x), (a.requires_grad_(),))


@given(st.lists(st.floats(-30, 30), min_size=5, max_size=5), COUNTS)
def test_the_sum_of_a_row_is_scipys_multinomial(numbers, counts):
    a, x = tensors(numbers, counts)
    found = Multinomial().build().log_prob(a, x).sum().item()
    expected = distributions.Multinomial(int(sum(counts)), logits=a).log_prob(x).item()
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-8)
    if min(numbers) > -12:
        scipys = stats.multinomial.logpmf(x.numpy(), int(sum(counts)), a.softmax(-1).numpy())
        assert found == pytest.approx(scipys, rel=1e-9, abs=1e-8)


def test_all_rows_of_a_total_have_all_of_the_probability():
    a = torch.randn(3, dtype=DOUBLE)
    every = [(i, j, 6 - i - j) for i in range(7) for j in range(7 - i)]
    x = torch.tensor(every, dtype=DOUBLE)
    found = Multinomial().build().log_prob(a.expand(1, len(every), 3), x).sum(-1).exp().sum()
    assert found.item() == pytest.approx(1, abs=1e-12)


def test_the_gradient_of_a_multinomial_is_that_of_autograd_for_each_sample_of_a_code():
    a = torch.randn(2, 4, 6, dtype=DOUBLE, requires_grad=True)
    x = torch.randint(9, (4, 6)).to(DOUBLE)
    module = Multinomial().build()
    (expected,) = torch.autograd.grad(-module.log_prob(a, x).sum(), a)
    torch.testing.assert_close(module.gradient(a.detach(), x), expected)


@pytest.mark.parametrize("module", [Multinomial().build(), Poisson().build()])
def test_an_empty_row_is_finite(module):
    a, x = torch.randn(1, 2, 6), torch.zeros(2, 6)
    assert module.log_prob(a, x).isfinite().all()
    assert module.gradient(a, x).isfinite().all()


def test_an_empty_row_is_certain_of_its_empty_draw():
    found = Multinomial().build().log_prob(torch.randn(1, 1, 6), torch.zeros(1, 6))
    assert torch.equal(found.abs(), torch.zeros(1, 1, 6))


def test_the_expected_row_has_its_total():
    a = torch.randn(4, 6, dtype=DOUBLE)
    mean = Multinomial(250.0).build().mean(a)
    expected = distributions.Multinomial(250, logits=a).mean
    torch.testing.assert_close(mean, expected)


def test_single_precision_is_enough_for_a_long_row():
    torch.manual_seed(1)
    logits, x = torch.randn(1, 1, 50_000), torch.zeros(1, 50_000)
    x[0, :300] = torch.randint(1, 40, (300,))
    found = Multinomial().build().log_prob(logits, x).sum().item()
    exact = Multinomial().build().log_prob(logits.double(), x.double()).sum().item()
    assert found == pytest.approx(exact, rel=1e-5)
    p = torch.log_softmax(logits[0, 0].double(), 0)
    counts = x[0].tolist()
    by_hand = math.lgamma(sum(counts) + 1) - sum(math.lgamma(c + 1) for c in counts)
    assert exact == pytest.approx(by_hand + (p * x[0].double()).sum().item(), rel=1e-12)


@pytest.mark.parametrize("total", [0.0, -1.0, math.nan, math.inf])
def test_a_total_that_is_none_is_refused(total):
    with pytest.raises(SettingError, match=r"total of .* must be a number above 0"):
        Multinomial(total).build()


@pytest.mark.parametrize("part", [Poisson(), Multinomial(12.5)])
def test_counts_survive_json_and_declare_their_needs(part):
    assert Part.from_json(json.loads(json.dumps(part.to_json()))) == part
    assert "counts" in part.needs
    assert ("complete" in part.needs) == isinstance(part, Multinomial)


@given(NUMBERS, UNIT)
def test_bernoulli_is_the_cross_entropy_of_its_logits(numbers, targets):
    a, x = tensors(numbers, targets)
    expected = functional.binary_cross_entropy_with_logits(a, x, reduction="none")
    close(-Bernoulli().build().log_prob(a, x), expected)


@pytest.mark.parametrize("logit", [-1e4, -90.0, 90.0, 1e4])
def test_bernoulli_is_finite_for_any_logits(logit):
    a = torch.tensor([logit])
    for x in (0.0, 0.5, 1.0):
        assert Bernoulli().build().log_prob(a, torch.tensor([x])).isfinite().all()


@given(st.lists(st.floats(0, 1), min_size=8, max_size=8), UNIT)
def test_bernoulli_probability_is_torchs_cross_entropy(probabilities, targets):
    p, x = tensors(probabilities, targets)
    expected = functional.binary_cross_entropy(p.clamp(1e-7, 1 - 1e-7), x, reduction="none")
    close(-BernoulliProbability().build().log_prob(p, x), expected)


def test_bernoulli_probability_is_keras_cross_entropy_at_the_ends_too():
    keras = pytest.importorskip("keras")
    p = torch.cat([torch.rand(30), torch.tensor([0.0, 1.0, 0.0, 1.0, 1e-9])])[:, None]
    x = torch.cat([torch.rand(30), torch.tensor([0.0, 1.0, 1.0, 0.0, 0.5])])[:, None]
    expected = keras.losses.binary_crossentropy(x, p)
    found = -BernoulliProbability().build().log_prob(p, x)[:, 0]
    torch.testing.assert_close(found, expected.cpu(), rtol=1e-6, atol=1e-7)


def test_the_mean_of_a_bernoulli_is_its_probability():
    a = torch.linspace(-3, 3, 7, dtype=DOUBLE)
    close(Bernoulli().build().mean(a), distributions.Bernoulli(logits=a).mean)
    close(BernoulliProbability().build().mean(a.sigmoid()), a.sigmoid())


@pytest.mark.parametrize("part", [Bernoulli(), BernoulliProbability()], ids=repr)
def test_the_probabilities_of_0_and_1_sum_to_one(part):
    a = torch.tensor([0.2, 0.5, 0.9], dtype=DOUBLE)
    module = part.build()
    close(
        module.log_prob(a, torch.zeros(3)).exp() + module.log_prob(a, torch.ones(3)).exp(),
        a * 0 + 1,
    )
    assert "unit-interval" in part.needs


DRAWN = 20_000
M = 0.7


def drawn(part, parameters, log_scale=None):
    """Draws of a likelihood, each a row."""
    module = part.build().double()
    if log_scale is not None:
        torch.nn.init.constant_(module.log_scale, log_scale)
    torch.manual_seed(0)
    with torch.no_grad():
        rows = module.sample(torch.tensor([parameters], dtype=DOUBLE).expand(DRAWN, -1))
    return rows.numpy()


def huber_cdf(x, delta):
    body = math.sqrt(2 * math.pi) * math.erf(delta / math.sqrt(2))
    tail = math.exp(-(delta**2) / 2) / delta
    left = np.exp(np.minimum(delta * x, -(delta**2)) + delta**2 / 2) / delta
    middle = tail + math.sqrt(2 * math.pi) * (special.ndtr(x) - special.ndtr(-delta))
    right = 2 * tail + body - np.exp(-np.maximum(delta * x, delta**2) + delta**2 / 2) / delta
    return np.select([x < -delta, x <= delta], [left, middle], right) / (body + 2 * tail)


@pytest.mark.parametrize(
    ("part", "log_scale", "cdf"),
    [
        (FixedGaussian(0.3), None, stats.norm(M, math.sqrt(0.3)).cdf),
        (LearnedGaussian(), None, stats.norm(M, 1).cdf),
        (StudentT(3.0), 0.4, stats.t(3, M, LEAST + math.exp(0.4)).cdf),
        (Laplace(2.5), None, stats.laplace(M, 2.5).cdf),
        (Huber(0.5), None, lambda x: huber_cdf(x - M, 0.5)),
        (Huber(2.0), None, lambda x: huber_cdf(x - M, 2.0)),
        (Discretized(0.5), -0.3, stats.logistic(M, LEAST + math.exp(-0.3)).cdf),
    ],
    ids=lambda value: repr(value) if isinstance(value, Likelihood) else None,
)
def test_draws_of_numbers_have_their_density(part, log_scale, cdf):
    assert stats.kstest(drawn(part, [M], log_scale)[:, 0], cdf).pvalue > 0.01


def test_draws_of_angles_are_von_mises():
    cosines, sines = drawn(Circular(), [3 * math.cos(2), 3 * math.sin(2)]).T
    np.testing.assert_allclose(cosines**2 + sines**2, 1)
    around = np.angle(np.exp(1j * (np.arctan2(sines, cosines) - 2)))
    assert stats.kstest(around, stats.vonmises(3).cdf).pvalue > 0.01


@pytest.mark.parametrize(
    ("part", "parameters", "shares"),
    [
        (Bernoulli(), [-1.2], [1 - special.expit(-1.2), special.expit(-1.2)]),
        (BernoulliProbability(), [0.03], [0.97, 0.03]),
        (Poisson(), [0.4], stats.poisson(math.exp(0.4)).pmf(range(12))),
        (Multinomial(5.0), [1.0, 0.0], stats.poisson(5 * special.expit(1)).pmf(range(18))),
    ],
    ids=repr,
)
def test_draws_of_counts_have_their_probabilities(part, parameters, shares):
    values = drawn(part, parameters)[:, 0]
    counts = np.bincount(values.astype(int), minlength=len(shares))[: len(shares)]
    assert (values == np.rint(values)).all()
    expected = np.asarray(shares) * DRAWN
    often = expected > 5
    chi = ((counts - expected)[often] ** 2 / expected[often]).sum()
    assert stats.chi2(often.sum() - 1).sf(chi) > 0.01


def test_draws_of_categories_are_one_hot_with_their_probabilities():
    logits = torch.tensor([1.0, -2.0, 0.5, 0.3, 2.0], dtype=DOUBLE)
    mixed = Mixed((Categorical(3), Bernoulli(), Bernoulli()))
    rows = drawn(mixed, logits.tolist())
    assert set(rows.ravel()) == {0.0, 1.0}
    assert (rows[:, :3].sum(1) == 1).all()
    expected = torch.cat([logits[:3].softmax(0), logits[3:].sigmoid()]).numpy()
    deviation = np.sqrt(expected * (1 - expected) / DRAWN)
    assert (np.abs(rows.mean(0) - expected) < 3 * deviation).all()
