"""What to put where a value is missing."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[Any]


def with_means(columns: Rows) -> Rows:
    """Return a matrix (n, d) with each missing value (NaN) replaced by its column's mean, or 0."""
    known = ~np.isnan(columns)
    if known.all():
        return columns
    sums = np.where(known, columns, 0).sum(0, dtype=np.float64)
    means = sums / np.maximum(known.sum(0), 1)
    return np.where(known, columns, means.astype(columns.dtype))
