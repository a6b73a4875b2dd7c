"""Scales of axes, with ticks that are round numbers or dates, and the width of text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import floor, log10
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attar.reporting.html import superscript

# The width of a character beside the size of the text.
CHARACTER, WIDE_CHARACTER = 0.64, 1.0

# Longer tick labels become multiples of a power of ten.
MOST_CHARACTERS = 6

# Whatever the language of the machine.
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

# Microseconds of a day.
DAY = 86400e6

# What ticks of times are multiples of: NumPy's unit, multiples of it, and what 1970 is in it where
# years count from year 0. Days count from a Monday.
INTERVALS: tuple[tuple[str, tuple[int, ...], int], ...] = (
    ("us", tuple(digit * 10**power for power in range(6) for digit in (1, 2, 5)), 0),
    ("s", (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800), 0),
    ("h", (1, 2, 3, 6, 12), 0),
    ("D", (1, 2, 7, 14), 3),
    ("M", (1, 2, 3, 6), 0),
    ("Y", tuple(digit * 10**power for power in range(5) for digit in (1, 2, 5)), 1970),
)

Times = NDArray[np.datetime64]


def text_width(text: str, size: float) -> float:
    """Return the width of a text of some size, in a wide font: most are narrower."""
    wide = sum(letter in "mwMW@%" or (ord(letter) > 0x1100 and letter != "−") for letter in text)
    return size * (CHARACTER * (len(text) - wide) + WIDE_CHARACTER * wide)


@dataclass(frozen=True)
class Scale:
    """The scale of one axis.

    Attributes
    ----------
    low, high : float
    name : str
    ticks : tuple of (float, str)
        Positions and their labels.
    """

    low: float
    high: float
    name: str
    ticks: tuple[tuple[float, str], ...]

    @classmethod
    def over(cls, low: float, high: float, name: str, integer: bool = False, most: int = 6) -> Self:
        """Return the scale from low to high with round ticks, at integers only if so wished."""
        from matplotlib.ticker import MaxNLocator

        if low == high:
            low, high = low - 0.5, high + 0.5
        places = MaxNLocator(most, steps=[1, 2, 5, 10], integer=integer).tick_values(low, high)
        values = [float(value) for value in places if low <= value <= high]
        texts = _tick_texts(values, 0)
        if max(map(len, texts)) > MOST_CHARACTERS:
            power = floor(log10(max(map(abs, values))))
            texts = _tick_texts(values, power)
            name = f"{name}, in 10{superscript(power)}"
        return cls(low, high, name, tuple(zip(values, texts, strict=True)))

    @classmethod
    def over_times(cls, start: np.datetime64, end: np.datetime64, name: str, most: int) -> Self:
        """Return the scale between two times, in days since 1970, with at most so many ticks.

        Examples
        --------
        >>> scale = Scale.over_times(
        ...     np.datetime64("2024-01-30T18:00"), np.datetime64("2024-02-02T18:00"), "time", 4
        ... )
        >>> [text for _, text in scale.ticks]
        ['31 Jan', '1 Feb', '2 Feb']
        """
        low, high = (float(day) for day in days(np.array([start, end])))
        if low == high:
            return cls(low - 0.5, high + 0.5, name, ((low, time_texts(np.array([start]))[0]),))
        ticks = time_ticks(start, end, most)
        return cls(low, high, name, tuple(zip(days(ticks), time_texts(ticks), strict=True)))

    @classmethod
    def around(cls, values: Iterable[float], name: str) -> Self:
        """Return the scale of values with some room at both ends."""
        values = list(values)
        room = 0.05 * (max(values) - min(values))
        return cls.over(min(values) - room, max(values) + room, name)

    def share(self, value: float) -> float:
        """Return the position of a value: 0 at the low end, 1 at the high end."""
        return (float(value) - self.low) / (self.high - self.low)


def _tick_texts(values: Sequence[float], power: int) -> list[str]:
    """Return ticks as multiples of a power of ten, all with the decimals of their interval."""
    step = min(np.diff(values), default=1.0) / 10.0**power
    decimals = max(0, -floor(log10(step) + 1e-9))
    texts = (f"{value / 10.0**power:.{decimals}f}" for value in values)
    return ["0" if not float(text) else text.replace("-", "−") for text in texts]


def days(times: Times) -> list[float]:
    """Return times in days since 1970."""
    return [float(time) for time in times.astype("datetime64[us]").astype(np.int64) / DAY]


def time_ticks(start: np.datetime64, end: np.datetime64, most: int) -> Times:
    """Return at most so many round times from start to end: years, months, days, hours, ..."""
    for unit, steps, origin in INTERVALS:
        low, high = (
            int(time.astype(f"datetime64[{unit}]").astype(np.int64)) + origin
            for time in (start, end)
        )
        for step in steps:
            if high // step - low // step <= most:
                places = np.arange(-(-low // step), high // step + 1) * step - origin
                ticks = places.astype(f"datetime64[{unit}]").astype("datetime64[us]")
                # The beginning of the first unit can be before the start.
                ticks = ticks[ticks >= start]
                if len(ticks) <= most:
                    return ticks if len(ticks) else np.array([start], "datetime64[us]")
    return np.array([start], "datetime64[us]")


def time_texts(times: Times) -> list[str]:
    """Return times as the ticks of one axis: as short as they stay distinct.

    Examples
    --------
    >>> time_texts(np.array(["2023-11-01", "2024-01-01", "2024-03-01"], "datetime64[us]"))
    ['Nov 2023', 'Jan 2024', 'Mar']
    >>> time_texts(np.array(["2024-01-31T12:00", "2024-02-01T00:00"], "datetime64[us]"))
    ['12:00', '1 Feb']
    """
    index = pd.DatetimeIndex(times)
    midnight = index == index.normalize()
    first_days = midnight & (index.day == 1)
    months = [MONTHS[month - 1] for month in index.month]
    if (first_days & (index.month == 1)).all():
        return [str(year) for year in index.year]
    if first_days.all():
        return [
            f"{month} {time.year}" if i == 0 or time.month == 1 else month
            for i, (month, time) in enumerate(zip(months, index, strict=True))
        ]
    if not (index == index.floor("s")).all():
        return [f"{time.second + time.microsecond / 1e6:g} s" for time in index]
    clock = "%H:%M" if (index == index.floor("min")).all() else "%H:%M:%S"
    return [
        f"{time.day} {month}" if whole else time.strftime(clock)
        for time, month, whole in zip(index, months, midnight, strict=True)
    ]
