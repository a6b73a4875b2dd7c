"""Probabilities of bits: exact, the same everywhere, and as good as what is known of the text."""

from __future__ import annotations

import bz2
import hashlib
import lzma
from pathlib import Path

import numpy as np
import pytest

from attar.likelihoods.context_mixing import (
    FINE,
    LEVELS,
    MOST,
    Lanes,
    MixingTables,
    _first_states,
    _limited,
    _sigmoids,
    _stretched,
)
from attar.likelihoods.integer_tables import FAR

TEXT = (Path(__file__).parents[2] / "LICENSE").read_bytes()
DRAWN = np.random.default_rng(0).integers(0, 256, 10_000, np.uint8)


def bits(text, tables=None):
    """Return what a text takes by the probabilities of its bits."""
    tables = MixingTables.fresh(18) if tables is None else tables.copy()
    ones, zeros = Lanes(tables, len(text), part=3).over(text)
    return -np.log2(np.where(ones, 65536 - zeros, zeros) / 65536).sum()


def test_probabilities_are_the_same_on_every_machine():
    text = (b"The quick brown fox jumps over the lazy dog.\n" * 4 + bytes(range(256))) * 2
    tables = MixingTables.primed(text)
    _, zeros = Lanes(tables, len(text)).over(text)
    found = hashlib.sha256(zeros.astype("<i4").tobytes())
    for table in vars(tables).values():
        found.update(table.astype("<i8").tobytes())
    assert found.hexdigest()[:16] == "90afc9d4ae517b7a"


def test_a_source_without_memory_takes_its_entropy():
    letters = (DRAWN & 3 | 64).tobytes()
    primed = MixingTables.primed(letters[:8000])
    assert bits(letters[8000:], primed) / 2000 == pytest.approx(2, rel=0.03)


def test_what_repeats_costs_nearly_nothing():
    text = b"To be, or not to be. " * 100
    assert bits(text, MixingTables.primed(text)) < 0.02 * 8 * len(text)


def test_primed_text_takes_less_than_general_compressors_need():
    before, after = TEXT[:7000], TEXT[7000:]
    tables = MixingTables.primed(before)
    primed, fresh = bits(after, tables) / 8, bits(after) / 8
    assert primed < 0.7 * fresh
    for compress in (bz2.compress, lzma.compress):
        assert fresh < len(compress(after))
        assert primed < len(compress(before + after)) - len(compress(before))


def test_many_lanes_that_agree_move_no_table_out_of_its_range():
    text = b"a" * 8_000 + b"\0" * 8_000
    tables = MixingTables.fresh(16)
    Lanes(tables, len(text), part=1).over(text)
    assert ((tables.counts >> 8).max(), (tables.counts & 255).max()) == (MOST, MOST)
    for probabilities in (tables.states, tables.corrections):
        assert 0 < probabilities.min() < probabilities.max() < 1 << FINE


def test_lanes_in_another_order_learn_the_same():
    parts = [TEXT[i : i + 50] for i in range(0, 600, 50)]

    def learned(parts):
        tables = MixingTables.fresh(16)
        lanes = Lanes(tables, 600, part=2)
        assert lanes.lanes == len(parts)
        lanes.over(b"".join(parts))
        return vars(tables)

    for ahead, back in zip(learned(parts).values(), learned(parts[::-1]).values(), strict=True):
        np.testing.assert_array_equal(ahead, back)


def test_tables_come_back_and_others_are_refused():
    tables = MixingTables.primed(TEXT[:2000])
    packed = tables.packed()
    found = MixingTables.unpacked(packed)
    for name, table in vars(tables).items():
        np.testing.assert_array_equal(getattr(found, name), table)
        assert getattr(found, name).dtype == table.dtype
    large = np.frombuffer(bz2.compress(np.full(len(tables.counts), 200, "<u2").tobytes()), np.uint8)
    short = np.frombuffer(bz2.compress(bytes(8)), np.uint8)
    for damaged in ({"counts": large}, {"counts": short}, {"states": short}, {"runs": short}):
        with pytest.raises(ValueError, match=r".+"):
            MixingTables.unpacked(packed | damaged)


def test_logits_are_inverse_to_sigmoids():
    exact = 65536 / (1 + np.exp(-np.arange(-FAR, FAR + 1) / 256))
    assert np.abs(_sigmoids() - exact.clip(1, 65535)).max() <= 0.5 + 1e-6
    p = (np.arange(4096) + 0.5) / 4096
    inner = np.abs(np.log(p / (1 - p))) < 5
    assert np.abs(_stretched() / 256 - np.log(p / (1 - p)))[inner].max() < 0.01


def test_first_probabilities_are_those_of_krichevsky_and_trofimov():
    zeros, ones = LEVELS[3], LEVELS[5]
    state = 3 * len(LEVELS) + 5
    assert _first_states()[state] / (1 << FINE) == pytest.approx((ones + 0.5) / (zeros + ones + 1))


def test_counts_are_limited_and_forget_the_other_bit():
    limited = _limited().reshape(4, 256, 256)  # what came, ones, zeros
    assert limited[2, 3, 20] == 3 << 8 | 14  # of 20 zeros those beyond 8 are halved
    assert limited[1, 20, 3] == 14 << 8 | 3
    assert limited[3, 20, 30] == 20 << 8 | 30
    assert limited[3, 254, 100] == 127 << 8 | 50
