"""Vector quantization: each block of numbers becomes the nearest entry of a codebook."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from attar.codes.code import CodeModule
from attar.codes.symbols.codebook import Codebook, LearntCodebook
from attar.codes.symbols.symbol import QuantizedModule, SymbolCode


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

    def book(self, books: int = 1) -> LearntCodebook:
        """Return so many codebooks; the hyperparameters must be in range."""
        self.require(self.counted("codebook") >= 2, "a codebook of at least 2 entries")
        self.require(self.commitment > 0, "a commitment above 0")
        in_range = self.decay is None or 0 <= self.decay < 1
        self.require(in_range, "a decay from 0 to below 1, or None to learn by the codebook loss")
        return LearntCodebook(books, self.codebook, self.dim, self.decay)


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

    def upkeep(self, given: Tensor, z: Tensor) -> Tensor:
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
