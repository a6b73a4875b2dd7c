"""Forecaster: forecasts of series, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Self

import numpy as np
import pandas as pd
from torch import Tensor

from attar.checks import positive_integer
from attar.data.kind import Json
from attar.data.points import LongTable, Name, Stack, TableOrArray
from attar.data.source import Data
from attar.errors import DataError, SettingError
from attar.isolation import default_settings
from attar.storage import nested, unnested
from attar.tasks.estimator import TaskEstimator
from attar.tasks.future.backtest import Backtest
from attar.tasks.future.futures import FutureModel
from attar.tasks.future.outlook import Outlook, as_array, as_table
from attar.tasks.future.situations import FittedSeries, Situation, usual_horizon

# How many of the last steps move the levels of intervals.
RECENT = 1000


class Forecaster(TaskEstimator):
    """Forecasts series: all channels, many steps ahead, with intervals.

    The linear part is solved in closed form: each step of the horizon is a weighted sum of the
    history minus its last value, by weighted ridge regression, whose penalty grows with the age of
    a step. All channels and series share the weights; those of a channel, or of a group of series
    with the same static columns, are shrunk to them. The length of the history, the penalty and
    this are chosen by cross-validation; known-ahead columns and the calendar, on the last quarter
    of each series, whose errors also give the intervals. Then the weights are solved from all
    steps. A small masked autoencoder corrects the forecasts, if it helps on each part of that
    quarter.

    Where X has steps after those of the fit, their errors move the levels of intervals (adaptive
    conformal inference). The weights stay: fit again to update these. A saved forecaster goes on
    after the series of its fit: its file contains their last steps, as many as a history has.

    Parameters
    ----------
    horizon : int, default None
        The steps that are forecast at most (sktime's ``fh``, darts' ``n``). None: 96, or a quarter
        of what most series have.
    history : int, default None
        The steps that a forecast is made from. None: chosen by cross-validation, up to 720.
    known : sequence of str, default ()
        Known-ahead columns (known future covariates), such as prices or holidays: numbers, or
        categories of at most 100 levels. They are not forecast. The calendar of dates needs none.
    static : sequence of str, default ()
        Static columns (static covariates), such as the region of a shop: numbers or categories,
        with one value for each series.
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

    task = "future"

    def __init__(
        self,
        horizon: int | None = None,
        *,
        history: int | None = None,
        known: Sequence[Name] = (),
        static: Sequence[Name] = (),
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.horizon, self.history = horizon, history
        self.known, self.static, self.random_state = known, static, random_state

    @default_settings()
    def fit(self, X: Data, y: object = None) -> Self:
        """Fit the forecaster to series.

        Parameters
        ----------
        X : Series, table, array (series, steps[, channels]), or path
            Of a table without :class:`attar.Series` the rows are consecutive steps, or have dates
            as their index. Series may have different lengths, and gaps.
        y : ignored

        Raises
        ------
        DataError
            If the horizon is longer than the series; if times do not increase, repeat or change
            their frequency; or if a static column changes within a series.
        SettingError
            If a setting is out of range.
        """
        for name in ("horizon", "history"):
            if getattr(self, name) is not None:
                positive_integer(name, getattr(self, name), "None or ")
        series = FittedSeries.of(X, self.known, self.static)
        lengths = [len(history.rows) for history in series.histories()]
        steps = usual_horizon(lengths) if self.horizon is None else self.horizon
        situations = series.of_fit(None, steps, 0)
        pasts = [situation.past for situation in situations]
        self.model_ = FutureModel.fit(pasts, steps, self.history)
        self.horizon_ = steps
        self.series_ = series.shortened(situations, self.history_)
        return self

    @default_settings()
    def predict(
        self, X: Data | None = None, horizon: int | None = None, future: Data | None = None
    ) -> TableOrArray:
        """Return forecasts.

        Parameters
        ----------
        X : Series, table, array or path, default None
            Series up to now: those of the fit or others. None: those of the fit, as they were;
            after :meth:`load` too.
        horizon : int, default None
            So many steps; None: all that the fit is for.
        future : table, default None
            Rows of known-ahead columns. They may also be rows of X without other values.

        Returns
        -------
        table or array
            Of X's form and columns, with ``horizon`` rows for each series, which go on in time. An
            array is (series, horizon[, channels]).

        Raises
        ------
        DataError
            If X is of another form or frequency, or lacks known-ahead or static columns.
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
        """Return :meth:`predict`, with intervals that contain a share ``coverage`` of outcomes.

        Returns
        -------
        table or array
            After each channel of a table there are ``load_low`` and ``load_high``. An array has low
            and high as its last axis.
        """
        found = self.predict_quantiles(X, _tails(coverage), horizon, future)
        if not isinstance(found, pd.DataFrame):
            return found
        channels = self.series_.form.channels
        ends = {
            f"_{level:g}": end
            for level, end in zip(_tails(coverage), ("_low", "_high"), strict=True)
        }
        names = {
            f"{channels[i]}{level}": f"{channels[i]}{end}"
            for i in self.series_.forecast
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
        """Return sample paths: forecasts plus held-out errors, scaled to the present intervals.

        Returns
        -------
        table or array
            A table has a first column ``path``, the number of a row's path; an array has a first
            axis of paths.
        """
        levels, seed = _tails(0.9), self._drawn_seed()
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
        if isinstance(self.series_.form, Stack):
            return np.stack(tables)
        frames = [pd.DataFrame(table) for table in tables]
        for i, frame in enumerate(frames):
            frame.insert(0, "path", i)
        return pd.concat(frames)

    @default_settings()
    def backtest(self, X: Data, coverage: float = 0.9, stride: int = 1) -> Backtest:
        """Return forecasts from all steps of X that the fit did not have, with the outcomes.

        Each is made from the steps before it, and its interval from the errors that were known
        then. Known-ahead columns are taken from X.

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
        for one in self._situations(X, None):
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

    @property
    def history_(self) -> int:
        """The steps that a forecast is made from."""
        return self._attributes.model_.blend.history

    @property
    def channels_(self) -> list[str]:
        """The names of the channels that are forecast."""
        series = self._attributes.series_
        return [str(series.form.channels[i]) for i in series.forecast]

    @property
    def _dimensions(self) -> int:
        return int(self.series_.width)

    @property
    def _columns(self) -> list[str] | None:
        return self.series_.columns

    def _described(self) -> tuple[dict[str, Tensor], Json]:
        tensors = nested("model", self.model_.tensors())
        tensors |= nested("series", self.series_.tensors())
        series = self.series_.to_json()
        return tensors, {
            "horizon": self.horizon_,
            "form": series.pop("form"),
            "series": series,
            "model": self.model_.to_json(),
        }

    def _restore(self, tensors: Mapping[str, Tensor], description: Json) -> None:
        self.horizon_ = description["horizon"]
        series = description["series"] | {"form": description["form"]}
        self.series_ = FittedSeries.from_file(unnested("series", tensors), series)
        self.model_ = FutureModel.restored(unnested("model", tensors), description["model"])

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
        return [self._outlook(one, steps, levels) for one in self._situations(X, future)]

    def _situations(self, X: Data | None, future: Data | None) -> list[Situation]:
        fitted = self._fitted
        if X is None:
            return fitted.series_.of_fit(future, fitted.horizon_, fitted.history_)
        return fitted.series_.of_others(X, future, fitted.horizon_, fitted.history_)

    def _outlook(self, one: Situation, steps: int, levels: Sequence[float]) -> Outlook:
        self.series_.check_known(one, steps)
        history, model, end = one.history, self.model_, len(one.past.rows)
        forecast = model.rolling(one.past, np.array([end]))[0]
        errors = np.empty((0, *forecast.shape))
        if levels:
            new = max(1, one.new, end - RECENT)
            recent = model.errors(one.past, np.arange(new, end)) if new < end else errors
            errors = model.quantiles.rolling(recent, np.array(levels))[-1]
        return Outlook(
            history,
            one.after[:steps],
            history.known[end : end + steps],
            one.static,
            one.centre + one.scale * forecast[:steps],
            levels,
            errors,
            one.scale,
        )

    def _assembled(self, outlooks: list[Outlook]) -> TableOrArray:
        series = self.series_
        if isinstance(series.form, LongTable):
            given = (series.known, series.static)
            return series.restored(as_table(series.form, outlooks, series.forecast, *given))
        assert isinstance(series.form, Stack)
        return as_array(series.form, outlooks, series.forecast)


def _levels(quantiles: Sequence[float]) -> list[float]:
    levels = [float(level) for level in quantiles]
    if not levels or not all(0 < level < 1 for level in levels):
        raise SettingError(f"Quantiles are in (0, 1), not {list(quantiles)}.")
    return levels


def _tails(coverage: float) -> list[float]:
    if not 0 < coverage < 1:
        raise SettingError(f"A coverage is a share in (0, 1), not {coverage!r}.")
    return [(1 - coverage) / 2, (1 + coverage) / 2]
