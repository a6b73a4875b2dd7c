"""The angle between a von Mises-Fisher draw and its mean: one number that says all about it."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

# The interval that matters is cut into cells, and each is integrated by Gauss and Legendre's rule.
CELLS, REACH = 64, 20.0
NODES, WEIGHTS = np.polynomial.legendre.leggauss(8)


class Angle:
    """The law of an angle θ in [0, π] with density ∝ exp(κ cos θ) sin^(d-2) θ.

    Integrals are sums over an interval of some twenty widths of the density on either side of its
    mode, in double precision: nothing overflows at any κ or d, and all is differentiable in κ.

    Parameters
    ----------
    concentration : double Tensor (B,)
        κ of each row, at least 0.
    size : int
        d, at least 2.
    """

    def __init__(self, concentration: Tensor, size: int) -> None:
        self.concentration, self.size = concentration, size
        kappa = concentration.detach()
        self.nodes, self.weights = (
            torch.as_tensor(a, device=kappa.device) for a in (NODES, WEIGHTS)
        )
        steep = 0.5 * (size - 2 + (4 * kappa.square() + (size - 2) ** 2).sqrt())
        steep = steep.clamp_min(torch.finfo(kappa.dtype).tiny)
        mode = torch.atan2(((size - 2) / steep).sqrt(), kappa / steep)
        reach = REACH / (kappa.square() / steep + steep).sqrt()
        low, high = (mode - reach).clamp_min(0), (mode + reach).clamp_max(math.pi)
        self.peak = self._relative(mode, kappa)
        self.edges = low[:, None] + (high - low)[:, None] * torch.linspace(
            0, 1, CELLS + 1, dtype=kappa.dtype, device=kappa.device
        )
        angles, masses = self._pieces(self.edges[:, :-1], self.edges[:, 1:])
        self.total = masses.sum((1, 2))
        self.versine = (2 * (angles / 2).sin().square() * masses).sum((1, 2)) / self.total
        self.below = nn.functional.pad(masses.sum(2).cumsum(1) / self.total[:, None], (1, 0))

    @property
    def log_scale(self) -> Tensor:
        """Return log ∫ exp(κ (cos θ - 1)) sin^(d-2) θ dθ: (B,)."""
        return self.total.log() + self.peak

    @property
    def mean_cosine(self) -> Tensor:
        """Return the mean of cos θ, which is I_{d/2}(κ) / I_{d/2-1}(κ): (B,)."""
        return 1 - self.versine

    @property
    def divergence(self) -> Tensor:
        """Return the divergence from the angle's law at κ = 0, in nats: (B,)."""
        return self._at_zero() - self.log_scale - self.concentration * self.versine

    def log_ratio(self, angle: Tensor) -> Tensor:
        """Return the log of the density of angles (K, B) over theirs at κ = 0: (K, B)."""
        versine = 2 * (angle / 2).sin().square()
        return self._at_zero() - self.log_scale - self.concentration * versine

    def quantile(self, share: Tensor) -> Tensor:
        """Return the angles that shares (K, B) of all draws stay below: (K, B).

        The gradient is implicit: dθ/dκ = -(∂F/∂κ) / f, with F the share below θ and f its slope.
        """
        share = share.T.contiguous()
        cell = torch.searchsorted(self.below.detach(), share, right=True) - 1
        cell = cell.clamp(0, CELLS - 1)
        low, high = self.edges.gather(1, cell), self.edges.gather(1, cell + 1)
        angle = (low + high) / 2
        with torch.no_grad():
            for _ in range(12):
                excess, slope = self._excess(angle, share, cell, low)
                angle = (angle - excess / slope).clamp(low, high)
        excess, slope = self._excess(angle, share, cell, low)
        return (angle + (excess.detach() - excess) / slope.detach()).T

    def _excess(
        self, angle: Tensor, share: Tensor, cell: Tensor, low: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return by how much the share below angles (B, K) exceeds that wanted, and its slope."""
        _, masses = self._pieces(low, angle)
        total = self.total[:, None]
        slope = self._density(angle[..., None])[..., 0] / total
        excess = self.below.gather(1, cell) + masses.sum(2) / total - share
        return excess, slope.clamp_min(torch.finfo(slope.dtype).tiny)

    def _pieces(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """Return angles between others (B, n) and the masses they stand for: (B, n, nodes)."""
        half = ((high - low) / 2)[..., None]
        angles = low[..., None] + half * (1 + self.nodes)
        return angles, self._density(angles) * self.weights * half

    def _density(self, angles: Tensor) -> Tensor:
        """Return the density of angles (B, n, m), 1 at the mode."""
        relative = self._relative(angles, self.concentration[:, None, None])
        return (relative - self.peak[:, None, None]).exp()

    def _relative(self, angle: Tensor, kappa: Tensor) -> Tensor:
        return torch.xlogy(self.size - 2, angle.sin()) - 2 * kappa * (angle / 2).sin().square()

    def _at_zero(self) -> float:
        """Return log ∫ sin^(d-2) θ dθ."""
        half = self.size / 2
        return 0.5 * math.log(math.pi) + math.lgamma(half - 0.5) - math.lgamma(half)
