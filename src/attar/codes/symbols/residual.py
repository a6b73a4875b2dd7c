"""Residual quantization: each stage quantizes what the stages before have left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from attar.codes.code import CodeModule
from attar.codes.symbols.codebook import Codebook
from attar.codes.symbols.symbol import SymbolCode, apart
from attar.codes.symbols.vector import BookModule, Quantized


class Staged(SymbolCode):
    """A code whose decoder sees a sum of entries, one of each stage."""

    dim: int
    stages: int

    @property
    def multiple(self) -> int:
        """The numbers of an entry of each stage."""
        return self.counted("stages") * self.dim

    def width(self, code_size: int) -> int:
        """Return how many numbers the entries add up to."""
        return self.blocks(code_size) * self.dim

    def shown(self, code_size: int) -> int:
        """Return how many numbers the entries add up to."""
        return self.width(code_size)


@dataclass(frozen=True)
class ResidualQuantized(Staged, Quantized, name="rvq"):
    """The features are a sum of entries, one of each stage's codebook, coarse ones first.

    The code holds the entries of one stage after the other; the decoder sees their sum.

    Parameters
    ----------
    codebook : int
        How many entries each stage has.
    dim : int
        How many numbers an entry has.
    stages : int
        How many entries are added up; the decoder sees ``code_size / stages`` numbers.
    decay : float or None
        Of the running means of what each entry wins, 0 to 1; None to learn by the codebook loss.
    commitment : float
        How much what a stage quantizes is drawn to its entry.

    References
    ----------
    Zeghidour et al., "SoundStream: an end-to-end neural audio codec", IEEE/ACM TASLP 2022. Lee et
    al., "Autoregressive image generation using residual quantization", CVPR 2022.
    """

    stages: int = 2

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> CodeModule:
        """Return the module."""
        positions = self.blocks(code_size)
        books = [self.book() for _ in range(self.stages)]
        return ResidualModule(positions, books, self.commitment)


class ResidualModule(BookModule):
    """Rounds blocks of numbers to a sum of entries."""

    def __init__(self, positions: int, books: Sequence[Codebook], commitment: float) -> None:
        sizes = [book.size for book in books for _ in range(positions)]
        super().__init__(tuple(sizes), commitment, books[0].moving)
        self.books = nn.ModuleList(books)

    def shown(self, z: Tensor) -> Tensor:
        """Return the sum of the stages' entries: (n, d / stages)."""
        return apart(z, z.shape[-1] // len(self.books)).sum(-2)

    def quantize(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return what each stage was given, and the entries that it chose."""
        given, symbols = [features], []
        for book in self._stages():
            symbols.append(book.nearest(given[-1]))
            given.append(given[-1] - book.vectors(symbols[-1]).detach())
        return torch.cat(given[:-1], -1), torch.cat(symbols, -1)

    def through(self, given: Tensor) -> Tensor:
        """Return zeros (B, d) whose sum over the stages has the gradient of the features."""
        return super().through(given) / len(self.books)

    def symbols(self, z: Tensor) -> Tensor:
        """Return the entries nearest to those of each stage: (n, stages · positions)."""
        parts = zip(self._stages(), z.chunk(len(self.books), -1), strict=True)
        return torch.cat([book.nearest(part) for book, part in parts], -1)

    def vectors(self, symbols: Tensor) -> Tensor:
        """Return the entries, one stage after the other: (n, d)."""
        parts = zip(self._stages(), symbols.chunk(len(self.books), -1), strict=True)
        return torch.cat([book.vectors(part) for book, part in parts], -1)

    def learn(self, given: Tensor, symbols: Tensor) -> None:
        """Move the entries of each stage to what they won."""
        stages = len(self.books)
        parts = zip(given.detach().chunk(stages, -1), symbols.chunk(stages, -1), strict=True)
        for book, part in zip(self._stages(), parts, strict=True):
            book.learn(*part)

    @torch.no_grad()
    def on_data(self, values: Tensor, features: Tensor) -> None:
        """Start each stage by k-means of what those before have left."""
        for book in self._stages():
            book.start(features)
            features = features - book.vectors(book.nearest(features))

    def on_epoch(self) -> None:
        """Make dead entries anew."""
        for book in self._stages():
            book.revive()

    def _stages(self) -> Iterator[Codebook]:
        for book in self.books:
            assert isinstance(book, Codebook)
            yield book
