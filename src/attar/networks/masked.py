"""Networks whose every output sees only the inputs before it."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from attar.errors import SettingError
from attar.networks.network import glorot


def autoregressive(size: int, widths: tuple[int, ...], each: int, context: int = 0) -> nn.Module:
    """Return a module (..., size + context) -> (..., size * each).

    The ``each`` outputs of the i-th number lie side by side, and depend on the numbers before the
    i-th and on all of the context.

    Raises
    ------
    SettingError
        If the widths are no positive integers.

    References
    ----------
    Germain, Gregor, Murray and Larochelle, "MADE: masked autoencoder for distribution estimation",
    ICML 2015.
    """
    if any(not isinstance(width, int) or width < 1 for width in widths):
        raise SettingError(f"The widths of a flow are positive integers, not {widths!r}.")
    # How many of the numbers a unit may know; the numbers themselves are counted from 1.
    inputs = torch.cat([torch.arange(1, size + 1), torch.zeros(context, dtype=torch.long)])
    hidden = [torch.arange(width) * size // width for width in widths]
    outputs = torch.arange(size).repeat_interleave(each)
    layers: list[nn.Module] = []
    for before, after in pairwise([inputs, *hidden, outputs]):
        layers += [glorot(MaskedLinear(after[:, None] >= before)), nn.SiLU()]
    return nn.Sequential(*layers[:-1])


class MaskedLinear(nn.Linear):
    """A linear layer that uses some of its weights.

    Parameters
    ----------
    used : bool Tensor (after, before)
        Which ones.
    """

    mask: Tensor

    def __init__(self, used: Tensor) -> None:
        super().__init__(used.shape[1], used.shape[0])
        # As numbers, since a product with booleans makes them anew each time.
        self.register_buffer("mask", used.to(self.weight.dtype))

    def forward(self, x: Tensor) -> Tensor:
        """Return (..., after) for (..., before)."""
        return functional.linear(x, self.weight * self.mask, self.bias)
