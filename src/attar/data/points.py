"""Points of series, and the forms in which users have them: long tables and arrays."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.extensions import ExtensionDtype

from attar.data.kind import Json, Rows, back_to
from attar.errors import DataError, unknown

Array = NDArray[np.float64]
Integers = NDArray[np.intp]
Name = str | int
TableOrArray = pd.DataFrame | Rows


@dataclass(frozen=True)
class Points:
    """The points of some series, in the user's order.

    Attributes
    ----------
    values : float array (m, channels)
        NaN where one is missing.
    times : float array (m,)
        Since the earliest: in seconds for dates, in the user's own unit for numbers.
    codes : int array (m,)
        The number of each point's series.
    labels : Series (m,)
        The times as the user has them, under the names of the user's rows.
    names : Index
        The names of the series.
    earliest : float
        The earliest time: in seconds since 1970 for dates, in the user's own unit for numbers.
    """

    values: Rows
    times: Array
    codes: Integers
    labels: pd.Series
    names: pd.Index
    earliest: float = 0.0

    @cached_property
    def order(self) -> Integers:
        """The points' numbers by series and time."""
        return np.lexsort((self.times, self.codes))

    @cached_property
    def intervals(self) -> Array:
        """The time from each point's predecessor in this order; NaN at the start of a series.

        Raises
        ------
        DataError
            If a series has two points at the same time.
        """
        starts = np.diff(self.codes[self.order], prepend=-1) != 0
        intervals = np.where(starts, np.nan, np.diff(self.times[self.order], prepend=np.nan))
        for place in np.flatnonzero(intervals == 0)[:1]:
            raise DataError(
                f"{self._pair(place)} have the same time: keep one of them, or name the column "
                "that identifies the series (series=...)."
            )
        return intervals

    def typical_step(self) -> float:
        """Return the usual time from a point to the next; 1 where each series has one point.

        It is the lower quartile of the intervals, as many points may be missing, averaged with
        all that differ from it by at most a quarter: a month has 30.4 days.
        """
        intervals = self.intervals[~np.isnan(self.intervals)]
        if not len(intervals):
            return 1.0
        low = np.quantile(intervals, 0.25, method="lower")
        return float(intervals[np.abs(intervals - low) <= low / 4].mean())

    def steps(self, step: float) -> Integers:
        """Return :attr:`intervals` as numbers of steps; 0 at the start of a series.

        Each interval is rounded by itself: unequal months are one step each, and clocks may
        drift.

        Raises
        ------
        DataError
            If two points are less than half a step apart.
        """
        steps = np.rint(self.intervals / step)
        for place in np.flatnonzero(steps == 0)[:1]:
            raise DataError(
                f"{self._pair(place)} are closer than half a step of the series, which is "
                f"{step:g}: bring them to regular times first, for example with "
                "DataFrame.resample."
            )
        return np.nan_to_num(np.minimum(steps, 2.0**31)).astype(np.intp)

    def _pair(self, place: int) -> str:
        pair = self.order[place - 1 : place + 1]
        (row, other), (time, later) = self.labels.index[pair], self.labels.iloc[pair]
        of = f" of the series {self.names[self.codes[pair[0]]]}" if len(self.names) > 1 else ""
        return f"The rows {row} ({time}) and {other} ({later}){of}"


@dataclass(frozen=True)
class SeriesForm(ABC):
    """The form in which the user has series."""

    name: ClassVar[str]

    @property
    @abstractmethod
    def channels(self) -> tuple[Name, ...]:
        """The names of all channels."""

    @abstractmethod
    def points(self, data: TableOrArray) -> Points:
        """Return the points of data of this form.

        Raises
        ------
        DataError
            If it is of another form, or holds anything but numbers and times.
        """

    @abstractmethod
    def with_values(
        self, data: TableOrArray, values: Rows, channels: Sequence[int]
    ) -> TableOrArray:
        """Return a copy of data of this form with these values, in the fitted dtypes.

        Where one is missing, integers of NumPy's dtypes become floating point.

        Parameters
        ----------
        data : DataFrame or array
        values : array (m, channels)
        channels : sequence of int
            The numbers of these channels; the others keep their values.
        """

    @abstractmethod
    def from_windows(self, windows: Rows, step: float) -> TableOrArray:
        """Return windows (n, window, channels) as series of their own, whose times begin at 0."""

    @abstractmethod
    def describe(self, channel: int) -> str:
        """Return the words for a channel, at the beginning of a sentence."""

    def to_json(self) -> Json:
        """Return the form as plain JSON data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Json) -> Self:
        """Return the form that :meth:`to_json` described."""
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in data.items()})


def precision(dtypes: Iterable[np.dtype]) -> type[np.float32] | type[np.float64]:
    """Return single precision where it holds all values of these dtypes, else double."""
    single = all(np.can_cast(dtype, np.float32) for dtype in dtypes)
    return np.float32 if single else np.float64


@dataclass(frozen=True)
class Stack(SeriesForm):
    """The form of an array (series, steps, channels) or (series, steps).

    Parameters
    ----------
    width : int or None
        The number of channels; None for an array without that axis.
    dtype : str
    """

    width: int | None
    dtype: str

    name = "array"

    @classmethod
    def of(cls, array: Rows) -> Self:
        """Return the form of an array.

        Raises
        ------
        DataError
            If it has other axes, or holds anything but numbers.
        """
        if array.ndim not in (2, 3):
            raise DataError(
                "Series are a table or an array (series, steps[, channels]), not an array with "
                f"{array.ndim} dimensions: array.reshape(1, -1) makes one series."
            )
        if array.dtype.kind not in "buif":
            raise DataError(f"The array of series holds {array.dtype} values where numbers belong.")
        return cls(array.shape[2] if array.ndim == 3 else None, str(array.dtype))

    @property
    def channels(self) -> tuple[Name, ...]:
        """x0, x1, ..."""
        return tuple(f"x{channel}" for channel in range(1 if self.width is None else self.width))

    def points(self, data: TableOrArray) -> Points:
        """Return the points of an array, one series after the other."""
        if isinstance(data, pd.DataFrame):
            raise DataError("The model was fitted on an array of series, but this is a table.")
        if Stack.of(data).width != self.width:
            axes = "" if self.width is None else f", {self.width}"
            raise DataError(
                f"The array of series has shape {data.shape}, but the model was fitted on one of "
                f"shape (series, steps{axes})."
            )
        if not data.size:
            raise DataError(f"The array of series holds no value: its shape is {data.shape}.")
        series, steps = data.shape[:2]
        values = data.reshape(series * steps, -1).astype(precision([data.dtype]), copy=False)
        times = np.tile(np.arange(steps), series)
        codes = np.repeat(np.arange(series), steps)
        names = pd.RangeIndex(series, name="series")
        return Points(values, times.astype(np.float64), codes, pd.Series(times), names)

    def with_values(self, data: TableOrArray, values: Rows, channels: Sequence[int]) -> Rows:
        """Return an array of the same shape with these values."""
        points = np.asarray(data, np.float64).reshape(len(values), -1).copy()
        points[:, channels] = values
        return self._in_dtype(points.reshape(data.shape))

    def from_windows(self, windows: Rows, step: float) -> Rows:
        """Return an array (n, window, channels), or (n, window)."""
        return self._in_dtype(windows[..., 0] if self.width is None else windows)

    def describe(self, channel: int) -> str:
        """Return the channel's number."""
        return f"Channel {channel} of the series"

    def _in_dtype(self, values: Rows) -> Rows:
        dtype = np.dtype(self.dtype)
        return values if dtype.kind != "f" and np.isnan(values).any() else back_to(dtype, values)


@dataclass(frozen=True)
class LongTable(SeriesForm):
    """The form of a table with a row for each point.

    Parameters
    ----------
    columns : tuple of (str or int)
        The channels.
    dtypes : tuple of str
        Those of the channels.
    time : str, int or None
        The column of times. None for the index, if that holds dates; else the rows of a series
        are consecutive steps.
    series : str, int or None
        The column that names each point's series; None for one series.
    clock : str
        What the times are: dates, numbers or rows.
    """

    columns: tuple[Name, ...]
    dtypes: tuple[str, ...]
    time: Name | None
    series: Name | None
    clock: str

    name = "table"

    @classmethod
    def of(cls, frame: pd.DataFrame, time: Name | None, series: Name | None) -> Self:
        """Return the form of a DataFrame.

        Raises
        ------
        DataError
            If columns are missing, not unique or not numeric, or times cannot be read.
        """
        named = _named(frame)
        for name in (time, series):
            if name is not None and name not in named.columns:
                raise DataError(str(unknown("column", name, map(str, named.columns))))
        channels = tuple(name for name in named.columns if name not in (time, series))
        if not channels:
            raise DataError("The table has no column besides those of times and series.")
        dtypes = tuple(str(_numeric(named[name], name).dtype) for name in channels)
        return cls(channels, dtypes, time, series, _times(named, time)[2])

    @property
    def channels(self) -> tuple[Name, ...]:
        """The columns of channels."""
        return self.columns

    @property
    def series_column(self) -> Name:
        """The column of series, which a table may have even if it had none when fitted."""
        if self.series is not None:
            return self.series
        return "series" if "series" not in (self.time, *self.columns) else "window"

    def points(self, data: TableOrArray) -> Points:
        """Return the points of a DataFrame, whose columns may be in another order."""
        if not isinstance(data, pd.DataFrame):
            raise DataError("The model was fitted on a table of series, but this is an array.")
        frame = self._with_fitted_columns(data)
        if not len(frame):
            raise DataError("The table of series has no rows.")
        columns = [_numeric(frame[name], name) for name in self.columns]
        dtype = precision(_numpy_dtype(column.dtype) for column in columns)
        values = np.column_stack([c.to_numpy(dtype, na_value=np.nan) for c in columns])
        times, earliest, clock = _times(frame, self.time)
        if clock != self.clock:
            raise DataError(
                f"The times of the series are {clock}, but the model was fitted on {self.clock}."
            )
        codes, names = self._codes(frame)
        if clock == "rows":
            times = frame.groupby(codes).cumcount().to_numpy().astype(np.float64)
        return Points(values, times, codes, _labels(frame, self.time), names, earliest)

    def with_values(
        self, data: TableOrArray, values: Rows, channels: Sequence[int]
    ) -> pd.DataFrame:
        """Return the DataFrame with these values in its columns."""
        frame = pd.DataFrame(data).copy(deep=False)
        names: list[Name] = list(_named(frame).columns)
        for channel, column in zip(channels, values.T, strict=True):
            own = _column(column, self.dtypes[channel], frame.index)
            frame.isetitem(names.index(self.columns[channel]), own.array)
        return frame

    def from_windows(self, windows: Rows, step: float) -> pd.DataFrame:
        """Return a DataFrame: the number of the window, the time since its start, the channels."""
        n, window, width = windows.shape
        times = np.tile(np.arange(window) * step, n)
        since = pd.to_timedelta(times, unit="s") if self.clock == "dates" else pd.Index(times)
        index = since if self.time is None and self.clock == "dates" else pd.RangeIndex(n * window)
        columns: dict[Name, object] = {self.series_column: np.repeat(np.arange(n), window)}
        if self.time is not None:
            columns[self.time] = since.array
        values = windows.reshape(-1, width)
        for channel, (name, dtype) in enumerate(zip(self.columns, self.dtypes, strict=True)):
            columns[name] = _column(values[:, channel], dtype, index)
        return pd.DataFrame(columns, index)

    def describe(self, channel: int) -> str:
        """Return the column."""
        return f"Column {self.columns[channel]!r}"

    def _with_fitted_columns(self, frame: pd.DataFrame) -> pd.DataFrame:
        named = _named(frame)
        expected = [n for n in (self.time, self.series, *self.columns) if n is not None]
        for name in expected:
            if name not in named.columns:
                raise DataError(
                    f"The table lacks the column {name!r} that the model was fitted on."
                )
        for name in named.columns:
            if name not in (*expected, self.series_column):
                raise DataError(
                    f"The table has a column {name!r} that the model was not fitted on: drop it."
                )
        return named

    def _codes(self, frame: pd.DataFrame) -> tuple[Integers, pd.Index]:
        if self.series_column not in frame.columns:
            return np.zeros(len(frame), np.intp), pd.RangeIndex(1)
        codes, names = pd.factorize(frame[self.series_column])
        for place in np.flatnonzero(codes < 0)[:1]:
            raise DataError(
                f"Column {self.series_column!r} names no series in row {frame.index[place]}: "
                "fill it."
            )
        return codes, pd.Index(names, name=self.series_column)


def _named(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame whose column names JSON can hold."""
    names = [int(c) if isinstance(c, int | np.integer) else str(c) for c in frame.columns]
    texts = pd.Index(map(str, names))
    if texts.has_duplicates:
        name = texts[texts.duplicated()][0]
        raise DataError(f"The table has more than one column named {name!r}: rename them.")
    return frame.set_axis(names, axis=1)


def _numeric(column: pd.Series, name: Name) -> pd.Series:
    column = column.infer_objects()
    if pd.api.types.is_numeric_dtype(column) and column.dtype.kind != "c":
        return column
    values = column.dropna()
    if not len(values):
        return column.astype(object)
    raise DataError(
        f"Column {name!r} holds {column.dtype} values such as {str(values.iloc[0])!r} where "
        "numbers belong: leave it out, encode it, or name it as that of times or series (time=..., "
        "series=...)."
    )


def _numpy_dtype(dtype: str | np.dtype | ExtensionDtype) -> np.dtype:
    own = pd.api.types.pandas_dtype(dtype)
    return np.dtype(getattr(own, "numpy_dtype", own.name))


def _column(values: Array, dtype: str, index: pd.Index) -> pd.Series:
    missing = np.isnan(values)
    numbers = back_to(_numpy_dtype(dtype), np.where(missing, 0.0, values))
    column = pd.Series(numbers, index).astype(pd.api.types.pandas_dtype(dtype))
    return column.mask(missing) if missing.any() else column


def _labels(frame: pd.DataFrame, time: Name | None) -> pd.Series:
    return frame.index.to_series() if time is None else frame[time]


def _times(frame: pd.DataFrame, time: Name | None) -> tuple[Array, float, str]:
    """Return times since the earliest, this one, and what they are: dates, numbers or rows."""
    labels = _labels(frame, time)
    column = labels.infer_objects()
    if isinstance(column.dtype, pd.PeriodDtype):
        column = column.dt.to_timestamp()
    kind = column.dtype.kind
    if time is None and kind not in "mM":
        return np.zeros(len(column)), 0.0, "rows"
    if kind in "iuf":
        times, clock = column.replace([np.inf, -np.inf], np.nan), "numbers"
    else:
        times, clock = _dates(column), "dates"
    for place in np.flatnonzero(times.isna())[:1]:
        value = labels.iloc[place]
        what = "no time" if pd.isna(value) else f"{str(value)!r}, which is no time,"
        where = "The index" if time is None else f"Column {time!r}"
        raise DataError(
            f"{where} holds {what} in row {labels.index[place]}: write dates like "
            "2024-01-31 12:00, or numbers."
        )
    since, earliest = times - times.min(), times.min()
    if clock == "dates":
        since = since.dt.total_seconds()
        epoch = pd.Timestamp(0, tz="UTC") if times.dtype.kind == "M" else pd.Timedelta(0)
        earliest = (earliest - epoch).total_seconds()
    return since.to_numpy(np.float64), float(earliest), clock


def _dates(column: pd.Series) -> pd.Series:
    """Return datetimes in one time zone, NaT where a value is none; durations unchanged."""
    if column.dtype.kind == "m":
        return column
    if column.dtype == object:
        column = column.astype(str)
    return pd.to_datetime(column, format="ISO8601", errors="coerce", utc=True)
