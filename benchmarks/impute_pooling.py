"""Regressions on pooled imputations of made data: coverage of 95% intervals, and bias.

In each of many data sets 30% of the cells of some columns are hidden, by chance (MCAR) or as a
column without gaps says (MAR). The coefficients of ordinary least squares on each imputation are
pooled by Rubin's rules. Intervals should hold the truth in 93 to 97% of the data sets, and the mean
estimate should be within 0.1 standard errors of it.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

import attar

Array = NDArray[np.float64]

IMPUTATIONS = 10


def linear(rng: np.random.Generator, rows: int) -> tuple[Array, Array]:
    """Draw correlated normal x1, x2, x3, and y = 1 + x1 - x2 / 2 + x3 / 2 + noise."""
    spread = np.full((3, 3), 0.5) + 0.5 * np.eye(3)
    x = rng.multivariate_normal(np.zeros(3), spread, rows)
    y = 1 + x @ [1, -0.5, 0.5] + rng.normal(size=rows)
    return np.column_stack([x, y]), np.array([1, 1, -0.5, 0.5])


def quadratic(rng: np.random.Generator, rows: int) -> tuple[Array, Array]:
    """Draw a normal x1, its square with noise as x2, and y = x1 + x2 / 2 + noise."""
    x = rng.normal(size=rows)
    square = x**2 + 0.5 * rng.normal(size=rows)
    y = x + square / 2 + rng.normal(size=rows)
    return np.column_stack([x, square, y]), np.array([0, 1, 0.5])


def skewed(rng: np.random.Generator, rows: int) -> tuple[Array, Array]:
    """Draw log-normal x1 and x2, correlated, and y = x1 + x2 / 2 + noise."""
    spread = np.array([[0.25, 0.1], [0.1, 0.25]])
    x = np.exp(rng.multivariate_normal(np.zeros(2), spread, rows))
    y = x @ [1, 0.5] + rng.normal(size=rows)
    return np.column_stack([x, y]), np.array([0, 1, 0.5])


MADE = {"linear": linear, "quadratic": quadratic, "skewed": skewed}


def holes_in(rng: np.random.Generator, rows: Array, how: str) -> Array:
    """Return rows without 30% of the first columns: all but one if MAR, which says where."""
    holes = rows.copy()
    if how == "MCAR":
        holes[rng.random(rows.shape) < 0.3] = np.nan
        return holes
    y = (rows[:, -1] - rows[:, -1].mean()) / rows[:, -1].std()
    for j in range(rows.shape[1] - 1):
        chance = 1 / (1 + np.exp(1.1 - (-1) ** j * 1.2 * y))
        holes[rng.random(len(rows)) < chance, j] = np.nan
    return holes


def by_attar(holes: Array, seed: int) -> list[Array]:
    """Draws of attar.Imputer."""
    return attar.Imputer(None, random_state=seed).fit(holes).impute_many(holes, IMPUTATIONS)


def by_ridge(holes: Array, seed: int) -> list[Array]:
    """Draws of scikit-learn's IterativeImputer: Bayesian linear regressions."""
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer

    return [
        IterativeImputer(sample_posterior=True, random_state=seed + i).fit_transform(holes)
        for i in range(IMPUTATIONS)
    ]


def complete(holes: Array, seed: int) -> list[Array]:
    """Rows without gaps only."""
    return [holes[~np.isnan(holes).any(1)]] * 2


CONTENDERS: dict[str, Callable[[Array, int], list[Any]]] = {
    "attar": by_attar,
    "IterativeImputer": by_ridge,
    "complete rows": complete,
}


def least_squares(rows: Array) -> tuple[Array, Array]:
    """Return the coefficients of the last column, and their squared standard errors."""
    x = np.column_stack([np.ones(len(rows)), rows[:, :-1]])
    found, squares, *_ = np.linalg.lstsq(x, rows[:, -1], rcond=None)
    noise = squares[0] / (len(x) - x.shape[1])
    return found, noise * np.diag(np.linalg.inv(x.T @ x))


def main() -> None:
    """Print coverage, bias in standard errors, and the width of intervals."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--made", nargs="+", default=list(MADE))
    parser.add_argument("--masks", nargs="+", default=["MCAR", "MAR"])
    parser.add_argument("--sets", type=int, default=200)
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--only", nargs="+", default=list(CONTENDERS))
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    for name in given.made:
        for how in given.masks:
            for contender in given.only:
                inside, errors, widths = [], [], []
                started = time.perf_counter()
                for seed in range(given.sets):
                    rng = np.random.default_rng(seed)
                    rows, truth = MADE[name](rng, given.rows)
                    drawn = CONTENDERS[contender](holes_in(rng, rows, how), seed)
                    each = [least_squares(one) for one in drawn]
                    pooled = attar.Imputer.pool(*zip(*each, strict=True))
                    low, high = pooled.interval()
                    inside.append((low <= truth) & (truth <= high))
                    errors.append((pooled.estimate - truth) / pooled.error)
                    widths.append((high - low) / 2)
                bias = np.mean(errors, 0)
                print(
                    f"{name} {how:4} {contender:16}  coverage {_row(np.mean(inside, 0), '.1%')}  "
                    f"bias {_row(bias, '+.2f')} se  half width {_row(np.mean(widths, 0), '.3f')}  "
                    f"{time.perf_counter() - started:.0f} s",
                    flush=True,
                )


def _row(values: Array, form: str) -> str:
    return " ".join(format(value, form) for value in values)


if __name__ == "__main__":
    main()
