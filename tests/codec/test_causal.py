"""Coding by a causal likelihood: symbols come back, at the length that the model says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from attar.codec.causal import CausalCoder
from attar.codec.rans import Decoder, Encoder
from attar.errors import ArchiveError
from attar.likelihoods import Causal, Levels, OneHot, sequential
from attar.likelihoods.intensities import Intensities
from attar.likelihoods.sequential import Affine, Inputs

rng = np.random.default_rng(0)

LANES = 16

LIKELIHOODS = {
    "table": (Causal((OneHot(3), Levels(40, 2), OneHot(2, 1)), (), 8, 2, 16), (1, 1)),
    "images": (Causal((Levels(3), Levels(300, 3)), (3, 5), 8, 2, 16), (4, 6)),
    "photographs": (Causal((Intensities(), Intensities()), (3, 5), 8, 1, 16), (5, 9)),
    "series": (Causal((Levels(5), Levels(7)), (4,), 8, 1, 16), (9, 1)),
}


@pytest.fixture(params=LIKELIHOODS)
def coded(request):
    """Return a module, what it starts from, symbols of 60 rows, and the coder."""
    likelihood, places = LIKELIHOODS[request.param]
    torch.manual_seed(0)
    module = likelihood.build()
    for head in module.heads:
        head.output.weight.data.mul_(4)
    start = torch.randn(1, 8, *((1, 1) if request.param == "photographs" else places))
    sizes = [alphabet.size for alphabet in likelihood.channels]
    symbols = np.stack([rng.integers(0, size, (60, *places)) for size in sizes], 1)
    if request.param == "photographs":
        symbols = 128 + rng.integers(-3, 4, symbols.shape).cumsum(-1).cumsum(-2)
        symbols = symbols.clip(0, 255)
    values = [a.values[torch.from_numpy(symbols[:, c])] for c, a in enumerate(module.alphabets)]
    x = torch.cat([value.movedim(-1, 1) for value in values], 1)
    x = x.reshape(60, -1, *places[: module.places])
    parameters = start.reshape(1, 1, 8, *start.shape[2 : 2 + module.places])
    parameters = parameters.expand(1, 60, *parameters.shape[2:])
    module.train()
    nats = -float(module.log_prob(parameters, x).sum().detach())
    return CausalCoder.by(module, start), symbols, nats / np.log(2) / 8


def in_double(coder):
    """Return the coder in double precision."""

    def wide(affine):
        return Affine(affine.weight.double(), affine.bias.double(), affine.scale)

    layers, seen = coder.layers, coder.layers.inputs.differences
    tables = [table.double() for table in layers.inputs.tables]
    layers = replace(
        layers,
        inputs=Inputs(tables, None if seen is None else seen.double()),
        convolutions=[wide(affine) for affine in layers.convolutions],
        hidden=[wide(affine) for affine in layers.hidden],
        output=[],
    )
    channels = [replace(one, output=wide(one.output)) for one in coder.channels]
    return replace(coder, layers=layers, start=coder.start.double(), channels=tuple(channels))


def encoded(coder, symbols, mask=None):
    encoder = Encoder()
    mask = np.ones(symbols.shape, bool) if mask is None else mask
    coder.encode(encoder, symbols, mask)
    return encoder.finish(LANES)


def decoded(coder, data, known, mask):
    decoder = Decoder(data)
    found = coder.decode(decoder, known, mask)
    decoder.done()
    return found


def test_symbols_come_back_at_the_length_that_the_model_says(coded):
    coder, symbols, expected = coded
    data = encoded(coder, symbols)
    everything = np.ones(symbols.shape, bool)
    found = decoded(coder, data, np.zeros_like(symbols), everything)
    np.testing.assert_array_equal(found, symbols)
    assert abs(len(data) - expected) < 0.01 * expected + LANES * 8 + 2


def test_cells_that_are_known_take_nothing(coded):
    coder, symbols, _ = coded
    mask = rng.random(symbols.shape) < 0.6
    data = encoded(coder, symbols, mask)
    found = decoded(coder, data, np.where(mask, 0, symbols), mask)
    np.testing.assert_array_equal(found, symbols)
    assert len(data) < len(encoded(coder, symbols))
    assert len(encoded(coder, symbols, np.zeros(symbols.shape, bool))) == 2 + LANES * 8


def test_precision_and_the_number_of_rows_at_once_do_not_matter(coded):
    coder, symbols, _ = coded
    data = encoded(coder, symbols)
    everything = np.ones(symbols.shape, bool)
    assert encoded(in_double(coder), symbols) == data
    found = decoded(in_double(coder), data, np.zeros_like(symbols), everything)
    np.testing.assert_array_equal(found, symbols)

    class Recorder:
        def __init__(self):
            self.taken = []

        def push(self, starts, frequencies, precision=16):
            self.taken.append(np.stack([starts, frequencies], 1))

    whole, parts = Recorder(), [Recorder() for _ in range(4)]
    coder.encode(whole, symbols, everything)
    for start, part in zip(range(0, 60, 15), parts, strict=True):
        coder.encode(part, symbols[start : start + 15], everything[:15])
    flat = sorted(map(tuple, np.concatenate(whole.taken).tolist()))
    joined = np.concatenate([one for part in parts for one in part.taken])
    assert sorted(map(tuple, joined.tolist())) == flat


def test_what_has_seen_the_background_alone_is_computed_once(coded, monkeypatch):
    coder, symbols, _ = coded
    modes = np.array(coder.layers.background or [128, 128])[:, None, None]
    sparse = np.where(rng.random(symbols.shape) < 0.03, symbols, modes)
    sparse[-1] = modes
    everything, found, computed = np.ones(symbols.shape, bool), [], []
    add = Affine.add
    monkeypatch.setattr(Affine, "add", lambda *args: computed.append(len(args[1])) or add(*args))
    for most in (0.0, 0.5, 1.0):
        monkeypatch.setattr(sequential, "DENSE", most)
        computed.append(0)
        found.append((encoded(coder, sparse), sum(computed)))
        computed.clear()
    assert len({data for data, _ in found}) == 1
    if coder.layers.windows and coder.layers.background:
        assert found[0][1] > found[1][1] >= found[2][1]
    known = np.zeros_like(sparse)
    np.testing.assert_array_equal(decoded(coder, found[0][0], known, everything), sparse)


def test_other_bytes_are_refused_or_differ(coded):
    coder, symbols, _ = coded
    data = encoded(coder, symbols)
    everything = np.ones(symbols.shape, bool)
    for place in rng.integers(2, len(data), 6):
        odd = bytearray(data)
        odd[place] ^= 1 << int(rng.integers(8))
        try:
            found = decoded(coder, bytes(odd), np.zeros_like(symbols), everything)
        except ArchiveError:
            continue
        assert (found != symbols).any()
