import pytest
import torch
from torch import nn

from attar.sampling.base import Standard, learnt


def regression(rows, steps=50):
    """Learn to give the last number from those before it."""
    return learnt(
        lambda: nn.Linear(rows.shape[1] - 1, 1),
        lambda line, some: (line(some[:, :-1]) - some[:, -1:]).square(),
        rows,
        steps,
    )


@pytest.fixture
def rows():
    x = torch.randn(300, 2)
    return torch.cat([x, x @ torch.tensor([[0.4], [-0.8]]) + 0.5], 1)


def test_standardised_codes_have_mean_zero_and_variance_one_and_come_back():
    codes = 3 * torch.randn(100, 4, dtype=torch.float64) + 5
    standard = Standard.of(codes)
    there = standard.there(codes)
    torch.testing.assert_close(there.mean(0), torch.zeros(4), rtol=0, atol=1e-6)
    torch.testing.assert_close(there.std(0, correction=0), torch.ones(4))
    torch.testing.assert_close(standard.back(there), codes, rtol=1e-6, atol=1e-6)


def test_a_number_that_is_always_the_same_stays_so():
    codes = torch.cat([torch.randn(50, 1), torch.full((50, 1), 0.7)], 1)
    standard = Standard.of(codes)
    assert standard.there(codes).isfinite().all()
    torch.testing.assert_close(standard.back(torch.randn(9, 2))[:, 1], torch.full((9,), 0.7))


def test_a_line_is_found(rows):
    line = regression(rows, 400)
    torch.testing.assert_close(line.weight, torch.tensor([[0.4, -0.8]]), rtol=0, atol=0.01)
    torch.testing.assert_close(line.bias, torch.tensor([0.5]), rtol=0, atol=0.01)


def test_equal_rows_give_equal_modules(rows):
    first = regression(rows)
    torch.manual_seed(9)
    assert torch.equal(regression(rows).weight, first.weight)


def test_chance_elsewhere_is_left_alone(rows):
    before = torch.get_rng_state()
    regression(rows)
    assert torch.equal(torch.get_rng_state(), before)


def test_learning_goes_on_where_gradients_are_off(rows):
    expected = regression(rows)
    with torch.no_grad():
        found = regression(rows)
        assert not torch.is_grad_enabled()
    assert torch.equal(found.weight, expected.weight)
    assert not found.weight.requires_grad
