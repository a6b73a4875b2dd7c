"""Histories: series at regular steps, with their known-ahead columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.extensions import ExtensionDtype

from attar.data.kind import Json
from attar.data.points import LongTable, Points, SeriesForm
from attar.errors import DataError
from attar.tasks.steps import DAY, calendar, places_of_series

Array = NDArray[np.float64]
Integers = NDArray[np.intp]
Bools = NDArray[np.bool_]

# Days of the shortest month, of a month and of a year, and how many intervals tell a frequency.
SHORTEST, MONTH, YEAR, ENOUGH = 27, 30.436875, 365.25, 8

# The share of intervals that are alike where a frequency has changed.
ALIKE = 0.8


@dataclass(frozen=True)
class Clock:
    """How the times of series go on.

    Attributes
    ----------
    step : float
        The usual time from a step to the next: in seconds where times are dates.
    frequency : str or None
        Where steps are no multiple of a time: ``business days``, ``months`` or ``month ends``.
    """

    step: float
    frequency: str | None

    @classmethod
    def of(cls, points: Points, form: SeriesForm) -> Self:
        """Return the clock of some points."""
        step, frequency = points.typical_step(), None
        walls = None if not _has_dates(form, points.labels) else _wall(points.labels)
        if walls is not None and abs(step - DAY) < 1:
            if len(walls) >= ENOUGH and (walls.day_of_week < 5).all():
                frequency = "business days"
        elif walls is not None and step >= SHORTEST * DAY:
            if walls.is_month_end.all():
                frequency = "month ends"
            elif (walls.day == walls.day[0]).all():
                frequency = "months"
        return cls(step, frequency)

    def steps(self, points: Points) -> Integers:
        """Return the steps from each point's predecessor by series and time; 0 at a start.

        Raises
        ------
        DataError
            If two points are less than half a step apart.
        """
        if self.frequency != "business days":
            return points.steps(self.step)
        days = _wall(points.labels)[points.order].to_numpy("datetime64[D]")
        apart = np.busday_count(days[:-1], days[1:], weekmask="1111100")
        return np.where(np.isnan(points.intervals), 0, np.r_[0, apart]).astype(np.intp)

    def after(self, last: object, count: int) -> list[object]:
        """Return the times after the last one, in the form in which the user has them."""
        numbers = range(1, count + 1)
        if isinstance(last, pd.Period):
            return [last + i for i in numbers]
        if isinstance(last, int | np.integer) and float(self.step).is_integer():
            return [int(last) + i * int(self.step) for i in numbers]
        if isinstance(last, int | float | np.integer | np.floating):
            return [float(last) + i * self.step for i in numbers]
        step = pd.Timedelta(round(self.step * 1e9), unit="ns")
        if isinstance(last, pd.Timedelta):
            return [last + i * step for i in numbers]
        first = pd.Timestamp(last)  # type: ignore[arg-type]
        months = round(self.step / (MONTH * DAY))
        if self.frequency is None:
            times = [first + i * step for i in numbers]
        elif self.frequency == "business days":
            times = [first + pd.offsets.BDay(i) for i in numbers]
        else:
            times = [first + pd.DateOffset(months=i * months) for i in numbers]
        if self.frequency == "month ends":
            times = [time + pd.offsets.MonthEnd(0) for time in times]
        return (
            [_as_text(last, time) for time in times]
            if isinstance(last, str)
            else list[object](times)
        )

    def to_json(self) -> Json:
        """Return the step and the frequency."""
        return {"step": self.step, "frequency": self.frequency}


@dataclass(frozen=True)
class History:
    """One series at regular steps.

    Attributes
    ----------
    code : int
        Its number among those of the data.
    name : object
    rows : array (steps, channels)
        Of what is forecast; NaN where it is missing.
    known : array (steps + ahead, columns)
        Of known-ahead columns, of steps after the last one too.
    times : array (steps,)
        Seconds since 1970, or in the user's own unit.
    last : object
        The time of the last step, as the user has it.
    row : object
        The name of the user's row of the last step.
    dtype : dtype
        Of the times, as the user has them.
    """

    code: int
    name: object
    rows: Array
    known: Array
    times: Array
    last: object
    row: object
    dtype: np.dtype | ExtensionDtype

    @property
    def ahead(self) -> int:
        """The steps after the last one, of which columns are known."""
        return len(self.known) - len(self.rows)


def histories(
    points: Points, clock: Clock, forecast: Sequence[int], known: Sequence[int]
) -> Iterator[History]:
    """Yield each series of some points at regular steps.

    Parameters
    ----------
    points : Points
    clock : Clock
    forecast, known : sequence of int
        The channels that are forecast, and those of known-ahead columns. Where there are some of
        these, rows at the end without a value of the former are ahead.

    Raises
    ------
    DataError
        If a series has no value, or times do not increase, repeat, or change their frequency.
    """
    steps = clock.steps(points)
    of_point = np.empty(len(steps), np.intp)
    of_point[points.order] = steps
    values = points.values.astype(np.float64)
    for code, at in enumerate(places_of_series(points)):
        places = np.cumsum(of_point[at])
        grid = np.full((places[-1] + 1, values.shape[1]), np.nan)
        grid[places] = values[at]
        times = np.interp(np.arange(len(grid)), places, points.earliest + points.times[at])
        rows, own = grid[:, forecast], grid[:, known]
        present = np.flatnonzero(~np.isnan(rows).all(1))
        if not len(present):
            raise DataError(f"{_series(points, code)} has no value to forecast from: leave it out.")
        length = present[-1] + 1 if len(known) else len(rows)
        end = at[np.searchsorted(places, length - 1, side="right") - 1]
        name, last = points.names[code], points.labels.iloc[end]
        row, dtype = points.labels.index[end], points.labels.dtype
        yield History(code, name, rows[:length], own, times[:length], last, row, dtype)


def check_times(points: Points, clock: Clock) -> None:
    """Refuse times that do not increase, or whose frequency changes.

    Raises
    ------
    DataError
        That names the first such row.
    """
    by_series = np.argsort(points.codes, kind="stable")
    back = (np.diff(points.times[by_series]) < 0) & (np.diff(points.codes[by_series]) == 0)
    for place in np.flatnonzero(back)[:1]:
        (row, other), (time, later) = (
            points.labels.index[by_series[place : place + 2]],
            points.labels.iloc[by_series[place : place + 2]],
        )
        raise DataError(
            f"Times do not increase: the row {other} ({later}) comes after {row} ({time}): sort "
            "the table by time."
        )
    steps = clock.steps(points)
    for code, at in enumerate(places_of_series(points)):
        starts = np.flatnonzero(points.codes[points.order] == code)[1:]
        apart = steps[starts]
        some = max(ENOUGH, len(apart) // 10)
        for end, later in ((apart[:some], False), (apart[-some:], True)):
            usual = int(np.median(end)) if len(apart) >= 2 * ENOUGH else 1
            if usual == 1 or (end == usual).mean() < ALIKE:
                continue
            others = np.flatnonzero(apart != usual)
            first = others[-1] + 1 if later else others[0]
            raise DataError(
                f"{_series(points, code)} changes its frequency at "
                f"{points.labels.iloc[at[first]]}: steps of {clock.step:g}, and of {usual} times "
                "as much: bring it to one, for example with DataFrame.resample."
            )


def features_of_times(form: SeriesForm, times: Array) -> Array:
    """Return features of dates: the place in the day, the week and the year.

    Where times are no dates, it has no column.
    """
    if not isinstance(form, LongTable) or form.clock != "dates":
        return np.empty((len(times), 0))
    days = np.floor(times / DAY)
    weekdays = (days[:, None] + 3) % 7 == np.arange(7)
    angles = 2 * np.pi * times[:, None] / (YEAR * DAY) * np.arange(1, 3)
    return np.concatenate(
        [calendar(form, times)[:, 1:], weekdays, np.sin(angles), np.cos(angles)], 1
    )


def seconds(labels: Sequence[object]) -> Array:
    """Return times that follow each other as seconds since 1970, or numbers as they are."""
    if isinstance(labels[0], int | float):
        return np.array(labels, np.float64)
    if isinstance(labels[0], pd.Timedelta):
        durations = [label for label in labels if isinstance(label, pd.Timedelta)]
        return np.array([label.total_seconds() for label in durations])
    labels = [label.to_timestamp() if isinstance(label, pd.Period) else label for label in labels]
    return np.array([pd.Timestamp(label).timestamp() for label in labels])  # type: ignore[arg-type]


def _series(points: Points, code: int) -> str:
    return f"The series {points.names[code]}" if len(points.names) > 1 else "The series"


def _has_dates(form: SeriesForm, labels: pd.Series) -> bool:
    return isinstance(form, LongTable) and form.clock == "dates" and labels.dtype.kind != "m"


def _wall(labels: pd.Series) -> pd.DatetimeIndex:
    """Return dates as clocks on the wall showed them."""
    if isinstance(labels.dtype, pd.PeriodDtype):
        return pd.DatetimeIndex(labels.dt.to_timestamp())
    if labels.dtype.kind != "M" and not isinstance(labels.dtype, pd.DatetimeTZDtype):
        labels = pd.to_datetime(labels.astype(str), format="ISO8601", utc=True)
    return pd.DatetimeIndex(labels).tz_localize(None)


def _as_text(like: str, time: pd.Timestamp) -> str:
    """Return a time written as another one is."""
    if len(like) == 10 and time == time.normalize():
        return time.strftime("%Y-%m-%d")
    text = time.isoformat(sep="T" if "T" in like else " ")
    short = len(like) == 16 and text.endswith(":00")
    return text[:-3] if short else text
