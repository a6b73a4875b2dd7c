"""Forecasts in the form in which the user has series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.extensions import ExtensionArray

from attar.data.points import LongTable, Name, Stack
from attar.tasks.future.histories import History

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Outlook:
    """The forecast of one series, in the user's units.

    Attributes
    ----------
    history : History
    times : list
        Of the steps; empty where there are none.
    known : array (steps or fewer, columns)
        Of known-ahead columns.
    static : array (columns,)
        Of static columns.
    forecast : array (steps, channels)
    levels : sequence of float
        Of quantiles.
    errors : array (levels, horizon, channels)
        Quantiles of errors, in units of ``scale``.
    scale : array (channels,)
    """

    history: History
    times: list[object]
    known: Array
    static: Array
    forecast: Array
    levels: Sequence[float]
    errors: Array
    scale: Array

    def quantiles(self) -> Array:
        """Return quantiles (levels, steps, channels), which do not cross."""
        found = self.forecast + self.scale * self.errors[:, : len(self.forecast)]
        ranks = np.argsort(np.argsort(self.levels))
        return np.asarray(np.sort(found, axis=0)[ranks])

    def with_forecast(self, forecast: Array) -> Outlook:
        """Return the same with another forecast, and without quantiles."""
        return replace(self, forecast=forecast, levels=())


def as_table(
    form: LongTable,
    outlooks: Sequence[Outlook],
    forecast: Sequence[int],
    known: Sequence[int],
    static: Sequence[int],
) -> pd.DataFrame:
    """Return a row for each step of each series, in the columns that were fitted.

    Parameters
    ----------
    form : LongTable
    outlooks : sequence of Outlook
    forecast, known, static : sequence of int
        The numbers of the channels that are forecast, and of known-ahead and static columns. Others
        are missing.
    """
    tables = []
    for one in outlooks:
        steps = len(one.forecast)
        columns: dict[Name, object] = {}
        if form.time is not None:
            columns[form.time] = _times(one)
        if one.history.name != 0 or form.series is not None:
            columns[form.series_column] = [one.history.name] * steps
        quantiles = one.quantiles() if one.levels else ()
        for channel, name in enumerate(form.columns):
            columns[name] = np.full(steps, np.nan)
            if channel in known:
                columns[name] = one.known[:steps, known.index(channel)]
            elif channel in static:
                columns[name] = np.full(steps, one.static[static.index(channel)])
            elif channel in forecast:
                place = forecast.index(channel)
                columns[name] = one.forecast[:, place]
                for level, values in zip(one.levels, quantiles, strict=True):
                    columns[f"{name}_{level:g}"] = values[:, place]
        tables.append(pd.DataFrame(columns, index=_index(form, one)))
    return pd.concat(tables, ignore_index=form.time is not None)


def as_array(form: Stack, outlooks: Sequence[Outlook], forecast: Sequence[int]) -> Array:
    """Return an array (series, steps[, channels]), with quantiles as its last axis if asked for.

    Channels that are not forecast are NaN.
    """
    several = bool(outlooks[0].levels)
    found = []
    for one in outlooks:
        values = one.quantiles() if several else one.forecast[None]
        whole = np.full((*values.shape[:2], len(form.channels)), np.nan)
        whole[..., forecast] = values
        found.append(np.moveaxis(whole, 0, -1))
    array = np.stack(found)
    array = array if several else array[..., 0]
    return array[:, :, 0] if form.width is None else array


def _times(one: Outlook) -> ExtensionArray:
    """Return times in the user's type."""
    times = pd.Series(one.times[: len(one.forecast)])
    array: ExtensionArray = times.astype(one.history.dtype).array
    return array


def _index(form: LongTable, one: Outlook) -> pd.Index:
    """Return the names of rows: times where the index has them, else the numbers that follow."""
    steps = len(one.forecast)
    if form.time is None and one.times:
        return pd.Index(_times(one))
    last = one.history.row
    first = int(last) + 1 if isinstance(last, int | np.integer) else 0
    return pd.RangeIndex(first, first + steps)
