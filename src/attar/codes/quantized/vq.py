"""Vector quantization: VQ-VAE, product, two levels and SimVQ."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from attar.codes.base import CodeModule
from attar.codes.quantized.base import QuantizedModule, SymbolCode
from attar.codes.quantized.codebook import Codebook, LearnedCodebook
from attar.networks.mlp import linear


@dataclass(frozen=True)
class Quantized(SymbolCode):
    """What the codes have in common that learn codebooks."""

    codebook: int = 256
    dim: int = 4
    decay: float | None = 0.99
    commitment: float = 0.25

    @property
    def multiple(self) -> int:
        """The numbers of a symbol."""
        return self.dim

    def book(self, books: int = 1) -> LearnedCodebook:
        """Return so many codebooks; the hyperparameters must be in range."""
        self.require(self.positive_integer("codebook") >= 2, "a codebook of at least 2 entries")
        self.require(self.commitment > 0, "a commitment above 0")
        in_range = self.decay is None or 0 <= self.decay < 1
        self.require(in_range, "a decay from 0 to below 1, or None to learn by the codebook loss")
        return LearnedCodebook(books, self.codebook, self.dim, self.decay)


@dataclass(frozen=True)
class VectorQuantized(Quantized, name="vq"):
    """Each block of numbers is rounded to the nearest entry of one codebook.

    The gradient goes straight to the features; with the features f and their entries e, training
    adds commitment · |f - sg(e)|², and |sg(f) - e|² where the codebook has no decay. The codebook
    starts by k-means, and entries that win nothing in an epoch are made anew from features.

    Parameters
    ----------
    codebook : int
        How many entries there are.
    dim : int
        How many numbers an entry has; the code has ``code_size / dim`` symbols.
    decay : float or None
        Of the running means of what each entry wins, 0 to 1; None to learn by the codebook loss.
    commitment : float
        How much features are drawn to their entries.

    References
    ----------
    van den Oord, Vinyals and Kavukcuoglu, "Neural discrete representation learning", NIPS 2017.
    """

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> CodeModule:
        """Return the module."""
        return VectorModule(self.blocks(code_size), self.book(), self.commitment)


class BookModule(QuantizedModule):
    """Symbols of codebooks that are kept where what is quantized lies."""

    def __init__(self, sizes: tuple[int, ...], commitment: float, moving: bool) -> None:
        super().__init__(sizes)
        self.commitment, self.moving = commitment, moving

    def auxiliary_loss(self, given: Tensor, z: Tensor) -> Tensor:
        """Return commitment · |given - sg(z)|², and |sg(given) - z|² for entries that learn."""
        committed = self.commitment * (given - z.detach()).square().sum(-1)
        return committed if self.moving else committed + (given.detach() - z).square().sum(-1)


class VectorModule(BookModule):
    """Rounds blocks of numbers to entries of one book, or of a book for each position."""

    def __init__(self, positions: int, book: Codebook, commitment: float) -> None:
        super().__init__(positions * (book.size,), commitment, book.moving)
        self.book = book

    def quantize(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features and their symbols."""
        return features, self.symbols(features)

    def symbols(self, z: Tensor) -> Tensor:
        """Return the nearest entries: (n, positions)."""
        return self.book.nearest(z)

    def vectors(self, symbols: Tensor) -> Tensor:
        """Return the entries, one after the other: (n, d)."""
        return self.book.vectors(symbols)

    def learn(self, given: Tensor, symbols: Tensor) -> None:
        """Move the entries to what they won."""
        self.book.learn(given.detach(), symbols)

    def on_data(self, values: Tensor, features: Tensor) -> None:
        """Start the codebook where features are."""
        self.book.start(features)

    def on_epoch(self) -> None:
        """Make dead entries anew."""
        self.book.revive()


@dataclass(frozen=True)
class ProductQuantized(Quantized, name="pq"):
    """Each block of numbers is rounded to the nearest entry of its own codebook.

    Parameters
    ----------
    codebook : int
        How many entries there are for each position.
    dim : int
        How many numbers an entry has; the code has ``code_size / dim`` symbols.
    decay : float or None
        Of the running means of what each entry wins, 0 to 1; None to learn by the codebook loss.
    commitment : float
        How much features are drawn to their entries.

    References
    ----------
    Jégou, Douze and Schmid, "Product quantization for nearest neighbor search", IEEE TPAMI 2011.
    As a code: Wu and Flierl, "Learning product codebooks using vector-quantized autoencoders for
    image retrieval", GlobalSIP 2019.
    """

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> CodeModule:
        """Return the module."""
        positions = self.blocks(code_size)
        return VectorModule(positions, self.book(positions), self.commitment)


@dataclass(frozen=True)
class TwoLevels(Quantized, name="vq-2"):
    """A quarter of the symbols are the top; the others, the bottom, are chosen knowing the top.

    The bottom quantizes its features plus a learnt function of the top's entries; each level has
    a codebook of its own, and the decoder sees both.

    Parameters
    ----------
    codebook : int
        How many entries each level has.
    dim : int
        How many numbers an entry has; the code has ``code_size / dim`` symbols.
    decay : float or None
        Of the running means of what each entry wins, 0 to 1; None to learn by the codebook loss.
    commitment : float
        How much what is quantized is drawn to its entry.
    hidden : int
        Units in the hidden layer of the function.

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
        positions = self.blocks(code_size)
        hidden = self.positive_integer("hidden")
        top = self.dim * max(1, positions // 4)
        told = nn.Sequential(linear(top, hidden), nn.SiLU(), linear(hidden, code_size - top))
        return TwoLevelModule(positions, top, self.book(), self.book(), told, self.commitment)


class TwoLevelModule(BookModule):
    """Quantizes the first numbers, and then the others with what the first say of them."""

    def __init__(
        self,
        positions: int,
        top: int,
        top_book: Codebook,
        bottom_book: Codebook,
        told: nn.Module,
        commitment: float,
    ) -> None:
        super().__init__(positions * (top_book.size,), commitment, top_book.moving)
        self.top, self.top_positions = top, top // top_book.table.shape[-1]
        self.top_book, self.bottom_book, self.told = top_book, bottom_book, told

    def quantize(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return what each level was given, and its symbols."""
        top, bottom = features[:, : self.top], features[:, self.top :]
        top_symbols = self.top_book.nearest(top)
        entries = self.top_book.vectors(top_symbols)
        if self.training:
            entries = entries.detach() + self.through(top)
        bottom = bottom + self.told(entries)
        symbols = [top_symbols, self.bottom_book.nearest(bottom)]
        return torch.cat([top, bottom], -1), torch.cat(symbols, -1)

    def symbols(self, z: Tensor) -> Tensor:
        """Return the nearest entries of each level: (n, positions)."""
        top, bottom = z[:, : self.top], z[:, self.top :]
        return torch.cat([self.top_book.nearest(top), self.bottom_book.nearest(bottom)], -1)

    def vectors(self, symbols: Tensor) -> Tensor:
        """Return the entries, the top's first: (n, d)."""
        top, bottom = symbols[:, : self.top_positions], symbols[:, self.top_positions :]
        return torch.cat([self.top_book.vectors(top), self.bottom_book.vectors(bottom)], -1)

    def learn(self, given: Tensor, symbols: Tensor) -> None:
        """Move the entries of each level to what they won."""
        given, top = given.detach(), self.top_positions
        self.top_book.learn(given[:, : self.top], symbols[:, :top])
        self.bottom_book.learn(given[:, self.top :], symbols[:, top:])

    @torch.no_grad()
    def on_data(self, values: Tensor, features: Tensor) -> None:
        """Start the top by k-means, and then the bottom."""
        self.top_book.start(features[:, : self.top])
        self.bottom_book.start(self.quantize(features)[0][:, self.top :])

    def on_epoch(self) -> None:
        """Make dead entries anew."""
        self.top_book.revive()
        self.bottom_book.revive()


@dataclass(frozen=True)
class SimVQ(SymbolCode, name="simvq"):
    """Vector quantization whose entries are fixed random vectors under one learnt linear map.

    Every entry moves whenever one does, so that none can die. The map starts where the entries
    have the features' mean and covariance.

    Parameters
    ----------
    codebook : int
        How many entries there are.
    dim : int
        How many numbers an entry has; the code has ``code_size / dim`` symbols.
    commitment : float
        How much features are drawn to their entries.

    References
    ----------
    Zhu et al., "Addressing representation collapse in vector quantized models with one linear
    layer", ICCV 2025.
    """

    codebook: int = 256
    dim: int = 4
    commitment: float = 1.0

    @property
    def multiple(self) -> int:
        """The numbers of a symbol."""
        return self.dim

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> CodeModule:
        """Return the module."""
        positions = self.blocks(code_size)
        self.require(self.positive_integer("codebook") >= 2, "a codebook of at least 2 entries")
        self.require(self.commitment > 0, "a commitment above 0")
        return VectorModule(positions, MappedCodebook(self.codebook, self.dim), self.commitment)


class MappedCodebook(Codebook):
    """One book of entries W r + b, of fixed random vectors r."""

    fixed: Tensor

    def __init__(self, size: int, dim: int) -> None:
        super().__init__(size, moving=False)
        self.register_buffer("fixed", torch.randn(size, dim))
        self.map = nn.Linear(dim, dim)

    @property
    def table(self) -> Tensor:
        """The entries: (1, size, dim)."""
        if self.training:
            entries: Tensor = self.map(self.fixed)
        else:
            # The rounding of a product depends on where in memory a model was loaded.
            entries = (self.fixed[:, None] * self.map.weight).sum(-1) + self.map.bias
        return entries[None]

    @torch.no_grad()
    def start(self, x: Tensor) -> None:
        """Give the map the mean and the covariance of vectors (n, positions · dim)."""
        rows = self._by_book(x)[0]
        # A little spread in every direction lets a covariance of any rank have a root.
        spread = rows.mT.cov(correction=0).reshape(rows.shape[1], -1)
        spread = spread + 1e-6 * (1 + spread.trace()) * torch.eye(len(spread)).to(spread)
        self.map.weight.copy_(torch.linalg.cholesky(spread))
        self.map.bias.copy_(rows.mean(0))
