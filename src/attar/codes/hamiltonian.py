"""The Hamiltonian code: a gaussian draw that then moves to where it explains its row better."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from attar.codes.base import Code, CodeModule, LogLikelihood
from attar.priors import Prior, PriorModule, StandardNormal, log_normal, moments
from attar.records import Coded

# From positions (..., d) to the gradient of the log-density there (..., d).
Slope = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Hamiltonian(Code, name="hamiltonian"):
    """A gaussian draw and a random momentum, moved by Hamilton's equations on log p(x, z).

    A few leapfrog steps keep volume, so the density of where they end is known: the rate is
    log q(z₀|x) N(ρ₀) - log p(z) N(ρ). The momentum starts large and is cooled step by step; how
    large, and the step size in each dimension, are learnt.

    Parameters
    ----------
    steps : int
        How many leapfrog steps.
    longest : float
        No step size is larger; all start at a fifth of it.
    beta : float
        The weight of the rate; 1 gives the evidence lower bound.
    prior : Prior
        Where codes are expected to lie.

    References
    ----------
    Caterini, Doucet and Sejdinovic, "Hamiltonian variational auto-encoder", NeurIPS 2018.
    """

    steps: int = 3
    longest: float = 0.1
    beta: float = 1.0
    prior: Prior = field(default_factory=StandardNormal)

    provides = frozenset({"density"})

    def width(self, code_size: int) -> int:
        """Return two features, mean and log-variance, for each code dimension."""
        return 2 * code_size

    def noise(self, code_size: int) -> int:
        """Return two normals for each code dimension: for the first draw and its momentum."""
        return 2 * code_size

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> CodeModule:
        """Return the module; there must be a step, and its size above 0."""
        steps, longest = self.positive_integer("steps"), self.positive("longest")
        prior = self.prior.build(code_size, shape)
        return HamiltonianModule(prior, code_size, steps, longest, code_size)


class Kinetics(ABC):
    """How momentum is drawn, and how it moves a position."""

    @abstractmethod
    def momentum(self, z: Tensor, normal: Tensor) -> Tensor:
        """Return the momenta that standard normals (..., d) stand for at positions (..., d)."""

    @abstractmethod
    def log_prob(self, z: Tensor, momentum: Tensor) -> Tensor:
        """Return the log-density of momenta (..., d) at positions (..., d): (...)."""

    @abstractmethod
    def leap(
        self, z: Tensor, momentum: Tensor, pull: Tensor, slope: Slope, size: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return position, momentum and pull a step later; the pull is the slope at a position."""


class Euclidean(Kinetics):
    """Standard normal momenta, the same everywhere."""

    def momentum(self, z: Tensor, normal: Tensor) -> Tensor:
        """Return the normals."""
        return normal

    def log_prob(self, z: Tensor, momentum: Tensor) -> Tensor:
        """Return log N(ρ; 0, I)."""
        return log_normal(momentum, torch.zeros_like(momentum))

    def leap(
        self, z: Tensor, momentum: Tensor, pull: Tensor, slope: Slope, size: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return half a step of momentum, a step of position, half a step of momentum."""
        momentum = momentum + size / 2 * pull
        z = z + size * momentum
        pull = slope(z)
        return z, momentum + size / 2 * pull, pull


class HamiltonianModule(CodeModule):
    """Draws from a gaussian and lets the draw move."""

    prior: PriorModule

    def __init__(
        self, prior: PriorModule, code_size: int, steps: int, longest: float, sizes: int
    ) -> None:
        super().__init__(prior)
        self.code_size, self.steps, self.longest = code_size, steps, longest
        self.size_logits = nn.Parameter(torch.full((sizes,), -math.log(4)))
        self.heat = nn.Parameter(torch.zeros(()))

    def kinetics(self) -> Kinetics:
        """Return how momentum works here."""
        return Euclidean()

    def forward(
        self,
        features: Tensor,
        noise: Tensor | None = None,
        log_likelihood: LogLikelihood | None = None,
    ) -> Coded:
        """Return draws moved, and log q - log p of position and momentum."""
        mean, log_variance = self._moments(features)
        if noise is None:
            noise = torch.randn_like(torch.cat([mean, mean], dim=-1))[None]
        epsilon, normal = noise.expand(-1, len(mean), -1).chunk(2, dim=-1)
        z, kinetics = mean + epsilon * (0.5 * log_variance).exp(), self.kinetics()
        momentum = kinetics.momentum(z, normal)
        # Heating before the steps and cooling in them cancel in the density, as volumes do.
        log_q = log_normal(epsilon, log_variance) + kinetics.log_prob(z, momentum)
        z, momentum = self.flow(z, momentum, log_likelihood, kinetics)
        log_p = self.prior.log_prob(z) + kinetics.log_prob(z, momentum)
        return Coded(z, log_q - log_p, log_q, log_p)

    def point(self, features: Tensor, log_likelihood: LogLikelihood | None = None) -> Tensor:
        """Return where the posterior's mean moves from rest: (B, d); without a row, the mean."""
        mean, _ = self._moments(features)
        if log_likelihood is None:
            return mean
        return self.flow(mean[None], torch.zeros_like(mean)[None], log_likelihood, self.kinetics())[
            0
        ][0]

    def flow(
        self, z: Tensor, momentum: Tensor, log_likelihood: LogLikelihood | None, kinetics: Kinetics
    ) -> tuple[Tensor, Tensor]:
        """Return position and momentum (K, B, d) after all steps.

        The momentum is multiplied by 1/√β₀ > 1 at first, and by √β₀ in all during the steps.
        """

        def slope(z: Tensor) -> Tensor:
            return gradient(lambda z: self._log_joint(z, log_likelihood), z)

        size, heat = self.longest * self.size_logits.sigmoid(), self.heat.exp()
        momentum, pull = momentum * (1 + heat), slope(z)
        for step in range(self.steps):
            z, momentum, pull = kinetics.leap(z, momentum, pull, slope, size)
            before, after = (1 + heat * (1 - (k / self.steps) ** 2) for k in (step, step + 1))
            momentum = momentum * after / before
        return z, momentum

    def _log_joint(self, z: Tensor, log_likelihood: LogLikelihood | None) -> Tensor:
        log_prior = self.prior.log_prob(z)
        return log_prior if log_likelihood is None else log_prior + log_likelihood(z)

    def _moments(self, features: Tensor) -> tuple[Tensor, Tensor]:
        return moments(features[:, : 2 * self.code_size])


def gradient(of: Callable[[Tensor], Tensor], z: Tensor) -> Tensor:
    """Return the gradient of each value at its z (..., d), itself differentiable in training."""
    learning = torch.is_grad_enabled()
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        (slope,) = torch.autograd.grad(of(z).sum(), z, create_graph=learning)
    return slope
