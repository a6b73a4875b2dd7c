"""Scalings: affine maps and power transforms of raw values, and their inverses."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from attar.data.summary import Moments, Rows
from attar.errors import SettingError
from attar.parts import Part

Array = NDArray[np.float64]

# How many values a power is fitted to.
FITTED = 4000

# Values further from the median than so many times the usual distance from it are far out, where
# they are at most such a fraction of the column.
FAR, MOST_FAR = 1e6, 0.1

# Below this an exponent counts as 0: the power transform is a logarithm.
TINY = 1e-9


@dataclass(frozen=True)
class Scales:
    """The parameters of a scaling, fitted to each of d columns.

    Attributes
    ----------
    shift, scale : array (d,)
        x ↦ (x - shift) / scale.
    power : array (3, d) or None
        The exponent λ of a power transform that follows, and the shift and scale after it; a
        column that is not transformed has λ = 1, shift 0, scale 1.
    tail : float or None
        How far scaled values below 0 or above 1 may reach at most, see :func:`compressed`.
    """

    shift: Array
    scale: Array
    power: Array | None = None
    tail: float | None = None


class Scaler(nn.Module):
    """An affine map, perhaps with a power transform after it, and the inverse.

    Parameters
    ----------
    shift, scale : array
        They broadcast against one row.
    power : array (3, ...) or None
        Exponent, shift and scale of the power transform after the affine map.
    tail : array or None
        How far scaled values below 0 or above 1 may reach at most; infinite, or None: as far as
        they do.
    limit : array or None
        How far scaled values may reach on either side where they are cut off, which the map itself
        does not do.
    """

    shift: Tensor
    scale: Tensor
    power: Tensor | None
    tail: Tensor | None
    limit: Tensor | None

    def __init__(
        self,
        shift: Array,
        scale: Array,
        power: Array | None = None,
        tail: Array | None = None,
        limit: Array | None = None,
    ) -> None:
        super().__init__()
        self.register_buffer("tail", None if tail is None else torch.as_tensor(tail))
        self.register_buffer("shift", torch.as_tensor(shift))
        self.register_buffer("scale", torch.as_tensor(scale))
        self.register_buffer("power", None if power is None else torch.as_tensor(power))
        self.register_buffer("limit", None if limit is None else torch.as_tensor(limit))
        self.shifts = bool(np.any(shift))
        # Most columns of a table are not transformed, and a power costs more than all the rest.
        self.transformed: list[int] | slice = slice(None)
        if power is not None and power.ndim == 2:
            self.transformed = np.flatnonzero(power[0] != 1).tolist()

    @classmethod
    def restored(cls, buffers: dict[str, Tensor]) -> Self:
        """Return the scaler that has these buffers."""
        return cls(**{name: tensor.numpy() for name, tensor in buffers.items()})

    def forward(self, raw: Tensor) -> Tensor:
        """Return the scaled values of raw ones, in their precision; of integers in single."""
        dtype = torch.promote_types(raw.dtype, torch.float32)
        centred = raw - self.shift.to(dtype) if self.shifts else raw
        scaled: Tensor = centred / self.scale.to(dtype)
        if self.tail is not None:
            scaled = compressed(scaled, self.tail.to(dtype))
        if self.power is None:
            return scaled
        at = self.transformed
        exponent, shift, scale = self.power[:, at].to(dtype).unbind()
        scaled[..., at] = (yeo_johnson(scaled[..., at], exponent) - shift) / scale
        return scaled

    def cut(self, scaled: Tensor) -> Tensor:
        """Return scaled values cut off at the limit."""
        if self.limit is None:
            return scaled
        limit = self.limit.to(scaled.dtype)
        return scaled.clamp(-limit, limit)

    def inverse(self, values: Tensor) -> Tensor:
        """Return the raw values of scaled ones, in their precision."""
        dtype = values.dtype
        if self.power is not None:
            at = self.transformed
            exponent, shift, scale = self.power[:, at].to(dtype).unbind()
            values = values.clone()
            values[..., at] = inverse_yeo_johnson(values[..., at] * scale + shift, exponent)
        if self.tail is not None:
            values = expanded(values, self.tail.to(dtype))
        return values * self.scale.to(dtype) + self.shift.to(dtype)


def compressed(x: Tensor, tail: Tensor) -> Tensor:
    """Return values from 0 to 1 as they are, and those beyond by e as beyond by t e / (t + e).

    It is increasing, with slope 1 at 0 and 1, and at most t beyond. With t = 0 it clips, and with
    t = ∞ it changes nothing.
    """
    within = x.clamp(0, 1)
    beyond = x - within
    # Not t e / (t + e), which is not a number where e is infinite.
    reach = tail - tail.square() / (tail + beyond.abs()).clamp_min(1e-30)
    return torch.where(tail.isinf(), x, within + reach.copysign(beyond))


def expanded(y: Tensor, tail: Tensor) -> Tensor:
    """Return the inverse of :func:`compressed`, at most 10⁹ beyond."""
    within = y.clamp(0, 1)
    reach = (y - within).abs()
    far = tail * reach / (tail - reach).clamp_min(1e-9)
    return torch.where(tail.isinf(), y, within + far.clamp_max(1e9).copysign(y - within))


def yeo_johnson(x: Tensor, power: Tensor) -> Tensor:
    """Return the power transform of Yeo and Johnson (Biometrika 2000), for λ from 0 to 2.

    ((1 + x)^λ - 1) / λ for x ≥ 0, and -((1 - x)^(2 - λ) - 1) / (2 - λ) for x < 0; a logarithm
    where the exponent is 0, and exactly x where it is 1.
    """
    exponent = torch.where(x < 0, 2 - power, power)
    log = x.abs().log1p()
    size = torch.where(exponent > TINY, (exponent * log).expm1() / exponent.clamp_min(TINY), log)
    return torch.where(power == 1, x, size.copysign(x))


def inverse_yeo_johnson(y: Tensor, power: Tensor) -> Tensor:
    """Return the inverse of :func:`yeo_johnson`."""
    exponent = torch.where(y < 0, 2 - power, power)
    size = y.abs()
    log = torch.where(exponent > TINY, (exponent * size).log1p() / exponent.clamp_min(TINY), size)
    return torch.where(power == 1, y, log.expm1().copysign(y))


class Scaling(Part):
    """The scaling of raw values, column by column."""

    @abstractmethod
    def fit(self, moments: Moments, sample: Rows) -> Scales:
        """Return the scales of columns; the scale of a constant column is 1.

        Parameters
        ----------
        moments : Moments
            Of all values of each column.
        sample : array (m, d)
            Some of the rows, NaN where a value is missing.
        """


def _never_zero(scale: Rows) -> Array:
    return np.where(scale > 0, scale, 1.0).astype(np.float64)


@dataclass(frozen=True)
class Standard(Scaling, name="standard"):
    """Mean 0 and standard deviation 1: (x - mean) / deviation.

    Examples
    --------
    >>> import numpy as np
    >>> from attar.data.scaling import Standard
    >>> from attar.data.summary import Moments
    >>> x = np.array([[1.0], [1.0], [5.0], [5.0]])
    >>> scales = Standard().fit(Moments.of(x), x)
    >>> float(scales.shift[0]), float(scales.scale[0])
    (3.0, 2.0)
    """

    def fit(self, moments: Moments, sample: Rows) -> Scales:
        """Return mean and standard deviation, without values that are far out."""
        moments, _ = usual(moments, sample)
        varies = moments.high > moments.low
        return Scales(moments.mean, _never_zero(np.where(varies, moments.deviation, 0)))


@dataclass(frozen=True)
class Symmetric(Scaling, name="symmetric"):
    """Mean 0 and standard deviation 1, after a power transform of the columns that are skewed.

    The transform is that of Yeo and Johnson on standardized values, its exponent the most likely
    one from 0, a logarithm of the right tail, to 2, one of the left tail.

    Parameters
    ----------
    tolerance : float
        The largest absolute skewness that is left as it is.

    Examples
    --------
    A long right tail asks for an exponent below 1.

    >>> import numpy as np
    >>> from attar.data.scaling import Symmetric
    >>> from attar.data.summary import Moments
    >>> x = np.exp(np.linspace(-3, 3, 200))[:, None]
    >>> scales = Symmetric().fit(Moments.of(x), x)
    >>> bool(scales.power[0, 0] < 1)
    True

    References
    ----------
    Yeo and Johnson, "A new family of power transformations to improve normality or symmetry"
    (Biometrika 2000).
    """

    tolerance: float = 1.5

    def fit(self, moments: Moments, sample: Rows) -> Scales:
        """Return mean and deviation, and the power transforms of the skewed columns."""
        moments, sample = usual(moments, sample)
        standard = Standard().fit(moments, sample)
        one = np.ones_like(standard.shift)
        power = np.stack([one, 0 * one, one])
        varies = moments.squares > 0
        some = sample[:: -(-len(sample) // FITTED)]
        for j in np.flatnonzero(varies & (np.abs(skewness(sample)) > self.tolerance)):
            values = some[:, j].astype(np.float64)
            observed = (values[~np.isnan(values)] - standard.shift[j]) / standard.scale[j]
            power[:, j] = _most_likely_power(observed)
        return replace(standard, power=None if (power[0] == 1).all() else power)


@dataclass(frozen=True)
class MinMax(Scaling, name="min-max"):
    """Smallest value 0 and largest 1: (x - min) / (max - min).

    Examples
    --------
    >>> import numpy as np
    >>> from attar.data.scaling import MinMax
    >>> from attar.data.summary import Moments
    >>> x = np.array([[2.0], [4.0], [10.0]])
    >>> scales = MinMax().fit(Moments.of(x), x)
    >>> float(scales.shift[0]), float(scales.scale[0])
    (2.0, 8.0)
    """

    def fit(self, moments: Moments, sample: Rows) -> Scales:
        """Return smallest value and range."""
        observed = moments.count > 0
        low = np.where(observed, moments.low, 0.0)
        return Scales(low, _never_zero(np.where(observed, moments.high, 0.0) - low))


@dataclass(frozen=True)
class Between(Scaling, name="between"):
    """``low`` 0 and ``high`` 1, and values beyond compressed: a few of them have little effect.

    Parameters
    ----------
    low, high : tuple of float
        One of each for all columns, or for each column.
    tail : float
        How far beyond 0 and 1 scaled values reach at most, increasing all the way; 0 clips them.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from attar.data.scaling import Between, Scaler
    >>> from attar.data.summary import Moments
    >>> x = np.array([[0.0], [100.0], [200.0], [1e30]])
    >>> scales = Between((0.0,), (100.0,)).fit(Moments.of(x), x)
    >>> scaler = Scaler(scales.shift, scales.scale, tail=np.array(scales.tail))
    >>> scaler(torch.tensor(x)).flatten().tolist()
    [0.0, 1.0, 1.5, 2.0]
    """

    low: tuple[float, ...] = (0.0,)
    high: tuple[float, ...] = (1.0,)
    tail: float = 1.0

    def fit(self, moments: Moments, sample: Rows) -> Scales:
        """Return ``low`` and ``high - low``."""
        try:
            low, high = (np.broadcast_to(x, moments.mean.shape) for x in (self.low, self.high))
        except ValueError:
            raise SettingError(
                f"{self!r} needs one low and one high for all columns, or for each of "
                f"{len(moments.mean)}."
            ) from None
        if not (high >= low).all() or self.tail < 0:
            raise SettingError(f"{self!r} needs high above low, and a tail of 0 or more.")
        return Scales(low.astype(np.float64), _never_zero(high - low), tail=self.tail)


@dataclass(frozen=True)
class Robust(Scaling, name="robust"):
    """Median 0 and interquartile range 1, of a sample of the rows; outliers have no effect.

    Examples
    --------
    >>> import numpy as np
    >>> from attar.data.scaling import Robust
    >>> from attar.data.summary import Moments
    >>> x = np.array([[0.0], [1.0], [2.0], [3.0], [1e9]])
    >>> scales = Robust().fit(Moments.of(x), x)
    >>> float(scales.shift[0]), float(scales.scale[0])
    (2.0, 2.0)
    """

    def fit(self, moments: Moments, sample: Rows) -> Scales:
        """Return median and interquartile range."""
        values = np.where(moments.count > 0, sample.astype(np.float64), 0.0)
        low, middle, high = np.nanpercentile(values, [25, 50, 75], axis=0)
        return Scales(middle, _never_zero(high - low))


@dataclass(frozen=True)
class Unscaled(Scaling, name="none"):
    """Values as they are.

    Examples
    --------
    >>> import numpy as np
    >>> from attar.data.scaling import Unscaled
    >>> from attar.data.summary import Moments
    >>> x = np.array([[2.0], [4.0]])
    >>> scales = Unscaled().fit(Moments.of(x), x)
    >>> float(scales.shift[0]), float(scales.scale[0])
    (0.0, 1.0)
    """

    def fit(self, moments: Moments, sample: Rows) -> Scales:
        """Return 0 and 1."""
        return Scales(np.zeros_like(moments.mean), np.ones_like(moments.mean))


def usual(moments: Moments, sample: Rows) -> tuple[Moments, Rows]:
    """Return the moments and the sample (m, d) of columns without values that are far out.

    Those are further from the median than 10⁶ times the median distance of all that differ from
    it, such as the largest number where one is missing, and at most a tenth of their column. One of
    them would make all others equal.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.append(np.arange(9.0), 1e155)[:, None]
    >>> moments, sample = usual(Moments.of(x), x)
    >>> float(moments.mean[0]), sample[-3:].ravel().tolist()
    (4.0, [7.0, 8.0, nan])
    """
    if not len(sample):
        return moments, sample
    with np.errstate(over="ignore", invalid="ignore"):
        values = sample[:: -(-len(sample) // FITTED)].astype(np.float64)
        centre = _median(values)
        distance = np.abs(values - centre)
        reach = FAR * _median(np.where(distance > 0, distance, np.nan))
        low, high = centre - reach, centre + reach
    outside = (sample < low) | (sample > high)
    far = ((moments.low < low) | (moments.high > high)) & (outside.mean(0) <= MOST_FAR)
    if not far.any():
        return moments, sample
    kept = np.where(far & outside, np.nan, sample)
    some = Moments.of(kept)
    parts = {name: np.where(far, getattr(some, name), now) for name, now in vars(moments).items()}
    return Moments(**parts), kept


def _median(columns: Array) -> Array:
    """Return the lower median of each column (n, d), NaN left out; NaN where there is nothing."""
    middle = np.maximum((~np.isnan(columns)).sum(0) - 1, 0) // 2
    median: Array = np.take_along_axis(np.sort(columns, axis=0), middle[None], 0)[0]
    return median


def skewness(columns: Rows) -> Array:
    """Return the third standardized moment of each column (n, d), NaN left out; 0 if constant."""
    values = columns.astype(np.float64)
    observed = ~np.isnan(values)
    count = np.maximum(observed.sum(0), 1)
    centred = np.where(observed, values - np.where(observed, values, 0).sum(0) / count, 0)
    variance = (centred**2).sum(0) / count
    third: Array = (centred**3).sum(0) / count / _never_zero(variance) ** 1.5
    return third


def _most_likely_power(values: Array) -> tuple[float, float, float]:
    """Return the likeliest exponent from 0 to 2, and mean and deviation after the transform."""
    from scipy.optimize import minimize_scalar
    from scipy.stats import yeojohnson_llf

    def negative_log_likelihood(power: float) -> float:
        return -float(yeojohnson_llf(power, values))

    power = float(minimize_scalar(negative_log_likelihood, bounds=(0, 2), method="bounded").x)
    exponent = torch.tensor(power, dtype=torch.float64)
    transformed = yeo_johnson(torch.from_numpy(values), exponent).numpy()
    return power, float(transformed.mean()), float(_never_zero(transformed.std()))
