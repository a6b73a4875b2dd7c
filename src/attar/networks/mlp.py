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
from attar.errors import SettingError, unknown
from attar.networks.base import Network, Reshape, Shape, activation, glorot

NORMALIZATIONS: dict[str, type[nn.Module]] = {"layer": nn.LayerNorm, "batch": nn.BatchNorm1d}


def linear(before: int, after: int) -> nn.Module:
    """Return a linear layer with Glorot and Bengio's (2010) initialization."""
    return glorot(nn.Linear(before, after))


class Near(nn.Linear):
    """A linear map whose weights start near where they end: their steps are in proportion."""


class Straight(nn.Linear):
    """The linear layer of a network that has no other: it may start at principal components."""


def zeroed(layer: nn.Module) -> nn.Module:
    """Initialize a layer at zero, so that a branch that ends in it starts by adding nothing."""
    for weight in layer.parameters():
        nn.init.zeros_(weight)
    return layer


@dataclass(frozen=True)
class Linear(Network, name="linear"):
    """One linear layer each way: with a point code and mean squared error, this is PCA.

    Examples
    --------
    >>> from attar.networks import Linear
    >>> sum(weight.numel() for weight in Linear().encoder((3, 4), 2).parameters())
    26

    References
    ----------
    Bourlard and Kamp, "Auto-association by multilayer perceptrons and singular value
    decomposition", Biological Cybernetics 1988.
    """

    def encoder(self, shape: Shape, width: int) -> nn.Module:
        """Return a linear map (B, *shape) -> (B, width)."""
        return nn.Sequential(nn.Flatten(), glorot(Straight(math.prod(shape), width)))

    def decoder(self, width: int, shape: Shape) -> nn.Module:
        """Return a linear map (B, width) -> (B, *shape)."""
        return nn.Sequential(glorot(Straight(width, math.prod(shape))), Reshape(shape))


@dataclass(frozen=True)
class Perceptron(Network):
    """A network of fully connected layers; the decoder has the hidden layers in reverse."""

    widths: tuple[int, ...] = (512,)
    activation: str = "relu"
    dropout: float = 0.0
    normalization: str | None = None
    shortcut: bool = False

    def decoder(self, width: int, shape: Shape) -> nn.Module:
        """Return a module (B, width) -> (B, *shape)."""
        body = self._body(width, self.widths[::-1], math.prod(shape))
        return nn.Sequential(body, Reshape(shape))

    def _body(
        self,
        start: int,
        widths: tuple[int, ...],
        end: int,
        first: Callable[[int, int], nn.Module] = linear,
    ) -> nn.Module:
        for width in widths:
            positive_integer(f"Each of the widths of {self!r}", width)
        if not widths and first is linear:
            return nn.Sequential(glorot(Straight(start, end)))
        layers = [first(start, (*widths, end)[0])]
        for before, after in pairwise((*widths, end)):
            layers += [*self._after(before), linear(before, after)]
        body = nn.Sequential(*layers)
        if not self.shortcut or not widths:
            return body
        zeroed(layers[-1])
        if first is linear:
            body.insert(0, Compress())
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


class Compress(nn.Module):
    """5 asinh(x / 5): near x up to 5, and logarithmic beyond.

    What lies far out of the training data is then left to a linear map beside the layers behind.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return compressed values of the same shape."""
        return 5 * (x / 5).asinh()


class Shortcut(nn.Module):
    """A body and a linear shortcut: f(x) + A x + b."""

    def __init__(self, body: nn.Module, straight: nn.Module) -> None:
        super().__init__()
        self.body, self.straight = body, straight

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, end) for (B, start)."""
        y: Tensor = self.body(x) + self.straight(x)
        return y


@dataclass(frozen=True)
class Mlp(Perceptron, name="mlp"):
    """A multilayer perceptron; the decoder has the encoder's hidden layers in reverse.

    Parameters
    ----------
    widths : tuple of int
        Units in each hidden layer of the encoder; empty for none.
    activation : str
        relu, leaky-relu, elu, gelu, silu, tanh or sigmoid.
    dropout : float
        Probability of dropping a hidden unit in training, 0 to 1.
    normalization : str or None
        ``"layer"`` or ``"batch"``, applied before each activation.
    shortcut : bool
        Add a linear map from input to output and initialize the hidden layers' output at zero: the
        network starts as a linear model and learns what a linear model misses. The hidden layers
        get 5 asinh(x / 5) of their input x: what lies far out is left to the linear map.

    Examples
    --------
    >>> from torch import nn
    >>> from attar.networks import Mlp
    >>> decoder = Mlp((400, 200)).decoder(10, (28, 28))
    >>> [m.out_features for m in decoder.modules() if isinstance(m, nn.Linear)]
    [200, 400, 784]
    """

    def encoder(self, shape: Shape, width: int) -> nn.Module:
        """Return a module (B, *shape) -> (B, width)."""
        return nn.Sequential(nn.Flatten(), self._body(math.prod(shape), self.widths, width))


@dataclass(frozen=True)
class Bag(Perceptron, name="bag"):
    """A multilayer perceptron for sparse rows, which it scales to unit length.

    The encoder's first layer, b + Σ_j x_j w_j / |x|, reads only the weights of the nonzero cells.
    Rows are sparse tensors (CSR, which is fastest, or COO), or dense ones.

    Parameters
    ----------
    widths : tuple of int
        Units in each hidden layer of the encoder; empty for none.
    activation : str
        relu, leaky-relu, elu, gelu, silu, tanh or sigmoid.
    dropout : float
        Probability of dropping a hidden unit in training, 0 to 1.
    normalization : str or None
        ``"layer"`` or ``"batch"``, applied before each activation.
    shortcut : bool
        Add a linear map from input to output and initialize the hidden layers' output at zero.

    Examples
    --------
    >>> import torch
    >>> from attar.networks import Bag
    >>> encoder, x = Bag((8,)).encoder((1000,), 2), torch.zeros(3, 1000)
    >>> x[:, 7] = torch.tensor([1.0, 2.0, 3.0])
    >>> torch.allclose(encoder(x.to_sparse()), encoder(x[:1].expand(3, -1)))
    True

    References
    ----------
    Liang, Krishnan, Hoffman and Jebara, "Variational autoencoders for collaborative filtering",
    WWW 2018.
    """

    widths: tuple[int, ...] = (64,)
    activation: str = "silu"

    def encoder(self, shape: Shape, width: int) -> nn.Module:
        """Return a module (B, *shape) -> (B, width)."""
        return self._body(math.prod(shape), self.widths, width, SparseLinear)


class SparseLinear(nn.Module):
    """A linear layer for rows of unit length, sparse or dense: b + Σ_j x_j w_j / |x|.

    Parameters
    ----------
    cells, width : int
        The sizes of the input and of the output.
    """

    def __init__(self, cells: int, width: int) -> None:
        super().__init__()
        # The weights of a cell are contiguous in memory, since few cells are read.
        self.weight = nn.Parameter(torch.empty(cells, width))
        self.bias = nn.Parameter(torch.zeros(width))
        # Glorot and Bengio's initialization for one input: a row has unit length.
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
    """Return the start of each row and the end, the nonzero cells, and their values."""
    if x.layout == torch.sparse_csr:
        return x.crow_indices(), x.col_indices(), x.values()
    rows, cells = x.indices()
    return torch.searchsorted(rows, torch.arange(len(x) + 1, device=x.device)), cells, x.values()


# zuko computes its masks, so even a model read from a file allocates a network of the size that the
# file claims, before its weights are compared with it.
MAX_WEIGHTS = 2**24


def hidden_features(size: int, widths: tuple[int, ...], each: int) -> list[int]:
    """Return the hidden layers' sizes of zuko's masked MLP with ``each`` outputs per dimension.

    They are at least ``size``: narrower layers of zuko's do not depend on the last dimensions.

    Examples
    --------
    >>> from attar.networks.mlp import hidden_features
    >>> hidden_features(5, (3, 9), 2)
    [5, 9]

    Raises
    ------
    SettingError
        If the widths are not positive integers, or the network has too many weights.
    """
    if any(not isinstance(width, int) or width < 1 for width in widths):
        raise SettingError(f"The widths of a flow are positive integers, not {widths!r}.")
    hidden = [max(width, size) for width in widths]
    weights = sum(before * after for before, after in pairwise([size, *hidden, size * each]))
    if weights > MAX_WEIGHTS:
        raise SettingError(
            f"A flow over {size} dimensions with widths {widths!r} has {weights:.0e} weights: "
            "use a smaller code, or smaller widths."
        )
    return hidden
