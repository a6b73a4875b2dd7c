"""Angles: the time of day, a direction."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from attar.errors import SettingError
from attar.likelihoods.column import Column
from attar.likelihoods.likelihood import LikelihoodModule, Shape

# Far below any concentration that matters; it keeps the gradient of a square root finite at zero.
TINY = 1e-12


@dataclass(frozen=True)
class Circular(Column, name="circular"):
    """Von Mises' distribution of an angle θ that is prepared as the two cells (cos θ, sin θ).

    log p(θ) = a cos θ + b sin θ - log 2π I₀(κ), with κ = √(a² + b²) the concentration and (a, b)
    the decoder's output. It is the density of the angle, in radians; each of the two cells gets
    half of it.

    References
    ----------
    Mardia and Jupp, "Directional statistics", 2000.
    """

    @property
    def cells(self) -> int:
        """Cosine and sine."""
        return 2

    def build(self) -> LikelihoodModule:
        """Return the module."""
        return CircularModule()

    def parameters(self, shape: Shape) -> Shape:
        """Return the shape of a row, whose last axis must be made of pairs."""
        if shape[-1] % 2:
            raise SettingError(
                f"The likelihood 'circular' needs pairs of cosine and sine, but the prepared rows "
                f"have {shape[-1]} cells: use 'mixed' for several columns."
            )
        return shape


class CircularModule(LikelihoodModule):
    """Von Mises' distribution of each pair of cells."""

    def log_prob(self, parameters: Tensor, target: Tensor) -> Tensor:
        """Return (a cos θ + b sin θ - log 2π I₀(κ)) / 2."""
        pairs, angles = _pairs(parameters), _pairs(target)
        kappa = (pairs.square().sum(-1) + TINY).sqrt()
        log_normalizer = kappa + torch.special.i0e(kappa).log() + math.log(2 * math.pi)
        half: Tensor = 0.5 * ((pairs * angles).sum(-1) - log_normalizer)
        return half.unsqueeze(-1).expand_as(pairs).flatten(-2)

    def mean(self, parameters: Tensor) -> Tensor:
        """Return the expected cosine and sine: (a, b) / κ · I₁(κ) / I₀(κ)."""
        pairs = _pairs(parameters)
        kappa = (pairs.square().sum(-1, keepdim=True) + TINY).sqrt()
        length: Tensor = torch.special.i1e(kappa) / torch.special.i0e(kappa)
        return (pairs * length / kappa).flatten(-2)


def _pairs(rows: Tensor) -> Tensor:
    return rows.reshape(*rows.shape[:-1], -1, 2)
