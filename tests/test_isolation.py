"""Neither the user's settings of torch nor other threads change a fit, and it changes neither."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from torch import nn

import attar
from attar.isolation import SINGLE_PRECISION, default_settings, seeded
from attar.sampling import FittedFlow

X = np.random.default_rng(0).normal(size=(30, 5))


def outputs(recipe="vae", **settings):
    settings = {"code_size": 2, "epochs": 1, "random_state": 0, "verbose": False} | settings
    ae = attar.Autoencoder(recipe, **settings).fit(X)
    sampled = ae.sample(4, sampler=FittedFlow(steps=3), random_state=0)
    return ae.transform(X), ae.reconstruct(X), ae.score_samples(X), sampled


@cache
def expected_outputs(recipe):
    return outputs(recipe)


@contextmanager
def set_to(value, get, put):
    before = get()
    put(value)
    try:
        yield
        assert get() == value
    finally:
        put(before)


def default_dtype(dtype):
    return set_to(dtype, torch.get_default_dtype, torch.set_default_dtype)


def deterministic():
    get, put = torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms
    return set_to(True, get, put)


SETTINGS = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "float64": lambda: default_dtype(torch.float64),
    "bfloat16": lambda: default_dtype(torch.bfloat16),
    "device": lambda: torch.device("meta"),
    "deterministic": deterministic,
}


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("recipe", ["vae", "rhvae"])
def test_a_setting_of_torch_changes_no_result(recipe, setting):
    expected = expected_outputs(recipe)
    with SETTINGS[setting]():
        for got, wanted in zip(outputs(recipe), expected, strict=True):
            assert_array_equal(got, wanted)


def test_own_modules_may_be_made_under_inference_mode():
    def modules():
        torch.manual_seed(0)
        return nn.Linear(5, 2), nn.Linear(2, 5)

    expected = outputs("ae", network=modules())
    with torch.inference_mode():
        got = outputs("ae", network=modules())
    assert_array_equal(got[0], expected[0])


def test_half_precision_within_the_users_autocast_uses_the_present_weights():
    expected = outputs("ae", precision="bfloat16")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = outputs("ae", precision="bfloat16")
    assert_array_equal(got[0], expected[0])


def test_settings_are_the_users_again_after_an_error():
    with torch.inference_mode(), default_dtype(torch.float64):
        with pytest.raises(attar.SettingError):
            outputs(likelihood="poisson", scaling="none")
        assert torch.is_inference_mode_enabled()


def test_fits_in_threads_are_those_of_one_thread_and_keep_the_global_generator():
    expected, state = expected_outputs("vae"), torch.get_rng_state()
    with ThreadPoolExecutor(3) as pool:
        for got in pool.map(lambda _: outputs(), range(3)):
            for one, wanted in zip(got, expected, strict=True):
                assert_array_equal(one, wanted)
    assert torch.equal(torch.get_rng_state(), state)


def test_lazy_modules_keep_the_global_generator():
    state = torch.get_rng_state()
    network = nn.LazyLinear(2), nn.LazyLinear(5)
    attar.Autoencoder(network=network, epochs=1, random_state=0, verbose=False).fit(X)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_load_in_another_thread_does_not_change_a_fit(tmp_path):
    expected = outputs()
    path = tmp_path / "a.attar"
    attar.Autoencoder("vq-vae", code_size=4, epochs=1, random_state=0).fit(X).save(path)
    with ThreadPoolExecutor(2) as pool:
        fit = pool.submit(outputs)
        while not fit.done():
            attar.load(path)
        for got, wanted in zip(fit.result(), expected, strict=True):
            assert_array_equal(got, wanted)


def test_seeded_draws_are_those_of_torchs_own_seed():
    with torch.random.fork_rng([]):
        torch.manual_seed(3)
        expected = torch.rand(4)
    with seeded(3):
        assert torch.equal(torch.rand(4), expected)


def test_the_default_precision_returns_when_the_last_thread_leaves():
    with default_dtype(torch.float64):
        with SINGLE_PRECISION:
            with default_settings():
                assert torch.get_default_dtype() == torch.float32
            assert torch.get_default_dtype() == torch.float32
        assert torch.get_default_dtype() == torch.float64
