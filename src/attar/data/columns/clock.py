"""Columns of durations, and of times of day."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from attar.data.cells import Cell, Number, Phase
from attar.data.columns.arrow import coarsest, from_ticks, ticks, ticks_per_day
from attar.data.columns.column import Array, Column, Survey, unscaled
from attar.data.summary import Moments


@dataclass(frozen=True)
class DurationColumn(Column, tag="duration"):
    """Durations: how many steps long they are.

    Parameters
    ----------
    step : int
        The largest natural unit (day, hour, minute, ...) that divides all values, in ticks.
    """

    step: int

    @property
    def cells(self) -> tuple[Cell, ...]:
        """One number."""
        return (Number(self.name),)

    def encode(self, array: pa.ChunkedArray) -> Array:
        """Return the steps."""
        values, known = ticks(array.cast(self.type, safe=False))
        whole, rest = np.divmod(values, self.step)
        return np.where(known, whole + rest / self.step, np.nan)[:, None]

    def decode(self, rows: Array) -> pa.Array:
        """Return the nearest durations of whole steps."""
        known = ~np.isnan(rows[:, 0])
        most = (2**63 - 1024) // self.step
        steps = np.rint(np.where(known, rows[:, 0], 0)).clip(-most, most)
        return from_ticks(steps.astype(np.int64) * self.step, known, self.type)


@dataclass(frozen=True)
class TimeColumn(Column, tag="time"):
    """Times of day: the turn of the day.

    Parameters
    ----------
    step : int
        The largest natural unit (hour, minute, ...) that divides all values, in ticks.
    """

    step: int

    @property
    def cells(self) -> tuple[Cell, ...]:
        """One phase."""
        return (Phase(self.name, "day"),)

    def encode(self, array: pa.ChunkedArray) -> Array:
        """Return the turn of the day."""
        values, known = ticks(array.cast(self.type, safe=False))
        return np.where(known, values / ticks_per_day(self.type), np.nan)[:, None]

    def decode(self, rows: Array) -> pa.Array:
        """Return the nearest times of whole steps."""
        known = ~np.isnan(rows[:, 0])
        steps_per_day = ticks_per_day(self.type) // self.step
        steps = np.rint(np.where(known, rows[:, 0], 0) * steps_per_day).astype(np.int64)
        return from_ticks(steps % steps_per_day * self.step, known, self.type)


class TicksSurvey(Survey):
    """The extremes of durations or times of day, what divides them, and their moments."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.seen = Moments.none(1)
        self.divisor = 0

    def add(self, array: pa.ChunkedArray) -> None:
        """Look at the next piece, in which some value is known."""
        values, known = ticks(array)
        values = values[known]
        self.observed += len(values)
        self.widen(int(values.min()), int(values.max()))
        self.divisor = int(np.gcd(self.divisor, np.gcd.reduce(values)))
        self.seen = self.seen.merged(Moments.of(values.astype(np.float64)[:, None]))


class DurationSurvey(TicksSurvey):
    """What is found out about durations."""

    def column(self, type_: pa.DataType, n: int, sample: pa.ChunkedArray) -> Column:
        """Return a column of durations."""
        return DurationColumn(self.name, type_, coarsest(self.divisor, type_))

    def moments(self, column: DurationColumn) -> Moments:
        """Return the moments of the steps."""
        seen, step = self.seen, float(column.step)
        squares = seen.squares / step**2
        return Moments(seen.count, seen.mean / step, squares, seen.low / step, seen.high / step)


class TimeSurvey(TicksSurvey):
    """What is found out about times of day."""

    def column(self, type_: pa.DataType, n: int, sample: pa.ChunkedArray) -> Column:
        """Return a column of times of day."""
        return TimeColumn(self.name, type_, coarsest(self.divisor, type_))

    def moments(self, column: TimeColumn) -> Moments:
        """Return how many there are."""
        return unscaled(self.observed, 1)
