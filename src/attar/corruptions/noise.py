"""Noise on single cells."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from attar.checks import non_negative
from attar.corruptions.base import (
    Corrupted,
    Corruption,
    CorruptionModule,
    Shrinkage,
    ValuesCorruption,
)
from attar.errors import SettingError


@dataclass(frozen=True)
class GaussianNoise(Corruption, name="gaussian-noise"):
    """Add Gaussian noise: x + s · ε, with ε ~ N(0, I), and give the encoder its level s.

    Parameters
    ----------
    scale : float or pair of float
        The level: a standard deviation in units of the prepared data, or the least and the largest
        one. The level of each row is then least + (largest - least) u², with u ~ U(0, 1): small
        levels, whose errors are small, are drawn more often.

    Examples
    --------
    >>> import torch
    >>> from attar.corruptions import GaussianNoise
    >>> corrupted = GaussianNoise(scale=0.5).build()(torch.ones(1, 100_000)).values
    >>> print(f"{corrupted.mean().item():.1f} {corrupted.std().item():.1f}")
    1.0 0.5
    >>> values, _, level = GaussianNoise((0.0, 2.0)).build()(torch.zeros(3, 100_000))
    >>> torch.allclose(values.std(1, keepdim=True), level, rtol=0.02)
    True

    References
    ----------
    Vincent et al., "Stacked denoising autoencoders", JMLR 2010. Zhang, Zuo and Zhang, "FFDNet:
    toward a fast and flexible solution for CNN-based image denoising", IEEE TIP 2018.
    """

    scale: float | tuple[float, float] = 0.1

    def build(self) -> CorruptionModule:
        """Return the module; no level may be negative, and the least comes first."""
        return GaussianNoiseModule(*self._levels)

    def shrinkage(self, features: int) -> Shrinkage:
        """Return how the encoder gets the level."""
        return Shrinkage(features, *self._levels)

    @property
    def _levels(self) -> tuple[float, float]:
        scale = self.scale if isinstance(self.scale, tuple) else (self.scale, self.scale)
        levels = [non_negative(f"The scale of {self!r}", level) for level in scale]
        if len(levels) != 2 or levels[0] > levels[1]:
            raise SettingError(
                f"The scale of {self!r} must be one level, or the least and the largest."
            )
        return levels[0], levels[1]


class GaussianNoiseModule(ValuesCorruption):
    """Adds Gaussian noise of a level between two."""

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.low, self.high = low, high

    def forward(self, values: Tensor) -> Corrupted:
        """Return x + s · ε, and s."""
        uniform = torch.rand(len(values), 1, dtype=values.dtype, device=values.device)
        level = self.low + (self.high - self.low) * uniform.square()
        noise = torch.randn_like(values) * level.reshape(-1, *[1] * (values.ndim - 1))
        return Corrupted(values + noise, level=level)


@dataclass(frozen=True)
class SaltAndPepper(Corruption, name="salt-and-pepper"):
    """Set random cells to the smallest or the largest value of the batch, with equal probability.

    Parameters
    ----------
    share : float
        The probability of changing a cell, 0 to 1.

    Examples
    --------
    >>> import torch
    >>> from attar.corruptions import SaltAndPepper
    >>> corrupted = SaltAndPepper(share=1.0).build()(torch.linspace(0, 1, 1000)).values
    >>> corrupted.unique().tolist()
    [0.0, 1.0]

    References
    ----------
    Vincent et al., "Stacked denoising autoencoders", JMLR 2010.
    """

    share: float = 0.1

    def build(self) -> CorruptionModule:
        """Return the module; the share must lie between 0 and 1."""
        return SaltAndPepperModule(self.fraction("share"))


class SaltAndPepperModule(ValuesCorruption):
    """Sets random cells to the extremes."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, values: Tensor) -> Corrupted:
        """Return x with cells at the batch's smallest and largest value."""
        uniform = torch.rand_like(values)
        low, high = values.aminmax()
        peppered = torch.where(uniform < self.share / 2, low, values)
        return Corrupted(torch.where(uniform > 1 - self.share / 2, high, peppered))
