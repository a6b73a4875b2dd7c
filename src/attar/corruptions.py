"""Corruptions: what is done to the input in training."""

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

    def damage(self, values: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return a damaged copy of values (B, *shape), and which cells must be brought back.

        Those are a bool tensor of the same shape, or None for all of them.
        """
        return self(values), None


class Corruption(Part):
    """What is done to the input before encoding.

    Attributes
    ----------
    provides : frozenset of str
        ``"gaps"`` where only some cells must be brought back, so that a likelihood which needs
        whole rows does not fit.
    """

    @abstractmethod
    def build(self) -> CorruptionModule:
        """Return the module.

        Raises
        ------
        SettingError
            If a hyperparameter is out of range.
        """


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
        return MaskingModule(self.fraction("share"))


class MaskingModule(CorruptionModule):
    """Sets cells to zero."""

    def forward(self, values: Tensor) -> Tensor:
        """Return x with cells at zero."""
        return values * (torch.rand_like(values) >= self.amount)


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
        return GaussianNoiseModule(self.non_negative("scale"))


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
        generator = torch.rand_like(values)
        low, high = values.aminmax()
        peppered = torch.where(generator < self.amount / 2, low, values)
        return torch.where(generator > 1 - self.amount / 2, high, peppered)


@dataclass(frozen=True)
class Patches(Corruption, name="patches"):
    """Set patches to zero: squares of an image, spans of a series, single cells of flat rows.

    All channels of a patch go together. Of each row the same number of patches is hidden, and only
    hidden cells must be brought back.

    Parameters
    ----------
    share : float
        Which share of the patches, above 0 and up to 1; rounded to whole patches, one at least.
    size : int
        How many pixels or steps of time a patch is long, and at most half of what there are; the
        last ones may be shorter.

    References
    ----------
    He, Chen, Xie, Li, Dollár and Girshick, "Masked autoencoders are scalable vision learners",
    CVPR 2022.
    """

    share: float = 0.5
    size: int = 4

    provides = frozenset({"gaps"})

    def build(self) -> CorruptionModule:
        """Return the module; the share must lie between 0 and 1, and the size be positive.

        With a share of 0 nothing would be asked for, and nothing be learnt.
        """
        share = self.fraction("share")
        if not share:
            raise SettingError(f"The share of {self!r} must be above 0.")
        return PatchesModule(share, self.positive_integer("size"))


class PatchesModule(CorruptionModule):
    """Sets patches to zero."""

    def __init__(self, amount: float, size: int) -> None:
        super().__init__(amount)
        self.size = size

    def forward(self, values: Tensor) -> Tensor:
        """Return x with patches at zero."""
        return self.damage(values)[0]

    def damage(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Return x with patches at zero, and where those are."""
        has_channels = values.ndim > 2
        places = values.shape[2:] if has_channels else values.shape[1:]
        # One patch alone would leave nothing to tell it from.
        sizes = [max(1, min(self.size, place // 2)) if has_channels else 1 for place in places]
        hidden = self._hidden(
            values, [-(-n // size) for n, size in zip(places, sizes, strict=True)]
        )
        for axis, (place, size) in enumerate(zip(places, sizes, strict=True), 1):
            hidden = hidden.repeat_interleave(size, axis).narrow(axis, 0, place)
        if has_channels:
            hidden = hidden[:, None].expand_as(values)
        return values.masked_fill(hidden, 0.0), hidden

    def _hidden(self, values: Tensor, patches: list[int]) -> Tensor:
        """Return which patches of each row are hidden: bool Tensor (B, *patches)."""
        generator = torch.rand(len(values), *patches, device=values.device)
        order = generator.flatten(1).argsort(1).argsort(1)
        return (order < max(1, round(self.amount * order.shape[1]))).reshape(generator.shape)
