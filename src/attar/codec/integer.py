"""Autoregressive networks on integers, whose probabilities are the same on every machine.

Weights and activations are rounded to integers, so that every product and every partial sum is an
integer below 2^23. Single precision holds these exactly: whatever the order of summation, with or
without fused multiply-add, on any processor, the result is the same. Divisions are by powers of
two, which are exact, and rounded. Exponentials are tables, computed in decimal arithmetic.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal, localcontext
from functools import cache
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional

from attar.errors import SettingError
from attar.likelihoods.heads import LOG_SCALES
from attar.likelihoods.integer_tables import FAR, PRECISION, UNIT, exponentials, powers, sigmoids
from attar.likelihoods.sequential import Affine, Inputs, Layers

# Integers up to twice this are exact in single precision, and so are halves added to these.
EXACT = 1 << 23

# The largest activation. A power of two more has finer activations, and leaves coarser weights.
LARGEST = 511

# Those of levels, of which there may be 2^16, to this one.
FINE = 24


def on_integers(layers: Layers, start: Tensor) -> tuple[Layers, Tensor]:
    """Return a network and the map that it starts from, rounded to integers.

    Parameters
    ----------
    layers : Layers
        With the largest activations as limits.
    start : Tensor (1, width, height, width of the map)

    Raises
    ------
    SettingError
        If a weight is not finite, or so large that sums could exceed 2^23.
    """
    n = len(layers.hidden)
    powers = [_power(limit) for limit in layers.limits]
    trunk, units = powers[: len(powers) - n], powers[len(powers) - n :]
    tables = [_in_units(table) for table in layers.inputs.tables]
    seen = layers.inputs.differences
    inputs = Inputs(tables, None if seen is None else _in_units(seen))
    sums = [
        _rounded(affine, [(len(affine.weight), UNIT if k == 0 else trunk[k - 1])])
        for k, affine in enumerate(layers.convolutions)
    ]
    # Each sum takes a share of what their total may be.
    share = math.ceil(math.log2(len(sums) + 1)) + 1
    unit = min([power for _, power in sums], default=22) - share
    unit = min(unit, _start_power(start, share))
    convolutions = [
        Affine(affine.weight, affine.bias, 2.0 ** (unit - power)) for affine, power in sums
    ]
    hidden, output = [], []
    for c in range(n):
        layer, width = layers.hidden[c], start.shape[1]
        parts = [(width, trunk[-1]), (len(layer.weight) - width, UNIT)]
        rounded, power = _rounded(layer, parts)
        hidden.append(Affine(rounded.weight, rounded.bias, 2.0 ** (units[c] - power)))
        logits, power = _rounded(layers.output[c], [(len(layers.output[c].weight), units[c])])
        output.append(Affine(logits.weight, logits.bias, 2.0 ** (UNIT - power)))
    steps = [2.0 ** (power - unit) for power in trunk]
    limits = [float(LARGEST)] * len(powers)
    background = layers.background
    found = Layers(inputs, layers.windows, convolutions, limits, steps, hidden, output, background)
    return found, (start.double() * 2.0**unit).round().float()


def _in_units(table: Tensor) -> Tensor:
    return (table * (1 << UNIT)).round()


def largest_sum(affine: Affine, largest: float) -> float:
    """Return a bound of every partial sum of a layer, for inputs up to a largest one."""
    weight, bias = affine.weight.double(), affine.bias.double()
    return float((weight.abs().sum(0) * largest + bias.abs()).max())


def _power(limit: float) -> int:
    """Return the power of two that brings activations up to a limit to 511 at most."""
    if not math.isfinite(limit):
        raise SettingError("The model has activations that are not finite: train it again.")
    return math.floor(math.log2(LARGEST / limit)) if limit > 0 else 0


def _start_power(start: Tensor, share: int) -> int:
    largest = float(start.abs().max())
    return math.floor(math.log2((EXACT >> share) / largest)) if largest > 0 else 22


def _rounded(affine: Affine, parts: list[tuple[int, int]]) -> tuple[Affine, int]:
    """Return a layer on integers, and the power of two of its sums.

    Parameters
    ----------
    affine : Affine
    parts : list of pair of int
        How many inputs are in units of which negative power of two.
    """
    weight, bias = affine.weight.double(), affine.bias.double()
    if not (weight.isfinite().all() and bias.isfinite().all()):
        raise SettingError("The model has weights that are not finite: train it again.")
    powers = torch.cat([torch.full((count,), power) for count, power in parts])[:, None]
    for power in range(40, -40, -1):
        rounded = torch.ldexp(weight, power - powers).round_()
        bias_rounded = torch.ldexp(bias, torch.tensor(power)).round_()
        found = Affine(rounded.float(), bias_rounded.float())
        if largest_sum(Affine(rounded, bias_rounded), LARGEST) < EXACT:
            return found, power
    raise SettingError("The model has weights beyond 2^40: train it again, with scaled data.")


def mode_frequency(logit: Tensor) -> Tensor:
    """Return the frequency of the mode, of 2^16, from its logit in units of 1/256."""
    index = logit.clamp(-FAR, FAR).long() + FAR
    return sigmoids().to(logit.device)[index]


def cumulative_frequencies(logits: Tensor, mode: int) -> Tensor:
    """Return the cumulative frequencies of all symbols but the mode, from 0 to 2^16.

    Parameters
    ----------
    logits : Tensor (n, symbols)
        Integers, in units of 1/256 nat.
    mode : int

    Returns
    -------
    Tensor (n, symbols + 1)
        Each symbol has a frequency of at least 1, and the mode 0.
    """
    total, symbols = 1 << PRECISION, logits.shape[1]
    values = logits.clone()
    values[:, mode] = -2 * EXACT
    top, place = values.max(1, keepdim=True)
    index = (top - values).clamp_max_(FAR).int()
    weights = exponentials().to(logits.device).index_select(0, index.flatten()).view_as(index)
    weights[:, mode] = 0
    # Sums are exact, and one product or quotient is rounded alike on any machine.
    share = (total - symbols + 1) / weights.sum(1, keepdim=True, dtype=torch.double)
    frequencies = weights.mul_(share.float()).floor_().add_(1)
    frequencies[:, mode] = 0
    frequencies.scatter_add_(1, place, total - frequencies.sum(1, keepdim=True))
    return functional.pad(frequencies.cumsum(1), (1, 0)).int()


@cache
def inverse_scales() -> Tensor:
    """Return round(2^24 exp(-i / 256)) of log-scales i / 256, from -7 to 7."""
    low, high = (int(limit) << UNIT for limit in LOG_SCALES)
    with localcontext(prec=40):
        first = Decimal(-low) / (1 << UNIT)
        values = powers((Decimal(-1) / (1 << UNIT)).exp(), high - low)
        found = [int((first.exp() * x * (1 << 24)).to_integral_value()) for x in values]
        return torch.tensor(found)


@cache
def fine_sigmoids() -> Tensor:
    """Return round(2^24 / (1 + exp(-i / 256))) for i from -16 up to one beyond 16 nats."""
    with localcontext(prec=40):
        largest = (Decimal(FAR) / (1 << UNIT)).exp()
        values = powers((Decimal(-1) / (1 << UNIT)).exp(), 2 * FAR + 1)
        found = [int(((1 << FINE) / (1 + largest * x)).to_integral_value()) for x in values]
        return torch.tensor(found)


def _fine_sigmoid(z: Tensor) -> Tensor:
    """Return about 2^32 / (1 + exp(-z / 2^16)), by linear interpolation."""
    table, z = fine_sigmoids().to(z.device), z.clamp(-FAR << UNIT, FAR << UNIT)
    place = (z >> UNIT) + FAR
    low, rest = table[place], z & (1 << UNIT) - 1
    return (low << UNIT) + (table[place + 1] - low) * rest


@dataclass(frozen=True)
class LevelRanges:
    """The sums of frequencies of levels, by a mixture of logistic distributions on integers.

    Attributes
    ----------
    weights : Tensor (n, components)
        They add up to 2^16.
    means : Tensor (n, components)
        In units of 1/1024 of a level of 256, which is a fourth of one of 2^16.
    inverse_scales : Tensor (n, components)
        Over 2^24, in the same levels.
    levels : int
    """

    weights: Tensor
    means: Tensor
    inverse_scales: Tensor
    levels: int

    @classmethod
    def of(cls, outputs: Tensor, expected: Tensor, levels: int) -> Self:
        """Return the mixtures of a network's outputs (n, 3 · components), in units of 1/256.

        Parameters
        ----------
        outputs : Tensor (n, 3 · components)
        expected : Tensor (n,)
            Predicted levels.
        levels : int
            16 to a power.
        """
        logits, offsets, log_scales = outputs.long().chunk(3, 1)
        top, place = logits.max(1, keepdim=True)
        shares = exponentials().to(outputs.device)[(top - logits).clamp_max_(FAR)].long()
        weights = (shares << PRECISION) // shares.sum(1, keepdim=True)
        weights.scatter_add_(1, place, (1 << PRECISION) - weights.sum(1, keepdim=True))
        low, high = (int(limit) << UNIT for limit in LOG_SCALES)
        inverse = inverse_scales().to(outputs.device)[log_scales.clamp(low, high) - low]
        means = (expected[:, None] << 18) // levels + (offsets << 4)
        return cls(weights, means, inverse, levels)

    def below(self, levels: Tensor, rows: slice = slice(None)) -> Tensor:
        """Return the sums of frequencies, of 2^24, of what is below levels (n, m): (n, m).

        Each level has a frequency of at least 1.
        """
        parts = (self.weights[rows], self.means[rows], self.inverse_scales[rows])
        weights, means, inverse = (part[:, None] for part in parts)
        edges = ((levels << 18) - (1 << 17)) // self.levels
        z = (edges[..., None] - means) * inverse >> 26 - UNIT
        share = (weights * _fine_sigmoid(z)).sum(-1) >> PRECISION
        found = (share * ((1 << FINE) - self.levels) >> FINE + UNIT) + levels
        found = torch.where(levels > 0, found, 0)
        return torch.where(levels < self.levels, found, 1 << FINE)

    def ranges(self, symbols: Tensor, rows: slice = slice(None)) -> tuple[Tensor, Tensor]:
        """Return where the frequencies of the symbols of some rows (n,) start, and these."""
        ends = self.below(torch.stack([symbols, symbols + 1], 1), rows)
        return ends[:, 0], ends[:, 1] - ends[:, 0]

    def symbols(self, slots: Tensor, rows: slice) -> Tensor:
        """Return the symbols of some rows in whose ranges slots (m,) are."""
        found, step = torch.zeros_like(slots), self.levels
        while step > 1:
            # A search whose steps are the same in every row: sixteen levels are tried at once.
            step = max(1, step // 16)
            tried = found[:, None] + step * torch.arange(16, device=slots.device)
            within = self.below(tried, rows) <= slots[:, None]
            found = found + step * (within.sum(1) - 1)
        return found
