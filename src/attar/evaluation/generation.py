"""How like real rows generated ones are, and how many kinds of real rows they show.

Rows are (n, f) features of the real and (m, f) of the generated ones, the same for both; those of
more dimensions, such as images, are taken cell by cell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attar.errors import DataError, SettingError
from attar.evaluation.features import comparable

Rows = NDArray[Any]

# Distances that are looked at together.
PAIRS = 1 << 22


def frechet_distance(real: Rows, generated: Rows) -> float:
    """Return the squared Fréchet distance of the gaussians with the rows' means and covariances.

    It is |μ - μ'|² + tr(C + C' - 2 (C C')^½); on features of an Inception network it is the FID.

    Raises
    ------
    DataError
        If there are fewer than two real or generated rows, or they have different features.

    References
    ----------
    Heusel, Ramsauer, Unterthiner, Nessler and Hochreiter, "GANs trained by a two time-scale update
    rule converge to a local Nash equilibrium", NeurIPS 2017.
    """
    from scipy.linalg import svdvals

    real, generated = comparable(real, generated)
    if min(len(real), len(generated)) < 2:
        raise DataError("The Fréchet distance needs two real and two generated rows at least.")
    between = real.mean(0, dtype=np.float64) - generated.mean(0, dtype=np.float64)
    covariance, other = _covariance(real), _covariance(generated)
    # The trace of the root of C C' is the sum of the singular values of C^½ C'^½.
    shared = svdvals(_root(covariance) @ _root(other)).sum()
    apart = between @ between + np.trace(covariance) + np.trace(other) - 2 * shared
    return max(0.0, float(apart))


@dataclass(frozen=True)
class Overlap:
    """How the regions of real and of generated rows overlap.

    A region is the union of balls about its rows that reach the row's k-th neighbour among them.

    Attributes
    ----------
    precision : float
        The share of generated rows in the region of the real ones.
    recall : float
        The share of real rows in the region of the generated ones.
    density : float
        How many balls of real rows a generated one lies in, over k: 1 is expected of equal
        distributions, more where rows crowd where the real ones do.
    coverage : float
        The share of real rows with a generated one in their ball: 1 - 2⁻ᵏ is expected of equal
        distributions with as many rows.
    """

    precision: float
    recall: float
    density: float
    coverage: float


def overlap(real: Rows, generated: Rows, k: int = 5) -> Overlap:
    """Return precision, recall, density and coverage of generated rows.

    Raises
    ------
    DataError
        If they have different features, or cells are missing.
    SettingError
        If ``k`` is below 1, or there are no more than ``k`` real or generated rows.

    References
    ----------
    Kynkäänniemi, Karras, Laine, Lehtinen and Aila, "Improved precision and recall metric for
    assessing generative models", NeurIPS 2019.

    Naeem, Oh, Uh, Choi and Yoo, "Reliable fidelity and diversity metrics for generative models",
    ICML 2020.
    """
    from scipy.spatial.distance import cdist

    real, generated = comparable(real, generated)
    reach, other_reach = _reach(real, k), _reach(generated, k)
    precise, balls = 0, 0
    recalled, covered = np.zeros(len(real), bool), np.zeros(len(real), bool)
    many = max(1, PAIRS // len(real))
    for start in range(0, len(generated), many):
        part = slice(start, start + many)
        distances = cdist(generated[part], real)
        inside = distances <= reach
        precise += int(inside.any(1).sum())
        balls += int(inside.sum())
        covered |= inside.any(0)
        recalled |= (distances <= other_reach[part, None]).any(0)
    return Overlap(
        precision=precise / len(generated),
        recall=float(recalled.mean()),
        density=balls / (k * len(generated)),
        coverage=float(covered.mean()),
    )


def _covariance(rows: Rows) -> Rows:
    return np.atleast_2d(np.cov(rows, rowvar=False, dtype=np.float64))


def _root(covariance: Rows) -> Rows:
    """Return the symmetric square root of a covariance (f, f)."""
    values, vectors = np.linalg.eigh(covariance)
    root: Rows = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    return root


def _reach(rows: Rows, k: int) -> Rows:
    """Return how far the k-th neighbour of each row is: (n,)."""
    from sklearn.neighbors import NearestNeighbors

    if not 1 <= k < len(rows):
        raise SettingError(
            f"The overlap of regions with k={k} needs more than {k} rows, not {len(rows)}: give "
            "more rows, or a smaller k."
        )
    distances, _ = NearestNeighbors(n_neighbors=k).fit(rows).kneighbors()
    # A ball holds its k-th neighbour, whatever the rounding.
    reach: Rows = distances[:, -1] * (1 + 1e-9)
    return reach
