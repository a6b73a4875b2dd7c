"""Intervals of forecasts by adaptive conformal inference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d
from torch import Tensor

Array = NDArray[np.float64]

# How much a level moves with each outcome, and how many errors are kept.
RATE, KEPT = 0.005, 500

# A level that far below 0 or above 1 doubles the reach of the most extreme error; how far a level
# goes there, which a burst of misses must not widen for long; and which share of the horizon is
# near a step.
DOUBLES, BEYOND, NEAR = 0.1, 0.2, 12


@dataclass(frozen=True)
class AdaptiveQuantiles:
    """Quantiles of the errors of forecasts, updated with each outcome.

    A quantile of level t is that of held-out errors at a level of its own, which starts at t. With
    each outcome it moves by ``RATE`` times (t - 1 if the outcome was below the quantile, else t):
    whatever a series does, in the long run a share t of outcomes is below, unless errors become
    four times as large as the most extreme one held out.

    Attributes
    ----------
    errors : array (n, horizon, channels)
        Outcomes minus forecasts, on held-out steps.

    References
    ----------
    Gibbs and Candès, "Adaptive conformal inference under distribution shift", NeurIPS 2021.
    """

    errors: Array

    @classmethod
    def of(cls, errors: Array) -> Self:
        """Keep at most ``KEPT`` evenly spaced errors; NaN where an outcome is missing."""
        places = np.unique(np.linspace(0, len(errors) - 1, min(KEPT, len(errors))).astype(int))
        kept = errors[places]
        with np.errstate(all="ignore"):
            usual = np.nan_to_num(np.nanmedian(np.where(np.isnan(kept).all(0), 0.0, kept), 0))
        return cls(np.where(np.isnan(kept), usual, kept))

    def rolling(self, errors: Array, levels: Array) -> Array:
        """Return quantiles at each of some origins, a step apart, updated with all steps before.

        Parameters
        ----------
        errors : array (n, horizon, channels)
            Of the forecasts from these origins; NaN where the outcome is missing or not known yet.
        levels : array (levels,)
            In (0, 1).

        Returns
        -------
        array (n + 1, levels, horizon, channels)
            The last is that of the origin after all of them.
        """
        ordered, horizon = self._ordered(), errors.shape[1]
        at = np.broadcast_to(levels[:, None, None], (len(levels), *errors.shape[1:])).copy()
        found = np.empty((len(errors) + 1, *at.shape))
        for origin in range(len(found)):
            steps = np.arange(min(horizon, origin))
            if len(steps):  # the outcome of the step before this origin, forecast from those before
                before = origin - 1 - steps
                error = errors[before, steps]
                below = error <= found[before, :, steps].swapaxes(0, 1)
                move = np.where(np.isnan(error), 0.0, levels[:, None, None] - below)
                at[:, steps] += RATE * _smooth(move, horizon)
                np.clip(at, -BEYOND, 1 + BEYOND, out=at)
            found[origin] = _at(ordered, at)
        return found

    def paths(self, quantiles: Array, levels: Array, seed: int, count: int) -> Array:
        """Return errors of whole paths: held-out ones, as wide as the quantiles are now.

        Parameters
        ----------
        quantiles : array (2, horizon, channels)
            The present ones of two levels.
        levels : array (2,)
        seed, count : int

        Returns
        -------
        array (count, horizon, channels)
        """
        usual = _at(self._ordered(), np.broadcast_to(levels[:, None, None], quantiles.shape))
        middle, width = usual.mean(0), usual[1] - usual[0]
        ratio = np.divide(quantiles[1] - quantiles[0], width, np.ones_like(width), where=width > 0)
        drawn = np.random.default_rng(seed).integers(len(self.errors), size=count)
        return np.asarray((self.errors[drawn] - middle) * ratio + quantiles.mean(0))

    def _ordered(self) -> Array:
        """Return errors by size, those of near steps of the horizon averaged: few are in a tail."""
        return _smooth(np.sort(self.errors, axis=0), self.errors.shape[1])

    def tensors(self) -> dict[str, Tensor]:
        """Return the errors, in single precision."""
        return {"errors": torch.from_numpy(self.errors.astype(np.float32))}

    @classmethod
    def restored(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Return what :meth:`tensors` described."""
        return cls(tensors["errors"].numpy().astype(np.float64))


def _smooth(values: Array, horizon: int) -> Array:
    """Return the mean of near steps (..., steps, channels): of a ``NEAR``th of a horizon."""
    return np.asarray(uniform_filter1d(values, 1 + horizon // NEAR, axis=1, mode="nearest"))


def _at(ordered: Array, levels: Array) -> Array:
    """Return quantiles of ordered errors (n, ...) at levels (k, ...).

    Beyond the most extreme error, its distance from the median doubles with each ``DOUBLES``.
    """
    n = len(ordered)
    place = levels * (n + 1) - 1
    low = np.clip(np.floor(place), 0, max(n - 2, 0)).astype(np.intp)
    high = np.minimum(low + 1, n - 1)
    left = np.take_along_axis(ordered, low, 0)
    right = np.take_along_axis(ordered, high, 0)
    inside = left + (right - left) * np.clip(place - low, 0, 1)
    middle = ordered[n // 2]
    over = np.maximum(levels - n / (n + 1), 0) + np.minimum(levels - 1 / (n + 1), 0)
    reach = np.where(over > 0, ordered[-1] - middle, middle - ordered[0])
    beyond = np.sign(over) * (2 ** (np.abs(over) / DOUBLES) - 1)
    return np.asarray(inside + beyond * reach)
