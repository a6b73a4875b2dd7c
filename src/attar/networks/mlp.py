"""Fully connected networks."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn

from attar.checks import positive_integer
from attar.errors import unknown
from attar.networks.activations import activation
from attar.networks.network import Network, Shape, Shaped, glorot

NORMALIZATIONS: dict[str, type[nn.Module]] = {"layer": nn.LayerNorm, "batch": nn.BatchNorm1d}


def linear(before: int, after: int) -> nn.Module:
    """Return a linear layer that starts as Glorot and Bengio (2010) do."""
    return glorot(nn.Linear(before, after))


def zeroed(layer: nn.Module) -> nn.Module:
    """Start a layer at zero, so that what ends in it begins by adding nothing."""
    for weight in layer.parameters():
        nn.init.zeros_(weight)
    return layer


@dataclass(frozen=True)
class Linear(Network, name="linear"):
    """One linear layer each way: with a point code and mean squared error, this is PCA."""

    def encoder(self, shape: Shape, width: int) -> nn.Module:
        """Return a linear map (B, *shape) -> (B, width)."""
        return nn.Sequential(nn.Flatten(), linear(math.prod(shape), width))

    def decoder(self, width: int, shape: Shape) -> nn.Module:
        """Return a linear map (B, width) -> (B, *shape)."""
        return nn.Sequential(linear(width, math.prod(shape)), Shaped(shape))


@dataclass(frozen=True)
class Mlp(Network, name="mlp"):
    """A multilayer perceptron; the decoder has the encoder's hidden layers in reverse.

    Parameters
    ----------
    widths : tuple of int
        Units in each hidden layer of the encoder; empty for none.
    activation : str
        relu, leaky-relu, elu, gelu, silu, tanh or sigmoid.
    dropout : float
        Share of hidden units that are silenced at each step, 0 to 1.
    normalization : str or None
        ``"layer"`` or ``"batch"``, applied before each activation.
    shortcut : bool
        Add a linear map from end to end, and start the hidden layers' part at zero: the network
        begins as a linear model and learns what a linear model misses.
    """

    widths: tuple[int, ...] = (512,)
    activation: str = "relu"
    dropout: float = 0.0
    normalization: str | None = None
    shortcut: bool = False

    def encoder(self, shape: Shape, width: int) -> nn.Module:
        """Return a module (B, *shape) -> (B, width)."""
        return nn.Sequential(nn.Flatten(), self._body(math.prod(shape), self.widths, width))

    def decoder(self, width: int, shape: Shape) -> nn.Module:
        """Return a module (B, width) -> (B, *shape)."""
        body = self._body(width, self.widths[::-1], math.prod(shape))
        return nn.Sequential(body, Shaped(shape))

    def _body(
        self,
        start: int,
        widths: tuple[int, ...],
        end: int,
        first: Callable[[int, int], nn.Module] = linear,
    ) -> nn.Module:
        for width in widths:
            positive_integer(f"Each of the widths of {self!r}", width)
        layers = [first(start, (*widths, end)[0])]
        for before, after in pairwise((*widths, end)):
            layers += [*self._after(before), linear(before, after)]
        body = nn.Sequential(*layers)
        if not self.shortcut or not widths:
            return body
        zeroed(layers[-1])
        return Shortcut(body, first(start, end))

    def _after(self, width: int) -> list[nn.Module]:
        after: list[nn.Module] = [activation(self.activation)]
        if self.normalization is not None:
            if self.normalization not in NORMALIZATIONS:
                raise unknown("normalization", self.normalization, NORMALIZATIONS)
            after.insert(0, NORMALIZATIONS[self.normalization](width))
        if self.dropout:
            after.append(nn.Dropout(self.dropout))
        return after


class Shortcut(nn.Module):
    """A body beside a straight linear path: f(x) + A x + b."""

    def __init__(self, body: nn.Module, straight: nn.Module) -> None:
        super().__init__()
        self.body, self.straight = body, straight

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, end) for (B, start)."""
        y: Tensor = self.body(x) + self.straight(x)
        return y
