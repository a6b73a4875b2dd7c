"""Probes: the accuracy of simple classifiers of codes."""

from __future__ import annotations

from attar.data.kind import Rows


def probe_accuracy(codes: Rows, labels: Rows, test_codes: Rows, test_labels: Rows) -> float:
    """Return the accuracy of a logistic regression of labels (n,) on standardized codes (n, d).

    Examples
    --------
    >>> import numpy as np
    >>> codes = np.random.default_rng(0).normal(size=(200, 2))
    >>> labels = codes[:, 0] > codes[:, 1]
    >>> probe_accuracy(codes[:100], labels[:100], codes[100:], labels[100:]) > 0.95
    True

    References
    ----------
    Alain and Bengio, "Understanding intermediate layers using linear classifier probes", ICLR
    workshop, 2017.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    return float(probe.fit(codes, labels).score(test_codes, test_labels))


def neighbour_accuracy(
    codes: Rows, labels: Rows, test_codes: Rows, test_labels: Rows, k: int = 5
) -> float:
    """Return the accuracy of ``k`` nearest neighbours as a classifier of labels (n,).

    Examples
    --------
    >>> import numpy as np
    >>> codes = np.random.default_rng(0).normal(size=(400, 2))
    >>> labels = np.linalg.norm(codes, axis=1) > 1
    >>> neighbour_accuracy(codes[:300], labels[:300], codes[300:], labels[300:]) > 0.9
    True
    """
    from sklearn.neighbors import KNeighborsClassifier

    nearest = KNeighborsClassifier(n_neighbors=k).fit(codes, labels)
    return float(nearest.score(test_codes, test_labels))
