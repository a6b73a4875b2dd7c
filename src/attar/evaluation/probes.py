"""What simple classifiers tell from codes: how well they are laid out for use."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

Rows = NDArray[Any]


def probe_accuracy(codes: Rows, labels: Rows, test_codes: Rows, test_labels: Rows) -> float:
    """Return how often a logistic regression of standardised codes (n, d) tells labels (n,) right.

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
    """Return how often the majority of the ``k`` nearest codes (n, d) tells labels (n,) right."""
    from sklearn.neighbors import KNeighborsClassifier

    nearest = KNeighborsClassifier(n_neighbors=k).fit(codes, labels)
    return float(nearest.score(test_codes, test_labels))
