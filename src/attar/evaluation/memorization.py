"""Whether samples are new, or copies of rows that were learnt from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attar.evaluation.features import comparable

Rows = NDArray[Any]

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
