"""Corruptions of tables."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import torch
from torch import Tensor

from attar.corruptions.base import Corruption, CorruptionModule
from attar.errors import SettingError
from attar.records import Batch


@dataclass(frozen=True)
class SwapNoise(Corruption, name="swap-noise"):
    """Give random columns of a row the values of other rows of the batch.

    Each column of each row is swapped with the same probability, and by itself: columns stay as
    they are distributed, and only how they go together says which are wrong.

    Parameters
    ----------
    share : float
        The probability of swapping a column, 0 to 1.
    widths : tuple of int
        How many prepared values each column has, so that a one-hot category is swapped as a whole;
        empty where each has one. A fit of recipe ``"features"`` knows them.

    Examples
    --------
    >>> import torch
    >>> from attar.corruptions import SwapNoise
    >>> from attar.records import Batch
    >>> rows = torch.arange(1000.0)[:, None].repeat(1, 3)
    >>> swapped = SwapNoise(0.3, widths=(1, 2)).build().corrupted(Batch.of(rows)).values
    >>> torch.equal(swapped[:, 1], swapped[:, 2]), swapped.sort(0).values.max() < 1000
    (True, tensor(True))

    References
    ----------
    Bahri, Jiang, Tay and Metzler, "SCARF: self-supervised contrastive learning using random feature
    corruption", ICLR 2022. Yoon, Zhang, Jordon and van der Schaar, "VIME: extending the success of
    self- and semi-supervised learning to tabular domain", NeurIPS 2020.
    """

    share: float = 0.2
    widths: tuple[int, ...] = ()

    def build(self) -> CorruptionModule:
        """Return the module; the share must lie between 0 and 1."""
        return SwapNoiseModule(self.fraction("share"), self.widths)


class SwapNoiseModule(CorruptionModule):
    """Swaps columns between rows."""

    def __init__(self, share: float, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.share, self.widths = share, widths

    def corrupted(self, batch: Batch) -> Batch:
        """Return the batch with swapped values, and a mask that was swapped with them.

        Raises
        ------
        SettingError
            If the columns are not those of the rows.
        """
        values = batch.values.to_dense()
        rows, cells = len(values), values[0].numel()
        widths = self.widths or (1,) * cells
        if sum(widths) != cells:
            raise SettingError(
                f"The widths of the corruption 'swap-noise' add up to {sum(widths)}, but a "
                f"row has {cells} prepared values: leave them out."
            )
        size, every = (rows, len(widths)), torch.arange(rows, device=values.device)[:, None]
        others = torch.randint(rows, size, device=values.device)
        swapped = torch.rand(size, device=values.device) < self.share
        sources = torch.where(swapped, others, every)[:, columns_of(widths, values.device)]

        def gathered(tensor: Tensor) -> Tensor:
            return tensor.reshape(rows, cells).gather(0, sources).reshape(tensor.shape)

        visible = batch.observed if batch.visible is None else batch.visible
        visible = None if visible is None else gathered(visible.to_dense())
        return replace(batch, values=gathered(values), visible=visible)


@cache
def columns_of(widths: tuple[int, ...], device: torch.device) -> Tensor:
    """Return the column of each cell on a device, to which they are copied once.

    Examples
    --------
    >>> columns_of((1, 2), torch.device("cpu"))
    tensor([0, 1, 1])
    """
    columns = torch.arange(len(widths)).repeat_interleave(torch.tensor(widths))
    return columns.to(device)
