"""Sparse by target: units have a wanted mean activity."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from attar.codes.code import Code, CodeModule
from attar.codes.point import PointModule
from attar.errors import SettingError


@dataclass(frozen=True)
class SparseKL(Code, name="sparse-kl"):
    """Sigmoid units whose mean activity is drawn to a target: rate = Σ KL(target || mean).

    The mean is taken over the batch, and each row carries the whole sum.

    Parameters
    ----------
    target : float
        The wanted mean activity of each unit, between 0 and 1.
    beta : float
        The weight of the rate.

    References
    ----------
    Ng, "Sparse autoencoder", CS294A lecture notes, 2011.
    """

    target: float = 0.1
    beta: float = 1.0

    provides = frozenset({"point", "sparse"})

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> CodeModule:
        """Return the module; the target must lie between 0 and 1."""
        if not 0 < self.target < 1:
            raise SettingError(f"The target rate of {self!r} must lie between 0 and 1.")
        return SparseKLModule(self.target)


class SparseKLModule(PointModule):
    """Sigmoid units with the divergence of their mean activity from a target as rate."""

    def __init__(self, target: float) -> None:
        super().__init__("sigmoid")
        self.target = target

    def rate(self, z: Tensor) -> Tensor:
        """Return Σ ρ log(ρ/ρ̂) + (1-ρ) log((1-ρ)/(1-ρ̂)) with ρ̂ the batch's mean: (B,)."""
        tiny = torch.finfo(z.dtype).eps
        mean = z.mean(0).clamp(tiny, 1 - tiny)
        rho = torch.as_tensor(self.target, dtype=z.dtype, device=z.device)
        divergence = rho * (rho / mean).log() + (1 - rho) * ((1 - rho) / (1 - mean)).log()
        return divergence.sum().expand(len(z))

    def constrain(self, z: Tensor) -> Tensor:
        """Return the codes with every unit between 0 and 1."""
        return z.clamp(0, 1)
