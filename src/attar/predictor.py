"""A model with its preparation: raw rows in, codes and raw rows out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attar.data.kind import Kind, Rows
from attar.data.margins import Margins
from attar.data.preparation import Preparation
from attar.data.text import Text
from attar.isolation import seeded
from attar.likelihoods.base import LocationModule
from attar.model import Model
from attar.records import Batch, Trace

# A chunk has at most so many rows, and so many cells; of large images a quarter of them, whose
# convolutions have many feature maps for each pixel.
CHUNK, CELLS, LARGE = 2048, 1 << 22, 1 << 16

# How many rows are measured after each epoch: fewer where they are large, or texts, each of whose
# places is compared with all tokens many times.
MONITORED_ROWS, FEWEST_MONITORED, MONITORED_CELLS = 1024, 64, 1 << 23
MONITORED_TEXTS = 256


def rows_at_once(cells: int) -> int:
    """Return how many rows of so many cells are processed at once."""
    return max(1, (CELLS if cells <= LARGE else CELLS // 4) // max(1, cells))


def monitored_rows(kind: Kind) -> int:
    """Return on how many rows the loss of an epoch is measured at most."""
    most = MONITORED_TEXTS if isinstance(kind, Text) else MONITORED_ROWS
    return max(FEWEST_MONITORED, min(most, MONITORED_CELLS // prod(kind.shape)))


@dataclass(frozen=True)
class Predictor:
    """A trained model, ready to be used on raw rows (n, *cells).

    Attributes
    ----------
    preparation : Preparation
    model : Model
    code_size : int
    doubles : bool
        Whether the model can compute in double precision; it does so for double rows, so that
        the result for a row does not depend on the other rows of its batch.
    condition : Tensor (n, c) or None
        The condition of each row, where the model was fitted with conditions.
    noise : Tensor (*shape) or ()
        How wide residuals are spread, relative to the likelihood: see :func:`residual_noise`.
    changed : int array (n,) or None
        How many columns of each row differ that were constant in the fit; None for none.
    margins : Margins or None
        The distributions of the numbers of training rows, where they are tables.
    """

    preparation: Preparation
    model: Model
    code_size: int
    doubles: bool
    condition: Tensor | None = None
    noise: Tensor = field(default_factory=lambda: torch.ones(()))
    changed: NDArray[np.intp] | None = None
    margins: Margins | None = None

    @property
    def chunk(self) -> int:
        """How many rows are processed at once."""
        return min(CHUNK, rows_at_once(prod(self.preparation.kind.shape)))

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    def chunks(self, rows: Rows) -> Iterator[tuple[Self, Rows]]:
        """Yield rows or codes chunk by chunk, with the predictor that has their conditions."""
        for start in range(0, rows.shape[0], self.chunk):
            some = slice(start, min(start + self.chunk, rows.shape[0]))
            yield self.at(some), rows[some]

    def at(self, places: slice | Sequence[int] | NDArray[np.intp]) -> Self:
        """Return the predictor with the conditions at some places among its rows."""
        return self if self.condition is None else replace(self, condition=self.condition[places])

    @torch.no_grad()
    def encode(self, rows: Rows, level: float | None = None) -> Rows:
        """Return the codes of rows (n, *cells): (n, d), in double precision for double rows.

        Parameters
        ----------
        rows : array
        level : float or None
            The standard deviation of the noise in prepared rows, where the model takes it.
        """
        working, dtype = self._working(rows.dtype)
        return joined(one._encoded(part, dtype, level) for one, part in working.chunks(rows))

    @torch.no_grad()
    def decoded(self, codes: Rows) -> Iterator[Tensor]:
        """Yield the prepared values of codes (n, d), chunk by chunk, on the CPU."""
        working, dtype = self._working(codes.dtype)
        for one, part in working.chunks(codes):
            z = torch.as_tensor(part, dtype=dtype, device=self.device)
            yield one.model.decode(z, one._condition(dtype)).cpu()

    @torch.no_grad()
    def sampled(self, codes: Rows) -> Iterator[Tensor]:
        """Yield draws of the prepared values of codes (n, d), chunk by chunk, on the CPU."""
        working, dtype = self._working(codes.dtype)
        noise = self.noise.to(self.device)
        for one, part in working.chunks(codes):
            z = torch.as_tensor(part, dtype=dtype, device=self.device)
            yield one.model.sample(z, noise, one._condition(dtype)).cpu()

    def decode(self, codes: Rows) -> Tensor:
        """Return the prepared values of codes (n, d): (n, *shape), on the CPU."""
        return torch.cat(list(self.decoded(codes)))

    def restore(self, codes: Rows, passthrough: Any = None) -> Any:
        """Return the data that codes (n, d) decode to, in the user's own form.

        Parameters
        ----------
        codes : array
        passthrough : object
            What the kind passes through of the data that the codes belong to; None for new data.
        """
        return self.preparation.kind.restore(self.possible(self.decoded(codes)), passthrough)

    def possible(self, decoded: Iterable[Tensor]) -> Rows:
        """Return decoded values as raw rows: amounts above zero, flags between 0 and 1."""
        rows = self._raw(decoded)
        return rows if self.margins is None else self.margins.possible(rows)

    def sample(self, codes: Rows, seed: int) -> Rows:
        """Return a draw of the raw rows of codes (n, d)."""
        # Codes drawn with this very seed would be the same random numbers as the noise.
        with seeded(seed + 1, self.device):
            return self._raw(self.sampled(codes))

    def _raw(self, prepared: Iterable[Tensor]) -> Rows:
        return self.preparation.stacked([self.preparation.raw(part) for part in prepared])

    @torch.no_grad()
    def batches(self, rows: Rows) -> Iterator[tuple[Model, Rows, Batch]]:
        """Yield the model to use, raw rows, and the same rows prepared, chunk by chunk."""
        working, dtype = self._working(rows.dtype)
        for one, part in working.chunks(rows):
            batch = self.preparation.batch(part, dtype, self.device)
            yield one.model, part, replace(batch, condition=one._condition(dtype))

    @torch.no_grad()
    def traces(self, rows: Rows, noise: Tensor) -> Iterator[Trace]:
        """Yield the traces of rows under given draws (K, 1, noise_size), in parts of chunks."""
        for model, _, batch in self.batches(rows):
            yield from traces_of(model, batch, noise, self.chunk)

    def _working(self, dtype: np.dtype[Any]) -> tuple[Self, torch.dtype]:
        """Return the model in the precision of a NumPy dtype: double for double, else single."""
        if dtype != np.float64 or not self.doubles:
            return self, torch.float32
        return replace(self, model=self.model.in_double()), torch.float64

    def _encoded(self, rows: Rows, dtype: torch.dtype, level: float | None) -> Tensor:
        batch = self.preparation.inputs(rows, dtype, self.device)
        condition, noise = self._condition(dtype), None
        if level is not None:
            noise = torch.full((len(batch.values), 1), level, dtype=dtype, device=self.device)
        return self.model.encode(batch.values, batch.observed, condition, noise)

    def _condition(self, dtype: torch.dtype) -> Tensor | None:
        return None if self.condition is None else self.condition.to(self.device, dtype)


@torch.no_grad()
def residual_noise(predictor: Predictor, rows: Rows) -> Tensor:
    """Return the root mean square of the residuals of each cell, over that of the likelihood.

    A scale may be fixed, or one for all cells: new rows then need the noise that rows have. It is
    1 where the likelihood is no location family.

    Parameters
    ----------
    predictor : Predictor
    rows : array (n, *cells)
        Best of all held-out ones.
    """
    if not isinstance(predictor.model.likelihood, LocationModule):
        return predictor.noise
    residuals = torch.zeros(predictor.preparation.kind.shape, dtype=torch.float64)
    drawn, count = residuals.clone(), residuals.clone()
    with seeded(0, predictor.device):
        for model, _, batch in predictor.batches(rows):
            mean = model.parameters_of(model(batch).coded.z, batch.condition)[0]
            known = torch.ones_like(mean) if batch.observed is None else batch.observed.to(mean)
            pairs = (residuals, batch.target - mean), (drawn, model.likelihood.sample(mean) - mean)
            for total, distance in pairs:
                total += (known * distance.square()).sum(0).double().cpu()
            count += known.sum(0).double().cpu()
    return (residuals / drawn).sqrt().where(count > 0, 1.0).float()


def traces_of(model: Model, batch: Batch, noise: Tensor, chunk: int) -> Iterator[Trace]:
    """Yield the traces of a batch under draws (K, 1, noise_size), in parts of chunk // K rows."""
    # K draws of a row are K rows to the decoder.
    noise = noise.to(batch.target.device, batch.target.dtype)
    for part in batch.split(max(1, chunk // len(noise))):
        yield model(part, noise)


def joined(parts: Iterable[Tensor]) -> Rows:
    """Return the parts as one array."""
    array: Rows = torch.cat([part.cpu() for part in parts]).numpy()
    return array
