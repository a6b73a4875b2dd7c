"""Space: rows of a table as features to compare by, and as values to expect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attar.data.cells import Boolean, Category, Cell, Component
from attar.data.kind import Rows
from attar.data.kinds import preparation
from attar.data.preparation import DensePreparation
from attar.data.summary import Summary
from attar.data.table import Table


@dataclass(frozen=True)
class Space:
    """Rows of a table as features to compare by, and as values to expect.

    Values are numbers in standard deviations, so that their mean is that of the user's numbers, and
    the probabilities of levels. Features differ in the numbers, which are transformed where they
    are skewed.

    Attributes
    ----------
    preparation : DensePreparation
    table : Table
        The form of the data.
    units : Tensor (4, features)
        Mean and deviation of values, and of features, before they are standardized.
    """

    preparation: DensePreparation
    table: Table
    units: Tensor

    @classmethod
    def fit(cls, table: Table, summary: Summary) -> Self:
        """Return the space that suits a table of this summary."""
        prepared = preparation(table, table.scaling(summary), summary)
        assert isinstance(prepared, DensePreparation)
        width = table.shape[0]
        neutral = torch.tensor([[0.0], [1.0], [0.0], [1.0]]).double().repeat(1, width)
        plain = cls(prepared, table, neutral)
        raw = torch.from_numpy(np.asarray(summary.sample, np.float64))[:, plain.cells]
        features = plain._scaled(raw)
        units = neutral.clone()
        units[:, plain.places] = torch.stack([*_moments(raw), *_moments(features)])
        return cls(prepared, table, units)

    @cached_property
    def cells(self) -> NDArray[np.intp]:
        """The cells of a raw row that are numbers."""
        return np.flatnonzero([cell.scaled for cell in self.table.cells])

    @cached_property
    def places(self) -> NDArray[np.intp]:
        """The features of these cells."""
        starts = [segment.start for segment in self.table.expansion.segments]
        return np.array(starts, np.intp)[self.cells]

    @cached_property
    def segments(self) -> tuple[slice, ...]:
        """The features of each column that is used."""
        return tuple(at for _, at in self.table.parts)

    @cached_property
    def numeric(self) -> tuple[bool, ...]:
        """Whether each of these columns holds numbers, else levels."""
        return tuple(not isinstance(cell, Boolean | Category) for cell in self._first)

    @cached_property
    def texts(self) -> tuple[bool, ...]:
        """Whether each of these columns holds texts, as vectors."""
        return tuple(isinstance(cell, Component) for cell in self._first)

    @cached_property
    def measured(self) -> tuple[slice, ...]:
        """The features that each of these columns is judged by: of dates the time alone."""
        several = (not one or of for one, of in zip(self.numeric, self.texts, strict=True))
        both = zip(self.segments, several, strict=True)
        return tuple(at if all_ else slice(at.start, at.start + 1) for at, all_ in both)

    def values(self, raw: Rows) -> Tensor:
        """Return raw rows (n, cells) as values (n, features), NaN where one is missing."""
        cells = torch.from_numpy(np.array(raw, np.float64))
        values = self.table.expand(cells).clone()
        mean, deviation = self.units[:2, self.places]
        values[:, self.places] = (cells[:, self.cells] - mean) / deviation
        return values.float()

    def features(self, values: Tensor) -> Tensor:
        """Return complete values as features."""
        features = values.clone()
        mean, deviation = self.units[2:, self.places]
        numbers = (self._scaled(self._numbers(values)) - mean) / deviation
        features[:, self.places] = numbers.float()
        return features

    def raw(self, values: Tensor) -> Rows:
        """Return values as raw rows (n, cells): of levels the most likely one."""
        raw = self.table.collapse(values.double()).clone()
        raw[:, self.cells] = self._numbers(values)
        found: Rows = raw.numpy()
        return found

    @property
    def _first(self) -> list[Cell]:
        """The first cell of each column that is used."""
        cells = zip(self.table.cells, self.table.expansion.segments, strict=True)
        starting = {at.start: cell for cell, at in cells}
        return [starting[at.start] for at in self.segments]

    def _numbers(self, values: Tensor) -> Tensor:
        mean, deviation = self.units[:2, self.places]
        numbers: Tensor = values[:, self.places].double() * deviation + mean
        return numbers

    def _scaled(self, numbers: Tensor) -> Tensor:
        rows = numbers.new_zeros(len(numbers), len(self.table.cells))
        rows[:, self.cells] = numbers
        scaler = self.preparation.scaler
        found: Tensor = scaler.cut(scaler(rows))
        return torch.index_select(found, 1, torch.from_numpy(self.cells))

    def tensors(self) -> dict[str, Tensor]:
        """Return the units; the scaler is by itself."""
        return {"units": self.units}

    @classmethod
    def restored(
        cls, prepared: DensePreparation, table: Table, tensors: Mapping[str, Tensor]
    ) -> Self:
        """Return the space of :meth:`tensors`."""
        return cls(prepared, table, tensors["units"])


def _moments(columns: Tensor) -> tuple[Tensor, Tensor]:
    """Return means and deviations of known values; 1 for columns without any spread."""
    known = ~columns.isnan()
    count = known.sum(0).clamp_min(1)
    mean = columns.nan_to_num().sum(0) / count
    square = (torch.where(known, columns - mean, 0.0)).square().sum(0) / count
    deviation = square.sqrt()
    usual = deviation > 1e-12 * mean.abs().clamp_min(1e-300)
    return mean, torch.where(usual, deviation, 1.0)
