"""A Riemannian metric that is small where the anchors lie, and grows away from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional

SEGMENTS, EFFORT = 16, 60


@dataclass(frozen=True)
class Metric:
    """The metric G(z), by its inverse: G⁻¹(z) = Σ Lᵢ Lᵢᵀ exp(-|z - cᵢ|² / T²) + λ I.

    Parameters
    ----------
    centres : Tensor (n, d)
        The anchors' places cᵢ.
    roots : Tensor (n, d, d)
        Lᵢ, triangular.
    temperature : float
        T, how far an anchor reaches.
    floor : float
        λ: the metric is I / λ far away from all anchors.
    """

    centres: Tensor
    roots: Tensor
    temperature: float
    floor: float

    def to(self, device: str) -> Self:
        """Return the metric on a device."""
        return replace(self, centres=self.centres.to(device), roots=self.roots.to(device))

    def inverse(self, z: Tensor) -> Tensor:
        """Return G⁻¹ at codes (..., d): (..., d, d)."""
        bumps = (self._weights(z) @ self._shapes).reshape(*z.shape, z.shape[-1])
        return bumps + self.floor * torch.eye(z.shape[-1], dtype=z.dtype, device=z.device)

    def root(self, z: Tensor) -> Tensor:
        """Return the lower triangle whose square G⁻¹ is at codes (..., d): (..., d, d)."""
        # Whether it failed is told by NaN: nothing waits for the device to hear of it.
        root, failed = torch.linalg.cholesky_ex(self.inverse(z))
        known: Tensor = root.masked_fill(failed[..., None, None] > 0, torch.nan)
        return known

    def at(self, z: Tensor) -> Tensor:
        """Return G at codes (..., d): (..., d, d)."""
        return torch.cholesky_inverse(self.root(z))

    def log_volume(self, z: Tensor) -> Tensor:
        """Return log √det G⁻¹ at codes (..., d), the log of the uniform density: (...)."""
        return self.root(z).diagonal(dim1=-2, dim2=-1).log().sum(-1)

    def slope(self, z: Tensor, matrix: Tensor) -> Tensor:
        """Return the gradient of Σ Aᵢⱼ G⁻¹ᵢⱼ at codes (..., d), for a matrix A (..., d, d)."""
        weights = self._weights(z) * (matrix.flatten(-2) @ self._shapes.T)
        toward = weights @ self.centres - weights.sum(-1, keepdim=True) * z
        return 2 / self.temperature**2 * toward

    def uniform_slope(self, z: Tensor) -> Tensor:
        """Return the gradient of the log-volume at codes (..., d)."""
        return self.slope(z, self.at(z)) / 2

    def length(self, z: Tensor, others: Tensor) -> Tensor:
        """Return how long lines are from codes (n, d) to others (m, d), by the ends': (n, m)."""
        apart = others - z[:, None]
        first = torch.einsum("nmi,nij,nmj->nm", apart, self.at(z), apart)
        last = torch.einsum("nmi,mij,nmj->nm", apart, self.at(others), apart)
        return (first.clamp_min(0).sqrt() + last.clamp_min(0).sqrt()) / 2

    def energy(self, path: Tensor) -> Tensor:
        """Return the energy n Σ Δᵀ G Δ of a path of n pieces, with G in their middle: a scalar."""
        pieces, middle = path.diff(dim=0), (path[1:] + path[:-1]) / 2
        squares = pieces[:, None] @ self.at(middle) @ pieces[..., None]
        return len(pieces) * squares.sum()

    def geodesic(self, start: Tensor, end: Tensor) -> Tensor:
        """Return a path (n, d) of little energy from start (d,) to end (d,), from the line on."""
        still = replace(self, centres=self.centres.detach(), roots=self.roots.detach())
        share = torch.linspace(0, 1, SEGMENTS + 1, dtype=start.dtype, device=start.device)
        line = torch.lerp(start, end, share[:, None]).detach()
        bend = torch.zeros_like(line[1:-1], requires_grad=True)

        def path() -> Tensor:
            return line + functional.pad(bend, (0, 0, 1, 1))

        def energy() -> Tensor:
            with torch.enable_grad():
                value = still.energy(path())
                (bend.grad,) = torch.autograd.grad(value, bend)
            return value

        search = torch.optim.LBFGS([bend], max_iter=EFFORT, line_search_fn="strong_wolfe")
        descend: Callable[..., object] = search.step
        descend(energy)
        return path().detach()

    @cached_property
    def _shapes(self) -> Tensor:
        """Return Lᵢ Lᵢᵀ, each as a row: (n, d²)."""
        return (self.roots @ self.roots.mT).flatten(1)

    def _weights(self, z: Tensor) -> Tensor:
        """Return exp(-|z - cᵢ|² / T²): (..., n)."""
        squares = z.square().sum(-1, keepdim=True) + self.centres.square().sum(-1)
        return (-(squares - 2 * z @ self.centres.T) / self.temperature**2).exp()
