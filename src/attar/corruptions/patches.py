"""Masked autoencoding: whole patches are hidden, and must be told from the rest."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from attar.corruptions.corruption import Corruption, CorruptionModule
from attar.errors import SettingError


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
        return PatchesModule(share, self.counted("size"))


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
        chance = torch.rand(len(values), *patches, device=values.device)
        order = chance.flatten(1).argsort(1).argsort(1)
        return (order < max(1, round(self.amount * order.shape[1]))).reshape(chance.shape)
