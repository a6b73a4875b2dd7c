"""Records: Batch, Coded and Trace of one pass through a model, Epoch of a training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Self

import torch
from torch import Tensor

# From a likelihood's parameters (K, B, ...) and a target (B, ...) to log-densities of cells.
LogProb = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Batch:
    """A batch of prepared rows.

    Attributes
    ----------
    values : Tensor (B, *shape)
        The encoder's input, dense or sparse; 0 where it is missing.
    target : Tensor (B, *shape)
        The clean values that are to be reconstructed; 0 where they are missing.
    observed : bool Tensor (B, *shape) or None
        The mask of the target; None when nothing is missing.
    visible : bool Tensor (B, *shape) or None
        The mask of the encoder's input; None where it is that of the target.
    condition : Tensor (B, c) or None
        A condition of encoder and decoder.
    level : Tensor (B, 1) or None
        The standard deviation of the noise in each row's values, for the encoder.

    Examples
    --------
    >>> batch = Batch.of(torch.tensor([[1.0, float("nan")], [2.0, 3.0]]))
    >>> batch.values.tolist(), batch.observed.tolist()
    ([[1.0, 0.0], [2.0, 3.0]], [[True, False], [True, True]])
    >>> [len(part.target) for part in batch.split(1)]
    [1, 1]
    """

    values: Tensor
    target: Tensor
    observed: Tensor | None = None
    visible: Tensor | None = None
    condition: Tensor | None = None
    level: Tensor | None = None

    def split(self, size: int) -> Iterator[Self]:
        """Yield the batch in parts of at most ``size`` rows."""
        rows = len(self.target)
        if rows <= size:
            yield self
            return
        tensors = {name: t for name, t in vars(self).items() if t is not None}
        for index in torch.split(torch.arange(rows, device=self.target.device), size):
            yield replace(self, **{name: _selected(t, index) for name, t in tensors.items()})

    @classmethod
    def of(cls, prepared: Tensor) -> Self:
        """Return the batch of prepared rows (B, *shape) whose missing cells are NaN."""
        missing = prepared.isnan()
        filled = prepared.masked_fill(missing, 0.0)
        return cls(filled, filled, ~missing)

    def restricted(self, cells: Tensor) -> Self:
        """Return the batch with a mask (B, *shape) of the cells that are to be reconstructed."""
        return replace(self, observed=cells if self.observed is None else cells & self.observed)


def _selected(tensor: Tensor, index: Tensor) -> Tensor:
    rows = tensor.index_select(0, index)
    return rows.coalesce() if rows.is_sparse else rows


@dataclass(frozen=True)
class Coded:
    """K samples of the code of each row, with the terms of the loss that depend on the code.

    Attributes
    ----------
    z : Tensor (K, B, d)
        The samples.
    rate : Tensor (K, B)
        The rate in nats, such as KL(q(z|x) || p(z)).
    log_q, log_p : Tensor (K, B) or None
        Log-densities of ``z`` under the posterior and the prior, where noise was given.
    symbols : integer Tensor (K, B, positions) or None
        The code as symbols, where it is discrete.
    moments : pair of Tensor (B, d), or None
        Mean and log-variance of the posterior, where it is a diagonal Gaussian.
    auxiliary_loss : Tensor (K, B) or None
        The code's own terms of the training loss, such as the commitment to a codebook.
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
    """One pass of a batch through a model, from which losses and metrics are computed.

    Attributes
    ----------
    batch : Batch
    inputs : Tensor (B, *shape)
        The encoder's input: the batch's values after corruption.
    features : Tensor (B, w)
        The encoder's output.
    coded : Coded
    parameters : Tensor (K, B, *parameters' shape)
        The decoder's output: the likelihood's parameters.
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
    """Return the log-likelihood of the observed cells of each row: (K, B)."""
    cells = log_prob(parameters, target)
    if observed is not None:
        cells = cells * observed
    return cells.flatten(2).sum(-1)


@dataclass(frozen=True)
class Epoch:
    """The metrics of one epoch; losses are in nats per row, of clean rows after the epoch.

    Attributes
    ----------
    epoch : int
        Counted from 1.
    loss, distortion, rate : float
        On a fixed sample of the training rows; the loss is distortion + beta · rate.
    validation_loss : float or None
        On the validation rows; None where there are none.
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
        """The loss that the best epoch minimizes: of validation rows, where there are any."""
        return self.loss if self.validation_loss is None else self.validation_loss

    def to_json(self) -> dict[str, float | None]:
        """Return the metrics as plain JSON data."""
        return asdict(self)
