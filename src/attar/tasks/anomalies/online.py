"""What is usual in series, learnt step by step: nearest windows of the past, and forecasts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from torch import Tensor

from attar.data.kind import Json
from attar.storage import nested, unnested
from attar.tasks.anomalies.calibration import RunningTails

Array = NDArray[np.float64]

# The nearest window that counts, how many are kept, and how many are compared at once.
NEIGHBOUR, KEPT, AT_ONCE = 2, 2000, 1024

# The least deviation of a window whose shape is compared, in deviations of the series.
FLAT = 0.2

# Forecasts: the weight of the past a step later, how far one error may move them, in deviations of
# the series, and how far values may lie.
MEMORY, BOUND, FAR = 0.9995, 2.0, 20.0

# How many values are forecast from, where a series is not forecast from its calendar alone.
LAGS = 12


class View(ABC):
    """One way to compare the last steps of a series with all before.

    Attributes
    ----------
    length : int
        The steps that are compared.
    before : int
        The steps that must be known.
    """

    name: ClassVar[str]
    length: int
    before: int

    @abstractmethod
    def fit(self, parts: Sequence[Array], calendars: Sequence[Array]) -> Array:
        """Learn all series, and return how far each step is from all others.

        Returns
        -------
        array (steps, n)
            The parts of a difference, whose length is the distance.
        """

    @abstractmethod
    def step(self, recent: Array, calendar: Array) -> float:
        """Return how far the last step is from those before, and learn it."""

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """Return the numbers that were learnt."""

    @abstractmethod
    def to_json(self) -> Json:
        """Return all else that :meth:`restored` needs."""

    @classmethod
    @abstractmethod
    def restored(cls, tensors: Mapping[str, Tensor], description: Json) -> Self:
        """Return the view that was described."""


class NearestWindows(View):
    """The distance from the last window to the second nearest one of the past.

    Of all windows of the past a uniform sample is kept (reservoir sampling).

    Parameters
    ----------
    length : int
        The steps of a window.
    standardized : bool
        Whether windows are compared by their shape alone, without level and deviation.
    seed : int
    """

    name = "windows"

    def __init__(self, length: int, standardized: bool, seed: int) -> None:
        self.length, self.standardized = length, standardized
        self.before = 2 * length
        self.random, self.seen = np.random.default_rng(seed), 0

    def fit(self, parts: Sequence[Array], calendars: Sequence[Array]) -> Array:
        """Keep evenly spaced windows; none explains itself or what it overlaps."""
        windows = np.concatenate([self._windows(part) for part in parts])
        of = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        self.seen = len(windows)
        at = np.unique(np.linspace(0, self.seen - 1, min(KEPT, self.seen)).astype(int))
        self.size = len(at)
        self.bank, self.norms = np.zeros((KEPT, windows.shape[1])), np.zeros(KEPT)
        self.bank[: self.size] = windows[at]
        self.norms[: self.size] = (windows[at] ** 2).sum(1)
        apart, found = max(1, self.length // 2), []
        for start in range(0, self.seen, AT_ONCE):
            some = np.arange(start, min(start + AT_ONCE, self.seen))
            squares = self._squares(windows[some])
            near = (np.abs(at - some[:, None]) < apart) & (of[at] == of[some][:, None])
            squares[near] = np.inf
            found.append(self._distance(squares))
        far = np.concatenate(found)
        largest = far[np.isfinite(far)].max(initial=0.0)
        return np.where(np.isfinite(far), far, largest)[:, None]

    def step(self, recent: Array, calendar: Array) -> float:
        """Return the distance; then the window before the last one is one of the past."""
        window = self._of(recent[-self.length :])
        far = float(self._distance(self._squares(window)))
        self.seen += 1
        slot = self.size
        if slot < KEPT:
            self.size += 1
        else:
            slot = int(self.random.integers(self.seen))
        if slot < KEPT:
            past = self._of(recent[-2 * self.length : -self.length])
            self.bank[slot], self.norms[slot] = past, past @ past
        return far

    def tensors(self) -> dict[str, Tensor]:
        """Return the windows that are kept."""
        return {"bank": torch.from_numpy(self.bank[: self.size].copy())}

    def to_json(self) -> Json:
        """Return the length, how many were seen, and the random state."""
        own = {"length": self.length, "standardized": self.standardized, "seen": self.seen}
        return own | {"random": self.random.bit_generator.state}

    @classmethod
    def restored(cls, tensors: Mapping[str, Tensor], description: Json) -> Self:
        """Return the view that was described."""
        found = cls(description["length"], description["standardized"], 0)
        found.seen = description["seen"]
        found.random.bit_generator.state = description["random"]
        bank = tensors["bank"].numpy()
        found.size = len(bank)
        found.bank, found.norms = np.zeros((KEPT, bank.shape[1])), np.zeros(KEPT)
        found.bank[: found.size] = bank
        found.norms[: found.size] = (bank**2).sum(1)
        return found

    def _windows(self, rows: Array) -> Array:
        """Return the window that ends with each row."""
        padded = np.concatenate([np.repeat(rows[:1], self.length - 1, axis=0), rows])
        return self._of(np.moveaxis(sliding_window_view(padded, self.length, axis=0), 2, 1))

    def _of(self, windows: Array) -> Array:
        """Return windows (..., length, channels) as they are compared: (..., cells)."""
        if self.standardized:
            windows = windows - windows.mean(-2, keepdims=True)
            deviation = np.sqrt((windows**2).mean(-2, keepdims=True))
            windows = windows / np.maximum(deviation, FLAT)
        return windows.reshape(*windows.shape[:-2], -1)

    def _squares(self, windows: Array) -> Array:
        products = windows @ self.bank[: self.size].T
        return np.asarray(
            (windows**2).sum(-1, keepdims=True) - 2 * products + self.norms[: self.size]
        )

    def _distance(self, squares: Array) -> Array:
        at = min(NEIGHBOUR, squares.shape[-1]) - 1
        return np.sqrt(np.maximum(np.partition(squares, at, axis=-1)[..., at], 0.0))


class LinearForecast(View):
    """The error of a linear forecast of a step (recursive least squares).

    Parameters
    ----------
    lags : int
        From so many values before, and the calendar.

    Attributes
    ----------
    expected : array (channels,)
        What the last step was forecast to be.

    References
    ----------
    Ljung and Söderström, "Theory and practice of recursive identification", MIT Press 1983.
    """

    name = "forecast"
    length = 1

    def __init__(self, lags: int) -> None:
        self.lags, self.before = lags, lags + 1

    def fit(self, parts: Sequence[Array], calendars: Sequence[Array]) -> Array:
        """Learn all steps in turn, and return the errors of all (steps, channels) after that."""
        found = [self._inputs(*each) for each in zip(parts, calendars, strict=True)]
        inputs, rows = np.concatenate(found), np.concatenate(parts).clip(-FAR, FAR)
        self.covariance = np.eye(inputs.shape[1])
        self.weights = np.zeros((inputs.shape[1], rows.shape[1]))
        for x, row in zip(inputs, rows, strict=True):
            self._learn(x, row - x @ self.weights)
        self.expected = inputs[-1] @ self.weights
        return np.asarray(rows - inputs @ self.weights)

    def step(self, recent: Array, calendar: Array) -> float:
        """Return the length of the error."""
        x = self._before(recent, calendar)
        self.expected = x @ self.weights
        error = recent[-1].clip(-FAR, FAR) - self.expected
        self._learn(x, error)
        return float(np.sqrt(error @ error))

    def forecast(self, recent: Array, calendar: Array) -> Array:
        """Return what the last step is expected to be (channels,)."""
        return np.asarray(self._before(recent, calendar) @ self.weights)

    def tensors(self) -> dict[str, Tensor]:
        """Return weights and the covariance of their estimates."""
        own = {"weights": self.weights, "covariance": self.covariance}
        return {name: torch.from_numpy(array) for name, array in own.items()}

    def to_json(self) -> Json:
        """Return the number of lags."""
        return {"lags": self.lags}

    @classmethod
    def restored(cls, tensors: Mapping[str, Tensor], description: Json) -> Self:
        """Return the view that was described."""
        found = cls(description["lags"])
        found.weights = tensors["weights"].numpy().copy()
        found.covariance = tensors["covariance"].numpy().copy()
        found.expected = np.zeros(found.weights.shape[1])
        return found

    def _before(self, recent: Array, calendar: Array) -> Array:
        before = recent[-1 - self.lags : -1].clip(-FAR, FAR)
        return np.concatenate([before.ravel(), calendar])

    def _inputs(self, rows: Array, calendar: Array) -> Array:
        if not self.lags:
            return calendar
        padded = np.concatenate([np.repeat(rows[:1], self.lags, axis=0), rows]).clip(-FAR, FAR)
        before = np.moveaxis(sliding_window_view(padded[:-1], self.lags, axis=0), 2, 1)
        return np.concatenate([before.reshape(len(rows), -1), calendar], 1)

    def _learn(self, x: Array, error: Array) -> None:
        reach = self.covariance @ x
        gain = reach / (MEMORY + x @ reach)
        self.weights += gain[:, None] * error.clip(-BOUND, BOUND)
        self.covariance -= gain[:, None] * reach
        if self.covariance.trace() < 10 * len(x):  # what is never seen is not forgotten for ever
            self.covariance /= MEMORY


VIEWS: dict[str, type[View]] = {view.name: view for view in (NearestWindows, LinearForecast)}


@dataclass(frozen=True)
class Step:
    """How unlikely a step of a series is, given all before.

    Attributes
    ----------
    nats : array (views,)
        By each view.
    channels : array (channels,)
        Those of each channel, by its forecast; NaN where it is missing.
    expected, reach : array (channels,)
        The forecast, and how far 90% of errors go at most.
    """

    nats: Array
    channels: Array
    expected: Array
    reach: Array


class OnlineSeries:
    """What is usual in series: views whose distances are calibrated, all of which learn on.

    Time and memory of a step are constant.

    Parameters
    ----------
    views : list of View
        The last one forecasts from what was before.
    tails : RunningTails
        Of the views' distances, and of the last one's errors in each channel.
    """

    def __init__(self, views: list[View], tails: RunningTails) -> None:
        self.views, self.tails = views, tails
        self.before = max(view.before for view in views)

    @classmethod
    def fit(
        cls,
        parts: Sequence[Array],
        calendars: Sequence[Array],
        missing: NDArray[np.bool_],
        window: int,
        seed: int,
    ) -> tuple[Self, Array, Array]:
        """Return what is usual, -log p of each step by each view, and the errors of forecasts.

        Parameters
        ----------
        parts : sequence of array (steps, channels)
            Series in units of their deviations.
        calendars : sequence of array (steps, features)
            What is known of each step beforehand, a constant at least.
        missing : array of bool (steps,)
            Steps of all series that are not counted, and have no p.
        window : int
            The steps of the longest window.
        seed : int

        Returns
        -------
        OnlineSeries, array (steps, views), array (steps, channels)
        """
        lengths = sorted({1, max(1, window // 8), window})
        windows = [(length, False) for length in lengths] + [(window, True)]
        views: list[View] = [NearestWindows(*each, seed) for each in windows]
        views += [LinearForecast(0), LinearForecast(LAGS)]
        differences = [view.fit(parts, calendars) for view in views]
        errors = differences[-1]
        distances = [np.linalg.norm(each, axis=1) for each in differences]
        numbers = np.column_stack([*distances, np.abs(errors)])
        numbers[missing] = np.nan
        tails = RunningTails.fit(numbers)
        return cls(views, tails), tails.nats(numbers)[:, : len(views)], errors

    def step(self, recent: Array, calendar: Array) -> Step | None:
        """Return how unlikely the last of some steps is, and learn it; None where it is missing.

        Parameters
        ----------
        recent : array (before, channels)
            Missing values of the last step become what was expected of them.
        calendar : array (features,)
        """
        forecast = self.views[-1]
        assert isinstance(forecast, LinearForecast)
        missing = np.isnan(recent[-1])
        if missing.any():
            recent[-1, missing] = forecast.forecast(recent, calendar)[missing]
            if missing.all():
                return None
        distances = [view.step(recent, calendar) for view in self.views]
        errors = np.where(missing, np.nan, np.abs(recent[-1] - forecast.expected))
        reach = self.tails.quantile(0.9)[len(self.views) :]
        nats = self.tails.next(np.append(distances, errors))
        parts = np.split(nats, [len(self.views)])
        return Step(parts[0], parts[1], forecast.expected, reach)

    def shifts(self) -> list[int]:
        """Return how many steps ago the middle of each view's window was."""
        return [view.length // 2 for view in self.views]

    def tensors(self) -> dict[str, Tensor]:
        """Return the numbers that were learnt."""
        found = nested("tails", self.tails.tensors())
        for i, view in enumerate(self.views):
            found |= nested(f"views.{i}", view.tensors())
        return found

    def to_json(self) -> Json:
        """Return all else that :meth:`restored` needs."""
        return {"views": [{"name": view.name, **view.to_json()} for view in self.views]}

    @classmethod
    def restored(cls, tensors: Mapping[str, Tensor], description: Json) -> Self:
        """Return what :meth:`tensors` and :meth:`to_json` described."""
        views = [
            VIEWS[one["name"]].restored(unnested(f"views.{i}", tensors), one)
            for i, one in enumerate(description["views"])
        ]
        return cls(views, RunningTails.restored(unnested("tails", tensors)))
