"""Linear maps, multilayer perceptrons, and embedding bags for sparse rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from attar.checks import positive_integer
from attar.errors import unknown
from attar.networks.base import Network, Shape, Shaped, activation, glorot

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


@dataclass(frozen=True)
class Bag(Mlp, name="bag"):
    """An mlp for rows of many cells, few of them not zero; each row is brought to unit length.

    The encoder's first layer adds up what the cells of a row bring, b + Σ_j x_j w_j / |x|, and
    reads no other weights. Rows are sparse tensors (CSR, which is fastest, or COO), or dense ones.

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
        Add a linear map from end to end, and start the hidden layers' part at zero.

    References
    ----------
    Liang, Krishnan, Hoffman and Jebara, "Variational autoencoders for collaborative filtering",
    WWW 2018.
    """

    widths: tuple[int, ...] = (64,)
    activation: str = "silu"

    def encoder(self, shape: Shape, width: int) -> nn.Module:
        """Return a module (B, *shape) -> (B, width)."""
        return self._body(math.prod(shape), self.widths, width, Bags)


class Bags(nn.Module):
    """A linear layer for rows of unit length, sparse or dense: b + Σ_j x_j w_j / |x|.

    Parameters
    ----------
    cells, width : int
        How many numbers go in and come out.
    """

    def __init__(self, cells: int, width: int) -> None:
        super().__init__()
        # What one cell brings lies together in memory, since few cells are read.
        self.weight = nn.Parameter(torch.empty(cells, width))
        self.bias = nn.Parameter(torch.zeros(width))
        # Glorot and Bengio's start for one input, since that is how large a row of unit length is.
        limit = math.sqrt(6 / (1 + width))
        nn.init.uniform_(self.weight, -limit, limit)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, width) for (B, cells)."""
        if x.layout == torch.strided:
            return functional.normalize(x.flatten(1)) @ self.weight + self.bias
        starts, cells, values = _by_row(x)
        sums: Tensor = functional.embedding_bag(
            cells,
            self.weight,
            starts,
            mode="sum",
            per_sample_weights=values,
            include_last_offset=True,
        )
        squares = torch.segment_reduce(values.square(), "sum", offsets=starts, initial=0)
        return sums / squares.clamp_min(1e-24).sqrt()[:, None] + self.bias


def _by_row(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return where each row starts, with an end; the cells that are not zero; and their values."""
    if x.layout == torch.sparse_csr:
        return x.crow_indices(), x.col_indices(), x.values()
    rows, cells = x.indices()
    return torch.searchsorted(rows, torch.arange(len(x) + 1, device=x.device)), cells, x.values()
