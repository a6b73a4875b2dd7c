"""Checks of the numbers that a user gives; each names what is wrong in one sentence."""

from __future__ import annotations

import math
from numbers import Integral, Real

from attar.errors import SettingError


def positive_integer(what: str, value: object, instead: str = "") -> int:
    """Return an integer above 0.

    Parameters
    ----------
    what : str
        What the number is, as the message begins.
    value : object
    instead : str
        What may be given in its place, for the message: ``"None or "``.

    Raises
    ------
    SettingError
        If it is none.
    """
    if isinstance(value, Integral) and not isinstance(value, bool) and int(value) > 0:
        return int(value)
    raise SettingError(f"{what} must be {instead}an integer above 0, not {value!r}.")


def positive(what: str, value: object, instead: str = "") -> float:
    """Return a finite number above 0; parameters and errors are as above."""
    number = _finite(value)
    if number > 0:
        return number
    raise SettingError(f"{what} must be {instead}a number above 0, not {value!r}.")


def non_negative(what: str, value: object) -> float:
    """Return 0 or a finite number above; parameters and errors are as above."""
    number = _finite(value)
    if number >= 0:
        return number
    raise SettingError(f"{what} must be 0 or a number above, not {value!r}.")


def fraction(what: str, value: object) -> float:
    """Return a number from 0 to 1; parameters and errors are as above."""
    number = _finite(value)
    if 0 <= number <= 1:
        return number
    raise SettingError(f"{what} must lie between 0 and 1, not {value!r}.")


def _finite(value: object) -> float:
    """Return a number, or NaN where it is none or not finite."""
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        return math.nan
    return float(value)
