"""Find where pictures are odd: a detector that saw one digit, and maps of what was spoilt since."""

from pathlib import Path

import matplotlib
import numpy as np
from sklearn.metrics import roc_auc_score

import attar
from attar.data import datasets

matplotlib.use("Agg")


def spoilt(images: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return images with a square filled or erased in each, and the masks of these squares."""
    rng, found, masks = np.random.default_rng(seed), images.copy(), np.zeros(images.shape, bool)
    side = images.shape[1] // 4
    for i, image in enumerate(found):
        strokes = np.argwhere(image > images.max() / 2)
        middle = strokes[rng.integers(len(strokes))] if i % 2 else rng.integers(image.shape)
        y, x = np.clip(middle - side // 2, 0, np.array(image.shape) - side)
        masks[i, y : y + side, x : x + side] = True
        image[masks[i]] = images.min() if i % 2 else images.max()
    return found, masks


def draw(rows: list[tuple[str, np.ndarray]], path: str | Path) -> None:
    """Draw rows of pictures (n, height, width), each with a title."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(
        len(rows), len(rows[0][1]), figsize=(11, 3.6), gridspec_kw={"wspace": 0.06, "hspace": 0.06}
    )
    for line, (title, pictures) in zip(axes, rows, strict=True):
        line[0].set_ylabel(title)
        for axis, picture in zip(line, pictures, strict=True):
            axis.imshow(picture, cmap="Reds" if title == "map" else "gray", vmin=0)
            axis.set(xticks=[], yticks=[])
    figure.savefig(path, dpi=80, bbox_inches="tight")
    plt.close(figure)


def main(
    data: str = "digits", digit: int = 3, picture: str | Path = "odd_pictures.png"
) -> dict[str, float]:
    """Fit to a digit, and return how well maps find what was spoilt in others."""
    train, labels = datasets.load(data, "train")
    test, of_test = datasets.load(data, "test")
    detector = attar.AnomalyDetector(false_alarms=0.05, random_state=0)
    detector.fit(train[labels == digit][:1000])
    images, masks = spoilt(test[of_test == digit][:100])

    maps = detector.anomaly_maps(images)
    highest = maps.nats.reshape(len(images), -1).argmax(1)
    within = masks.reshape(len(images), -1)[np.arange(len(images)), highest].mean()
    pairs = zip(masks, maps.nats, strict=True)
    auc = float(np.mean([roc_auc_score(mask.ravel(), nats.ravel()) for mask, nats in pairs]))
    print(f"the map's maximum is in the spoilt square: {within:.0%}; AUC of its pixels: {auc:.3f}")
    print(detector.explain(images[:4], most=1).round(1).to_string(index=False))

    shown = slice(0, 10)
    rows = [("image", images), ("expected", maps.expected), ("map", maps.nats)]
    draw([(title, pictures[shown]) for title, pictures in rows], picture)
    return {"within": float(within), "auc": auc}


if __name__ == "__main__":
    main()
