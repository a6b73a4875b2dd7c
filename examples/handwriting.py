"""Read handwriting with few labels: codes of all images, learned without any; then a label a few.

``python examples/handwriting.py mnist`` takes 5 minutes of two cores; ``--quick`` less of smaller
digits, which are part of scikit-learn.
"""

import sys
from pathlib import Path

import matplotlib
import numpy as np

import attar
from attar.data import datasets

matplotlib.use("Agg")


def few(labels: np.ndarray, each: int, seed: int = 0) -> np.ndarray:
    """Return labels of which so many of each class are known; -1 elsewhere."""
    rng, known = np.random.default_rng(seed), np.full(len(labels), -1)
    for label in np.unique(labels):
        rows = rng.choice(np.flatnonzero(labels == label), each, replace=False)
        known[rows] = label
    return known


def draw(images: np.ndarray, clusters: np.ndarray, path: str | Path) -> None:
    """Draw the mean and some images of each cluster, a row each."""
    from matplotlib import pyplot as plt

    found = np.unique(clusters)
    figure, axes = plt.subplots(len(found), 13, figsize=(9, 0.7 * len(found)), squeeze=False)
    for line, cluster in zip(axes, found, strict=True):
        members = images[clusters == cluster]
        shown = [members.mean(0), *members[:12]]
        for axis, image in zip(line, shown, strict=False):
            axis.imshow(image, cmap="gray")
        for axis in line:
            axis.set_axis_off()
    figure.suptitle("The mean of each cluster, and images in it")
    figure.savefig(path, dpi=80, bbox_inches="tight")
    plt.close(figure)


def main(
    data: str = "digits", minutes: float = 4.0, each: int = 10, picture: str | Path = "clusters.png"
) -> dict[str, float]:
    """Return the accuracy of test images with few labels, and how pure clusters without any are."""
    (train, labels), (test, truth) = (datasets.load(data, part) for part in ("train", "test"))
    ae = attar.Autoencoder("features", max_minutes=minutes, random_state=0).fit(train)
    classifier = attar.Classifier(autoencoder=ae, random_state=0).fit(train, few(labels, each))
    accuracy = classifier.score(test, truth)
    clusters = attar.Clusterer(10, autoencoder=ae, random_state=0).fit(train).predict(test)
    most = [np.unique(truth[clusters == one], return_counts=True)[1].max() for one in set(clusters)]
    purity = float(sum(most) / len(truth))
    print(f"{accuracy:.1%} of test images are read with {each} labels of each digit")
    print(f"{purity:.1%} are in a cluster, found without labels, that is mostly of their digit")
    draw(test, clusters, picture)
    return {"accuracy": float(accuracy), "purity": purity}


if __name__ == "__main__":
    names = [argument for argument in sys.argv[1:] if argument != "--quick"]
    main(*names, minutes=0.2 if "--quick" in sys.argv else 4.0)
