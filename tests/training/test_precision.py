"""Half precision is for large steps, on machines that compute in it; and for the networks alone."""

import pytest
import torch

from attar.codes import Gaussian, Hamiltonian, Point
from attar.likelihoods import Bernoulli
from attar.likelihoods import FixedGaussian as MeanSquaredError
from attar.networks import Mlp
from attar.recipe import Recipe
from attar.records import Batch
from attar.training import precision
from attar.training.runtime import LARGE, half_pays

CPU = torch.device("cpu")


@pytest.fixture
def objective():
    torch.manual_seed(0)
    return Recipe(Gaussian()).build((20,), 3, Mlp((16,), "silu"), Bernoulli())


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(1)
    rows = torch.rand(40, 20, generator=generator)
    return Batch(rows, rows)


def test_large_steps_are_halved_where_the_processor_can(monkeypatch):
    for able in (True, False):
        monkeypatch.setattr(precision, "processor_halves", lambda able=able: able)
        assert half_pays(CPU, 64, LARGE // 64) is able
        assert not half_pays(CPU, 64, LARGE // 64 - 1)
        assert half_pays(torch.device("cuda"), 1, 1)


def test_what_the_processor_says_is_believed(monkeypatch):
    for unit, able in [("avx512_bf16", True), ("amx_bf16", True), ("avx2", False)]:
        monkeypatch.setattr(
            torch.cpu, "get_capabilities", lambda unit=unit: {unit: True}, raising=False
        )
        assert precision.processor_halves() is able
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert not precision.processor_halves()


def test_only_networks_compute_in_half_precision_and_only_in_training(objective, batch):
    model, noise = objective.model, torch.randn(1, 40, 3)
    seen = []
    model.encoder.register_forward_hook(lambda *call: seen.append(call[2].dtype))
    full = model(batch, noise)
    model.half_precision = True
    half = model(batch, noise)
    alone = model.eval()(batch, noise)
    assert seen == [torch.float32, torch.bfloat16, torch.float32]
    assert (
        half.features.dtype == half.parameters.dtype == half.log_likelihood.dtype == torch.float32
    )
    assert torch.equal(alone.parameters, full.parameters)
    assert not torch.equal(half.parameters, full.parameters)
    # bfloat16 has eight binary digits.
    torch.testing.assert_close(half.parameters, full.parameters, rtol=2**-6, atol=2**-6)


def test_a_code_explains_in_full_precision(batch):
    objective = Recipe(Hamiltonian(steps=2)).build((20,), 3, Mlp((16,), "silu"), Bernoulli())
    model, seen = objective.model, []
    model.decoder.register_forward_hook(lambda *call: seen.append(call[2].dtype))
    model.half_precision = True
    model(batch)
    # A slope at the start and after each step; then the code is decoded.
    assert seen == [*3 * [torch.float32], torch.bfloat16]


def test_a_gradient_is_that_of_single_precision_but_for_rounding(batch):
    gradients = []
    for half in (False, True):
        torch.manual_seed(0)
        objective = Recipe(Point()).build((20,), 3, Mlp((16,), "silu"), MeanSquaredError())
        objective.model.half_precision = half
        objective.backward(objective.trace(batch))
        gradients.append([weight.grad for weight in objective.model.parameters()])
    for full, half in zip(*gradients, strict=True):
        assert half.dtype == torch.float32
        assert (half - full).norm() < 2**-5 * full.norm()
