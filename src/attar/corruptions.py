"""Corruptions: what is done to the input before encoding, in training only."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from attar.errors import SettingError
from attar.parts import Part


class CorruptionModule(nn.Module):
    """Damages prepared values."""

    def __init__(self, amount: float) -> None:
        super().__init__()
        self.amount = amount

    @abstractmethod
    def forward(self, values: Tensor) -> Tensor:
        """Return a damaged copy of values (B, *shape)."""


class Corruption(Part):
    """What is done to the input before encoding."""

    @abstractmethod
    def build(self) -> CorruptionModule:
        """Return the module.

        Raises
        ------
        SettingError
            If a hyperparameter is out of range.
        """


def _share(part: Corruption, share: float) -> float:
    if not 0 <= share <= 1:
        raise SettingError(f"The share of {part!r} must lie between 0 and 1.")
    return share


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
        """Return the module; the scale must not be negative."""
        if not self.scale >= 0:
            raise SettingError(f"The scale of {self!r} must not be negative.")
        return GaussianNoiseModule(self.scale)


class GaussianNoiseModule(CorruptionModule):
    """Adds normal noise."""

    def forward(self, values: Tensor) -> Tensor:
        """Return x + scale · ε."""
        return values + self.amount * torch.randn_like(values)


@dataclass(frozen=True)
class Masking(Corruption, name="masking"):
    """Set cells to zero.

    Parameters
    ----------
    share : float
        Which share of the cells, 0 to 1.

    References
    ----------
    Vincent et al., "Extracting and composing robust features with denoising autoencoders",
    ICML 2008.
    """

    share: float = 0.25

    def build(self) -> CorruptionModule:
        """Return the module; the share must lie between 0 and 1."""
        return MaskingModule(_share(self, self.share))


class MaskingModule(CorruptionModule):
    """Sets cells to zero."""

    def forward(self, values: Tensor) -> Tensor:
        """Return x with cells at zero."""
        return values * (torch.rand_like(values) >= self.amount)


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
        return SaltAndPepperModule(_share(self, self.share))


class SaltAndPepperModule(CorruptionModule):
    """Sets cells to the extremes."""

    def forward(self, values: Tensor) -> Tensor:
        """Return x with cells at the batch's smallest and largest value."""
        chance = torch.rand_like(values)
        low, high = values.aminmax()
        peppered = torch.where(chance < self.amount / 2, low, values)
        return torch.where(chance > 1 - self.amount / 2, high, peppered)
