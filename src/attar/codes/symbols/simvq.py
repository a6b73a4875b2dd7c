"""Vector quantization by a codebook that moves as one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from attar.codes.code import CodeModule
from attar.codes.symbols.codebook import Codebook
from attar.codes.symbols.symbol import SymbolCode
from attar.codes.symbols.vector import VectorModule


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
        self.require(self.counted("codebook") >= 2, "a codebook of at least 2 entries")
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
