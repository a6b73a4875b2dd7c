"""Exponentials as integers, computed in decimal arithmetic: the same on every machine."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from decimal import Decimal, localcontext
from functools import cache
from itertools import accumulate, repeat

import torch
from torch import Tensor

# Features of symbols are from -1 to 1, logits in nats: both in units of 1/256.
UNIT = 8

# Frequencies add up to this power of two.
PRECISION = 16

# Probabilities below exp(-16) of the largest are as good as none.
FAR = 16 << UNIT


@cache
def exponentials() -> Tensor:
    """Return round(2^24 exp(-i / 256)) for i from 0 up to 16 nats."""
    with localcontext(prec=40):
        values = powers((Decimal(-1) / (1 << UNIT)).exp(), FAR)
        found = [float((x * (1 << 24)).to_integral_value()) for x in values]
        return torch.tensor(found, dtype=torch.float32)


@cache
def sigmoids() -> Tensor:
    """Return round(2^16 / (1 + exp(-i / 256))), from 1 to 2^16 - 1, for i from -16 to 16 nats."""
    total = 1 << PRECISION
    with localcontext(prec=40):
        small = powers((Decimal(-1) / (1 << UNIT)).exp(), FAR)
        upper = [min(int((total / (1 + x)).to_integral_value()), total - 1) for x in small]
    return torch.tensor([*(total - one for one in upper[:0:-1]), *upper])


def powers(base: Decimal, most: int) -> Iterator[Decimal]:
    """Yield powers of a number, from the zeroth on."""
    return accumulate(repeat(base, most), operator.mul, initial=Decimal(1))
