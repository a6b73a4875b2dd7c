"""Dates, times and durations."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from math import gcd
from typing import Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from attar.data.cells import Cell, Number, Phase
from attar.data.columns.arrow import (
    TEXT,
    Ticks,
    coarsest,
    from_ticks,
    plain_text,
    sort_of,
    ticks,
    ticks_per_day,
)
from attar.data.columns.base import Array, Column, ColumnProfile, unscaled
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
        quotient, rest = np.divmod(values, self.step)
        return np.where(known, quotient + rest / self.step, np.nan)[:, None]

    def decode(self, rows: Array) -> pa.Array:
        """Return the nearest multiples of the step."""
        known = ~np.isnan(rows[:, 0])
        most = (2**63 - 1024) // self.step
        steps = np.rint(np.where(known, rows[:, 0], 0)).clip(-most, most)
        return from_ticks(steps.astype(np.int64) * self.step, known, self.type)


@dataclass(frozen=True)
class TimeColumn(Column, tag="time"):
    """Times of day: the phase of the day.

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
        """Return the phase of the day."""
        values, known = ticks(array.cast(self.type, safe=False))
        return np.where(known, values / ticks_per_day(self.type), np.nan)[:, None]

    def decode(self, rows: Array) -> pa.Array:
        """Return the nearest multiples of the step."""
        known = ~np.isnan(rows[:, 0])
        steps_per_day = ticks_per_day(self.type) // self.step
        steps = np.rint(np.where(known, rows[:, 0], 0) * steps_per_day).astype(np.int64)
        return from_ticks(steps % steps_per_day * self.step, known, self.type)


class TicksProfile(ColumnProfile):
    """The extremes of durations or times of day, what divides them, and their moments."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.seen = Moments.none(1)
        self.divisor = 0

    def add(self, array: pa.ChunkedArray) -> None:
        """Add the next piece, in which some value is not missing."""
        values, known = ticks(array)
        values = values[known]
        self.observed += len(values)
        self.widen(int(values.min()), int(values.max()))
        self.divisor = int(np.gcd(self.divisor, np.gcd.reduce(values)))
        self.seen = self.seen.merged(Moments.of(values.astype(np.float64)[:, None]))

    def merge(self, other: Self) -> None:
        """Add the statistics of further rows."""
        super().merge(other)
        self.divisor = gcd(self.divisor, other.divisor)
        self.seen = self.seen.merged(other.seen)


class DurationProfile(TicksProfile):
    """Statistics of durations."""

    def column(self, type_: pa.DataType, n: int, sample: pa.ChunkedArray) -> Column:
        """Return a column of durations."""
        return DurationColumn(self.name, type_, coarsest(self.divisor, type_))

    def moments(self, column: DurationColumn) -> Moments:
        """Return the moments of the steps."""
        seen, step = self.seen, float(column.step)
        squares = seen.squares / step**2
        return Moments(seen.count, seen.mean / step, squares, seen.low / step, seen.high / step)


class TimeProfile(TicksProfile):
    """Statistics of times of day."""

    def column(self, type_: pa.DataType, n: int, sample: pa.ChunkedArray) -> Column:
        """Return a column of times of day."""
        return TimeColumn(self.name, type_, coarsest(self.divisor, type_))

    def moments(self, column: TimeColumn) -> Moments:
        """Return how many there are."""
        return unscaled(self.observed, 1)


# How many texts are tried first, which saves most of the work.
FIRST = 100


@dataclass(frozen=True)
class DateText:
    """A form in which dates are written.

    Parameters
    ----------
    pattern : str
        Of strftime; ``%S`` has the fraction that the type has.
    type : pyarrow.DataType

    Examples
    --------
    >>> german = DateText("%d.%m.%Y", pa.date32())
    >>> german.read(pa.chunked_array([["31.01.2024"]], TEXT)).to_pylist()
    [datetime.date(2024, 1, 31)]
    >>> german.read(pa.chunked_array([["31.1.2024"]], TEXT))
    """

    pattern: str
    type: pa.DataType

    def read(self, texts: pa.ChunkedArray) -> pa.ChunkedArray | None:
        """Return texts as dates; None if one of them is not exactly of this form."""
        for part in (texts[:FIRST], texts):
            try:
                if self.pattern.startswith("%Y-"):
                    dates = part.cast(self.type)
                else:
                    dates = pc.strptime(part, self.pattern, "s").cast(self.type)
                if not pc.all(pc.equal(self.written(dates), part), min_count=0).as_py():
                    return None
            except pa.ArrowException:
                return None
        return dates

    def written(self, dates: pa.ChunkedArray) -> pa.ChunkedArray:
        """Return dates as texts."""
        return pc.strftime(dates, self.pattern).cast(TEXT)


def _forms() -> list[DateText]:
    """Return the known forms: ISO's, and those with day or month first."""
    units = [pa.timestamp(unit) for unit in ("s", "ms", "us", "ns")]
    forms = [DateText("%Y-%m-%d", pa.date32())]
    for mark in " T":
        forms.append(DateText(f"%Y-%m-%d{mark}%H:%M", units[0]))
        for unit, zone in product(units, ("", "Z", "+00:00")):
            type_ = pa.timestamp(unit.unit, "UTC") if zone else unit
            forms.append(DateText(f"%Y-%m-%d{mark}%H:%M:%S{zone}", type_))
    forms.append(DateText("%Y/%m/%d", pa.date32()))
    for day in ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y"):
        forms.append(DateText(day, pa.date32()))
        forms += [DateText(f"{day} {clock}", units[0]) for clock in ("%H:%M", "%H:%M:%S")]
    return forms


FORMS = _forms()


def date_forms(texts: pa.ChunkedArray) -> list[DateText]:
    """Return the forms in which all texts are written; of 01/02/2024 there are two."""
    return [form for form in FORMS if form.read(texts) is not None]


# New dates are kept within the years 1 to 9999, in days since 1970.
FIRST_DAY, LAST_DAY = -719_162, 2_932_896

THURSDAY = 3  # the weekday of 1970-01-01


@dataclass(frozen=True)
class DatetimeColumn(Column, tag="datetime"):
    """Dates and times: the time since the first of them, and phases of day, week and year.

    A date is decoded as the trend, moved to the nearest time with the right time of day where that
    is a phase, then rounded to a multiple of the step. Days are those of the column's time zone.

    Parameters
    ----------
    first : int
        The smallest value, in ticks of the type.
    step : int
        The largest natural unit (day, hour, minute, ...) that divides the time from the first to
        every other value, in ticks.
    phases : tuple of str
        Of ``"day"``, ``"week"`` and ``"year"`` the periods that the values span at least once.
    """

    first: int
    step: int
    phases: tuple[str, ...]

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The trend in steps, and the phases."""
        return (Number(self.name), *(Phase(self.name, period) for period in self.phases))

    def fitting(self, array: pa.ChunkedArray) -> pa.ChunkedArray:
        """Return new values as dates: text too, where it is written in just one known form."""
        if sort_of(array.type) == "text":
            forms = date_forms(plain_text(array))
            found = forms[0].read(plain_text(array)) if len(forms) == 1 else None
            array = array if found is None else found
        return super().fitting(array)

    def encode(self, array: pa.ChunkedArray) -> Array:
        """Return the steps since the first value, and phases."""
        time, known = ticks(array.cast(self.type, safe=False))
        local = local_ticks(time, self.type)
        cells = [_signed(time, self.first, self.step)]
        cells += [phases_of(local, ticks_per_day(self.type), period) for period in self.phases]
        rows = np.column_stack(cells)
        rows[~known] = np.nan
        return rows

    def decode(self, rows: Array) -> pa.Array:
        """Return the nearest times that agree with trend, time of day, and step."""
        known = ~np.isnan(rows[:, 0])
        time = self._trend(np.where(known, rows[:, 0], 0))
        local = local_ticks(time, self.type)
        target = local
        if "day" in self.phases:
            phase = rows[:, 1 + self.phases.index("day")]
            target = _at_time_of_day(local, phase, ticks_per_day(self.type))
        target = _rounded(target, self._origin, self.step)
        time = time + (target - local)
        if getattr(self.type, "tz", None):
            # Daylight saving may have changed in between: once more.
            time = time + (target - local_ticks(time, self.type))
        return from_ticks(time, known, self.type)

    def _trend(self, steps: Array) -> Ticks:
        """Return steps since the first value as ticks, within the years 1 to 9999."""
        day = ticks_per_day(self.type)
        bound = 2**63 // day - 2
        low, high = max(FIRST_DAY, -bound) * day, min(LAST_DAY, bound) * day
        before, after = min(low - self.first, 0), max(high - self.first, 0)
        steps = steps.clip(before / self.step, after / self.step)
        # In halves, for the distance may be more than a signed integer holds.
        half = np.floor(steps / 2)
        rest = np.rint((steps - 2 * half) * self.step).astype(np.int64)
        trend: Ticks = np.int64(self.first) + 2 * (half.astype(np.int64) * self.step) + rest
        return trend

    @property
    def _origin(self) -> int:
        return int(local_ticks(np.array([self.first]), self.type)[0])


class DatetimeProfile(ColumnProfile):
    """The span of dates, what divides them, and their moments."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.seen = Moments.none(1)
        self.start = self.origin = 0
        self.divisor = 0

    def add(self, array: pa.ChunkedArray) -> None:
        """Add the next piece, in which some value is not missing."""
        time, known = ticks(array)
        time = time[known]
        local = local_ticks(time, array.type)
        if not self.observed:
            self.start, self.origin = int(time[0]), int(local[0])
        self.observed += len(time)
        self.widen(int(time.min()), int(time.max()))
        self.divisor = int(np.gcd(self.divisor, np.gcd.reduce(_ticks_since(local, self.origin))))
        self.seen = self.seen.merged(Moments.of(_signed(time, self.start, 1)[:, None]))

    def merge(self, other: Self) -> None:
        """Add the statistics of further rows, whose distances are from another start."""
        if self.observed and other.observed:
            ahead = other.start - self.start
            shifted = {name: getattr(other.seen, name) + ahead for name in ("mean", "low", "high")}
            self.seen = self.seen.merged(replace(other.seen, **shifted))
            self.divisor = gcd(self.divisor, other.divisor, other.origin - self.origin)
        elif other.observed:
            self.seen, self.divisor = other.seen, other.divisor
            self.start, self.origin = other.start, other.origin
        super().merge(other)

    def column(self, type_: pa.DataType, n: int, sample: pa.ChunkedArray) -> Column:
        """Return a column of dates."""
        day, span = ticks_per_day(type_), self.high - self.low
        step = coarsest(self.divisor, type_)
        time, known = ticks(sample.cast(type_))
        local = local_ticks(time[known], type_)
        phases = [
            period
            for period, days in (("day", 1), ("week", 7), ("year", 365))
            if span >= days * day and len(np.unique(phases_of(local, day, period))) > 1
        ]
        return DatetimeColumn(self.name, type_, self.low, step, tuple(phases))

    def moments(self, column: DatetimeColumn) -> Moments:
        """Return the moments of the trend in steps; phases are not scaled."""
        seen, step = self.seen, column.step
        trend = Moments(
            seen.count,
            (seen.mean + (self.start - column.first)) / step,
            seen.squares / float(step) ** 2,
            np.zeros(1),
            np.array([(self.high - self.low) / step]),
        )
        return Moments.beside([trend, unscaled(self.observed, *[1.0] * len(column.phases))])


def local_ticks(time: Ticks, type_: pa.DataType) -> Ticks:
    """Return ticks of the clock in the type's time zone."""
    zone = getattr(type_, "tz", None)
    if zone in (None, "UTC"):
        return time
    index = pd.DatetimeIndex(time.view(f"M8[{type_.unit}]")).tz_localize("UTC")
    local: Ticks = index.tz_convert(zone).tz_localize(None).asi8
    return local


def phases_of(local: Ticks, day: int, period: str) -> Array:
    """Return phases: the fraction that has passed of the day, the days of the week, or the year.

    Parameters
    ----------
    local : int array (n,)
        Ticks since the start of 1970.
    day : int
        How many ticks a day has.
    """
    days, clock = np.divmod(local, day)
    if period == "day":
        return clock / day
    if period == "week":
        return ((days + THURSDAY) % 7) / 7
    years = days.astype("M8[D]").astype("M8[Y]")
    start = years.astype("M8[D]").astype(np.int64)
    end = (years + 1).astype("M8[D]").astype(np.int64)
    return (days - start + clock / day) / (end - start)


def _ticks_since(time: Ticks, first: int) -> NDArray[np.uint64]:
    """Return the distance from a value, which may be more than a signed integer holds."""
    one = np.int64(first)
    return np.maximum(time, one).view(np.uint64) - np.minimum(time, one).view(np.uint64)


def _signed(time: Ticks, first: int, step: int) -> Array:
    """Return the steps from a value on, exactly where they are integers."""
    quotient, rest = np.divmod(_ticks_since(time, first), np.uint64(step))
    return np.where(time < first, -1.0, 1.0) * (quotient + rest / step)


def _at_time_of_day(local: Ticks, phase: Array, day: int) -> Ticks:
    """Return the nearest times that have this phase of the day, where it is not missing."""
    ahead = (phase * day - local % day + day / 2) % day - day / 2
    return local + np.rint(np.nan_to_num(ahead)).astype(np.int64)


def _rounded(local: Ticks, origin: int, step: int) -> Ticks:
    """Return the nearest times that are a multiple of the step away from an origin."""
    over = (local % step - origin % step) % step
    return local - over + np.where(2 * over >= step, step, 0)
