"""Filled pixels of handwritten digits, beside what else fills them: errors of hidden pixels, time.

Of MNIST's test pictures, scaled to 0..1, a square of 10 x 10 pixels is hidden in each, or half of
all pixels by chance. Errors are root mean squared. What attar says to be 90% intervals should hold
90% of the hidden pixels.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks._common import data_folder

Pixels = NDArray[np.float32]
Mask = NDArray[np.bool_]

# Biharmonic functions are fitted to so many pictures, as they take long.
FEW = 200


def hidden(shape: tuple[int, int, int], how: str, seed: int) -> Mask:
    """Return which pixels to hide: a square of each picture, or half of them."""
    rng = np.random.default_rng(seed)
    if how == "half":
        half: Mask = rng.random(shape) < 0.5
        return half
    mask = np.zeros(shape, bool)
    for own, (top, left) in zip(mask, rng.integers(0, shape[1] - 9, (shape[0], 2)), strict=True):
        own[top : top + 10, left : left + 10] = True
    return mask


def attar(holes: Pixels) -> tuple[Pixels, Any]:
    """Return what attar fills, and the imputer."""
    import attar

    imputer = attar.Imputer(random_state=0).fit(holes)
    return imputer.transform(holes), imputer


def of_rows(fill: Callable[[Pixels], Pixels]) -> Callable[..., Any]:
    """Return a filler of pictures, from one of rows."""

    def filled(holes: Pixels) -> tuple[Pixels, None]:
        return fill(holes.reshape(len(holes), -1)).reshape(holes.shape).clip(0, 1), None

    return filled


@of_rows
def mean(rows: Pixels) -> Pixels:
    """Take the mean of each pixel."""
    return np.where(np.isnan(rows), np.nan_to_num(np.nanmean(rows, 0)), rows)


@of_rows
def components(rows: Pixels) -> Pixels:
    """Project on 50 principal components, again and again."""
    from sklearn.decomposition import PCA

    gap = np.isnan(rows)
    found = np.where(gap, np.nan_to_num(np.nanmean(rows, 0)), rows)
    for _ in range(15):
        pca = PCA(50, random_state=0, svd_solver="randomized").fit(found)
        found = np.where(gap, pca.inverse_transform(pca.transform(found)), rows)
    return found


@of_rows
def neighbours(rows: Pixels) -> Pixels:
    """Average 10 nearest neighbours (scikit-learn's KNNImputer)."""
    from sklearn.impute import KNNImputer

    imputer = KNNImputer(n_neighbors=10, weights="distance", keep_empty_features=True)
    return np.asarray(imputer.fit_transform(rows))


def biharmonic(holes: Pixels) -> tuple[Pixels, None]:
    """Fit biharmonic functions to a few pictures, each by itself (scikit-image)."""
    from skimage.restoration import inpaint_biharmonic

    found = [inpaint_biharmonic(np.nan_to_num(one), np.isnan(one)) for one in holes[:FEW]]
    return np.array(found, np.float32).clip(0, 1), None


CONTENDERS: dict[str, Callable[..., tuple[Pixels, Any]]] = {
    "attar": attar,
    "mean": mean,
    "components": components,
    "KNNImputer": neighbours,
    f"biharmonic, {FEW}": biharmonic,
}


def coverage(imputer: Any, holes: Pixels, truth: Pixels) -> float:
    """Return how many hidden pixels are in their interval of 90%."""
    found = imputer.uncertainty(holes)
    value = truth[np.isnan(holes)]
    low, high = (found[name].to_numpy(np.float64) for name in ("low", "high"))
    return float(((low <= value) & (value <= high)).mean())


def main() -> None:
    """Print errors and seconds of each contender."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--masks", nargs="+", default=["square", "half"])
    parser.add_argument("--pictures", type=int, default=10_000)
    parser.add_argument("--only", nargs="+", default=list(CONTENDERS))
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    from attar.data.files.arrays import read_idx

    folder = data_folder()
    assert folder is not None, "Set ATTAR_DATA to the folder of data."
    digits = read_idx(folder / "mnist" / "t10k-images-idx3-ubyte.gz")[: given.pictures]
    truth = (digits / 255).astype(np.float32)
    for how in given.masks:
        mask = hidden(truth.shape, how, 0)
        holes = np.where(mask, np.float32(np.nan), truth)
        for contender in given.only:
            started = time.perf_counter()
            filled, imputer = CONTENDERS[contender](holes)
            seconds = time.perf_counter() - started
            some = slice(0, len(filled))
            error = float(np.sqrt(((filled - truth[some]) ** 2)[mask[some]].mean()))
            inside = "" if imputer is None else f"  coverage {coverage(imputer, holes, truth):.3f}"
            print(f"{how:6}  {contender:20}  RMSE {error:.4f}{inside}  {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
