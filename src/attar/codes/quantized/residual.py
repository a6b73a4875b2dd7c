"""Residual quantization, deterministic and hierarchical."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from attar.codes.base import CodeModule, LogLikelihood
from attar.codes.quantized.base import SymbolCode, blocks
from attar.codes.quantized.codebook import Codebook, LearnedCodebook
from attar.codes.quantized.relaxed import gumbel
from attar.codes.quantized.vq import BookModule, Quantized
from attar.records import Coded


class Staged(SymbolCode):
    """A code whose decoder sees a sum of entries, one of each stage."""

    dim: int
    stages: int

    @property
    def multiple(self) -> int:
        """The numbers of an entry of each stage."""
        return self.positive_integer("stages") * self.dim

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
        return blocks(z, z.shape[-1] // len(self.books)).sum(-2)

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


@dataclass(frozen=True)
class Hierarchical(Staged, name="hrq"):
    """A sum of entries, coarse ones first, that may be cut after any stage.

    In training an entry is drawn by how near it is to what is left, as a mixture by Gumbel-softmax
    with scores -|left - e|², and of some rows the last stages are left out; later stages start
    with smaller entries. The decoder sees the sum.

    Parameters
    ----------
    codebook : int
        How many entries each stage has.
    dim : int
        How many numbers an entry has.
    stages : int
        How many entries are added up; the decoder sees ``code_size / stages`` numbers.
    decay : float
        How large the entries of a stage start, beside those of the stage before; above 0, to 1.
    dropout : float
        The share of rows that are cut after a stage drawn evenly, 0 to 1.
    temperature : float
        Of the softmax.
    commitment : float
        How much features and entries are drawn together.

    References
    ----------
    Hosking, Tang and Lapata, "Hierarchical sketch induction for paraphrase generation", ACL 2022.
    """

    codebook: int = 16
    dim: int = 4
    stages: int = 4
    decay: float = 0.8
    dropout: float = 0.3
    temperature: float = 0.5
    commitment: float = 0.25

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> CodeModule:
        """Return the module."""
        positions = self.blocks(code_size)
        self.require(self.positive_integer("codebook") >= 2, "a codebook of at least 2 entries")
        self.require(0 < self.decay <= 1, "a decay above 0, at most 1")
        self.require(0 <= self.dropout <= 1, "a dropout from 0 to 1")
        self.require(self.temperature > 0, "a temperature above 0")
        self.require(self.commitment > 0, "a commitment above 0")
        books = [LearnedCodebook(1, self.codebook, self.dim, None) for _ in range(self.stages)]
        return HierarchicalModule(positions, books, self)


class HierarchicalModule(ResidualModule):
    """Rounds blocks of numbers to a sum of entries, in training to mixtures of them."""

    def __init__(self, positions: int, books: list[LearnedCodebook], spec: Hierarchical) -> None:
        super().__init__(positions, books, spec.commitment)
        self.dropout, self.temperature = spec.dropout, spec.temperature
        with torch.no_grad():
            for stage, book in enumerate(books):
                book.entries.mul_(spec.decay**stage)

    def forward(
        self,
        features: Tensor,
        noise: Tensor | None = None,
        log_likelihood: LogLikelihood | None = None,
    ) -> Coded:
        """Return the codes of features (B, w), in training soft and cut."""
        if not self.training:
            return super().forward(features, noise, log_likelihood)
        left, parts, symbols = features, [], []
        for book in self._stages():
            part, chosen = self._mixture(book, left)
            book.learn(left.detach(), chosen)
            left = left - part
            parts.append(part)
            symbols.append(chosen)
        auxiliary_loss = self.commitment * left.square().sum(-1)
        z = torch.cat(self._cut(parts), -1)
        return self.coded(
            z, torch.cat(symbols, -1), auxiliary_loss, 1 if noise is None else len(noise)
        )

    def _mixture(self, book: Codebook, left: Tensor) -> tuple[Tensor, Tensor]:
        """Return what stands for the entries in training (B, w), and those that weigh most."""
        entries = book.table[0]
        x = blocks(left, entries.shape[1])
        scores = 2 * x @ entries.mT - entries.square().sum(-1)
        scores = scores + gumbel(torch.randn_like(scores))
        mixed = (scores / self.temperature).softmax(-1) @ entries
        return mixed.flatten(1), scores.argmax(-1)

    def _cut(self, parts: list[Tensor]) -> list[Tensor]:
        """Silence the last stages of some rows."""
        stages, rows = len(parts), len(parts[0])
        depth = torch.randint(1, stages + 1, (rows, 1), device=parts[0].device)
        whole = torch.rand(rows, 1, device=parts[0].device) >= self.dropout
        return [part * (whole | (depth > stage)) for stage, part in enumerate(parts)]

    def on_data(self, values: Tensor, features: Tensor) -> None:
        """Leave the entries as they are: their sizes make the hierarchy."""
