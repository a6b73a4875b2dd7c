"""SeriesImputation: gaps of series, filled by what is around them in all channels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from attar import storage
from attar.data.kind import Json, Rows, warn_of_unused
from attar.data.points import Points, TableOrArray
from attar.data.series import Windows, finite_points, joined
from attar.errors import DataError
from attar.tasks.gaps.cells import mended_frame
from attar.tasks.gaps.imputation import (
    Array,
    ImputationModel,
    ImputationSettings,
    error_table,
)
from attar.tasks.gaps.stationary import STEPS, StationaryGaussian
from attar.tasks.steps import SeriesScales, calendar, on_lines, places_of_series

Bools = NDArray[np.bool_]

# Fewer steps say nothing of the next; so many channels are modelled together.
FEWEST, CHANNELS = 20, 50

# What is tried as the variance of each cell by itself, as a share of that of its channel.
NUGGETS = (1e-6, 1e-4, 1e-2)

# The share of known cells that are hidden: in gaps like those that there are, and one by one; how
# many gaps are copied at most, and the longest one where there is none.
HIDDEN, ALONE, COPIES, LONGEST = 0.1, 0.005, 100_000, 24

# How often cells are hidden anew: the process is fitted without the first ones, and all are judged.
FOLDS = 4

# Quantiles of errors of a channel, or of all where it has too few.
QUANTILES, ENOUGH = 201, 100


@dataclass(frozen=True)
class Stretch:
    """A series at regular steps, in units of its own.

    Attributes
    ----------
    places, steps : int array (points,)
        The numbers of its points in the user's data, and their steps.
    rows : array (steps, channels)
        NaN where a value is missing.
    known : array (steps, columns)
        What is known of steps beforehand.
    centre, scale : array (channels,)
    """

    places: NDArray[np.intp]
    steps: NDArray[np.intp]
    rows: Array
    known: Array
    centre: Array
    scale: Array


@dataclass(frozen=True)
class SeriesImputation(ImputationModel):
    """What fills gaps of series.

    What a channel does at a time of day is a regression on the calendar. What is left of all
    channels is a stationary Gaussian process, whose conditional expectation is mixed with straight
    lines, in shares that are best on hidden gaps.

    Attributes
    ----------
    form : Windows
    scales : SeriesScales
    effects : array (columns, channels)
        Of the calendar.
    processes : list of StationaryGaussian
        Of up to 50 channels each.
    shares : array (channels,)
        Of the process, beside straight lines.
    quantiles : array (quantiles, channels)
        Of errors of hidden cells, in deviations of the process.
    spread : array (channels,)
        The root mean square of these.
    scores, baseline : array (channels,)
        The root mean squared error of hidden cells, and that of the mean, in standard deviations.
    missing : array (channels,)
        The shares of cells that were missing.
    floor : array (channels,)
        0 for what is never negative.
    steps : int
        Of the fit.
    """

    form: Windows
    scales: SeriesScales
    effects: Array
    processes: list[StationaryGaussian]
    shares: Array
    quantiles: Array
    spread: Array
    scores: Array
    baseline: Array
    missing: Array
    floor: Array
    steps: int

    name = "series"

    @classmethod
    def fit(cls, data: Any, settings: ImputationSettings) -> Self:
        """Return what fills the gaps of such series, judged on gaps that are hidden."""
        settings.refuse_of_tables("series")
        form, _ = Windows.of([data])
        warn_of_unused(form)
        points = finite_points(form.form, joined([data])[0])
        if len(points.codes) < FEWEST:
            raise DataError(
                f"The series have {len(points.codes)} step(s), and Imputer needs {FEWEST} at least "
                "to learn how they go on."
            )
        values = points.values[:, form.channels_used].astype(np.float64)
        scales, none = SeriesScales.of(values, points.codes), np.empty((0, values.shape[1]))
        floor = np.where(np.nanmin(values, 0) >= 0, 0.0, -np.inf)
        missing = np.isnan(values).mean(0)
        plain = np.ones(values.shape[1])
        whole = cls(
            form, scales, none, [], plain, none, plain, plain, plain, missing, floor, len(values)
        )
        parts = list(whole._stretches(points))
        random = np.random.default_rng(settings.seed)
        hidden = [gap for _ in range(FOLDS) for gap in _hidden(parts, random)]
        held = [
            replace(part, rows=np.where(gap, np.nan, part.rows))
            for part, gap in zip(parts * FOLDS, hidden, strict=True)
        ]
        first = held[: len(parts)]
        effects = _effects(first)
        rest = [part.rows - part.known @ effects for part in first]
        groups = [
            [part[:, start : start + CHANNELS] for part in rest]
            for start in range(0, values.shape[1], CHANNELS)
        ]
        fitted = [StationaryGaussian.fit(group, NUGGETS[-1], settings.seed) for group in groups]
        best: tuple[float, Self] | None = None
        for nugget in NUGGETS:
            processes = [process.with_nugget(nugget) for process in fitted]
            found = replace(whole, effects=effects, processes=processes)._judged(
                parts, first, hidden[: len(parts)]
            )
            error = float(np.nansum(found.scores**2))
            best = (error, found) if best is None or error < best[0] else best
        assert best is not None
        return best[1]._judged(parts * FOLDS, held, hidden)

    @property
    def kind(self) -> Windows:
        """The form of the series."""
        return self.form

    @property
    def dimensions(self) -> int:
        """The channels."""
        return len(self.form.form.channels)

    @property
    def columns(self) -> Sequence[object] | None:
        """The channels' names."""
        return self.form.form.channels

    @property
    def rows(self) -> int:
        """The steps of the fit."""
        return self.steps

    @property
    def errors(self) -> pd.DataFrame:
        """Of each channel the root mean squared error, in standard deviations."""
        names = [name for name, _ in self.form.parts]
        return error_table(names, "RMSE", self.scores, self.baseline, self.missing)

    def filled(self, piece: Any) -> tuple[TableOrArray, int]:
        """Return series with what is expected in their gaps."""
        table, points = self._opened(piece)
        gaps = np.isnan(points.values[:, self.form.channels_used])
        return self._mended(table, gaps, self._estimates(points)[0]), int(gaps.sum())

    def drawn(self, piece: Any, number: int, seed: int) -> list[TableOrArray]:
        """Return series with draws in their gaps: whole paths, of all channels together."""
        table, points = self._opened(piece)
        gaps = np.isnan(points.values[:, self.form.channels_used])
        generator, found = torch.Generator().manual_seed(seed), []
        parts = list(self._stretches(points))
        means = [self._expected(part) for part in parts]
        for _ in range(number):
            values = np.empty(gaps.shape)
            for part, (mean, centre, _) in zip(parts, means, strict=True):
                rest = part.rows - part.known @ self.effects
                path = _of_groups(
                    [p.drawn(g, generator) for p, g in zip(*self._grouped(rest), strict=True)]
                )
                own = mean + self.spread * (path + part.known @ self.effects - centre)
                values[part.places] = (own * part.scale + part.centre)[part.steps]
            found.append(self._mended(table, gaps, values))
        return found

    def uncertainty(self, piece: Any, level: float) -> pd.DataFrame:
        """Return the cells that are filled, the points numbered in the order of the data."""
        table, points = self._opened(piece)
        gaps = np.isnan(points.values[:, self.form.channels_used])
        values, deviations = self._estimates(points)
        grid = np.linspace(0, 1, QUANTILES)
        low, high = (
            self.quantiles[np.abs(grid - share).argmin()]
            for share in ((1 - level) / 2, (1 + level) / 2)
        )
        ends = [values, values + deviations * low, values + deviations * high]
        rows, channels = np.nonzero(gaps)
        found = pd.DataFrame({"row": rows})
        found["column"] = np.array([name for name, _ in self.form.parts], object)[channels]
        for name, end in zip(("value", "low", "high"), ends, strict=True):
            own = finite_points(self.form.form, self._mended(table, gaps, end)).values
            found[name] = own[:, self.form.channels_used][gaps].astype(object)
        return found.assign(probability=level)

    def size(self, piece: Any) -> int:
        """Return how many points there are."""
        return len(self._opened(piece)[1].codes)

    def tensors(self) -> dict[str, Tensor]:
        """Return scales, effects, covariances, shares and errors."""
        own = {
            **{"centres": self.scales.centres, "scales": self.scales.scales},
            **{"effects": self.effects, "shares": self.shares, "quantiles": self.quantiles},
            **{"spread": self.spread, "scores": self.scores, "baseline": self.baseline},
            **{"missing": self.missing, "floor": self.floor},
        }
        covariances = {str(i): process.covariance for i, process in enumerate(self.processes)}
        return {
            **{name: torch.from_numpy(array) for name, array in own.items()},
            **storage.nested("covariance", covariances),
        }

    def to_json(self) -> Json:
        """Return the form, and all else."""
        return {
            **{"columns": self.form.to_json(), "own_scales": self.scales.own.tolist()},
            **{"nugget": self.processes[0].nugget, "steps": self.steps},
        }

    @classmethod
    def restored(cls, tensors: Mapping[str, Tensor], description: Json) -> Self:
        """Return what :meth:`tensors` and :meth:`to_json` described."""
        of = {name: tensor.numpy() for name, tensor in tensors.items()}
        covariances = storage.unnested("covariance", tensors)
        return cls(
            Windows.from_json(description["columns"]),
            SeriesScales(of["centres"], of["scales"], np.array(description["own_scales"])),
            of["effects"],
            [
                StationaryGaussian(covariances[str(i)], description["nugget"])
                for i in range(len(covariances))
            ],
            of["shares"],
            of["quantiles"],
            of["spread"],
            of["scores"],
            of["baseline"],
            of["missing"],
            of["floor"],
            description["steps"],
        )

    def _judged(
        self, parts: Sequence[Stretch], held: Sequence[Stretch], hidden: Sequence[Bools]
    ) -> Self:
        """Return this with the shares that are best on hidden cells, and their errors."""
        lines, centres, deviations = (
            np.concatenate([of[mask] for of, mask in zip(each, hidden, strict=True)])
            for each in (
                [on_lines(part.rows) for part in held],
                *zip(*(self._expected(part)[1:] for part in held), strict=True),
            )
        )
        truth = np.concatenate([p.rows[mask] for p, mask in zip(parts, hidden, strict=True)])
        channel = np.concatenate([np.nonzero(mask)[1] for mask in hidden])
        count = len(self.shares)

        def sums(x: Array) -> Array:
            return np.bincount(channel, x, count).astype(np.float64)

        change = centres - lines
        norms = sums(change**2)
        shares = np.divide(sums((truth - lines) * change), norms, np.ones(count), where=norms > 0)
        shares = shares.clip(0, 1)
        errors = truth - lines - shares[channel] * change
        relative = errors / np.maximum(deviations, 1e-6)
        quantiles, grid = np.empty((QUANTILES, count)), np.linspace(0, 1, QUANTILES)
        for j in range(count):
            own = relative[channel == j]
            quantiles[:, j] = np.quantile(own if len(own) >= ENOUGH else relative, grid)
        spread = np.sqrt((quantiles**2).mean(0))
        with np.errstate(invalid="ignore"):
            scores, baseline = (
                np.sqrt(sums(x**2) / np.bincount(channel, minlength=count)) for x in (errors, truth)
            )
        found = replace(self, shares=shares, quantiles=quantiles, spread=spread)
        return replace(found, scores=scores, baseline=baseline)

    def _expected(self, part: Stretch) -> tuple[Array, Array, Array]:
        """Return rows without gaps, what the process expects, and its deviations."""
        effect = part.known @ self.effects
        processes, groups = self._grouped(part.rows - effect)
        means, variances = zip(
            *(process(group) for process, group in zip(processes, groups, strict=True)), strict=True
        )
        centre, lines = effect + _of_groups(means), on_lines(part.rows)
        return lines + self.shares * (centre - lines), centre, np.sqrt(_of_groups(variances))

    def _estimates(self, points: Points) -> tuple[Array, Array]:
        """Return the values of all points without gaps, and their deviations."""
        values = np.empty((len(points.codes), len(self.shares)))
        deviations = np.empty_like(values)
        for part in self._stretches(points):
            mean, _, deviation = self._expected(part)
            values[part.places] = (mean * part.scale + part.centre)[part.steps]
            deviations[part.places] = (deviation * part.scale)[part.steps]
        return values, deviations

    def _stretches(self, points: Points) -> Iterator[Stretch]:
        """Yield each series at regular steps."""
        apart = np.empty(len(points.codes), np.intp)
        apart[points.order] = points.steps(self.form.step)
        values = points.values[:, self.form.channels_used].astype(np.float64)
        for at in places_of_series(points):
            # What is a window away says nothing of a step.
            steps = np.cumsum(np.minimum(apart[at], STEPS))
            centre, scale = self.scales.of_new(values[at])
            unknown = np.isnan(values[at]).all(0)
            centre = np.where(unknown, np.median(self.scales.centres, 0), centre)
            scale = np.where(unknown, np.median(self.scales.scales, 0), scale)
            rows = np.full((steps[-1] + 1, values.shape[1]), np.nan)
            rows[steps] = (values[at] - centre) / scale
            times = np.interp(np.arange(len(rows)), steps, points.earliest + points.times[at])
            yield Stretch(at, steps, rows, calendar(self.form.form, times), centre, scale)

    def _opened(self, piece: Any) -> tuple[TableOrArray, Points]:
        table = joined([piece])[0]
        return table, finite_points(self.form.form, table)

    def _mended(self, table: TableOrArray, gaps: Bools, values: Array) -> TableOrArray:
        """Return series as the user has them, with values (points, channels) in gaps only."""
        used, form = self.form.channels_used, self.form.form
        filled = form.with_values(table, values.clip(self.floor), used)
        if isinstance(table, pd.DataFrame):
            assert isinstance(filled, pd.DataFrame)
            names = [str(form.channels[channel]) for channel in used]
            texts = filled.set_axis([str(name) for name in filled.columns], axis=1)
            return mended_frame(table, texts, dict(zip(names, gaps.T, strict=True)))
        gap = np.zeros((len(gaps), self.dimensions), bool)
        gap[:, used] = gaps
        found: Rows = np.where(gap.reshape(table.shape), filled, table)
        return found

    def _grouped(self, rows: Array) -> tuple[list[StationaryGaussian], list[Array]]:
        starts = range(0, rows.shape[1], CHANNELS)
        return self.processes, [rows[:, start : start + CHANNELS] for start in starts]


def _of_groups(groups: Sequence[Array]) -> Array:
    return np.concatenate(groups, axis=1)


def _effects(parts: Sequence[Stretch]) -> Array:
    """Return the regression of each channel on what is known of steps beforehand."""
    rows, known = (np.concatenate([getattr(p, n) for p in parts]) for n in ("rows", "known"))
    effects = np.empty((known.shape[1], rows.shape[1]))
    for j, column in enumerate(rows.T):
        some = ~np.isnan(column)
        design = known[some]
        penalty = 1e-6 * len(design) * np.eye(known.shape[1])
        effects[:, j] = np.linalg.solve(design.T @ design + penalty, design.T @ column[some])
    return effects


def _hidden(parts: Sequence[Stretch], random: np.random.Generator) -> list[Bools]:
    """Return which known cells to hide: in gaps as there are elsewhere, and a few one by one.

    A gap is a run of missing steps in a channel, with what is missing in others at these steps.
    Where none is missing, gaps of 1 to 24 steps are made up.
    """
    known = [~np.isnan(part.rows) for part in parts]
    hidden = [(random.random(of.shape) < ALONE) & of for of in known]
    shares = np.array([len(of) for of in known]) / sum(len(of) for of in known)
    wanted, channels = HIDDEN * sum(of.sum() for of in known), known[0].shape[1]
    gaps = [gap for of in known for gap in _gaps(~of)]
    for _ in range(COPIES):
        if sum(of.sum() for of in hidden) >= wanted:
            break
        if gaps:
            gap = gaps[random.integers(len(gaps))]
        else:
            gap = np.repeat(
                random.random((1, channels)) < 1 / 2, random.integers(1, LONGEST + 1), 0
            )
        target = random.choice(len(parts), p=shares)
        gap = gap[: max(1, len(known[target]) // 4)]
        start = random.integers(len(known[target]) - len(gap) + 1)
        place = slice(start, start + len(gap))
        hidden[target][place] |= gap & known[target][place]
    return hidden


def _gaps(missing: Bools) -> Iterator[Bools]:
    """Yield what is missing in each run of missing steps of a channel, in all of them."""
    edge = np.zeros((1, missing.shape[1]), bool)
    edges = np.diff(np.concatenate([edge, missing, edge]).astype(np.int8), axis=0)
    for column in edges.T:
        starts, ends = np.flatnonzero(column == 1), np.flatnonzero(column == -1)
        for start, end in zip(starts, ends, strict=True):
            yield missing[start : min(end, start + STEPS)]
