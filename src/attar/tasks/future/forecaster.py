"""Forecaster: what comes next in series, and how sure that is."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.utils import Tags, check_array, check_random_state
from sklearn.utils.validation import check_is_fitted

from attar import storage
from attar.checks import positive_integer
from attar.data.points import LongTable, Name, Points, Stack, TableOrArray
from attar.data.series import FORMS, Series, finite_points, form_of_series, joined
from attar.data.source import Data, read
from attar.errors import DataError, SettingError, first_line, unknown, warn
from attar.isolation import default_settings
from attar.storage import nested, unnested
from attar.tasks.future.backtest import Backtest
from attar.tasks.future.futures import FutureModel, Past
from attar.tasks.future.histories import Clock, History, histories, known_of_times, seconds
from attar.tasks.future.outlook import Outlook, as_array, as_table
from attar.tasks.steps import SeriesScales

Array = NDArray[np.float64]

# The horizon where it is not given, and how many of the last steps intervals learn from.
HORIZON, RECENT = 96, 1000


@dataclass(frozen=True)
class Situation:
    """A series that is to be forecast.

    Attributes
    ----------
    history : History
    past : Past
    centre, scale : array (channels,)
    new : int
        The first step that the fit did not have.
    after : list
        The times of the steps that come.
    """

    history: History
    past: Past
    centre: Array
    scale: Array
    new: int
    after: list[object]


class Forecaster(BaseEstimator):
    """Forecasts series: all channels, many steps ahead, with intervals.

    The linear part is solved in closed form: each step of the horizon is a weighted sum of the
    history less its last value, by weighted ridge regression, whose penalty grows with the age of a
    step. All channels and series share the weights, to which those of a channel are drawn. The
    length of the history, the penalty, this, and whether the calendar helps, are judged on the last
    quarter of each series, from whose errors intervals are made; then all steps are learnt from.
    A small masked autoencoder corrects the forecasts, if it does so on each part of that quarter.

    Intervals go on learning: where X has steps that the fit did not have, their outcomes move the
    levels (adaptive conformal inference). The weights do not: fit again to learn these.

    Parameters
    ----------
    horizon : int, default None
        The steps that are forecast at most (sktime's ``fh``, darts' ``n``). None: 96, or a quarter
        of what most series have.
    history : int, default None
        The steps that a forecast is made from. None: what is best on held-out steps, up to 720.
    known : sequence of str, default ()
        Columns that are known ahead, such as prices or holidays. They are not forecast; of dates,
        the calendar is known by itself.
    random_state : int, RandomState or None, default None
        Of sample paths.

    Attributes
    ----------
    horizon_, history_ : int
        What was chosen.
    n_features_in_ : int
        The steps of an array of series, or the columns of a table.
    feature_names_in_ : array of str
        The columns of a table.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> import attar
    >>> hours = pd.date_range("2024-01-01", periods=400, freq="h")
    >>> load = 10 + np.sin(2 * np.pi * np.arange(400) / 24)
    >>> table = pd.DataFrame({"time": hours, "load": load})
    >>> forecaster = attar.Forecaster(horizon=24).fit(attar.Series(table, time="time"))
    >>> forecaster.predict(horizon=2).round({"load": 3})
                     time   load
    0 2024-01-17 16:00:00  9.134
    1 2024-01-17 17:00:00  9.034

    References
    ----------
    Zeng, Chen, Zhang and Xu, "Are transformers effective for time series forecasting?", AAAI 2023.
    Litterman, "Forecasting with Bayesian vector autoregressions", Journal of Business & Economic
    Statistics 1986. Gibbs and Candès, "Adaptive conformal inference under distribution shift",
    NeurIPS 2021.
    """

    def __init__(
        self,
        horizon: int | None = None,
        *,
        history: int | None = None,
        known: Sequence[Name] = (),
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.horizon, self.history, self.known = horizon, history, known
        self.random_state = random_state

    @default_settings()
    def fit(self, X: Data, y: object = None) -> Self:
        """Learn how series go on.

        Parameters
        ----------
        X : Series, table, array (series, steps[, channels]), or path
            Of a table without :class:`attar.Series` the rows are consecutive steps, or have dates
            as their index. Series may have different lengths, and gaps.
        y : ignored

        Raises
        ------
        DataError
            If the horizon is longer than the series, or times do not increase, repeat or change
            their frequency.
        SettingError
            If a setting is out of range.
        """
        for name in ("horizon", "history"):
            if getattr(self, name) is not None:
                positive_integer(name, getattr(self, name), "None or ")
        table, options = _opened(X, fewest=2)
        if options.window is not None or options.stride is not None:
            raise SettingError(
                "window and stride of attar.Series are of autoencoders: give "
                "Forecaster(history=...)."
            )
        form = form_of_series(table, options)
        points = finite_points(form, table)
        for column in self.known:
            if column not in form.channels:
                raise unknown("column", column, map(str, form.channels))
        self.form_ = form
        self._forecast = [
            i
            for i, name in enumerate(form.channels)
            if name not in self.known and not np.isnan(points.values[:, i]).all()
        ]
        self._known = [form.channels.index(name) for name in self.known]
        if not self._forecast:
            raise DataError("The series have no values to forecast.")
        self.clock_ = Clock.of(points, form)
        found = list(histories(points, self.clock_, self._forecast, self._known))
        values = points.values[:, self._forecast].astype(np.float64)
        self.scales_ = SeriesScales.of(values, points.codes)
        lengths = [len(history.rows) for history in found]
        usual = min(HORIZON, max(1, int(np.median(lengths)) // 4))
        self.horizon_ = usual if self.horizon is None else self.horizon
        self._names = [str(history.name) for history in found]
        self._ends = [float(history.times[-1]) for history in found]
        self._digest = _digest(points)
        self._columns = (
            [str(name) for name in table.columns] if isinstance(table, pd.DataFrame) else None
        )
        self._width = table.shape[1]
        situations = [self._situation(history, False) for history in found]
        pasts = [situation.past for situation in situations]
        self.model_ = FutureModel.fit(pasts, self.horizon_, self.history)
        self._situations: list[Situation] | None = situations
        return self

    @default_settings()
    def predict(
        self, X: Data | None = None, horizon: int | None = None, future: Data | None = None
    ) -> TableOrArray:
        """Return what comes next.

        Parameters
        ----------
        X : Series, table, array or path, default None
            Series up to now: those of the fit or others. None: those of the fit, as they were.
        horizon : int, default None
            So many steps; None: all that the fit is for.
        future : table, default None
            Rows of what is known ahead, which may also be rows of X without other values.

        Returns
        -------
        table or array
            Of X's form and columns, with ``horizon`` rows for each series, which go on in time. An
            array is (series, horizon[, channels]).

        Raises
        ------
        DataError
            If X is of another form or frequency, or lacks what is known ahead.
        SettingError
            If the horizon is longer than that of the fit.
        """
        return self._assembled(self.outlooks(X, (), horizon, future))

    @default_settings()
    def predict_quantiles(
        self,
        X: Data | None = None,
        quantiles: Sequence[float] = (0.05, 0.5, 0.95),
        horizon: int | None = None,
        future: Data | None = None,
    ) -> TableOrArray:
        """Return :meth:`predict` and quantiles.

        Returns
        -------
        table or array
            After each channel of a table there are columns such as ``load_0.05``. An array has the
            quantiles, without the forecast, as its last axis.
        """
        return self._assembled(self.outlooks(X, _levels(quantiles), horizon, future))

    def predict_interval(
        self,
        X: Data | None = None,
        coverage: float = 0.9,
        horizon: int | None = None,
        future: Data | None = None,
    ) -> TableOrArray:
        """Return :meth:`predict`, and between which limits a share ``coverage`` of outcomes is.

        Returns
        -------
        table or array
            After each channel of a table there are ``load_low`` and ``load_high``. An array has low
            and high as its last axis.
        """
        found = self.predict_quantiles(X, _tails(coverage), horizon, future)
        if not isinstance(found, pd.DataFrame):
            return found
        ends = {
            f"_{level:g}": end
            for level, end in zip(_tails(coverage), ("_low", "_high"), strict=True)
        }
        names = {
            f"{self.form_.channels[i]}{level}": f"{self.form_.channels[i]}{end}"
            for i in self._forecast
            for level, end in ends.items()
        }
        return found.rename(columns=names)

    @default_settings()
    def sample(
        self,
        count: int = 100,
        X: Data | None = None,
        horizon: int | None = None,
        future: Data | None = None,
    ) -> TableOrArray:
        """Return whole paths that series may take: errors of held-out ones, as wide as now.

        Returns
        -------
        table or array
            A table has a first column ``path``, the number of a row's path; an array has a first
            axis of paths.
        """
        levels, seed = _tails(0.9), check_random_state(self.random_state).randint(2**31 - 1)
        positive_integer("count", count)
        outlooks = self.outlooks(X, levels, horizon, future)
        steps = outlooks[0].forecast.shape[0]
        draw = partial(self.model_.quantiles.paths, levels=np.array(levels))
        paths = [
            one.forecast + one.scale * draw(one.errors, seed=seed + i, count=count)[:, :steps]
            for i, one in enumerate(outlooks)
        ]
        tables = [
            self._assembled(
                [one.with_forecast(path[i]) for one, path in zip(outlooks, paths, strict=True)]
            )
            for i in range(count)
        ]
        if isinstance(self.form_, Stack):
            return np.stack(tables)
        frames = [pd.DataFrame(table) for table in tables]
        for i, frame in enumerate(frames):
            frame.insert(0, "path", i)
        return pd.concat(frames)

    @default_settings()
    def backtest(self, X: Data, coverage: float = 0.9, stride: int = 1) -> Backtest:
        """Return forecasts from all steps of X that the fit did not have, beside what came.

        Each is made from the steps before it, and its interval from the errors that were known
        then. What is known ahead is taken from X.

        Parameters
        ----------
        X : Series, table, array or path
            Series of the fit with later steps, or others.
        coverage : float, default 0.9
        stride : int, default 1
            The steps from an origin to the next.

        Raises
        ------
        DataError
            If X has no such step with a whole horizon after it.
        """
        positive_integer("stride", stride)
        levels, parts = np.array(_tails(coverage)), []
        for one in self._checked(X, None)[1]:
            last = len(one.past.rows) - self.model_.horizon
            origins = np.arange(max(1, one.new), last + 1)
            if not len(origins):
                continue
            forecasts = self.model_.rolling(one.past, origins)
            errors = self.model_.errors(one.past, origins)
            found = self.model_.quantiles.rolling(errors, levels)[:-1]
            some = slice(None, None, stride)
            outcomes = one.past.rows[origins[:, None] + np.arange(self.model_.horizon)]
            parts.append(
                Backtest(
                    self.channels_,
                    np.full(len(origins), str(one.history.name), object)[some],
                    one.history.times[origins][some],
                    one.centre + one.scale * outcomes[some],
                    one.centre + one.scale * forecasts[some],
                    one.centre + one.scale * (forecasts + found[:, 0])[some],
                    one.centre + one.scale * (forecasts + found[:, 1])[some],
                )
            )
        if not parts:
            raise DataError(
                f"X has no {self.horizon_} steps that the fit did not have: give the series with "
                "later steps, or others."
            )
        return Backtest.joined(parts)

    def save(self, path: str | Path) -> None:
        """Write the forecaster to a file, from which :meth:`load` restores it.

        It holds none of the series: forecasts are then made with X given.

        Raises
        ------
        FileError
            If the place cannot be written to.
        """
        fitted = self._fitted
        settings = self.get_params(deep=False)
        del settings["random_state"]
        settings["known"] = list(self.known)
        scales = fitted.scales_
        description = {
            "task": "future",
            "settings": settings,
            "form": {"name": fitted.form_.name, **fitted.form_.to_json()},
            "clock": fitted.clock_.to_json(),
            "forecast": fitted._forecast,
            "known": fitted._known,
            "horizon": fitted.horizon_,
            "names": fitted._names,
            "ends": fitted._ends,
            "digest": fitted._digest,
            "columns": fitted._columns,
            "width": fitted._width,
            "scales": [each.tolist() for each in (scales.centres, scales.scales, scales.own)],
            "model": fitted.model_.to_json(),
        }
        storage.write_model(path, nested("model", fitted.model_.tensors()), description)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Return the forecaster that :meth:`save` wrote, with equal forecasts.

        Raises
        ------
        FileError
            If there is no such file.
        ModelFileError
            If it is damaged, or holds no forecaster.
        """
        tensors, of = storage.read_model(path)
        storage.check_task(path, of, "future")
        with storage.restoring(path):
            found = cls(**of["settings"] | {"known": tuple(of["settings"]["known"])})
            form = dict(of["form"])
            found.form_ = FORMS[form.pop("name")].from_json(form)
            found.clock_ = Clock(**of["clock"])
            found._forecast, found._known = of["forecast"], of["known"]
            found.horizon_, found._names, found._ends = of["horizon"], of["names"], of["ends"]
            found._digest, found._columns = of["digest"], of["columns"]
            found._width, found._situations = of["width"], None
            found.scales_ = SeriesScales(*(np.array(each) for each in of["scales"]))
            found.model_ = FutureModel.restored(unnested("model", tensors), of["model"])
        return found

    @property
    def history_(self) -> int:
        """The steps that a forecast is made from."""
        return self._attributes.model_.shape.history

    @property
    def channels_(self) -> list[str]:
        """The names of the channels that are forecast."""
        fitted = self._attributes
        return [str(fitted.form_.channels[i]) for i in fitted._forecast]

    @property
    def n_features_in_(self) -> int:
        """The steps of an array of series, or the columns of a table."""
        return int(self._attributes._width)

    @property
    def feature_names_in_(self) -> NDArray[np.object_]:
        """The names of a table's columns."""
        names = self._attributes._columns
        if names is None:
            raise AttributeError("An array has no column names.")
        return np.array(names, object)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    @property
    def _fitted(self) -> Self:
        check_is_fitted(self, "model_")
        return self

    @property
    def _attributes(self) -> Self:
        """The fitted forecaster, for attributes that must not exist before."""
        if "model_" not in vars(self):
            raise AttributeError(f"This {type(self).__name__} is not fitted yet.")
        return self

    def outlooks(
        self,
        X: Data | None,
        levels: Sequence[float] = (),
        horizon: int | None = None,
        future: Data | None = None,
    ) -> list[Outlook]:
        """Return forecasts of all series, with quantiles of these levels, in the user's units."""
        fitted = self._fitted
        steps = fitted.horizon_ if horizon is None else positive_integer("horizon", horizon)
        if steps > fitted.horizon_:
            raise SettingError(
                f"The forecaster was fitted for {fitted.horizon_} steps, and horizon={steps} is "
                "more: fit it anew for these."
            )
        if X is None:
            if self._situations is None:
                raise DataError("A forecaster from a file has no series: give them, as X.")
            if future is None:
                situations = self._situations
            else:
                raise DataError("What is known ahead goes on after X: give X with future.")
        else:
            situations = self._checked(X, future)[1]
        return [self._outlook(one, steps, levels) for one in situations]

    def _outlook(self, one: Situation, steps: int, levels: Sequence[float]) -> Outlook:
        history, model = one.history, self.model_
        if self._known:
            self._check_known(one, steps)
        end = len(one.past.rows)
        forecast = model.rolling(one.past, np.array([end]))[0]
        errors = np.empty((0, *forecast.shape))
        if levels:
            new = max(1, one.new, end - RECENT)
            recent = model.errors(one.past, np.arange(new, end)) if new < end else errors
            errors = model.quantiles.rolling(recent, np.array(levels))[-1]
        known = history.known[end : end + steps]
        return Outlook(
            history,
            one.after[:steps],
            known,
            one.centre + one.scale * forecast[:steps],
            levels,
            errors,
            one.scale,
        )

    def _assembled(self, outlooks: list[Outlook]) -> TableOrArray:
        if isinstance(self.form_, LongTable):
            return as_table(self.form_, outlooks, self._forecast, self._known)
        assert isinstance(self.form_, Stack)
        return as_array(self.form_, outlooks, self._forecast)

    def _checked(self, X: Data, future: Data | None) -> tuple[Points, list[Situation]]:
        """Return the points and the situations of series."""
        fitted = self._fitted
        table, _ = _opened(X, future)
        form = fitted.form_
        if isinstance(form, Stack) and isinstance(table, np.ndarray) and table.ndim > 1:
            least = min(fitted._width, fitted.history_ + fitted.horizon_)
            if table.shape[1] < least:
                raise DataError(
                    f"X has {table.shape[1]} features, but {type(self).__name__} is expecting "
                    f"{fitted._width} features as input, at least {least}: the steps of a history."
                )
        points = finite_points(form, table)
        clock = Clock.of(points, form)
        seen = _digest(points) == fitted._digest
        intervals = points.intervals[~np.isnan(points.intervals)]
        if len(intervals) and not 2 / 3 < clock.step / fitted.clock_.step < 1.5:
            raise DataError(
                f"The step of the series is {clock.step:g}, but the forecaster was fitted on "
                f"{fitted.clock_.step:g}: bring them to one frequency, for example with "
                "DataFrame.resample."
            )
        found = histories(points, fitted.clock_, fitted._forecast, fitted._known)
        return points, [fitted._situation(history, not seen) for history in found]

    def _situation(self, history: History, other: bool) -> Situation:
        """Return a series in its own units, and where the steps begin that the fit did not have."""
        name, new = str(history.name), len(history.rows)
        same = isinstance(self.form_, LongTable) and name in self._names
        if not other or same:
            centre, scale = self.scales_.at(self._names.index(name))
        else:
            centre, scale = self.scales_.of_new(history.rows)
        if other and same and self._clock_is_known:
            end = self._ends[self._names.index(name)]
            new = int(np.searchsorted(history.times, end, side="right"))
            if history.times[-1] < end:
                warn(
                    f"X ends before the series of the fit did, at {history.last}: what comes next "
                    "was learnt, and is harder to forecast than it seems."
                )
        elif other:
            new = min(len(history.rows) // 2, self.history_)
        after = self.clock_.after(history.last, self.horizon_) if self._clock_is_known else []
        later = seconds(after) if after else np.zeros(self.horizon_)
        past = Past(
            (history.rows - centre) / scale,
            _without_gaps(history.known, len(history.rows) + self.horizon_),
            known_of_times(self.form_, np.concatenate([history.times, later])),
        )
        if other and np.isnan(history.rows).all(0).any():
            channel = self.form_.channels[
                self._forecast[int(np.argmax(np.isnan(history.rows).all(0)))]
            ]
            warn(f"The channel {channel!r} has no value in X: its forecast is what is usual.")
        return Situation(history, past, centre, scale, new, after)

    def _check_known(self, one: Situation, steps: int) -> None:
        """Refuse a future of which what is known ahead is missing."""
        ahead = one.history.known[len(one.history.rows) :][:steps]
        lacking = np.full((steps, len(self._known)), True)
        lacking[: len(ahead)] = np.isnan(ahead)
        if not lacking.any():
            return
        names = [repr(self.form_.channels[self._known[i]]) for i in np.flatnonzero(lacking.any(0))]
        places = np.flatnonzero(lacking.any(1))
        times = [str(one.after[i]) if one.after else f"step {i + 1}" for i in places[[0, -1]]]
        raise DataError(
            f"What is known ahead is missing for {len(places)} of {steps} steps, from {times[0]} "
            f"to {times[1]}: give {', '.join(names)} there, in rows without other values."
        )

    @property
    def _clock_is_known(self) -> bool:
        return isinstance(self.form_, LongTable) and self.form_.clock != "rows"


def _opened(X: Data, future: Data | None = None, fewest: int = 1) -> tuple[TableOrArray, Series]:
    """Return series as a table or an array, with what is known ahead after them."""
    if isinstance(X, pd.Series):
        X = X.to_frame("value" if X.name is None else X.name)
    if isinstance(X, list | np.ndarray) or sparse.issparse(X):
        X = _array(X, fewest)
    data: Any = read(X, "train").data
    if future is None:
        return joined([data])
    if not isinstance(joined([data])[0], pd.DataFrame):
        raise DataError("future is for tables: in arrays, steps without other values are ahead.")
    later: Any = read(future, "test").data
    return joined([data, later])


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


def _without_gaps(known: Array, steps: int) -> Array:
    """Return known columns of so many steps, where a missing value is the one before it."""
    return pd.DataFrame(known).reindex(range(steps)).ffill().bfill().fillna(0.0).to_numpy()


def _levels(quantiles: Sequence[float]) -> list[float]:
    levels = [float(level) for level in quantiles]
    if not levels or not all(0 < level < 1 for level in levels):
        raise SettingError(f"Quantiles are in (0, 1), not {list(quantiles)}.")
    return levels


def _tails(coverage: float) -> list[float]:
    if not 0 < coverage < 1:
        raise SettingError(f"A coverage is a share in (0, 1), not {coverage!r}.")
    return [(1 - coverage) / 2, (1 + coverage) / 2]


def _digest(points: Points) -> str:
    digest = hashlib.sha256(points.values.tobytes())
    digest.update(points.times.tobytes())
    return digest.hexdigest()[:32]
