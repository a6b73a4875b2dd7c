"""Mixtures of gaussians, which find clusters among codes."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Generator, Tensor, nn

from attar.priors.normal import drawn, log_density
from attar.priors.prior import Prior, PriorModule


@dataclass(frozen=True)
class Mixture(Prior, name="mixture"):
    """A mixture of diagonal gaussians that is learnt: p(z) = Σ π_k N(z; μ_k, σ_k²).

    Parameters
    ----------
    components : int

    References
    ----------
    Jiang, Zheng, Tan, Tang and Zhou, "Variational deep embedding: an unsupervised and generative
    approach to clustering", IJCAI 2017.
    """

    components: int = 10

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> PriorModule:
        """Return the module, its gaussians spread like a standard normal."""
        return LearntMixtureModule(self.counted("components"), code_size)


class Components(NamedTuple):
    """The gaussians of a mixture.

    Attributes
    ----------
    log_weights : Tensor (components,)
    means, log_variances : Tensor (components, d)
    """

    log_weights: Tensor
    means: Tensor
    log_variances: Tensor


class MixtureModule(PriorModule):
    """A mixture of diagonal gaussians, wherever they come from."""

    @abstractmethod
    def components(self) -> Components:
        """Return the gaussians."""

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log Σ π_k N(z; μ_k, σ_k²)."""
        return self._joint(z).logsumexp(-1)

    def responsibilities(self, z: Tensor) -> Tensor:
        """Return how likely each component made codes (..., d): (..., components)."""
        return self._joint(z).softmax(-1)

    @torch.no_grad()
    def sample(self, n: int, generator: Generator | None = None) -> Tensor:
        """Return draws of components that are drawn by their weights: (n, code_size)."""
        log_weights, means, log_variances = self.components()
        shares = log_weights.exp().cpu()
        which = torch.multinomial(shares, n, replacement=True, generator=generator)
        return drawn(means[which], log_variances[which], generator)

    def _joint(self, z: Tensor) -> Tensor:
        log_weights, means, log_variances = self.components()
        return log_weights + log_density(z[..., None, :], means, log_variances)


class LearntMixtureModule(MixtureModule):
    """A mixture whose weights, means and variances are parameters."""

    def __init__(self, components: int, code_size: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(components))
        self.means = nn.Parameter(torch.randn(components, code_size))
        self.log_variances = nn.Parameter(torch.zeros(components, code_size))

    def components(self) -> Components:
        """Return the parameters as gaussians."""
        return Components(self.logits.log_softmax(-1), self.means, self.log_variances)
