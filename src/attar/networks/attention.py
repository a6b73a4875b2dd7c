"""Attention within the texts of a batch, whose tokens are one after the other."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from attar.networks.mlp import zeroed


class Packed:
    """The tokens of a batch one after the other, without what is behind the end of each text.

    Parameters
    ----------
    present : bool Tensor (B, length)

    Attributes
    ----------
    row, place : Tensor (N,)
        Where each of the N tokens is.
    """

    def __init__(self, present: Tensor) -> None:
        self.row, self.place = present.nonzero(as_tuple=True)
        longest = int(self.place.max()) + 1 if len(self.place) else 1
        self.present = present[:, :longest]

    def of(self, values: Tensor) -> Tensor:
        """Return the values (N, ...) of tokens, of (B, length, ...)."""
        return values[self.row, self.place]

    def padded(self, values: Tensor) -> Tensor:
        """Return the values (N, ...) of tokens as (B, longest, ...), zero where there is none."""
        rows, longest = self.present.shape
        padded = values.new_zeros(rows * longest, *values.shape[1:])
        index = self.row * longest + self.place
        return padded.index_copy(0, index, values).view(rows, longest, *values.shape[1:])

    def attention(self, q: Tensor, k: Tensor, v: Tensor, causal: bool) -> Tensor:
        """Return what each token sees of its text: (N, heads, width) of as much."""
        q, k, v = (self.padded(x).transpose(1, 2) for x in (q, k, v))
        # To a causal one, what follows the end of a text makes no difference.
        mask = None if causal else self.present[:, None, None]
        # The only attention kernel with second derivatives, which a code may need.
        with sdpa_kernel(SDPBackend.MATH):
            seen = functional.scaled_dot_product_attention(q, k, v, mask, is_causal=causal)
        return self.of(seen.transpose(1, 2))


class Layer(nn.Module):
    """A pre-norm transformer layer that starts as the identity."""

    def __init__(self, width: int, heads: int, dropout: float = 0.0, causal: bool = False) -> None:
        super().__init__()
        self.heads, self.causal, self.dropout = heads, causal, nn.Dropout(dropout)
        self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.projections = nn.Linear(width, 3 * width)
        self.output = zeroed(nn.Linear(width, width))
        self.wide, self.narrow = nn.Linear(width, 4 * width), zeroed(nn.Linear(4 * width, width))

    def forward(self, x: Tensor, packed: Packed) -> Tensor:
        """Return (N, width) for as much."""
        seen = packed.attention(*self.projected(x), causal=self.causal)
        return self.joined(x, seen)

    def projected(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values (N, heads, width / heads)."""
        q, k, v = self.projections(self.before(x)).view(x.shape[0], 3, self.heads, -1).unbind(1)
        return q, k, v

    def joined(self, x: Tensor, seen: Tensor) -> Tensor:
        """Return the sum of x (N, width), what attention saw, and the feed-forward layer's."""
        x = x + self.dropout(self.output(seen.flatten(1)))
        y: Tensor = x + self.dropout(self.narrow(functional.gelu(self.wide(self.after(x)))))
        return y
