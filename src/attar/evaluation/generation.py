"""Metrics of generated samples, and of memorization."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from attar.data.kind import Rows
from attar.errors import DataError, SettingError

# How many distances are computed at once.
PAIRS = 1 << 22

# A sample is a copy where it is nearer to a training row than all but so many percent of new rows.
PERCENTILE = 1


def comparable(*several: Rows) -> list[Rows]:
    """Return each of several sets of rows (n, ...) as a matrix (n, f), of the same width f.

    Raises
    ------
    DataError
        If one has no rows, missing cells, or another width than the first.
    """
    found: list[Rows] = []
    for rows in map(np.asarray, several):
        if not len(rows) or not np.isfinite(rows).all():
            raise DataError("Rows to compare must be finite: give one or more, none missing.")
        found.append(rows.reshape(len(rows), -1))
        width, first = found[-1].shape[1], found[0].shape[1]
        if width != first:
            raise DataError(
                f"Rows of {first:,} features cannot be compared with rows of {width:,}: give the "
                "same features for both."
            )
    return found


def frechet_distance(real: Rows, generated: Rows) -> float:
    """Return the squared Fréchet distance of the gaussians with the rows' means and covariances.

    It is |μ - μ'|² + tr(C + C' - 2 (C C')^½); on features of an Inception network it is the FID.

    Examples
    --------
    >>> import numpy as np
    >>> rows = np.random.default_rng(0).normal(size=(50, 4))
    >>> round(frechet_distance(rows, rows + 3), 6)
    36.0

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
        raise DataError("The Fréchet distance needs at least two real and two generated rows.")
    between = real.mean(0, dtype=np.float64) - generated.mean(0, dtype=np.float64)
    covariance, other = _covariance(real), _covariance(generated)
    # The trace of the root of C C' is the sum of the singular values of C^½ C'^½.
    shared = svdvals(_root(covariance) @ _root(other)).sum()
    distance = between @ between + np.trace(covariance) + np.trace(other) - 2 * shared
    return max(0.0, float(distance))


@dataclass(frozen=True)
class Overlap:
    """Overlap of the manifolds of real and of generated rows.

    A manifold is the union of balls around its rows, each with the distance to the row's k-th
    nearest neighbour as its radius.

    Attributes
    ----------
    precision : float
        The fraction of generated rows on the manifold of the real ones.
    recall : float
        The fraction of real rows on the manifold of the generated ones.
    density : float
        The mean number of balls of real rows that a generated row lies in, divided by k; its
        expectation is 1 for equal distributions.
    coverage : float
        The fraction of real rows with a generated row in their ball; its expectation is 1 - 2⁻ᵏ
        for equal distributions and numbers of rows.
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

    Examples
    --------
    >>> import numpy as np
    >>> real = np.random.default_rng(0).normal(size=(100, 2))
    >>> found = overlap(real, real[:50] + 100)
    >>> found.precision, found.recall
    (0.0, 0.0)
    >>> overlap(real, real).coverage
    1.0

    References
    ----------
    Kynkäänniemi, Karras, Laine, Lehtinen and Aila, "Improved precision and recall metric for
    assessing generative models", NeurIPS 2019.

    Naeem, Oh, Uh, Choi and Yoo, "Reliable fidelity and diversity metrics for generative models",
    ICML 2020.
    """
    from scipy.spatial.distance import cdist

    real, generated = comparable(real, generated)
    radius, other_radius = _radius(real, k), _radius(generated, k)
    precise, balls = 0, 0
    recalled, covered = np.zeros(len(real), bool), np.zeros(len(real), bool)
    many = max(1, PAIRS // len(real))
    for start in range(0, len(generated), many):
        part = slice(start, start + many)
        distances = cdist(generated[part], real)
        inside = distances <= radius
        precise += int(inside.any(1).sum())
        balls += int(inside.sum())
        covered |= inside.any(0)
        recalled |= (distances <= other_radius[part, None]).any(0)
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


def _radius(rows: Rows, k: int) -> Rows:
    """Return the distance of each row to its k-th nearest neighbour: (n,)."""
    from sklearn.neighbors import NearestNeighbors

    if not 1 <= k < len(rows):
        raise SettingError(
            f"The overlap with k={k} needs more than {k} rows, not {len(rows)}: give more rows, or "
            "a smaller k."
        )
    distances, _ = NearestNeighbors(n_neighbors=k).fit(rows).kneighbors()
    # A ball includes its k-th neighbour, whatever the rounding.
    radius: Rows = distances[:, -1] * (1 + 1e-9)
    return radius


@dataclass(frozen=True)
class Memorization:
    """Distances of samples and of held-out rows to their nearest training row.

    Attributes
    ----------
    sample_distance, held_out_distance : float
        The median distance to the nearest training row.
    ratio : float
        The former over the latter: far below 1 where samples are copies, NaN where held-out rows
        are copies themselves.
    copies : float
        The fraction of samples nearer to a training row than 99% of held-out rows; its
        expectation is 0.01 for samples distributed like the held-out rows.
    """

    sample_distance: float
    held_out_distance: float
    ratio: float
    copies: float


def memorization(samples: Rows, train: Rows, held_out: Rows) -> Memorization:
    """Compare the distances of samples (m, f) and held-out rows (k, f) to training rows (n, f).

    Raises
    ------
    DataError
        If they have different features, or cells are missing.

    Examples
    --------
    >>> import numpy as np
    >>> train, held_out = np.random.default_rng(0).normal(size=(2, 200, 3))
    >>> memorization(train[:50], train, held_out).copies
    1.0

    References
    ----------
    Meehan, Chaudhuri and Dasgupta, "A non-parametric test to detect data-copying in generative
    models", AISTATS 2020: the comparison with held-out rows; the fractions here are simpler.
    """
    from sklearn.neighbors import NearestNeighbors

    samples, train, held_out = comparable(samples, train, held_out)
    neighbours = NearestNeighbors(n_neighbors=1).fit(train)
    distances, others = (neighbours.kneighbors(rows)[0][:, 0] for rows in (samples, held_out))
    sample_distance, held_out_distance = float(np.median(distances)), float(np.median(others))
    return Memorization(
        sample_distance,
        held_out_distance,
        ratio=sample_distance / held_out_distance if held_out_distance else math.nan,
        copies=float((distances < np.percentile(others, PERCENTILE)).mean()),
    )
