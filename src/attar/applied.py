"""A model with its preparation: raw rows go in, codes and raw rows come out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from math import prod
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from attar.data.kind import Rows
from attar.data.preparation import Preparation
from attar.model import Model
from attar.records import Trace

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
    told : Tensor (n, c) or None
        The condition of each row that the model is used on, where it was fitted with conditions.
    """

    preparation: Preparation
    model: Model
    code_size: int
    doubles: bool
    told: Tensor | None = None

    @property
    def chunk(self) -> int:
        """How many rows are worked on at once."""
        return max(1, min(CHUNK, CELLS // max(1, prod(self.preparation.kind.shape))))

    def parts(self, rows: Rows, few: int | None = None) -> Iterator[tuple[Self, Rows]]:
        """Yield rows or codes, some at a time, and the model that is told of these."""
        few = few or self.chunk
        for start in range(0, rows.shape[0], few):
            some = slice(start, start + few)
            yield self.at(some), rows[some]

    def at(self, places: Any) -> Self:
        """Return the model told of the conditions at some places among its rows."""
        return self if self.told is None else replace(self, told=self.told[places])

    @torch.no_grad()
    def encode(self, rows: Rows) -> Rows:
        """Return the codes of rows (n, *cells): (n, d), in double precision for double rows."""
        working, dtype = self._working(rows.dtype)
        return joined(one._encoded(part, dtype) for one, part in working.parts(rows))

    @torch.no_grad()
    def decoded(self, codes: Rows) -> Iterator[Tensor]:
        """Yield the prepared values of codes (n, d), some rows at a time, on the CPU."""
        working, dtype = self._working(codes.dtype)
        for one, part in working.parts(codes):
            z = torch.as_tensor(part, dtype=dtype, device=self.device)
            yield one.model.decode(z, one._condition(dtype)).cpu()

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
        """Yield the traces of rows under given draws (K, 1, noise_size), in chunks."""
        working, dtype = self._working(rows.dtype)
        # K draws of a row are K rows to the decoder.
        few = max(1, self.chunk // len(noise))
        for one, part in working.parts(rows, few):
            batch = self.preparation.batch(part, dtype, self.device)
            batch = replace(batch, condition=one._condition(dtype))
            yield one.model(batch, noise.to(self.device, dtype))

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    def _working(self, dtype: Any) -> tuple[Self, torch.dtype]:
        """Return the model in the precision of a NumPy dtype: double for double, else single."""
        if dtype != np.float64 or not self.doubles:
            return self, torch.float32
        return replace(self, model=deepcopy(self.model).double()), torch.float64

    def _encoded(self, rows: Rows, dtype: torch.dtype) -> Tensor:
        batch = self.preparation.inputs(rows, dtype, self.device)
        return self.model.encode(batch.values, batch.observed, self._condition(dtype))

    def _condition(self, dtype: torch.dtype) -> Tensor | None:
        return None if self.told is None else self.told.to(self.device, dtype)


def joined(parts: Iterable[Tensor]) -> Rows:
    """Return the parts as one array."""
    whole: Rows = torch.cat([part.cpu() for part in parts]).numpy()
    return whole
