"""Scalings: how raw values become values of a comfortable size, and come back."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from attar.parts import Part

Array = NDArray[np.float64]


def as_tensor(array: NDArray[Any]) -> Tensor:
    """Return a tensor that shares an array's memory, read-only memory too: it is never written."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(np.ascontiguousarray(array))


class Scaler(nn.Module):
    """An affine map and its inverse: x ↦ (x - shift) / scale.

    Parameters
    ----------
    shift, scale : array
        They broadcast against one row.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, shift: Array, scale: Array) -> None:
        super().__init__()
        self.register_buffer("shift", torch.as_tensor(shift))
        self.register_buffer("scale", torch.as_tensor(scale))
        self.shifts = bool(np.any(shift))

    def forward(self, raw: Tensor) -> Tensor:
        """Return the prepared values of raw ones, in the scaler's precision."""
        centred = raw - self.shift if self.shifts else raw
        return centred / self.scale

    def inverse(self, values: Tensor) -> Tensor:
        """Return the raw values of prepared ones."""
        return values * self.scale + self.shift


class Scaling(Part):
    """How raw values are brought to a comfortable size."""

    @abstractmethod
    def fit(self, columns: NDArray[Any]) -> tuple[Array, Array]:
        """Return shift and scale of each column of (n, d); the scale of a constant column is 1."""


def _never_zero(scale: NDArray[Any]) -> Array:
    return np.where(scale > 0, scale, 1.0).astype(np.float64)


@dataclass(frozen=True)
class Standard(Scaling, name="standard"):
    """Mean 0 and standard deviation 1."""

    def fit(self, columns: NDArray[Any]) -> tuple[Array, Array]:
        """Return mean and standard deviation."""
        # One pass, without the copies of the data that NumPy's variance makes.
        ready = columns.dtype in (np.float32, np.float64)
        values = as_tensor(columns if ready else columns.astype(np.float64))
        deviation, mean = torch.std_mean(values, dim=0, correction=0)
        return mean.double().numpy(), _never_zero(deviation.numpy())


@dataclass(frozen=True)
class MinMax(Scaling, name="min-max"):
    """Smallest value 0 and largest 1."""

    def fit(self, columns: NDArray[Any]) -> tuple[Array, Array]:
        """Return smallest value and range."""
        low = columns.min(0).astype(np.float64)
        return low, _never_zero(columns.max(0).astype(np.float64) - low)


@dataclass(frozen=True)
class Robust(Scaling, name="robust"):
    """Median 0 and interquartile range 1; outliers don't move it."""

    def fit(self, columns: NDArray[Any]) -> tuple[Array, Array]:
        """Return median and interquartile range."""
        numbers = columns.astype(np.float64, copy=False)
        low, middle, high = np.percentile(numbers, [25, 50, 75], axis=0)
        return middle, _never_zero(high - low)


@dataclass(frozen=True)
class Unscaled(Scaling, name="none"):
    """Values as they are."""

    def fit(self, columns: NDArray[Any]) -> tuple[Array, Array]:
        """Return 0 and 1."""
        width = columns.shape[1]
        return np.zeros(width), np.ones(width)
