"""Noise: cells are changed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from attar.corruptions.corruption import Corruption, CorruptionModule


@dataclass(frozen=True)
class GaussianNoise(Corruption, name="gaussian-noise"):
    """Add normal noise: x + scale · ε.

    Parameters
    ----------
    scale : float
        Standard deviation of the noise, in units of the prepared data.
    """

    scale: float = 0.1

    def build(self) -> CorruptionModule:
        """Return the module; the scale must be a finite number, and not negative."""
        return GaussianNoiseModule(self.not_negative("scale"))


class GaussianNoiseModule(CorruptionModule):
    """Adds normal noise."""

    def forward(self, values: Tensor) -> Tensor:
        """Return x + scale · ε."""
        return values + self.amount * torch.randn_like(values)


@dataclass(frozen=True)
class SaltAndPepper(Corruption, name="salt-and-pepper"):
    """Set cells to the smallest or the largest value of the batch, half of them each.

    Parameters
    ----------
    share : float
        Which share of the cells, 0 to 1.
    """

    share: float = 0.1

    def build(self) -> CorruptionModule:
        """Return the module; the share must lie between 0 and 1."""
        return SaltAndPepperModule(self.fraction("share"))


class SaltAndPepperModule(CorruptionModule):
    """Sets cells to the extremes."""

    def forward(self, values: Tensor) -> Tensor:
        """Return x with cells at the batch's smallest and largest value."""
        chance = torch.rand_like(values)
        low, high = values.aminmax()
        peppered = torch.where(chance < self.amount / 2, low, values)
        return torch.where(chance > 1 - self.amount / 2, high, peppered)
