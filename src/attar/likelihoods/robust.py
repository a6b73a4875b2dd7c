"""Heavy-tailed errors: absolute and Huber loss."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from attar.likelihoods.column import Column
from attar.likelihoods.likelihood import LikelihoodModule


@dataclass(frozen=True)
class Laplace(Column, name="laplace"):
    """A Laplace distribution around the decoder's output: mean absolute error.

    log p(x) = -|x - m| / b - log 2b.

    Parameters
    ----------
    scale : float
        b, in units of the prepared data.
    """

    scale: float = 1.0

    def build(self) -> LikelihoodModule:
        """Return the module; the scale must be positive."""
        return LaplaceModule(self.positive("scale"))


class LaplaceModule(LikelihoodModule):
    """A Laplace distribution of fixed scale."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def log_prob(self, parameters: Tensor, target: Tensor) -> Tensor:
        """Return -|x - m| / b - log 2b."""
        return -(target - parameters).abs() / self.scale - math.log(2 * self.scale)

    def mean(self, parameters: Tensor) -> Tensor:
        """Return m."""
        return parameters

    def gradient(self, parameters: Tensor, target: Tensor) -> Tensor:
        """Return sign(m - x) / b."""
        return (parameters - target).sign_().div_(self.scale)


@dataclass(frozen=True)
class Huber(Column, name="huber"):
    """Normal near the decoder's output and Laplace far from it.

    log p(x) = -h(x - m) - log Z, with h(r) = r²/2 up to |r| = δ and δ|r| - δ²/2 beyond, and
    Z = √(2π) erf(δ/√2) + (2/δ) exp(-δ²/2).

    Parameters
    ----------
    delta : float
        δ, in units of the prepared data.

    References
    ----------
    Huber, "Robust estimation of a location parameter", Annals of Mathematical Statistics 1964.
    """

    delta: float = 1.0

    def build(self) -> LikelihoodModule:
        """Return the module; delta must be positive."""
        return HuberModule(self.positive("delta"))


class HuberModule(LikelihoodModule):
    """Huber's distribution."""

    def __init__(self, delta: float) -> None:
        super().__init__()
        self.delta = delta
        body = math.sqrt(2 * math.pi) * math.erf(delta / math.sqrt(2))
        self.log_normalizer = math.log(body + 2 / delta * math.exp(-(delta**2) / 2))

    def log_prob(self, parameters: Tensor, target: Tensor) -> Tensor:
        """Return -h(x - m) - log Z."""
        distance = (target - parameters).abs()
        near = distance.clamp_max(self.delta)
        return -near * (distance - 0.5 * near) - self.log_normalizer

    def mean(self, parameters: Tensor) -> Tensor:
        """Return m."""
        return parameters

    def gradient(self, parameters: Tensor, target: Tensor) -> Tensor:
        """Return m - x, cut off at ±δ."""
        return (parameters - target).clamp_(-self.delta, self.delta)
