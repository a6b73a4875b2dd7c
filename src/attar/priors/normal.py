"""The standard normal, and the density of any diagonal gaussian."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from attar.priors.prior import Prior, PriorModule

# No code worth learning has a log-variance beyond it, and one that has may overflow.
LARGEST = 30.0


@dataclass(frozen=True)
class StandardNormal(Prior, name="standard-normal"):
    """Independent standard normals: p(z) = N(0, I)."""

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> PriorModule:
        """Return the module."""
        return StandardNormalModule(code_size)


class StandardNormalModule(PriorModule):
    """The standard normal, with its closed-form divergence from a diagonal gaussian."""

    def __init__(self, code_size: int) -> None:
        super().__init__()
        self.code_size = code_size

    def log_prob(self, z: Tensor) -> Tensor:
        """Return -(|z|² + d log 2π) / 2."""
        return -0.5 * (z.square().sum(-1) + z.shape[-1] * math.log(2 * math.pi))

    def divergence(self, mean: Tensor, log_variance: Tensor) -> Tensor:
        """Return Σ (μ² + σ² - 1 - log σ²) / 2."""
        return 0.5 * (mean.square() + log_variance.exp() - log_variance - 1).sum(-1)

    def sample(self, n: int, generator: Generator | None = None) -> Tensor:
        """Return ``n`` standard normal codes: (n, code_size)."""
        return torch.randn(n, self.code_size, generator=generator)


def moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and log-variance (..., d) that features (..., 2 d) say.

    The log-variance is cut where a row far from all that was learnt would bring it to overflow.
    """
    mean, log_variance = features.chunk(2, dim=-1)
    return mean, log_variance.clamp(-LARGEST, LARGEST)


def log_density(z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return log N(z; μ, σ²) of codes (..., d): (...)."""
    return log_normal((z - mean) * (-0.5 * log_variance).exp(), log_variance)


def log_normal(epsilon: Tensor, log_variance: Tensor) -> Tensor:
    """Return log N(μ + σ ε; μ, σ²) of codes (..., d): (...)."""
    return -0.5 * (epsilon.square() + log_variance + math.log(2 * math.pi)).sum(-1)


def drawn(mean: Tensor, log_variance: Tensor, generator: Generator | None = None) -> Tensor:
    """Return a draw of each of the gaussians (n, d), on the CPU: (n, d)."""
    epsilon = torch.randn(mean.shape, dtype=mean.dtype, generator=generator).to(mean.device)
    return (mean + (0.5 * log_variance).exp() * epsilon).cpu()
