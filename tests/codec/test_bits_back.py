import math
from statistics import NormalDist

import mpmath
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import ndtr, ndtri
from torch import nn

import attar
from attar.codec import cells, latents, rounding
from attar.codec.bits_back import Beginning, BitsBack
from attar.codec.rounding import INPUT_BITS, PRODUCT_BITS, WEIGHT_BITS, Guard, exact, watched
from attar.errors import DataError, FileError, SettingError
from attar.likelihoods import LogisticMixture
from attar.networks import Conv, Mlp
from attar.networks.mlp import Compress

RANDOM = np.random.default_rng(0)
# Blobs: what is bright is near a centre.
CENTRES = RANDOM.uniform(0, 6, (600, 2, 1, 1))
DISTANCES = np.hypot(*(np.indices((6, 6))[:, None] - CENTRES.transpose(1, 0, 2, 3)))
IMAGES = np.clip(np.rint(8 - 2 * DISTANCES + RANDOM.normal(0, 0.5, DISTANCES.shape)), 0, 8)
IMAGES = IMAGES.astype("uint8")
FRAME = pd.DataFrame(
    {
        "colour": RANDOM.choice(["red", "green", "blue"], 300, p=[0.6, 0.3, 0.1]),
        "open": RANDOM.random(300) < 0.2,
        "age": RANDOM.integers(18, 60, 300),
        "price": RANDOM.integers(0, 40, 300) / 4,
    }
)
COUNTS = RANDOM.poisson(RANDOM.gamma(2, 2, (300, 1)), (300, 5)).astype(float)


def fitted(X, recipe="vae", epochs=2, **settings):
    settings = {"network": Mlp((32,), "silu", shortcut=True), "code_size": 4, **settings}
    ae = attar.Autoencoder(recipe, epochs=epochs, random_state=0, verbose=False, **settings)
    return ae.fit(X)


def raw(ae, X):
    return ae.fitted_.kind.rows(X)


@pytest.fixture(scope="module")
def vae():
    return fitted(IMAGES[:300], epochs=12, likelihood=LogisticMixture(2, 9))


@pytest.fixture(scope="module")
def codec(vae):
    return BitsBack(vae.fitted_)


@pytest.mark.parametrize(
    ("X", "recipe", "likelihood"),
    [
        (IMAGES[:100], "ladder", LogisticMixture(2, 9)),
        (IMAGES[:100], "fsq", LogisticMixture(2, 9)),
        (IMAGES[:100] > 4, "iwae", "bernoulli"),
        (IMAGES[:100], "beta-vae", "gaussian"),
        (COUNTS[:100], "vae", "poisson"),
        (FRAME, "vae", "auto"),
    ],
)
def test_rows_come_back(X, recipe, likelihood):
    network = Conv((4,), shortcut=True) if recipe == "beta-vae" else Mlp((32,), "tanh")
    scaling = "none" if likelihood == "poisson" else "auto"
    ae = fitted(
        X,
        recipe,
        network=network,
        likelihood=likelihood,
        scaling=scaling,
        code_size=8 if recipe == "fsq" else 3,
    )
    rows = raw(ae, X)[:100]
    codec = BitsBack(ae.fitted_)
    data = codec.compress(rows)
    back = codec.decompress(data)
    assert back.dtype == rows.dtype
    np.testing.assert_array_equal(back, rows)
    # One may have a value that no training row has.
    assert codec.levels.symbols(rows)[1].sum() >= 99
    assert len(data) < 100 * rows[0].size * (2 if rows.dtype == np.float64 else 1)


def test_bytes_are_the_bound(vae, codec):
    rows = raw(vae, IMAGES[300:])
    symbols, _ = codec.levels.symbols(rows)
    data = codec.encode(symbols)
    beginning, end = Beginning.read(data)
    bits = 8 * (len(data) - end) - beginning.initial_bits
    bound = len(rows) * vae.evaluate(IMAGES[300:], draws=1)["nll_bound"] / math.log(2)
    # The codes that were drawn are others than those of the bound.
    assert bits == pytest.approx(bound, rel=0.01)
    # One row paid for the others.
    assert beginning.initial_bits < 400
    np.testing.assert_array_equal(codec.decode(data), symbols)


def noisy(monkeypatch):
    """Let results be wrong at random, by half of what is allowed."""
    before, noise = Guard.rounded, np.random.default_rng(1)

    def rounded(self, values, site, error, places=None, final=True):
        values = values + noise.uniform(-error / 2, error / 2, values.shape)
        return before(self, values, site, error, places, final)

    monkeypatch.setattr(Guard, "rounded", rounded)


@pytest.mark.parametrize("recipe", ["vae", "ladder"])
def test_another_machine_decodes_the_same(vae, recipe, monkeypatch):
    ae = (
        vae if recipe == "vae" else fitted(IMAGES[:100], "ladder", likelihood=LogisticMixture(2, 9))
    )
    codec = BitsBack(ae.fitted_)
    symbols, _ = codec.levels.symbols(raw(ae, IMAGES[300:350]))
    # Errors so large that half of all frequencies are in doubt.
    for module, name, error in (
        (rounding, "VALUE_ERROR", 2.0**-24),
        (latents, "VALUE_ERROR", 2.0**-24),
        (latents, "NORMAL_ERROR", 2.0**-27),
        (cells, "PROBABILITY_ERROR", 2.0**-24),
    ):
        monkeypatch.setattr(module, name, error)
    data = codec.encode(symbols)
    beginning, end = Beginning.read(data)
    assert sum(map(len, beginning.marks.values())) > 500
    noisy(monkeypatch)
    np.testing.assert_array_equal(codec.decode(data), symbols)
    # Without marks it fails.
    beginning.marks.clear()
    with pytest.raises(FileError):
        codec.decode(beginning.to_bytes() + data[end:])


def test_marks_are_few(codec, vae, monkeypatch):
    symbols, _ = codec.levels.symbols(raw(vae, IMAGES[:200]))
    data = codec.encode(symbols)
    assert sum(map(len, Beginning.read(data)[0].marks.values())) <= 4
    noisy(monkeypatch)
    np.testing.assert_array_equal(codec.decode(data), symbols)


def test_sums_are_exact(vae):
    _, layers = exact(vae.model_)
    generator = torch.Generator().manual_seed(0)
    for layer in layers:
        x = 30 * torch.randn(5, layer.in_features, generator=generator, dtype=torch.float64)
        with watched(layers, Guard()):
            y = layer(x)
        limit = math.floor(rounding.input_limit(layer) * 2**INPUT_BITS)
        integers = [np.rint(x.numpy() * 2**INPUT_BITS).clip(-limit, limit)]
        integers += [layer.weight.T.numpy() * 2**WEIGHT_BITS, layer.bias.numpy() * 2**PRODUCT_BITS]
        inputs, weights, bias = (np.vectorize(int, otypes=[object])(part) for part in integers)
        assert all((part == part.astype(np.int64)).all() for part in integers)
        np.testing.assert_array_equal(y.numpy() * 2**PRODUCT_BITS, inputs @ weights + bias)
        # Whatever the inputs, in any order: partial sums are integers below 2^52.
        assert max(limit * abs(weights).sum(0) + abs(bias)) < 2**52
    assert len(layers) == 6


@pytest.mark.parametrize(
    ("place", "bits"), [(0, latents.EDGE_BITS), (1, latents.MIDDLE_BITS)], ids=["edges", "middles"]
)
def test_no_library_rounds_a_bucket_otherwise(place, bits):
    count = latents.BUCKETS
    quantiles = np.arange(1, count) / count if place == 0 else (np.arange(count) + 0.5) / count
    found = ndtri(quantiles)
    other = [NormalDist().inv_cdf(quantile) for quantile in quantiles[:: count // 512]]
    np.testing.assert_allclose(found[:: count // 512], other, rtol=0, atol=1e-14)
    scaled = found * 2.0**bits
    distance = np.abs(scaled - np.floor(scaled) - 0.5) / 2.0**bits
    assert distance.min() > 1e-12
    table = latents.buckets()[place]
    np.testing.assert_array_equal(table[1:-1] if place == 0 else table, np.rint(scaled) / 2.0**bits)
    with mpmath.workdps(40):
        for i in np.argsort(distance)[:8]:
            true = mpmath.sqrt(2) * mpmath.erfinv(2 * mpmath.mpf(quantiles[i]) - 1)
            assert mpmath.nint(true * 2**bits) == np.rint(scaled[i])


def test_other_values_are_stored():
    ae = fitted(FRAME[["age", "price"]], code_size=1)
    codec, rows = BitsBack(ae.fitted_), raw(ae, FRAME[["age", "price"]])[:40]
    rows[3, 0], rows[4, 1], rows[5, 1] = 1e300, -0.0, 0.1
    rows[6].view(np.int64)[0] = 0x7FF8_0000_0000_BEEF  # NaN, with a payload
    _, known = codec.levels.symbols(rows)
    assert np.flatnonzero(~known).tolist() == [3, 4, 5, 6]
    assert codec.decompress(codec.compress(rows)).tobytes() == rows.tobytes()
    assert codec.decompress(codec.compress(rows[3:7])).tobytes() == rows[3:7].tobytes()
    assert codec.decompress(codec.compress(rows[:0])).shape == (0, 2)


def test_cells_far_out_are_coded():
    ae = fitted(COUNTS[:100], likelihood="poisson", scaling="none")
    codec = BitsBack(ae.fitted_)
    last = codec.model.decoder[0].straight
    last.bias.data += 20.0
    symbols, known = codec.levels.symbols(raw(ae, COUNTS)[:30])
    data = codec.encode(symbols[known])
    assert sum(map(len, Beginning.read(data)[0].marks.values())) >= symbols[known].size
    np.testing.assert_array_equal(codec.decode(data), symbols[known])


def test_damage_is_found(codec, vae):
    rows = raw(vae, IMAGES[:20])
    data = codec.compress(rows)
    for place in range(len(data) - 100, len(data), 9):
        flipped = bytearray(data)
        flipped[place] ^= 1 << place % 8
        with pytest.raises(FileError, match="damaged"):
            codec.decompress(bytes(flipped))
    for end in range(0, len(data), 17):
        with pytest.raises(FileError, match="damaged"):
            codec.decompress(data[:end])
    for place in range(50):
        random = data[:place] + RANDOM.bytes(60)
        with pytest.raises(FileError, match="damaged"):
            codec.decompress(random)


@pytest.mark.parametrize(
    ("X", "settings", "message"),
    [
        (IMAGES, {"recipe": "ae"}, "code 'point', but .*'vae'"),
        (IMAGES, {"recipe": "vamp"}, "code 'gaussian' with the prior 'vamp'"),
        (IMAGES / 8.0, {}, "float64.*uint8"),
        (COUNTS + RANDOM.random(COUNTS.shape), {}, "'x0' has real numbers.*leave"),
        (RANDOM.integers(0, 10**6, (60, 5)), {}, "possible values"),
        (COUNTS, {"likelihood": "multinomial", "scaling": "none"}, "whole rows"),
        (IMAGES, {"likelihood": "ms-ssim"}, "whole rows"),
        (IMAGES, {"network": Mlp((8,), normalization="layer")}, "LayerNorm"),
    ],
)
def test_what_cannot_be_coded_is_refused(X, settings, message):
    ae = fitted(X[:60], epochs=1, **settings)
    with pytest.raises(SettingError, match=message):
        BitsBack(ae.fitted_)


def test_layers_in_two_places_are_refused():
    layer = nn.Linear(36, 36)
    network = (
        nn.Sequential(nn.Flatten(), layer, nn.Tanh(), layer, nn.Linear(36, 4)),
        nn.Sequential(nn.Linear(2, 36), nn.Unflatten(1, (1, 6, 6))),
    )
    ae = fitted(IMAGES[:60], epochs=1, network=network, code_size=2)
    with pytest.raises(SettingError, match="two places"):
        BitsBack(ae.fitted_)


def test_conditions_and_shapes_are_refused(codec):
    ae = attar.Autoencoder("conditional", epochs=1, random_state=0, verbose=False)
    ae.fit(IMAGES[:60], condition=np.arange(60) % 2)
    with pytest.raises(SettingError, match="without a condition"):
        BitsBack(ae.fitted_)
    with pytest.raises(DataError, match="shape"):
        codec.compress(np.zeros((2, 6, 6), "uint8"))


def sigmoid(x):
    return 1 / (1 + mpmath.exp(-x))


@pytest.mark.parametrize(
    ("module", "function"),
    [
        (nn.ELU(), lambda x: x if x > 0 else mpmath.expm1(x)),
        (nn.GELU(), lambda x: x * mpmath.ncdf(x)),
        (nn.SiLU(), lambda x: x * sigmoid(x)),
        (nn.Tanh(), mpmath.tanh),
        (nn.Sigmoid(), sigmoid),
        (Compress(), lambda x: 5 * mpmath.asinh(x / 5)),
    ],
)
def test_activations_are_right_to_an_eighth_of_what_is_allowed(module, function):
    sizes = np.logspace(-6, 11, 60, base=2)
    x = np.concatenate([-sizes, [0], sizes])
    with mpmath.workdps(40):
        expected = [function(mpmath.mpf(value)) for value in x]
        found = module(torch.from_numpy(x)).tolist()
        errors = [abs(y - value) for y, value in zip(found, expected, strict=True)]
    assert max(errors) < rounding.VALUE_ERROR / 8
    slopes = np.diff(found) / np.diff(x)
    assert abs(slopes).max() < 1.13


def test_normal_distribution_functions_are_right_to_a_part_of_what_is_allowed():
    x = np.linspace(-9, 9, 400)
    with mpmath.workdps(40):
        errors = [abs(ndtr(value) - mpmath.ncdf(value)) for value in x]
    assert max(errors) < rounding.NORMAL_ERROR / 64
