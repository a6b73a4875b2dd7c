"""The contenders of ``anomaly``: each with its own defaults, but for the neighbours' number.

All get the same rows, PyOD's detectors standardized ones, as its documentation advises, and return
how odd test rows are.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from benchmarks._common import Rows

# The modules and classes of PyOD, and settings; ``seed`` and ``features`` stand for their values.
PYOD: dict[str, tuple[str, str, dict[str, Any]]] = {
    "AutoEncoder": ("auto_encoder", "AutoEncoder", {"verbose": 0, "random_state": "seed"}),
    "VAE": ("vae", "VAE", {"verbose": 0, "random_state": "seed"}),
    "DeepSVDD": (
        "deep_svdd",
        "DeepSVDD",
        {"verbose": 0, "random_state": "seed", "n_features": "features"},
    ),
    "PCA": ("pca", "PCA", {"random_state": "seed"}),
    "IForest": ("iforest", "IForest", {"random_state": "seed"}),
    "ECOD": ("ecod", "ECOD", {}),
    "COPOD": ("copod", "COPOD", {}),
    "MCD": ("mcd", "MCD", {"random_state": "seed"}),
    "CBLOF": ("cblof", "CBLOF", {"random_state": "seed"}),
    "LOF": ("lof", "LOF", {}),
    "kNN5": ("knn", "KNN", {"n_neighbors": 5}),
    "kNN50": ("knn", "KNN", {"n_neighbors": 50}),
}

NEURAL = ("AutoEncoder", "VAE", "DeepSVDD")

Scorer = Callable[[Rows, Rows, int], Rows]


def attar(train: Rows, test: Rows, seed: int) -> Rows:
    """``attar.AnomalyDetector``."""
    from attar import AnomalyDetector

    return -AnomalyDetector(random_state=seed).fit(train).score_samples(test)


def pyod(name: str, train: Rows, test: Rows, seed: int) -> Rows:
    """Return the scores of one of PyOD's detectors."""
    import torch
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(train)
    module, title, settings = PYOD[name]
    values = {"seed": seed, "features": train.shape[1]}
    settings = {key: values.get(value, value) for key, value in settings.items()}
    torch.manual_seed(seed)
    model = getattr(import_module(f"pyod.models.{module}"), title)(**settings)
    return model.fit(scaler.transform(train)).decision_function(scaler.transform(test))


def pca(train: Rows, test: Rows, seed: int, components: int) -> Rows:
    """Return the squared errors of principal components."""
    from sklearn.decomposition import PCA

    model = PCA(components, random_state=seed).fit(train)
    return ((model.inverse_transform(model.transform(test)) - test) ** 2).sum(1)


def neighbours(train: Rows, test: Rows, seed: int, number: int) -> Rows:
    """Return the distance to so-manieth nearest row."""
    from sklearn.neighbors import NearestNeighbors

    return NearestNeighbors(n_neighbors=number).fit(train).kneighbors(test)[0][:, -1]


def scores(name: str, train: Rows, test: Rows, seed: int) -> Rows:
    """Return how odd a contender finds test rows.

    Raises
    ------
    ValueError
        If it does not rank them: scores are NaN, or all alike. Infinite ones have a rank.
    """
    found = attar(train, test, seed) if name == "attar" else pyod(name, train, test, seed)
    found = np.asarray(found, np.float64)
    unknown = int(np.isnan(found).sum())
    if unknown:
        raise ValueError(f"{unknown} of {len(found)} scores are NaN")
    if (found == found[0]).all():
        raise ValueError(f"all scores are {found[0]:g}")
    return found
