"""Corruptions of sound."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional

from attar.corruptions.base import Corruption, CorruptionModule
from attar.records import Batch


@dataclass(frozen=True)
class Splicing(Corruption, name="splicing"):
    """Join rows that end early to full ones, each at a random level: an augmentation of sound.

    The rows of a batch, in random order, become one signal without what is missing, which starts at
    a random place and is cut into rows again: values and target alike. What is short of a row is
    left out; a single one is filled with silence.

    Parameters
    ----------
    gain : float
        In decibels: levels change by -gain to gain / 2.

    Examples
    --------
    >>> import torch
    >>> from attar.corruptions import Splicing
    >>> from attar.records import Batch
    >>> rows = torch.full((4, 1, 6), float("nan"))
    >>> rows[..., :3] = 1
    >>> Splicing(gain=0.0).build().corrupted(Batch.of(rows)).target.shape
    torch.Size([1, 1, 6])
    """

    gain: float = 6.0

    def build(self) -> CorruptionModule:
        """Return the module; the gain must not be negative."""
        return SplicingModule(self.non_negative("gain"))


class SplicingModule(CorruptionModule):
    """Joins rows and cuts them again."""

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.gain = gain

    def corrupted(self, batch: Batch) -> Batch:
        """Return a batch of full rows; one with a condition stays as it is."""
        rows = batch.target.to_dense()
        if batch.condition is not None:
            return batch
        order, length = torch.randperm(len(rows), device=rows.device), rows[0, 0].numel()
        decibels = self.gain * (1.5 * torch.rand(len(rows), device=rows.device) - 1)
        levels = (10 ** (decibels / 20)).reshape(-1, *[1] * (rows.ndim - 1))
        known = (
            torch.ones_like(rows, dtype=torch.bool) if batch.observed is None else batch.observed
        )
        kept = known[order].any(1).flatten()
        signal = (rows * levels)[order].movedim(1, 0).flatten(1)[:, kept]
        first = int(torch.randint(length, ()))
        if signal.shape[1] - first < length:
            signal = functional.pad(signal, (0, length + first - signal.shape[1]))
        count = (signal.shape[1] - first) // length
        joined = signal[:, first : first + count * length].reshape(-1, count, *rows.shape[2:])
        values = joined.movedim(0, 1)
        return Batch(values, values)
