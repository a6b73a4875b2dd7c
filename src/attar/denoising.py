"""Denoising: pictures of any size by overlapping tiles, and all else by reconstruction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from attar.corruptions import GaussianNoiseModule
from attar.data.images import Images
from attar.data.kind import Rows
from attar.data.pictures import Pictures
from attar.data.source import Data
from attar.errors import DataError, warn
from attar.fitted import Fitted
from attar.isolation import default_settings
from attar.predictor import Predictor

Array = NDArray[np.float64]

# A tile begins after so large a part of the one before.
SHIFT = 1 / 3

# Noise so many times as strong as that of the training is told.
STRONGER = 1.5


class Denoising(ABC):
    """The method of an estimator that removes noise."""

    fitted_: Fitted

    @abstractmethod
    def reconstruct(self, X: Data, *, condition: Data | None = None) -> Any:
        """Return the reconstruction of X, in the form that was fitted."""

    @property
    @abstractmethod
    def _fitted(self) -> Fitted:
        """What was fitted."""

    @default_settings()
    def denoise(self, X: Data | Sequence[Rows]) -> Any:
        """Return X without noise, in the form that was fitted.

        The model should be fitted on clean rows, with noise on its input (``corruption=
        GaussianNoise(...)``). Pictures larger than those of the fit are cut into tiles of that
        size, a third of which is new, and the reconstructions of all tiles that hold a pixel are
        averaged, those in whose middle it is most. All other data are reconstructed.

        Parameters
        ----------
        X : table, array, Series, Pictures, or list of arrays
            Pictures may have any size from that of the fit on: an array (n, height, width[,
            channels]), a list of arrays (height, width[, channels]), or a folder.

        Returns
        -------
        table, array, or list of arrays
            A list for a list or a folder.

        Raises
        ------
        DataError
            If X is not of the form that was fitted, or a picture smaller than a tile.

        Examples
        --------
        Tiles of 4 x 4 pixels denoise pictures of 20 x 30.

        >>> import numpy as np
        >>> import attar
        >>> from attar.corruptions import GaussianNoise
        >>> rng = np.random.default_rng(0)
        >>> tiles = np.broadcast_to(rng.random((500, 4, 1)), (500, 4, 4))  # of stripes
        >>> settings = {"epochs": 5, "random_state": 0, "verbose": False}
        >>> ae = attar.Autoencoder(code_size=4, corruption=GaussianNoise(0.2), **settings)
        >>> stripes = np.broadcast_to(rng.random((1, 20, 1)), (1, 20, 30))
        >>> noisy = stripes + 0.2 * rng.normal(size=stripes.shape)
        >>> clean = ae.fit(tiles).denoise(noisy)
        >>> clean.shape, bool(((clean - stripes) ** 2).mean() < 0.2 * 0.2**2)
        ((1, 20, 30), True)
        """
        kind, predictor = self._fitted.kind, self._fitted.predictor
        if not isinstance(kind, Images):
            return self.reconstruct(X)
        if isinstance(X, Pictures):
            return [_denoised(predictor, kind, picture) for _, picture in X.pictures()]
        if isinstance(X, Sequence) and not isinstance(X, str):
            return [_denoised(predictor, kind, np.asarray(picture)) for picture in X]
        if isinstance(X, np.ndarray) and X.ndim == 1 + len(kind.size) and X.shape[1:] != kind.size:
            return np.stack([_denoised(predictor, kind, picture) for picture in X])
        return self.reconstruct(X)


def _denoised(predictor: Predictor, kind: Images, picture: Rows) -> Rows:
    """Return a picture as the mean of the reconstructions of its tiles."""
    places, size, tiles = tiles_of(picture, kind)
    _warn_of_noise(predictor, picture if kind.first else np.moveaxis(picture, (0, 1), (-2, -1)))
    rows = predictor.possible(predictor.decoded(predictor.encode(kind.rows(tiles))))
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


def noise_level(pictures: Rows) -> float:
    """Return the standard deviation of Gaussian noise in a picture, estimated.

    The median of absolute diagonal details at the finest scale, (a - b - c + d) / 2 for each 2 x 2
    pixels, over that of a standard normal distribution: edges have little part in it.

    Parameters
    ----------
    pictures : array (..., height, width)

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(scale=25, size=(200, 300))
    >>> round(noise_level(np.linspace(0, 255, 300) + noise))
    25

    References
    ----------
    Donoho and Johnstone, "Ideal spatial adaptation by wavelet shrinkage", Biometrika 1994.
    """
    x = np.asarray(pictures, np.float64)
    height, width = (side // 2 * 2 for side in x.shape[-2:])
    x = x[..., :height, :width]
    details = x[..., ::2, ::2] - x[..., 1::2, ::2] - x[..., ::2, 1::2] + x[..., 1::2, 1::2]
    return float(np.median(np.abs(details / 2)) / norm.ppf(0.75))


def _warn_of_noise(predictor: Predictor, picture: Rows) -> None:
    """Warn of noise that is stronger than in training, in a picture (..., height, width)."""
    corruption = predictor.model.corruption
    if not isinstance(corruption, GaussianNoiseModule):
        return
    learnt = corruption.scale * float(predictor.preparation.scaler.scale.mean())
    level = noise_level(picture)
    if level > STRONGER * learnt:
        warn(
            f"A picture has noise with a standard deviation of about {level:.3g}, and the model "
            f"was trained with {learnt:.3g}: some will be left; fit with more."
        )
