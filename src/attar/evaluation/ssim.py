"""Structural similarity: how alike two images look."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attar.likelihoods.similarity import SIDE, luminance_and_contrast

Rows = NDArray[Any]


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
    x, y = _planes(np.where(np.isnan(images), others, images)), _planes(others)
    size = min(x.shape[-2:])
    luminance, contrast = luminance_and_contrast(x, y, min(SIDE, size - 1 + size % 2))
    return float((luminance * contrast).mean())


def _planes(images: Rows) -> Tensor:
    """Return each channel as an image: (n, channels or 1, height, width)."""
    planes = np.moveaxis(images.reshape(*images.shape[:3], -1), -1, 1)
    return torch.from_numpy(planes.astype(np.float64))
