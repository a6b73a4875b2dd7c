"""Preparation: from the user's form to tensors, and back."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attar.data.batches import Held
from attar.data.kind import Kind, Rows
from attar.data.scaling import Scaler, Scaling, as_tensor

CHUNK = 1024


@dataclass(frozen=True)
class Preparation:
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
    def fit(cls, kind: Kind, scaling: Scaling, rows: Rows) -> Preparation:
        """Return the preparation that suits these rows."""
        shift, scale = scaling.fit(kind.columns(rows))
        return cls(kind, Scaler(kind.spread(shift), kind.spread(scale)))

    def prepare(self, rows: Rows, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return rows (n, *shape) as prepared values of a dtype.

        What single precision cannot hold is scaled in double, so that large offsets cost no digits.
        """
        single = dtype == torch.float32 and np.can_cast(rows.dtype, np.float32)
        working = torch.float32 if single else torch.float64
        scaler = deepcopy(self.scaler).to(working)
        prepared = torch.empty(rows.shape, dtype=dtype)
        for start in range(0, len(rows), CHUNK):
            part = as_tensor(rows[start : start + CHUNK]).to(working)
            prepared[start : start + CHUNK] = scaler(part)
        return prepared

    def hold(self, rows: Rows, device: torch.device) -> Held:
        """Return rows held on a device: bytes as they are, anything else prepared."""
        if rows.dtype in (np.uint8, np.bool_):
            scaler = deepcopy(self.scaler).float().to(device)
            return Held(as_tensor(rows).view(torch.uint8).to(device), scaler)
        return Held(self.prepare(rows).to(device), None)

    def restore(self, values: Tensor) -> Any:
        """Return prepared values (n, *shape) in the user's own form."""
        return self.kind.restore(self.scaler.inverse(values.double()).numpy())

    @property
    def brightest(self) -> float:
        """The raw value that is prepared as 1, where all cells share one scale: white."""
        return float((self.scaler.shift + self.scaler.scale).max())

    def scales(self, prepared: Rows) -> NDArray[np.float64]:
        """Return the standard deviation of each column of prepared rows."""
        return np.asarray(self.kind.columns(prepared).std(0, dtype=np.float64))
