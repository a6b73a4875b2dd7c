"""The typed records that flow: Batch, Coded and Trace through a model, Epoch out of training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from typing import Any, Self

import torch
from torch import Tensor

# From a likelihood's parameters (K, B, ...) and a target (B, ...) to log-densities of cells.
LogProb = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Batch:
    """Some rows of prepared data.

    Attributes
    ----------
    values : Tensor (B, *shape)
        What the encoder may see; 0 where it is missing.
    target : Tensor (B, *shape)
        What must be reconstructed: the clean values; 0 where they are missing.
    observed : bool Tensor (B, *shape) or None
        Where a target is known; None when nothing is missing.
    seen : bool Tensor (B, *shape) or None
        Where the encoder may look; None: wherever it is known.
    condition : Tensor (B, c) or None
        What encoder and decoder are told besides.
    """

    values: Tensor
    target: Tensor
    observed: Tensor | None = None
    seen: Tensor | None = None
    condition: Tensor | None = None

    def split(self, size: int) -> Iterator[Self]:
        """Yield the batch in parts of at most ``size`` rows."""
        rows = len(self.target)
        if rows <= size:
            yield self
            return
        for places in torch.split(torch.arange(rows, device=self.target.device), size):
            yield replace(
                self,
                **{
                    field.name: _selected(part, places)
                    for field in fields(self)
                    if (part := getattr(self, field.name)) is not None
                },
            )

    @classmethod
    def of(cls, prepared: Tensor) -> Self:
        """Return the batch of prepared rows (B, *shape) whose missing cells are NaN."""
        unknown = prepared.isnan()
        filled = prepared.masked_fill(unknown, 0.0)
        return cls(filled, filled, ~unknown)

    def asking(self, cells: Tensor) -> Self:
        """Return the batch of which only some cells (B, *shape) must be reconstructed."""
        return replace(self, observed=cells if self.observed is None else cells & self.observed)


def _selected(rows: Tensor, places: Tensor) -> Tensor:
    some = rows.index_select(0, places)
    return some.coalesce() if some.is_sparse else some


@dataclass(frozen=True)
class Coded:
    """What a code makes of features. The sample axis K comes first.

    Attributes
    ----------
    z : Tensor (K, B, d)
        K samples of the code of each row.
    rate : Tensor (K, B)
        The cost of each code in nats.
    log_q, log_p : Tensor (K, B) or None
        Log-densities of ``z`` under the posterior and the prior, where they were asked for.
    symbols : integer Tensor (K, B, positions) or None
        The code as symbols, where it is discrete.
    moments : pair of Tensor (B, d), or None
        Mean and log-variance of the posterior, where it is a diagonal gaussian.
    auxiliary_loss : Tensor (K, B) or None
        What the code adds to the loss of training for its own sake: features are drawn to their
        symbols, dead units to life.
    """

    z: Tensor
    rate: Tensor
    log_q: Tensor | None = None
    log_p: Tensor | None = None
    symbols: Tensor | None = None
    moments: tuple[Tensor, Tensor] | None = None
    auxiliary_loss: Tensor | None = None


@dataclass(frozen=True)
class Trace:
    """One pass of a batch through a model; losses, measures and plots read this and nothing else.

    Attributes
    ----------
    batch : Batch
    inputs : Tensor (B, *shape)
        What the encoder saw: the batch's values after corruption.
    features : Tensor (B, w)
    coded : Coded
    parameters : Tensor (K, B, *shape)
        The likelihood's parameters, as the decoder gave them.
    log_prob : callable
        The likelihood's ``(parameters, target) -> log-density of each cell``.
    """

    batch: Batch
    inputs: Tensor
    features: Tensor
    coded: Coded
    parameters: Tensor
    log_prob: LogProb

    @cached_property
    def log_likelihood(self) -> Tensor:
        """The log-likelihood of each row given each code, in nats: Tensor (K, B)."""
        batch = self.batch
        return row_log_likelihood(self.log_prob, self.parameters, batch.target, batch.observed)


def row_log_likelihood(
    log_prob: LogProb, parameters: Tensor, target: Tensor, observed: Tensor | None
) -> Tensor:
    """Return the log-likelihood of rows, of cells observed: (K, B)."""
    cells = log_prob(parameters, target)
    if observed is not None:
        cells = cells * observed
    return cells.flatten(2).sum(-1)


@dataclass(frozen=True)
class Epoch:
    """The figures of one epoch; losses are in nats a row, measured on clean rows after the epoch.

    Attributes
    ----------
    epoch : int
        Counted from 1.
    loss, distortion, rate : float
        On a fixed sample of the training rows; the loss is distortion + beta · rate.
    validation_loss : float or None
        On held-out rows; None where there are none.
    learning_rate : float
        At the epoch's last step.
    rows_per_second : float
    """

    epoch: int
    loss: float
    distortion: float
    rate: float
    validation_loss: float | None
    learning_rate: float
    rows_per_second: float

    @property
    def monitored_loss(self) -> float:
        """The loss that the best epoch has least of: held-out where there are held-out rows."""
        return self.loss if self.validation_loss is None else self.validation_loss

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain JSON data."""
        return asdict(self)
