"""Metrics of arrays: MSE, PSNR, SSIM, accuracy, codebook use and perplexity."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from attar.data.kind import Rows
from attar.likelihoods.images import SIDE, luminance_and_contrast


def mean_squared_error(rows: Rows, reconstructed: Rows) -> float:
    """Return the mean of (x - x̂)² over the cells that are not missing (NaN); 0 for none.

    Examples
    --------
    >>> import numpy as np
    >>> mean_squared_error(np.array([[1.0, np.nan]]), np.array([[3.0, 7.0]]))
    4.0
    """
    squares = np.square(rows - reconstructed)
    mean = float(np.mean(squares, dtype=np.float64))
    if not math.isnan(mean):
        return mean
    known = squares[~np.isnan(squares)]
    return float(known.mean(dtype=np.float64)) if len(known) else 0.0


def error_ratio(error: float, pca_error: float, variance: float) -> float:
    """Return an error relative to PCA's; NaN where that of PCA is nothing but rounding.

    Examples
    --------
    >>> error_ratio(0.1, 0.2, variance=1.0)
    0.5
    >>> error_ratio(0.1, 1e-9, variance=1.0)
    nan
    """
    return error / pca_error if pca_error > 1e-6 * variance else math.nan


def psnr(error: float) -> float:
    """Return the peak signal-to-noise ratio of a mean squared error of values from 0 to 1, in dB.

    It is -10 log₁₀ MSE.

    Examples
    --------
    >>> psnr(0.01)
    20.0
    """
    return -10 * math.log10(error) if error else math.inf


def accuracy(rows: Rows, reconstructed: Rows) -> float:
    """Return the fraction of the cells not missing that are reconstructed exactly; 1 for none.

    Cells are of any type: booleans, integers, strings.

    Examples
    --------
    >>> import numpy as np
    >>> accuracy(np.array(["a", "b", "b", "c"]), np.array(["a", "b", "a", "c"]))
    0.75
    """
    known = ~pd.isna(rows)
    return float((rows == reconstructed)[known].mean()) if known.any() else 1.0


def log_mean_exp(values: Rows) -> Rows:
    """Return log Σ exp(v) / K over the first axis, of length K; -∞ where all are -∞."""
    top: Rows = values.max(0)
    shift = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        mean: Rows = np.log(np.exp(values - shift).mean(0))
    return shift + mean


def bits_per_dimension(nats: float, cells: int) -> float:
    """Return bits per cell of a row of ``cells`` cells that takes ``nats``.

    Examples
    --------
    >>> bits_per_dimension(6 * math.log(2), cells=3)
    2.0
    """
    return nats / (cells * math.log(2))


def ssim(images: Rows, others: Rows) -> float:
    """Return the mean structural similarity of pairs of images: 1 where they are equal.

    In each gaussian window of 11 pixels and σ = 1.5 that lies within the image, it is
    (2 μ_x μ_y + 0.01²) (2 σ_xy + 0.03²) / ((μ_x² + μ_y² + 0.01²) (σ_x² + σ_y² + 0.03²)).
    For a smaller image the window has the largest odd size that fits.

    Parameters
    ----------
    images, others : array (n, height, width) or (n, height, width, channels)
        Values from 0 to 1. A missing one (NaN) in the former is replaced by that of the latter.

    Examples
    --------
    >>> import numpy as np
    >>> black, white = np.zeros((1, 16, 16)), np.ones((1, 16, 16))
    >>> round(ssim(black, black), 4), round(ssim(black, white), 4)
    (1.0, 0.0001)

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


def usage(symbols: Rows, sizes: Sequence[int]) -> Rows:
    """Return the fraction of each codebook's entries that occur: (positions,).

    Parameters
    ----------
    symbols : integer array (n, positions)
    sizes : sequence of int
        The codebook's size at each position.

    Examples
    --------
    >>> import numpy as np
    >>> usage(np.array([[0, 0], [1, 0], [2, 0], [3, 0]]), (4, 4))
    array([1.  , 0.25])
    """
    return np.array([np.mean(p > 0) for p in _frequencies(symbols, sizes)])


def perplexity(symbols: Rows, sizes: Sequence[int]) -> Rows:
    """Return the effective number of symbols at each position: (positions,).

    It is exp(H) of the symbols' entropy H in nats: the codebook's size for uniform use, 1 where
    only one entry is used. Parameters are those of :func:`usage`.

    Examples
    --------
    >>> import numpy as np
    >>> perplexity(np.array([[0, 0], [1, 0], [2, 0], [3, 0]]), (4, 4)).round(6)
    array([4., 1.])
    """
    from scipy.special import entr

    entropies = np.array([entr(p).sum() for p in _frequencies(symbols, sizes)])
    effective: Rows = np.exp(entropies)
    return effective


def relative_perplexity(symbols: Rows, sizes: Sequence[int]) -> Rows:
    """Return the perplexity as a fraction of the codebook's size: (positions,).

    Examples
    --------
    >>> import numpy as np
    >>> relative_perplexity(np.array([[0, 0], [1, 0], [2, 0], [3, 0]]), (4, 4)).round(6)
    array([1.  , 0.25])
    """
    fraction: Rows = perplexity(symbols, sizes) / np.asarray(sizes)
    return fraction


def _frequencies(symbols: Rows, sizes: Sequence[int]) -> list[Rows]:
    """Return the frequencies of the symbols at each position: (size,) each, with sum 1."""
    columns = zip(symbols.T, sizes, strict=True)
    return [np.bincount(column, minlength=size) / len(symbols) for column, size in columns]
