"""SeriesScorer: the steps of series, each compared with all before it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from scipy import stats
from scipy.signal import lfilter
from torch import Tensor

from attar.data.kind import Json
from attar.data.points import LongTable, Points, SeriesForm, TableOrArray
from attar.data.series import FORMS, finite_points, form_of_series, joined
from attar.data.source import Data, Source, read, without_infinities
from attar.errors import DataError, SettingError, unknown, warn
from attar.storage import nested, unnested
from attar.tasks.anomalies.calibration import RunningTails
from attar.tasks.anomalies.online import OnlineSeries
from attar.tasks.anomalies.scorer import Array, Scorer, Settings, Test, same
from attar.tasks.steps import Last, OneSeries, SeriesScales, calendar, places_of_series

# Steps of the longest window that is compared, at most a third of a series. Fewer steps in all say
# nothing of what is usual.
WINDOW, FEWEST = 64, 30

# How much more strong evidence counts than lasting evidence.
POWER = 2

# An alarm does not wait: where later steps are not known, evidence is gathered over fewer.
QUICKER = 5

# So many errors of forecasts are kept, which those of new series are compared with.
ERRORS = 10_000


@dataclass(frozen=True)
class Unlikeliness:
    """How unlikely the steps of a series are.

    Attributes
    ----------
    nats : array (steps, views)
        NaN where all channels are missing.
    channels, expected, reach : array (steps, channels)
        As of :class:`attar.tasks.anomalies.online.Step`; NaN where the channel is missing.
    """

    nats: Array
    channels: Array
    expected: Array
    reach: Array


@dataclass
class SeriesScorer(Scorer):
    """What is usual in series.

    Attributes
    ----------
    form : SeriesForm
    used : list of int
        The channels that have values.
    names : list of str
        The series of the fit.
    span : int
        Steps over which evidence is gathered: it fades by a factor of e.
    step : float
        The usual time from a step to the next.
    scales : SeriesScales
    online : OnlineSeries
    lasts : list of Last
        Where each series ended.
    tails, tails_before : RunningTails
        Of the evidence for each step: from all others, and from those before.
    own : array
        How odd the steps of the fit are, in the user's order and shape.
    usual : float
        The mean evidence for a step, which series start with.
    errors : array (n, channels)
        Of forecasts.
    digest : str
        Of the data of the fit.
    """

    form: SeriesForm
    used: list[int]
    names: list[str]
    span: int
    step: float
    scales: SeriesScales
    online: OnlineSeries
    lasts: list[Last]
    tails: RunningTails
    tails_before: RunningTails
    own: Array
    usual: float
    errors: Array
    digest: str

    name = "series"
    kind = None

    @classmethod
    def fit(cls, data: Any, settings: Settings) -> Self:
        """Return what is usual in the steps of series."""
        for name in ("columns", "recipe"):
            if getattr(settings, name):
                raise SettingError(f"{name} is for tables, and the data are series: leave it out.")
        span = settings.span
        table, options = joined([data])
        form = form_of_series(table, options)
        points = finite_points(form, table)
        used = _used(form, points)
        values = points.values[:, used].astype(np.float64)
        scales = SeriesScales.of(values, points.codes)
        parts = [
            OneSeries.of(points, values, at, *scales.at(code))
            for code, at in enumerate(places_of_series(points))
        ]
        longest = max(len(part.rows) for part in parts)
        window = max(1, min(options.window or WINDOW, longest // 3))
        filled = [part.filled() for part in parts]
        missing = np.isnan(np.concatenate([part.rows for part in parts])).all(axis=1)
        online, nats, errors = OnlineSeries.fit(
            filled,
            [calendar(form, part.times) for part in parts],
            missing,
            window,
            settings.seed,
        )
        each = np.split(nats, np.cumsum([len(part.rows) for part in parts])[:-1])
        lasts, all_, before, usual = [], [], [], _usual(nats)
        for part, rows, own in zip(parts, filled, each, strict=True):
            past = _past(usual, _quick(span))
            last = Last.before(rows[0], online.before, past, float(part.times[-1]))
            last.recent = last.then(rows)[-online.before :]
            lasts.append(last)
            all_.append(_from_all(own, online.shifts(), span, usual))
            before.append(_from_before(own, _quick(span), last))
        tails, tails_before = (
            RunningTails.fit(np.concatenate(found)[:, None], 1 / (2 * alike))
            for found, alike in ((all_, span), (before, _quick(span)))
        )
        scores = np.empty(len(values))
        scores[np.concatenate([part.places for part in parts])] = _nats(tails, np.concatenate(all_))
        intervals = np.concatenate([np.diff(part.times) for part in parts])
        return cls(
            form,
            used,
            [str(name) for name in points.names],
            span,
            float(np.median(intervals)) if len(intervals) else 1.0,
            scales,
            online,
            lasts,
            tails,
            tails_before,
            _shaped(scores, table),
            usual,
            errors[:: -(-len(values) // ERRORS)],
            _digest(points),
        )

    def updated(self, pieces: Iterator[TableOrArray], seed: int) -> Self:
        """Return what is usual after further steps, which go on from those before.

        Raises
        ------
        DataError
            If there is a series that the fit did not have.
        """
        found = deepcopy(self)
        for piece in pieces:
            points = finite_points(self.form, piece)
            for code, part in found._series(points):
                if code is None:
                    name = points.names[points.codes[part.places[0]]]
                    raise DataError(f"The fit had no series {name!r}: fit the detector anew.")
                last = found.lasts[code]
                rows = last.then(part.rows)
                trace = found._trace(found.online, rows, part)
                last.recent, last.time = rows[-found.online.before :], float(part.times[-1])
                _from_before(trace.nats, _quick(found.span), last)
        return found

    @property
    def dimensions(self) -> int:
        """The channels."""
        return len(self.form.channels)

    @property
    def columns(self) -> list[str]:
        """The channels' names."""
        return [str(name) for name in self.form.channels]

    def pieces(self, X: Data | Source, infinite_as_missing: bool) -> Iterator[TableOrArray]:
        """Yield series whole: a step is compared with all before it."""
        data: Any = read(X, "test").data
        yield joined([without_infinities(data) if infinite_as_missing else data])[0]

    def score(self, piece: TableOrArray) -> Array:
        """Return how odd steps are, in nats, in the order and the shape of the data."""
        points = finite_points(self.form, piece)
        if _digest(points) == self.digest:
            return self.own
        found = np.empty(len(points.codes))
        for part, trace in self._traces(points):
            evidence = _from_all(trace.nats, self.online.shifts(), self.span, self.usual)
            found[part.places] = _nats(self.tails, evidence)
        return _shaped(found, piece)

    def pvalues(self, scores: Array) -> Array:
        """Return the tail probabilities of evidence among the steps of the fit."""
        return np.exp(-scores)

    def limit(self, false_alarms: float) -> float:
        """Return -log of a share."""
        return float(-np.log(false_alarms))

    def interval(self, false_alarms: float) -> tuple[float, float]:
        """Return what as many independent steps would promise: one for each two spans."""
        steps = self.own.size / (2 * self.span)
        a, b = false_alarms * (steps + 1), (1 - false_alarms) * (steps + 1)
        low, high = stats.beta(a, b).ppf([0.025, 0.975])
        return float(low), float(high)

    def explain(self, piece: TableOrArray, start: int, most: int) -> pd.DataFrame:
        """Return the channels whose forecasts were missed most, and these forecasts."""
        points, tables = finite_points(self.form, piece), []
        names = np.array(self.columns, object)[self.used]
        for part, trace in self._traces(points):
            rows = points.values[part.places][:, self.used]
            order = np.argsort(-np.nan_to_num(trace.channels, nan=-np.inf), axis=1)[:, :most]
            expected, reach = part.centre + part.scale * trace.expected, part.scale * trace.reach
            found = {
                "row": np.repeat(start + part.places, order.shape[1]),
                "column": names[order].ravel(),
            }
            numbers = {
                **{"nats": trace.channels, "value": rows, "expected": expected},
                **{"low": expected - reach, "high": expected + reach},
            }
            for name, each in numbers.items():
                found[name] = np.take_along_axis(each, order, 1).ravel()
            tables.append(pd.DataFrame(found))
        return pd.concat(tables).sort_values("row", kind="stable", ignore_index=True)

    def tests(self, pieces: Iterator[TableOrArray]) -> tuple[dict[str, Test], int]:
        """Return Kolmogorov-Smirnov tests of the errors of forecasts in each channel."""
        found = []
        for piece in pieces:
            for part, trace in self._traces(finite_points(self.form, piece)):
                found.append(part.rows - trace.expected)
        errors, names = np.concatenate(found), np.array(self.columns, object)[self.used]
        tests = {
            str(name): same(before, after[~np.isnan(after)])
            for name, before, after in zip(names, self.errors.T, errors.T, strict=True)
            if not np.isnan(after).all()
        }
        return tests, len(tests)

    def next(self, row: Any, time: Any, series: Any) -> float:
        """Return how odd the next step of a series is, in nats, and learn it.

        Parameters
        ----------
        row : mapping, Series or array (channels,)
        time : date, number or None
            None: a usual time after the last step.
        series : str or None
            Its name, where there are several.
        """
        code = self._code(series)
        last, (centre, scale) = self.lasts[code], self.scales.at(code)
        values = (self._values(row) - centre) / scale
        last.time = last.time + self.step if time is None else self._seconds(time, last)
        last.recent = last.then(values[None])[1:]
        step = self.online.step(last.recent, calendar(self.form, np.array([last.time]))[0])
        nats = np.full((1, len(self.online.views)), np.nan) if step is None else step.nats[None]
        return float(_nats(self.tails_before, _from_before(nats, _quick(self.span), last))[0])

    def tensors(self) -> dict[str, Tensor]:
        """Return scales, last steps, tails, scores and errors, and what was learnt online."""
        own = {
            **{"centres": self.scales.centres, "scales": self.scales.scales},
            **{"recent": np.stack([last.recent for last in self.lasts])},
            **{"times": np.array([last.time for last in self.lasts])},
            **{"evidence": np.stack([last.evidence for last in self.lasts])},
            **{"own": self.own, "errors": self.errors},
        }
        return {
            **{name: torch.from_numpy(array) for name, array in own.items()},
            **nested("tails", self.tails.tensors()),
            **nested("tails_before", self.tails_before.tensors()),
            **nested("online", self.online.tensors()),
        }

    def to_json(self) -> Json:
        """Return the form of the data, their series and channels, and all else."""
        return {
            **{"form": self.form.name, "columns": self.form.to_json()},
            **{
                "used": self.used,
                "names": self.names,
                "span": self.span,
                "usual": self.usual,
                "step": self.step,
            },
            **{"own_scales": self.scales.own.tolist(), "digest": self.digest},
            **{"online": self.online.to_json()},
        }

    @classmethod
    def restored(cls, tensors: Mapping[str, Tensor], description: Json) -> Self:
        """Return what :meth:`tensors` and :meth:`to_json` described."""
        of = {name: tensor.numpy() for name, tensor in tensors.items()}
        lasts = [
            Last(recent.copy(), float(time), evidence.copy())
            for recent, time, evidence in zip(
                of["recent"], of["times"], of["evidence"], strict=True
            )
        ]
        return cls(
            FORMS[description["form"]].from_json(description["columns"]),
            description["used"],
            description["names"],
            description["span"],
            description["step"],
            SeriesScales(of["centres"], of["scales"], np.array(description["own_scales"])),
            OnlineSeries.restored(unnested("online", tensors), description["online"]),
            lasts,
            RunningTails.restored(unnested("tails", tensors)),
            RunningTails.restored(unnested("tails_before", tensors)),
            of["own"],
            description["usual"],
            of["errors"],
            description["digest"],
        )

    def _traces(self, points: Points) -> Iterator[tuple[OneSeries, Unlikeliness]]:
        """Yield each series of some points, and how unlikely its steps are.

        A series of the fit goes on from its end; no other series has a say.
        """
        new = _digest(points) != self.digest
        for code, part in self._series(points):
            past, row = _past(self.usual, _quick(self.span)), np.nan_to_num(part.rows[0])
            last = Last.before(row, self.online.before, past, float(part.times[0]))
            if code is not None and new:
                if self._clock != "rows" and part.times[0] <= self.lasts[code].time:
                    warn(
                        "X begins before the series of the fit ended, at "
                        f"{points.labels.iloc[part.places[0]]}: steps that were learnt look more "
                        "usual than they are."
                    )
                else:
                    last = self.lasts[code]
            yield part, self._trace(deepcopy(self.online), last.then(part.rows), part)

    def _series(self, points: Points) -> Iterator[tuple[int | None, OneSeries]]:
        """Yield each series of some points, and the number of that of the fit that it goes on."""
        values = points.values[:, self.used].astype(np.float64)
        for name, places in zip(points.names, places_of_series(points), strict=True):
            code = self._continued(str(name), len(points.names))
            scale = self.scales.of_new(values[places]) if code is None else self.scales.at(code)
            yield code, OneSeries.of(points, values, places, *scale)

    def _trace(self, online: OnlineSeries, rows: Array, part: OneSeries) -> Unlikeliness:
        """Return how unlikely the last steps of some rows are."""
        steps, channels = part.rows.shape
        nats = np.full((steps, len(online.views)), np.nan)
        of_channels, expected, reach = np.full((3, steps, channels), np.nan)
        known = calendar(self.form, part.times)
        for i in range(steps):
            step = online.step(rows[i + 1 : i + 1 + online.before], known[i])
            if step is not None:
                nats[i], of_channels[i] = step.nats, step.channels
                expected[i], reach[i] = step.expected, step.reach
        return Unlikeliness(nats, of_channels, expected, reach)

    def _continued(self, name: str, series: int) -> int | None:
        """Return the number of the fit's series that one of so many goes on with."""
        if len(self.names) == series == 1:
            return 0
        named = isinstance(self.form, LongTable) and name in self.names
        return self.names.index(name) if named else None

    @property
    def _clock(self) -> str:
        return self.form.clock if isinstance(self.form, LongTable) else "rows"

    def _code(self, series: Any) -> int:
        if series is None:
            if len(self.names) == 1:
                return 0
            raise DataError(f"The detector knows {len(self.names)} series: name one (series=...).")
        if str(series) not in self.names:
            raise DataError(str(unknown("series", series, self.names)))
        return self.names.index(str(series))

    def _values(self, row: Any) -> Array:
        """Return the used channels of one step."""
        channels = self.form.channels
        if isinstance(row, Mapping | pd.Series):
            missing = [str(name) for name in channels if name not in row]
            if missing:
                raise DataError(
                    f"The row lacks {', '.join(missing)}: give NaN where one is missing."
                )
            row = [row[name] for name in channels]
        values = np.asarray(row, np.float64).ravel()
        if len(values) != len(channels):
            raise DataError(
                f"The row has {len(values)} values, and the series {len(channels)} channels: "
                f"{', '.join(self.columns)}."
            )
        if np.isinf(values).any():
            raise DataError("The row has an infinite value: give NaN where one is missing.")
        return values[self.used]

    def _seconds(self, time: Any, last: Last) -> float:
        """Return the time of a step, that goes on from the last one."""
        if self._clock == "dates":
            stamp = pd.Timestamp(time)
            seconds = (stamp.tz_localize("UTC") if stamp.tz is None else stamp).timestamp()
        else:
            seconds = float(time)
        if seconds < last.time:
            warn(f"The step at {time} comes before the last one: it is scored as the next one.")
        return seconds


def _used(form: SeriesForm, points: Points) -> list[int]:
    """Return the channels that have values, with a warning of others."""
    if len(points.values) < FEWEST:
        raise DataError(
            f"The series have {len(points.values)} step(s), and AnomalyDetector needs {FEWEST} at "
            "least to learn what is usual."
        )
    known = ~np.isnan(points.values).all(0)
    for channel in np.flatnonzero(~known):
        warn(
            f"{form.describe(int(channel))} is not used, as all of its values are missing: drop it."
        )
    values = points.values[:, known]
    if not values.size or (np.nanmin(values, 0) == np.nanmax(values, 0)).all():
        raise DataError(
            "All steps of the series are alike: there is nothing to tell them apart by."
        )
    return np.flatnonzero(known).tolist()


def _quick(span: int) -> int:
    return max(1, span // QUICKER)


def _from_all(nats: Array, shifts: list[int], span: int, usual: float) -> Array:
    """Return the evidence for each step from all steps: the mean of views, near steps most.

    The power mean (Σ w_s e_s² / Σ w_s)^½ over steps s, where e_s is the mean of -log p of views
    whose windows have s in their middle, and w_s = exp(-|t - s| / span). Steps before the first one
    have the usual evidence.
    """
    shifted = [
        np.append(own[shift:], np.repeat(own[-1:], min(shift, len(own))))[: len(own)]
        for own, shift in zip(nats.T, shifts, strict=True)
    ]
    sums = []
    for each, before in zip(_evidence(np.array(shifted).T), _past(usual, span), strict=True):
        after = _faded(each[::-1], span, 0.0)[::-1]
        sums.append(_faded(each, span, before) + after - each)
    return _root(*sums)


def _from_before(nats: Array, span: int, last: Last) -> Array:
    """Return the evidence for each step from it and those before, and add it to the last one's."""
    pairs = zip(_evidence(nats), last.evidence, strict=True)
    sums = [_faded(each, span, past) for each, past in pairs]
    last.evidence = np.array([each[-1] for each in sums])
    return _root(*sums)


def _evidence(nats: Array) -> tuple[Array, Array]:
    """Return the evidence of steps (steps, views), and their weights: 0 where it is missing."""
    known = (~np.isnan(nats)).sum(1)
    mean = np.nan_to_num(nats).sum(1) / np.maximum(known, 1)
    return mean**POWER, np.minimum(known, 1.0)


def _usual(nats: Array) -> float:
    """Return the mean evidence for a step."""
    evidence, weights = _evidence(nats)
    return float(evidence.sum() / weights.sum())


def _past(usual: float, span: int) -> Array:
    """Return the sums of evidence and weights after many steps of usual evidence."""
    return np.array([usual, 1.0]) / float(np.expm1(1 / span))


def _faded(numbers: Array, span: int, past: float) -> Array:
    """Return sums of numbers that count less by a factor of e after so many steps."""
    keep = np.exp(-1 / span)
    return np.asarray(lfilter([1.0], [1.0, -keep], numbers, zi=[keep * past])[0])


def _root(evidence: Array, weights: Array) -> Array:
    mean = np.divide(evidence, weights, np.zeros_like(evidence), where=weights > 0)
    return np.maximum(mean, 0.0) ** (1 / POWER)


def _nats(tails: RunningTails, evidence: Array) -> Array:
    return tails.nats(evidence[:, None])[:, 0]


def _shaped(scores: Array, data: TableOrArray) -> Array:
    """Return scores of points in the shape of the user's array."""
    return scores.reshape(data.shape[:2]) if isinstance(data, np.ndarray) else scores


def _digest(points: Points) -> str:
    """Return a digest of points and their order."""
    found = hashlib.sha256(np.ascontiguousarray(points.values).tobytes())
    for part in (points.codes, points.times, np.array([points.earliest])):
        found.update(np.ascontiguousarray(part).tobytes())
    return found.hexdigest()
