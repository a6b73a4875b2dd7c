import json
import math

import keras
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import distributions
from torch.autograd import gradcheck
from torch.nn import functional

from attar import SettingError
from attar.likelihoods import (
    Bernoulli,
    BernoulliProbability,
    Categorical,
    Discretized,
    Multinomial,
    Poisson,
)
from attar.parts import Part

DOUBLE = torch.float64
LEAST = 0.03
NUMBERS = st.lists(st.floats(-20, 20), min_size=8, max_size=8)
UNIT = st.lists(st.floats(0, 1), min_size=8, max_size=8)
LOG_SCALES = st.floats(-4, 3)
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
