"""Error bounds of near-lossless compression: the largest absolute errors of columns."""

from __future__ import annotations

import numpy as np
import pandas as pd

from attar.data.columns.numbers import IntegerColumn, NumberColumn
from attar.data.kind import Rows
from attar.data.points import LongTable
from attar.data.series import Windows
from attar.data.table import MixedTable, NumericTable, Table
from attar.errors import SettingError, unknown
from attar.likelihoods import Causal


def error_bounds(likelihood: Causal, kind: Table | Windows, rows: Rows) -> list[float]:
    """Return the largest absolute error of each raw column; 0 in lossless compression.

    Integers differ by whole units: a bound is half a unit more than the largest difference.

    Parameters
    ----------
    likelihood : Causal
    kind : Table or Windows
    rows : array (n, columns)
        Some rows, whose range relative bounds are a share of.

    Raises
    ------
    SettingError
        If a bound is not above 0, or there is no column of numbers of its name.
    """
    bounds = [0.0] * rows.shape[1]
    if not likelihood.error_bound and not likelihood.error_bounds:
        return bounds
    numbers, named = _numbers(kind), dict(likelihood.error_bounds)
    for name, bound in named.items():
        if name not in numbers:
            raise unknown("column of numbers", name, numbers)
        if not 0 < bound < np.inf:
            raise SettingError(
                f"The error bound of the column {name!r} is {bound!r}, not above 0: leave it out, "
                "and its numbers are lossless."
            )
    for name, (place, integer) in numbers.items():
        known = rows[:, place][np.isfinite(rows[:, place])].astype(np.float64)
        bound = named.get(
            name, likelihood.error_bound * float(np.ptp(known)) if len(known) else 0.0
        )
        bounds[place] = bound
        if integer:
            bounds[place] = np.floor(bound) + 0.5 if bound >= 1 else 0.0
    return bounds


def _numbers(kind: Table | Windows) -> dict[str, tuple[int, bool]]:
    """Return the places of numbers among raw columns, and whether they are integers."""
    if isinstance(kind, MixedTable):
        found = {
            one.name: one for one in kind.fields if isinstance(one, NumberColumn | IntegerColumn)
        }
        return {
            portion.name: (portion.columns.start, isinstance(found[portion.name], IntegerColumn))
            for portion in kind.portions
            if portion.name in found
        }
    if isinstance(kind, NumericTable):
        whole = np.dtype(kind.dtype).kind in "iu"
        return {cell.name: (place, whole) for place, cell in enumerate(kind.cells)}
    assert isinstance(kind, Windows)
    form = kind.form
    types = form.dtypes if isinstance(form, LongTable) else ["float64"] * len(form.channels)
    return {
        str(form.channels[i]): (place, pd.api.types.is_integer_dtype(types[i]))
        for place, i in enumerate(kind.channels_used)
    }
