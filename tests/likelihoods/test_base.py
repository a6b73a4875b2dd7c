import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attar.likelihoods import (
    FixedGaussian,
    Huber,
    Laplace,
    Likelihood,
    Mixed,
)

DOUBLE = torch.float64
EVERY = [Likelihood.named(name) for name in Likelihood.members]
PARTS = [*EVERY, FixedGaussian(0.3), Laplace(2.5), Huber(0.2), Huber(4.0)]
WITH_GRADIENT = [
    part for part in PARTS if part.build().gradient(torch.zeros(1), torch.zeros(1)) is not None
]
NUMBERS = st.lists(st.floats(-20, 20), min_size=8, max_size=8)
UNIT = st.lists(st.floats(0, 1), min_size=8, max_size=8)


def tensors(*values):
    return [torch.tensor(numbers, dtype=DOUBLE) for numbers in values]


def close(found, expected, rtol=1e-12):
    expected = torch.as_tensor(expected)
    torch.testing.assert_close(found.detach(), expected, rtol=rtol, atol=1e-12)


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


def test_only_ms_ssim_is_no_density():
    assert {part.name for part in EVERY if not part.density} == {"ms-ssim"}


def test_a_cell_has_one_parameter_but_in_a_mixture():
    others = {
        part.name for part in EVERY if part != Mixed() and part.parameters((1, 8, 2)) != (1, 8, 2)
    }
    assert others == {"logistic-mixture"}
