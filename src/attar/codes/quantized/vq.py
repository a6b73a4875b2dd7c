"""Vector quantization with codebooks: VQ-VAE, product quantization, VQ-VAE-2 and SimVQ."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from attar.codes.base import CodeModule
from attar.codes.quantized.base import (
    QuantizedModule,
    SymbolCode,
    blocks,
    straight_through,
)
from attar.codes.quantized.codebook import Codebook, LearnedCodebook, MappedCodebook, Quantizer
from attar.networks.mlp import linear


class CodebookCode(SymbolCode):
    """A code of entries of codebooks."""

    codebook: int
    dim: int
    commitment: float

    @property
    def multiple(self) -> int:
        """The dimensions of an entry."""
        return self.dim

    def entries(self) -> int:
        """Return the size of a codebook, 2 or more."""
        self.require(self.positive_integer("codebook") >= 2, "a codebook of at least 2 entries")
        return self.codebook


@dataclass(frozen=True)
class Quantized(CodebookCode):
    """A code of entries that follow their vectors, or are trained by the codebook loss."""

    codebook: int = 256
    dim: int = 4
    decay: float | None = 0.99
    commitment: float = 0.25

    def noise(self, code_size: int) -> int:
        """Return 0: entries are chosen without noise."""
        return 0

    def book(self, books: int = 1) -> LearnedCodebook:
        """Return codebooks; the hyperparameters must be in range."""
        in_range = self.decay is None or 0 <= self.decay < 1
        self.require(in_range, "a decay from 0 to below 1, or None for the codebook loss")
        return LearnedCodebook(books, self.entries(), self.dim, self.decay)


class CodebookModule(QuantizedModule):
    """Rounds vectors to entries of codebooks; the decoder's input is the sum over stages."""

    def __init__(
        self, positions: int, quantizer: Quantizer, commitment: float, stages: int = 1
    ) -> None:
        super().__init__((quantizer.size,) * positions)
        self.quantizer, self.commitment, self.stages = quantizer, commitment, stages

    def quantize(self, features: Tensor) -> Tensor:
        """Return the symbols of features: (B, positions)."""
        return self.quantizer.quantize(features)[1]

    def decoder_input(self, z: Tensor) -> Tensor:
        """Return the sum of the stages' entries: (n, d / stages)."""
        return blocks(z, z.shape[-1] // self.stages).sum(-2)

    def symbols(self, z: Tensor) -> Tensor:
        """Return the nearest entries: (n, positions)."""
        return self.quantizer.nearest(z)

    def vectors(self, symbols: Tensor) -> Tensor:
        """Return the entries, one after the other: (n, d)."""
        return self.quantizer.vectors(symbols)

    def on_epoch(self) -> None:
        """Replace dead entries."""
        self.quantizer.revive()


class VectorModule(CodebookModule):
    """Entries of codebooks, whose gradient goes straight through to the features.

    In a part of the rows, ``dropout``, training uses the first stages only; in a part, ``bypass``,
    it uses the features themselves.
    """

    dropout, bypass = 0.0, 0.0

    def training_codes(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return z, its symbols, and commitment · |x - sg(z)|², with |sg(x) - z|² but for an EMA.

        Here x is what is rounded to z.
        """
        x, symbols = self.quantizer.quantize(features)
        z = self.vectors(symbols)
        kept = stages_kept(z, self.stages, self.dropout)
        loss = self.commitment * (kept * (x - z.detach()).square()).sum(-1)
        if not self.quantizer.ema:
            loss = loss + (kept * (x.detach() - z).square()).sum(-1)
        self.quantizer.update(x, symbols)
        z = kept * z
        if self.bypass:
            own = functional.pad(features, (0, z.shape[1] - features.shape[1]))
            z = torch.where(torch.rand_like(z[:, :1]) < self.bypass, own, z)
        # Summed over the stages, this is the gradient of the features.
        return straight_through(z, x / self.stages), symbols, loss

    def on_data(self, values: Tensor, features: Tensor) -> None:
        """Fit the codebooks to features."""
        self.quantizer.initialize(features)


def stages_kept(z: Tensor, stages: int, dropout: float) -> Tensor:
    """Return 1 where the entries (B, d) of a random number of first stages are, and 0 elsewhere.

    All stages are kept but in a part of the rows, ``dropout``.
    """
    if not dropout:
        return torch.ones((), dtype=z.dtype, device=z.device)
    rows, device = len(z), z.device
    depth = torch.randint(1, stages + 1, (rows, 1), device=device)
    uncut = torch.rand(rows, 1, device=device) >= dropout
    kept = uncut | (depth > torch.arange(stages, device=device))
    return kept.repeat_interleave(z.shape[1] // stages, 1).to(z.dtype)


@dataclass(frozen=True)
class VectorQuantized(Quantized, name="vq"):
    """Each block of the code is rounded to the nearest entry of one codebook.

    The gradient goes straight through to the features; with features f and their entries e,
    training adds commitment · |f - sg(e)|², and |sg(f) - e|² where the codebook has no decay. The
    codebook starts from k-means, and entries that are unused in an epoch are replaced by features.

    Parameters
    ----------
    codebook : int
        The number of entries.
    dim : int
        The dimensions of an entry; the code has ``code_size / dim`` symbols.
    decay : float or None
        Of the running mean of each entry's vectors, 0 to 1; None for the codebook loss.
    commitment : float
        The weight of the distance of features from their entries.

    Examples
    --------
    >>> import torch
    >>> from attar.codes import VectorQuantized
    >>> code = VectorQuantized(codebook=2, dim=1).build(3).eval()
    >>> _ = code.quantizer.entries.copy_(torch.tensor([[[-1.0], [1.0]]]))
    >>> code.point(torch.tensor([[0.2, -3.0, 0.9]]))
    tensor([[ 1., -1.,  1.]])

    References
    ----------
    van den Oord, Vinyals and Kavukcuoglu, "Neural discrete representation learning", NIPS 2017.
    """

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> CodeModule:
        """Return the module."""
        positions = self.blocks(code_size)
        return VectorModule(positions, self.book(), self.positive("commitment"))


@dataclass(frozen=True)
class ProductQuantized(Quantized, name="pq"):
    """Each block of the code is rounded to the nearest entry of its own codebook.

    Parameters
    ----------
    codebook : int
        The number of entries for each position.
    dim : int
        The dimensions of an entry; the code has ``code_size / dim`` symbols.
    decay : float or None
        Of the running mean of each entry's vectors, 0 to 1; None for the codebook loss.
    commitment : float
        The weight of the distance of features from their entries.

    Examples
    --------
    >>> import torch
    >>> from attar.codes import ProductQuantized
    >>> code = ProductQuantized(codebook=2, dim=1).build(2).eval()
    >>> _ = code.quantizer.entries.copy_(torch.tensor([[[-1.0], [1.0]], [[-5.0], [5.0]]]))
    >>> code.point(torch.tensor([[0.2, -3.0]]))
    tensor([[ 1., -5.]])

    References
    ----------
    Jégou, Douze and Schmid, "Product quantization for nearest neighbor search", IEEE TPAMI 2011.
    As a code: Wu and Flierl, "Learning product codebooks using vector-quantized autoencoders for
    image retrieval", GlobalSIP 2019.
    """

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> CodeModule:
        """Return the module."""
        positions = self.blocks(code_size)
        return VectorModule(positions, self.book(positions), self.positive("commitment"))


@dataclass(frozen=True)
class SimVQ(CodebookCode, name="simvq"):
    """Vector quantization whose entries are fixed random vectors under a trained linear map.

    A step moves all entries, so that none can die. The map starts where the entries have the
    features' mean and covariance.

    Parameters
    ----------
    codebook : int
        The number of entries.
    dim : int
        The dimensions of an entry; the code has ``code_size / dim`` symbols.
    commitment : float
        The weight of the distance of features from their entries.

    Examples
    --------
    >>> import torch
    >>> from attar.codes import SimVQ
    >>> code = SimVQ(codebook=256, dim=2).build(2).eval()
    >>> shift = torch.tensor([5.0, -5.0])
    >>> with torch.no_grad():
    ...     before = code.vectors(torch.tensor([[7]]))
    ...     code.quantizer.map.bias += shift
    ...     torch.allclose(code.vectors(torch.tensor([[7]])), before + shift)
    True

    References
    ----------
    Zhu et al., "Addressing representation collapse in vector quantized models with one linear
    layer", ICCV 2025.
    """

    codebook: int = 256
    dim: int = 4
    commitment: float = 1.0

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> CodeModule:
        """Return the module."""
        positions, entries = self.blocks(code_size), self.entries()
        quantizer = MappedCodebook(entries, self.dim)
        return VectorModule(positions, quantizer, self.positive("commitment"))


@dataclass(frozen=True)
class TwoLevels(Quantized, name="vq-2"):
    """A quarter of the symbols are the top level; the bottom level is conditioned on the top.

    The bottom quantizes its features plus a learned function of the top's entries; each level has
    its own codebook, and the decoder receives both.

    Parameters
    ----------
    codebook : int
        The number of entries of each level.
    dim : int
        The dimensions of an entry; the code has ``code_size / dim`` symbols.
    decay : float or None
        Of the running mean of each entry's vectors, 0 to 1; None for the codebook loss.
    commitment : float
        The weight of the distance of features from their entries.
    hidden : int
        Units in the hidden layer of the function.

    Examples
    --------
    >>> from attar.codes import TwoLevels
    >>> module = TwoLevels(codebook=256, dim=4).build(32)
    >>> len(module.sizes), module.quantizer.top_positions
    (8, 2)

    References
    ----------
    Razavi, van den Oord and Vinyals, "Generating diverse high-fidelity images with VQ-VAE-2",
    NeurIPS 2019.
    """

    hidden: int = 64

    @property
    def least_size(self) -> int:
        """A symbol for each level."""
        return 2 * self.dim

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> CodeModule:
        """Return the module."""
        positions, hidden = self.blocks(code_size), self.positive_integer("hidden")
        top = self.dim * max(1, positions // 4)
        conditioner = nn.Sequential(linear(top, hidden), nn.SiLU(), linear(hidden, code_size - top))
        quantizer = TwoLevelQuantizer(top, self.book(), self.book(), conditioner)
        return VectorModule(positions, quantizer, self.positive("commitment"))


class TwoLevelQuantizer(Quantizer):
    """Quantizes the first dimensions, and then the others given the first."""

    def __init__(self, top: int, top_book: Codebook, bottom_book: Codebook, conditioner: nn.Module):
        super().__init__(top_book.size, top_book.ema)
        self.top, self.top_positions = top, top // top_book.table.shape[-1]
        self.top_book, self.bottom_book, self.conditioner = top_book, bottom_book, conditioner

    def quantize(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return what each level rounds, and its symbols."""
        top, bottom = x[:, : self.top], x[:, self.top :]
        top_symbols = self.top_book.nearest(top)
        entries = self.top_book.vectors(top_symbols)
        if self.training:
            entries = straight_through(entries, top)
        bottom = bottom + self.conditioner(entries)
        symbols = [top_symbols, self.bottom_book.nearest(bottom)]
        return torch.cat([top, bottom], -1), torch.cat(symbols, -1)

    def nearest(self, z: Tensor) -> Tensor:
        """Return the nearest entries of each level, the top's first."""
        top, bottom = z[:, : self.top], z[:, self.top :]
        return torch.cat([self.top_book.nearest(top), self.bottom_book.nearest(bottom)], -1)

    def vectors(self, symbols: Tensor) -> Tensor:
        """Return the entries, the top's first."""
        top, bottom = symbols[:, : self.top_positions], symbols[:, self.top_positions :]
        return torch.cat([self.top_book.vectors(top), self.bottom_book.vectors(bottom)], -1)

    @torch.no_grad()
    def initialize(self, x: Tensor) -> None:
        """Fit the top to vectors, and then the bottom."""
        self.top_book.initialize(x[:, : self.top])
        self.bottom_book.initialize(self.quantize(x)[0][:, self.top :])

    def update(self, inputs: Tensor, symbols: Tensor) -> None:
        """Update the codebook of each level."""
        self.top_book.update(inputs[:, : self.top], symbols[:, : self.top_positions])
        self.bottom_book.update(inputs[:, self.top :], symbols[:, self.top_positions :])

    def revive(self) -> None:
        """Replace the dead entries of each level."""
        self.top_book.revive()
        self.bottom_book.revive()
