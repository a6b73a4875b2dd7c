"""Long tables: a row for each point, series under each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attar.data.kind import Rows, back_to
from attar.data.windows.points import Form, Name, Points, precision
from attar.errors import DataError, unknown

Array = NDArray[np.float64]


@dataclass(frozen=True)
class LongTable(Form):
    """The form of a table with a row for each point.

    Parameters
    ----------
    columns : tuple of (str or int)
        The channels.
    dtypes : tuple of str
        Theirs.
    time : str, int or None
        The column of times. None for the index, if that holds dates; else the rows of a series
        follow each other.
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
            If columns are absent, of one name, or no numbers, or times cannot be read.
        """
        named = _named(frame)
        for name in (time, series):
            if name is not None and name not in named.columns:
                raise DataError(str(unknown("column", name, map(str, named.columns))))
        channels = tuple(name for name in named.columns if name not in (time, series))
        if not channels:
            raise DataError("The table has no column besides those of times and series.")
        dtypes = tuple(str(_numbers(named[name], name).dtype) for name in channels)
        return cls(channels, dtypes, time, series, _clock(named, time)[1])

    @property
    def channels(self) -> tuple[Name, ...]:
        """The columns of channels."""
        return self.columns

    @property
    def told_apart(self) -> Name:
        """The column of series, which a table may have though there was none at the fit."""
        if self.series is not None:
            return self.series
        return "series" if "series" not in (self.time, *self.columns) else "window"

    def points(self, data: Any) -> Points:
        """Return the points of a DataFrame, whose columns may come in another order."""
        if not isinstance(data, pd.DataFrame):
            raise DataError("The model was fitted on a table of series, but this is an array.")
        frame = self._known(data)
        if not len(frame):
            raise DataError("The table of series has no rows.")
        columns = [_numbers(frame[name], name) for name in self.columns]
        dtype = precision(_numpy_dtype(column.dtype) for column in columns)
        values = np.column_stack([c.to_numpy(dtype, na_value=np.nan) for c in columns])
        times, clock = _clock(frame, self.time)
        if clock != self.clock:
            raise DataError(
                f"The times of the series are {clock}, but the model was fitted on {self.clock}."
            )
        codes, names = self._codes(frame)
        if clock == "rows":
            times = frame.groupby(codes).cumcount().to_numpy().astype(np.float64)
        return Points(values, times, codes, _labels(frame, self.time), names)

    def back(self, values: Rows, channels: Sequence[int], data: Any) -> Any:
        """Return the DataFrame with these values in its columns."""
        frame, places = data.copy(deep=False), _named(data).columns
        for channel, column in zip(channels, values.T, strict=True):
            own = _column(column, self.dtypes[channel], data.index)
            frame.isetitem(places.get_loc(self.columns[channel]), own)
        return frame

    def new(self, windows: Rows, step: float) -> Any:
        """Return a DataFrame: the number of the window, the time since its start, the channels."""
        n, window, width = windows.shape
        times = np.tile(np.arange(window) * step, n)
        since = pd.to_timedelta(times, unit="s") if self.clock == "dates" else pd.Index(times)
        index = since if self.time is None and self.clock == "dates" else pd.RangeIndex(n * window)
        columns: dict[Name, Any] = {self.told_apart: np.repeat(np.arange(n), window)}
        if self.time is not None:
            columns[self.time] = since.array
        values = windows.reshape(-1, width)
        for channel, (name, dtype) in enumerate(zip(self.columns, self.dtypes, strict=True)):
            columns[name] = _column(values[:, channel], dtype, index)
        return pd.DataFrame(columns, index)

    def describe(self, channel: int) -> str:
        """Return the column."""
        return f"Column {self.columns[channel]!r}"

    def _known(self, frame: pd.DataFrame) -> pd.DataFrame:
        named = _named(frame)
        wanted = [n for n in (self.time, self.series, *self.columns) if n is not None]
        for name in wanted:
            if name not in named.columns:
                raise DataError(
                    f"The table lacks the column {name!r} that the model was fitted on."
                )
        for name in named.columns:
            if name not in (*wanted, self.told_apart):
                raise DataError(
                    f"The table has a column {name!r} that the model was not fitted on: drop it."
                )
        return named

    def _codes(self, frame: pd.DataFrame) -> tuple[NDArray[np.intp], pd.Index[Any]]:
        if self.told_apart not in frame.columns:
            return np.zeros(len(frame), np.intp), pd.RangeIndex(1)
        codes, names = pd.factorize(frame[self.told_apart])
        for place in np.flatnonzero(codes < 0)[:1]:
            raise DataError(
                f"Column {self.told_apart!r} names no series in row {frame.index[place]}: fill it."
            )
        return codes, pd.Index(names, name=self.told_apart)


def _named(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame whose columns have names that go to JSON and back."""
    names = [int(c) if isinstance(c, int | np.integer) else str(c) for c in frame.columns]
    written = pd.Index(map(str, names))
    if written.has_duplicates:
        name = written[written.duplicated()][0]
        raise DataError(f"The table has more than one column named {name!r}: rename them.")
    return frame.set_axis(names, axis=1)


def _numbers(column: pd.Series[Any], name: Name) -> pd.Series[Any]:
    column = column.infer_objects()
    if pd.api.types.is_numeric_dtype(column) and column.dtype.kind != "c":
        return column
    known = column.dropna()
    if not len(known):
        return column.astype(object)
    raise DataError(
        f"Column {name!r} holds {column.dtype} values such as {str(known.iloc[0])!r} where numbers "
        "belong: leave it out, encode it, or name it as that of times or series (time=..., "
        "series=...)."
    )


def _numpy_dtype(dtype: Any) -> np.dtype[Any]:
    dtype = pd.api.types.pandas_dtype(dtype)
    own: np.dtype[Any] = getattr(dtype, "numpy_dtype", dtype)
    return own


def _column(values: Array, dtype: str, index: pd.Index[Any]) -> pd.Series[Any]:
    missing = np.isnan(values)
    numbers = back_to(_numpy_dtype(dtype), np.where(missing, 0.0, values))
    column: pd.Series[Any] = pd.Series(numbers, index).astype(pd.api.types.pandas_dtype(dtype))
    return column.mask(missing) if missing.any() else column


def _labels(frame: pd.DataFrame, time: Name | None) -> pd.Series[Any]:
    return frame.index.to_series() if time is None else frame[time]


def _clock(frame: pd.DataFrame, time: Name | None) -> tuple[Array, str]:
    """Return times since the earliest, and what they are: dates, numbers or rows."""
    labels = _labels(frame, time)
    column = labels.infer_objects()
    if isinstance(column.dtype, pd.PeriodDtype):
        column = column.dt.to_timestamp()
    kind = column.dtype.kind
    if time is None and kind not in "mM":
        return np.zeros(len(column)), "rows"
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
    since = times - times.min()
    if clock == "dates":
        since = since.dt.total_seconds()
    return since.to_numpy(np.float64), clock


def _dates(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return dates in one time zone, NaT where there is none; durations as they are."""
    if column.dtype.kind == "m":
        return column
    if column.dtype == object:
        column = column.astype(str)
    return pd.to_datetime(column, format="ISO8601", errors="coerce", utc=True)
