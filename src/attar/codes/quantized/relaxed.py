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
    """A code of random symbols, with a temperature that falls from epoch to epoch."""

    temperature: float
    min_temperature: float
    annealing: float

    def check(self) -> None:
        """Refuse hyperparameters out of range."""
        valid = 0 < self.min_temperature <= self.temperature
        self.require(valid, "a min_temperature above 0, at most the temperature")
        self.require(0 < self.annealing <= 1, "an annealing above 0, at most 1")


class RelaxedModule(SymbolModule):
    """Samples the largest of log p + Gumbel noise; in training softmax replaces the largest.

    Attributes
    ----------
    temperature : Tensor ()
        Of that softmax.
    """

    temperature: Tensor

    def __init__(self, positions: int, categories: int, spec: Relaxed) -> None:
        super().__init__(positions * (categories,))
        self.categories = categories
        self.min_temperature, self.annealing = spec.min_temperature, spec.annealing
        self.register_buffer("temperature", torch.tensor(float(spec.temperature)))

    @abstractmethod
    def logits(self, features: Tensor) -> Tensor:
        """Return unnormalized log-probabilities of symbols: (B, positions, categories)."""

    @abstractmethod
    def mixture(self, weights: Tensor) -> Tensor:
        """Return codes from weights of symbols (..., positions, categories): (..., d)."""

    def forward(
        self,
        features: Tensor,
        noise: Tensor | None = None,
        log_likelihood: LogLikelihood | None = None,
    ) -> Coded:
        """Return random symbols; the densities are theirs, in training too."""
        # Samples and densities need the code's own precision, whatever the encoder computes in.
        logs = self.logits(features.to(self.temperature.dtype)).log_softmax(-1)
        if noise is None:
            noise = torch.randn_like(logs)[None]
        scores = logs + gumbel(noise).reshape(*noise.shape[:2], *logs.shape[1:])
        symbols = scores.argmax(-1)
        hard = self._one_hot(symbols)
        weights = (scores / self.temperature).softmax(-1) if self.training else hard
        rate = (logs.exp() * logs).sum((-2, -1)) + self.nats
        log_q = (hard * logs).sum((-2, -1))
        return Coded(
            self.mixture(weights),
            rate.expand(len(noise), -1),
            log_q,
            torch.full_like(log_q, -self.nats),
            symbols,
        )

    def point(self, features: Tensor, log_likelihood: LogLikelihood | None = None) -> Tensor:
        """Return the most probable symbols: (B, d)."""
        return self.vectors(self.logits(features).argmax(-1))

    def vectors(self, symbols: Tensor) -> Tensor:
        """Return the vectors of symbols (n, positions): (n, d)."""
        return self.mixture(self._one_hot(symbols.to(self.temperature.device)))

    def on_epoch(self) -> None:
        """Lower the temperature."""
        self.temperature.mul_(self.annealing).clamp_min_(self.min_temperature)

    def _one_hot(self, symbols: Tensor) -> Tensor:
        return one_hot(symbols, self.categories, self.temperature.dtype)


def gumbel(noise: Tensor) -> Tensor:
    """Return standard normals as samples of the standard Gumbel distribution: -log(-log Φ(ε)).

    Examples
    --------
    >>> import torch
    >>> gumbel(torch.zeros(()))
    tensor(0.3665)

    The median, -log log 2.
    """
    log_uniform: Tensor = torch.special.log_ndtr(noise)
    return -(-log_uniform).log()


@dataclass(frozen=True)
class Gumbel(Relaxed, name="gumbel"):
    """Each symbol is one of the categories, of probabilities softmax(features), as one-hot.

    In training a sample is softmax((log p + Gumbel noise) / temperature). The rate is
    KL(q || uniform).

    Parameters
    ----------
    categories : int
        The number of categories, each a dimension of the code, of ``code_size / categories``
        symbols.
    temperature : float
        The initial temperature.
    min_temperature : float
        The lowest temperature.
    annealing : float
        The factor of the temperature after each epoch.

    Examples
    --------
    The rate of a feature that is certain is that of a symbol, of uniform ones zero:

    >>> import torch
    >>> from attar.codes import Gumbel
    >>> code = Gumbel(categories=2).build(2).eval()
    >>> code(torch.tensor([[0.0, 0.0], [99.0, 0.0]])).rate
    tensor([[0.0000, 0.6931]])
    >>> code.point(torch.tensor([[0.1, 0.9]]))
    tensor([[0., 1.]])

    References
    ----------
    Jang, Gu and Poole, "Categorical reparameterization with Gumbel-softmax", ICLR 2017. Maddison,
    Mnih and Teh, "The concrete distribution", ICLR 2017.
    """

    categories: int = 4
    temperature: float = 1.0
    min_temperature: float = 0.5
    annealing: float = 0.9

    @property
    def multiple(self) -> int:
        """A dimension for each category."""
        return self.categories

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> CodeModule:
        """Return the module."""
        positions = self.blocks(code_size)
        self.require(self.categories >= 2, "at least 2 categories")
        self.check()
        return GumbelModule(positions, self.categories, self)


class GumbelModule(RelaxedModule):
    """Samples of categorical distributions, as one-hot vectors."""

    def logits(self, features: Tensor) -> Tensor:
        """Return the features: (B, positions, categories)."""
        return blocks(features, self.categories)

    def mixture(self, weights: Tensor) -> Tensor:
        """Return the weights themselves."""
        return weights.flatten(-2)

    def symbols(self, z: Tensor) -> Tensor:
        """Return the largest dimension of each position: (n, positions)."""
        return blocks(z, self.categories).argmax(-1)


@dataclass(frozen=True)
class BernoulliBits(Relaxed, name="bernoulli"):
    """Each dimension is 0 or 1, of probability sigmoid(feature) for 1.

    In training a sample is sigmoid((feature + logistic noise) / temperature), the binary concrete
    distribution. The rate is KL(q || Bernoulli(1/2)).

    Parameters
    ----------
    temperature : float
        The initial temperature.
    min_temperature : float
        The lowest temperature.
    annealing : float
        The factor of the temperature after each epoch.

    Examples
    --------
    A bit that is certain costs log 2, an even one nothing:

    >>> import torch
    >>> from attar.codes import BernoulliBits
    >>> code = BernoulliBits().build(1).eval()
    >>> code(torch.tensor([[0.0], [99.0]])).rate
    tensor([[0.0000, 0.6931]])

    References
    ----------
    Maddison, Mnih and Teh, "The concrete distribution: a continuous relaxation of discrete random
    variables", ICLR 2017.
    """

    temperature: float = 1.0
    min_temperature: float = 0.5
    annealing: float = 0.9

    multiple = 1

    def noise(self, code_size: int) -> int:
        """Return two normals for each bit: the difference of their Gumbel noises is logistic."""
        return 2 * code_size

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> CodeModule:
        """Return the module."""
        self.check()
        return BernoulliModule(self.blocks(code_size), 2, self)


class BernoulliModule(RelaxedModule):
    """Samples of bits."""

    def logits(self, features: Tensor) -> Tensor:
        """Return zero for 0 and the feature for 1: (B, d, 2)."""
        return torch.stack([torch.zeros_like(features), features], -1)

    def mixture(self, weights: Tensor) -> Tensor:
        """Return the weights of 1."""
        return weights[..., 1]

    def symbols(self, z: Tensor) -> Tensor:
        """Return the nearest bits: (n, d)."""
        return (z > 0.5).long()
