"""Stationary Gaussian processes of several channels: what is expected in gaps, given all around."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attar.tasks.steps import on_lines

Array = NDArray[np.float64]

# So many cells are in a window at most, a third of which are filled from all of them; and so many
# steps are.
CELLS, STEPS = 600, 192

# What is added to the variance of a constant channel.
SMALLEST = 1e-9

# How many steps there must be for each cell of a window.
ENOUGH = 8

# How often gaps are drawn and the covariance is estimated again.
SWEEPS = 2


@dataclass(frozen=True)
class StationaryGaussian:
    """A stationary Gaussian process: the same covariance of two steps wherever they are.

    What is expected of missing cells given the known ones around them is their conditional
    mean, m = Σ_mo Σ_oo⁻¹ x_o, with covariance Σ_mm - Σ_mo Σ_oo⁻¹ Σ_om (simple kriging).

    Attributes
    ----------
    covariance : Tensor (lags, channels, channels)
        Of a channel with another one so many steps later.
    nugget : float
        What is added to the variance of each cell, as a share of that of its channel.

    Examples
    --------
    A gap in a random walk around zero is nearly on a line.

    >>> x = 0.9 ** torch.arange(9.0).double()
    >>> process = StationaryGaussian(x[:, None, None], 1e-9)
    >>> mean, variance = process(np.array([[1.0], [np.nan], [1.0]]))
    >>> round(float(mean[1, 0]), 4), round(float(variance[1, 0]), 4)  # 1.8 / 1.81, 0.19 / 1.81
    (0.9945, 0.105)
    """

    covariance: Tensor
    nugget: float

    @classmethod
    def of(cls, parts: Sequence[Array], lags: int, nugget: float) -> Self:
        """Return the process of complete series (steps, channels) around zero.

        Autocovariances are sums over the number of all steps, which makes them positive definite.
        """
        channels, total = parts[0].shape[1], sum(len(part) for part in parts)
        found = np.zeros((lags, channels, channels))
        for part in parts:
            size = 1 << (len(part) + lags - 1).bit_length()
            spectrum = np.fft.rfft(part, size, axis=0)
            for i in range(channels):
                products = spectrum[:, i, None].conj() * spectrum
                found[:, i] += np.fft.irfft(products, size, axis=0)[:lags]
        return cls(torch.from_numpy(found / total), nugget)

    @classmethod
    def fit(cls, parts: Sequence[Array], nugget: float, seed: int) -> Self:
        """Return the process of series with gaps, which are drawn from it again and again."""
        generator = torch.Generator().manual_seed(seed)
        lags = _window(parts[0].shape[1], sum(len(part) for part in parts))
        process = cls.of([on_lines(part) for part in parts], lags, nugget)
        for _ in range(SWEEPS):
            drawn = [process.drawn(part, generator) for part in parts]
            process = cls.of(drawn, lags, nugget)
        return process

    def with_nugget(self, nugget: float) -> Self:
        """Return the process with another nugget."""
        return replace(self, nugget=nugget)

    def __call__(self, rows: Array) -> tuple[Array, Array]:
        """Return rows (steps, channels) with expected values, and variances: 0 of known cells."""
        mean, variance = rows.copy(), np.zeros(rows.shape)
        for places, own, expected, root in self._conditional(rows):
            steps, channels = places
            mean[steps, channels] = expected.numpy()
            rest = self._own[own] - root.square().sum(0)
            variance[steps, channels] = rest.clamp_min(0).numpy()
        return mean, variance

    def drawn(self, rows: Array, generator: torch.Generator) -> Array:
        """Return rows with draws in their gaps, each given those before it."""
        drawn = rows.copy()
        for places, own, expected, root in self._conditional(drawn):
            rest = self._matrix[own[:, None], own] - root.T @ root
            rest.diagonal().add_(self._added[own])
            values, vectors = torch.linalg.eigh(rest)
            noise = torch.randn(len(own), generator=generator, dtype=torch.float64)
            drawn[places] = (expected + vectors @ (values.clamp_min(0).sqrt() * noise)).numpy()
        return drawn

    def _conditional(
        self, rows: Array
    ) -> Iterator[tuple[tuple[NDArray[np.intp], NDArray[np.intp]], Tensor, Tensor, Tensor]]:
        """Yield places of missing cells, in rows and in a window, their means, and L⁻¹ Σ_om.

        L is the Cholesky factor of Σ_oo. What is written to rows is known from then on.
        """
        lags, channels = self.covariance.shape[:2]
        third = max(1, lags // 3)
        for start in np.unique(np.flatnonzero(np.isnan(rows).any(1)) // third) * third:
            low = max(0, start - third)
            window = rows[low : start + 2 * third]
            missing = np.isnan(window)
            wanted = missing.copy()
            wanted[: start - low] = wanted[start - low + third :] = False
            steps, places = np.nonzero(wanted)
            known = torch.from_numpy(np.flatnonzero(~missing))
            own = torch.from_numpy(steps * channels + places)
            among = self._matrix[known[:, None], known]
            among.diagonal().add_(self._added[known])
            factor = torch.linalg.cholesky(among)
            values = torch.from_numpy(window.reshape(-1))[known]
            both = torch.cat([self._matrix[known[:, None], own], values[:, None]], 1)
            solved = torch.linalg.solve_triangular(factor, both, upper=False)
            root, whitened = solved[:, :-1], solved[:, -1]
            yield (low + steps, places), own, root.T @ whitened, root

    @cached_property
    def _matrix(self) -> Tensor:
        """The covariance of all cells of a window, step by step."""
        lags, channels = self.covariance.shape[:2]
        apart = torch.arange(lags) - torch.arange(lags)[:, None]
        later = self.covariance[apart.abs()]
        blocks = torch.where((apart >= 0)[..., None, None], later, later.transpose(2, 3))
        return blocks.transpose(1, 2).reshape(lags * channels, -1)

    @cached_property
    def _added(self) -> Tensor:
        return (self.nugget * self._matrix.diagonal()).clamp_min(SMALLEST)

    @cached_property
    def _own(self) -> Tensor:
        return self._matrix.diagonal() + self._added


def _window(channels: int, steps: int) -> int:
    """Return the steps of a window: fewer where there are many channels, or few steps in all.

    Of a window with as many cells as there are steps, expectations would fit their noise.
    """
    return max(3, min(STEPS, CELLS // channels, steps // (ENOUGH * channels)))
