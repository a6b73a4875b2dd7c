"""How well code dimensions stand for the factors that the data was made from, one for one.

Codes are (n, d) numbers; factors (n, f) are whole numbers, the level of each factor of each row.
Factors that never vary in these rows are left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attar.errors import DataError

Rows = NDArray[Any]

VOTES, SHARING, TREES, LEAF = 1600, 64, 20, 5


def mig(codes: Rows, factors: Rows, bins: int = 20) -> float:
    """Return the mutual information gap: 1 where each factor is in one dimension alone, 0 at worst.

    It is the mean over factors of (I₁ - I₂) / H, with the two largest informations that a
    dimension, cut to ``bins`` equal intervals, has on the factor, and the factor's entropy.

    References
    ----------
    Chen, Li, Grosse and Duvenaud, "Isolating sources of disentanglement in variational
    autoencoders", NeurIPS 2018.
    """
    from sklearn.metrics import mutual_info_score

    cut, factors = _cut(codes, bins), _varying(factors)
    shared = [[mutual_info_score(f, z) for f in factors.T] for z in cut.T]
    entropies = np.array([mutual_info_score(f, f) for f in factors.T])
    return float((_gaps(np.array(shared)) / entropies).mean())


def sap(codes: Rows, factors: Rows) -> float:
    """Return the separated attribute predictability: 0 at worst, below 1 by chance's own accuracy.

    A dimension's score on a factor is the balanced accuracy of thresholds on it, one fewer than
    the factor has levels; the mean gap between the two best is returned. A dimension that tells
    nothing is right about one level, so that a factor of m levels gives 1 - 1/m at best.

    References
    ----------
    Kumar, Sattigeri and Balakrishnan, "Variational inference of disentangled latent concepts from
    unlabeled observations", ICLR 2018.
    """
    scores = [[_thresholded(z, f) for f in _varying(factors).T] for z in codes.T]
    return float(_gaps(np.array(scores)).mean())


@dataclass(frozen=True)
class Dci:
    """Three scores of a representation, each from 0 to 1, the best.

    Attributes
    ----------
    disentanglement : float
        How far each dimension serves one factor alone.
    completeness : float
        How far each factor is served by one dimension alone.
    informativeness : float
        How often the factors' levels are told right from unseen codes.
    """

    disentanglement: float
    completeness: float
    informativeness: float


def dci(codes: Rows, factors: Rows, seed: int = 0) -> Dci:
    """Return disentanglement, completeness and informativeness.

    How much a dimension matters to a factor is its importance in a random forest that tells the
    factor's level. The scores are 1 - H of a dimension's importances over factors (weighted by
    their sum) and of a factor's over dimensions, with the entropy H to the base of how many there
    are; and the forest's accuracy on a quarter of the rows, which it does not learn from.

    References
    ----------
    Eastwood and Williams, "A framework for the quantitative evaluation of disentangled
    representations", ICLR 2018.
    """
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import train_test_split

    parts = train_test_split(codes, _varying(factors), test_size=0.25, random_state=seed)
    seen, unseen, levels, unseen_levels = parts
    importances, accuracies = [], []
    for level, unseen_level in zip(levels.T, unseen_levels.T, strict=True):
        # All dimensions are open to each split: else chance gives weight to those that say nothing.
        forest = RandomForestClassifier(
            TREES, max_features=None, min_samples_leaf=LEAF, random_state=seed
        ).fit(seen, level)
        importances.append(forest.feature_importances_)
        accuracies.append(forest.score(unseen, unseen_level))
    of_factors = np.array(importances)
    weights = of_factors.sum(0) / len(of_factors)
    return Dci(
        disentanglement=float(weights @ _concentration(of_factors.T)),
        completeness=float(_concentration(of_factors).mean()),
        informativeness=float(np.mean(accuracies)),
    )


def factor_score(codes: Rows, factors: Rows, seed: int = 0) -> float:
    """Return how often the dimension that varies least tells which factor is held: 1 is best.

    A vote takes 64 rows that share the level of one factor, which is drawn, and names the
    dimension whose variance, relative to that over all rows, is smallest. Half of 1,600 votes say
    which factor each dimension stands for, and the other half how often that is right. A code that
    says nothing gets a share of 1 / factors. Rows are to have their factors independently.

    References
    ----------
    Kim and Mnih, "Disentangling by factorising", ICML 2018.
    """
    generator, factors = np.random.default_rng(seed), _varying(factors)
    variances = codes.var(0, dtype=np.float64)
    held = generator.integers(factors.shape[1], size=VOTES)
    named = np.zeros(VOTES, int)
    for k, levels in enumerate(factors.T):
        mine = held == k
        few = codes[_sharing(levels, int(mine.sum()), generator)].var(1, dtype=np.float64)
        relative = np.full(few.shape, np.inf)
        named[mine] = np.divide(few, variances, out=relative, where=variances > 0).argmin(1)
    half = VOTES // 2
    votes = np.zeros((codes.shape[1], factors.shape[1]))
    np.add.at(votes, (named[:half], held[:half]), 1)
    return float((votes.argmax(1)[named[half:]] == held[half:]).mean())


def _varying(factors: Rows) -> Rows:
    varying: Rows = factors[:, np.ptp(factors, axis=0) > 0]
    if not varying.shape[1]:
        raise DataError("No factor varies in these rows: give rows with more than one level.")
    return varying


def _cut(codes: Rows, bins: int) -> Rows:
    """Return which of equal intervals from least to largest each number lies in: (n, d)."""
    least, extent = codes.min(0), np.ptp(codes, axis=0)
    places = (codes - least) / np.where(extent > 0, extent, 1) * bins
    intervals: Rows = np.minimum(places, bins - 1).astype(int)
    return intervals


def _gaps(scores: Rows) -> Rows:
    """Return how far the best score of a dimension is above the second, of (d, f): (f,)."""
    ordered = np.sort(np.vstack([np.zeros_like(scores[:1]), scores]), axis=0)
    gaps: Rows = ordered[-1] - ordered[-2]
    return gaps


def _thresholded(z: Rows, levels: Rows) -> float:
    """Return the balanced accuracy of the best thresholds on numbers (n,) for levels (n,)."""
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.tree import DecisionTreeClassifier

    column, count = z[:, None], len(np.unique(levels))
    # A tree of one feature is a list of thresholds.
    tree = DecisionTreeClassifier(max_leaf_nodes=count, class_weight="balanced", random_state=0)
    return float(balanced_accuracy_score(levels, tree.fit(column, levels).predict(column)))


def _concentration(weights: Rows) -> Rows:
    """Return how far each row of (n, k) has its weight in one place: 1 for one, 0 for even."""
    from scipy.special import entr

    k = weights.shape[1]
    if k == 1:
        return np.ones(len(weights))
    total = weights.sum(1, keepdims=True)
    shares = np.divide(weights, total, out=np.full(weights.shape, 1 / k), where=total > 0)
    concentration: Rows = 1 - entr(shares).sum(1) / math.log(k)
    return concentration


def _sharing(levels: Rows, count: int, generator: np.random.Generator) -> Rows:
    """Return groups of rows, each of one level, drawn with replacement: indices (count, 64)."""
    order = np.argsort(levels, kind="stable")
    chosen = levels[generator.integers(len(levels), size=count)]
    first = np.searchsorted(levels[order], chosen)
    after = np.searchsorted(levels[order], chosen, side="right")
    places = generator.integers(first[:, None], after[:, None], size=(count, SHARING))
    rows: Rows = order[places]
    return rows
