"""Points: what series are made of, however the user has them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attar.data.kind import Rows
from attar.errors import DataError

Array = NDArray[np.float64]
Integers = NDArray[np.intp]
Name = str | int


@dataclass(frozen=True)
class Points:
    """The points of some series, in the user's order.

    Attributes
    ----------
    values : float array (m, channels)
        NaN where one is missing.
    times : float array (m,)
        Since the earliest: seconds of dates, the user's own unit of numbers.
    codes : int array (m,)
        The number of each point's series.
    labels : Series (m,)
        The times as the user has them, under the names of the user's rows.
    names : Index
        The names of the series.
    """

    values: Rows
    times: Array
    codes: Integers
    labels: pd.Series[Any]
    names: pd.Index[Any]

    @cached_property
    def order(self) -> Integers:
        """The points' numbers by series and time."""
        return np.lexsort((self.times, self.codes))

    @cached_property
    def apart(self) -> Array:
        """How long each point, in this order, is after the one before; NaN where a series begins.

        Raises
        ------
        DataError
            If a series has two points of one time.
        """
        begins = np.diff(self.codes[self.order], prepend=-1) != 0
        apart = np.where(begins, np.nan, np.diff(self.times[self.order], prepend=np.nan))
        for place in np.flatnonzero(apart == 0)[:1]:
            raise DataError(
                f"{self._pair(place)} have the same time: keep one of them, or name the column "
                "that tells series apart (series=...)."
            )
        return apart

    def typical_step(self) -> float:
        """Return the usual time from a point to the next; 1 where each series has one point.

        It is the lower quartile of the differences, so that gaps may be frequent, averaged with
        all that differ from it by a quarter at most: a month has 30.4 days.
        """
        apart = self.apart[~np.isnan(self.apart)]
        if not len(apart):
            return 1.0
        low = np.quantile(apart, 0.25, method="lower")
        return float(apart[np.abs(apart - low) <= low / 4].mean())

    def steps(self, step: float) -> Integers:
        """Return :attr:`apart` in whole steps; 0 where a series begins.

        Each difference is rounded by itself: unequal months are one step each, and clocks may
        drift.

        Raises
        ------
        DataError
            If two points are less than half a step apart.
        """
        steps = np.rint(self.apart / step)
        for place in np.flatnonzero(steps == 0)[:1]:
            raise DataError(
                f"{self._pair(place)} are closer than half a step of the series, which is "
                f"{step:g}: bring them to regular times first, for example with "
                "DataFrame.resample."
            )
        return np.nan_to_num(np.minimum(steps, 2.0**31)).astype(np.intp)

    def _pair(self, place: int) -> str:
        pair = self.order[place - 1 : place + 1]
        (row, other), (time, later) = self.labels.index[pair], self.labels.iloc[pair]
        of = f" of the series {self.names[self.codes[pair[0]]]}" if len(self.names) > 1 else ""
        return f"The rows {row} ({time}) and {other} ({later}){of}"


@dataclass(frozen=True)
class Form(ABC):
    """How the user has series: what their points are, and how they come back."""

    name: ClassVar[str]

    @property
    @abstractmethod
    def channels(self) -> tuple[Name, ...]:
        """The names of all channels."""

    @abstractmethod
    def points(self, data: Any) -> Points:
        """Return the points of data of this form.

        Raises
        ------
        DataError
            If it is of another form, or holds anything but numbers and times.
        """

    @abstractmethod
    def back(self, values: Rows, channels: Sequence[int], data: Any) -> Any:
        """Return data with these values (m, channels) in place of its own, in the fitted dtypes.

        Where one is missing, whole numbers of NumPy's dtypes become floating point.

        Parameters
        ----------
        values : array (m, channels)
        channels : sequence of int
            The numbers of these channels; the others stay as they are.
        data : object
            The user's own, of this form; it is not changed.
        """

    @abstractmethod
    def new(self, windows: Rows, step: float) -> Any:
        """Return windows (n, window, channels) as series of their own, whose times begin at 0."""

    @abstractmethod
    def describe(self, channel: int) -> str:
        """Return the words for a channel, at the beginning of a sentence."""

    def to_json(self) -> dict[str, Any]:
        """Return the form as plain JSON data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Return the form that :meth:`to_json` wrote down."""
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in data.items()})


def precision(dtypes: Iterable[np.dtype[Any]]) -> type[np.floating[Any]]:
    """Return single precision where it holds all numbers of these dtypes, else double."""
    single = all(np.can_cast(dtype, np.float32) for dtype in dtypes)
    return np.float32 if single else np.float64
