"""Coefficients come back to the last bit, in any order of sums, and coarser without layers."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import laplace

from attar.codec.coefficients import (
    BEYOND,
    EIGHTHS,
    LAYERS,
    LEVELS,
    CoefficientCoder,
    LaplaceTable,
    dyadic,
    exactly,
    exponentials,
    tables,
)
from attar.codec.rans import Decoder, Encoder
from attar.codes.contextual import LOG_SCALES, Contextual
from attar.errors import ArchiveError, SettingError
from attar.networks.lapped import Lapped

BLOCK = 4


def parts_of_model(channels=1, seed=0, hidden=8):
    """Return a model of random weights that start away from the transform."""
    torch.manual_seed(seed)
    shape, network = (channels, BLOCK, BLOCK), Lapped(BLOCK, hidden)
    prior = Contextual(BLOCK, hidden).build(channels * BLOCK**2 + 1, shape).prior
    decoder = network.decoder(channels * BLOCK**2 + 1, (2 * channels, BLOCK, BLOCK))
    torch.nn.init.normal_(decoder.last.weight, std=0.05)
    torch.nn.init.normal_(prior.log_ratios, std=0.01)
    with torch.no_grad():
        for output in prior.outputs:
            output.weight.mul_(5)
    return network.encoder(shape, network.features(shape)), prior, decoder


CODERS = {channels: CoefficientCoder(*parts_of_model(channels)) for channels in (1, 3)}


def images(channels, height, width, rows=1, seed=0):
    """Return smooth images with noise, in [0, 1]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / 9
    waves = np.sin(np.multiply.outer(rng.normal(size=(rows, channels)), y + 2 * x))
    return torch.from_numpy(0.5 + 0.3 * waves + 0.05 * rng.normal(size=waves.shape))


@given(
    channels=st.sampled_from([1, 3]),
    height=st.integers(1, 23),
    width=st.integers(1, 23),
    rows=st.integers(1, 3),
    level=st.integers(0, 1024),
)
@settings(max_examples=25, deadline=None)
def test_what_is_decoded_is_what_was_encoded_to_the_last_bit(channels, height, width, rows, level):
    coder = CODERS[channels]
    given = images(channels, height, width, rows, seed=level)
    layers, decoded = coder.encode(given, level / 1024)
    assert len(layers) == LAYERS
    assert decoded.shape == given.shape
    assert torch.equal(coder.decode(layers, rows, (height, width), level / 1024), decoded)


def test_the_order_of_sums_and_threads_change_no_bit(monkeypatch):
    coder, given = CODERS[3], images(3, 22, 19, 2)
    layers, decoded = coder.encode(given, 0.75)
    before, linear = torch.get_num_threads(), torch.nn.functional.linear

    def permuted(inputs, weight, bias=None):
        order = torch.randperm(weight.shape[1], generator=torch.Generator().manual_seed(7))
        return linear(inputs[..., order], weight[:, order], bias)

    for threads in (1, 2):
        torch.set_num_threads(threads)
        assert torch.equal(coder.decode(layers, 2, (22, 19), 0.75), decoded)
    torch.set_num_threads(before)
    monkeypatch.setattr(torch.nn.functional, "linear", permuted)
    assert torch.equal(coder.decode(layers, 2, (22, 19), 0.75), decoded)


def test_pictures_of_a_batch_are_those_coded_alone():
    coder, given = CODERS[1], images(1, 13, 9, 3)
    _, together = coder.encode(given, 0.5)
    for i, one in enumerate(together):
        assert torch.equal(coder.encode(given[i : i + 1], 0.5)[1][0], one)


def test_a_finer_quality_has_a_smaller_error_and_more_bytes():
    coder, given = CODERS[1], images(1, 40, 40)
    found = [coder.encode(given, quality) for quality in (0.0, 0.25, 0.5, 0.75, 1.0)]
    lengths = [sum(map(len, layers)) for layers, _ in found]
    errors = [(decoded - given).square().mean().item() for _, decoded in found]
    assert lengths == sorted(lengths)
    assert errors == sorted(errors, reverse=True)


def test_without_layers_pictures_are_coarser():
    coder, given = CODERS[1], images(1, 40, 40)
    layers, whole = coder.encode(given, 1.0)
    errors = [
        (coder.decode(layers[:n], 1, (40, 40), 1.0) - given).square().mean().item()
        for n in range(LAYERS + 1)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] == (whole - given).square().mean().item()
    assert errors[0] > 2 * errors[1] > 2 * errors[-1]


def test_pixels_far_out_of_range_come_back():
    coder, given = CODERS[1], images(1, 9, 9)
    given[..., 4, 4], given[..., 0, 0] = 1e7, -1e7
    layers, decoded = coder.encode(given, 1.0)
    assert torch.equal(coder.decode(layers, 1, (9, 9), 1.0), decoded)
    assert decoded.isfinite().all()


def test_a_damaged_layer_is_refused():
    coder, given = CODERS[1], images(1, 16, 16)
    layers, _ = coder.encode(given, 0.8)
    first = layers[0]
    for broken in (first[:-1], first[:-4], b"", first + b"\0" * 4, first[:2] + b"\0" * 8, b"abc"):
        with pytest.raises(ArchiveError, match="damaged"):
            coder.decode([broken, *layers[1:]], 1, (16, 16), 0.8)


@pytest.mark.parametrize("level", [0, 19, 40, 60, LEVELS - 1])
def test_frequencies_are_those_of_a_laplace_distribution(level):
    table = LaplaceTable.of(level)
    frequencies, width = np.diff(table.cumulative), 1 << table.shift
    assert table.cumulative[0] == 0
    assert table.cumulative[-1] == 1 << 16
    assert frequencies.min() >= 1
    assert len(frequencies) == 2 * table.reach + 2
    scale = np.exp(LOG_SCALES[0] + level / EIGHTHS)
    edges = np.arange(-table.reach, table.reach + 2) * width - 0.5
    shares = np.diff(laplace(scale=scale).cdf(edges))
    # One of each symbol is certain; what rounding leaves goes to the one in the middle.
    others = np.arange(len(shares)) != table.reach
    expected = shares * ((1 << 16) - len(shares) - 1) + 1
    assert (np.abs(frequencies[:-1] - expected)[others] <= 1.000001).all()
    assert abs(frequencies[table.reach] / (1 << 16) - shares[table.reach]) < 0.02
    assert table.reach * width >= 10 * scale


@given(st.lists(st.tuples(st.integers(-(1 << 15), (1 << 15) - 1), st.integers(0, LEVELS - 1))))
@settings(max_examples=40, deadline=None)
def test_steps_of_any_size_come_back(pairs):
    steps, levels = (np.array([pair[i] for pair in pairs], np.int64) for i in (0, 1))
    encoder = Encoder()
    tables().push(encoder, steps, levels)
    decoder = Decoder(encoder.finish(lanes=1))
    np.testing.assert_array_equal(tables().pop(decoder, levels), steps)
    decoder.done()


@pytest.mark.parametrize("level", [24, 48, 72, LEVELS - 1])
def test_steps_cost_the_entropy_of_their_distribution(level):
    scale = np.exp(LOG_SCALES[0] + level / EIGHTHS)
    limits = -(1 << BEYOND - 1), (1 << BEYOND - 1) - 1
    draws = laplace(scale=scale).rvs(4000, random_state=0).round().clip(*limits)
    bits = -np.log2(np.diff(laplace(scale=scale).cdf(draws[:, None] + [-0.5, 0.5]))).sum()
    encoder = Encoder()
    tables().push(encoder, draws.astype(np.int64), np.full(4000, level))
    assert 0.99 * bits / 8 < len(encoder.finish(lanes=1)) < 1.02 * bits / 8 + 12


def test_weights_and_inputs_are_rounded_so_that_sums_are_exact():
    layer = torch.nn.Linear(40, 5)
    exact = exactly(layer)
    for weight, bits in ((exact.weight, 22), (exact.bias, 36)):
        assert torch.equal(weight * 2.0**bits, (weight * 2.0**bits).round())
    torch.testing.assert_close(exact.weight.float(), layer.weight, atol=2**-22, rtol=0)
    x = torch.randn(7, 40, dtype=torch.double)
    whole = dyadic(x, 14) * 2**14 @ (exact.weight * 2**22).T + exact.bias * 2**36
    assert torch.equal(exact(x), whole * 2.0**-36)
    assert exact(torch.full((1, 40), 1e300, dtype=torch.double)).abs().max() < 2**16
    assert layer.weight.dtype == torch.float
    assert layer.weight.requires_grad


def test_weights_whose_sums_are_not_exact_are_refused():
    layer = torch.nn.Linear(2, 2)
    for value in (1e6, float("nan"), float("inf")):
        torch.nn.init.constant_(layer.weight, value)
        with pytest.raises(SettingError, match="sums are not exact"):
            exactly(layer)


@given(st.lists(st.floats(-8, 8), min_size=1, max_size=5))
def test_exponentials_are_rounded_to_multiples(values):
    found = exponentials(torch.tensor(values, dtype=torch.double))
    np.testing.assert_allclose(found, np.exp(values), atol=2**-30, rtol=1e-15)
    assert torch.equal(found * 2**30, (found * 2**30).round())
