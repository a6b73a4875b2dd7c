"""A transformer of text, whose code has its words and each token at its place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from attar.errors import SettingError
from attar.networks.attention import Layer, Packed
from attar.networks.base import Network, Shape
from attar.networks.mlp import zeroed
from attar.networks.superposition import Superposition
from attar.networks.words import TokenEmbedding, WordVectors
from attar.token_ids import BYTES, PAD


@dataclass(frozen=True)
class TextTransformer(Network, name="text-transformer"):
    """A transformer whose code has two parts: what a text is about, and its tokens in places.

    ::

        words ─ vectors, summed ──────────────── + ─ context ─┐
        tokens ─ embedding ─ transformer ─ mean ─┘            ├─ features
        tokens ─ Σ_t g^t s_t * c(x_t) ─ superposition ────────┘

    The context starts as the sum of the words' vectors, which are principal components of their
    mutual information (see ``WordVectors``); what the transformer adds to it is learned. Beside
    superposed tokens all contexts have the same norm, so that none is near to all others. The
    superposition is fixed: message passing in the likelihood ``language`` finds its tokens (see
    ``Superposition``), so that an untrained model reconstructs short texts already.

    Parameters
    ----------
    vocabulary : int
        The number of tokens; 0 for that of the data.
    context, superposed : int
        The features of each part. Where a code is neither random nor quantized, attar takes half
        of the latent dimensions for each; where it is, all are context.
    width : int
        The size of a token.
    heads : int
        The number of attention heads.
    layers : int
        Transformer layers of the encoder.

    Examples
    --------
    >>> import torch
    >>> encoder = TextTransformer(300, context=2, superposed=2, width=16).encoder((8,), 4)
    >>> short, padded = torch.tensor([[5.0, 9.0, 1.0]]), torch.tensor([[5.0, 9.0, 1.0, 0.0]])
    >>> torch.allclose(encoder(short), encoder(padded))
    True

    References
    ----------
    Wang, Reimers and Gurevych, "TSDAE: using transformer-based sequential denoising auto-encoder
    for unsupervised sentence embedding learning", Findings of EMNLP 2021. Vaswani et al.,
    "Attention is all you need", NeurIPS 2017.
    """

    vocabulary: int = 0
    context: int = 0
    superposed: int = 0
    width: int = 128
    heads: int = 4
    layers: int = 1

    masked: ClassVar[bool] = False

    def encoder(self, shape: Shape, width: int) -> nn.Module:
        """Return a module (B, length) -> (B, width); features beyond both parts start at 0."""
        self._check(shape)
        return TextEncoder(self, shape[0], width)

    def decoder(self, width: int, shape: Shape) -> nn.Module:
        """Return a module (B, width) -> (B, superposed + width of a token)."""
        return TextDecoder(self.superposed, width, shape[0])

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
    """Returns the superposed tokens, the context, and further features."""

    def __init__(self, network: TextTransformer, length: int, width: int) -> None:
        super().__init__()
        self.superposition = None
        if network.superposed:
            self.superposition = Superposition(network.vocabulary, length, network.superposed)
        self.words = WordVectors(network.vocabulary, network.context)
        self.embedding = TokenEmbedding(network.vocabulary, network.width)
        self.places = nn.Parameter(torch.zeros(length, network.width))
        self.layers = nn.ModuleList(
            Layer(network.width, network.heads) for _ in range(network.layers)
        )
        self.learned = zeroed(nn.Linear(network.width, width - network.superposed))

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, width) for token numbers (B, length)."""
        if x.requires_grad:
            raise SettingError(
                "Tokens have no gradient, which a penalty or a prior of this recipe needs: use "
                "another recipe, such as 'text'."
            )
        tokens, packed = x.long(), Packed(x != PAD)
        own = packed.of(tokens)
        h = self.embedding(own) + self.places[packed.place]
        for layer in self.layers:
            h = layer(h, packed)
        counts = packed.present.sum(1, keepdim=True).clamp_min(1)
        mean = h.new_zeros(len(x), h.shape[1]).index_add(0, packed.row, h) / counts
        learned, words = self.learned(mean), self.words(own, packed)
        context: Tensor = functional.pad(words, (0, learned.shape[1] - words.shape[1])) + learned
        if self.superposition is None:
            return context
        unit = functional.normalize(context) * words.shape[1] ** 0.5
        return torch.cat([self.superposition.total(own, packed), unit], 1)


class TextDecoder(nn.Module):
    """Leaves superposed tokens as they are; the context gets a linear layer, which starts at 0."""

    def __init__(self, superposed: int, width: int, parameters: int) -> None:
        super().__init__()
        self.superposed = superposed
        self.context = zeroed(nn.Linear(width - superposed, parameters - superposed))

    def forward(self, z: Tensor) -> Tensor:
        """Return (B, superposed + width of a token)."""
        superposed, context = z[:, : self.superposed], z[:, self.superposed :]
        return torch.cat([superposed, self.context(context)], 1)
