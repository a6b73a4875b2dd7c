"""Alphabets: every value comes back exactly, and tensors agree with symbols."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from attar.likelihoods.alphabets import Alphabet, Levels, OneHot
from attar.likelihoods.lattices import Bits, Decimals, Distinct, alphabet_of
from attar.likelihoods.partition import partition

rng = np.random.default_rng(0)

gains = rng.choice(99_999, 90)
COLUMNS = {
    "counts": (Distinct, rng.choice(gains, 6000) * (rng.random(6000) < 0.1)),
    "ages": (Distinct, rng.binomial(90, 0.4, 6000)),
    "weights": (Decimals, np.rint(np.exp(rng.normal(12, 0.5, 6000)))),
    "prices": (Decimals, np.rint(np.exp(rng.normal(3, 1, 6000)) * 100) / 100),
    "hundreds": (Decimals, rng.integers(-5000, 5000, 6000) * 100),
    "single decimals": (Decimals, np.float32(rng.normal(5, 20, 6000).round(3))),
    "floats": (Bits, rng.normal(size=6000)),
    "single floats": (Bits, np.float32(rng.normal(size=6000) ** 3)),
}  # fmt: skip


def decoded(alphabet: Alphabet, raw: np.ndarray) -> np.ndarray:
    symbols, residues = alphabet.encode(raw)
    assert symbols.min(initial=0) >= 0
    assert symbols.max(initial=0) <= alphabet.size
    bits = np.append(alphabet.residue_bits, 0)[symbols]
    assert all(int(r) < 2 ** int(b) for r, b in zip(residues.ravel(), bits.ravel(), strict=True))
    return alphabet.decode(symbols, residues)


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_gets_an_alphabet_that_suits_it_and_gives_it_back(name):
    kind, column = COLUMNS[name]
    raw = column.astype(np.float64)
    alphabet = alphabet_of(raw[:5000], shift=raw.mean(), scale=raw.std())
    assert isinstance(alphabet, kind)
    assert alphabet.size <= 256
    back = decoded(alphabet, raw)
    exact = np.isfinite(back)
    assert exact[:5000].all()
    assert exact.mean() > 0.999
    np.testing.assert_array_equal(back[exact].view(np.int64), raw[exact].view(np.int64))
    assert Alphabet.from_json(json.loads(json.dumps(alphabet.to_json()))) == alphabet
    if name == "hundreds":
        assert alphabet.step == 100


@pytest.mark.parametrize("name", COLUMNS)
def test_prepared_values_have_the_symbol_of_raw_ones(name):
    raw = COLUMNS[name][1].astype(np.float64)
    alphabet = alphabet_of(raw, shift=raw.mean(), scale=raw.std())
    module = alphabet.build()
    prepared = torch.from_numpy((raw - raw.mean()) / raw.std()).float()[:, None]
    symbols = module.symbols(prepared).numpy()
    agrees = symbols == alphabet.encode(raw)[0]
    # In single precision the ends of an interval of bit patterns may be one number.
    assert agrees.mean() > (0.999 if isinstance(alphabet, Bits) else 0.99999)
    assert module.inputs.shape[0] == alphabet.size + 1
    assert module.inputs.abs().max() <= 1
    assert module.values.isfinite().all()
    assert (module.edges.diff() >= 0).all()
    np.testing.assert_allclose(module.log_widths, alphabet.residue_bits * np.log(2), rtol=1e-6)
    # The values of an alphabet are those of its symbols.
    used = np.unique(symbols)
    again = module.symbols(module.values[used])
    assert (again.numpy() == used).mean() > 0.95


def test_the_description_is_nearly_as_short_as_the_distribution_allows():
    raw = rng.normal(0, 50_000, 20_000).round()
    alphabet = alphabet_of(raw[:15_000])
    frequency = np.bincount(alphabet.encode(raw[:15_000])[0], minlength=alphabet.size) + 0.5
    symbols = alphabet.encode(raw[15_000:])[0]
    bits = (alphabet.residue_bits - np.log2(frequency / frequency.sum()))[symbols].mean()
    entropy = 0.5 * np.log2(2 * np.pi * np.e * 50_000**2)
    assert entropy - 0.05 < bits < entropy + 0.1


def test_what_no_symbol_stands_for_is_missing():
    special = np.array([np.nan, -0.0, np.inf, -np.inf, 0.5, -1.0, 1e300])
    for alphabet in (Levels(4), OneHot(4), Distinct((0.0, 3.0)), Decimals((0,), (2,))):
        symbols, residues = alphabet.encode(np.append(special, 3.0))
        assert (symbols[:-1] == alphabet.size).all()
        back = alphabet.decode(symbols, residues)
        assert np.isnan(back[:-1]).all()
        assert back[-1] == 3


def test_a_constant_column_and_an_empty_one_have_one_symbol():
    assert alphabet_of(np.full(50, 7.5)) == Distinct((7.5,))
    assert alphabet_of(np.full(50, np.nan)) == Distinct((0.0,))


@settings(max_examples=60, deadline=None)
@given(
    arrays(
        np.float64, st.integers(1, 60), elements=st.floats(allow_nan=False, allow_infinity=False)
    ),
    arrays(np.float64, 20, elements=st.floats()),
)
def test_any_floats_come_back_or_are_missing(values, others):
    alphabet = alphabet_of(values)
    assert alphabet.build().edges.isfinite().all()
    for raw in (values, others):
        back = decoded(alphabet, raw)
        exact = alphabet.encode(raw)[0] < alphabet.size
        np.testing.assert_array_equal(back[exact].view(np.int64), raw[exact].view(np.int64))


@given(st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=80), st.integers(2, 40))
def test_partitions_are_seamless(values, size):
    starts, bits = partition(np.array(values), 63, size)
    ends = [int(start) + 2 ** int(b) for start, b in zip(starts, bits, strict=True)]
    assert len(starts) <= size
    assert ends[:-1] == starts[1:].tolist()
    assert all(int(start) % 2 ** int(b) == 0 for start, b in zip(starts, bits, strict=True))
    assert starts[0] <= min(values)
    assert max(values) < ends[-1]
