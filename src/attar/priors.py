"""Priors: where codes are expected to lie."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from attar.parts import Part


class PriorModule(nn.Module):
    """A distribution over codes."""

    @abstractmethod
    def log_prob(self, z: Tensor) -> Tensor:
        """Return the log-density of codes (..., d): (...)."""

    @abstractmethod
    def divergence(self, mean: Tensor, log_variance: Tensor) -> Tensor:
        """Return KL(N(mean, variance) || prior) in nats of each row (..., d): (...)."""

    @abstractmethod
    def sample(self, n: int, code_size: int, generator: Generator) -> Tensor:
        """Return ``n`` codes: (n, code_size)."""


class Prior(Part):
    """Where codes are expected to lie."""

    @abstractmethod
    def build(self) -> PriorModule:
        """Return the module."""


@dataclass(frozen=True)
class StandardNormal(Prior, name="standard-normal"):
    """Independent standard normals: p(z) = N(0, I)."""

    def build(self) -> PriorModule:
        """Return the module."""
        return StandardNormalModule()


class StandardNormalModule(PriorModule):
    """The standard normal, with its closed-form divergence from a diagonal gaussian."""

    def log_prob(self, z: Tensor) -> Tensor:
        """Return -(|z|² + d log 2π) / 2."""
        return -0.5 * (z.square().sum(-1) + z.shape[-1] * math.log(2 * math.pi))

    def divergence(self, mean: Tensor, log_variance: Tensor) -> Tensor:
        """Return Σ (μ² + σ² - 1 - log σ²) / 2."""
        return 0.5 * (mean.square() + log_variance.exp() - log_variance - 1).sum(-1)

    def sample(self, n: int, code_size: int, generator: Generator) -> Tensor:
        """Return ``n`` standard normal codes: (n, code_size)."""
        return torch.randn(n, code_size, generator=generator)
