"""Metrics of generated samples, and of memorization."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attar.errors import DataError, SettingError

Rows = NDArray[Any]


def comparable(*several: Rows) -> list[Rows]:
    """Return each of several sets of rows (n, ...) as a matrix (n, f), with the same f for all.

    Raises
    ------
    DataError
        If one has no rows, or missing cells, or other features than the first.
    """
    found: list[Rows] = []
    for rows in map(np.asarray, several):
        if not len(rows) or not np.isfinite(rows).all():
            raise DataError("Rows are compared by finite numbers: give one or more, none missing.")
        found.append(rows.reshape(len(rows), -1))
        width, first = found[-1].shape[1], found[0].shape[1]
        if width != first:
            raise DataError(
                f"Rows of {first:,} features cannot be compared with rows of {width:,}: give the "
                "same features of both."
            )
    return found


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
    distance = between @ between + np.trace(covariance) + np.trace(other) - 2 * shared
    return max(0.0, float(distance))


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


PERCENTILE = 1


@dataclass(frozen=True)
class Memorization:
    """How near samples come to the rows learnt from, beside how near unseen rows come.

    Attributes
    ----------
    sample_distance, held_out_distance : float
        The median distance to the nearest row learnt from.
    ratio : float
        The former over the latter; far below 1 where samples are copies, NaN where unseen rows
        are copies themselves.
    copies : float
        The share of samples nearer to a row learnt from than 99 in 100 unseen rows: 0.01 is
        expected of samples that are as new as those.
    """

    sample_distance: float
    held_out_distance: float
    ratio: float
    copies: float


def memorization(samples: Rows, train: Rows, held_out: Rows) -> Memorization:
    """Return how near samples (m, f) come to rows learnt from (n, f), beside unseen rows (k, f).

    Raises
    ------
    DataError
        If they have different features, or cells are missing.

    References
    ----------
    Meehan, Chaudhuri and Dasgupta, "A non-parametric test to detect data-copying in generative
    models", AISTATS 2020: the comparison with unseen rows; the shares reported here are simpler.
    """
    from sklearn.neighbors import NearestNeighbors

    samples, train, held_out = comparable(samples, train, held_out)
    neighbours = NearestNeighbors(n_neighbors=1).fit(train)
    sampled, unseen = (neighbours.kneighbors(rows)[0][:, 0] for rows in (samples, held_out))
    near, usual = float(np.median(sampled)), float(np.median(unseen))
    return Memorization(
        sample_distance=near,
        held_out_distance=usual,
        ratio=near / usual if usual else math.nan,
        copies=float((sampled < np.percentile(unseen, PERCENTILE)).mean()),
    )
