"""Denoising: pictures of any size by overlapping tiles, and all else by reconstruction."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from attar.data.images import Images
from attar.data.kind import Rows
from attar.data.pictures import Pictures
from attar.data.preparation import DensePreparation, Preparation
from attar.data.source import Data
from attar.errors import DataError, SettingError, warn
from attar.evaluation.noise import prepared_noise_level
from attar.fitted import Fitted
from attar.isolation import default_settings
from attar.predictor import Predictor

# A tile begins after so large a part of the one before.
SHIFT = 1 / 3

# Noise so many times as strong as in training, or as weak, is warned of.
UNLIKE = 1.5

# Where noise is at least so strong, and so many pixels are the darkest or the brightest, it was cut
# off there.
VISIBLE, CLIPPED = 0.02, 0.25

# Rows that a level in the data's units is converted with.
CONVERTED = 1024


class Denoising(ABC):
    """The method of an estimator that removes noise."""

    fitted_: Fitted

    @abstractmethod
    def _reconstructed(
        self, X: Data, condition: Data | None, level: Callable[[Predictor, Rows], float | None]
    ) -> Any:
        """Return the reconstruction of X, given how to get the level of noise of raw rows."""

    @property
    @abstractmethod
    def _fitted(self) -> Fitted:
        """What was fitted."""

    @default_settings()
    def denoise(self, X: Data | Sequence[Rows], *, level: ArrayLike | None = None) -> Any:
        """Return X without Gaussian noise, in the form that was fitted.

        The model is to be fitted on clean data with noise of many levels, or of the one of X, on
        its input: ``recipe="denoising"``, or ``corruption=GaussianNoise(...)``. The encoder gets
        the level of the noise in X. It is estimated for each picture of a list or a folder, and
        for all rows of anything else together, as the square root of what the smallest variances
        of patches, windows or rows exceed those of the training rows by.

        Pictures larger than those of the fit are cut into tiles of that size, a third of which is
        new, and the reconstructions of all tiles that hold a pixel are averaged, those in whose
        middle it is most. All other data are reconstructed.

        Parameters
        ----------
        X : table, array, Series, Pictures, or list of arrays
            Pictures may have any size from that of the fit on: an array (n, height, width[,
            channels]), a list of arrays (height, width[, channels]), or a folder.
        level : float or sequence of float, default None
            The standard deviation of the noise in the units of X, or one for each channel or
            column; None to estimate it.

        Returns
        -------
        table, array, or list of arrays
            A list for a list or a folder.

        Raises
        ------
        DataError
            If X is not of the form that was fitted, sparse, a picture smaller than a tile, or has
            too few rows to estimate the level.
        SettingError
            If the level is not a number above 0, or the model was fitted without Gaussian noise.

        Examples
        --------
        Tiles of 4 x 4 pixels denoise pictures of 20 x 30.

        >>> import numpy as np
        >>> import attar
        >>> rng = np.random.default_rng(0)
        >>> tiles = np.broadcast_to(rng.random((500, 4, 1)), (500, 4, 4))  # of stripes
        >>> settings = {"epochs": 5, "random_state": 0, "verbose": False}
        >>> ae = attar.Autoencoder("denoising", code_size=4, **settings).fit(tiles)
        >>> stripes = np.broadcast_to(rng.random((1, 20, 1)), (1, 20, 30))
        >>> noisy = stripes + 0.2 * rng.normal(size=stripes.shape)
        >>> clean = ae.denoise(noisy)
        >>> clean.shape, bool(((clean - stripes) ** 2).mean() < 0.2 * 0.2**2)
        ((1, 20, 30), True)
        """
        kind, predictor = self._fitted.kind, self._fitted.predictor
        if not isinstance(predictor.preparation, DensePreparation):
            raise DataError("Sparse data have no Gaussian noise to remove: use reconstruct.")
        find = partial(_level, given=level)
        if not isinstance(kind, Images):
            return self._reconstructed(X, None, find)
        if isinstance(X, Pictures):
            return [_denoised(predictor, kind, picture, find) for _, picture in X.pictures()]
        if isinstance(X, Sequence) and not isinstance(X, str):
            return [_denoised(predictor, kind, np.asarray(picture), find) for picture in X]
        if isinstance(X, np.ndarray) and X.ndim == 1 + len(kind.size) and X.shape[1:] != kind.size:
            return np.stack([_denoised(predictor, kind, picture, find) for picture in X])
        return self._reconstructed(X, None, find)


def _denoised(
    predictor: Predictor, kind: Images, picture: Rows, find: Callable[[Predictor, Rows], Any]
) -> Rows:
    """Return a picture as the mean of the reconstructions of its tiles."""
    places, size, tiles = tiles_of(picture, kind)
    whole = picture if kind.first else np.moveaxis(picture, (0, 1), (-2, -1))
    level = find(predictor, whole.reshape(1, -1, *size))
    rows = predictor.possible(predictor.decoded(predictor.encode(kind.rows(tiles), level)))
    total, weights = np.zeros((rows.shape[1], *size)), np.zeros(size)
    height, width = rows.shape[2:]
    weight = np.outer(np.hanning(height + 2)[1:-1], np.hanning(width + 2)[1:-1])
    for (y, x), row in zip(places, rows, strict=True):
        total[:, y : y + height, x : x + width] += weight * row
        weights[y : y + height, x : x + width] += weight
    restored: Rows = kind.restore((total / weights)[None])[0]
    return restored


def tiles_of(picture: Rows, kind: Images) -> tuple[list[tuple[int, int]], tuple[int, int], Rows]:
    """Return the places of overlapping tiles of a picture, its height and width, and the tiles.

    Raises
    ------
    DataError
        If it has other channels, or is smaller than a tile.

    Examples
    --------
    >>> places, size, tiles = tiles_of(np.arange(20.0).reshape(4, 5), Images((4, 4), "float64"))
    >>> places, size, tiles.shape
    ([(0, 0), (0, 1)], (4, 5), (2, 4, 4))
    """
    sides = slice(1, 3) if kind.first else slice(0, 2)
    height, width = kind.size[sides]
    others = [n for axis, n in enumerate(picture.shape) if axis not in range(*sides.indices(3))]
    own = [n for axis, n in enumerate(kind.size) if axis not in range(*sides.indices(3))]
    if picture.ndim != len(kind.size) or others != own:
        raise DataError(
            f"A picture of shape {picture.shape} has other channels than the images of shape "
            f"{kind.size} that the model was fitted on."
        )
    size = picture.shape[sides][0], picture.shape[sides][1]
    if size[0] < height or size[1] < width:
        raise DataError(
            f"A picture of {size[0]} x {size[1]} pixels is smaller than the images of {height} x "
            f"{width} that the model was fitted on: enlarge it."
        )
    rows, columns = (
        sorted({*range(0, whole - side, max(1, int(side * SHIFT))), whole - side})
        for whole, side in zip(size, (height, width), strict=True)
    )
    places = [(y, x) for y in rows for x in columns]
    before = (slice(None),) * int(kind.first)
    return (
        places,
        size,
        np.stack(
            [picture[(*before, slice(y, y + height), slice(x, x + width))] for y, x in places]
        ),
    )


def _level(predictor: Predictor, rows: Rows, given: ArrayLike | None) -> float | None:
    """Return the level of noise of raw rows in prepared units, within those of the training.

    Parameters
    ----------
    predictor : Predictor
    rows : array (n, *cells)
        Pictures may be larger than those of the fit.
    given : float, sequence of float, or None
        The level in the units of the rows; None to estimate it.
    """
    shrinkage, preparation = predictor.model.shrinkage, predictor.preparation
    if shrinkage is None:
        if given is not None:
            raise SettingError(
                "The model was fitted without Gaussian noise, so it has no use for a level: leave "
                "it out, or fit with recipe='denoising'."
            )
        warn(
            "The model was fitted without Gaussian noise, so it removes what its code cannot hold "
            "and no more: fit with recipe='denoising'."
        )
        return None
    if given is None:
        level = _estimated(preparation, rows, float(shrinkage.floor))
    else:
        level = _prepared(preparation, rows, given)
    if math.isnan(level):
        if shrinkage.low < shrinkage.high:
            raise DataError(
                f"The level of noise in {len(rows):,} row{'s' * (len(rows) > 1)} cannot be "
                "estimated, which takes two for each column: give level=..."
            )
        return shrinkage.low
    if level > UNLIKE * shrinkage.high:
        warn(
            f"The noise is stronger than in training, {level / shrinkage.high:.2g} times the "
            "strongest: some will be left; fit with GaussianNoise of a larger scale."
        )
    if level < shrinkage.low / UNLIKE:
        warn(
            f"The noise is weaker than in training, {level / shrinkage.low:.2g} times the weakest: "
            "details will be lost; fit with recipe='denoising', for any level."
        )
    return min(max(level, shrinkage.low), shrinkage.high)


def _estimated(preparation: Preparation, rows: Rows, floor: float) -> float:
    level = prepared_noise_level(preparation.kind, preparation.prepare(rows).numpy())
    level = math.sqrt(max(0.0, level**2 - floor**2)) if level == level else level
    clipped = np.mean((rows == rows.min()) | (rows == rows.max()))
    if isinstance(preparation.kind, Images) and level > VISIBLE and clipped > CLIPPED:
        warn(
            f"{clipped:.0%} of the pixels are the darkest or the brightest: noise was cut off "
            "there, and its level is estimated too low; give level=..."
        )
    return level


def _prepared(preparation: Preparation, rows: Rows, given: ArrayLike) -> float:
    """Return a level in the units of raw rows as the root mean square of those of columns."""
    kind, some = preparation.kind, rows[:CONVERTED].astype(np.float64)
    try:
        level = np.asarray(given, np.float64)
        added = kind.spread(np.broadcast_to(level, kind.columns(some).shape[1:]), 0.0)
    except (TypeError, ValueError):
        level = np.array(math.nan)
    if not ((level > 0) & np.isfinite(level)).all():
        raise SettingError(
            f"The level of noise must be a number above 0, or one for each channel or column, not "
            f"{given!r}."
        )
    moved = preparation.prepare(some + added) - preparation.prepare(some)
    return float(np.sqrt(np.nanmean(kind.with_unit(moved.numpy())[1] ** 2)))
