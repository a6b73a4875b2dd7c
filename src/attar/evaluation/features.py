"""Rows that are compared feature by feature."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from attar.errors import DataError

Rows = NDArray[Any]


def comparable(*several: Rows) -> list[Rows]:
    """Return each of several sets of rows (n, ...) as a matrix (n, f), with the same f for all.

    Raises
    ------
    DataError
        If one has no rows, or missing cells, or other features than the first.
    """
    found: list[Rows] = []
    for rows in map(np.asarray, several):
        if not len(rows) or not np.isfinite(rows).all():
            raise DataError("Rows are compared by finite numbers: give one or more, none missing.")
        found.append(rows.reshape(len(rows), -1))
        width, first = found[-1].shape[1], found[0].shape[1]
        if width != first:
            raise DataError(
                f"Rows of {first:,} features cannot be compared with rows of {width:,}: give the "
                "same features of both."
            )
    return found
