"""Disentanglement: how well latent dimensions match the factors of variation, one to one.

Codes are (n, d); factors (n, f) are integers, the value of each factor for each row. Factors that
are constant over the rows are left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from attar.data.kind import Rows
from attar.errors import DataError

# Votes of the FactorVAE score and the rows of each; the size of the forests of DCI.
VOTES, VOTE_ROWS, TREES, LEAF = 1600, 64, 20, 5


def mig(codes: Rows, factors: Rows, bins: int = 20) -> float:
    """Return the mutual information gap: 1 where each factor is in one dimension alone, 0 at worst.

    It is the mean over factors of (I₁ - I₂) / H: the two largest mutual informations of the factor
    and a dimension, cut into ``bins`` equal intervals, and the factor's entropy.

    Examples
    --------
    >>> import numpy as np
    >>> factors = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    >>> round(mig(2.0 * factors, factors), 6)
    1.0

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
    """Return the separated attribute predictability: 0 at worst, 1 - 1/m at best for m classes.

    A dimension's score on a factor is the balanced accuracy of thresholds on it, one fewer than
    the factor has classes; the mean gap between the two best dimensions is returned. A dimension
    without information has a balanced accuracy of 1/m.

    Examples
    --------
    >>> import numpy as np
    >>> factors = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    >>> round(sap(2.0 * factors, factors), 6)
    0.5

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
        How far each dimension encodes a single factor.
    completeness : float
        How far each factor is encoded by a single dimension.
    informativeness : float
        The accuracy of the factors predicted from held-out codes.
    """

    disentanglement: float
    completeness: float
    informativeness: float


def dci(codes: Rows, factors: Rows, seed: int = 0) -> Dci:
    """Return disentanglement, completeness and informativeness.

    The importance of a dimension for a factor is that in a random forest that predicts the factor.
    The scores are 1 - H of a dimension's importances over factors (weighted by their sum), 1 - H of
    a factor's importances over dimensions, with entropies to the base of their number, and the
    forest's accuracy on a held-out quarter of the rows.

    Examples
    --------
    >>> import numpy as np
    >>> factors = np.random.default_rng(0).integers(3, size=(400, 2))
    >>> scores = dci(2.0 * factors, factors)
    >>> round(scores.disentanglement, 6), scores.informativeness
    (1.0, 1.0)

    References
    ----------
    Eastwood and Williams, "A framework for the quantitative evaluation of disentangled
    representations", ICLR 2018.
    """
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import train_test_split

    parts = train_test_split(codes, _varying(factors), test_size=0.25, random_state=seed)
    train, test, train_factors, test_factors = parts
    importances, accuracies = [], []
    for train_factor, test_factor in zip(train_factors.T, test_factors.T, strict=True):
        # Each split considers all dimensions: else those without information get some importance.
        forest = RandomForestClassifier(
            TREES, max_features=None, min_samples_leaf=LEAF, random_state=seed
        ).fit(train, train_factor)
        importances.append(forest.feature_importances_)
        accuracies.append(forest.score(test, test_factor))
    matrix = np.array(importances)
    weights = matrix.sum(0) / len(matrix)
    return Dci(
        disentanglement=float(weights @ _concentration(matrix.T)),
        completeness=float(_concentration(matrix).mean()),
        informativeness=float(np.mean(accuracies)),
    )


def factor_score(codes: Rows, factors: Rows, seed: int = 0) -> float:
    """Return the FactorVAE score, the accuracy of a majority-vote classifier: 1 at best.

    A vote takes 64 rows that share the value of one random factor, and the dimension with the
    smallest variance relative to that over all rows. Half of 1,600 votes decide which factor each
    dimension stands for, and the other half measure the accuracy, 1 / f for codes without
    information. Factors should be independent over the rows.

    Examples
    --------
    >>> import numpy as np
    >>> factors = np.random.default_rng(0).integers(3, size=(400, 2))
    >>> factor_score(2.0 * factors, factors)
    1.0

    References
    ----------
    Kim and Mnih, "Disentangling by factorising", ICML 2018.
    """
    generator, factors = np.random.default_rng(seed), _varying(factors)
    variances = codes.var(0, dtype=np.float64)
    fixed = generator.integers(factors.shape[1], size=VOTES)
    dimension = np.zeros(VOTES, int)
    for k, factor in enumerate(factors.T):
        votes = fixed == k
        within = codes[_groups(factor, int(votes.sum()), generator)].var(1, dtype=np.float64)
        relative = np.full(within.shape, np.inf)
        dimension[votes] = np.divide(within, variances, out=relative, where=variances > 0).argmin(1)
    half = VOTES // 2
    counts = np.zeros((codes.shape[1], factors.shape[1]))
    np.add.at(counts, (dimension[:half], fixed[:half]), 1)
    return float((counts.argmax(1)[dimension[half:]] == fixed[half:]).mean())


def _varying(factors: Rows) -> Rows:
    varying: Rows = factors[:, np.ptp(factors, axis=0) > 0]
    if not varying.shape[1]:
        raise DataError("All factors are constant: give rows in which at least one varies.")
    return varying


def _cut(codes: Rows, bins: int) -> Rows:
    """Return which of equal intervals from least to largest each value lies in: (n, d)."""
    least, extent = codes.min(0), np.ptp(codes, axis=0)
    places = (codes - least) / np.where(extent > 0, extent, 1) * bins
    intervals: Rows = np.minimum(places, bins - 1).astype(int)
    return intervals


def _gaps(scores: Rows) -> Rows:
    """Return the difference of the two largest scores (d, f) for each factor: (f,)."""
    ordered = np.sort(np.vstack([np.zeros_like(scores[:1]), scores]), axis=0)
    gaps: Rows = ordered[-1] - ordered[-2]
    return gaps


def _thresholded(z: Rows, factor: Rows) -> float:
    """Return the balanced accuracy of the best thresholds on z (n,) for a factor (n,)."""
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.tree import DecisionTreeClassifier

    column, classes = z[:, None], len(np.unique(factor))
    # A tree of one feature is a list of thresholds.
    tree = DecisionTreeClassifier(max_leaf_nodes=classes, class_weight="balanced", random_state=0)
    return float(balanced_accuracy_score(factor, tree.fit(column, factor).predict(column)))


def _concentration(weights: Rows) -> Rows:
    """Return 1 - H for each row of weights (n, k): 1 for a single one, 0 for equal ones."""
    from scipy.special import entr

    k = weights.shape[1]
    if k == 1:
        return np.ones(len(weights))
    total = weights.sum(1, keepdims=True)
    shares = np.divide(weights, total, out=np.full(weights.shape, 1 / k), where=total > 0)
    concentration: Rows = 1 - entr(shares).sum(1) / math.log(k)
    return concentration


def _groups(factor: Rows, count: int, generator: np.random.Generator) -> Rows:
    """Return groups of rows with the same factor, with replacement: indices (count, 64)."""
    order = np.argsort(factor, kind="stable")
    values = factor[generator.integers(len(factor), size=count)]
    first = np.searchsorted(factor[order], values)
    after = np.searchsorted(factor[order], values, side="right")
    places = generator.integers(first[:, None], after[:, None], size=(count, VOTE_ROWS))
    rows: Rows = order[places]
    return rows
