"""Clusters that are classes: accuracy by the best matching, beside what else finds clusters.

The number of clusters is that of the classes, but for attar's ``auto``. Tables: scikit-learn's
digits, wine, iris and breast cancer. Pictures: so many of MNIST's training images as
``--pictures`` says, by ``--recipe``; the others see pixels. UMAP with a Gaussian mixture, as of
N2D, takes part where umap-learn is installed.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans, SpectralClustering
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture
from sklearn.preprocessing import StandardScaler

from benchmarks._common import arguments, flat, report

Rows = NDArray[Any]

# These take too long of more rows.
SLOW, MOST = ("spectral clustering", "Gaussian mixture"), 5000


def accuracy(classes: Rows, clusters: Rows) -> float:
    """Return the share of rows in the class that their cluster is matched with, one to one."""
    counts = np.zeros((classes.max() + 1, clusters.max() + 1))
    np.add.at(counts, (classes, clusters), 1)
    return float(counts[linear_sum_assignment(-counts)].sum() / len(classes))


def attar(X: Rows, k: int | Literal["auto"], seed: int, recipe: str) -> Rows:
    """Return attar's clusters."""
    import attar

    labels: Rows = attar.Clusterer(k, recipe, random_state=seed).fit_predict(X)
    return labels


def umap(X: Rows, k: int, seed: int) -> Rows:
    """Return a Gaussian mixture of a UMAP of 20 neighbours, as of N2D."""
    from umap import UMAP

    points = UMAP(n_components=k, n_neighbors=20, min_dist=0.0, random_state=seed)
    mixture = GaussianMixture(k, n_init=5, random_state=seed)
    found: Rows = mixture.fit_predict(points.fit_transform(X))
    return found


PEERS: dict[str, Callable[[Rows, int, int], Rows]] = {
    "k-means": lambda X, k, seed: KMeans(k, n_init=10, random_state=seed).fit_predict(X),
    "k-means of PCA": lambda X, k, seed: KMeans(k, n_init=10, random_state=seed).fit_predict(
        PCA(0.85, svd_solver="full").fit_transform(X)
    ),
    "Gaussian mixture": lambda X, k, seed: GaussianMixture(
        k, n_init=3, reg_covar=1e-3, random_state=seed
    ).fit_predict(X),
    "spectral clustering": lambda X, k, seed: SpectralClustering(
        k, affinity="nearest_neighbors", random_state=seed
    ).fit_predict(X),
    **({"UMAP + mixture": umap} if find_spec("umap") else {}),
}


def tables() -> dict[str, tuple[Rows, Rows]]:
    """Return standardized rows of numbers, and classes."""
    found = {
        "digits": load_digits(return_X_y=True),
        "wine": load_wine(return_X_y=True),
        "iris": load_iris(return_X_y=True),
        "breast cancer": load_breast_cancer(return_X_y=True),
    }
    return {name: (StandardScaler().fit_transform(X), y) for name, (X, y) in found.items()}


def pictures(number: int) -> tuple[Rows, Rows]:
    """Return the first training images of MNIST, and their digits."""
    from attar.data.source import read

    source = read("mnist/train")
    return np.asarray(source.data)[:number], np.asarray(source.labels)[:number].astype(int)


def measured(
    name: str, find: Callable[[int], Rows], classes: Rows, seeds: int
) -> dict[str, float | str | list[float]]:
    """Return the mean accuracy of seeds and its spread, the adjusted Rand index, and the time."""
    started = time.perf_counter()
    found = [np.asarray(find(seed)).astype(int) for seed in range(seeds)]
    seconds = (time.perf_counter() - started) / seeds
    right = [accuracy(classes, labels) for labels in found]
    rand = float(np.mean([adjusted_rand_score(classes, labels) for labels in found]))
    figures = {"accuracy": float(np.mean(right)), "spread": [min(right), max(right)]}
    return {"method": name, **figures, "rand": rand, "seconds": seconds}


def compared(
    X: Rows, own: Rows, classes: Rows, recipe: str, seeds: int
) -> list[dict[str, float | str | list[float]]]:
    """Return the figures of attar on its own form of the data, and of the others on rows."""
    k = len(np.unique(classes))
    rows = [
        measured("attar", partial(attar, own, k, recipe=recipe), classes, seeds),
        measured("attar, auto", partial(attar, own, "auto", recipe=recipe), classes, seeds),
    ]
    for name, peer in PEERS.items():
        if len(X) <= MOST or name not in SLOW:
            rows.append(measured(name, partial(peer, X, k), classes, seeds))
    return rows


def main() -> None:
    options = arguments(__doc__, seeds=3, pictures=0, recipe="auto")
    table: list[dict[str, Any]] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, (X, classes) in tables().items():
            rows = compared(X, X, classes, "auto", options.seeds)
            table += [{"data": name, **row} for row in rows]
        if options.pictures:
            images, classes = pictures(options.pictures)
            rows = compared(flat(images), images, classes, options.recipe, options.seeds)
            table += [{"data": f"MNIST, {len(images):,}", **row} for row in rows]
    report({"clusters": table}, table, options.json, "scikit-learn")


if __name__ == "__main__":
    main()
