"""A model of the future of series: effects of covariates, a linear forecast, and its errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import pairwise, product
from operator import add
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
from attar.tasks.future.linear import (
    HISTORIES,
    Blend,
    LinearForecaster,
    Shape,
    WindowMoments,
)
from attar.tasks.steps import on_lines

Array = NDArray[np.float64]
Integers = NDArray[np.intp]
T = TypeVar("T", bound=np.generic)

# The folds of each series, of which the last is held out; the longest history, where there is room.
FOLDS, LONGEST = 4, 720

# The ratio of held-out errors that known-ahead columns must reach; of cross-validated errors, that
# of weights for each group of series; and how many groups may have them, as they take memory.
HELPS, SAVES, GROUPS = 0.995, 0.98, 32


@dataclass(frozen=True)
class Past:
    """One series, as the model gets it.

    Attributes
    ----------
    rows : array (steps, channels)
        In units of its deviations, NaN where a value is missing.
    known : array (steps + horizon, columns)
        Of known-ahead columns.
    calendar : array (steps + horizon, columns)
        Features of dates.
    static : array (features,)
        Features of the series by its static columns.
    groups : int array (groupings,)
        The number of its group in each grouping by static columns; -1 for none.
    """

    rows: Array
    known: Array
    calendar: Array
    static: Array
    groups: Integers

    def ahead(self, calendar: bool) -> Array:
        """Return known columns, with those of the calendar or without, of all steps and later."""
        return np.concatenate([self.known, self.calendar], 1) if calendar else self.known

    def traits(self, static: bool) -> Array:
        """Return a constant, with the features of static columns or without."""
        return np.append(1.0, self.static) if static else np.ones(1)

    def slots(self, grouping: int | None) -> Integers:
        """Return the group of each channel: by itself, or with the group of the series."""
        channels = np.arange(self.rows.shape[1])
        group = 0 if grouping is None else self.groups[grouping]
        return channels + len(channels) * group if group >= 0 else np.full_like(channels, -1)


@dataclass(frozen=True)
class Solved:
    """A solution, and how good it is on held-out steps.

    Attributes
    ----------
    train : WindowMoments
        Of steps that are not held out.
    blend : Blend
    errors : array (folds,)
        Weighted sums of squared errors in each fold, forecast from the others.
    error : float
        That on held-out steps.
    """

    train: WindowMoments
    blend: Blend
    errors: Array
    error: float

    @classmethod
    def of(
        cls,
        rows: Sequence[Array],
        known: Sequence[NDArray[np.bool_]],
        slots: Sequence[Integers],
        cuts: Cuts,
    ) -> Self:
        """Return the best solution for filled rows."""
        folds = [
            WindowMoments.of(_cut(rows, fold), _cut(known, fold), slots, cuts.history, cuts.horizon)
            for fold in cuts.folds
        ]
        *most, held_out = folds
        folds = [fold for fold in folds if fold.count]
        if not folds:
            raise DataError(
                "No window of the series has a value: fill their gaps, or forecast a "
                f"shorter horizon than {cuts.horizon}."
            )
        train = reduce(add, most)
        train = train if train.count else held_out
        held_out = held_out if held_out.count else train
        blend = Blend.best(folds, cuts.histories)
        error = held_out.error(blend.solve(train))
        return cls(train, blend, blend.errors(folds), error)


@dataclass(frozen=True)
class Cuts:
    """Where series are cut.

    Attributes
    ----------
    train, held_out : list of slice
        The steps of each series that are trained on; and those that are held out, with the
        history before them.
    folds : list of list of slice
        ``FOLDS`` parts of each series, each with the history before it. The last is ``held_out``.
        Series that are too short to hold some steps out, are wholly in one of the others.
    history, horizon : int
    histories : list of int
        Those that are tried.
    """

    train: list[slice]
    held_out: list[slice]
    folds: list[list[slice]]
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
        edges = [
            np.append(np.linspace(0, n - out, FOLDS), n).astype(np.intp)
            if out
            else n * (np.arange(FOLDS + 1) > i % (FOLDS - 1))
            for i, (n, out) in enumerate(zip(lengths, held, strict=True))
        ]
        folds = [
            [slice(max(0, start - most), stop if stop > start else 0) for start, stop in ends]
            for ends in zip(*(pairwise(each.tolist()) for each in edges), strict=True)
        ]
        return cls(
            [slice(0, n - out) for n, out in zip(lengths, held, strict=True)],
            folds[-1],
            folds,
            most,
            horizon,
            [history] if history else sorted({most, *(h for h in HISTORIES if h < most)}),
        )


def _few(slots: Sequence[Integers]) -> Sequence[Integers]:
    """Return the groups of channels, or one for all where they are too many."""
    return slots if max(map(np.max, slots)) < GROUPS else [np.zeros_like(slots[0])] * len(slots)


def _held_out(steps: int, horizon: int) -> int:
    """Return how many of the steps of a series are held out."""
    return max(steps // FOLDS, horizon) if steps > 2 * horizon else 0


def _cut(parts: Sequence[NDArray[T]], slices: Sequence[slice]) -> list[NDArray[T]]:
    """Return these steps of each series."""
    return [part[some] for part, some in zip(parts, slices, strict=True)]


@dataclass(frozen=True)
class FutureModel:
    """The future of series, given their past and known-ahead columns.

    Attributes
    ----------
    blend : Blend
    forecaster : LinearForecaster
    correction : Correction or None
        None where a network does not help.
    explained : Explained or None
        None where no known-ahead column helps.
    with_calendar, with_static : bool
        Whether the calendar helps, and whether effects depend on static columns.
    grouping : int or None
        The grouping of series whose groups have weights of their own.
    quantiles : AdaptiveQuantiles
    held_out_error : float
        The mean squared error on held-out steps, in squared deviations of the series.
    """

    blend: Blend
    forecaster: LinearForecaster
    correction: Correction | None
    explained: Explained | None
    with_calendar: bool
    with_static: bool
    grouping: int | None
    quantiles: AdaptiveQuantiles
    held_out_error: float

    @classmethod
    def fit(cls, parts: Sequence[Past], horizon: int, history: int | None) -> Self:
        """Return the model of some series.

        History, penalty, and weights for each channel or group of series are chosen by
        cross-validation; known-ahead columns and the correction, on the last quarter of each
        series. Then the weights are solved from all steps.
        """
        cuts = Cuts.of([len(part.rows) for part in parts], horizon, history)
        known = [~np.isnan(part.rows) for part in parts]
        own = _few([part.slots(None) for part in parts])
        filled = filled_best = [on_lines(part.rows) for part in parts]
        best = base = Solved.of(filled, known, own, cuts)
        explained, with_calendar, with_static = None, False, False
        common = LinearForecaster.of(base.train, base.blend.common())
        calendars = (False, True)[: 1 + bool(parts[0].calendar.shape[1])]
        statics = (False, True)[: 1 + bool(len(parts[0].static))]
        for calendar, static in product(calendars, statics):
            columns = [part.ahead(calendar)[: len(part.rows)] for part in parts]
            traits = [part.traits(static) for part in parts]
            if not columns[0].shape[1]:
                continue
            effect = Explained.of(
                _cut(filled, cuts.train), _cut(columns, cuts.train), traits, common
            )
            rest = [
                on_lines(part.rows - effect.of_known(*each))
                for part, *each in zip(parts, columns, traits, strict=True)
            ]
            solved = Solved.of(rest, known, own, cuts)
            if solved.error < HELPS * best.error:
                best, explained, filled_best = solved, effect, rest
                with_calendar, with_static = calendar, static
        grouping, plain = None, best.errors
        for number in range(len(parts[0].groups)):
            slots = _few([part.slots(number) for part in parts])
            solved = Solved.of(filled_best, known, slots, cuts)
            saves = (solved.errors < plain).all() and solved.errors.sum() < SAVES * plain.sum()
            if saves and solved.errors.sum() < best.errors.sum():
                best, grouping, own = solved, number, slots
        linear = LinearForecaster.of(best.train, best.blend)
        correction = Correction.fit(
            _cut(filled_best, cuts.train), _cut(filled_best, cuts.held_out), linear, own
        )
        before = cls(
            best.blend,
            linear,
            correction,
            explained,
            with_calendar,
            with_static,
            grouping,
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
        whole = WindowMoments.of(filled_best, known, own, best.blend.history, horizon)
        return replace(
            before,
            forecaster=LinearForecaster.of(whole, best.blend),
            quantiles=AdaptiveQuantiles.of(errors),
            held_out_error=float(np.nanmean(errors**2)),
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
            effect = self.explained.of_known(
                part.ahead(self.with_calendar), part.traits(self.with_static)
            )
        slots = part.slots(self.grouping)
        rows = self._filled(part.rows - effect[:steps], slots)
        found = self.forecaster.rolling(rows, slots, origins)
        if self.correction is not None:
            found += self.correction.rolling(rows, origins)
        return np.asarray(found + effect[origins[:, None] + np.arange(horizon)])

    def errors(self, part: Past, origins: Integers) -> Array:
        """Return outcomes minus forecasts (n, horizon, channels).

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
        names = ("with_calendar", "with_static", "grouping", "held_out_error")
        shapes = [
            [shape.history, float(shape.penalty), None if shape.others == np.inf else shape.others]
            for shape in self.blend.shapes
        ]
        return {"shapes": shapes, **{name: getattr(self, name) for name in names}}

    @classmethod
    def restored(cls, tensors: Mapping[str, Tensor], description: Json) -> Self:
        """Return what :meth:`tensors` and :meth:`to_json` described."""
        weights, explained = unnested("weights", tensors), unnested("explained", tensors)
        correction = unnested("correction", tensors)
        return cls(
            Blend(
                tuple(
                    Shape(history, penalty, np.inf if others is None else others)
                    for history, penalty, others in description["shapes"]
                )
            ),
            LinearForecaster([weights[str(i)].numpy() for i in range(len(weights))]),
            Correction.restored(correction) if correction else None,
            Explained.restored(explained) if explained else None,
            description["with_calendar"],
            description["with_static"],
            description["grouping"],
            AdaptiveQuantiles.restored(unnested("quantiles", tensors)),
            description["held_out_error"],
        )

    def _filled(self, rows: Array, slots: Integers) -> Array:
        """Return rows without gaps: on lines, and at the end as they are forecast."""
        missing = np.isnan(rows)
        filled = on_lines(rows)
        if not missing[-1].any():
            return filled
        last = len(rows) - np.argmax(~missing[::-1], axis=0)
        last[missing.all(0)] = len(rows)
        first = max(1, int(last.min()))
        while first < len(rows):
            forecast = self.forecaster.forecast(filled[:first], slots)[: len(rows) - first]
            there = slice(first, first + len(forecast))
            late = np.arange(there.start, there.stop)[:, None] >= last
            filled[there] = np.where(late, forecast, filled[there])
            first = there.stop
        return filled
