"""What a score means: tail probabilities, conformal p-values, false discovery rates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from attar.errors import warn

Array = NDArray[np.float64]


def pvalues(calibration: Array, scores: Array) -> Array:
    """Return conformal p-values of scores: the share of calibration scores at least as large.

    p = (1 + #{i: c_i ≥ s}) / (n + 1). For a row that comes from where the calibration rows came,
    P(p ≤ α) ≤ α, whatever the score.

    Parameters
    ----------
    calibration : array (n,)
        Of rows that the score was not fitted on.
    scores : array (m,)

    Examples
    --------
    >>> pvalues(np.array([1.0, 2.0, 3.0]), np.array([0.0, 2.0, 9.0])).tolist()
    [1.0, 0.75, 0.25]

    References
    ----------
    Vovk, Gammerman and Shafer, "Algorithmic learning in a random world", Springer 2005.
    """
    ordered = np.sort(calibration)
    below = np.searchsorted(ordered, scores, "left")
    return np.asarray((len(ordered) - below + 1) / (len(ordered) + 1))


def surprise(calibration: Array, scores: Array) -> Array:
    """Return -log p of scores, in nats, so that scores of different units add up.

    Beyond the largest calibration score c, where p says no more, it grows with the logarithm of
    1 + (s - c) / (c - median).

    Examples
    --------
    >>> surprise(np.arange(9.0), np.array([8.0, 9.0, 12.0])).round(2).tolist()
    [1.61, 2.53, 3.0]
    """
    largest, middle = calibration.max(), np.median(calibration)
    beyond = np.maximum(scores - largest, 0) / (largest - middle if largest > middle else 1.0)
    return np.asarray(np.log1p(beyond) - np.log(pvalues(calibration, scores)))


def own_surprise(scores: Array) -> Array:
    """Return the surprise of each score, calibrated by all others.

    Examples
    --------
    >>> own_surprise(np.array([0.0, 1.0, 2.0, 3.0])).round(2).tolist()
    [0.0, 0.29, 0.69, 2.08]
    """
    at_least = len(scores) - np.searchsorted(np.sort(scores), scores, "left")
    found, top = np.asarray(np.log(len(scores) / at_least)), scores.argmax()
    found[top] = surprise(np.delete(scores, top), scores[[top]])[0]
    return found


def limit(calibration: Array, false_alarms: float) -> float:
    """Return the score beyond which p-values are at most a share; infinity, and a warning, if none.

    Examples
    --------
    >>> limit(np.arange(99.0), 0.02)
    97.0
    """
    rank = int(np.floor(false_alarms * (len(calibration) + 1) + 1e-9))
    if rank:
        return float(np.sort(calibration)[-rank])
    warn(
        f"False alarms of {false_alarms:g} need {int(np.ceil(1 / false_alarms)) - 1} rows at "
        f"least, and X has {len(calibration)}: no row is odd enough; give more rows, or more "
        "false_alarms."
    )
    return np.inf


def discoveries(p: Array, rate: float) -> NDArray[np.bool_]:
    """Return which p-values to reject so that the expected share of false ones is at most a rate.

    Examples
    --------
    >>> discoveries(np.array([0.01, 0.5, 0.02, 0.9]), 0.05).tolist()
    [True, False, True, False]

    References
    ----------
    Benjamini and Hochberg, "Controlling the false discovery rate", Journal of the Royal Statistical
    Society B 1995.
    """
    return np.asarray(stats.false_discovery_control(p) <= rate)


def alarm_interval(rate: float, calibrated: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return between which limits the share of false alarms is, over all sets of calibration rows.

    With n rows, the share of new ones with p ≤ α has the distribution Beta(k, n + 1 - k), where
    k = floor(α (n + 1)).

    Examples
    --------
    >>> low, high = alarm_interval(0.01, 10_000)
    >>> f"{low:.4f} {high:.4f}"
    '0.0081 0.0120'

    References
    ----------
    Angelopoulos and Bates, "A gentle introduction to conformal prediction", 2021, section 3.2.
    """
    k = int(np.floor(rate * (calibrated + 1) + 1e-9))
    if not k:
        return 0.0, 0.0
    tail = (1 - confidence) / 2
    low, high = stats.beta(k, calibrated + 1 - k).ppf([tail, 1 - tail])
    return float(low), float(high)
