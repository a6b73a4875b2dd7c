"""Batches: shuffled selections of rows held in memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from attar import workers
from attar.records import Batch


class Batches(ABC):
    """Rows cut into batches.

    Attributes
    ----------
    size : int
        The most rows in a batch.
    """

    size: int

    @property
    @abstractmethod
    def rows(self) -> int:
        """How many rows there are in all."""

    def __len__(self) -> int:
        return -(-self.rows // self.size)

    @abstractmethod
    def drawn(self) -> Iterator[Tensor]:
        """Yield the rows of each batch, as indices or as cells, for :meth:`batch`.

        Each row is yielded once, in a random order from torch's global generator.
        """

    @abstractmethod
    def batch(self, rows: Tensor) -> Batch:
        """Return rows that were drawn as a batch, prepared on the device."""

    def shuffled(self) -> Iterator[Batch]:
        """Yield each row once, in a random order from torch's global generator."""
        return map(self.batch, self.drawn())


class Holding(ABC):
    """Rows held on a device."""

    @abstractmethod
    def batch(self, rows: Tensor) -> Batch:
        """Return the rows of these indices, prepared."""


@dataclass(frozen=True)
class Held(Holding):
    """Rows held on a device in their smallest type.

    Attributes
    ----------
    values : Tensor (n, *cells)
        Raw bytes, or scaled floating point values.
    prepare : callable
        From these to prepared values, batch by batch.
    missing : bool
        Whether cells are missing, which are NaN.
    hidden : float
        The fraction of further cells that are hidden from the encoder, where cells are missing.
    leaders : Tensor (cells,) or None
        With which cell each one is hidden; None: each is hidden by itself.
    """

    values: Tensor
    prepare: Callable[[Tensor], Tensor]
    missing: bool = False
    hidden: float = 0.0
    leaders: Tensor | None = None

    def batch(self, rows: Tensor) -> Batch:
        """Return the rows of these indices, prepared."""
        values = self.values.index_select(0, rows)
        if self.missing:
            return with_missing(values, self.prepare, self.hidden, self.leaders)
        prepared = self.prepare(values)
        return Batch(prepared, prepared)


@dataclass(frozen=True)
class Conditioned(Holding):
    """Rows held, each with its condition.

    Attributes
    ----------
    held : Holding
    condition : Tensor (n, c)
    """

    held: Holding
    condition: Tensor

    def batch(self, rows: Tensor) -> Batch:
        """Return the rows of these indices with their conditions."""
        return replace(self.held.batch(rows), condition=self.condition.index_select(0, rows))


def with_missing(
    cells: Tensor,
    prepare: Callable[[Tensor], Tensor],
    hidden: float = 0.0,
    leaders: Tensor | None = None,
) -> Batch:
    """Return the batch of cells (B, *cells) of which some are missing (NaN).

    Others are hidden from the encoder at random, from none to twice the fraction in a row, while
    the loss includes them: so a model learns to predict what it doesn't see.

    Parameters
    ----------
    cells : Tensor
    prepare : callable
        From these to prepared values.
    hidden : float
        The fraction that is hidden, in the mean.
    leaders : Tensor (cells,) or None
        With which cell each one is hidden; None: each is hidden by itself.
    """
    batch = Batch.of(prepare(cells))
    if not hidden:
        return batch
    fraction = 2 * hidden * torch.rand(len(cells), *[1] * (cells.ndim - 1), device=cells.device)
    mask = torch.rand_like(cells) < fraction
    if leaders is not None:
        mask = mask[:, leaders.to(mask.device)]
    visible = Batch.of(prepare(cells.masked_fill(mask, torch.nan)))
    return replace(batch, values=visible.values, visible=visible.observed)


@dataclass(frozen=True)
class Selection(Batches):
    """Some of the rows held, in batches of almost equal size.

    Parameters
    ----------
    held : Holding
    index : integer Tensor (m,)
        Which rows.
    size : int
    """

    held: Holding
    index: Tensor
    size: int

    @property
    def rows(self) -> int:
        """How many rows there are in all."""
        return len(self.index)

    def __iter__(self) -> Iterator[Batch]:
        return map(self.batch, self.index.tensor_split(len(self)))

    def drawn(self) -> Iterator[Tensor]:
        """Yield this worker's indices of the rows of each batch, in a random order."""
        order = workers.same(torch.randperm(len(self.index))).to(self.index.device)
        return map(workers.share, self.index[order].tensor_split(len(self)))

    def batch(self, rows: Tensor) -> Batch:
        """Return the rows of these indices, prepared."""
        return self.held.batch(rows)
