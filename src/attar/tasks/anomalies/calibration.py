"""What a score means: tail probabilities, conformal p-values, false discovery rates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

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
    return np.asarray(stats.false_discovery_control(p, axis=None) <= rate).reshape(p.shape)


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


class RunningTails:
    """Tail probabilities of some positive numbers among all that were seen, in constant memory.

    The logarithms of each are counted in a histogram, within whose bins p is linear. Beyond a
    threshold u, the larger of the 90% quantile and the mean, it is Pareto's, P(x) = P(u)
    (x / u)^(-1/ξ), where ξ is Hill's estimate, the mean excess of the logarithms.

    Parameters
    ----------
    unit : array (k,)
        What numbers are divided by before they are counted.
    counts : array (k, bins)
    totals : array (k,)
        The sums of the divided numbers.

    Examples
    --------
    >>> numbers = np.random.default_rng(0).pareto(2, (10_000, 1)) + 1
    >>> tails = RunningTails.fit(numbers)
    >>> tails.nats(np.array([[10.0]])).round(1), np.log(10.0**2).round(1)
    (array([[4.6]]), np.float64(4.6))

    References
    ----------
    Hill, "A simple general approach to inference about the tail of a distribution", Annals of
    Statistics 1975. Siffer et al., "Anomaly detection in streams with extreme value theory", KDD
    2017.
    """

    # The logarithms that are told apart, and the share of numbers in the tail.
    LOW, HIGH, WIDTH, TAIL = -12.0, 36.0, 1 / 12, 0.1
    BINS = round((HIGH - LOW) / WIDTH)
    MIDDLES = LOW + (np.arange(BINS) + 0.5) * WIDTH

    # Each bin counts at least so much, so that p falls everywhere; and the mean excess is that of
    # one further number in the tail, where there are few.
    LEAST, EXCESS = 1e-6, 0.15

    def __init__(self, unit: Array, counts: Array, totals: Array) -> None:
        self.unit, self.counts, self.totals = unit, counts, totals
        self._every = np.arange(len(unit))
        self._refit()

    @classmethod
    def fit(cls, numbers: Array, weight: float = 1.0) -> Self:
        """Return the tails of numbers (n, k).

        Parameters
        ----------
        numbers : array (n, k)
            Missing ones don't count.
        weight : float
            What each number counts: less than 1 where some are no news after others.
        """
        known = ~np.isnan(numbers)
        each = np.maximum(known.sum(0), 1)
        unit = np.where(known, numbers, 0.0).sum(0) / each
        unit = np.where(unit > 0, unit, 1.0)
        found = cls(unit, np.zeros((len(unit), cls.BINS)), np.zeros(len(unit)))
        for k, column in enumerate(numbers.T):
            own = column[known[:, k]]
            bins = found._bins(np.log(np.maximum(own, 1e-300) / unit[k]))
            found.counts[k] = weight * np.bincount(bins, minlength=cls.BINS)
            found.totals[k] = weight * own.sum() / unit[k]
        found._refit()
        return found

    def nats(self, numbers: Array) -> Array:
        """Return -log p of numbers (..., k)."""
        logs = self._logs(numbers)
        at = np.where(np.isnan(logs), 0.0, logs)
        bins = self._bins(at)
        part = (at - self.LOW) / self.WIDTH - bins
        above = self._above[self._every, bins] - part * self._counts[self._every, bins]
        below = -np.log(np.maximum(above / self._n, self._share)) + 0 * logs
        beyond = -np.log(self._share) + (logs - self._threshold) / self._excess
        return np.asarray(np.where(logs > self._threshold, beyond, below))

    def next(self, numbers: Array) -> Array:
        """Return -log p of numbers (k,) among those before, which they then join."""
        nats = self.nats(numbers)
        known = ~np.isnan(numbers)
        if known.all():
            self.counts[self._every, self._bins(self._logs(numbers))] += 1
            self.totals += numbers / self.unit
        else:
            self.counts[self._every[known], self._bins(self._logs(numbers)[known])] += 1
            self.totals[known] += (numbers / self.unit)[known]
        self._refit()
        return nats

    def quantile(self, share: float) -> Array:
        """Return which number is at least as large as a share of those seen: (k,)."""
        at = (self._above > (1 - share) * self._n[:, None]).sum(1)
        return np.asarray(self.unit * np.exp(self.LOW + at * self.WIDTH))

    def tensors(self) -> dict[str, Tensor]:
        """Return all that :meth:`restored` needs."""
        own = {"unit": self.unit, "counts": self.counts, "totals": self.totals}
        return {name: torch.from_numpy(array) for name, array in own.items()}

    @classmethod
    def restored(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Return the tails of :meth:`tensors`."""
        # Copies, as files are read as memory that cannot be written.
        unit, counts, totals = (tensors[n].numpy().copy() for n in ("unit", "counts", "totals"))
        return cls(unit, counts, totals)

    def _logs(self, numbers: Array) -> Array:
        logs = np.log(np.maximum(numbers / self.unit, 1e-300))
        return np.asarray(np.minimum(np.maximum(logs, self.LOW), self.HIGH - 1e-9))

    def _bins(self, logs: Array) -> NDArray[np.intp]:
        inside = np.minimum(np.maximum(logs, self.LOW), self.HIGH - 1e-9)
        bins: NDArray[np.intp] = ((inside - self.LOW) / self.WIDTH).astype(np.intp)
        return bins

    def _refit(self) -> None:
        self._counts = self.counts + self.LEAST
        self._above = self._counts[:, ::-1].cumsum(1)[:, ::-1]
        self._n = self._above[:, 0]
        mean = 1 + self._bins(np.log((self.totals + 1e-300) / self._n))
        cut = np.maximum((self._above > self.TAIL * self._n[:, None]).sum(1), mean)
        cut = np.minimum(cut, self.BINS - 1)
        self._threshold = self.LOW + cut * self.WIDTH
        beyond = self._above[self._every, cut]
        tails = [(c[at:], self.MIDDLES[at:]) for c, at in zip(self.counts, cut, strict=True)]
        number = np.array([c.sum() for c, _ in tails])
        excess = np.array([c @ logs for c, logs in tails]) - number * self._threshold
        self._excess = (excess + self.EXCESS) / (number + 1)
        self._share = beyond / self._n
