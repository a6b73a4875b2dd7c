"""Series as steps: in units of their own, without gaps, and what is known of them beforehand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attar.data.points import LongTable, Points, SeriesForm
from attar.data.series import typical_series

Array = NDArray[np.float64]
Places = NDArray[np.intp]

DAY = 86_400


@dataclass(frozen=True)
class SeriesScales:
    """What series are scaled by: each by its own median and deviation where their means differ.

    Attributes
    ----------
    centres, scales : array (series, channels)
    own : array of bool (channels,)
        Where each series has its own.
    """

    centres: Array
    scales: Array
    own: NDArray[np.bool_]

    @classmethod
    def of(cls, values: Array, codes: Places) -> Self:
        """Return those of points (m, channels) of some series."""
        own = np.array([pair is not None for pair in typical_series(values, codes)])
        series = [_scale(values[codes == code]) for code in range(codes.max() + 1)]
        each, whole = np.array(series).swapaxes(0, 1), np.array(_scale(values))[:, None]
        centres, scales = np.where(own, each, whole)
        return cls(centres, scales, own)

    def at(self, code: int) -> tuple[Array, Array]:
        """Return the centre and scale of a series of the fit."""
        return self.centres[code], self.scales[code]

    def of_new(self, values: Array) -> tuple[Array, Array]:
        """Return the centre and scale of another series."""
        centre, scale = _scale(values)
        return (
            np.where(self.own, centre, self.centres[0]),
            np.where(self.own, scale, self.scales[0]),
        )


@dataclass(frozen=True)
class OneSeries:
    """One of the user's series, in units of its own.

    Attributes
    ----------
    places : array of int (steps,)
        The numbers of its steps in the user's data.
    rows : array (steps, channels)
    times : array (steps,)
        Seconds since 1970, or in the user's own unit.
    centre, scale : array (channels,)
    """

    places: Places
    rows: Array
    times: Array
    centre: Array
    scale: Array

    @classmethod
    def of(cls, points: Points, values: Array, places: Places, centre: Array, scale: Array) -> Self:
        """Return the series of some points, by their time."""
        times = points.earliest + points.times[places]
        return cls(places, (values[places] - centre) / scale, times, centre, scale)

    def filled(self) -> Array:
        """Return the rows, where missing values are on straight lines between known ones."""
        return on_lines(self.rows)


@dataclass
class Last:
    """Where a series is.

    Attributes
    ----------
    recent : array (before, channels)
        Its last steps, in its own units.
    time : float
        Of the last one.
    evidence : array (2,)
        Sums of the evidence of all steps, and of their weights.
    """

    recent: Array
    time: float
    evidence: Array

    @classmethod
    def before(cls, row: Array, steps: int, evidence: Array, time: float) -> Self:
        """Return a series that is at its first row."""
        return cls(np.repeat(row[None], steps, axis=0), time, evidence)

    def then(self, rows: Array) -> Array:
        """Return the last steps with others after them."""
        return np.concatenate([self.recent, rows])


def places_of_series(points: Points) -> list[Places]:
    """Return the numbers of the points of each series, by time."""
    codes = points.codes[points.order]
    return np.split(points.order, np.flatnonzero(np.diff(codes)) + 1)


def on_lines(rows: Array) -> Array:
    """Return rows whose gaps are on straight lines; at both ends the nearest value goes on."""
    lines = pd.DataFrame(rows).interpolate(limit_direction="both")
    return lines.fillna(0.0).to_numpy(copy=True)


def _scale(values: Array) -> tuple[Array, Array]:
    """Return the median and the deviation of each channel; of a constant one its size."""
    known = np.where(np.isnan(values).all(0), 0.0, values)
    most = np.nanmax(np.abs(known), 0)
    deviation, middle = np.nanstd(known, 0), np.asarray(np.nanmedian(known, 0))
    return middle, np.asarray(np.where(deviation > 1e-9 * most, deviation, most + 1e-12))


def calendar(form: SeriesForm, times: Array) -> Array:
    """Return what is known of steps beforehand: their place in the day, apart for weekends.

    Where times are no dates, it is a constant.
    """
    if not isinstance(form, LongTable) or form.clock != "dates":
        return np.ones((len(times), 1))
    days, seconds = np.divmod(times, DAY)
    angles = 2 * np.pi * seconds[:, None] / DAY * np.arange(1, 5)
    hours = np.concatenate([np.ones((len(times), 1)), np.sin(angles), np.cos(angles)], 1)
    weekend = (days + 3) % 7 >= 5  # 1970 began on a Thursday
    return np.concatenate([hours, hours * weekend[:, None]], 1)
