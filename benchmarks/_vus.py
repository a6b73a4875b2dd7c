"""VUS-PR: how well a score ranks steps of a series, where anomalies are intervals.

As of Paparrizos et al., "Volume under the surface: a new accuracy evaluation measure for
time-series anomaly detection", VLDB 2022, in the version of TSB-AD (Liu and Paparrizos, NeurIPS
2024).
"""

from __future__ import annotations

import numpy as np

from benchmarks._common import Rows

# How many thresholds each curve has.
THRESHOLDS = 250

# The longest period that is looked for, in steps, and what stands for none.
LONGEST, NONE = 300, 125


def period(values: Rows) -> int:
    """Return the lag of the highest peak of a series' autocorrelation, at least 3 steps."""
    centred = values[:20_000] - values[:20_000].mean()
    lags = min(400, len(values) - 1)
    spectrum = np.fft.rfft(centred, 2 * len(centred))
    found = np.fft.irfft(spectrum * spectrum.conj())[3 : lags + 1]
    peaks = 1 + np.flatnonzero((found[1:-1] > found[:-2]) & (found[1:-1] > found[2:]))
    if not len(peaks):
        return NONE
    best = int(peaks[np.argmax(found[peaks])])
    return best + 3 if 3 <= best <= LONGEST else NONE


def vus_pr(odd: Rows, scores: Rows, longest: int) -> float:
    """Return the mean area under curves of precision and recall, over buffers of each length.

    Steps within half a buffer of an anomaly count as odd in part. Recall also counts which share of
    the anomalies is found at all.

    Parameters
    ----------
    odd : array of bool (n,)
    scores : array (n,)
    longest : int
        The longest buffer, in steps.
    """
    edges = np.diff(np.r_[0, odd.astype(int), 0])
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1
    thresholds = np.sort(scores)[::-1][np.linspace(0, len(odd) - 1, THRESHOLDS).astype(int)]
    order = np.argsort(-scores, kind="stable")
    number = np.searchsorted(-scores[order], -thresholds, side="right")
    areas = [
        _area(odd, scores, starts, ends, order, number, thresholds, width)
        for width in range(longest + 1)
    ]
    return float(np.mean(areas))


def _area(
    odd: Rows,
    scores: Rows,
    starts: Rows,
    ends: Rows,
    order: Rows,
    number: Rows,
    thresholds: Rows,
    width: int,
) -> float:
    n, half, weights = len(odd), width // 2, odd.astype(float)
    for start, end in zip(starts, ends, strict=True):
        if width:
            after = np.arange(end + 1, min(end + half + 1, n))
            before = np.arange(max(start - half, 0), start)
            weights[after] += np.sqrt(1 - (after - end) / width)
            weights[before] += np.sqrt(1 - (start - before) / width)
    weights = np.minimum(weights, 1)
    found = weights[order].cumsum()[number - 1]
    total = ((weights * ~odd)[order]).cumsum()[number - 1] + odd.sum()
    regions, start = [], max(starts[0] - half, 0)
    for end, following in zip(ends[:-1], starts[1:], strict=True):
        if end + half < following - half:
            regions.append((start, end + half))
            start = following - half
    regions.append((start, min(ends[-1] + half, n - 1)))
    reached = np.mean([scores[a : b + 1].max() >= thresholds for a, b in regions], axis=0)
    recall = np.r_[0, np.minimum(found / ((odd.sum() + total) / 2), 1) * reached]
    return float((np.diff(recall) * found / number).sum())
