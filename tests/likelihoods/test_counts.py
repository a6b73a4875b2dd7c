import json
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import distributions
from torch.autograd import gradcheck

from attar import SettingError
from attar.likelihoods import Multinomial, Poisson
from attar.parts import Part

DOUBLE = torch.float64
LOG_RATES = st.lists(st.floats(-20, 12), min_size=5, max_size=5)
COUNTS = st.lists(st.integers(0, 3000), min_size=5, max_size=5)


def tensors(numbers, counts):
    return torch.tensor(numbers, dtype=DOUBLE), torch.tensor(counts, dtype=DOUBLE)


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
def test_a_poisson_of_any_log_rate_is_finite_and_leads_back(log_rate):
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
def test_counts_come_back_from_json_and_say_what_they_need(part):
    assert Part.from_json(json.loads(json.dumps(part.to_json()))) == part
    assert "counts" in part.needs
    assert ("complete" in part.needs) == isinstance(part, Multinomial)
