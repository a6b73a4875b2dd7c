"""The contenders of ``anomaly_series``: each learns the first steps, and scores the others.

Contenders on windows score each window, and a step by the mean of the windows that hold it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view

from benchmarks._common import Rows

# Steps of a window, at most a third of the steps that are learnt.
WINDOW = 100

# A share of the variance that the leading components have.
KEPT = 0.9


def attar(frame: pd.DataFrame, learnt: int, seed: int) -> Rows:
    """``attar.AnomalyDetector``."""
    from attar import AnomalyDetector, Series

    detector = AnomalyDetector(random_state=seed)
    detector.fit(Series(frame[:learnt], time="timestamp"))
    return -detector.score_samples(Series(frame[learnt:], time="timestamp"))


def windows(frame: pd.DataFrame, learnt: int, width: int) -> tuple[Rows, Rows]:
    """Return the windows that are learnt, and all, standardized by the steps that are learnt."""
    values = frame["value"].to_numpy(float)
    deviation = values[:learnt].std() + 1e-9 * (np.abs(values).max() + 1e-9)
    every = sliding_window_view((values - values[:learnt].mean()) / deviation, width)
    return every[: learnt - width + 1], every


def of_steps(scores: Rows, width: int, learnt: int) -> Rows:
    """Return the mean score of the windows that hold each step that was not learnt."""
    ones = np.ones(width)
    total, count = np.convolve(scores, ones), np.convolve(np.ones(len(scores)), ones)
    return (total / count)[learnt:]


def on_windows(score: Callable[[Rows, Rows, int], Rows], width: int = WINDOW) -> Contender:
    """Return the contender that scores windows so."""

    def contender(frame: pd.DataFrame, learnt: int, seed: int) -> Rows:
        steps = min(width, learnt // 3)
        train, every = windows(frame, learnt, steps)
        return of_steps(score(train, every, seed), steps, learnt)

    return contender


def sub_pca(train: Rows, every: Rows, seed: int) -> Rows:
    """Return the squared error of the leading principal components of windows."""
    mean, deviation = train.mean(0), train.std(0) + 1e-9
    _, values, vectors = np.linalg.svd((train - mean) / deviation, full_matrices=False)
    share = np.cumsum(values**2) / np.sum(values**2)
    kept = vectors[: int(np.searchsorted(share, KEPT)) + 1]
    scaled = (every - mean) / deviation
    return ((scaled - scaled @ kept.T @ kept) ** 2).mean(1)


def iforest(train: Rows, every: Rows, seed: int) -> Rows:
    """Return the scores of an isolation forest."""
    from sklearn.ensemble import IsolationForest

    return -IsolationForest(random_state=seed).fit(train).score_samples(every)


def autoencoder(train: Rows, every: Rows, seed: int) -> Rows:
    """Return the scores of PyOD's AutoEncoder."""
    import torch
    from pyod.models.auto_encoder import AutoEncoder

    torch.manual_seed(seed)
    model = AutoEncoder(verbose=0, random_state=seed).fit(train.astype(np.float32))
    return model.decision_function(every.astype(np.float32))


def nearest(train: Rows, every: Rows, seed: int) -> Rows:
    """Return the distance to the nearest window that was learnt."""
    from sklearn.neighbors import NearestNeighbors

    return NearestNeighbors(n_neighbors=1).fit(train).kneighbors(every)[0][:, 0]


def seasonal_median(frame: pd.DataFrame, learnt: int, seed: int) -> Rows:
    """Return how far steps are from the median of their hour, on weekdays or weekends."""
    times, values = pd.to_datetime(frame["timestamp"]), frame["value"].to_numpy(float)
    place = (times.dt.hour + 24 * (times.dt.dayofweek >= 5)).to_numpy()
    known = pd.Series(values[:learnt]).groupby(place[:learnt])
    middle = known.median()[known.size() > 2].reindex(place).fillna(np.median(values[:learnt]))
    return np.abs(values - middle.to_numpy())[learnt:]


def matrix_profile(frame: pd.DataFrame, learnt: int, seed: int, before: bool) -> Rows:
    """Return the distance to the nearest window of the same shape, of all or of those before."""
    import stumpy

    values = frame["value"].to_numpy(float)
    steps = min(WINDOW, learnt // 3)
    # Windows without any change have no shape.
    shaken = values + 1e-6 * values.std() * np.random.default_rng(seed).normal(size=len(values))
    profile = stumpy.stump(shaken, steps)
    far = profile[:, 0].astype(float)
    if before:
        left, every = profile[:, 2].astype(int), sliding_window_view(shaken, steps)
        shapes = (every - every.mean(1, keepdims=True)) / every.std(1, keepdims=True)
        far = np.linalg.norm(shapes - shapes[np.maximum(left, 0)], axis=1)
        far[left < 0] = 0.0
    return of_steps(np.where(np.isfinite(far), far, 0.0), steps, learnt)


Contender = Callable[[pd.DataFrame, int, int], Rows]

CONTENDERS: dict[str, Contender] = {
    "attar": attar,
    "Sub-PCA": on_windows(sub_pca),
    "Sub-PCA of 288": on_windows(sub_pca, 288),
    "IForest": on_windows(iforest),
    "AutoEncoder": on_windows(autoencoder),
    "nearest": on_windows(nearest, 200),
    "seasonal median": seasonal_median,
    "matrix profile": lambda frame, learnt, seed: matrix_profile(frame, learnt, seed, False),
    "left profile": lambda frame, learnt, seed: matrix_profile(frame, learnt, seed, True),
}

# Contenders that chance has no part in.
FIXED = ("Sub-PCA", "Sub-PCA of 288", "nearest", "seasonal median", "matrix profile")
