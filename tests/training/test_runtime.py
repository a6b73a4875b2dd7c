"""Precision and memory of a training."""

import ctypes
import resource
import sys

import numpy as np
import pytest
import torch

from attar.codes import Gaussian, Hamiltonian, Point
from attar.likelihoods import Bernoulli
from attar.likelihoods import FixedGaussian as MeanSquaredError
from attar.networks import Mlp
from attar.recipe import Recipe
from attar.records import Batch
from attar.training import runtime
from attar.training.runtime import HALF_PRECISION_FROM, half_precision_pays, memory_kept

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


def test_large_steps_use_half_precision_where_the_cpu_has_it(monkeypatch):
    for able in (True, False):
        monkeypatch.setattr(runtime, "cpu_multiplies_bfloat16", lambda able=able: able)
        assert half_precision_pays(CPU, lambda: HALF_PRECISION_FROM)[0] is able
        assert not half_precision_pays(CPU, lambda: HALF_PRECISION_FROM - 1)[0]
        assert half_precision_pays(torch.device("cuda"), lambda: 1)[0]


def test_the_capabilities_of_the_cpu_are_read(monkeypatch):
    for name, able in [("avx512_bf16", True), ("amx_bf16", True), ("avx2", False)]:
        monkeypatch.setattr(
            torch.cpu, "get_capabilities", lambda name=name: {name: True}, raising=False
        )
        assert runtime.cpu_multiplies_bfloat16() is able
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert not runtime.cpu_multiplies_bfloat16()


def test_only_networks_compute_in_half_precision_and_only_in_training(objective, batch):
    model, noise = objective.model, torch.randn(1, 40, 3)
    dtypes = []
    model.encoder.register_forward_hook(lambda *call: dtypes.append(call[2].dtype))
    full = model(batch, noise)
    model.half_precision = True
    half = model(batch, noise)
    evaluated = model.eval()(batch, noise)
    assert dtypes == [torch.float32, torch.bfloat16, torch.float32]
    assert (
        half.features.dtype == half.parameters.dtype == half.log_likelihood.dtype == torch.float32
    )
    assert torch.equal(evaluated.parameters, full.parameters)
    assert not torch.equal(half.parameters, full.parameters)
    # bfloat16 has eight binary digits.
    torch.testing.assert_close(half.parameters, full.parameters, rtol=2**-6, atol=2**-6)


def test_a_codes_log_likelihood_is_in_full_precision(batch):
    objective = Recipe(Hamiltonian(steps=2)).build((20,), 3, Mlp((16,), "silu"), Bernoulli())
    model, dtypes = objective.model, []
    model.decoder.register_forward_hook(lambda *call: dtypes.append(call[2].dtype))
    model.half_precision = True
    model(batch)
    # A gradient at the start and after each step; then the code is decoded.
    assert dtypes == [*3 * [torch.float32], torch.bfloat16]


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


glibc = pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallopt"), reason="glibc only"
)

SIZE = 2**24


def page_faults(times):
    """Return the page faults of allocating so many large arrays, one by one."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        np.ones(SIZE, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def resident():
    """Return the bytes that the process holds."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


@glibc
def test_freed_memory_is_used_again():
    with memory_kept():
        page_faults(1)
        assert page_faults(20) < SIZE / resource.getpagesize()


@glibc
def test_memory_is_returned_at_the_end_and_after_an_error():
    held = []

    def broken():
        with memory_kept():
            page_faults(1)
            held.append(resident())
            raise KeyError

    with pytest.raises(KeyError):
        broken()
    assert resident() < held[0] - SIZE / 2
