"""Displays of forecasts, imputed values and clusters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attar.data.kind import Rows
from attar.data.series import Windows, finite_points, joined
from attar.data.source import Data, read
from attar.data.stream import evenly_spaced
from attar.data.table import Table
from attar.errors import SettingError, unknown
from attar.isolation import default_settings
from attar.plotting.base import Plot, check_type, scatter
from attar.reporting.clusters import POINTS
from attar.reporting.future import Fan, interval_levels
from attar.reporting.selection import Colouring, by_label, plane
from attar.reporting.tables import NumberField, fields_of
from attar.reporting.texts import shortened
from attar.tasks.clusters.clusterer import Clusterer
from attar.tasks.future.forecaster import Forecaster
from attar.tasks.gaps.imputer import Imputer

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Bins of a distribution, and levels of a category.
BINS, LEVELS = 24, 12

# Letters of the name of a level, and of all that are beside each other.
MOST_LETTERS, ROOM = 20, 60

# Steps on both sides of the gaps of a series that are shown.
AROUND = 48


@dataclass(eq=False)
class ForecastDisplay(Plot):
    """The end of a series, its forecast, and prediction intervals.

    Parameters
    ----------
    fan : Fan
    coverage : sequence of float
        The probability of each interval, the largest first.
    channel : str

    Examples
    --------
    >>> import attar
    >>> import numpy as np
    >>> X = np.sin(np.arange(200) / 4)[None]
    >>> forecaster = attar.Forecaster(horizon=12).fit(X)
    >>> display = attar.plotting.ForecastDisplay.from_estimator(forecaster)
    >>> len(display.fan.forecast[1]), display.coverage
    (12, (0.95, 0.8, 0.5))
    """

    fan: Fan
    coverage: tuple[float, ...]
    channel: str

    size = (7.0, 3.4)

    @classmethod
    def from_estimator(
        cls,
        estimator: Forecaster,
        X: Data | None = None,
        *,
        channel: str | None = None,
        series: str | None = None,
        coverage: tuple[float, ...] = (0.95, 0.8, 0.5),
        horizon: int | None = None,
        future: Data | None = None,
        ax: Axes | None = None,
    ) -> Self:
        """Draw the forecast of a channel of a series.

        Parameters
        ----------
        estimator : Forecaster
        X : Series, table, array or path, default None
            Series up to now; None: those of the fit.
        channel, series : str, default None
            Which ones; None for the first.
        coverage : tuple of float, default (0.95, 0.8, 0.5)
            The probabilities of intervals.
        horizon : int, default None
            So many steps; None: all that the fit is for.
        future : table, default None
            Rows of known-ahead columns.
        ax : matplotlib Axes, default None

        Raises
        ------
        SettingError
            If the estimator is another, there is no such channel or series, or a coverage is not in
            (0, 1).
        DataError
            If X is not of the form that was fitted.
        """
        check_type(cls, estimator, Forecaster)
        if not coverage or not all(0 < share < 1 for share in coverage):
            raise SettingError(f"Coverages are shares in (0, 1), not {coverage}.")
        widths = tuple(sorted(coverage, reverse=True))
        data = X if X is None else read(X, "test").data
        outlooks = estimator.outlooks(data, interval_levels(widths), horizon, future)
        names = [str(one.history.name) for one in outlooks]
        place = 0 if series is None else _place("series", str(series), names)
        channels = estimator.channels_
        number = 0 if channel is None else _place("channel", channel, channels)
        fan = Fan.of(estimator, outlooks[place], number)
        return cls(fan, widths, channels[number]).plot(ax)

    def _draw(self, ax: Axes) -> None:
        from matplotlib import colormaps

        past, forecast = (
            (_times(times) if self.fan.dates else times, values)
            for times, values in (self.fan.past, self.fan.forecast)
        )
        ax.plot(*past, "0.4", label="series")
        shades = np.linspace(0.2, 0.6, len(self.coverage))
        for width, shade, (low, high) in zip(self.coverage, shades, self.fan.bands, strict=True):
            colour = colormaps["Blues"](shade)
            ax.fill_between(forecast[0], low, high, color=colour, linewidth=0, label=f"{width:.0%}")
        ax.plot(*forecast, "C0", label="forecast")
        zone = ", UTC" if self.fan.zoned else ""
        ax.set(xlabel=f"time{zone}" if self.fan.dates else "step", ylabel=self.channel)
        if self.fan.dates:
            from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

            locator = AutoDateLocator(maxticks=7)  # type: ignore[no-untyped-call]
            ax.xaxis.set_major_locator(locator)
            ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
        ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))


@dataclass(eq=False)
class ImputationDisplay(Plot):
    """Imputed values of a column beside known ones.

    Of series, they are lines over the steps around the gaps, with intervals; of tables, the
    distributions of known and of imputed values, which are expected ones and vary less.

    Parameters
    ----------
    column : str
    known : array (n,)
        Values; NaN of series where they are missing. Categories are text.
    imputed : DataFrame
        ``row``, ``value``, ``low`` and ``high`` of missing values, as of ``Imputer.uncertainty``.
    level : float
        The probability of intervals.
    series : bool
        Whether rows are steps.

    Examples
    --------
    >>> import attar
    >>> import numpy as np
    >>> x = np.linspace(0, 1, 200)
    >>> X = np.column_stack([x, x**2])
    >>> X[20:30, 1] = np.nan
    >>> imputer = attar.Imputer(random_state=0).fit(X)
    >>> display = attar.plotting.ImputationDisplay.from_estimator(imputer, X)
    >>> display.column, len(display.imputed), len(display.known)
    ('x1', 10, 190)
    """

    column: str
    known: Rows
    imputed: pd.DataFrame
    level: float
    series: bool

    size = (7.0, 3.4)

    @classmethod
    def from_estimator(
        cls,
        estimator: Imputer,
        X: Data,
        *,
        column: str | None = None,
        level: float = 0.9,
        ax: Axes | None = None,
    ) -> Self:
        """Draw what the missing values of a column are filled with.

        Parameters
        ----------
        estimator : Imputer
        X : table, Series, array or path
        column : str, default None
            None takes the one with the most missing values.
        level : float, default 0.9
            The probability of intervals.
        ax : matplotlib Axes, default None

        Raises
        ------
        SettingError
            If the estimator is another, X is images, or the column has no missing value.
        DataError
            If X is not of the form that was fitted.
        """
        check_type(cls, estimator, Imputer)
        kind = estimator.model_.kind
        if not isinstance(kind, Table | Windows):
            raise SettingError(f"ImputationDisplay shows tables and series, not {kind.name}.")
        data = read(X, "test", kind=kind).data
        found = estimator.uncertainty(data, level)
        found = found.assign(column=found["column"].astype(str))
        if not len(found):
            raise SettingError("X has no missing values: ImputationDisplay has nothing to show.")
        counts = found["column"].value_counts()
        name = str(counts.index[0]) if column is None else column
        if name not in counts:
            raise unknown("column with missing values", name, list(counts.index))
        pieces = list(estimator.pieces(data))
        known = (
            _steps(kind, pieces, name) if isinstance(kind, Windows) else _values(kind, pieces, name)
        )
        own = found[found["column"] == name].reset_index(drop=True)
        return cls(name, known, own, level, isinstance(kind, Windows)).plot(ax)

    def _draw(self, ax: Axes) -> None:
        if self.series:
            self._draw_steps(ax)
        elif self.known.dtype.kind == "f":
            self._draw_numbers(ax)
        else:
            self._draw_levels(ax)
        ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))

    def _draw_steps(self, ax: Axes) -> None:
        rows = self.imputed["row"].to_numpy()
        start, stop = max(0, rows.min() - AROUND), min(len(self.known), rows.max() + AROUND + 1)
        steps = np.arange(start, stop)
        imputed = self.imputed.set_index("row").reindex(steps)
        low, high = (imputed[end].to_numpy(np.float64) for end in ("low", "high"))
        name = f"interval of {self.level:.0%}"
        ax.fill_between(steps, low, high, color="C1", alpha=0.3, linewidth=0, label=name)
        ax.plot(steps, self.known[start:stop], "0.4", label="known")
        ax.plot(steps, imputed["value"].to_numpy(np.float64), "C1.-", label="imputed")
        ax.set(xlabel="step", ylabel=self.column)

    def _draw_numbers(self, ax: Axes) -> None:
        imputed = self.imputed["value"].to_numpy(np.float64)
        edges = np.histogram_bin_edges(np.concatenate([self.known, imputed]), BINS)
        for values, colour, name in ((self.known, "0.6", "known"), (imputed, "C1", "imputed")):
            shares = 100 * np.histogram(values, edges)[0] / len(values)
            ax.stairs(
                shares, edges, color=colour, fill=name == "known", label=f"{name}, {len(values):,}"
            )
        ax.set(xlabel=self.column, ylabel="share, %")

    def _draw_levels(self, ax: Axes) -> None:
        known, imputed = (
            100 * pd.Series(values).astype(str).value_counts(normalize=True)
            for values in (self.known, self.imputed["value"])
        )
        shares = pd.DataFrame({"known": known, "imputed": imputed})
        shares = shares.fillna(0.0).sort_values("known", ascending=False).head(LEVELS)
        places = np.arange(len(shares))
        for offset, colour, name in ((-0.2, "0.6", "known"), (0.2, "C1", "imputed")):
            ax.bar(places + offset, shares[name], 0.38, color=colour, label=name)
        names = [shortened(str(level), MOST_LETTERS) for level in shares.index]
        ax.set_xticks(places, names, rotation=0 if len("".join(names)) < ROOM else 90)
        ax.set(xlabel=self.column, ylabel="share, %")


@dataclass(eq=False)
class ClusterDisplay(Plot):
    """Rows on a plane, in the colours of their clusters.

    Parameters
    ----------
    points : array (n, 2)
        The principal components of what was clustered.
    labels : int array (n,)
    x, y : str
        The names of the axes.

    Examples
    --------
    >>> import attar
    >>> from sklearn.datasets import make_moons
    >>> X, _ = make_moons(400, noise=0.05, random_state=0)
    >>> clusterer = attar.Clusterer(random_state=0).fit(X)
    >>> display = attar.plotting.ClusterDisplay.from_estimator(clusterer, X)
    >>> display.points.shape, sorted(set(display.labels.tolist()))
    ((400, 2), [0, 1])
    """

    points: Rows
    labels: NDArray[np.int64]
    x: str
    y: str

    size = (6.4, 4.6)

    @classmethod
    @default_settings()
    def from_estimator(cls, estimator: Clusterer, X: Data, *, ax: Axes | None = None) -> Self:
        """Draw rows, some 2,000 where there are more.

        Parameters
        ----------
        estimator : Clusterer
        X : table, array, ...
        ax : matplotlib Axes, default None

        Raises
        ------
        SettingError
            If the estimator is another.
        DataError
            If X is not of the form that was fitted.
        """
        check_type(cls, estimator, Clusterer)
        data = read(X, "test", kind=estimator.model_.kind).data
        found = [estimator.model_.located(piece) for piece in estimator.pieces(data)]
        points = np.concatenate([points for points, _ in found])
        labels = np.concatenate([shares.argmax(1) for _, shares in found])
        some = evenly_spaced(len(labels), POINTS)
        flat, x, y = plane(points[some].astype(np.float64))
        return cls(flat, labels[some], x, y).plot(ax)

    @property
    def colouring(self) -> Colouring:
        """A colour for each cluster."""
        return by_label(np.array([f"cluster {label}" for label in self.labels]))

    def _draw(self, ax: Axes) -> None:
        scatter(ax, self.points, self.colouring, self.x, self.y)


def _place(thing: str, name: str, names: list[str]) -> int:
    if name not in names:
        raise unknown(thing, name, names)
    return names.index(name)


def _times(seconds: NDArray[np.float64]) -> NDArray[np.datetime64]:
    return (1e6 * seconds).astype("datetime64[us]")


def _steps(kind: Windows, pieces: list[object], name: str) -> Rows:
    """Return the values of a channel, NaN where they are missing."""
    points = finite_points(kind.form, joined(pieces)[0])
    channel = [str(x) for x in kind.form.channels].index(name)
    values: Rows = points.values[:, channel]
    return values


def _values(kind: Table, pieces: list[object], name: str) -> Rows:
    """Return the known values of a column: numbers, or levels as text."""
    rows = np.concatenate([kind.rows(piece) for piece in pieces])
    (field,) = (field for field in fields_of(kind) if str(field.name) == name)
    rows = rows[~np.isnan(rows[:, field.cells.start])]
    if isinstance(field, NumberField):
        return np.asarray(rows[:, field.cells.start], np.float64)
    return np.array(field.texts(rows))
