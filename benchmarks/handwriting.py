"""Handwriting from codes: one fit without labels, and what its codes recognize.

``attar`` fits recipe ``features`` to the training images, 64 numbers each, for ``--minutes`` at
most; ``pca`` is 64 principal components. Of each, on test images:

- ``linear``: accuracy of multinomial logistic regression of standardized codes, all labels.
- ``neighbours``: accuracy of the 5 nearest neighbours, all labels.
- ``clusters``: clustering accuracy, each of 10 clusters being matched to a class. attar's are of
  ``Clusterer``, the peers' of k-means and of a Gaussian mixture.
- ``100``, ``1000``: accuracy with as many labels, equally many of each class, the mean and the
  standard deviation over ``--draws`` draws. attar's are of ``Classifier``; the peers' are logistic
  regression, and label spreading on components, from labelled and 10,000 other images.

No choice looks at test images. ``--model`` is a fitted model, in place of a fit. ``--folder`` is
another folder of IDX files, such as that of Fashion-MNIST.
"""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import LabelSpreading

from attar import Autoencoder, Classifier, Clusterer, load
from benchmarks._common import Rows, arguments, data_folder, flat, report

CODE_SIZE, CLASSES, OTHERS = 64, 10, 10_000
FEW = (100, 1000)

# From training images and labels, -1 where they are unknown, and test images, to test labels.
Recognizer = Callable[[Rows, Rows, Rows], Rows]


def idx(folder: Path, name: str) -> Rows:
    """Return the array of an IDX file, compressed or not."""
    (path,) = folder.glob(f"{name}-idx*")
    data = path.read_bytes()
    data = gzip.decompress(data) if path.suffix == ".gz" else data
    shape = np.frombuffer(data, ">u4", data[3], 4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * data[3]).reshape(shape)


def draws(labels: Rows, count: int, seeds: int) -> Iterator[Rows]:
    """Yield labels of which so many are known, equally many of each class; -1 elsewhere."""
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        few = np.full(len(labels), -1)
        for label in np.unique(labels):
            known = rng.choice(np.flatnonzero(labels == label), count // CLASSES, replace=False)
            few[known] = label
        yield few


def clustering_accuracy(clusters: Rows, labels: Rows) -> float:
    """Return the accuracy of the best matching of clusters to classes."""
    table = np.zeros((max(clusters.max(), labels.max()) + 1,) * 2)
    np.add.at(table, (clusters, labels), 1)
    return float(table[linear_sum_assignment(-table)].sum() / len(labels))


def probes(train: Rows, labels: Rows, test: Rows, test_labels: Rows) -> dict[str, float]:
    """Return the accuracies of classifiers of codes that have all labels."""
    linear = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    neighbours = KNeighborsClassifier(5, algorithm="brute")
    return {
        "linear": linear.fit(train, labels).score(test, test_labels),
        "neighbours": neighbours.fit(train, labels).score(test, test_labels),
    }


def with_few(
    recognize: Recognizer, train: Rows, labels: Rows, test: Rows, test_labels: Rows, seeds: int
) -> dict[str, float]:
    """Return mean and standard deviation of accuracies with few labels."""
    found: dict[str, float] = {}
    for count in FEW:
        scores = [
            np.mean(recognize(train, few, test) == test_labels)
            for few in draws(labels, count, seeds)
        ]
        found |= {str(count): float(np.mean(scores)), f"{count}_sd": float(np.std(scores))}
    return found


def regression(train: Rows, few: Rows, test: Rows) -> Rows:
    """Return test labels by logistic regression of labelled rows alone."""
    linear = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    return np.asarray(linear.fit(train[few >= 0], few[few >= 0]).predict(test))


def spreading(train: Rows, few: Rows, test: Rows) -> Rows:
    """Return test labels by label spreading over labelled rows and some others."""
    others = np.random.default_rng(0).choice(np.flatnonzero(few < 0), OTHERS, replace=False)
    rows = np.concatenate([np.flatnonzero(few >= 0), others])
    spread = LabelSpreading("knn", n_neighbors=10, alpha=0.99, max_iter=100)
    return np.asarray(spread.fit(train[rows], few[rows]).predict(test))


def main() -> None:
    options = arguments(__doc__, folder="mnist", minutes=20.0, seed=0, draws=5, model="")
    folder = Path(options.folder)
    if not folder.is_dir():
        folder = (data_folder() or Path()) / options.folder
    images, unseen = idx(folder, "train-images"), idx(folder, "t10k-images")
    labels, truth = (idx(folder, f"{part}-labels").astype(int) for part in ("train", "t10k"))

    start = time.perf_counter()
    settings = {"max_minutes": options.minutes, "random_state": options.seed}
    ae = Autoencoder("features", CODE_SIZE, **settings)
    ae = load(options.model) if options.model else ae.fit(images)
    seconds = time.perf_counter() - start
    clusterer = Clusterer(CLASSES, autoencoder=ae, random_state=options.seed).fit(images)

    def classify(train: Rows, few: Rows, test: Rows) -> Rows:
        classifier = Classifier(autoencoder=ae, random_state=options.seed)
        return classifier.fit(train, few).predict(test)

    ours = {
        "seconds": seconds,
        **probes(ae.transform(images), labels, ae.transform(unseen), truth),
        "clusters": clustering_accuracy(clusterer.predict(unseen), truth),
        **with_few(classify, images, labels, unseen, truth, options.draws),
    }
    start = time.perf_counter()
    pca = PCA(CODE_SIZE, random_state=options.seed).fit(flat(images))
    seconds = time.perf_counter() - start
    train, test = (pca.transform(flat(rows)) for rows in (images, unseen))
    means = KMeans(CLASSES, n_init=3, random_state=options.seed).fit(train)
    mixture = GaussianMixture(CLASSES, random_state=options.seed).fit(train)
    components = {
        "seconds": seconds,
        **probes(train, labels, test, truth),
        "clusters": clustering_accuracy(means.predict(test), truth),
    }
    peers = {
        "pca, k-means, regression": {
            **components,
            **with_few(regression, train, labels, test, truth, options.draws),
        },
        "pca, mixture, spreading": {
            **components,
            "clusters": clustering_accuracy(mixture.predict(test), truth),
            **with_few(spreading, train, labels, test, truth, options.draws),
        },
    }
    table = [{"": name, **figures} for name, figures in {"attar": ours, **peers}.items()]
    report({"attar": ours, **peers}, table, options.json, "scikit-learn")


if __name__ == "__main__":
    main()
