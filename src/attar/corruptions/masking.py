"""Masking of single cells and of patches."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from attar.checks import fraction
from attar.corruptions.base import Corrupted, Corruption, CorruptionModule, ValuesCorruption
from attar.errors import SettingError


@dataclass(frozen=True)
class Masking(Corruption, name="masking"):
    """Set random cells to zero: x · m, with m ~ Bernoulli(1 - share). Tokens of text are deleted.

    Parameters
    ----------
    share : float or pair of float
        The probability of masking a cell, 0 to 1, or the least and the largest one: that of each
        row is then drawn evenly from between them.

    Examples
    --------
    >>> import torch
    >>> from attar.corruptions import Masking
    >>> corrupted = Masking(share=0.3).build()(torch.ones(100_000)).values
    >>> print(f"{(corrupted == 0).float().mean().item():.1f}")
    0.3

    References
    ----------
    Vincent et al., "Extracting and composing robust features with denoising autoencoders",
    ICML 2008. Wang, Reimers and Gurevych, "TSDAE: using transformer-based sequential denoising
    auto-encoder for unsupervised sentence embedding learning", Findings of EMNLP 2021.
    """

    share: float | tuple[float, float] = 0.25

    def build(self) -> CorruptionModule:
        """Return the module; shares lie between 0 and 1, and the least comes first."""
        if not isinstance(self.share, tuple):
            return MaskingModule(*[self.fraction("share")] * 2)
        shares = [fraction(f"The share of {self!r}", share) for share in self.share]
        if len(shares) != 2 or shares[0] > shares[1]:
            raise SettingError(
                f"The share of {self!r} must be one fraction, or the least and the largest."
            )
        return MaskingModule(*shares)


class MaskingModule(ValuesCorruption):
    """Sets random cells to zero."""

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.low, self.high = low, high

    def forward(self, values: Tensor) -> Corrupted:
        """Return x with cells at zero."""
        share: Tensor | float = self.low
        if self.low < self.high:
            rows = torch.rand(len(values), *[1] * (values.ndim - 1), device=values.device)
            share = self.low + (self.high - self.low) * rows
        return Corrupted(values * (torch.rand_like(values) >= share))


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
    >>> corrupted, masked, _ = Patches(share=0.25, size=2).build()(torch.ones(5, 1, 8, 8))
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


class PatchesModule(ValuesCorruption):
    """Masks patches."""

    def __init__(self, share: float, size: int) -> None:
        super().__init__()
        self.share, self.size = share, size

    def forward(self, values: Tensor) -> Corrupted:
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
        return Corrupted(values.masked_fill(masked, 0.0), masked)

    def _masked(self, values: Tensor, patches: list[int]) -> Tensor:
        """Return which patches of each row are masked: bool Tensor (B, *patches)."""
        uniform = torch.rand(len(values), *patches, device=values.device)
        ranks = uniform.flatten(1).argsort(1).argsort(1)
        return (ranks < max(1, round(self.share * ranks.shape[1]))).reshape(uniform.shape)
