"""Symbols come back, in as many bytes as their frequencies promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attar.codec.rans import LANE_BYTES, MAX_LANES, AnsCoder, Decoder, Encoder
from attar.errors import ArchiveError, SettingError


def some_call(rng, n, letters, precision, dtype=np.int64):
    """Return tables of n rows, and symbols drawn from them."""
    spare = (1 << precision) - letters
    frequencies = 1 + (spare * rng.dirichlet(np.full(letters, 0.3), n)).astype(np.int64)
    frequencies[:, -1] += (1 << precision) - frequencies.sum(1)
    tables = np.zeros((n, letters + 1), dtype)
    tables[:, 1:] = frequencies.cumsum(1)
    slots = rng.integers(0, 1 << precision, n)
    return tables, (tables[:, 1:] <= slots[:, None]).sum(1)


def ranges(tables, symbols):
    rows = np.arange(len(symbols))
    starts = tables[rows, symbols]
    return starts, tables[rows, symbols + 1] - starts


def coded(calls, lanes=None):
    """Return the bytes of (tables, symbols, precision), and their ideal number."""
    encoder, bits = Encoder(), 0.0
    for tables, symbols, precision in calls:
        starts, frequencies = ranges(tables, symbols)
        encoder.push(starts, frequencies, precision)
        bits += precision * len(symbols) - np.log2(frequencies).sum()
    return encoder.finish(lanes), bits / 8


def assert_decodes(data, calls):
    decoder = Decoder(data)
    for tables, symbols, precision in calls:
        np.testing.assert_array_equal(decoder.pop(tables, precision), symbols)
    decoder.done()


@given(
    seed=st.integers(0, 2**32 - 1),
    shapes=st.lists(
        st.tuples(st.integers(0, 40), st.integers(1, 9), st.integers(4, 24)), max_size=5
    ),
    lanes=st.none() | st.integers(1, 30),
    dtype=st.sampled_from([np.int32, np.uint32, np.int64, np.uint64]),
)
@settings(max_examples=60, deadline=None)
def test_symbols_come_back(seed, shapes, lanes, dtype):
    rng = np.random.default_rng(seed)
    calls = [(*some_call(rng, n, k, p, dtype), p) for n, k, p in shapes]
    data, _ = coded(calls, lanes)
    assert_decodes(data, calls)


@pytest.mark.parametrize("precision", range(1, 25))
def test_every_precision_costs_what_the_frequencies_promise(precision):
    rng = np.random.default_rng(precision)
    letters = min(2 + 10 * precision, 1 << precision)
    calls = [(*some_call(rng, 1500, letters, precision), precision)] * 8
    data, ideal = coded(calls, lanes=4)
    assert_decodes(data, calls)
    assert ideal <= len(data) <= 1.001 * ideal + 4 * LANE_BYTES + 12


@pytest.mark.parametrize(("n", "letters"), [(10_000, 2), (1_000, 256), (37, 11), (1, 5)])
def test_the_lanes_chosen_cost_less_than_half_a_percent(n, letters):
    rng = np.random.default_rng(0)
    calls = [(*some_call(rng, n, letters, 16), 16)] * 20
    data, ideal = coded(calls)
    assert_decodes(data, calls)
    assert 1 <= int.from_bytes(data[:2], "little") <= min(n, MAX_LANES)
    assert ideal <= len(data) <= 1.005 * ideal + 10


def test_certain_symbols_cost_nothing():
    tables = np.tile([0, 0, 1 << 16, 1 << 16], (1000, 1))
    calls = [(tables, np.ones(1000, int), 16)] * 3
    data, _ = coded(calls)
    assert len(data) == 10
    assert_decodes(data, calls)


@given(st.lists(st.integers(0, 65_535)), st.integers(0, 8))
@settings(deadline=None)
def test_bits_come_back(values, more):
    encoder = Encoder()
    encoder.push_bits(np.array(values, np.int64), 16)
    encoder.push_bits(np.array(values, np.int64) >> (16 - more), more)
    data = encoder.finish()
    decoder = Decoder(data)
    assert decoder.pop_bits(len(values), 16).tolist() == values
    assert decoder.pop_bits(len(values), more).tolist() == [v >> (16 - more) for v in values]
    decoder.done()
    assert len(data) <= len(values) * (16 + more) / 8 + 14


def test_bits_are_symbols_of_equal_frequency():
    values = np.arange(8)
    encoder, other = Encoder(), Encoder()
    encoder.push_bits(values, 3)
    other.push(values, np.ones(8, int), 3)
    assert encoder.finish() == other.finish()


def test_nothing_is_no_bytes():
    encoder = Encoder()
    encoder.push(np.empty(0, int), np.empty(0, int))
    assert encoder.finish() == b""
    Decoder(b"").done()
    assert Decoder(b"").pop(np.empty((0, 3), int)).tolist() == []
    with pytest.raises(ArchiveError, match="end too early"):
        Decoder(b"").pop_bits(1, 1)


def test_the_bytes_are_these():
    encoder = Encoder()
    encoder.push(np.array([0, 1, 0, 1]), np.array([1, 3, 1, 3]), precision=2)
    encoder.push(np.array([7, 9, 100, 65_535, 0]), np.array([1, 1, 1, 1, 1]))
    encoder.push_bits(np.array([65_535, 4_660]), 16)
    expected = "020070000000100000002ec7e1381ec70100ffff00003412000064000000"
    assert encoder.finish(lanes=2).hex() == expected


@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
@settings(max_examples=20, deadline=None)
def test_the_bytes_are_those_of_the_formula_one_by_one(seed, lanes):
    rng = np.random.default_rng(seed)
    calls = [(*some_call(rng, n, 4, 9), 9) for n in (7, 3, 40)]
    states, words = [1 << 32] * lanes, []
    for tables, symbols, precision in reversed(calls):
        starts, frequencies = (some.tolist() for some in ranges(tables, symbols))
        for begin in reversed(range(0, len(symbols), lanes)):
            for lane, (s, f) in enumerate(
                zip(starts[begin : begin + lanes], frequencies[begin : begin + lanes], strict=True)
            ):
                x = states[lane]
                if x >= f << 64 - precision:
                    words.append(x % (1 << 32))
                    x >>= 32
                states[lane] = (x // f << precision) + x % f + s
    expected = lanes.to_bytes(2, "little")
    expected += b"".join(x.to_bytes(8, "little") for x in states)
    expected += b"".join(w.to_bytes(4, "little") for w in words)
    assert coded(calls, lanes)[0] == expected


def test_a_coder_gives_back_the_last_call_first_and_takes_more():
    rng = np.random.default_rng(1)
    first, second, third = (some_call(rng, n, 6, 12) for n in (50, 3, 120))
    coder = AnsCoder(lanes=16)
    coder.push(*ranges(*first), 12)
    coder.push(*ranges(*second), 12)
    np.testing.assert_array_equal(coder.pop(second[0], 12), second[1])
    coder.push(*ranges(*third), 12)
    coder = AnsCoder.of(coder.to_bytes())
    for tables, symbols in (third, first):
        np.testing.assert_array_equal(coder.pop(tables, 12), symbols)
    assert coder.is_empty


def test_bits_back_returns_the_bottom():
    bottom = np.arange(100, 120, dtype=np.uint32)
    coder = AnsCoder(3, bottom)
    tables, _ = some_call(np.random.default_rng(2), 21, 7, 16)
    before = coder.to_bytes()
    symbols = coder.pop(tables)
    coder.push(*ranges(tables, symbols))
    assert coder.to_bytes() == before
    assert bottom.tolist() == list(range(100, 120))


def test_damaged_bytes_are_refused_or_decode_to_other_symbols():
    """Whatever the bytes, there is one kind of error; and cut ones never pass."""
    rng = np.random.default_rng(3)
    calls = [(*some_call(rng, 20, 5, 16), 16)] * 3
    data, _ = coded(calls, lanes=3)
    damaged = [rng.bytes(int(n)) for n in rng.integers(0, 80, 300)]
    damaged += [data[:n] for n in range(len(data))]
    damaged += [data[:i] + bytes([data[i] ^ 1 << i % 8]) + data[i + 1 :] for i in range(len(data))]
    passed = []
    for broken in damaged:
        try:
            decoder = Decoder(broken)
            for tables, _, precision in calls:
                symbols = decoder.pop(tables, precision)
                assert ((symbols >= 0) & (symbols < 5)).all()
            decoder.done()
            passed.append(len(broken))
        except ArchiveError as error:
            assert str(error).startswith("The compressed data are damaged: ")  # noqa: PT017
    assert passed == []


@pytest.mark.parametrize(
    ("starts", "frequencies", "precision", "said"),
    [
        ([0], [0], 16, "empty"),
        ([-1], [1], 16, "empty"),
        ([65_000], [600], 16, "not within"),
        ([2**63], [1], 16, "not within"),
        ([0], [2**63 - 1], 16, "not within"),
        ([0, 1], [1], 16, "as many"),
        ([0.5], [1], 16, "integers"),
        ([0], [1], 25, "0 to 24"),
        ([0], [1], -1, "0 to 24"),
    ],
)
@pytest.mark.parametrize("kind", [Encoder, lambda: AnsCoder(1)])
def test_ranges_that_cannot_be_coded_are_refused(kind, starts, frequencies, precision, said):
    with pytest.raises(SettingError, match=said):
        kind().push(np.array(starts), np.array(frequencies), precision)


def test_tables_that_are_none_are_refused():
    for table in ([[0, 3, 5]], [[1, 3, 4]], [[0.0, 3.0, 4.0]]):
        with pytest.raises(SettingError, match="integers from 0 to 2"):
            AnsCoder(1).pop(np.array(table), 2)
    with pytest.raises(SettingError, match="lanes"):
        AnsCoder(1 << 16)


def tabled(tables, precision=16):
    """Return the sums of tables, and the letter of each place."""
    sums = [row.tolist() for row in tables]
    letters = [np.repeat(np.arange(len(row) - 1), np.diff(row)).tolist() for row in sums]
    assert all(len(row) == 1 << precision for row in letters)
    return sums, letters


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 60), max_size=4))
@settings(max_examples=30, deadline=None)
def test_symbols_of_few_tables_come_back_as_those_of_one_each(seed, lengths):
    rng = np.random.default_rng(seed)
    tables, _ = some_call(rng, 3, 7, 16)
    calls, encoder = [], Encoder()
    for n in lengths:
        rows, slots = rng.integers(0, 3, n), rng.integers(0, 1 << 16, n)
        symbols = (tables[rows, 1:] <= slots[:, None]).sum(1)
        encoder.push(*ranges(tables[rows], symbols))
        encoder.push_bits(symbols, 3)
        calls.append((rows, symbols))
    data = encoder.finish(lanes=1)
    one, each = Decoder(data), Decoder(data)
    for rows, symbols in calls:
        np.testing.assert_array_equal(one.pop_tabled(rows, *tabled(tables)), symbols)
        np.testing.assert_array_equal(each.pop(tables[rows]), symbols)
        for decoder in (one, each):
            np.testing.assert_array_equal(decoder.pop_bits(len(rows), 3), symbols)
    one.done()
    each.done()


def test_other_precisions_are_tabled_too():
    rng = np.random.default_rng(5)
    tables, _ = some_call(rng, 2, 5, 9)
    rows = rng.integers(0, 2, 400)
    symbols = rng.integers(0, 5, 400)
    coder = AnsCoder(1)
    coder.push(*ranges(tables[rows], symbols), 9)
    found = coder.pop_tabled(rows, *tabled(tables, 9), 9)
    np.testing.assert_array_equal(found, symbols)
    assert coder.is_empty


def test_one_state_has_the_bytes_of_the_formula_for_ranges_of_every_width():
    """The widest and the narrowest ranges are where a state is next to its limits."""
    starts = [0, 0, 65_535, 1, 0, 0] * 300
    frequencies = [1, 65_536, 1, 65_535, 65_535, 3] * 300
    x, words = 1 << 32, []
    for s, f in zip(reversed(starts), reversed(frequencies), strict=True):
        if x >= f << 48:
            words.append(x % (1 << 32))
            x >>= 32
        x = (x // f << 16) + x % f + s
    encoder = Encoder()
    encoder.push(np.array(starts), np.array(frequencies))
    expected = (1).to_bytes(2, "little") + x.to_bytes(8, "little")
    expected += b"".join(word.to_bytes(4, "little") for word in words)
    assert encoder.finish(lanes=1) == expected


def test_damaged_or_interleaved_bytes_have_no_tabled_symbols():
    tables, _ = some_call(np.random.default_rng(0), 1, 5, 16)
    rows, symbols = np.zeros(100, int), np.arange(100) % 5
    for lanes, end, said in ((2, None, "several states"), (1, 10, "end too early")):
        encoder = Encoder()
        encoder.push(*ranges(tables[rows], symbols))
        data = encoder.finish(lanes)
        with pytest.raises(ArchiveError, match=said):
            Decoder(data[:end]).pop_tabled(rows, *tabled(tables))
    nothing = Decoder(b"").pop_tabled(np.empty(0, int), *tabled(tables))
    assert (nothing.dtype, len(nothing)) == (np.int64, 0)
    with pytest.raises(ArchiveError, match="end too early"):
        Decoder(b"").pop_tabled(rows, *tabled(tables))


@given(st.lists(st.tuples(st.integers(1, 65535), st.booleans()), max_size=200))
@settings(max_examples=50, deadline=None)
def test_bits_of_one_state_come_back(calls):
    zeros, ones = (np.array([call[i] for call in calls], np.int64) for i in (0, 1))
    encoder = Encoder()
    encoder.push(ones * zeros, np.where(ones, 65536 - zeros, zeros))
    decoder = Decoder(encoder.finish(lanes=1))
    half = len(calls) // 2
    found = [decoder.pop_binary(part) for part in (zeros[:half], zeros[half:])]
    np.testing.assert_array_equal(np.concatenate(found), ones)
    decoder.done()


def test_bits_of_several_states_or_beyond_the_end_are_refused():
    encoder, zeros = Encoder(), np.full(64, 1 << 15)
    encoder.push(zeros, zeros)
    with pytest.raises(ArchiveError, match="several states"):
        Decoder(encoder.finish(lanes=2)).pop_binary(zeros)
    with pytest.raises(ArchiveError, match="end too early"):
        Decoder(encoder.finish(lanes=1)).pop_binary(np.full(200, 1 << 15))
