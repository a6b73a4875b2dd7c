"""Stacks: series of equal length in one array."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from attar.data.kind import Rows, back_to
from attar.data.windows.points import Form, Name, Points, precision
from attar.errors import DataError


@dataclass(frozen=True)
class Stack(Form):
    """The form of an array (series, steps, channels) or (series, steps).

    Parameters
    ----------
    width : int or None
        How many channels; None for an array without that axis.
    dtype : str
    """

    width: int | None
    dtype: str

    name = "array"

    @classmethod
    def of(cls, array: Rows) -> Self:
        """Return the form of an array.

        Raises
        ------
        DataError
            If it has other axes, or holds anything but numbers.
        """
        if array.ndim not in (2, 3):
            raise DataError(
                "Series come as a table or as an array (series, steps[, channels]), not as an "
                f"array with {array.ndim} dimensions: array.reshape(1, -1) makes one series."
            )
        if array.dtype.kind not in "buif":
            raise DataError(f"The array of series holds {array.dtype} values where numbers belong.")
        return cls(array.shape[2] if array.ndim == 3 else None, str(array.dtype))

    @property
    def channels(self) -> tuple[Name, ...]:
        """x0, x1, ..."""
        return tuple(f"x{channel}" for channel in range(1 if self.width is None else self.width))

    def points(self, data: Any) -> Points:
        """Return the points of an array, one series after the other."""
        if isinstance(data, pd.DataFrame):
            raise DataError("The model was fitted on an array of series, but this is a table.")
        if Stack.of(data).width != self.width:
            axes = "" if self.width is None else f", {self.width}"
            raise DataError(
                f"The array of series has shape {data.shape}, but the model was fitted on one of "
                f"shape (series, steps{axes})."
            )
        if not data.size:
            raise DataError(f"The array of series holds no value: its shape is {data.shape}.")
        series, steps = data.shape[:2]
        values = data.reshape(series * steps, -1).astype(precision([data.dtype]), copy=False)
        times = np.tile(np.arange(steps), series)
        codes = np.repeat(np.arange(series), steps)
        names = pd.RangeIndex(series, name="series")
        return Points(values, times.astype(np.float64), codes, pd.Series(times), names)

    def back(self, values: Rows, channels: Sequence[int], data: Any) -> Any:
        """Return an array of the same shape with these values."""
        points = data.reshape(len(values), -1).astype(np.float64)
        points[:, channels] = values
        return self._in_dtype(points.reshape(data.shape))

    def new(self, windows: Rows, step: float) -> Any:
        """Return an array (n, window, channels), or (n, window)."""
        return self._in_dtype(windows[..., 0] if self.width is None else windows)

    def describe(self, channel: int) -> str:
        """Return the channel's number."""
        return f"Channel {channel} of the series"

    def _in_dtype(self, values: Rows) -> Rows:
        dtype = np.dtype(self.dtype)
        return values if dtype.kind != "f" and np.isnan(values).any() else back_to(dtype, values)
