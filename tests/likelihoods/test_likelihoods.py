import math

import keras
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats
from torch import distributions
from torch.nn import functional

from attar import SettingError
from attar.likelihoods import (
    Bernoulli,
    BernoulliProbability,
    Gaussian,
    Huber,
    Laplace,
    LearnedGaussian,
    Likelihood,
    Mixed,
)

DOUBLE = torch.float64
EVERY = [Likelihood.named(name) for name in Likelihood.members]
PARTS = [*EVERY, Gaussian(0.3), Laplace(2.5), Huber(0.2), Huber(4.0)]
WITH_GRADIENT = [
    part for part in PARTS if part.build().gradient(torch.zeros(1), torch.zeros(1)) is not None
]
NUMBERS = st.lists(st.floats(-20, 20), min_size=1, max_size=8)
SHARES = st.lists(st.floats(0, 1), min_size=8, max_size=8)
POSITIVE = st.floats(0.05, 10)


def tensors(numbers, shares):
    """Decoder outputs and targets from 0 to 1, for any likelihood."""
    return (
        torch.tensor(numbers, dtype=DOUBLE),
        torch.tensor(shares[: len(numbers)], dtype=DOUBLE),
    )


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@given(NUMBERS, SHARES, POSITIVE)
def test_gaussian_is_torchs_normal(numbers, shares, variance):
    a, x = tensors(numbers, shares)
    close(
        Gaussian(variance).build().log_prob(a, x),
        distributions.Normal(a, variance**0.5).log_prob(x),
    )


@given(NUMBERS, SHARES, st.floats(-4, 4))
def test_learned_gaussian_is_torchs_normal_of_its_variance(numbers, shares, log_variance):
    a, x = tensors(numbers, shares)
    module = LearnedGaussian().build().double()
    torch.nn.init.constant_(module.tenth, log_variance / 10)
    close(
        module.log_prob(a, x).detach(),
        distributions.Normal(a, math.exp(log_variance / 2)).log_prob(x),
    )


@given(NUMBERS, SHARES, POSITIVE)
def test_laplace_is_scipys(numbers, shares, scale):
    a, x = tensors(numbers, shares)
    expected = stats.laplace.logpdf(x.numpy(), a.numpy(), scale)
    close(Laplace(scale).build().log_prob(a, x), torch.from_numpy(expected))


@given(NUMBERS, SHARES, POSITIVE)
def test_huber_is_minus_torchs_huber_loss_but_for_a_constant(numbers, shares, delta):
    a, x = tensors(numbers, shares)
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


@given(NUMBERS, SHARES)
def test_bernoulli_is_the_cross_entropy_of_its_log_odds(numbers, shares):
    a, x = tensors(numbers, shares)
    expected = functional.binary_cross_entropy_with_logits(a, x, reduction="none")
    close(-Bernoulli().build().log_prob(a, x), expected)


@pytest.mark.parametrize("log_odds", [-1e4, -90.0, 90.0, 1e4])
def test_bernoulli_is_finite_for_any_log_odds(log_odds):
    a = torch.tensor([log_odds])
    for x in (0.0, 0.5, 1.0):
        assert Bernoulli().build().log_prob(a, torch.tensor([x])).isfinite().all()


@given(st.lists(st.floats(0, 1), min_size=8, max_size=8), SHARES)
def test_bernoulli_probability_is_torchs_cross_entropy(probabilities, shares):
    p, x = tensors(probabilities, shares)
    expected = functional.binary_cross_entropy(p.clamp(1e-7, 1 - 1e-7), x, reduction="none")
    close(-BernoulliProbability().build().log_prob(p, x), expected)


def test_bernoulli_probability_is_keras_cross_entropy_at_the_ends_too():
    p = torch.cat([torch.rand(30), torch.tensor([0.0, 1.0, 0.0, 1.0, 1e-9])])[:, None]
    x = torch.cat([torch.rand(30), torch.tensor([0.0, 1.0, 1.0, 0.0, 0.5])])[:, None]
    expected = keras.losses.binary_crossentropy(x, p)
    found = -BernoulliProbability().build().log_prob(p, x)[:, 0]
    torch.testing.assert_close(found, expected.cpu(), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("part", WITH_GRADIENT, ids=repr)
@given(numbers=NUMBERS, shares=SHARES)
def test_a_written_gradient_is_that_of_autograd(part, numbers, shares):
    a, x = tensors(numbers, shares)
    module = part.build()
    leaf = a.clone().requires_grad_()
    (expected,) = torch.autograd.grad(-module.log_prob(leaf, x).sum(), leaf)
    a_before, x_before = a.clone(), x.clone()
    close(module.gradient(a, x), expected)
    assert torch.equal(a, a_before)
    assert torch.equal(x, x_before)


def test_these_have_their_gradient_written_down():
    assert {part.name for part in WITH_GRADIENT} == {
        "bernoulli",
        "gaussian",
        "huber",
        "laplace",
        "multinomial",
        "poisson",
    }


def test_only_a_likelihood_that_learns_nothing_may_write_its_gradient_down():
    for part in WITH_GRADIENT:
        assert not list(part.build().parameters())


@pytest.mark.parametrize(
    "part", [Gaussian(0.3), LearnedGaussian(), Laplace(2.0), Huber(0.7)], ids=repr
)
def test_the_mean_is_the_densitys_mean(part):
    module = part.build().double()
    a = torch.tensor(1.7, dtype=DOUBLE)

    def moment(x):
        return x * module.log_prob(a, torch.tensor(x, dtype=DOUBLE)).exp().item()

    mean, _ = integrate.quad(moment, -40, 40, points=[1.7], limit=200)
    assert module.mean(a).item() == pytest.approx(mean, abs=1e-6)


def test_the_mean_of_coins_is_their_probability():
    a = torch.linspace(-3, 3, 7, dtype=DOUBLE)
    close(Bernoulli().build().mean(a), distributions.Bernoulli(logits=a).mean)
    close(BernoulliProbability().build().mean(a.sigmoid()), a.sigmoid())


@pytest.mark.parametrize("part", [Bernoulli(), BernoulliProbability()], ids=repr)
def test_the_two_sides_of_a_coin_have_all_of_the_probability(part):
    a = torch.tensor([0.2, 0.5, 0.9], dtype=DOUBLE)
    module = part.build()
    close(
        module.log_prob(a, torch.zeros(3)).exp() + module.log_prob(a, torch.ones(3)).exp(),
        a * 0 + 1,
    )
    assert "unit-interval" in part.needs


def test_the_best_learnt_variance_is_the_mean_squared_error():
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
@pytest.mark.parametrize("part", [Gaussian, Laplace, Huber])
def test_a_width_that_is_not_positive_is_refused(part, value):
    with pytest.raises(SettingError, match="must be a number above 0"):
        part(value).build()


def test_only_a_similarity_is_no_density():
    assert {part.name for part in EVERY if not part.density} == {"ms-ssim"}


def test_the_decoder_gives_one_number_for_each_cell_but_for_a_mixture():
    others = {
        part.name for part in EVERY if part != Mixed() and part.parameters((1, 8, 2)) != (1, 8, 2)
    }
    assert others == {"logistic-mixture"}
