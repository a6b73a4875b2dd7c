"""Time series: cut into overlapping windows, and averaged back to their points."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.lib.stride_tricks import sliding_window_view

from attar.checks import positive_integer
from attar.data.clips import Clips
from attar.data.kind import Json, Kind, Portion, Rows, require_finite
from attar.data.points import (
    Array,
    Integers,
    LongTable,
    Name,
    Points,
    SeriesForm,
    Stack,
    TableOrArray,
)
from attar.data.scaling import Scaling, Standard
from attar.data.stream import Sample, SupportsArrow, Tabular
from attar.data.stream import pieces as pieces_of
from attar.data.summary import Moments, Summary
from attar.errors import DataError, SettingError

FORMS: dict[str, type[SeriesForm]] = {form.name: form for form in (LongTable, Stack)}

# Steps of a window, and how many windows there are at most before they overlap less.
WINDOW, WINDOWS = 96, 20_000


@dataclass(frozen=True, eq=False)
class Series:
    """Data that are time series.

    Parameters
    ----------
    data : DataFrame, any other table, or array
        A table with a row for each point, in any order; or an array (series, steps, channels), or
        (series, steps).
    time : str, int or None
        The column of times: dates, text of ISO dates, durations, or numbers. None takes the index
        where it holds dates, else the rows of a series are consecutive steps.
    series : str, int or None
        The column that names each row's series. None for one series.
    window : int or None
        The number of steps in a window, which is one row for the model. None takes an array's
        steps, where it has several series; else 96, at most the length of most series and a tenth
        of all points.
    stride : int or None
        The steps from a window to the next. None takes about an eighth of the window.

    Raises
    ------
    SettingError
        If window or stride is no integer above 0.

    Notes
    -----
    All other columns are channels, and must hold numbers. NaN is a missing value. So is each step
    that is absent from the table: a step is the usual time from a point to the next, and each
    interval is rounded to steps, so that months and drifting clocks are regular too. Two
    points less than half a step apart are refused. Where a whole window of steps or more is
    absent, the series is split.

    Where the means of a channel differ between series more than it varies within them, each series
    is standardized by its own mean and deviation there. Reconstructions are scaled back by these;
    new windows by those of a typical series.

    Examples
    --------
    Windows of three steps; the third day is absent, so its value is missing.

    >>> import pandas as pd
    >>> import attar
    >>> from attar.data.series import Windows
    >>> days = pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-04", "2024-01-05"])
    >>> table = pd.DataFrame({"day": days, "load": [1.0, 2.0, 4.0, 5.0]})
    >>> series = attar.Series(table, time="day", window=3, stride=1)
    >>> kind, _ = Windows.of([series])
    >>> kind.rows(series)[:, 0]
    array([[ 1.,  2., nan],
           [ 2., nan,  4.],
           [nan,  4.,  5.]])
    """

    data: Tabular = field(repr=False)
    time: Name | None = None
    series: Name | None = None
    window: int | None = None
    stride: int | None = None

    def __post_init__(self) -> None:
        for name in ("window", "stride"):
            value = getattr(self, name)
            if value is not None:
                positive_integer(name, value, "None or ")


@dataclass(frozen=True)
class Layout:
    """The positions of points on one grid of steps, and of windows over it.

    Series follow each other on the grid. Where a series lacks a whole window of steps or more, it
    is split into segments, so that each window holds a point. A segment that is shorter than
    a window is padded at its end. The last window of a segment ends with it.

    Attributes
    ----------
    order : int array (m,)
        The points' numbers in the order of the grid.
    places : int array (m,)
        Their steps, ascending.
    starts : int array (n,)
        The first step of each window, ascending.
    window, length : int
        The steps of a window, and of the grid.
    """

    order: Integers
    places: Integers
    starts: Integers
    window: int
    length: int

    @classmethod
    def of(cls, order: Integers, steps: Integers, window: int, stride: int) -> Self:
        """Return the layout of points.

        Parameters
        ----------
        order : int array (m,)
            The points' numbers by series and time.
        steps : int array (m,)
            The steps from each point's predecessor in this order; 0 at the start of a series.
        window : int
        stride : int
            The steps from a window to the next.

        Examples
        --------
        >>> layout = Layout.of(np.arange(4), np.array([0, 1, 2, 1]), window=3, stride=2)
        >>> layout.places, layout.starts
        (array([0, 1, 3, 4]), array([0, 2]))
        """
        splits = (steps == 0) | (steps > window)
        first = np.flatnonzero(splits)
        segment = np.cumsum(splits) - 1
        covered = np.cumsum(np.where(splits, 0, steps))
        inside = covered - covered[first][segment]
        lengths = np.maximum(inside[np.append(first[1:], len(steps)) - 1] + 1, window)
        offsets = np.cumsum(lengths) - lengths
        room = lengths - window
        counts = -(-room // stride) + 1
        of = np.repeat(np.arange(len(counts)), counts)
        number = np.arange(len(of)) - (np.cumsum(counts) - counts)[of]
        starts = offsets[of] + np.minimum(number * stride, room[of])
        return cls(order, offsets[segment] + inside, starts, window, int(lengths.sum()))

    def cut(self, values: Rows) -> Rows:
        """Return the windows of points (m, channels): (n, channels, window), NaN between them."""
        grid = np.full((values.shape[1], self.length), np.nan, values.dtype)
        grid[:, self.places] = values[self.order].T
        views = sliding_window_view(grid, self.window, axis=1)
        windows: Rows = views[:, self.starts].transpose(1, 0, 2)
        return windows

    def averaged(self, windows: Rows) -> Rows:
        """Return the mean of all windows at each point, in double precision: (m, channels).

        NaN is ignored; where all are NaN, so is the mean.
        """
        steps = (self.starts[:, None] + np.arange(self.window)).ravel()
        points = np.empty((len(self.order), windows.shape[1]))
        for channel in range(windows.shape[1]):
            values = windows[:, channel].ravel()
            present = ~np.isnan(values)
            total = np.bincount(steps, np.where(present, values, 0.0), self.length)
            count = np.bincount(steps, present, self.length)
            mean = np.divide(total, count, np.full(self.length, np.nan), where=count > 0)
            points[self.order, channel] = mean[self.places]
        return points

    def ends(self) -> tuple[Integers, Integers]:
        """Return the numbers of the first and of the last point in each window."""
        first, last = self._reach()
        return self.order[first], self.order[last]

    def extents(self) -> Integers:
        """Return the steps of the first and of the last point within each window: (n, 2)."""
        return self.places[np.stack(self._reach(), axis=1)] - self.starts[:, None]

    def _reach(self) -> tuple[Integers, Integers]:
        first = np.searchsorted(self.places, self.starts)
        last = np.searchsorted(self.places, self.starts + self.window) - 1
        return first, last


def suitable_window(lengths: Integers) -> int:
    """Return 96 steps; fewer where most series are shorter, or where there would be < 10 windows.

    Parameters
    ----------
    lengths : int array (series,)
        The number of points of each series.
    """
    return max(2, min(WINDOW, int(np.median(lengths)), int(lengths.sum()) // 10))


def suitable_stride(window: int, points: int) -> int:
    """Return about an eighth of a window; up to half of it where that makes too many windows.

    A stride that shares a factor with the length of a day, week or year would sample only
    some of its phases: on hourly loads, principal components of windows 12 steps apart have twice
    the error of those of windows 11 steps apart.
    """
    most = min(window / 2, max(window / 8, points / WINDOWS))
    return next((s for s in range(int(most), 1, -1) if math.gcd(s, 2 * 3 * 5 * 7) == 1), 1)


@dataclass(frozen=True)
class Passthrough:
    """What restores a user's own series from windows.

    Attributes
    ----------
    data : DataFrame or array
    layout : Layout
    mean, deviation : array (m, channels), or what broadcasts to it
        What standardized each point's value.
    """

    data: TableOrArray
    layout: Layout
    mean: Array
    deviation: Array


@dataclass(frozen=True)
class Windows(Kind):
    """The form of time series, as windows (channels, window).

    Parameters
    ----------
    form : SeriesForm
        The form in which the user has them.
    window, stride : int
    step : float
        The time from a point to the next, in seconds where times are dates.
    channels_used : tuple of int
        The numbers of the channels that have values.
    typical : tuple of ((float, float) or None)
        Mean and deviation of a typical series, for each of these channels that is standardized
        within each series; None for one that is not.
    """

    form: SeriesForm
    window: int
    stride: int
    step: float
    channels_used: tuple[int, ...]
    typical: tuple[tuple[float, float] | None, ...]

    name = "series"
    part = "channel"

    @property
    def shape(self) -> tuple[int, ...]:
        """(channels, window)."""
        return (len(self.channels_used), self.window)

    @classmethod
    def of(cls, pieces: Iterable[object]) -> tuple[Self, Summary]:
        """Return the form and the summary of series.

        Series are read whole: windows need neighbouring points, wherever their rows are.

        Raises
        ------
        DataError
            If they have no values, or times or channels that cannot be read.
        SettingError
            If the stride is larger than the window.
        """
        data, options = joined(pieces)
        form = form_of_series(data, options)
        points = finite_points(form, data)
        channels_used = np.flatnonzero(~np.isnan(points.values).all(0))
        if not len(channels_used):
            raise DataError("The series have no values: all of their points are missing.")
        lengths = np.bincount(points.codes)
        several = isinstance(form, Stack) and len(lengths) > 1
        window = options.window or (lengths[0] if several else suitable_window(lengths))
        stride = options.stride or suitable_stride(window, len(points.codes))
        if stride > window:
            raise SettingError(
                f"stride={stride} would leave out steps between windows of {window}: make it "
                "smaller."
            )
        typical = typical_series(points.values[:, channels_used], points.codes)
        step = points.typical_step()
        kind = cls(form, int(window), int(stride), step, tuple(channels_used.tolist()), typical)
        rows = kind._cut(points)
        sample = Sample(lambda rows, places: rows[places])
        sample.add(rows, len(rows))
        kept, places = sample.result(np.concatenate)
        return kind, Summary(len(rows), Moments.of(kind.columns(rows)), kept, places)

    def accepts(self, other: type[Kind]) -> bool:
        """Return whether it is a table or an array: new data need not be a ``Series``."""
        return other.name in ("series", "table", "images")

    def pieces(self, data: object) -> Iterable[object]:
        """Return series as one piece: a window has its points wherever their rows are."""
        return [data]

    def rows(self, data: object) -> Rows:
        """Return the windows of series: (n, channels, window), NaN where a point is missing.

        Parameters
        ----------
        data : Series, DataFrame, any other table, or array
            With the columns that were fitted. A table may have a column ``series`` too where there
            was one series only.
        """
        return self._cut(finite_points(self.form, self._checked(data)))

    def passthrough(self, data: object) -> Passthrough:
        """Return the series, their layout, and the means and deviations of their points."""
        table = self._checked(data)
        points = finite_points(self.form, table)
        return Passthrough(table, self._layout(points), *self._means_and_deviations(points))

    def index(self, data: object) -> pd.DataFrame:
        """Return a row for each window: its series, and the times of its first and last point.

        The columns are that of series, where there is one, ``start`` and ``end``. An array's series
        and steps are numbered from 0.
        """
        points = finite_points(self.form, self._checked(data))
        first, last = self._layout(points).ends()
        times = points.labels
        index = pd.DataFrame({"start": times.iloc[first].array, "end": times.iloc[last].array})
        if points.names.name is not None:
            names = points.names[points.codes[first]]
            index.insert(0, points.names.name, names, allow_duplicates=True)
        return index

    def extents(self, data: object) -> Integers:
        """Return the steps of the first and of the last point within each window: (n, 2)."""
        return self._layout(finite_points(self.form, self._checked(data))).extents()

    def restore(self, rows: Rows, passthrough: Passthrough | None = None) -> TableOrArray:
        """Return series with the mean of all windows at each of their points.

        Parameters
        ----------
        rows : array (n, channels, window)
        passthrough : Passthrough or None
            With it, a table has the user's rows, times, columns and index, an array the user's
            shape; channels that are not used keep their values. Without, each window is a
            series of its own: a table has the column of series, or ``series``, with the window's
            number, and times since the window's start.
        """
        if passthrough is None:
            mean, deviation = self._typical_values()
            windows = np.full((len(rows), self.window, len(self.form.channels)), np.nan)
            windows[..., self.channels_used] = rows.transpose(0, 2, 1) * deviation + mean
            return self.form.from_windows(windows, self.step)
        values = passthrough.layout.averaged(rows) * passthrough.deviation + passthrough.mean
        return self.form.with_values(passthrough.data, values, self.channels_used)

    def joined(self, parts: Sequence[object]) -> TableOrArray:
        """Return tables or arrays concatenated."""
        return joined(parts)[0]

    def scaling(self, summary: Summary) -> Scaling:
        """Return standardization."""
        return Standard()

    def columns(self, rows: Rows) -> Rows:
        """Return the channels: all steps of a window share one scale."""
        return rows.transpose(0, 2, 1).reshape(-1, len(self.channels_used))

    def spread(self, per_column: Array, neutral: float) -> Array:
        """Return the values as (channels, 1)."""
        return per_column.reshape(-1, 1)

    @property
    def overlap(self) -> int:
        """How many of the following windows share points with a window."""
        return -(-self.window // self.stride) - 1

    @property
    def portions(self) -> list[Portion]:
        """The channels."""
        remarks = dict(self.remarks)
        places = {channel: i for i, channel in enumerate(self.channels_used)}
        portions = []
        for i, name in enumerate(map(str, self.form.channels)):
            columns = slice(places[i], places[i] + 1) if i in places else slice(0, 0)
            advice = "" if i in places else "drop it"
            portions.append(Portion(name, "channel", columns, remarks.get(name, ""), advice))
        return portions

    @property
    def parts(self) -> list[tuple[str, slice]]:
        """The channels that are used."""
        names = [str(self.form.channels[channel]) for channel in self.channels_used]
        return [
            (name, slice(i * self.window, (i + 1) * self.window)) for i, name in enumerate(names)
        ]

    @property
    def remarks(self) -> list[tuple[str, str]]:
        """Channels without values, and those that are standardized within each series."""
        names = self.form.channels
        empty = [str(name) for i, name in enumerate(names) if i not in self.channels_used]
        pairs = zip(self.channels_used, self.typical, strict=True)
        standardized = [str(names[channel]) for channel, typical in pairs if typical]
        return [(name, "all of its values are missing") for name in empty] + [
            (name, "means differ: standardized within each series") for name in standardized
        ]

    def feature_names(self) -> list[str]:
        """Return channel[step]."""
        channels = self.form.channels
        return [f"{channels[i]}[{step}]" for i in self.channels_used for step in range(self.window)]

    def to_json(self) -> Json:
        """Return the form, windows, step, and channels."""
        return {
            "form": {"name": self.form.name, **self.form.to_json()},
            "window": self.window,
            "stride": self.stride,
            "step": self.step,
            "channels_used": list(self.channels_used),
            "typical": [pair and list(pair) for pair in self.typical],
        }

    @classmethod
    def from_json(cls, data: Json) -> Self:
        """Return the form that :meth:`to_json` described."""
        form = dict(data["form"])
        return cls(
            FORMS[form.pop("name")].from_json(form),
            data["window"],
            data["stride"],
            data["step"],
            tuple(data["channels_used"]),
            tuple(pair and (pair[0], pair[1]) for pair in data["typical"]),
        )

    def _checked(self, data: object) -> TableOrArray:
        """Return data as a DataFrame or an array, if its options are those that were fitted."""
        table, options = joined([data])
        fitted: dict[str, object] = {"window": self.window, "stride": self.stride}
        if isinstance(self.form, LongTable):
            fitted |= {"time": self.form.time, "series": self.form.series}
        for name, value in fitted.items():
            option = getattr(options, name)
            if option not in (None, value):
                raise DataError(
                    f"The model was fitted on series with {name}={value!r}: it cannot take them "
                    f"with {name}={option!r}."
                )
        return table

    def _layout(self, points: Points) -> Layout:
        return Layout.of(points.order, points.steps(self.step), self.window, self.stride)

    def _cut(self, points: Points) -> Rows:
        mean, deviation = self._means_and_deviations(points)
        values = (points.values[:, self.channels_used] - mean) / deviation
        return self._layout(points).cut(values.astype(points.values.dtype, copy=False))

    def _means_and_deviations(self, points: Points) -> tuple[Array, Array]:
        """Return what standardizes each value: (m, channels), or (channels,)."""
        mean, deviation = self._typical_values()
        standardized = np.array([pair is not None for pair in self.typical])
        if not standardized.any():
            return mean, deviation
        values = points.values[:, self.channels_used].astype(np.float64)
        series = pd.DataFrame(values).groupby(points.codes)
        means, deviations = series.mean().to_numpy(), series.std().to_numpy()
        # A series without a value, or without two that differ, takes what is typical.
        means = np.where(standardized & ~np.isnan(means), means, mean)
        deviations = np.where(standardized & (deviations > 0), deviations, deviation)
        return means[points.codes], deviations[points.codes]

    def _typical_values(self) -> tuple[Array, Array]:
        mean, deviation = np.array([pair or (0.0, 1.0) for pair in self.typical]).T
        return mean, deviation


def form_of_series(data: TableOrArray, options: Series) -> SeriesForm:
    """Return the form in which the user has series.

    Raises
    ------
    DataError
        If times or channels cannot be read.
    """
    if isinstance(data, pd.DataFrame):
        return LongTable.of(data, options.time, options.series)
    if options.time is not None or options.series is not None:
        raise DataError("An array has no columns: leave time and series out.")
    return Stack.of(data)


def joined(parts: Iterable[object]) -> tuple[TableOrArray, Series]:
    """Return pieces of series, in any form, as one table or array, and the first's options."""
    parts = list(parts)
    given = [part.data if isinstance(part, Series) else part for part in parts]
    tables = [_table_or_array(piece) for data in given for piece in pieces_of(data)]
    options = parts[0] if isinstance(parts[0], Series) else Series(tables[0])
    if len(tables) == 1:
        return tables[0], options
    if isinstance(tables[0], pd.DataFrame):
        return pd.concat(map(pd.DataFrame, tables)), options
    return np.concatenate(tables), options


def _table_or_array(data: object) -> TableOrArray:
    if isinstance(data, pd.DataFrame):
        return data
    if isinstance(data, Clips):
        raise DataError(
            "Sound is no series: give its samples as an array (series, steps), such as "
            "np.stack(clips)."
        )
    if isinstance(data, SupportsArrow):
        frame: pd.DataFrame = pa.table(data).to_pandas()
        return frame
    try:
        array = np.asarray(data)
        return array.astype(np.float64) if array.dtype.kind == "O" else array
    except (TypeError, ValueError):
        raise DataError(
            "The series are neither a table nor an array of numbers (series, steps[, channels]): "
            "give series of different lengths as one table, under each other."
        ) from None


def finite_points(form: SeriesForm, data: TableOrArray) -> Points:
    """Return the points of series.

    Raises
    ------
    DataError
        If they are of another form, or infinite.
    """
    points = form.points(data)
    require_finite(points.values, lambda place: form.describe(place[0]))
    return points


def typical_series(values: Rows, codes: Integers) -> tuple[tuple[float, float] | None, ...]:
    """Return the median mean and deviation of series, for channels whose means differ."""
    frame = pd.DataFrame(values.astype(np.float64))
    series = frame.groupby(codes)
    means, deviations = series.mean().median(), series.std().median()
    differ = (deviations > 0) & (deviations < frame.std() / 2)
    pairs = zip(means, deviations, differ, strict=True)
    return tuple((float(m), float(s)) if standardized else None for m, s, standardized in pairs)
