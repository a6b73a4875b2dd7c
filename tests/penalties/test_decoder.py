import pytest
import torch
from torch.func import jacrev, vmap

from attar.codes import Gaussian, Point
from attar.likelihoods import Bernoulli
from attar.networks import Linear, Mlp
from attar.penalties import CodeNorm, DecoderGradient
from attar.records import Batch

DOUBLE = torch.float64


def test_the_code_norm_is_half_the_squared_length_of_the_codes(model_of, penalty_of):
    model, x = model_of(Mlp((4,), "tanh"), Point()), torch.randn(6, 5, dtype=DOUBLE)
    _, value = penalty_of(CodeNorm(), model, x)
    lengths = [torch.dot(z, z).item() for z in model.encode(x)]
    assert value.item() == pytest.approx(sum(lengths) / 6 / 2, rel=1e-12)


def test_the_gradient_of_a_linear_decoder_is_its_weights(model_of, near):
    model, x = model_of(Linear(), Point()), torch.randn(6, 5, dtype=DOUBLE)
    value = DecoderGradient().build(model, 3, (5,)).value
    trace = model(Batch(x, x))
    estimates = torch.stack([value(trace).detach() for _ in range(1000)])
    near(estimates, model.decoder[0].weight.square().sum().item())


def test_with_one_cell_the_gradient_needs_no_chance(model_of, penalty_of):
    model, x = model_of(Linear(), Point(), cells=1), torch.randn(6, 1, dtype=DOUBLE)
    _, value = penalty_of(DecoderGradient(), model, x)
    assert value.item() == pytest.approx(model.decoder[0].weight.square().sum().item(), rel=1e-12)


def test_the_gradient_is_that_of_the_expected_row_over_all_draws(model_of, near):
    model = model_of(Mlp((4,), "tanh"), Gaussian(), likelihood=Bernoulli())
    x, noise = torch.rand(6, 5, dtype=DOUBLE), torch.randn(2, 6, 3, dtype=DOUBLE)
    trace = model(Batch(x, x), noise)
    jacobians = vmap(jacrev(lambda z: model.decode(z[None])[0]))(trace.coded.z.flatten(0, 1))
    value = DecoderGradient().build(model, 3, (5,)).value
    estimates = torch.stack([value(trace).detach() for _ in range(1000)])
    near(estimates, jacobians.square().sum((1, 2)).mean().item())
