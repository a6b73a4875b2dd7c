"""The level of noise in data, from the smallest variances of its patches."""

from __future__ import annotations

import math

import numpy as np

from attar.corruptions import Shrinkage
from attar.data.kind import Kind, Rows
from attar.data.table import Table
from attar.records import Batch

# A patch of an image has so many pixels in height and width, one of a series so many steps.
SIDE, STEPS = 5, 8

# Of wide rows so many columns are used, and of many patches so many, which is enough.
WIDEST, MOST = 512, 1 << 16

# Fewer rows for each column have small variances by chance.
ROWS_PER_COLUMN = 2


def noise_level(rows: Rows) -> float:
    """Return the standard deviation of white noise in correlated rows (n, d), estimated.

    With the eigenvalues of the covariance, v_1 >= ... >= v_d: what is left of them when the largest
    are taken away, one by one, until mean and median are equal, is noise, and its variance their
    mean. Rows without noise need fewer dimensions than d; else the estimate is too large. It is NaN
    for fewer than 2 d rows.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> clean = rng.normal(size=(2000, 3)) @ rng.normal(size=(3, 20))
    >>> round(noise_level(clean + rng.normal(scale=0.2, size=clean.shape)), 2)
    0.2

    References
    ----------
    Chen, Zhu and Heng, "An efficient statistical method for image noise level estimation", ICCV
    2015.
    """
    n, d = rows.shape
    if n < ROWS_PER_COLUMN * d:
        return math.nan
    values = np.linalg.eigvalsh(np.cov(rows.astype(np.float64), rowvar=False).reshape(d, d))
    for k in range(d, 0, -1):
        variance = values[:k].mean()
        if variance <= np.median(values[:k]):
            break
    return float(np.sqrt(max(0.0, variance)))


def prepared_noise_level(kind: Kind, prepared: Rows) -> float:
    """Return the standard deviation of noise in prepared rows (n, *shape), estimated.

    Of images and series their patches are the rows of :func:`noise_level`, of tables the numbers.
    It is NaN where there are too few.
    """
    if isinstance(kind, Table):
        rows = kind.with_unit(prepared)[1]
    elif prepared.ndim == 2:
        rows = prepared
    else:
        rows = patches_of(prepared)
    rows = rows[~np.isnan(rows).any(1)]
    return noise_level(rows[:, :: -(-rows.shape[1] // WIDEST)]) if rows.size else math.nan


def set_noise_floor(shrinkage: Shrinkage | None, kind: Kind, batch: Batch) -> None:
    """Let a shrinkage know the level that clean rows seem to have; 0 where rows are too few."""
    if shrinkage is not None:
        level = prepared_noise_level(kind, batch.target.to_dense().cpu().numpy())
        shrinkage.floor.fill_(0.0 if math.isnan(level) else level)


def patches_of(values: Rows) -> Rows:
    """Return overlapping patches of series (n, c, steps) or images (n, c, h, w): (m, d).

    Patches of images with the least or the largest value in them are left out, unless most are:
    noise may have been cut off there.

    Examples
    --------
    >>> import numpy as np
    >>> patches_of(np.arange(48.0).reshape(1, 3, 16)).shape
    (9, 24)
    >>> patches_of(np.zeros((2, 3, 6, 5))).shape
    (4, 75)
    """
    lengths = values.shape[2:]
    side = STEPS if len(lengths) == 1 else SIDE
    shape = tuple(min(side, length) for length in lengths)
    windows = np.lib.stride_tricks.sliding_window_view(values, shape, tuple(range(2, values.ndim)))
    windows = np.moveaxis(windows, 1, 1 + len(lengths))  # (n, places, c, patch)
    places = windows.shape[: 1 + len(lengths)]
    total = math.prod(places)
    chosen = np.unravel_index(np.arange(0, total, -(-total // MOST)), places)
    patches: Rows = windows[chosen].reshape(len(chosen[0]), -1)
    if len(lengths) == 2:
        inner = patches[((patches > np.nanmin(values)) & (patches < np.nanmax(values))).all(1)]
        patches = inner if 2 * len(inner) > len(patches) else patches
    return patches
