"""Networks for sparse rows: the first layer is a bag of embeddings."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from attar.networks.mlp import Mlp
from attar.networks.network import Shape


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
