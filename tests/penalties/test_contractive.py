import pytest
import torch
from torch import nn
from torch.func import jacrev, vmap

from attar.codes import Point, SparseKL, SparseL1
from attar.conditions import Joined
from attar.likelihoods import FixedGaussian
from attar.networks import Linear, Mlp
from attar.penalties import Contractive
from attar.recipe import Recipe
from attar.records import Batch

DOUBLE = torch.float64


def jacobian_norm(model, x):
    jacobians = vmap(jacrev(lambda row: model.encode(row[None])[0]))(x)
    return jacobians.square().sum((1, 2)).mean()


@pytest.mark.parametrize(
    "code",
    [
        Point(),
        Point("sigmoid"),
        Point("tanh"),
        Point("relu"),
        Point("gelu"),
        SparseL1(),
        SparseKL(),
    ],
    ids=repr,
)
def test_with_one_layer_contraction_is_exactly_the_jacobians_squared_norm(
    model_of, penalty_of, code
):
    model, x = model_of(Linear(), code), torch.randn(6, 5, dtype=DOUBLE)
    term, value = penalty_of(Contractive(), model, x)
    assert not term.inputs_require_grad
    torch.testing.assert_close(value, jacobian_norm(model, x), rtol=1e-12, atol=0)


def test_an_mlp_without_hidden_layers_is_one_layer_too(model_of, penalty_of):
    model, x = model_of(Mlp(()), Point("sigmoid")), torch.randn(6, 5, dtype=DOUBLE)
    term, value = penalty_of(Contractive(), model, x)
    assert not term.inputs_require_grad
    torch.testing.assert_close(value, jacobian_norm(model, x), rtol=1e-12, atol=0)


def test_one_layer_that_also_sees_gaps_or_a_condition_is_as_its_jacobian_on_average(near):
    # Of the layer's weights, those for the gaps are none of the Jacobian with respect to a row.
    recipe = Recipe(Point("sigmoid"), penalties=(Contractive(),), condition=Joined(4))
    objective = recipe.build((5,), 3, Linear(), FixedGaussian(), gaps=True, condition_size=2)
    model, term = objective.model.double(), objective.penalties["contractive"]
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    x, told, known = torch.randn(6, 5).double(), torch.rand(6, 2).double(), torch.rand(6, 5) < 0.7

    def code(row, told, known):
        return model.encode(row[None], known[None], told[None])[0]

    expected = vmap(jacrev(code))(x, told, known).square().sum((1, 2)).mean().item()
    trace = model(
        Batch(x, x, known, condition=told), inputs_require_grad=objective.inputs_require_grad
    )
    near(torch.stack([term.value(trace).detach() for _ in range(1500)]), expected)


@pytest.mark.parametrize("shortcut", [False, True])
def test_with_more_layers_contraction_is_the_jacobians_squared_norm_on_average(model_of, shortcut):
    model = model_of(Mlp((4,), "tanh", shortcut=shortcut), Point("sigmoid"))
    x = torch.randn(6, 5, dtype=DOUBLE)
    term = Contractive().build(model, 3, (5,))
    assert term.inputs_require_grad
    trace = model(Batch(x, x), inputs_require_grad=True)
    draws = torch.stack([term.value(trace).detach() for _ in range(1500)])
    error = draws.std().item() / 1500**0.5
    assert draws.mean().item() == pytest.approx(jacobian_norm(model, x).item(), abs=4 * error)
    assert error < 0.02 * draws.mean().item()


def test_the_signs_of_code_units_are_fair(model_of):
    # Units that are all alike show any sign that is more frequent than the other.
    model, x = model_of(Mlp((4,), "tanh"), Point(), size=16), torch.randn(2, 5, dtype=DOUBLE)
    last = [m for m in model.encoder.modules() if isinstance(m, nn.Linear)][-1]
    with torch.no_grad():
        last.weight.copy_(last.weight[:1].expand(16, -1))
    term = Contractive().build(model, 16, (5,))
    trace = model(Batch(x, x), inputs_require_grad=True)
    draws = torch.stack([term.value(trace).detach() for _ in range(2000)])
    error = draws.std().item() / 2000**0.5
    assert draws.mean().item() == pytest.approx(jacobian_norm(model, x).item(), abs=4 * error)
    assert error < 0.04 * draws.mean().item()


def test_the_gradient_of_the_exact_contraction_is_that_of_the_jacobians_norm(model_of, penalty_of):
    model, x = model_of(Linear(), Point("sigmoid")), torch.randn(6, 5, dtype=DOUBLE)
    encoder = list(model.encoder.parameters())
    _, value = penalty_of(Contractive(), model, x)
    found = torch.autograd.grad(value, encoder)
    expected = torch.autograd.grad(jacobian_norm(model, x), encoder)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-13)


def test_contraction_with_one_code_unit_needs_no_chance(model_of, penalty_of):
    model = model_of(Mlp((4,), "tanh"), Point(), size=1)
    x = torch.randn(6, 5, dtype=DOUBLE)
    _, value = penalty_of(Contractive(), model, x)
    torch.testing.assert_close(value, jacobian_norm(model, x), rtol=1e-12, atol=0)
