"""A model with its preparation: the user's rows go in, codes and rows come out."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from attar.data.kind import Rows
from attar.data.preparation import Preparation
from attar.model import Model
from attar.records import Batch, Trace

CHUNK = 2048


@dataclass(frozen=True)
class Applied:
    """A trained model, ready to be used on rows (n, *shape).

    Attributes
    ----------
    preparation : Preparation
    model : Model
    code_size : int
    doubles : bool
        Whether the model can compute in double precision; it does so for double rows, so that
        what a row gets does not depend on its neighbours in the batch.
    """

    preparation: Preparation
    model: Model
    code_size: int
    doubles: bool

    def _working(self, dtype: Any) -> tuple[Model, torch.dtype]:
        """Return the model in the precision of a NumPy dtype: double for double, else single."""
        if dtype != np.float64 or not self.doubles:
            return self.model, torch.float32
        return deepcopy(self.model).double(), torch.float64

    def prepared(self, rows: Rows, dtype: torch.dtype = torch.float32) -> Iterator[Tensor]:
        """Yield rows as prepared tensors on the model's device, in chunks."""
        device = next(self.model.parameters()).device
        for start in range(0, len(rows), CHUNK):
            yield self.preparation.prepare(rows[start : start + CHUNK], dtype).to(device)

    @torch.no_grad()
    def encode(self, rows: Rows) -> Rows:
        """Return the codes of rows (n, *shape): (n, d), in double precision for double rows."""
        model, dtype = self._working(rows.dtype)
        return joined(model.encode(values) for values in self.prepared(rows, dtype))

    @torch.no_grad()
    def decode(self, codes: Rows) -> Tensor:
        """Return the prepared values of codes (n, d): (n, *shape), on the CPU."""
        model, dtype = self._working(codes.dtype)
        device = next(model.parameters()).device
        z = torch.as_tensor(codes, dtype=dtype, device=device)
        return torch.cat([model.decode(part).cpu() for part in torch.split(z, CHUNK)])

    @torch.no_grad()
    def traces(self, rows: Rows, noise: Tensor) -> Iterator[Trace]:
        """Yield the traces of rows under given draws (K, 1, d), in chunks."""
        model, dtype = self._working(rows.dtype)
        for values in self.prepared(rows, dtype):
            # K draws of a row are K rows to the decoder.
            for part in torch.split(values, max(1, CHUNK // len(noise))):
                yield model(Batch(part, target=part), noise.to(part.device, dtype))


def joined(parts: Iterator[Tensor]) -> Rows:
    """Return the parts as one array."""
    whole: Rows = torch.cat([part.cpu() for part in parts]).numpy()
    return whole
