"""Batches: shuffled selections of rows that are held in memory once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from attar.data.scaling import Scaler
from attar.records import Batch


@dataclass(frozen=True)
class Held:
    """Rows held on the device in their smallest type.

    Attributes
    ----------
    values : Tensor (n, *shape)
        Raw bytes, or prepared floating point values.
    scaler : Scaler or None
        What makes prepared values of raw ones, batch by batch; None where that is done already.
    """

    values: Tensor
    scaler: Scaler | None

    def batch(self, rows: Tensor) -> Batch:
        """Return the rows of these indices, prepared."""
        values = self.values.index_select(0, rows)
        if self.scaler is not None:
            values = self.scaler(values)
        return Batch(values, target=values)


@dataclass(frozen=True)
class Batches:
    """Some of the held rows, cut into batches of almost equal size.

    Parameters
    ----------
    held : Held
    rows : integer Tensor (m,)
        Which rows.
    size : int
        The most rows in a batch.
    """

    held: Held
    rows: Tensor
    size: int

    def __len__(self) -> int:
        return -(-len(self.rows) // self.size)

    def __iter__(self) -> Iterator[Batch]:
        for rows in self.rows.tensor_split(len(self)):
            yield self.held.batch(rows)

    def shuffled(self) -> Iterator[Batch]:
        """Yield each row once, in an order drawn from torch's own generator."""
        order = self.rows[torch.randperm(len(self.rows)).to(self.rows.device)]
        return iter(Batches(self.held, order, self.size))
