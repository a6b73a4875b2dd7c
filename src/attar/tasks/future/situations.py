"""The series of a fit, and others that are read like them: in units of their own, up to now."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils import check_array
from torch import Tensor

from attar.data.kind import Json
from attar.data.points import LongTable, Name, Points, SeriesForm, Stack, TableOrArray
from attar.data.series import FORMS, Series, finite_points, form_of_series, joined
from attar.data.source import Data, read
from attar.errors import DataError, SettingError, first_line, unknown, warn
from attar.tasks.future.covariates import NONE, Covariate, Traits, constants
from attar.tasks.future.futures import Past
from attar.tasks.future.histories import (
    Clock,
    History,
    check_times,
    features_of_times,
    histories,
    seconds,
)
from attar.tasks.steps import SeriesScales

Array = NDArray[np.float64]

# The horizon where it is not given; and how many steps before a history are kept at most, back to
# one without missing values.
HORIZON, KEPT = 96, 1000


@dataclass(frozen=True)
class Situation:
    """A series that is to be forecast.

    Attributes
    ----------
    history : History
    past : Past
    static : array (columns,)
        Of static columns.
    centre, scale : array (channels,)
    new : int
        The first step that the fit did not have.
    after : list
        The times of the steps that come.
    """

    history: History
    past: Past
    static: Array
    centre: Array
    scale: Array
    new: int
    after: list[object]


@dataclass(frozen=True)
class FittedSeries:
    """The series of a fit, and how others are read like them.

    Attributes
    ----------
    form : SeriesForm
    clock : Clock
    forecast, known, static : list of int
        The channels that are forecast, and those of known-ahead and static columns.
    covariates : list of Covariate
        The known-ahead columns.
    traits : Traits
        Of the static columns.
    scales : SeriesScales
    names : list of str
    ends : list of float
        The time of each series' last step.
    digest : str
        Of all points.
    columns : list of str or None
        Of a table.
    width : int
        The columns of a table, or the steps of an array.
    last : table or array
        The last steps of each series, from which it is forecast.
    """

    form: SeriesForm
    clock: Clock
    forecast: list[int]
    known: list[int]
    static: list[int]
    covariates: list[Covariate]
    traits: Traits
    scales: SeriesScales
    names: list[str]
    ends: list[float]
    digest: str
    columns: list[str] | None
    width: int
    last: TableOrArray

    @classmethod
    def of(cls, X: Data, known: Sequence[Name], static: Sequence[Name]) -> Self:
        """Return the series of a fit, whole.

        Raises
        ------
        DataError, SettingError
            As ``Forecaster.fit`` does.
        """
        table, options = opened(X, fewest=2)
        if options.window is not None or options.stride is not None:
            raise SettingError(
                "window and stride of attar.Series are of autoencoders: give "
                "Forecaster(history=...)."
            )
        for name in static:
            if name in known:
                raise SettingError(f"Column {name!r} is both known and static: name it once.")
            if not isinstance(table, pd.DataFrame):
                raise SettingError("static is for tables: an array of series has no such columns.")
        covariates = [_covariate(table, name, options) for name in known]
        own = [_covariate(table, name, options) for name in static]
        numbers = _with_numbers(table, covariates, own)
        form = form_of_series(numbers, options)
        for name in (*known, *static):
            if name not in form.channels:
                raise unknown("column", name, map(str, form.channels))
        points = finite_points(form, numbers)
        values = points.values.astype(np.float64)
        empty = np.asarray(np.isnan(values).all(0))
        kinds = {*known, *static}
        forecast = [i for i, name in enumerate(form.channels) if name not in kinds and not empty[i]]
        if not forecast:
            raise DataError("The series have no values to forecast.")
        clock = Clock.of(points, form)
        check_times(points, clock)
        places = [form.channels.index(name) for name in static]
        found = cls(
            form,
            clock,
            forecast,
            [form.channels.index(name) for name in known],
            places,
            covariates,
            Traits.of(own, constants(points, own, places)),
            SeriesScales.of(values[:, forecast], points.codes),
            [str(name) for name in points.names],
            [],
            _digest(points),
            [str(name) for name in table.columns] if isinstance(table, pd.DataFrame) else None,
            table.shape[1],
            table,
        )
        return replace(found, ends=[float(one.times[-1]) for one in found.histories()])

    def histories(self) -> list[History]:
        """Return the series of the fit at regular steps."""
        return list(histories(self._points(self.last), self.clock, self.forecast, self.known))

    def of_fit(self, future: Data | None, horizon: int, history: int) -> list[Situation]:
        """Return the situations of the series of the fit."""
        table, _ = opened(self.last, self._checked_future(future))
        return self._situations(self._points(table), True, horizon, history)

    def of_others(
        self, X: Data, future: Data | None, horizon: int, history: int
    ) -> list[Situation]:
        """Return the situations of series, which may be those of the fit with later steps.

        Raises
        ------
        DataError
            If they are of another form or frequency.
        """
        table, _ = opened(X, self._checked_future(future))
        if isinstance(self.form, Stack) and isinstance(table, np.ndarray) and table.ndim > 1:
            least = min(self.width, history + horizon)
            if table.shape[1] < least:
                raise DataError(
                    f"X has {table.shape[1]} features, but Forecaster is expecting "
                    f"{self.width} features as input, at least {least}: the steps of a history."
                )
        points = self._points(table)
        clock = Clock.of(points, self.form)
        intervals = points.intervals[~np.isnan(points.intervals)]
        if len(intervals) and not 2 / 3 < clock.step / self.clock.step < 1.5:
            raise DataError(
                f"The step of the series is {clock.step:g}, but the forecaster was fitted on "
                f"{self.clock.step:g}: bring them to one frequency, for example with "
                "DataFrame.resample."
            )
        check_times(points, self.clock)
        return self._situations(points, _digest(points) == self.digest, horizon, history)

    def shortened(self, situations: Sequence[Situation], steps: int) -> Self:
        """Return the same with the last steps only: so many known ones, and all after them.

        Parameters
        ----------
        situations : sequence of Situation
            Of these series.
        steps : int
        """
        points = self._points(self.last)
        since = np.array([_since(one.history, steps) for one in situations])
        kept = np.asarray(points.earliest + points.times >= since[points.codes])
        if isinstance(self.last, pd.DataFrame):
            return replace(self, last=self.last[kept])
        return replace(self, last=self.last[:, kept.reshape(self.last.shape[:2]).any(0)])

    def restored(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return a table whose categories are levels again."""
        for covariate in (*self.covariates, *self.traits.columns):
            if covariate.levels is not None:
                numbers = table[covariate.name].to_numpy(np.float64)
                table[covariate.name] = pd.Series(covariate.values(numbers)).array
        return table

    def check_known(self, one: Situation, steps: int) -> None:
        """Refuse a future in which known-ahead columns are missing."""
        if not self.known:
            return
        ahead = one.history.known[len(one.history.rows) :][:steps]
        lacking = np.full((steps, len(self.known)), True)
        lacking[: len(ahead)] = np.isnan(ahead)
        if not lacking.any():
            return
        names = [repr(self.covariates[i].name) for i in np.flatnonzero(lacking.any(0))]
        places = np.flatnonzero(lacking.any(1))
        times = [str(one.after[i]) if one.after else f"step {i + 1}" for i in places[[0, -1]]]
        raise DataError(
            f"Known-ahead columns are missing for {len(places)} of {steps} steps, from {times[0]} "
            f"to {times[1]}: give {', '.join(names)} there, in rows without other values."
        )

    def tensors(self) -> dict[str, Tensor]:
        """Return the last steps.

        Raises
        ------
        DataError
            If times or names of series are of mixed types.
        """
        if isinstance(self.last, np.ndarray):
            return {"array": torch.from_numpy(np.ascontiguousarray(self.last))}
        try:
            table = pa.Table.from_pandas(self.last)
        except pa.ArrowException as error:
            raise DataError(
                f"A file cannot hold the series' times and names ({first_line(error)}): give those "
                "of one type."
            ) from None
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
        return {"table": torch.from_numpy(np.frombuffer(sink.getvalue(), np.uint8).copy())}

    def to_json(self) -> Json:
        """Return all else."""
        plain = {name: getattr(self, name) for name in _PLAIN}
        scales = (self.scales.centres, self.scales.scales, self.scales.own)
        return {
            **plain,
            "form": {"name": self.form.name, **self.form.to_json()},
            "clock": self.clock.to_json(),
            "covariates": [covariate.to_json() for covariate in self.covariates],
            "traits": self.traits.to_json(),
            "scales": [each.tolist() for each in scales],
        }

    @classmethod
    def from_file(cls, tensors: Mapping[str, Tensor], data: Json) -> Self:
        """Return what :meth:`tensors` and :meth:`to_json` described."""
        form = dict(data["form"])
        if "array" in tensors:
            last: TableOrArray = tensors["array"].numpy()
        else:
            last = pa.ipc.open_stream(tensors["table"].numpy().tobytes()).read_all().to_pandas()
        return cls(
            **{name: data[name] for name in _PLAIN},
            form=FORMS[form.pop("name")].from_json(form),
            clock=Clock(**data["clock"]),
            covariates=[Covariate.from_json(each) for each in data["covariates"]],
            traits=Traits.from_json(data["traits"]),
            scales=SeriesScales(*(np.array(each) for each in data["scales"])),
            last=last,
        )

    @property
    def clock_is_known(self) -> bool:
        """Whether steps have times."""
        return isinstance(self.form, LongTable) and self.form.clock != "rows"

    def _points(self, table: TableOrArray) -> Points:
        numbers = _with_numbers(table, self.covariates, self.traits.columns)
        return finite_points(self.form, numbers)

    def _checked_future(self, future: Data | None) -> pd.DataFrame | None:
        """Return rows of known-ahead columns, each of which they must have."""
        if future is None:
            return None
        data: Any = read(future, "test").data
        table = pd.DataFrame(joined([data])[0])
        for covariate in self.covariates:
            if covariate.name not in table:
                raise DataError(
                    f"future lacks the known-ahead column {covariate.name!r}: give it there."
                )
        return table

    def _situations(
        self, points: Points, of_fit: bool, horizon: int, history: int
    ) -> list[Situation]:
        static = constants(points, self.traits.columns, self.static)
        return [
            self._situation(one, static[one.code], of_fit, horizon, history)
            for one in histories(points, self.clock, self.forecast, self.known)
        ]

    def _situation(
        self, one: History, static: Array, of_fit: bool, horizon: int, history: int
    ) -> Situation:
        """Return a series in its own units, and where the steps begin that the fit did not have."""
        name, new = str(one.name), len(one.rows)
        same = isinstance(self.form, LongTable) and name in self.names
        if of_fit or same:
            centre, scale = self.scales.at(self.names.index(name))
        else:
            centre, scale = self.scales.of_new(one.rows)
        if not of_fit and same and self.clock_is_known:
            end = self.ends[self.names.index(name)]
            new = int(np.searchsorted(one.times, end, side="right"))
            if one.times[-1] < end:
                warn(
                    f"X ends before the series of the fit did, at {one.last}: the steps that come "
                    "next were in the fit, and are harder to forecast than it seems."
                )
        elif not of_fit:
            new = min(len(one.rows) // 2, history)
        after = self.clock.after(one.last, horizon) if self.clock_is_known else []
        later = seconds(after) if after else np.zeros(horizon)
        known = _without_gaps(one.known, len(one.rows) + horizon)
        columns = [each.one_hot(known[:, i]) for i, each in enumerate(self.covariates)]
        past = Past(
            (one.rows - centre) / scale,
            np.concatenate([np.empty((len(known), 0)), *columns], 1),
            features_of_times(self.form, np.concatenate([one.times, later])),
            self.traits.features(static),
            self.traits.groups(static),
        )
        empty = np.asarray(np.isnan(one.rows).all(0))
        if not of_fit and empty.any():
            channel = self.form.channels[self.forecast[int(np.argmax(empty))]]
            warn(f"The channel {channel!r} has no value in X: its forecast is the usual value.")
        return Situation(one, past, static, centre, scale, new, after)


_PLAIN = ("forecast", "known", "static", "names", "ends", "digest", "columns", "width")


def opened(
    X: Data, future: pd.DataFrame | None = None, fewest: int = 1
) -> tuple[TableOrArray, Series]:
    """Return series as a table or an array, with rows of known-ahead columns after them.

    Raises
    ------
    DataError
        If X is neither, or has fewer steps.
    """
    if isinstance(X, pd.Series):
        X = X.to_frame("value" if X.name is None else X.name)
    if isinstance(X, list | np.ndarray) or sparse.issparse(X):
        X = _array(X, fewest)
    data: Any = read(X, "train").data
    if future is None:
        return joined([data])
    if not isinstance(joined([data])[0], pd.DataFrame):
        raise DataError("future is for tables: in arrays, steps without other values are ahead.")
    return joined([data, future])


def usual_horizon(lengths: Sequence[int]) -> int:
    """Return 96 steps, or a quarter of what most series have."""
    return min(HORIZON, max(1, int(np.median(lengths)) // 4))


def _covariate(table: TableOrArray, name: Name, options: Series) -> Covariate:
    """Return the covariate of this name; numbers where there is no such column."""
    if not isinstance(table, pd.DataFrame) or name not in table:
        return Covariate(name, None)
    if name in (options.time, options.series):
        raise SettingError(f"Column {name!r} is that of times or series: name another.")
    return Covariate.of(table[name], name)


def _with_numbers(
    table: TableOrArray, known: Sequence[Covariate], static: Sequence[Covariate]
) -> TableOrArray:
    """Return a table with the numbers of levels in its categories.

    A known-ahead category may have no value in a row; a static one has its value in others.
    """
    if not isinstance(table, pd.DataFrame):
        return table
    table = table.copy(deep=False)
    for one in (*known, *static):
        if one.levels is not None and one.name in table:
            numbers = one.numbers(table[one.name])
            table[one.name] = np.nan_to_num(numbers, nan=NONE) if one in known else numbers
    return table


def _array(X: Any, fewest: int) -> NDArray[Any]:
    """Return an array of series, of so many steps at least.

    Raises
    ------
    DataError, TypeError
        If it is none, in scikit-learn's words.
    """
    if np.ndim(X) == 1:
        raise DataError(
            "Series are an array (series, steps[, channels]), not one with 1 dimension. Reshape "
            "your data: array.reshape(1, -1) makes one series."
        )
    try:
        return np.asarray(
            check_array(X, allow_nd=True, ensure_all_finite=False, ensure_min_features=fewest)
        )
    except ValueError as error:
        raise DataError(f"{first_line(error)}.") from None


def _since(history: History, steps: int) -> float:
    """Return the time from which a series is needed to forecast from so many steps."""
    known = ~np.isnan(history.rows)
    late = np.argmax(known[::-1], axis=0)
    last = len(known) - int(np.max(late, where=known.any(0), initial=0))
    first = max(0, last - steps)
    whole = np.flatnonzero(known[: first + 1].all(1))
    start = max(whole[-1] if len(whole) else 0, first - KEPT)
    return float(history.times[start])


def _without_gaps(known: Array, steps: int) -> Array:
    """Return known columns of so many steps, where a missing value is the one before it."""
    return pd.DataFrame(known).reindex(range(steps)).ffill().bfill().fillna(0.0).to_numpy()


def _digest(points: Points) -> str:
    digest = hashlib.sha256(points.values.tobytes())
    digest.update(points.times.tobytes())
    return digest.hexdigest()[:32]
