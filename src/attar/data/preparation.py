"""Preparation: from the user's form to tensors, and back."""

from __future__ import annotations

import warnings
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attar.data.batches import Held
from attar.data.kind import Kind, Rows
from attar.data.scaling import Scaler, Scaling


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

        The scaling is done in double precision, so that large offsets cost no digits.
        """
        prepared = torch.empty(rows.shape, dtype=dtype)
        for start in range(0, len(rows), 4096):
            part = np.ascontiguousarray(rows[start : start + 4096], dtype=np.float64)
            prepared[start : start + 4096] = self.scaler(_tensor(part))
        return prepared

    def hold(self, rows: Rows, device: torch.device) -> Held:
        """Return rows held on a device: bytes as they are, anything else prepared."""
        if rows.dtype in (np.uint8, np.bool_):
            scaler = deepcopy(self.scaler).float().to(device)
            return Held(_tensor(np.ascontiguousarray(rows).view(np.uint8)).to(device), scaler)
        return Held(self.prepare(rows).to(device), None)

    def restore(self, values: Tensor) -> Any:
        """Return prepared values (n, *shape) in the user's own form."""
        return self.kind.restore(self.scaler.inverse(values.double()).numpy())

    def scales(self, prepared: Rows) -> NDArray[np.float64]:
        """Return the standard deviation of each column of prepared rows."""
        return np.asarray(self.kind.columns(prepared).std(0, dtype=np.float64))


def _tensor(array: Rows) -> Tensor:
    """Return a tensor that shares the array's memory, read-only memory too: it is never written."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(array)
