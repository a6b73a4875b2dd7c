"""Symbols that are drawn from a distribution, and relaxed in training so that gradients flow."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from attar.codes.code import Explain
from attar.codes.symbols.symbol import SymbolCode, SymbolModule, one_hot
from attar.records import Coded


class Relaxed(SymbolCode):
    """A code of drawn symbols, with a temperature that falls from epoch to epoch."""

    temperature: float
    coolest: float
    cooling: float

    def check(self) -> None:
        """Refuse hyperparameters out of range."""
        fine = 0 < self.coolest <= self.temperature
        self.require(fine, "a coolest temperature above 0, at most the one it starts at")
        self.require(0 < self.cooling <= 1, "a cooling above 0, at most 1")


class RelaxedModule(SymbolModule):
    """Draws the largest of log p + gumbel noise; in training softmax stands for the largest.

    Attributes
    ----------
    temperature : Tensor ()
        Of that softmax.
    """

    temperature: Tensor

    def __init__(self, positions: int, levels: int, spec: Relaxed) -> None:
        super().__init__(positions * (levels,))
        self.levels, self.coolest, self.cooling = levels, spec.coolest, spec.cooling
        self.register_buffer("temperature", torch.tensor(float(spec.temperature)))

    @abstractmethod
    def logits(self, features: Tensor) -> Tensor:
        """Return the log-probabilities of symbols but for a constant: (B, positions, levels)."""

    @abstractmethod
    def numbers(self, shares: Tensor) -> Tensor:
        """Return the numbers of a code for shares of symbols (..., positions, levels): (..., d)."""

    def forward(
        self, features: Tensor, noise: Tensor | None = None, explain: Explain | None = None
    ) -> Coded:
        """Return draws of symbols; the densities are theirs, in training too."""
        # Draws and densities want the code's own precision, whatever the encoder computes in.
        logs = self.logits(features.to(self.temperature.dtype)).log_softmax(-1)
        if noise is None:
            noise = torch.randn_like(logs)[None]
        drawn = logs + gumbel(noise).reshape(*noise.shape[:2], *logs.shape[1:])
        symbols = drawn.argmax(-1)
        hard = self._one_hot(symbols)
        shares = (drawn / self.temperature).softmax(-1) if self.training else hard
        rate = (logs.exp() * logs).sum((-2, -1)) + self.nats
        log_q = (hard * logs).sum((-2, -1))
        return Coded(
            self.numbers(shares),
            rate.expand(len(noise), -1),
            log_q,
            torch.full_like(log_q, -self.nats),
            symbols,
        )

    def point(self, features: Tensor, explain: Explain | None = None) -> Tensor:
        """Return the most probable symbols: (B, d)."""
        return self.vectors(self.logits(features).argmax(-1))

    def vectors(self, symbols: Tensor) -> Tensor:
        """Return the numbers of symbols (n, positions): (n, d)."""
        return self.numbers(self._one_hot(symbols.to(self.temperature.device)))

    def on_epoch(self) -> None:
        """Cool down."""
        self.temperature.mul_(self.cooling).clamp_min_(self.coolest)

    def _one_hot(self, symbols: Tensor) -> Tensor:
        return one_hot(symbols, self.levels, self.temperature.dtype)


def gumbel(noise: Tensor) -> Tensor:
    """Return standard normals as draws of the standard Gumbel distribution: -log(-log Φ(ε))."""
    log_uniform: Tensor = torch.special.log_ndtr(noise)
    return -(-log_uniform).log()
