"""Networks on integers: sums stay where single precision is exact, whatever the weights."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attar.codec.integer import (
    EXACT,
    FAR,
    FINE,
    LARGEST,
    PRECISION,
    UNIT,
    LevelRanges,
    cumulative_frequencies,
    exponentials,
    fine_sigmoids,
    inverse_scales,
    largest_sum,
    mode_frequency,
    on_integers,
    sigmoids,
)
from attar.errors import SettingError
from attar.likelihoods.heads import LogisticHead
from attar.likelihoods.intensities import Intensities
from attar.likelihoods.sequential import Affine, Inputs, Layers

WIDTH, HIDDEN, SYMBOLS, FEATURES = 5, 7, 4, 3


def layers(scales, seed=0, limit=1.0, ones=False):
    """Return a network of two convolutions and two channels, whose layers have these sizes."""
    generator = torch.Generator().manual_seed(seed)

    def affine(inputs, outputs, scale):
        weight = torch.randn(inputs, outputs, generator=generator)
        weight = torch.ones(inputs, outputs) if ones else weight
        return Affine(weight * scale, torch.randn(outputs, generator=generator) * scale)

    first, inner, hidden, output = scales
    return Layers(
        inputs=Inputs([torch.eye(FEATURES)] * 2),
        windows=[(2, 3), (2, 3)],
        convolutions=[affine(4 * 2 * FEATURES, WIDTH, first), affine(5 * WIDTH, WIDTH, inner)],
        limits=[limit] * 4,
        steps=None,
        hidden=[affine(WIDTH + FEATURES * c, HIDDEN, hidden) for c in range(2)],
        output=[affine(HIDDEN, SYMBOLS, output) for _ in range(2)],
        background=[0, 0],
    )


sizes = st.integers(-30, 30).map(lambda power: 2.0**power) | st.just(0.0)


@given(st.tuples(sizes, sizes, sizes, sizes), st.integers(0, 99), sizes, sizes, st.booleans())
def test_every_sum_is_an_exact_integer(scales, seed, limit, size, ones):
    start = size * torch.randn(1, WIDTH, 2, 2, generator=torch.Generator().manual_seed(seed))
    found, start = on_integers(layers(scales, seed, limit, ones), start)
    for affine in (*found.convolutions, *found.hidden, *found.output):
        assert largest_sum(affine, LARGEST) < EXACT
        assert (affine.weight == affine.weight.round()).all()
        assert (affine.bias == affine.bias.round()).all()
        assert torch.frexp(torch.tensor(affine.scale))[0] == 0.5  # a power of two
    trunk = float(start.abs().max())
    trunk += sum(largest_sum(one, LARGEST) * one.scale + 1 for one in found.convolutions)
    assert trunk < EXACT
    assert all(limit == LARGEST for limit in found.limits)
    assert all((table.abs() <= 1 << UNIT).all() for table in found.inputs.tables)


@given(st.integers(0, 99))
def test_the_order_of_a_sum_and_its_precision_do_not_matter(seed):
    found, _ = on_integers(layers((1.0, 0.3, 1.0, 2.0), seed), torch.zeros(1, WIDTH, 1, 1))
    affine = found.hidden[1]
    x = torch.randint(LARGEST + 1, (50, len(affine.weight))).float()
    order = torch.randperm(len(affine.weight))
    expected = affine(x)
    shuffled = Affine(affine.weight[order], affine.bias, affine.scale)
    double = Affine(affine.weight.double(), affine.bias.double(), affine.scale)
    assert torch.equal(shuffled(x[:, order]), expected)
    assert torch.equal(double(x.double()).float(), expected)
    steps = affine.bias.clone()
    for column, row in zip(x.T, affine.weight, strict=True):
        steps = steps + column[:, None] * row
    assert torch.equal(affine.rounded(steps * affine.scale), expected)
    assert torch.equal(affine.of(x, 2), expected[:, 2])


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(bad):
    with pytest.raises(SettingError, match="not finite"):
        on_integers(layers((1.0, bad, 1.0, 1.0)), torch.zeros(1, WIDTH, 1, 1))
    with pytest.raises(SettingError, match="not finite"):
        on_integers(layers((1.0, 1.0, 1.0, 1.0), limit=bad), torch.zeros(1, WIDTH, 1, 1))


def test_weights_without_a_bound_are_refused():
    with pytest.raises(SettingError, match="2\\^40"):
        on_integers(layers((1.0, 1.0, 1.0, 1e37), ones=True), torch.zeros(1, WIDTH, 1, 1))


def test_exponentials_are_the_rounded_ones():
    steps = torch.arange(FAR + 1, dtype=torch.float64) / 2**UNIT
    assert (exponentials() - (-steps).exp() * 2**24).abs().max() <= 0.5 + 1e-6
    logits = torch.arange(-FAR, FAR + 1, dtype=torch.float64) / 2**UNIT
    expected = (logits.sigmoid() * 2**PRECISION).clamp(1, 2**PRECISION - 1)
    assert (sigmoids() - expected).abs().max() <= 0.5 + 1e-6


@given(st.sampled_from([256, 1 << 16]), st.integers(1, 6), st.integers(0, 99), sizes)
def test_ranges_of_levels_are_seamless_and_found(levels, components, seed, size):
    generator = torch.Generator().manual_seed(seed)
    outputs = size * torch.randn(5, 3 * components, generator=generator)
    outputs = outputs.round().clamp(-EXACT, EXACT)
    expected = torch.randint(levels, (5,), generator=generator)
    mixture = LevelRanges.of(outputs, expected, levels)
    below = mixture.below(torch.arange(levels + 1).expand(5, -1))
    assert (below[:, 0] == 0).all()
    assert (below[:, -1] == 1 << FINE).all()
    assert (below.diff(dim=1) >= 1).all()
    slots = torch.randint(1 << FINE, (5,), generator=generator)
    symbols = mixture.symbols(slots, slice(None))
    starts, frequencies = mixture.ranges(symbols)
    assert ((starts <= slots) & (slots < starts + frequencies)).all()
    torch.testing.assert_close(starts, below[torch.arange(5), symbols])


@pytest.mark.parametrize("levels", [256, 1 << 16])
def test_ranges_of_levels_are_the_probabilities_of_the_mixture(levels):
    alphabet = Intensities(levels, components=3)
    head = LogisticHead(9, 4, alphabet)
    outputs = torch.randint(-400, 400, (20, 9))
    head.output.weight.data, head.output.bias.data = torch.eye(9), torch.zeros(9)
    expected = torch.randint(levels, (20,))
    symbols = (expected + torch.randint(-9, 9, (20,))).clamp(0, levels - 1)
    found = head.log_prob(outputs / 2**UNIT, symbols, expected).exp()
    _, frequencies = LevelRanges.of(outputs, expected, levels).ranges(symbols)
    found = found * (1 - levels / 2**FINE) + 1 / 2**FINE  # no level has a frequency of 0
    torch.testing.assert_close(frequencies / 2**FINE, found, rtol=0.01, atol=2e-7)


def test_inverse_scales_and_fine_sigmoids_are_the_rounded_ones():
    logs = torch.arange(-7 * 256, 7 * 256 + 1, dtype=torch.float64) / 2**UNIT
    exact = 2**FINE * (torch.arange(-FAR, FAR + 2, dtype=torch.float64) / 2**UNIT).sigmoid()
    assert (fine_sigmoids() - exact).abs().max() <= 0.5 + 1e-4
    assert (inverse_scales() - (-logs).exp() * 2**24).abs().max() <= 0.5 + 1e-4


@given(st.integers(2, 300), st.integers(0, 99), sizes)
def test_frequencies_are_positive_and_add_up(symbols, seed, size):
    generator = torch.Generator().manual_seed(seed)
    logits = (size * torch.randn(9, symbols, generator=generator)).round().clamp(-EXACT, EXACT)
    mode = seed % symbols
    cumulative = cumulative_frequencies(logits.clone(), mode)
    frequencies = cumulative.diff(dim=1)
    assert (cumulative[:, 0] == 0).all()
    assert (cumulative[:, -1] == 1 << PRECISION).all()
    assert (frequencies[:, mode] == 0).all()
    others = torch.arange(symbols) != mode
    assert (frequencies[:, others] >= 1).all()
    flags = mode_frequency(logits[:, 0])
    assert ((flags >= 1) & (flags < 1 << PRECISION)).all()


def test_frequencies_are_the_probabilities():
    logits = (300 * torch.randn(20, 6)).round()
    frequencies = cumulative_frequencies(logits.clone(), 2).diff(dim=1) / 2**PRECISION
    masked = logits.double() / 2**UNIT
    masked[:, 2] = -torch.inf
    assert (frequencies - masked.softmax(1)).abs().max() < 1e-3


def test_a_mode_without_others_has_all():
    assert cumulative_frequencies(torch.zeros(2, 1), 0).tolist() == [[0, 1 << PRECISION]] * 2
