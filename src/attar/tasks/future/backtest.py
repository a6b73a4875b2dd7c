"""Forecasts from many origins, with the outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Backtest:
    """Forecasts from rolling origins, and the outcomes.

    Attributes
    ----------
    channels : list of str
    series : array (n,)
        The name of each origin's series.
    times : array (n,)
        Of the first step that is forecast: seconds since 1970 where times are dates.
    actual, forecast, low, high : array (n, horizon, channels)
        NaN where an outcome is missing.
    """

    channels: list[str]
    series: NDArray[np.object_]
    times: Array
    actual: Array
    forecast: Array
    low: Array
    high: Array

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Return those of several series as one."""
        names = ("series", "times", "actual", "forecast", "low", "high")
        arrays = [np.concatenate([getattr(part, name) for part in parts]) for name in names]
        return cls(parts[0].channels, *arrays)

    @property
    def covered(self) -> Array:
        """Whether outcomes are in their intervals: 1, 0, or NaN (n, horizon, channels)."""
        inside = (self.actual >= self.low) & (self.actual <= self.high)
        return np.where(np.isnan(self.actual), np.nan, inside)

    def scores(self) -> pd.DataFrame:
        """Return for each channel ``mse``, ``mae``, and of intervals ``coverage`` and ``width``."""
        errors, axes = self.actual - self.forecast, (0, 1)
        return pd.DataFrame(
            {
                "mse": np.nanmean(errors**2, axes),
                "mae": np.nanmean(np.abs(errors), axes),
                "coverage": np.nanmean(self.covered, axes),
                "width": np.nanmean(self.high - self.low, axes),
            },
            pd.Index(self.channels, name="channel"),
        )
