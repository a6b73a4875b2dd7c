"""Preparation: from raw rows to tensors, and back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from math import prod
from typing import Self

import numpy as np
import torch
from torch import Tensor

from attar.data.batches import Held, Holding
from attar.data.kind import Kind, Rows
from attar.data.scaling import Scaler, Scaling, usual
from attar.data.summary import Summary, as_tensor
from attar.records import Batch

# How many cells are scaled at once: few enough for one thread.
CHUNK = 1 << 15

# Targets beyond this are cut off, so that the squares of a row's have a sum in single precision.
LARGEST = 1e14

# Scaled values are cut off at so many times the range of the fit, and never below this.
RANGES, LEAST_LIMIT = 2.0, 10.0


@dataclass(frozen=True)
class Preparation(ABC):
    """A kind of data with its scaling, fitted.

    Attributes
    ----------
    kind : Kind
    scaler : Scaler
        In double precision.
    """

    kind: Kind
    scaler: Scaler

    @classmethod
    def fit(cls, kind: Kind, scaling: Scaling, summary: Summary) -> Self:
        """Return the preparation that suits data of this summary."""
        scales = scaling.fit(summary.moments, kind.columns(summary.sample))
        power = scales.power
        if power is not None:
            neutral = zip(power, (1.0, 0.0, 1.0), strict=True)
            power = np.stack([kind.spread(part, value) for part, value in neutral])
        shift, scale = kind.spread(scales.shift, 0.0), kind.spread(scales.scale, 1.0)
        tail = None
        if scales.tail is not None:
            tail = kind.spread(np.full_like(scales.shift, scales.tail), np.inf)
        limit = _limit(kind, Scaler(shift, scale, power, tail), summary)
        return cls(kind, Scaler(shift, scale, power, tail, limit))

    @abstractmethod
    def prepare(self, rows: Rows, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return raw rows (n, *cells) as prepared values (n, *shape), NaN where one is missing."""

    @abstractmethod
    def batch(self, rows: Rows, dtype: torch.dtype, device: torch.device) -> Batch:
        """Return raw rows (B, *cells) as a batch."""

    def inputs(self, rows: Rows, dtype: torch.dtype, device: torch.device) -> Batch:
        """Return raw rows (B, *cells) as a batch to encode, whose target is not used."""
        return self.batch(rows, dtype, device)

    @abstractmethod
    def hold(self, rows: Rows, device: torch.device, hidden: float = 0.0) -> Holding:
        """Return rows held on a device.

        Parameters
        ----------
        rows : array
        device : torch.device
        hidden : float
            The fraction of cells to hide from the encoder, where cells are missing.
        """

    @abstractmethod
    def raw(self, prepared: Tensor) -> Rows:
        """Return prepared values (n, *shape) as raw rows (n, *cells)."""

    @abstractmethod
    def stacked(self, parts: Sequence[Rows]) -> Rows:
        """Return raw rows as one."""

    @property
    def brightest(self) -> float:
        """The raw value that is prepared as 1, where all cells share one scale: white."""
        return float((self.scaler.shift + self.scaler.scale).max())


@dataclass(frozen=True)
class DensePreparation(Preparation):
    """The preparation of all kinds but sparse matrices."""

    def scaled(self, rows: Rows, dtype: torch.dtype = torch.float32, far: bool = False) -> Tensor:
        """Return raw rows (n, *cells) as scaled values of a dtype, NaN where one is missing.

        What single precision cannot hold is scaled in double: large offsets cost no precision.

        Parameters
        ----------
        rows : array
        dtype : torch.dtype
        far : bool
            Whether values far out stay far; else they are cut off.
        """
        single = dtype == torch.float32 and np.can_cast(rows.dtype, np.float32)
        working = torch.float32 if single else torch.float64
        scaled = torch.empty(rows.shape, dtype=dtype)
        chunk = max(1, CHUNK // max(1, prod(rows.shape[1:])))
        for start in range(0, len(rows), chunk):
            part = self.scaler(as_tensor(rows[start : start + chunk]).to(working))
            part = part.clamp(-LARGEST, LARGEST) if far else self.scaler.cut(part)
            scaled[start : start + chunk] = part
        return scaled

    def prepare(self, rows: Rows, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return raw rows (n, *cells) as prepared values (n, *shape), NaN where one is missing."""
        return self.kind.expand(self.scaled(rows, dtype))

    def batch(self, rows: Rows, dtype: torch.dtype, device: torch.device) -> Batch:
        """Return raw rows (B, *cells) as a batch; values far out are so in the target only."""
        scaled = self.scaled(rows, dtype, far=True)
        cut = self.scaler.cut(scaled)
        batch = Batch.of(self.kind.expand(scaled).to(device))
        if torch.equal(cut.nan_to_num(), scaled.nan_to_num()):
            return batch
        return replace(batch, values=Batch.of(self.kind.expand(cut).to(device)).values)

    def hold(self, rows: Rows, device: torch.device, hidden: float = 0.0) -> Holding:
        """Return rows held on a device: bytes as they are, anything else scaled."""
        if rows.dtype in (np.uint8, np.bool_):
            scaler = deepcopy(self.scaler).float().to(device)
            return Held(as_tensor(rows).view(torch.uint8).to(device), scaler)
        scaled = self.scaled(rows).to(device)
        missing, leaders = bool(scaled.isnan().any()), self.kind.leaders
        leaders = None if leaders is None else leaders.to(device)
        return Held(scaled, self.kind.expand, missing, hidden, leaders)

    def raw(self, prepared: Tensor) -> Rows:
        """Return prepared values (n, *shape) as raw rows (n, *cells)."""
        raw: Rows = self.scaler.inverse(self.kind.collapse(prepared.double())).numpy()
        return raw

    def stacked(self, parts: Sequence[Rows]) -> Rows:
        """Return raw rows as one."""
        return np.concatenate(parts)


def _limit(kind: Kind, scaler: Scaler, summary: Summary) -> Rows:
    """Return where values that are far out are cut off; others of the fit never are."""
    moments, _ = usual(summary.moments, kind.columns(summary.sample))
    ends = [torch.from_numpy(kind.spread(end, 0.0)) for end in (moments.low, moments.high)]
    reach = torch.stack([scaler(end).abs() for end in ends]).amax(0).numpy()
    # An index of a category has no scale.
    neutral = kind.spread(np.ones_like(moments.mean), np.inf)
    limit: Rows = np.where(np.isfinite(reach), neutral, 1) * np.fmax(LEAST_LIMIT, RANGES * reach)
    return limit
