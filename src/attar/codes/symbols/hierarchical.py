"""Residual quantization that is learnt as a hierarchy: the first stages do for themselves."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from attar.codes.code import CodeModule, Explain
from attar.codes.symbols.codebook import Codebook, LearntCodebook
from attar.codes.symbols.relaxed import gumbel
from attar.codes.symbols.residual import ResidualModule, Staged
from attar.codes.symbols.symbol import apart
from attar.records import Coded


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
        self.require(self.counted("codebook") >= 2, "a codebook of at least 2 entries")
        self.require(0 < self.decay <= 1, "a decay above 0, at most 1")
        self.require(0 <= self.dropout <= 1, "a dropout from 0 to 1")
        self.require(self.temperature > 0, "a temperature above 0")
        self.require(self.commitment > 0, "a commitment above 0")
        books = [LearntCodebook(1, self.codebook, self.dim, None) for _ in range(self.stages)]
        return HierarchicalModule(positions, books, self)


class HierarchicalModule(ResidualModule):
    """Rounds blocks of numbers to a sum of entries, in training to mixtures of them."""

    def __init__(self, positions: int, books: list[LearntCodebook], spec: Hierarchical) -> None:
        super().__init__(positions, books, spec.commitment)
        self.dropout, self.temperature = spec.dropout, spec.temperature
        with torch.no_grad():
            for stage, book in enumerate(books):
                book.entries.mul_(spec.decay**stage)

    def forward(
        self, features: Tensor, noise: Tensor | None = None, explain: Explain | None = None
    ) -> Coded:
        """Return the codes of features (B, w), in training soft and cut."""
        if not self.training:
            return super().forward(features, noise, explain)
        left, parts, symbols = features, [], []
        for book in self._stages():
            part, chosen = self._mixture(book, left)
            book.learn(left.detach(), chosen)
            left = left - part
            parts.append(part)
            symbols.append(chosen)
        upkeep = self.commitment * left.square().sum(-1)
        z = torch.cat(self._cut(parts), -1)
        return self.coded(z, torch.cat(symbols, -1), upkeep, 1 if noise is None else len(noise))

    def _mixture(self, book: Codebook, left: Tensor) -> tuple[Tensor, Tensor]:
        """Return what stands for the entries in training (B, w), and those that weigh most."""
        entries = book.table[0]
        x = apart(left, entries.shape[1])
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
