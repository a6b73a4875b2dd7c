"""Time series: learnt in windows, and given back whole."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from attar.checks import positive_integer
from attar.data.kind import Kind, Portion, Rows, require_finite
from attar.data.scaling import Scaling, Standard
from attar.data.stream import Sample
from attar.data.stream import pieces as pieces_of
from attar.data.summary import Moments, Summary
from attar.data.windows.forms import LongTable, Name, Points, SeriesForm, Stack
from attar.data.windows.layout import Layout, suitable_stride, suitable_window
from attar.errors import DataError, SettingError

Array = NDArray[np.float64]

FORMS: dict[str, type[SeriesForm]] = {form.name: form for form in (LongTable, Stack)}


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
        where it holds dates, else the rows of a series follow each other.
    series : str, int or None
        The column that tells the series of a table apart. None for one series.
    window : int or None
        How many steps are learnt together. None takes an array's steps, where it has several
        series; else 96, at most the length of most series and a tenth of all points.
    stride : int or None
        The steps from a window to the next. None takes about an eighth of the window.

    Raises
    ------
    SettingError
        If window or stride is no integer above 0.

    Notes
    -----
    All other columns are channels, and must hold numbers. NaN is a missing point. So is each step
    that is absent from the table: a step is the usual time from a point to the next, and each
    difference is rounded to whole steps, so that months and drifting clocks are regular too. Two
    points less than half a step apart are refused. Where a whole window of steps or more is
    absent, nothing is put in.

    Where the levels of a channel differ from series to series more than it varies within them,
    each series is standardized by its own mean and deviation there. Reconstructions have them put
    back; new windows have those of a typical series.
    """

    data: Any = field(repr=False)
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
class Passthrough:
    """What gives a user's own series back.

    Attributes
    ----------
    data : DataFrame or array
    layout : Layout
    level, deviation : array (m, channels), or what broadcasts to it
        What each point's value was shifted and divided by.
    """

    data: Any
    layout: Layout
    level: Array
    deviation: Array


@dataclass(frozen=True)
class Windows(Kind):
    """The form of time series, as windows (channels, window).

    Parameters
    ----------
    form : Form
        How the user has them.
    window, stride : int
    step : float
        The time from a point to the next, in seconds where times are dates.
    channels_used : tuple of int
        The numbers of the channels that hold values.
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

    @property
    def shape(self) -> tuple[int, ...]:
        """(channels, window)."""
        return (len(self.channels_used), self.window)

    @classmethod
    def of(cls, pieces: Iterable[Any]) -> tuple[Self, Summary]:
        """Return the form and the summary of series.

        Series are read whole: windows need a series' points side by side, wherever its rows are.

        Raises
        ------
        DataError
            If they hold no value, or have times or channels that cannot be read.
        SettingError
            If the stride is larger than the window.
        """
        given = whole(pieces)
        form: SeriesForm
        if isinstance(given.data, pd.DataFrame):
            form = LongTable.of(given.data, given.time, given.series)
        elif given.time is not None or given.series is not None:
            raise DataError("An array has no columns: leave time and series out.")
        else:
            form = Stack.of(given.data)
        points = _points(form, given.data)
        channels_used = np.flatnonzero(~np.isnan(points.values).all(0))
        if not len(channels_used):
            raise DataError("The series hold no value: all of their points are missing.")
        lengths = np.bincount(points.codes)
        several = isinstance(form, Stack) and len(lengths) > 1
        window = given.window or (lengths[0] if several else suitable_window(lengths))
        stride = given.stride or suitable_stride(window, len(points.codes))
        if stride > window:
            raise SettingError(
                f"stride={stride} would leave out steps between windows of {window}: make it "
                "smaller."
            )
        typical = _typical(points.values[:, channels_used], points.codes)
        step = points.typical_step()
        kind = cls(form, int(window), int(stride), step, tuple(channels_used.tolist()), typical)
        rows = kind._cut(points)
        sample = Sample(lambda rows, places: rows[places])
        sample.add(rows, len(rows))
        kept, places = sample.result(np.concatenate)
        return kind, Summary(len(rows), Moments.of(kind.columns(rows)), kept, places)

    def accepts(self, other: type[Kind]) -> bool:
        """Return whether it is a table or an array: series need not be called so again."""
        return other.name in ("series", "table", "images")

    def pieces(self, data: Any) -> Iterable[Any]:
        """Return series as one piece: a window has its points wherever their rows are."""
        return [data]

    def rows(self, data: Any) -> Rows:
        """Return the windows of series: (n, channels, window), NaN where a point is missing.

        Parameters
        ----------
        data : SeriesData, DataFrame, any other table, or array
            With the columns that were fitted. A table may have a column ``series`` too where there
            was one series only.
        """
        return self._cut(_points(self.form, self._known(data)))

    def passthrough(self, data: Any) -> Passthrough:
        """Return the series, where their points lie in windows, and their levels."""
        known = self._known(data)
        points = _points(self.form, known)
        return Passthrough(known, self._layout(points), *self._levels(points))

    def index(self, data: Any) -> pd.DataFrame:
        """Return a row for each window: its series, and the times of its first and last point.

        The columns are that of series, where there is one, ``start`` and ``end``. An array's series
        and steps are numbered from 0.
        """
        points = _points(self.form, self._known(data))
        first, last = self._layout(points).ends()
        times = points.labels
        index = pd.DataFrame({"start": times.iloc[first].array, "end": times.iloc[last].array})
        if points.names.name is not None:
            names = points.names[points.codes[first]]
            index.insert(0, points.names.name, names, allow_duplicates=True)
        return index

    def restore(self, rows: Rows, passthrough: Any = None) -> Any:
        """Return series with the mean of all windows at each of their points.

        Parameters
        ----------
        rows : array (n, channels, window)
        passthrough : Aside or None
            With it, a table comes back with its own rows, times, columns and index, an array in its
            own shape; channels that were not learnt stay as they are. Without, each window is a
            series of its own: a table has the column of series, or ``series``, with the window's
            number, and times since the window's start.
        """
        if passthrough is None:
            level, deviation = self._typical_levels()
            windows = np.full((len(rows), self.window, len(self.form.channels)), np.nan)
            windows[..., self.channels_used] = rows.transpose(0, 2, 1) * deviation + level
            return self.form.new(windows, self.step)
        values = passthrough.layout.averaged(rows) * passthrough.deviation + passthrough.level
        return self.form.back(values, self.channels_used, passthrough.data)

    def joined(self, parts: Sequence[Any]) -> Any:
        """Return tables under each other, or arrays as one."""
        return whole(parts).data

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
        notes = dict(self.remarks)
        places = {channel: i for i, channel in enumerate(self.channels_used)}
        portions = []
        for i, name in enumerate(map(str, self.form.channels)):
            columns = slice(places[i], places[i] + 1) if i in places else slice(0, 0)
            portions.append(Portion(name, "channel", columns, notes.get(name, "")))
        return portions

    @property
    def remarks(self) -> list[tuple[str, str]]:
        """Channels without a value, and those that are standardized within each series."""
        names = self.form.channels
        empty = [str(name) for i, name in enumerate(names) if i not in self.channels_used]
        pairs = zip(self.channels_used, self.typical, strict=True)
        standardized = [str(names[channel]) for channel, typical in pairs if typical]
        return [(name, "holds no value: it is not learnt") for name in empty] + [
            (name, "differs in level: standardized within each series") for name in standardized
        ]

    def feature_names(self) -> list[str]:
        """Return channel[step]."""
        channels = self.form.channels
        return [f"{channels[i]}[{step}]" for i in self.channels_used for step in range(self.window)]

    def to_json(self) -> dict[str, Any]:
        """Return the form, windows, step, and channels."""
        return {
            "form": {"name": self.form.name, **self.form.to_json()},
            "window": self.window,
            "stride": self.stride,
            "step": self.step,
            "learnt": list(self.channels_used),
            "typical": [pair and list(pair) for pair in self.typical],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Return the form that :meth:`to_json` wrote down."""
        form = dict(data["form"])
        return cls(
            FORMS[form.pop("name")].from_json(form),
            data["window"],
            data["stride"],
            data["step"],
            tuple(data["learnt"]),
            tuple(pair and (pair[0], pair[1]) for pair in data["typical"]),
        )

    def _known(self, data: Any) -> Any:
        """Return data as a DataFrame or an array, if it is called what was fitted."""
        given = whole([data])
        known: dict[str, Any] = {"window": self.window, "stride": self.stride}
        if isinstance(self.form, LongTable):
            known |= {"time": self.form.time, "series": self.form.series}
        for name, value in known.items():
            asked = getattr(given, name)
            if asked not in (None, value):
                raise DataError(
                    f"The model was fitted on series with {name}={value!r}: it cannot take them "
                    f"with {name}={asked!r}."
                )
        return given.data

    def _layout(self, points: Points) -> Layout:
        return Layout.of(points.order, points.steps(self.step), self.window, self.stride)

    def _cut(self, points: Points) -> Rows:
        level, deviation = self._levels(points)
        values = (points.values[:, self.channels_used] - level) / deviation
        return self._layout(points).cut(values.astype(points.values.dtype, copy=False))

    def _levels(self, points: Points) -> tuple[Array, Array]:
        """Return what each value is shifted and divided by: (m, channels), or (channels,)."""
        level, deviation = self._typical_levels()
        standardized = np.array([pair is not None for pair in self.typical])
        if not standardized.any():
            return level, deviation
        values = points.values[:, self.channels_used].astype(np.float64)
        series = pd.DataFrame(values).groupby(points.codes)
        means, deviations = series.mean().to_numpy(), series.std().to_numpy()
        # A series without a value, or without two that differ, takes what is typical.
        means = np.where(standardized & ~np.isnan(means), means, level)
        deviations = np.where(standardized & (deviations > 0), deviations, deviation)
        return means[points.codes], deviations[points.codes]

    def _typical_levels(self) -> tuple[Array, Array]:
        level, deviation = np.array([pair or (0.0, 1.0) for pair in self.typical]).T
        return level, deviation


def whole(parts: Iterable[Any]) -> Series:
    """Return pieces of series, in any form, as one: a DataFrame or an array.

    Raises
    ------
    DataError
        If they are neither tables nor arrays of numbers.
    """
    given = [part if isinstance(part, Series) else Series(part) for part in parts]
    data = [_table_or_array(piece) for part in given for piece in pieces_of(part.data)]
    if len(data) == 1:
        return replace(given[0], data=data[0])
    table = isinstance(data[0], pd.DataFrame)
    return replace(given[0], data=pd.concat(data) if table else np.concatenate(data))


def _table_or_array(data: Any) -> Any:
    if isinstance(data, pd.DataFrame):
        return data
    if hasattr(data, "__arrow_c_stream__"):
        return pa.table(data).to_pandas()
    try:
        array = np.asarray(data)
        return array.astype(np.float64) if array.dtype.kind == "O" else array
    except (TypeError, ValueError):
        raise DataError(
            "The series are neither a table nor an array of numbers (series, steps[, channels]): "
            "series of different lengths belong into one table, under each other."
        ) from None


def _points(form: SeriesForm, data: Any) -> Points:
    points = form.points(data)
    require_finite(points.values, lambda place: form.describe(place[0]))
    return points


def _typical(values: Rows, codes: NDArray[np.intp]) -> tuple[tuple[float, float] | None, ...]:
    """Return the median mean and deviation of series, for channels whose levels differ."""
    frame = pd.DataFrame(values.astype(np.float64))
    series = frame.groupby(codes)
    means, deviations = series.mean().median(), series.std().median()
    differ = (deviations > 0) & (deviations < frame.std() / 2)
    metrics = zip(means, deviations, differ, strict=True)
    return tuple((float(m), float(s)) if standardized else None for m, s, standardized in metrics)
