"""Masking: cells are hidden one by one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from attar.corruptions.corruption import Corruption, CorruptionModule


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
