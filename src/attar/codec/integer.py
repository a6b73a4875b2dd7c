"""Autoregressive networks on integers, whose probabilities are the same on every machine.

Weights and activations are rounded to integers, so that every product and every partial sum is an
integer below 2^23. Single precision holds these exactly: whatever the order of summation, with or
without fused multiply-add, on any processor, the result is the same. Divisions are by powers of
two, which are exact, and rounded. Exponentials are tables, computed in decimal arithmetic.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator
from decimal import Decimal, localcontext
from functools import cache
from itertools import accumulate, repeat

import torch
from torch import Tensor
from torch.nn import functional

from attar.errors import SettingError
from attar.likelihoods.sequential import Affine, Layers

# Integers up to twice this are exact in single precision, and so are halves added to these.
EXACT = 1 << 23

# The largest activation. A power of two more has finer activations, and leaves coarser weights.
LARGEST = 511

# Features of symbols are from -1 to 1, logits in nats: both in units of 1/256.
UNIT = 8

# Frequencies add up to this power of two.
PRECISION = 16

# Probabilities below exp(-16) of the largest are as good as none.
FAR = 16 << UNIT


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
    inputs = [(table * (1 << UNIT)).round() for table in layers.inputs]
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


@cache
def exponentials() -> Tensor:
    """Return round(2^24 exp(-i / 256)) for i from 0 up to 16 nats."""
    with localcontext(prec=40):
        values = _powers((Decimal(-1) / (1 << UNIT)).exp(), FAR)
        found = [float((x * (1 << 24)).to_integral_value()) for x in values]
        return torch.tensor(found, dtype=torch.float32)


@cache
def sigmoids() -> Tensor:
    """Return round(2^16 / (1 + exp(-i / 256))), from 1 to 2^16 - 1, for i from -16 to 16 nats."""
    total = 1 << PRECISION
    with localcontext(prec=40):
        small = _powers((Decimal(-1) / (1 << UNIT)).exp(), FAR)
        upper = [min(int((total / (1 + x)).to_integral_value()), total - 1) for x in small]
    return torch.tensor([*(total - one for one in upper[:0:-1]), *upper])


def _powers(base: Decimal, most: int) -> Iterator[Decimal]:
    """Yield powers of a number, from the zeroth on."""
    return accumulate(repeat(base, most), operator.mul, initial=Decimal(1))


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
