"""Masked autoencoding: whole patches are hidden, and must be told from the rest."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from attar.corruptions.corruption import Corruption, CorruptionModule, share_of
from attar.errors import SettingError


@dataclass(frozen=True)
class Patches(Corruption, name="patches"):
    """Set patches to zero: squares of an image, spans of a series, single cells of flat rows.

    All channels of a patch go together. Of each row the same number of patches is hidden, and only
    hidden cells must be brought back.

    Parameters
    ----------
    share : float
        Which share of the patches, 0 to 1; rounded to whole patches.
    size : int
        How many pixels or steps of time a patch is long; the last ones may be shorter.

    References
    ----------
    He, Chen, Xie, Li, Dollár and Girshick, "Masked autoencoders are scalable vision learners",
    CVPR 2022.
    """

    share: float = 0.5
    size: int = 4

    provides = frozenset({"gaps"})

    def build(self) -> CorruptionModule:
        """Return the module; the share must lie between 0 and 1, and the size be positive."""
        if isinstance(self.size, bool) or not isinstance(self.size, int) or self.size < 1:
            raise SettingError(f"The size of {self!r} must be a whole number above 0.")
        return PatchesModule(share_of(self, self.share), self.size)


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
        places, size = (values.shape[2:], self.size) if has_channels else (values.shape[1:], 1)
        hidden = self._hidden(values, [-(-place // size) for place in places])
        for axis, place in enumerate(places, 1):
            hidden = hidden.repeat_interleave(size, axis).narrow(axis, 0, place)
        if has_channels:
            hidden = hidden[:, None].expand_as(values)
        return values.masked_fill(hidden, 0.0), hidden

    def _hidden(self, values: Tensor, patches: list[int]) -> Tensor:
        """Return which patches of each row are hidden: bool Tensor (B, *patches)."""
        chance = torch.rand(len(values), *patches, device=values.device)
        order = chance.flatten(1).argsort(1).argsort(1)
        return (order < round(self.amount * order.shape[1])).reshape(chance.shape)
