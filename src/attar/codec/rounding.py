"""Networks in double precision whose results are rounded alike on every machine.

Floating point promises the same result on every machine for one addition or product, but not for
a sum of many, whose order is free, nor for an exponential. Two rules make up for it:

1. **Sums are exact.** The weights of every linear map and convolution are multiples of 2^-22, its
   inputs are rounded to multiples of 2^-14, and are so small that every sum of products is below
   2^16: in units of 2^-36 these are integers below 2^52, which double precision adds without
   error, in any order, with or without fused multiplications.
2. **Roundings are guarded.** What lies between two linear maps is a few elementary functions of
   exact numbers: activations, code, likelihood. Their results differ between machines by
   a few units in the last place, and are then rounded. Only where a result is so near the middle
   between two integers that another machine may round it to the other one, a *mark* says which one
   it was: place and direction. Without a mark, all machines round alike.

How near is near: activations have slopes of at most 1.13 and are computed within 4 units in the
last place; of values below 2^11 that is less than 2^-39. ``VALUE_ERROR`` is eight times as much.
One in 130,000 values then has a mark.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from attar.codes.ladder import LadderModule
from attar.errors import SettingError
from attar.model import Model
from attar.networks.base import ACTIVATIONS, Reshape
from attar.networks.mlp import Compress, Shortcut

Array = NDArray[np.float64]

# How much a value may differ between machines.
VALUE_ERROR = 2.0**-36
# The same of a likelihood's probability, and of a normal distribution function.
PROBABILITY_ERROR, NORMAL_ERROR = 2.0**-37, 2.0**-44

# By row and site: which places of the row were near the middle between two integers, and whether
# they were rounded up.
Marks = dict[tuple[int, int], list[tuple[int, bool]]]

# Binary digits behind the point: of a linear map's inputs, weights, and products.
INPUT_BITS, WEIGHT_BITS = 14, 22
PRODUCT_BITS = INPUT_BITS + WEIGHT_BITS
# Sums of products, and inputs whatever the weights, are below these.
LARGEST_SUM, LARGEST_INPUT = 2.0**16, 2.0**10

Layer = nn.Linear | nn.Conv2d
LINEAR = (nn.Linear, nn.Conv2d)
# What a network may be made of besides linear maps: each of these is exact, or a function of
# single cells.
CELLWISE = (
    *ACTIVATIONS.values(),
    Compress,
    nn.Dropout,
    nn.Dropout2d,
    nn.Flatten,
    nn.Sequential,
    nn.Unflatten,
    nn.Upsample,
    Reshape,
    Shortcut,
)


class Guard:
    """Rounds real numbers, and remembers how, where another machine may round otherwise.

    The compressor's guard makes marks; the one that is given marks follows them.

    Parameters
    ----------
    marks : dict or None
        What to follow; None makes them.

    Examples
    --------
    >>> guard, values = Guard(), np.array([[0.2, 1.4999999]])
    >>> guard.rounded(values, site=0, error=1e-6), guard.marks
    (array([[0., 1.]]), {(0, 0): [(1, False)]})
    >>> Guard(guard.marks).rounded(values + 2e-7, site=0, error=1e-6)
    array([[0., 1.]])
    """

    def __init__(self, marks: Marks | None = None) -> None:
        self.marking, self.marks = marks is None, marks or {}
        self.first = 0  # the number of the first row of those that are being rounded

    def rounded(
        self,
        values: Array,
        site: int,
        error: float,
        places: NDArray[np.int64] | None = None,
        final: bool = True,
    ) -> Array:
        """Return the nearest integers of values (B, k).

        Parameters
        ----------
        values : array
        site : int
            Where in the computation of a row these values belong.
        error : float
            How much values may differ between machines.
        places : int array (B, k) or None
            The number of each value among those of its site; None: 0, 1, ...
        final : bool
            Whether the other machine needs these values; others get no mark.
        """
        integers = np.rint(values)
        if self.marking and final:
            below = np.floor(values)
            for i, j in np.argwhere(np.abs(values - below - 0.5) < error).tolist():
                place = j if places is None else int(places[i, j])
                mark = place, bool(integers[i, j] > below[i, j])
                marks = self.marks.setdefault((self.first + i, site), [])
                if mark not in marks:
                    marks.append(mark)
        elif self.marks and not self.marking:
            for i in range(len(values)):
                for place, up in self.marks.get((self.first + i, site), ()):
                    at = place if places is None else places[i] == place
                    integers[i, at] = np.floor(values[i, at]) + up
        return integers

    def flagged(self, flags: NDArray[np.bool_], site: int) -> NDArray[np.bool_]:
        """Return the flags (B, k) that the compressor had; each that is set gets a mark."""
        found = flags if self.marking else np.zeros_like(flags)
        for i in range(len(flags) if self.marking else 0):
            if flags[i].any():
                places = flags[i].nonzero()[0].tolist()
                self.marks[self.first + i, site] = [(place, True) for place in places]
        if not self.marking:
            for i in range(len(flags)):
                for place, _ in self.marks.get((self.first + i, site), ()):
                    found[i, place] = True
        return found


def exact(model: Model) -> tuple[Model, list[Layer]]:
    """Return a copy of a model in double precision whose linear maps have exact sums.

    The inputs of its linear maps, which are returned too, must be rounded: see :func:`watched`.

    Raises
    ------
    SettingError
        If a network has parts that have no bound of their errors, or weights that are too large.
    """
    copy = deepcopy(model).cpu().double().eval().requires_grad_(False)
    networks: list[nn.Module] = [copy.encoder, copy.decoder]
    if isinstance(copy.code, LadderModule):
        networks += list(copy.code.prior.blocks)
    found = [layer for network in networks for layer in _linear_maps(network)]
    if len({id(layer) for layer in found}) < len(found):
        raise SettingError(
            "Bits-back coding needs networks that use each layer once, but a layer of this one is "
            "in two places: give each place its own."
        )
    for layer in found:
        round_weights(layer)
    return copy, found


@contextmanager
def watched(layers: list[Layer], guard: Guard) -> Iterator[None]:
    """Round the inputs of linear maps by a guard; the number of a layer is its site."""
    handles = [
        layer.register_forward_pre_hook(partial(_round_input, guard, site, input_limit(layer)))
        for site, layer in enumerate(layers)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _linear_maps(network: nn.Module) -> Iterator[Layer]:
    for _, module in network.named_modules(remove_duplicate=False):
        if isinstance(module, Layer) and type(module) in LINEAR:
            yield module
        elif type(module) not in CELLWISE:
            raise SettingError(
                f"Bits-back coding needs networks whose rounding errors are bounded, but this one "
                f"has a part {type(module).__name__!r}: fit with network='mlp' or 'conv', without "
                "normalization."
            )


def round_weights(layer: Layer) -> None:
    """Round weights and bias to multiples of 2^-22 and 2^-36."""
    for name, bits in (("weight", WEIGHT_BITS), ("bias", PRODUCT_BITS)):
        tensor = getattr(layer, name)
        if tensor is not None:
            tensor.copy_((tensor * 2.0**bits).round() / 2.0**bits)
    if not input_limit(layer) >= 1:  # or weights are not finite
        raise SettingError(
            "A weight of the model is so large that sums are not exact: train it again, with a "
            "lower learning_rate."
        )


def input_limit(layer: Layer) -> float:
    """Return how large inputs may be, so that no sum of products is inexact."""
    weight, bias = layer.weight, layer.bias
    largest = 0.0 if bias is None else float(bias.abs().max())
    sums = weight.abs().flatten(1).sum(1).max().item()
    # A shortcut adds two sums.
    # In this order what is not a number stays so.
    return min(float((LARGEST_SUM / 2 - largest) / max(sums, 1.0)), LARGEST_INPUT)


def _round_input(
    guard: Guard, site: int, limit: float, layer: nn.Module, inputs: tuple[Tensor, ...]
) -> tuple[Tensor]:
    x = inputs[0]
    flat = x.reshape(len(x), prod(x.shape[1:])).numpy() * 2.0**INPUT_BITS
    integers = guard.rounded(flat, site, VALUE_ERROR * 2.0**INPUT_BITS)
    most = np.floor(limit * 2.0**INPUT_BITS)
    return (torch.from_numpy(integers.clip(-most, most) / 2.0**INPUT_BITS).reshape(x.shape),)
