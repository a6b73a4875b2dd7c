"""Residual quantization: a code is a sum of entries, of which each stage adds one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from attar.codes.base import CodeModule
from attar.codes.quantized.base import blocks
from attar.codes.quantized.codebook import LearnedCodebook, Quantizer
from attar.codes.quantized.relaxed import gumbel
from attar.codes.quantized.vq import (
    CodebookCode,
    CodebookModule,
    Quantized,
    VectorModule,
    stages_kept,
)


class Staged(CodebookCode):
    """A code of entries of several stages, whose sum is the decoder's input."""

    stages: int

    @property
    def multiple(self) -> int:
        """The dimensions of an entry of each stage."""
        return self.positive_integer("stages") * self.dim

    def width(self, code_size: int) -> int:
        """Return the dimensions of the sum of the entries."""
        return self.blocks(code_size) * self.dim

    def decoder_width(self, code_size: int) -> int:
        """Return the dimensions of the sum of the entries."""
        return self.width(code_size)


@dataclass(frozen=True)
class ResidualQuantized(Staged, Quantized, name="rvq"):
    """The features are a sum of entries: each stage quantizes what those before it leave over.

    The code is the entries of one stage after the other; the decoder's input is their sum.

    Parameters
    ----------
    codebook : int
        The number of entries of each stage.
    dim : int
        The dimensions of an entry.
    stages : int
        The number of terms of the sum; the decoder's input has ``code_size / stages`` dimensions.
    decay : float or None
        Of the running mean of each entry's vectors, 0 to 1; None for the codebook loss.
    commitment : float
        The weight of the distance of each stage's input from its entry.
    dropout : float
        The fraction of rows, 0 to 1, of which training uses the first stages only, a random number
        of them: a code may then be cut after any stage.
    bypass : float
        The fraction of rows, 0 to 1, whose features the decoder gets as they are in training: it
        learns details that the entries do not have yet.

    Examples
    --------
    >>> import torch
    >>> from attar.codes import ResidualQuantized
    >>> code = ResidualQuantized(codebook=2, dim=1, stages=2).build(2).eval()
    >>> coarse, fine = code.quantizer.books
    >>> _ = coarse.entries.copy_(torch.tensor([[[-4.0], [4.0]]]))
    >>> _ = fine.entries.copy_(torch.tensor([[[-1.0], [1.0]]]))
    >>> z = code.point(torch.tensor([[3.2]]))
    >>> z, code.decoder_input(z)
    (tensor([[ 4., -1.]]), tensor([[3.]]))

    References
    ----------
    Zeghidour et al., "SoundStream: an end-to-end neural audio codec", IEEE/ACM TASLP 2022. Lee et
    al., "Autoregressive image generation using residual quantization", CVPR 2022. Défossez et al.,
    "Moshi: a speech-text foundation model for real-time dialogue", 2024, for ``bypass``.
    """

    stages: int = 2
    dropout: float = 0.0
    bypass: float = 0.0

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> CodeModule:
        """Return the module."""
        positions = self.stages * self.blocks(code_size)
        quantizer = ResidualQuantizer([self.book() for _ in range(self.stages)])
        module = VectorModule(positions, quantizer, self.positive("commitment"), self.stages)
        module.dropout, module.bypass = self.fraction("dropout"), self.fraction("bypass")
        return module


class ResidualQuantizer(Quantizer):
    """A codebook for each stage, which quantizes what the stages before it leave over."""

    def __init__(self, books: list[LearnedCodebook]) -> None:
        super().__init__(books[0].size, books[0].ema)
        self.books = nn.ModuleList(books)

    def __iter__(self) -> Iterator[LearnedCodebook]:
        for book in self.books:
            assert isinstance(book, LearnedCodebook)
            yield book

    def quantize(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the residuals that the stages round, and the symbols of their entries."""
        residuals, symbols = [x], []
        for book in self:
            symbols.append(book.nearest(residuals[-1]))
            residuals.append(residuals[-1] - book.vectors(symbols[-1]).detach())
        return torch.cat(residuals[:-1], -1), torch.cat(symbols, -1)

    def nearest(self, z: Tensor) -> Tensor:
        """Return the entries nearest to those of each stage: (n, stages · positions)."""
        parts = zip(self, z.chunk(len(self.books), -1), strict=True)
        return torch.cat([book.nearest(part) for book, part in parts], -1)

    def vectors(self, symbols: Tensor) -> Tensor:
        """Return the entries, one stage after the other: (n, d)."""
        parts = zip(self, symbols.chunk(len(self.books), -1), strict=True)
        return torch.cat([book.vectors(part) for book, part in parts], -1)

    @torch.no_grad()
    def initialize(self, x: Tensor) -> None:
        """Fit each stage to what those before it leave over."""
        for book in self:
            book.initialize(x)
            x = x - book.vectors(book.nearest(x))

    def update(self, inputs: Tensor, symbols: Tensor) -> None:
        """Update the codebook of each stage."""
        n = len(self.books)
        for book, x, chosen in zip(self, inputs.chunk(n, -1), symbols.chunk(n, -1), strict=True):
            book.update(x, chosen)

    def revive(self) -> None:
        """Replace the dead entries of each stage."""
        for book in self:
            book.revive()


@dataclass(frozen=True)
class Hierarchical(Staged, name="hrq"):
    """A sum of entries, from coarse to fine, that may be cut after any stage.

    In training an entry is sampled by its distance from the residual r, as a mixture of entries e
    by Gumbel-softmax with scores -|r - e|²; in some rows the last stages are dropped, and later
    stages start with smaller entries. The decoder's input is the sum.

    Parameters
    ----------
    codebook : int
        The number of entries of each stage.
    dim : int
        The dimensions of an entry.
    stages : int
        The number of terms of the sum; the decoder's input has ``code_size / stages`` dimensions.
    decay : float
        The initial scale of a stage's entries, relative to the stage before; above 0, to 1.
    dropout : float
        The fraction of rows that are cut after a random stage, 0 to 1.
    temperature : float
        Of the softmax.
    commitment : float
        The weight of the distance of features from the sum of entries.

    Examples
    --------
    >>> from attar.codes import Hierarchical
    >>> module = Hierarchical(codebook=4096, stages=2, decay=0.5).build(8)
    >>> [round(book.entries.std().item(), 1) for book in module.quantizer.books]
    [1.0, 0.5]

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
        positions, entries = self.stages * self.blocks(code_size), self.entries()
        self.require(0 < self.decay <= 1, "a decay above 0, at most 1")
        books = [LearnedCodebook(1, entries, self.dim, None) for _ in range(self.stages)]
        with torch.no_grad():
            for stage, book in enumerate(books):
                book.entries.mul_(self.decay**stage)
        return HierarchicalModule(positions, ResidualQuantizer(books), self)


class HierarchicalModule(CodebookModule):
    """Sums of entries, in training of mixtures of entries."""

    quantizer: ResidualQuantizer

    def __init__(self, positions: int, quantizer: ResidualQuantizer, spec: Hierarchical) -> None:
        super().__init__(positions, quantizer, spec.positive("commitment"), spec.stages)
        self.dropout, self.temperature = spec.fraction("dropout"), spec.positive("temperature")

    def training_codes(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return mixtures, cut; the symbols that weigh most; commitment · |what is left over|²."""
        residual, parts, symbols = features, [], []
        for book in self.quantizer:
            part, heaviest = self._mixture(book, residual)
            book.update(residual, heaviest)
            residual = residual - part
            parts.append(part)
            symbols.append(heaviest)
        loss = self.commitment * residual.square().sum(-1)
        z = torch.cat(parts, -1)
        return z * stages_kept(z, self.stages, self.dropout), torch.cat(symbols, -1), loss

    def _mixture(self, book: LearnedCodebook, residual: Tensor) -> tuple[Tensor, Tensor]:
        """Return mixtures of entries (B, w), and the symbols that weigh most."""
        entries = book.entries[0]
        x = blocks(residual, entries.shape[1])
        scores = 2 * x @ entries.mT - entries.square().sum(-1)
        scores = scores + gumbel(torch.randn_like(scores))
        mixed = (scores / self.temperature).softmax(-1) @ entries
        return mixed.flatten(1), scores.argmax(-1)
