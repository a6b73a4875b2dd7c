"""The automatic choices: what suits the data, where the user says "auto".

Each choice is a plain function of the data, and is reported with its reason.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attar.codes import Code
from attar.likelihoods import Bernoulli, Gaussian, LearnedGaussian, Likelihood
from attar.networks import Conv, Mlp, Network

Rows = NDArray[Any]

STEPS = 8000
SAMPLE = 5000


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


def sample_of(rows: Rows, size: int = SAMPLE) -> Rows:
    """Return at most ``size`` rows, evenly spread."""
    return rows[:: max(1, -(-len(rows) // size))]


def likelihood(prepared: Rows, code: Code) -> tuple[Likelihood, str]:
    """Return bernoulli for data that is nearly black and white, else a gaussian.

    Parameters
    ----------
    prepared : array (n, ...)
        A sample of the rows, prepared.
    code : Code
    """
    if 0 <= prepared.min() < prepared.max() <= 1:
        extreme = float(np.mean((prepared <= 0.1) | (prepared >= 0.9)))
        if extreme >= 0.8:
            return Bernoulli(), f"{extreme:.0%} of the cells are near 0 or 1"
    if code.beta:
        return LearnedGaussian(), "the code has its price, which must be weighed against the error"
    return Gaussian(), "numbers of any size"


def network(shape: tuple[int, ...]) -> tuple[Network, str]:
    """Return convolutions for large images, else a multilayer perceptron with a shortcut."""
    cells = math.prod(shape)
    if len(shape) == 3 and cells > 1024:
        return Conv(), f"images of {cells:,} cells"
    widest = 512 if cells > 256 else 256
    return Mlp((widest, widest // 2), "silu", shortcut=True), f"rows of {cells:,} cells"


def code_size(prepared: Rows, share: float = 0.85) -> tuple[int, str]:
    """Return about as many numbers as principal components need for 85% of the variance.

    Parameters
    ----------
    prepared : array (n, ...)
        A sample of the rows, prepared.
    share : float
        The share of the variance.
    """
    matrix = prepared.reshape(len(prepared), -1).astype(np.float64)
    matrix = matrix - matrix.mean(0)
    small = matrix.T @ matrix if matrix.shape[1] <= len(matrix) else matrix @ matrix.T
    variances = np.linalg.eigvalsh(small)[::-1].clip(0)
    if not variances.sum():
        return 1, "the rows are all alike"
    needed = int(np.searchsorted(np.cumsum(variances) / variances.sum(), share)) + 1
    reason = f"{needed} principal components hold {share:.0%} of the variance"
    return _round(needed, most=math.prod(prepared.shape[1:])), reason


def batch_size(n: int) -> tuple[int, str]:
    """Return the power of two nearest to the root of the number of rows, 32 to 1,024."""
    return 2 ** min(10, max(5, round(math.log2(math.sqrt(n))))), f"{n:,} rows"


def epochs(n: int, size: int) -> tuple[int, str]:
    """Return as many epochs as make about 8,000 steps, 10 to 400."""
    steps = -(-n // size)
    return min(400, max(10, round(STEPS / steps))), f"{steps:,} steps an epoch"


def _round(number: int, most: int) -> int:
    """Return the nearest of 1, 2, 3, 4, 6, 8, 12, 16, 24, ..., at most 256 and at most ``most``."""
    nice = sorted({1, *(2**i for i in range(1, 9)), *(3 * 2**i for i in range(7))})
    nearest: int = min(nice, key=lambda size: abs(math.log(size / number)))
    return min(most, nearest)
