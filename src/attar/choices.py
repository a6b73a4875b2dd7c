"""The automatic choices: what suits the data, where the user says "auto".

Each choice is a plain function of the data, and is reported with its reason.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attar.data.cells import Flag, Levels, Phase, Whole
from attar.data.kind import Kind
from attar.data.missing import with_means
from attar.data.preparation import Preparation
from attar.data.scaling import Scaler
from attar.data.sparse import Sparse
from attar.data.table import Table
from attar.likelihoods import (
    Bernoulli,
    Categorical,
    Circular,
    Discretized,
    Gaussian,
    LearnedGaussian,
    Likelihood,
    Mixed,
    Multinomial,
    Poisson,
    StudentT,
)
from attar.networks import Bag, Conv, Mlp, Network, Tcn
from attar.recipe import Recipe

Rows = NDArray[Any]

STEPS = 8000
SAMPLE = 5000

# Columns of more excess kurtosis have heavy tails; a normal's is 0, a Laplace distribution's 3.
HEAVY = 6.0


@dataclass(frozen=True)
class Choice:
    """A setting that was chosen, with the reason in words."""

    setting: str
    value: str
    reason: str

    def __str__(self) -> str:
        return f"{self.setting}: {self.value} ({self.reason})"

    def to_json(self) -> dict[str, str]:
        """Return the choice as plain JSON data."""
        return asdict(self)


def likelihood(preparation: Preparation, prepared: Rows, recipe: Recipe) -> tuple[Likelihood, str]:
    """Return what suits the columns of a table, the counts of a sparse matrix, or plain numbers.

    Plain numbers get a bernoulli where they are nearly black and white, else a gaussian.

    Parameters
    ----------
    preparation : Preparation
    prepared : array (n, ...)
        A sample of the rows, prepared.
    recipe : Recipe
    """
    kind = preparation.kind
    if isinstance(kind, Sparse) and are_counts(prepared):
        if recipe.corruption is not None and "gaps" in recipe.corruption.provides:
            return Poisson(), "counts, of which only hidden ones are asked for"
        return Multinomial(float(prepared.sum(1).mean())), "rows of counts"
    if isinstance(kind, Table) and kind.names is not None:
        columns = column_likelihoods(kind, preparation.scaler, prepared)
        if any(not isinstance(column, LearnedGaussian) for column in columns):
            return Mixed(columns), "a likelihood for each column"
    known = prepared[~np.isnan(prepared)]
    if len(known) and 0 <= known.min() < known.max() <= 1:
        extreme = float(np.mean((known <= 0.1) | (known >= 0.9)))
        if extreme >= 0.8:
            return Bernoulli(), f"{extreme:.0%} of the cells are near 0 or 1"
    if recipe.code.beta:
        return LearnedGaussian(), "the code has its price, which must be weighed against the error"
    return Gaussian(), "numbers of any size"


def are_counts(values: Rows) -> bool:
    """Return whether all values are whole and none is negative."""
    return bool((values >= 0).all() and (values == np.rint(values)).all())


def column_likelihoods(kind: Table, scaler: Scaler, prepared: Rows) -> tuple[Likelihood, ...]:
    """Return a likelihood for each cell of a table.

    Parameters
    ----------
    kind : Table
    scaler : Scaler
    prepared : array (n, features)
        A sample of the rows, prepared.
    """
    scales = np.broadcast_to(scaler.scale.numpy(), len(kind.cells))
    bends = np.zeros(len(scales)) if scaler.bend is None else scaler.bend[0].numpy() != 1
    chosen: list[Likelihood] = []
    for cell, scale, bent, segment in zip(
        kind.cells, scales, bends, kind.expansion.segments, strict=True
    ):
        match cell:
            case Levels():
                chosen.append(Categorical(len(cell.features)))
            case Phase():
                chosen.append(Circular())
            case Flag():
                chosen.append(Bernoulli())
            case Whole() if not bent:
                chosen.append(Discretized(1 / float(scale)))
            case _:
                heavy = has_heavy_tails(prepared[:, segment.start])
                chosen.append(StudentT() if heavy else LearnedGaussian())
    return tuple(chosen)


def has_heavy_tails(column: Rows) -> bool:
    """Return whether numbers (NaN left out) lie around a middle with far outliers on the way out.

    Mostly one value and some others is something else: those others are no outliers.
    """
    known = column[~np.isnan(column)].astype(np.float64)
    if not len(known):
        return False
    low, high = np.percentile(known, [25, 75])
    if low == high:
        return False
    return float(np.mean(((known - known.mean()) / known.std()) ** 4)) - 3 > HEAVY


def network(kind: Kind) -> tuple[Network, str]:
    """Return what suits the rows: bags for sparse ones, convolutions for series and large images.

    Anything else gets a multilayer perceptron with a shortcut.
    """
    shape = kind.shape
    cells = math.prod(shape)
    if isinstance(kind, Sparse):
        return Bag(), f"sparse rows of {cells:,} cells"
    if len(shape) == 2:
        return Tcn(), f"series of {shape[0]:,} channels and {shape[1]:,} steps"
    if len(shape) == 3 and cells > 1024:
        return Conv(), f"images of {cells:,} cells"
    widest = 512 if cells > 256 else 256
    return Mlp((widest, widest // 2), "silu", shortcut=True), f"rows of {cells:,} cells"


def code_size(kind: Kind, prepared: Rows, share: float = 0.85) -> tuple[int, str]:
    """Return about as many numbers as principal components need for 85% of the variance.

    Counts vary by chance alone, which no code can hold: sparse rows get 64 at most.

    Parameters
    ----------
    kind : Kind
    prepared : array (n, ...)
        A sample of the rows, prepared.
    share : float
        The share of the variance.
    """
    matrix = with_means(prepared.reshape(len(prepared), -1))
    if matrix.shape[1] <= len(matrix):
        small = np.cov(matrix.astype(np.float64), rowvar=False, ddof=0).reshape(-1, matrix.shape[1])
    else:  # of wide rows their products say as much, centred without a copy of the rows
        small = (matrix @ matrix.T).astype(np.float64)
        rounding = 1e-6 * small.max(initial=0)
        small = small - small.mean(0) - small.mean(1)[:, None] + small.mean()
        small[np.abs(small) <= rounding] = 0
    variances = np.linalg.eigvalsh(small)[::-1].clip(0)
    if not variances.sum():
        return 1, "the rows are all alike"
    needed = int(np.searchsorted(np.cumsum(variances) / variances.sum(), share)) + 1
    reason = f"{needed} principal components hold {share:.0%} of the variance"
    most = 64 if isinstance(kind, Sparse) else 256
    return _round(needed, most=min(most, math.prod(prepared.shape[1:]))), reason


def batch_size(n: int) -> tuple[int, str]:
    """Return the power of two nearest to the root of the number of rows, 32 to 1,024."""
    return 2 ** min(10, max(5, round(math.log2(math.sqrt(n))))), f"{n:,} rows"


def epochs(n: int, size: int) -> tuple[int, str]:
    """Return as many epochs as make about 8,000 steps, 10 to 400."""
    steps = -(-n // size)
    return min(400, max(10, round(STEPS / steps))), f"{steps:,} steps an epoch"


def _round(number: int, most: int) -> int:
    """Return the nearest of 1, 2, 3, 4, 6, 8, 12, 16, 24, ..., 256, and ``most`` at most."""
    nice = sorted({1, *(2**i for i in range(1, 9)), *(3 * 2**i for i in range(7))})
    nearest: int = min(nice, key=lambda size: abs(math.log(size / number)))
    return min(most, nearest)
