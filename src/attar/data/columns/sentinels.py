"""Values that are often written where a value is missing, such as -999 and 9999-12-31."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pyarrow as pa

from attar.data.columns.arrow import floats, sort_of, ticks, ticks_per_day
from attar.errors import warn

# A value is suspected only if it occurs so often.
TWICE = 2

EPOCH = dt.date(1970, 1, 1)
DATES = ("0001-01-01", "1899-12-30", "1900-01-01", "1970-01-01", "2999-12-31", "9999-12-31")


def warn_of_sentinel(name: str, sample: pa.ChunkedArray) -> None:
    """Warn if an extreme value of a column, in a sample, may stand for a missing value."""
    sentinel = sentinel_of(sample)
    if sentinel is not None:
        warn(
            f"Column {name!r} has {sentinel}, far from its other values: if it stands for a "
            "missing value, leave those cells empty or, in a CSV file, name it with na= (--na)."
        )


def sentinel_of(values: pa.ChunkedArray) -> str | None:
    """Return the value of a column that may stand for a missing one; None if there is none.

    It is the smallest or the largest, occurs repeatedly, is a number of nines or a date in
    :data:`DATES`, and is farther from the others than these are from each other, or the only one
    below 0.

    Examples
    --------
    >>> sentinel_of(pa.chunked_array([[20.5, -999.0, 31.0, None, -999.0]]))
    '-999'
    >>> sentinel_of(pa.chunked_array([[99, 98, 97, 99]]))
    """
    sort = sort_of(values.type)
    if sort == "numbers":
        numbers = floats(values)
        numbers = numbers[np.isfinite(numbers)]
    elif sort in ("dates", "dates with a time zone"):
        time, known = ticks(values)
        numbers = (time[known] // ticks_per_day(values.type)).astype(np.float64)
    else:
        return None
    if not len(numbers):
        return None
    for extreme in (numbers.min(), numbers.max()):
        others = numbers[numbers != extreme]
        if len(numbers) - len(others) < TWICE or not len(others):
            continue
        low, high = others.min(), others.max()
        distance = low - extreme if extreme < low else extreme - high
        alone = sort == "numbers" and extreme < 0 <= low
        text = _number(extreme) if sort == "numbers" else _date(extreme)
        if text is not None and (alone or distance > high - low):
            return text
    return None


def _number(value: float) -> str | None:
    """Return a number of at least two nines as text; None for any other."""
    text = f"{value:.0f}"
    nines = text.lstrip("-")
    return text if value == float(text) and len(nines) > 1 and set(nines) == {"9"} else None


def _date(day: float) -> str | None:
    """Return days since 1970 as a date that is often no date; None for any other."""
    days = {(dt.date.fromisoformat(text) - EPOCH).days: text for text in DATES}
    return days.get(int(day))
