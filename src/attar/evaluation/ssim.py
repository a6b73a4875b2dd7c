"""Structural similarity: how alike two images look."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[Any]

WINDOW, SPREAD = 11, 1.5
# They keep the quotients of flat and of black windows apart from 0 / 0.
LUMINANCE, CONTRAST = 0.01**2, 0.03**2


def ssim(images: Rows, others: Rows) -> float:
    """Return the mean structural similarity of pairs of images: 1 where they are equal.

    In each gaussian window of 11 pixels and σ = 1.5 that lies within the image, it is
    (2 μ_x μ_y + 0.01²) (2 σ_xy + 0.03²) / ((μ_x² + μ_y² + 0.01²) (σ_x² + σ_y² + 0.03²)).
    A smaller image has a window of the largest odd size that fits.

    Parameters
    ----------
    images, others : array (n, height, width) or (n, height, width, channels)
        Values from 0 to 1. Missing ones (NaN) in the former are taken to be as in the latter.

    References
    ----------
    Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to
    structural similarity", IEEE Transactions on Image Processing 13, 2004.
    """
    x, y = (_planes(np.where(np.isnan(images), others, images)), _planes(others))
    across, along = _windows(x.shape[-2]), _windows(x.shape[-1]).T

    def mean(planes: Rows) -> Rows:
        smooth: Rows = across @ planes @ along
        return smooth

    mean_x, mean_y = mean(x), mean(y)
    spread = mean(x * x + y * y) - mean_x**2 - mean_y**2
    shared = mean(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + LUMINANCE) / (mean_x**2 + mean_y**2 + LUMINANCE)
    return float((luminance * (2 * shared + CONTRAST) / (spread + CONTRAST)).mean())


def _planes(images: Rows) -> Rows:
    """Return each channel as an image: (n, channels or 1, height, width)."""
    return np.moveaxis(images.reshape(*images.shape[:3], -1), -1, 1).astype(np.float64)


def _windows(length: int) -> Rows:
    """Return the weights of the pixels of a line in each window: (windows, length)."""
    size = min(WINDOW, length - 1 + length % 2)
    offsets = np.arange(size) - size // 2
    weights = np.exp(-0.5 * (offsets / SPREAD) ** 2)
    windows = np.zeros((length - size + 1, length))
    for start, row in enumerate(windows):
        row[start : start + size] = weights / weights.sum()
    return windows
