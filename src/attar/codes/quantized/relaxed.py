"""Relaxed discrete codes: Gumbel-softmax and Bernoulli."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from attar.codes.base import CodeModule, LogLikelihood
from attar.codes.quantized.base import SymbolCode, SymbolModule, blocks, one_hot
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
        self,
        features: Tensor,
        noise: Tensor | None = None,
        log_likelihood: LogLikelihood | None = None,
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

    def point(self, features: Tensor, log_likelihood: LogLikelihood | None = None) -> Tensor:
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


@dataclass(frozen=True)
class Gumbel(Relaxed, name="gumbel"):
    """Each symbol is one of ``levels``, drawn with probabilities softmax(features), as one-hot.

    In training a draw is softmax((log p + gumbel noise) / temperature). The rate is
    KL(q || uniform).

    Parameters
    ----------
    levels : int
        How many symbols there are, each a number of the code: there are ``code_size / levels``
        positions.
    temperature : float
        Where the temperature starts.
    coolest : float
        Where it ends.
    cooling : float
        What it is multiplied with after each epoch.

    References
    ----------
    Jang, Gu and Poole, "Categorical reparameterization with Gumbel-softmax", ICLR 2017. Maddison,
    Mnih and Teh, "The concrete distribution", ICLR 2017.
    """

    levels: int = 4
    temperature: float = 1.0
    coolest: float = 0.5
    cooling: float = 0.9

    @property
    def multiple(self) -> int:
        """A number for each level."""
        return self.levels

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> CodeModule:
        """Return the module."""
        positions = self.blocks(code_size)
        self.require(self.levels >= 2, "at least 2 levels")
        self.check()
        return GumbelModule(positions, self.levels, self)


class GumbelModule(RelaxedModule):
    """Draws of categorical distributions, as one-hot numbers."""

    def logits(self, features: Tensor) -> Tensor:
        """Return the features: (B, positions, levels)."""
        return blocks(features, self.levels)

    def numbers(self, shares: Tensor) -> Tensor:
        """Return the shares themselves."""
        return shares.flatten(-2)

    def symbols(self, z: Tensor) -> Tensor:
        """Return which number is the largest at each position: (n, positions)."""
        return blocks(z, self.levels).argmax(-1)


@dataclass(frozen=True)
class BernoulliBits(Relaxed, name="bernoulli"):
    """Each number is 0 or 1, drawn with probability sigmoid(feature) of 1.

    In training a draw is sigmoid((feature + logistic noise) / temperature), the binary concrete
    distribution. The rate is KL(q || Bernoulli(1/2)).

    Parameters
    ----------
    temperature : float
        Where the temperature starts.
    coolest : float
        Where it ends.
    cooling : float
        What it is multiplied with after each epoch.

    References
    ----------
    Maddison, Mnih and Teh, "The concrete distribution: a continuous relaxation of discrete random
    variables", ICLR 2017.
    """

    temperature: float = 1.0
    coolest: float = 0.5
    cooling: float = 0.9

    multiple = 1

    def noise(self, code_size: int) -> int:
        """Return two normals for each bit: their gumbel draws differ by a logistic one."""
        return 2 * code_size

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> CodeModule:
        """Return the module."""
        self.check()
        return BernoulliModule(self.blocks(code_size), 2, self)


class BernoulliModule(RelaxedModule):
    """Draws of bits."""

    def logits(self, features: Tensor) -> Tensor:
        """Return zero for 0 and the feature for 1: (B, d, 2)."""
        return torch.stack([torch.zeros_like(features), features], -1)

    def numbers(self, shares: Tensor) -> Tensor:
        """Return the shares of 1."""
        return shares[..., 1]

    def symbols(self, z: Tensor) -> Tensor:
        """Return the nearest bits: (n, d)."""
        return (z > 0.5).long()
