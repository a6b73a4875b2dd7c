"""A transformer of text, whose code binds each token to its place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from attar.errors import SettingError
from attar.networks.base import Network, Shape
from attar.networks.mlp import zeroed
from attar.token_ids import BYTES, PAD

# Features of a text are a sum over its tokens: of so many, they have a variance of 1.
TYPICAL = 16

# Initial weights are the same in encoder and decoder.
SEED = 0


def embedding(vocabulary: int, width: int) -> nn.Embedding:
    """Return the embedding of tokens, equal for equal sizes: independent normals of length 1."""
    layer = nn.Embedding(vocabulary, width)
    generator = torch.Generator().manual_seed(SEED)
    nn.init.normal_(layer.weight, std=width**-0.5, generator=generator)
    return layer


def signs(length: int, width: int) -> nn.Parameter:
    """Return a vector for each place, equal for equal sizes: independent signs."""
    generator = torch.Generator().manual_seed(SEED + 1)
    return nn.Parameter(2.0 * torch.randint(2, (length, width), generator=generator) - 1)


def rotation(width: int, features: int) -> Tensor:
    """Return the first columns of an orthogonal matrix, equal for equal widths: (width, features).

    Columns beyond the width are zero.
    """
    matrix = torch.empty(width, width)
    nn.init.orthogonal_(matrix, generator=torch.Generator().manual_seed(SEED + 2))
    return functional.pad(matrix[:, :features], (0, max(0, features - width)))


def linear_of(weight: Tensor) -> nn.Linear:
    """Return the linear layer of a weight (after, before), without a bias."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    with torch.no_grad():
        layer.weight.copy_(weight)
    return layer


@dataclass(frozen=True)
class TextTransformer(Network, name="text-transformer"):
    """A transformer whose code is a sum over tokens, each multiplied by the signs of its place.

    ::

        tokens ─ embedding ─ transformer ─ h_t ─ Σ_t h_t * s_t / 4 ─ linear ─ features
        code ─ linear (its transpose) ─ the likelihood 'language', which multiplies by s_t again

    Signs are independent, so that h_t is the product of s_t and the sum, plus noise of the other
    tokens. The transformer's branches start at zero, and encoder and decoder at the same
    embeddings: an untrained model already reconstructs the tokens of short texts, and learns to
    remove the noise.

    Parameters
    ----------
    vocabulary : int
        The number of tokens; 0 for that of the data.
    width : int
        The size of a token.
    heads : int
        The number of attention heads.
    layers : int
        Transformer layers of the encoder.

    Examples
    --------
    >>> import torch
    >>> encoder = TextTransformer(vocabulary=300, width=16).encoder((8,), 4)
    >>> short, padded = torch.tensor([[5.0, 9.0, 1.0]]), torch.tensor([[5.0, 9.0, 1.0, 0.0]])
    >>> torch.allclose(encoder(short), encoder(padded))
    True

    References
    ----------
    Plate, "Holographic reduced representations", IEEE Transactions on Neural Networks 6, 1995.
    Gayler, "Multiplicative binding, representation operators and analogy", 1998. Vaswani et al.,
    "Attention is all you need", NeurIPS 2017.
    """

    vocabulary: int = 0
    width: int = 256
    heads: int = 4
    layers: int = 1

    masked: ClassVar[bool] = False

    def encoder(self, shape: Shape, width: int) -> nn.Module:
        """Return a module (B, length) -> (B, width)."""
        self._check(shape)
        return TextEncoder(self, shape[0], width)

    def decoder(self, width: int, shape: Shape) -> nn.Module:
        """Return a module (B, width) -> (B, width of a token)."""
        return linear_of(rotation(shape[0], width))

    def _check(self, shape: Shape) -> None:
        for setting in ("width", "heads", "layers"):
            self.positive_integer(setting)
        if len(shape) != 1 or self.vocabulary < BYTES:
            raise SettingError(
                f"The network {self.name!r} needs text, but a row of this data has shape {shape}: "
                "leave out network."
            )
        if self.width % self.heads:
            raise SettingError(
                f"The width of the network {self.name!r} must be a multiple of its {self.heads} "
                f"heads, not {self.width}."
            )


class TextEncoder(nn.Module):
    """Embeds tokens, and adds up what a transformer makes of them."""

    def __init__(self, network: TextTransformer, length: int, width: int) -> None:
        super().__init__()
        self.embedding = embedding(network.vocabulary, network.width)
        self.places = nn.Parameter(torch.zeros(length, network.width))
        self.signs = signs(length, network.width)
        self.layers = nn.ModuleList(
            Layer(network.width, network.heads) for _ in range(network.layers)
        )
        self.features = linear_of(rotation(network.width, width).T)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, width) for token numbers (B, length)."""
        if x.requires_grad:
            raise SettingError(
                "Tokens have no gradient, which a penalty or a prior of this recipe needs: use "
                "another recipe, such as 'text'."
            )
        packed = Packed(x != PAD)
        embedded = self.embedding(packed.of(x).long()) * self.embedding.embedding_dim**0.5
        h = embedded + self.places[packed.place]
        for layer in self.layers:
            h = layer(h, packed)
        bound = h * self.signs[packed.place]
        total = bound.new_zeros(len(x), bound.shape[1]).index_add(0, packed.row, bound)
        features: Tensor = self.features(total / TYPICAL**0.5)
        return features


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

    def __init__(self, width: int, heads: int, causal: bool = False) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
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
        q, k, v = self.projections(self.before(x)).view(len(x), 3, self.heads, -1).unbind(1)
        return q, k, v

    def joined(self, x: Tensor, seen: Tensor) -> Tensor:
        """Return the sum of x (N, width), what attention saw, and the feed-forward layer's."""
        x = x + self.output(seen.flatten(1))
        y: Tensor = x + self.narrow(functional.gelu(self.wide(self.after(x))))
        return y
