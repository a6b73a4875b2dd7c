"""The Hamiltonian code: Gaussian samples moved towards the posterior by Hamiltonian dynamics."""

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
Gradient = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Hamiltonian(Code, name="hamiltonian"):
    """A Gaussian sample and a random momentum, moved by Hamilton's equations on log p(x, z).

    Leapfrog steps preserve volume, so the density of the final state is known: the rate is
    log q(z₀|x) N(ρ₀) - log p(z) N(ρ). The momentum is tempered: large at first and reduced in each
    step. The initial tempering and the step size in each dimension are trained.

    Parameters
    ----------
    steps : int
        The number of leapfrog steps.
    max_step_size : float
        The upper bound of step sizes, which are initialized to a fifth of it.
    beta : float
        The weight of the rate; 1 gives the evidence lower bound.
    prior : Prior

    Examples
    --------
    Without a row, the samples move under the prior alone:

    >>> import torch
    >>> from attar.codes import Hamiltonian
    >>> code = Hamiltonian(steps=1, max_step_size=0.5).build(code_size=1)
    >>> noise = torch.tensor([[[0.0, 1.0]]])  # position 0, momentum 1
    >>> code(torch.zeros(1, 2), noise).z.detach()  # momentum tempered to 2, step size 0.1
    tensor([[[0.2000]]])

    References
    ----------
    Caterini, Doucet and Sejdinovic, "Hamiltonian variational auto-encoder", NeurIPS 2018.
    """

    steps: int = 3
    max_step_size: float = 0.1
    beta: float = 1.0
    prior: Prior = field(default_factory=StandardNormal)

    provides = frozenset({"density"})

    def width(self, code_size: int) -> int:
        """Return two features, mean and log-variance, for each code dimension."""
        return 2 * code_size

    def noise(self, code_size: int) -> int:
        """Return two normals for each code dimension, for position and momentum."""
        return 2 * code_size

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> CodeModule:
        """Return the module; there must be a step, of size above 0."""
        steps, max_step_size = self.positive_integer("steps"), self.positive("max_step_size")
        prior = self.prior.build(code_size, shape)
        return EuclideanModule(prior, code_size, steps, max_step_size, code_size)


class Kinetics(ABC):
    """The distribution of momenta, and the integrator."""

    @abstractmethod
    def momentum(self, z: Tensor, normal: Tensor) -> Tensor:
        """Return the momenta at positions (..., d) computed from standard normals (..., d)."""

    @abstractmethod
    def log_prob(self, z: Tensor, momentum: Tensor) -> Tensor:
        """Return the log-density of momenta (..., d) at positions (..., d): (...)."""

    @abstractmethod
    def leap(
        self, z: Tensor, momentum: Tensor, force: Tensor, gradient: Gradient, size: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return position, momentum and force a step later; force is the gradient at z."""


class EuclideanKinetics(Kinetics):
    """Standard normal momenta and the leapfrog integrator."""

    def momentum(self, z: Tensor, normal: Tensor) -> Tensor:
        """Return the normals."""
        return normal

    def log_prob(self, z: Tensor, momentum: Tensor) -> Tensor:
        """Return log N(ρ; 0, I)."""
        return log_normal(momentum, torch.zeros_like(momentum))

    def leap(
        self, z: Tensor, momentum: Tensor, force: Tensor, gradient: Gradient, size: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the state after half a step of momentum, a step of position, and half a step."""
        momentum = momentum + size / 2 * force
        z = z + size * momentum
        force = gradient(z)
        return z, momentum + size / 2 * force, force


class HamiltonianModule(CodeModule):
    """Samples from a Gaussian and moves the samples."""

    prior: PriorModule

    def __init__(
        self, prior: PriorModule, code_size: int, steps: int, max_step_size: float, sizes: int
    ) -> None:
        super().__init__(prior)
        self.code_size, self.steps, self.max_step_size = code_size, steps, max_step_size
        self.size_logits = nn.Parameter(torch.full((sizes,), -math.log(4)))
        self.tempering = nn.Parameter(torch.zeros(()))

    @abstractmethod
    def kinetics(self) -> Kinetics:
        """Return the momenta and their integrator."""

    def forward(
        self,
        features: Tensor,
        noise: Tensor | None = None,
        log_likelihood: LogLikelihood | None = None,
    ) -> Coded:
        """Return moved samples, and log q - log p of position and momentum."""
        mean, log_variance = self._moments(features)
        if noise is None:
            noise = torch.randn_like(torch.cat([mean, mean], dim=-1))[None]
        epsilon, normal = noise.expand(-1, len(mean), -1).chunk(2, dim=-1)
        z, kinetics = mean + epsilon * (0.5 * log_variance).exp(), self.kinetics()
        momentum = kinetics.momentum(z, normal)
        # Leapfrog steps preserve volume, and the factors of tempering multiply to 1.
        log_q = log_normal(epsilon, log_variance) + kinetics.log_prob(z, momentum)
        z, momentum = self.flow(z, momentum, log_likelihood, kinetics)
        log_p = self.prior.log_prob(z) + kinetics.log_prob(z, momentum)
        return Coded(z, log_q - log_p, log_q, log_p)

    def point(self, features: Tensor, log_likelihood: LogLikelihood | None = None) -> Tensor:
        """Return the mean, moved from rest where there is a log-likelihood: (B, d)."""
        mean, _ = self._moments(features)
        if log_likelihood is None:
            return mean
        at_rest = torch.zeros_like(mean)[None]
        return self.flow(mean[None], at_rest, log_likelihood, self.kinetics())[0][0]

    def flow(
        self, z: Tensor, momentum: Tensor, log_likelihood: LogLikelihood | None, kinetics: Kinetics
    ) -> tuple[Tensor, Tensor]:
        """Return position and momentum (K, B, d) after all steps.

        The momentum is first multiplied by 1/√β₀ > 1, and in the steps by √β₀ in all.
        """

        def gradient(z: Tensor) -> Tensor:
            return gradient_of(lambda z: self._log_joint(z, log_likelihood), z)

        size, excess = self.max_step_size * self.size_logits.sigmoid(), self.tempering.exp()
        momentum, force = momentum * (1 + excess), gradient(z)
        for step in range(self.steps):
            z, momentum, force = kinetics.leap(z, momentum, force, gradient, size)
            before, after = (1 + excess * (1 - (k / self.steps) ** 2) for k in (step, step + 1))
            momentum = momentum * after / before
        return z, momentum

    def _log_joint(self, z: Tensor, log_likelihood: LogLikelihood | None) -> Tensor:
        log_prior = self.prior.log_prob(z)
        return log_prior if log_likelihood is None else log_prior + log_likelihood(z)

    def _moments(self, features: Tensor) -> tuple[Tensor, Tensor]:
        return moments(features[:, : 2 * self.code_size])


class EuclideanModule(HamiltonianModule):
    """Moves samples by the leapfrog, with standard normal momenta."""

    def kinetics(self) -> Kinetics:
        """Return Euclidean kinetics."""
        return EuclideanKinetics()


def gradient_of(function: Callable[[Tensor], Tensor], z: Tensor) -> Tensor:
    """Return the gradient of a function at z (..., d), itself differentiable in training."""
    create_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(function(z).sum(), z, create_graph=create_graph)
    return gradient
