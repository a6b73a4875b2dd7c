"""Scalings: how raw values become values of a comfortable size, and come back."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from attar.data.summary import Moments
from attar.parts import Part

Array = NDArray[np.float64]

# How many values a power is found from.
POWERED = 4000

# Below this an exponent is none: the power transform is a logarithm.
TINY = 1e-9


@dataclass(frozen=True)
class Scales:
    """What a scaling found for each of d columns.

    Attributes
    ----------
    shift, scale : array (d,)
        x ↦ (x - shift) / scale.
    bend : array (3, d) or None
        The power λ of a transform that follows, and the shift and scale after it; a column that is
        not bent has λ = 1, shift 0, scale 1.
    """

    shift: Array
    scale: Array
    bend: Array | None = None


class Scaler(nn.Module):
    """An affine map, perhaps with a power transform after it, and the way back.

    Parameters
    ----------
    shift, scale : array
        They broadcast against one row.
    bend : array (3, ...) or None
        Power, shift and scale after the affine map.
    """

    shift: Tensor
    scale: Tensor
    bend: Tensor | None

    def __init__(self, shift: Array, scale: Array, bend: Array | None = None) -> None:
        super().__init__()
        self.register_buffer("shift", torch.as_tensor(shift))
        self.register_buffer("scale", torch.as_tensor(scale))
        self.register_buffer("bend", None if bend is None else torch.as_tensor(bend))
        self.shifts = bool(np.any(shift))
        # Most columns of a table are not bent at all, and a power costs more than all the rest.
        self.bends: list[int] | slice = slice(None)
        if bend is not None and bend.ndim == 2:
            self.bends = np.flatnonzero(bend[0] != 1).tolist()

    @classmethod
    def restored(cls, buffers: dict[str, Tensor]) -> Self:
        """Return the scaler that has these buffers."""
        return cls(**{name: tensor.numpy() for name, tensor in buffers.items()})

    def forward(self, raw: Tensor) -> Tensor:
        """Return the scaled values of raw ones, in the scaler's precision."""
        centred = raw - self.shift if self.shifts else raw
        scaled: Tensor = centred / self.scale
        if self.bend is None:
            return scaled
        power, shift, scale = self.bend[:, self.bends].unbind()
        scaled[..., self.bends] = (bent(scaled[..., self.bends], power) - shift) / scale
        return scaled

    def inverse(self, values: Tensor) -> Tensor:
        """Return the raw values of scaled ones."""
        if self.bend is not None:
            power, shift, scale = self.bend[:, self.bends].unbind()
            values = values.clone()
            values[..., self.bends] = straightened(values[..., self.bends] * scale + shift, power)
        return values * self.scale + self.shift


def bent(x: Tensor, power: Tensor) -> Tensor:
    """Return the power transform of Yeo and Johnson (Biometrika 2000), for λ from 0 to 2.

    ((1 + x)^λ - 1) / λ for x ≥ 0, and -((1 - x)^(2 - λ) - 1) / (2 - λ) for x < 0; a logarithm
    where the exponent is 0, and exactly x where it is 1.
    """
    exponent = torch.where(x < 0, 2 - power, power)
    log = x.abs().log1p()
    size = torch.where(exponent > TINY, (exponent * log).expm1() / exponent.clamp_min(TINY), log)
    return torch.where(power == 1, x, size.copysign(x))


def straightened(y: Tensor, power: Tensor) -> Tensor:
    """Return the inverse of :func:`bent`."""
    exponent = torch.where(y < 0, 2 - power, power)
    size = y.abs()
    log = torch.where(exponent > TINY, (exponent * size).log1p() / exponent.clamp_min(TINY), size)
    return torch.where(power == 1, y, log.expm1().copysign(y))


class Scaling(Part):
    """How raw values are brought to a comfortable size."""

    @abstractmethod
    def fit(self, moments: Moments, sample: NDArray[Any]) -> Scales:
        """Return the scales of columns; the scale of a constant column is 1.

        Parameters
        ----------
        moments : Moments
            Of all values of each column.
        sample : array (m, d)
            Some of the values, NaN where one is missing.
        """


def _never_zero(scale: NDArray[Any]) -> Array:
    return np.where(scale > 0, scale, 1.0).astype(np.float64)


@dataclass(frozen=True)
class Standard(Scaling, name="standard"):
    """Mean 0 and standard deviation 1."""

    def fit(self, moments: Moments, sample: NDArray[Any]) -> Scales:
        """Return mean and standard deviation."""
        varies = moments.high > moments.low
        return Scales(moments.mean, _never_zero(np.where(varies, moments.deviation, 0)))


@dataclass(frozen=True)
class Symmetric(Scaling, name="symmetric"):
    """Mean 0 and standard deviation 1, after a power transform of the columns that are skewed.

    The transform is that of Yeo and Johnson (Biometrika 2000) on standardized values, its power
    the most likely one from 0, a logarithm of the right tail, to 2, one of the left tail.

    Parameters
    ----------
    tolerance : float
        The largest absolute skewness that is left as it is.
    """

    tolerance: float = 1.5

    def fit(self, moments: Moments, sample: NDArray[Any]) -> Scales:
        """Return mean and deviation, and what bends the skewed columns."""
        plain = Standard().fit(moments, sample)
        bend = np.stack([np.ones_like(plain.shift), plain.shift * 0, np.ones_like(plain.shift)])
        varies = moments.squares > 0
        few = sample[:: -(-len(sample) // POWERED)]
        for j in np.flatnonzero(varies & (np.abs(skewness(sample)) > self.tolerance)):
            values = few[:, j].astype(np.float64)
            known = (values[~np.isnan(values)] - plain.shift[j]) / plain.scale[j]
            bend[:, j] = _bend(known)
        return plain if (bend[0] == 1).all() else Scales(plain.shift, plain.scale, bend)


@dataclass(frozen=True)
class MinMax(Scaling, name="min-max"):
    """Smallest value 0 and largest 1."""

    def fit(self, moments: Moments, sample: NDArray[Any]) -> Scales:
        """Return smallest value and range."""
        known = moments.count > 0
        low = np.where(known, moments.low, 0.0)
        return Scales(low, _never_zero(np.where(known, moments.high, 0.0) - low))


@dataclass(frozen=True)
class Robust(Scaling, name="robust"):
    """Median 0 and interquartile range 1, of a sample of the rows; outliers don't move it."""

    def fit(self, moments: Moments, sample: NDArray[Any]) -> Scales:
        """Return median and interquartile range."""
        known = np.where(moments.count > 0, sample.astype(np.float64), 0.0)
        low, middle, high = np.nanpercentile(known, [25, 50, 75], axis=0)
        return Scales(middle, _never_zero(high - low))


@dataclass(frozen=True)
class Unscaled(Scaling, name="none"):
    """Values as they are."""

    def fit(self, moments: Moments, sample: NDArray[Any]) -> Scales:
        """Return 0 and 1."""
        return Scales(np.zeros_like(moments.mean), np.ones_like(moments.mean))


def skewness(columns: NDArray[Any]) -> Array:
    """Return the third standardized moment of each column (n, d), NaN left out; 0 if constant."""
    values = columns.astype(np.float64)
    known = ~np.isnan(values)
    count = np.maximum(known.sum(0), 1)
    centred = np.where(known, values - np.where(known, values, 0).sum(0) / count, 0)
    variance = (centred**2).sum(0) / count
    third: Array = (centred**3).sum(0) / count / _never_zero(variance) ** 1.5
    return third


def _bend(values: Array) -> tuple[float, float, float]:
    """Return the likeliest power from 0 to 2 for standardized values, then mean and deviation."""
    from scipy.optimize import minimize_scalar
    from scipy.stats import yeojohnson_llf

    def unlikely(power: float) -> float:
        return -float(yeojohnson_llf(power, values))

    power = float(minimize_scalar(unlikely, bounds=(0, 2), method="bounded").x)
    changed = bent(torch.from_numpy(values), torch.tensor(power, dtype=torch.float64)).numpy()
    return power, float(changed.mean()), float(_never_zero(changed.std()))
