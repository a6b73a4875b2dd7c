"""Penalties on derivatives and weights."""

import pytest
import torch
from torch import nn
from torch.func import jacrev, vmap

from attar.codes import Gaussian, Point, SparseKL, SparseL1
from attar.conditions import Joined
from attar.likelihoods import Bernoulli, FixedGaussian
from attar.networks import Linear, Mlp
from attar.penalties import L1, L2, CodeNorm, Contractive, DecoderGradient, DecoderWeights, sum_of
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
def test_with_one_layer_it_is_exactly_the_jacobians_squared_norm(model_of, penalty_of, code):
    model, x = model_of(Linear(), code), torch.randn(6, 5, dtype=DOUBLE)
    term, value = penalty_of(Contractive(), model, x)
    assert not term.inputs_require_grad
    torch.testing.assert_close(value, jacobian_norm(model, x), rtol=1e-12, atol=0)


def test_an_mlp_without_hidden_layers_is_one_layer_too(model_of, penalty_of):
    model, x = model_of(Mlp(()), Point("sigmoid")), torch.randn(6, 5, dtype=DOUBLE)
    term, value = penalty_of(Contractive(), model, x)
    assert not term.inputs_require_grad
    torch.testing.assert_close(value, jacobian_norm(model, x), rtol=1e-12, atol=0)


def test_one_layer_with_a_mask_and_a_condition_has_its_jacobians_norm_on_average(near):
    # The layer's weights of the mask are not part of the Jacobian with respect to a row.
    recipe = Recipe(Point("sigmoid"), penalties=(Contractive(),), condition=Joined(4))
    objective = recipe.build((5,), 3, Linear(), FixedGaussian(), missing=True, condition_size=2)
    model, term = objective.model.double(), objective.penalties["contractive"]
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    x, condition, mask = (
        torch.randn(6, 5).double(),
        torch.rand(6, 2).double(),
        torch.rand(6, 5) < 0.7,
    )

    def code(row, condition, mask):
        return model.encode(row[None], mask[None], condition[None])[0]

    expected = vmap(jacrev(code))(x, condition, mask).square().sum((1, 2)).mean().item()
    trace = model(
        Batch(x, x, mask, condition=condition), inputs_require_grad=objective.inputs_require_grad
    )
    near(torch.stack([term.value(trace).detach() for _ in range(1500)]), expected)


@pytest.mark.parametrize("shortcut", [False, True])
def test_with_more_layers_it_is_the_jacobians_squared_norm_on_average(model_of, near, shortcut):
    model = model_of(Mlp((4,), "tanh", shortcut=shortcut), Point("sigmoid"))
    x = torch.randn(6, 5, dtype=DOUBLE)
    term = Contractive().build(model, 3, (5,))
    assert term.inputs_require_grad
    trace = model(Batch(x, x), inputs_require_grad=True)
    estimates = torch.stack([term.value(trace).detach() for _ in range(1500)])
    near(estimates, jacobian_norm(model, x).item(), share=0.02)


def test_the_random_signs_are_balanced(model_of, near):
    # With equal units an unbalanced sign changes the mean.
    model, x = model_of(Mlp((4,), "tanh"), Point(), size=16), torch.randn(2, 5, dtype=DOUBLE)
    last = [m for m in model.encoder.modules() if isinstance(m, nn.Linear)][-1]
    with torch.no_grad():
        last.weight.copy_(last.weight[:1].expand(16, -1))
    term = Contractive().build(model, 16, (5,))
    trace = model(Batch(x, x), inputs_require_grad=True)
    estimates = torch.stack([term.value(trace).detach() for _ in range(2000)])
    near(estimates, jacobian_norm(model, x).item(), share=0.04)


def test_the_gradient_of_the_exact_contraction_is_that_of_the_jacobians_norm(model_of, penalty_of):
    model, x = model_of(Linear(), Point("sigmoid")), torch.randn(6, 5, dtype=DOUBLE)
    encoder = list(model.encoder.parameters())
    _, value = penalty_of(Contractive(), model, x)
    found = torch.autograd.grad(value, encoder)
    expected = torch.autograd.grad(jacobian_norm(model, x), encoder)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-13)


def test_with_one_code_unit_the_estimate_is_exact(model_of, penalty_of):
    model = model_of(Mlp((4,), "tanh"), Point(), size=1)
    x = torch.randn(6, 5, dtype=DOUBLE)
    _, value = penalty_of(Contractive(), model, x)
    torch.testing.assert_close(value, jacobian_norm(model, x), rtol=1e-12, atol=0)


def test_the_code_norm_is_half_the_squared_norm_of_the_codes(model_of, penalty_of):
    model, x = model_of(Mlp((4,), "tanh"), Point()), torch.randn(6, 5, dtype=DOUBLE)
    _, value = penalty_of(CodeNorm(), model, x)
    lengths = [torch.dot(z, z).item() for z in model.encode(x)]
    assert value.item() == pytest.approx(sum(lengths) / 6 / 2, rel=1e-12)


def test_the_decoder_gradient_of_a_linear_decoder_is_its_weights(model_of, near):
    model, x = model_of(Linear(), Point()), torch.randn(6, 5, dtype=DOUBLE)
    value = DecoderGradient().build(model, 3, (5,)).value
    trace = model(Batch(x, x))
    estimates = torch.stack([value(trace).detach() for _ in range(1000)])
    near(estimates, model.decoder[0].weight.square().sum().item())


def test_with_one_cell_the_decoder_gradient_is_exact(model_of, penalty_of):
    model, x = model_of(Linear(), Point(), cells=1), torch.randn(6, 1, dtype=DOUBLE)
    _, value = penalty_of(DecoderGradient(), model, x)
    assert value.item() == pytest.approx(model.decoder[0].weight.square().sum().item(), rel=1e-12)


def test_the_decoder_gradient_is_that_of_the_expected_row_over_all_samples(model_of, near):
    model = model_of(Mlp((4,), "tanh"), Gaussian(), likelihood=Bernoulli())
    x, noise = torch.rand(6, 5, dtype=DOUBLE), torch.randn(2, 6, 3, dtype=DOUBLE)
    trace = model(Batch(x, x), noise)
    jacobians = vmap(jacrev(lambda z: model.decode(z[None])[0]))(trace.coded.z.flatten(0, 1))
    value = DecoderGradient().build(model, 3, (5,)).value
    estimates = torch.stack([value(trace).detach() for _ in range(1000)])
    near(estimates, jacobians.square().sum((1, 2)).mean().item())


def squares(module):
    return sum((m.weight**2).sum().item() for m in module.modules() if isinstance(m, nn.Linear))


def test_l1_and_l2_are_sums_over_the_weights_without_biases(model_of, penalty_of):
    model, x = model_of(Mlp((4,), "tanh"), Point()), torch.randn(6, 5, dtype=torch.float64)
    weights = [m.weight for m in model.modules() if isinstance(m, nn.Linear)]
    assert len(weights) == 4
    _, l1 = penalty_of(L1(), model, x)
    _, l2 = penalty_of(L2(), model, x)
    assert l1.item() == pytest.approx(sum(w.abs().sum().item() for w in weights), rel=1e-12)
    assert l2.item() == pytest.approx(squares(model) / 2, rel=1e-12)


def test_decoder_weights_leave_the_encoder_alone(model_of, penalty_of):
    model, x = model_of(Mlp((4,), "tanh"), Point()), torch.randn(6, 5, dtype=torch.float64)
    _, value = penalty_of(DecoderWeights(), model, x)
    assert value.item() == pytest.approx(squares(model.decoder) / 2, rel=1e-12)
    value.backward()
    assert all(parameter.grad is None for parameter in model.encoder.parameters())


def test_a_sum_of_scalars_is_a_scalar():
    assert sum_of(torch.tensor(float(i)) for i in range(4)).item() == 6.0
