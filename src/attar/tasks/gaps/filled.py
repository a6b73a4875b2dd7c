"""Filled: rows whose missing cells are estimates, and what is expected linearly of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Self

import torch
from torch import Tensor

# Ridge, as a share of the number of rows; for draws at least.
RIDGE, LEAST_RIDGE = 1e-3, 1e-5


@dataclass(frozen=True)
class Filled:
    """Rows whose missing cells are filled by estimates.

    Attributes
    ----------
    features : Tensor (n, features)
        What rows are compared by.
    known : Tensor (n, columns)
        1 for a known cell, else 0.
    segments : tuple of slice
        The features of each column.
    """

    features: Tensor
    known: Tensor
    segments: tuple[slice, ...]

    def __len__(self) -> int:
        return len(self.features)

    def at(self, rows: Tensor) -> Filled:
        """Return some of the rows."""
        return replace(self, features=self.features[rows], known=self.known[rows])

    @cached_property
    def column(self) -> Tensor:
        """The column of each feature."""
        return columns_of(self.segments)

    @cached_property
    def squares(self) -> Tensor:
        """The squared length of each column's features: (n, columns)."""
        none = self.features.new_zeros(self.known.shape)
        return none.index_add(1, self.column, self.features**2)


def columns_of(segments: tuple[slice, ...]) -> Tensor:
    """Return the column of each feature.

    Examples
    --------
    >>> columns_of((slice(0, 1), slice(1, 3))).tolist()
    [0, 1, 1]
    """
    return _columns_of(tuple(at.stop - at.start for at in segments))


@cache
def _columns_of(widths: tuple[int, ...]) -> Tensor:
    return torch.repeat_interleave(torch.arange(len(widths)), torch.tensor(widths))


@dataclass(frozen=True)
class Regressions:
    """The values of each column as linear functions of the features of all others.

    Attributes
    ----------
    coefficients : Tensor (1 + features, features)

    Examples
    --------
    >>> x = torch.linspace(-1, 1, 50)[:, None]
    >>> segments = (slice(0, 1), slice(1, 2))
    >>> rows = Filled(torch.cat([x, 3 * x + 1], 1), torch.ones(50, 2), segments)
    >>> regressions = Regressions.fit(rows, rows.features)
    >>> bool((regressions(rows) - rows.features).abs().max() < 0.02)
    True
    """

    coefficients: Tensor

    @classmethod
    def fit(cls, rows: Filled, values: Tensor) -> Self:
        """Return ridge regressions, each on the rows where its column is known.

        Parameters
        ----------
        rows : Filled
        values : Tensor (n, features)
        """
        found = values.new_zeros(rows.features.shape[1] + 1, values.shape[1])
        for j, at in enumerate(rows.segments):
            others = _others(found.shape[0], at)
            found[others, at] = regressed(rows, values, j, rows.known[:, j])
        return cls(found)

    def __call__(self, rows: Filled) -> Tensor:
        """Return what is expected of each value, given the other columns: (n, features)."""
        return _with_one(rows.features) @ self.coefficients

    def tensors(self) -> dict[str, Tensor]:
        """Return the coefficients."""
        return {"coefficients": self.coefficients}

    @classmethod
    def restored(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Return the functions of :meth:`tensors`."""
        return cls(tensors["coefficients"])


def regressed(rows: Filled, values: Tensor, j: int, weights: Tensor) -> Tensor:
    """Return the coefficients of the other columns' features, and of 1, for column j."""
    own = torch.nonzero(weights)[:, 0]
    x, y, w = _others_of(rows.at(own), j), values[own, rows.segments[j]].double(), weights[own]
    weighted = x * w.double()[:, None]
    ridge = _ridge(x.shape[1], RIDGE * float(w.sum()))
    found: Tensor = torch.linalg.solve(weighted.T @ x + ridge, weighted.T @ y)
    return found.to(values.dtype)


def posterior(
    rows: Filled, values: Tensor, j: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return a draw of the coefficients of :func:`regressed`, and of residuals of these rows.

    The posterior of a normal linear regression: the variance is s^2 / chi^2 of the degrees of
    freedom, and coefficients are normal around their estimate. The residuals are the empirical
    ones, scaled to the variance that was drawn.

    References
    ----------
    Rubin, "Multiple imputation for nonresponse in surveys", Wiley 1987, chapter 5.3.
    """
    x, y = _others_of(rows, j), values[:, rows.segments[j]].double()
    size, width = x.shape
    # Hardly any penalty, which would be a bias, but where rows are few for so many features.
    ridge = _ridge(width, size * max(LEAST_RIDGE, (width / size) ** 3))
    spread = torch.linalg.inv(x.T @ x + ridge)
    estimate = spread @ x.T @ y
    rest = y - x @ estimate
    freedom = max(1.0, size - float((spread @ (x.T @ x)).trace()))
    chi = torch.randn(round(freedom), y.shape[1], generator=generator).double().square().sum(0)
    deviation = (rest.square().sum(0) / chi).sqrt()
    normal = torch.randn(estimate.shape, generator=generator, dtype=x.dtype)
    root = torch.linalg.cholesky((spread + spread.T) / 2)
    coefficients = estimate + root @ normal * deviation
    scaled = rest * deviation / rest.square().mean(0).sqrt().clamp_min(1e-12)
    return coefficients.to(values.dtype), scaled.to(values.dtype)


def linear_in(rows: Filled, j: int, coefficients: Tensor) -> Tensor:
    """Return what coefficients of :func:`regressed` expect of column j: (n, width)."""
    return _others_of(rows, j).to(coefficients.dtype) @ coefficients


def _others_of(rows: Filled, j: int) -> Tensor:
    """Return 1 and the features of all columns but j: (n, 1 + others), in double precision."""
    x = _with_one(rows.features)
    return x[:, _others(x.shape[1], rows.segments[j])].double()


def _ridge(width: int, penalty: float) -> Tensor:
    ridge = torch.full((width,), penalty + 1e-9).double()
    ridge[0] = 1e-9
    return torch.diag(ridge)


def _others(width: int, at: slice) -> Tensor:
    others = torch.ones(width, dtype=torch.bool)
    others[at.start + 1 : at.stop + 1] = False
    return others


def _with_one(features: Tensor) -> Tensor:
    return torch.cat([features.new_ones(len(features), 1), features], 1)
