"""A model of the future of series: what is known ahead, a linear forecast, and its errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attar.data.kind import Json
from attar.errors import DataError, warn
from attar.storage import nested, unnested
from attar.tasks.future.ahead import Explained
from attar.tasks.future.conformal import AdaptiveQuantiles
from attar.tasks.future.correction import Correction
from attar.tasks.future.linear import HISTORIES, LinearForecaster, Shape, WindowMoments
from attar.tasks.steps import on_lines

Array = NDArray[np.float64]
Integers = NDArray[np.intp]
T = TypeVar("T", bound=np.generic)

# The last share of each series is held out; the longest history, where there is room.
HELD_OUT, LONGEST = 4, 720

# What known columns must save of the error on held-out steps.
HELPS = 0.995


@dataclass(frozen=True)
class Past:
    """One series, as the model learns it.

    Attributes
    ----------
    rows : array (steps, channels)
        In units of its deviations, NaN where a value is missing.
    known : array (steps + horizon, columns)
        Of columns that are known ahead.
    calendar : array (steps + horizon, columns)
        What is known of times.
    """

    rows: Array
    known: Array
    calendar: Array

    def ahead(self, calendar: bool) -> Array:
        """Return known columns, with those of the calendar or without, of all steps and later."""
        return np.concatenate([self.known, self.calendar], 1) if calendar else self.known


@dataclass(frozen=True)
class Solved:
    """A solution, and how good it is on held-out steps.

    Attributes
    ----------
    train, held_out : WindowMoments
    shape : Shape
    error : float
        Weighted sum of squared errors on held-out steps.
    """

    train: WindowMoments
    held_out: WindowMoments
    shape: Shape
    error: float

    @classmethod
    def of(cls, rows: Sequence[Array], known: Sequence[NDArray[np.bool_]], cuts: Cuts) -> Self:
        """Return the best solution for filled rows."""
        lengths = cuts.history, cuts.horizon
        train = WindowMoments.of(_cut(rows, cuts.train), _cut(known, cuts.train), *lengths)
        held_out = WindowMoments.of(_cut(rows, cuts.held_out), _cut(known, cuts.held_out), *lengths)
        if not train.count:
            raise DataError(
                "No window of the series has a value to learn from: fill their gaps, or forecast a "
                f"shorter horizon than {cuts.horizon}."
            )
        held_out = held_out if held_out.count else train
        shape = Shape.best(train, held_out, cuts.histories)
        return cls(train, held_out, shape, held_out.error(shape.solve(train)))


@dataclass(frozen=True)
class Cuts:
    """Where series are cut.

    Attributes
    ----------
    train, held_out : list of slice
        The steps of each series that are learnt from; and those that are held out, with the
        history before them.
    history, horizon : int
    histories : list of int
        Those that are tried.
    """

    train: list[slice]
    held_out: list[slice]
    history: int
    horizon: int
    histories: list[int]

    @classmethod
    def of(cls, lengths: Sequence[int], horizon: int, history: int | None) -> Self:
        """Return the cuts of series of some lengths.

        Raises
        ------
        DataError
            If all series are shorter than the horizon, or than a given history with it.
        """
        longest = max(lengths)
        if longest <= horizon:
            raise DataError(
                f"A horizon of {horizon} steps is longer than the series, whose longest has "
                f"{longest}: forecast at most {longest - 1}."
            )
        if history is not None and longest < history + horizon:
            raise DataError(
                f"A history of {history} steps and a horizon of {horizon} are longer than the "
                f"series, whose longest has {longest}: shorten one of them."
            )
        held = [_held_out(n, horizon) for n in lengths]
        if not any(held):
            warn(
                f"A horizon of {horizon} steps leaves none of the series' {longest} to judge "
                "forecasts by: intervals are too narrow."
            )
        room = [n - out for n, out in zip(lengths, held, strict=True) if n - out > horizon]
        most = min(LONGEST, max(1, (int(np.median(room)) - horizon) // 2))
        most = history or most
        return cls(
            [slice(0, n - out) for n, out in zip(lengths, held, strict=True)],
            [
                slice(max(0, n - out - most), n if out else 0)
                for n, out in zip(lengths, held, strict=True)
            ],
            most,
            horizon,
            [history] if history else sorted({most, *(h for h in HISTORIES if h < most)}),
        )


def _held_out(steps: int, horizon: int) -> int:
    """Return how many of the steps of a series are held out."""
    return max(steps // HELD_OUT, horizon) if steps > 2 * horizon else 0


def _cut(parts: Sequence[NDArray[T]], slices: Sequence[slice]) -> list[NDArray[T]]:
    """Return these steps of each series."""
    return [part[some] for part, some in zip(parts, slices, strict=True)]


@dataclass(frozen=True)
class FutureModel:
    """What the future of series is, given their past and what is known ahead.

    Attributes
    ----------
    shape : Shape
    forecaster : LinearForecaster
    correction : Correction or None
        None where a network does not help.
    explained : Explained or None
        None where nothing that is known ahead helps.
    with_calendar : bool
        Whether the calendar helps.
    quantiles : AdaptiveQuantiles
    held_out_error : float
        The mean squared error on held-out steps, in squared deviations of the series.
    """

    shape: Shape
    forecaster: LinearForecaster
    correction: Correction | None
    explained: Explained | None
    with_calendar: bool
    quantiles: AdaptiveQuantiles
    held_out_error: float

    @classmethod
    def fit(cls, parts: Sequence[Past], horizon: int, history: int | None) -> Self:
        """Return the model of some series.

        History, penalty, weights for each channel, and whether what is known ahead helps, are
        judged on the last quarter of each series; then all is learnt from all steps.
        """
        cuts = Cuts.of([len(part.rows) for part in parts], horizon, history)
        known = [~np.isnan(part.rows) for part in parts]
        explained, with_calendar = None, False
        filled = filled_best = [on_lines(part.rows) for part in parts]
        best = base = Solved.of(filled, known, cuts)
        common = LinearForecaster.of(
            base.train, Shape(base.shape.history, base.shape.penalty, np.inf)
        )
        for calendar in (False, True):
            columns = [part.ahead(calendar)[: len(part.rows)] for part in parts]
            if not columns[0].shape[1] or (calendar and not parts[0].calendar.shape[1]):
                continue
            effect = Explained.of(_cut(filled, cuts.train), _cut(columns, cuts.train), common)
            rest = [
                on_lines(part.rows - effect.of_known(column))
                for part, column in zip(parts, columns, strict=True)
            ]
            solved = Solved.of(rest, known, cuts)
            if solved.error < HELPS * best.error:
                best, explained, with_calendar, filled_best = solved, effect, calendar, rest
        linear = LinearForecaster.of(best.train, best.shape)
        correction = Correction.fit(
            _cut(filled_best, cuts.train), _cut(filled_best, cuts.held_out), linear
        )
        before = cls(
            best.shape,
            linear,
            correction,
            explained,
            with_calendar,
            AdaptiveQuantiles(np.zeros((1, horizon, parts[0].rows.shape[1]))),
            0.0,
        )
        found = []
        for part, some in zip(parts, cuts.held_out, strict=True):
            first = max(1, some.stop - _held_out(some.stop, horizon)) if some.stop else 1
            if some.stop or not any(each.stop for each in cuts.held_out):
                origins = np.arange(first, len(part.rows) - horizon + 1)
                found.append(before.errors(part, origins))
        errors = np.concatenate(found)
        whole = best.train + best.held_out if best.held_out is not best.train else best.train
        return cls(
            best.shape,
            LinearForecaster.of(whole, best.shape),
            correction,
            explained,
            with_calendar,
            AdaptiveQuantiles.of(errors),
            float(np.nanmean(errors**2)),
        )

    @property
    def horizon(self) -> int:
        """The steps that are forecast."""
        return int(self.forecaster.weights[0].shape[2])

    def rolling(self, part: Past, origins: Integers) -> Array:
        """Return forecasts from several origins, each from the steps before it.

        Parameters
        ----------
        part : Past
        origins : int array (n,)
            At least 1, and at most the number of steps.

        Returns
        -------
        array (n, horizon, channels)
        """
        steps, horizon = len(part.rows), self.horizon
        effect = np.zeros((steps + horizon, part.rows.shape[1]))
        if self.explained is not None:
            effect = self.explained.of_known(part.ahead(self.with_calendar))
        rows = self._filled(part.rows - effect[:steps])
        found = self.forecaster.rolling(rows, origins)
        if self.correction is not None:
            found += self.correction.rolling(rows, origins)
        return np.asarray(found + effect[origins[:, None] + np.arange(horizon)])

    def errors(self, part: Past, origins: Integers) -> Array:
        """Return outcomes less forecasts (n, horizon, channels).

        NaN where an outcome is missing, is not known yet, or the step before the origin is missing.
        """
        beyond = np.full((self.horizon, part.rows.shape[1]), np.nan)
        outcomes = np.concatenate([part.rows, beyond])[origins[:, None] + np.arange(self.horizon)]
        errors = outcomes - self.rolling(part, origins)
        errors[np.isnan(part.rows[origins - 1])[:, None].repeat(self.horizon, 1)] = np.nan
        return np.asarray(errors)

    def tensors(self) -> dict[str, Tensor]:
        """Return all weights and errors."""
        weights = {
            str(i): torch.from_numpy(array) for i, array in enumerate(self.forecaster.weights)
        }
        return {
            **nested("weights", weights),
            **nested("explained", {} if self.explained is None else self.explained.tensors()),
            **nested("correction", {} if self.correction is None else self.correction.tensors()),
            **nested("quantiles", self.quantiles.tensors()),
        }

    def to_json(self) -> Json:
        """Return all else."""
        shape = {"history": self.shape.history, "penalty": float(self.shape.penalty)}
        others = None if self.shape.others == np.inf else self.shape.others
        own = {"with_calendar": self.with_calendar, "held_out_error": self.held_out_error}
        return {**shape, "others": others, **own}

    @classmethod
    def restored(cls, tensors: Mapping[str, Tensor], description: Json) -> Self:
        """Return what :meth:`tensors` and :meth:`to_json` described."""
        weights, explained = unnested("weights", tensors), unnested("explained", tensors)
        correction, others = unnested("correction", tensors), description["others"]
        return cls(
            Shape(
                description["history"],
                description["penalty"],
                np.inf if others is None else float(others),
            ),
            LinearForecaster([weights[str(i)].numpy() for i in range(len(weights))]),
            Correction.restored(correction) if correction else None,
            Explained.restored(explained) if explained else None,
            description["with_calendar"],
            AdaptiveQuantiles.restored(unnested("quantiles", tensors)),
            description["held_out_error"],
        )

    def _filled(self, rows: Array) -> Array:
        """Return rows without gaps: on lines, and at the end as they are forecast."""
        missing = np.isnan(rows)
        filled = on_lines(rows)
        if not missing[-1].any():
            return filled
        last = len(rows) - np.argmax(~missing[::-1], axis=0)
        last[missing.all(0)] = len(rows)
        first = max(1, int(last.min()))
        while first < len(rows):
            forecast = self.forecaster.forecast(filled[:first])[: len(rows) - first]
            there = slice(first, first + len(forecast))
            late = np.arange(there.start, there.stop)[:, None] >= last
            filled[there] = np.where(late, forecast, filled[there])
            first = there.stop
        return filled
