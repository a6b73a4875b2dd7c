"""Metrics of arrays: error, PSNR, SSIM, accuracy, perplexity."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from attar.likelihoods.images import SIDE, luminance_and_contrast

Rows = NDArray[Any]


def mean_squared_error(rows: Rows, reconstructed: Rows) -> float:
    """Return the mean of (x - x̂)² over all cells that are not missing (NaN); 0 for none."""
    squares = np.square(rows - reconstructed)
    mean = float(np.mean(squares, dtype=np.float64))
    if not math.isnan(mean):
        return mean
    known = squares[~np.isnan(squares)]
    return float(known.mean(dtype=np.float64)) if len(known) else 0.0


def psnr(error: float) -> float:
    """Return the peak signal-to-noise ratio of a mean squared error of values from 0 to 1, in dB.

    It is -10 log₁₀ MSE.
    """
    return -10 * math.log10(error) if error else math.inf


def accuracy(rows: Rows, reconstructed: Rows) -> float:
    """Return the share of cells that come back as they were, of those not missing; 1 for none.

    Cells are levels of any type: bits, whole numbers, words.
    """
    known = ~pd.isna(rows)
    return float((rows == reconstructed)[known].mean()) if known.any() else 1.0


def log_mean_exp(values: Rows) -> Rows:
    """Return log Σ exp(v) / K over the first axis, K long; -∞ where all are -∞."""
    top: Rows = values.max(0)
    shift = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        mean: Rows = np.log(np.exp(values - shift).mean(0))
    return shift + mean


def bits_per_dimension(nats: float, cells: int) -> float:
    """Return the bits that a cell takes, where a row of ``cells`` takes ``nats``."""
    return nats / (cells * math.log(2))


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


def usage(symbols: Rows, sizes: Sequence[int]) -> Rows:
    """Return the share of each codebook's entries that occur at all: (positions,).

    Parameters
    ----------
    symbols : integer array (n, positions)
    sizes : sequence of int
        How many symbols there are at each position.
    """
    return np.array([np.mean(shares > 0) for shares in _shares(symbols, sizes)])


def perplexity(symbols: Rows, sizes: Sequence[int]) -> Rows:
    """Return how many symbols, evenly used, would say as much: (positions,).

    It is exp(H) of the symbols' entropy H in nats: the codebook's size where all are used alike,
    1 where one is used alone. Parameters are those of :func:`usage`.
    """
    from scipy.special import entr

    entropies = np.array([entr(shares).sum() for shares in _shares(symbols, sizes)])
    effective: Rows = np.exp(entropies)
    return effective


def relative_perplexity(symbols: Rows, sizes: Sequence[int]) -> Rows:
    """Return the perplexity as a share of the codebook's size: (positions,)."""
    share: Rows = perplexity(symbols, sizes) / np.asarray(sizes)
    return share


def _shares(symbols: Rows, sizes: Sequence[int]) -> list[Rows]:
    """Return how often each symbol is used, for each position: (size,) each, with sum 1."""
    columns = zip(symbols.T, sizes, strict=True)
    return [np.bincount(column, minlength=size) / len(symbols) for column, size in columns]
