"""A model with its preparation: raw rows go in, codes and raw rows come out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from attar.data.kind import Rows
from attar.data.preparation import Preparation
from attar.model import Model
from attar.records import Batch, Trace

# A chunk has at most so many rows, and so many cells.
CHUNK, CELLS = 2048, 1 << 22


@dataclass(frozen=True)
class Applied:
    """A trained model, ready to be used on raw rows (n, *cells).

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

    @property
    def chunk(self) -> int:
        """How many rows are worked on at once."""
        return max(1, min(CHUNK, CELLS // max(1, prod(self.preparation.kind.shape))))

    def chunks(self, rows: Rows) -> Iterator[Rows]:
        """Yield rows, some at a time."""
        for start in range(0, rows.shape[0], self.chunk):
            yield rows[start : start + self.chunk]

    def _working(self, dtype: Any) -> tuple[Model, torch.dtype]:
        """Return the model in the precision of a NumPy dtype: double for double, else single."""
        if dtype != np.float64 or not self.doubles:
            return self.model, torch.float32
        return deepcopy(self.model).double(), torch.float64

    def batches(self, rows: Rows, dtype: torch.dtype = torch.float32) -> Iterator[Batch]:
        """Yield rows as batches on the model's device."""
        device = next(self.model.parameters()).device
        for part in self.chunks(rows):
            yield self.preparation.batch(part, dtype, device)

    @torch.no_grad()
    def encode(self, rows: Rows) -> Rows:
        """Return the codes of rows (n, *cells): (n, d), in double precision for double rows."""
        model, dtype = self._working(rows.dtype)
        device = next(model.parameters()).device
        batches = (self.preparation.inputs(part, dtype, device) for part in self.chunks(rows))
        return joined(model.encode(batch.values, batch.observed) for batch in batches)

    @torch.no_grad()
    def decoded(self, codes: Rows) -> Iterator[Tensor]:
        """Yield the prepared values of codes (n, d), some rows at a time, on the CPU."""
        model, dtype = self._working(codes.dtype)
        device = next(model.parameters()).device
        for part in self.chunks(codes):
            yield model.decode(torch.as_tensor(part, dtype=dtype, device=device)).cpu()

    def decode(self, codes: Rows) -> Tensor:
        """Return the prepared values of codes (n, d): (n, *shape), on the CPU."""
        return torch.cat(list(self.decoded(codes)))

    def restore(self, codes: Rows, aside: Any = None) -> Any:
        """Return what codes (n, d) stand for, in the user's own form.

        Parameters
        ----------
        codes : array
        aside : object
            What the kind set aside of the data that the codes are of; None for new data.
        """
        raw = [self.preparation.raw(part) for part in self.decoded(codes)]
        return self.preparation.kind.restore(self.preparation.stacked(raw), aside)

    @torch.no_grad()
    def traces(self, rows: Rows, noise: Tensor) -> Iterator[Trace]:
        """Yield the traces of rows under given draws (K, 1, d), in chunks."""
        model, dtype = self._working(rows.dtype)
        # K draws of a row are K rows to the decoder.
        few = max(1, self.chunk // len(noise))
        for start in range(0, rows.shape[0], few):
            for batch in self.batches(rows[start : start + few], dtype):
                yield model(batch, noise.to(batch.target.device, dtype))


def joined(parts: Iterable[Tensor]) -> Rows:
    """Return the parts as one array."""
    whole: Rows = torch.cat([part.cpu() for part in parts]).numpy()
    return whole
