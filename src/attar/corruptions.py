"""Corruptions: noise that is added to the input in training, for a denoising autoencoder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from attar.errors import SettingError
from attar.parts import Part


class CorruptionModule(nn.Module, ABC):
    """Corrupts prepared values."""

    @abstractmethod
    def forward(self, values: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return a corrupted copy of values (B, *shape), and which cells must be reconstructed.

        The latter is a bool tensor of the same shape, or None for all cells.
        """


class Corruption(Part):
    """What is done to the input before encoding.

    Attributes
    ----------
    provides : frozenset of str
        ``"missing"`` where only some cells must be reconstructed, which excludes a likelihood that
        needs complete rows.
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
    """Set random cells to zero: x · m, with m ~ Bernoulli(1 - share).

    Parameters
    ----------
    share : float
        The probability of masking a cell, 0 to 1.

    Examples
    --------
    >>> import torch
    >>> from attar.corruptions import Masking
    >>> corrupted, _ = Masking(share=0.3).build()(torch.ones(100_000))
    >>> print(f"{(corrupted == 0).float().mean().item():.1f}")
    0.3

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
    """Sets random cells to zero."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, values: Tensor) -> tuple[Tensor, None]:
        """Return x with cells at zero."""
        return values * (torch.rand_like(values) >= self.share), None


@dataclass(frozen=True)
class GaussianNoise(Corruption, name="gaussian-noise"):
    """Add Gaussian noise: x + scale · ε, with ε ~ N(0, I).

    Parameters
    ----------
    scale : float
        Standard deviation of the noise, in units of the prepared data.

    Examples
    --------
    >>> import torch
    >>> from attar.corruptions import GaussianNoise
    >>> corrupted, _ = GaussianNoise(scale=0.5).build()(torch.ones(100_000))
    >>> print(f"{corrupted.mean().item():.1f} {corrupted.std().item():.1f}")
    1.0 0.5

    References
    ----------
    Vincent et al., "Stacked denoising autoencoders", JMLR 2010.
    """

    scale: float = 0.1

    def build(self) -> CorruptionModule:
        """Return the module; the scale must not be negative."""
        return GaussianNoiseModule(self.non_negative("scale"))


class GaussianNoiseModule(CorruptionModule):
    """Adds Gaussian noise."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, values: Tensor) -> tuple[Tensor, None]:
        """Return x + scale · ε."""
        return values + self.scale * torch.randn_like(values), None


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
    >>> corrupted, _ = SaltAndPepper(share=1.0).build()(torch.linspace(0, 1, 1000))
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


class SaltAndPepperModule(CorruptionModule):
    """Sets random cells to the extremes."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, values: Tensor) -> tuple[Tensor, None]:
        """Return x with cells at the batch's smallest and largest value."""
        uniform = torch.rand_like(values)
        low, high = values.aminmax()
        peppered = torch.where(uniform < self.share / 2, low, values)
        return torch.where(uniform > 1 - self.share / 2, high, peppered), None


@dataclass(frozen=True)
class Patches(Corruption, name="patches"):
    """Mask patches: squares of an image, spans of a series, single cells of flat rows.

    A patch is masked in all channels. Each row has the same number of masked patches, and only
    masked cells must be reconstructed.

    Parameters
    ----------
    share : float
        The fraction of patches, above 0 and up to 1; at least one patch.
    size : int
        The length of a patch in pixels or time steps, at most half of the row's; the last patches
        may be shorter.

    Examples
    --------
    >>> import torch
    >>> from attar.corruptions import Patches
    >>> corrupted, masked = Patches(share=0.25, size=2).build()(torch.ones(5, 1, 8, 8))
    >>> masked.sum((1, 2, 3)).tolist(), torch.equal(corrupted == 0, masked)
    ([16, 16, 16, 16, 16], True)

    References
    ----------
    He, Chen, Xie, Li, Dollár and Girshick, "Masked autoencoders are scalable vision learners",
    CVPR 2022.
    """

    share: float = 0.5
    size: int = 4

    provides = frozenset({"missing"})

    def build(self) -> CorruptionModule:
        """Return the module; the share must be above 0 and up to 1, and the size positive.

        With a share of 0 the loss would have no cells.
        """
        share = self.fraction("share")
        if not share:
            raise SettingError(f"The share of {self!r} must be above 0.")
        return PatchesModule(share, self.positive_integer("size"))


class PatchesModule(CorruptionModule):
    """Masks patches."""

    def __init__(self, share: float, size: int) -> None:
        super().__init__()
        self.share, self.size = share, size

    def forward(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Return x with patches at zero, and where those are."""
        has_channels = values.ndim > 2
        lengths = values.shape[2:] if has_channels else values.shape[1:]
        # A single patch would mask the whole row.
        sizes = [max(1, min(self.size, length // 2)) if has_channels else 1 for length in lengths]
        axes = list(zip(lengths, sizes, strict=True))
        masked = self._masked(values, [-(-length // size) for length, size in axes])
        for axis, (length, size) in enumerate(axes, 1):
            masked = masked.repeat_interleave(size, axis).narrow(axis, 0, length)
        if has_channels:
            masked = masked[:, None].expand_as(values)
        return values.masked_fill(masked, 0.0), masked

    def _masked(self, values: Tensor, patches: list[int]) -> Tensor:
        """Return which patches of each row are masked: bool Tensor (B, *patches)."""
        uniform = torch.rand(len(values), *patches, device=values.device)
        ranks = uniform.flatten(1).argsort(1).argsort(1)
        return (ranks < max(1, round(self.share * ranks.shape[1]))).reshape(uniform.shape)
