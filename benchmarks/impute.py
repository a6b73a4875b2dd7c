"""Filled gaps of letter and adult, beside what else fills them: errors of hidden cells, and time.

Of letter (20,000 x 16, scaled to 0..1) the root mean squared error, as in GAIN's protocol; of adult
(30,162 mixed rows) the mean over numbers, in standard deviations, and the mean accuracy of levels.
Cells are hidden at random (MCAR), as a complete column says (MAR), or the larger the value is
(MNAR). What attar says to be 90% intervals should hold 90% of the hidden numbers.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks._common import data_folder

Rows = NDArray[Any]
Mask = NDArray[np.bool_]


def hidden(values: Rows, how: str, share: float, seed: int) -> Mask:
    """Return which cells to hide: by chance, by the first column, or by their own value."""
    rng = np.random.default_rng(seed)
    ranks = pd.DataFrame(values).rank(pct=True).to_numpy()
    if how == "MCAR":
        return rng.random(values.shape) < share
    chance = 2 * share * (ranks[:, :1] if how == "MAR" else ranks)
    mask: Mask = rng.random(values.shape) < chance
    mask[:, 0] &= how != "MAR"
    return mask


def attar(holes: pd.DataFrame, seed: int) -> tuple[pd.DataFrame, Any]:
    """Return what attar fills, and the imputer."""
    import attar

    imputer = attar.Imputer(random_state=seed).fit(holes)
    return imputer.transform(holes), imputer


def coded(fill: Callable[[Rows, list[int], int], Rows]) -> Callable[..., Any]:
    """Return a filler of frames, from one of numbers in which levels are codes."""

    def filled(holes: pd.DataFrame, seed: int) -> tuple[pd.DataFrame, None]:
        levels = {
            name: pd.Categorical(holes[name])
            for name in holes
            if holes[name].dtype.kind not in "iuf"
        }
        codes = {
            name: pd.Series(level.codes).where(level.codes >= 0) for name, level in levels.items()
        }
        numbers = holes.assign(**{n: c.to_numpy() for n, c in codes.items()}).to_numpy(np.float64)
        places = [i for i, name in enumerate(holes) if name in levels]
        found = pd.DataFrame(fill(numbers, places, seed), columns=holes.columns)
        for name, level in levels.items():
            code = found[name].round().clip(0, len(level.categories) - 1).astype(int)
            found[name] = level.categories[code]
        return found, None

    return filled


@coded
def mean(rows: Rows, places: list[int], seed: int) -> Rows:
    """Means, and the most frequent level."""
    filled = np.where(np.isnan(rows), np.nanmean(rows, 0), rows)
    for i in places:
        filled[np.isnan(rows[:, i]), i] = pd.Series(rows[:, i]).mode()[0]
    return filled


@coded
def ridge(rows: Rows, places: list[int], seed: int) -> Rows:
    """scikit-learn's IterativeImputer."""
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer

    found: Rows = IterativeImputer(random_state=seed).fit_transform(rows)
    return found


@coded
def neighbours(rows: Rows, places: list[int], seed: int) -> Rows:
    """scikit-learn's KNNImputer, with 4,000 rows to look in, as more take hours."""
    from sklearn.impute import KNNImputer
    from sklearn.preprocessing import MinMaxScaler

    scaler = MinMaxScaler().fit(rows)
    scaled = scaler.transform(rows)
    some = np.random.default_rng(seed).permutation(len(rows))[:4000]
    knn = KNNImputer(weights="distance").fit(scaled[some])
    return np.asarray(scaler.inverse_transform(knn.transform(scaled)))


def by_column(regressor: Any, classifier: Any, rounds: int) -> Callable[..., Any]:
    """Return MissForest's loop: each column by a model of its own, again and again."""

    @coded
    def filled(rows: Rows, places: list[int], seed: int) -> Rows:
        missing = np.isnan(rows)
        found = np.where(missing, np.nanmedian(rows, 0), rows)
        for _ in range(rounds):
            for j in np.argsort(missing.sum(0)):
                if missing[:, j].any():
                    rest, gap = np.delete(found, j, 1), missing[:, j]
                    model = (classifier if j in places else regressor)(seed)
                    found[gap, j] = model.fit(rest[~gap], rows[~gap, j]).predict(rest[gap])
        return found

    return filled


def boosted(seed: int) -> Any:
    """Gradient boosting."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(random_state=seed)


def boosted_levels(seed: int) -> Any:
    """Gradient boosting of levels, in fewer rounds as each has a tree for every level."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(max_iter=30, early_stopping=False, random_state=seed)


def forest(seed: int) -> Any:
    """Extremely randomized trees."""
    from sklearn.ensemble import ExtraTreesRegressor

    return ExtraTreesRegressor(50, min_samples_leaf=2, random_state=seed)


def forest_levels(seed: int) -> Any:
    """Extremely randomized trees of levels."""
    from sklearn.ensemble import ExtraTreesClassifier

    return ExtraTreesClassifier(50, min_samples_leaf=2, random_state=seed)


def miceforest(holes: pd.DataFrame, seed: int) -> tuple[pd.DataFrame, None]:
    """Five rounds of LightGBM, whose predictions are filled in as they are."""
    import miceforest as mf

    typed = holes.apply(lambda c: c if c.dtype.kind in "iuf" else c.astype("category"))
    kernel = mf.ImputationKernel(typed, mean_match_candidates=0, random_state=seed)
    kernel.mice(5)
    return kernel.complete_data(0), None


CONTENDERS: dict[str, Callable[..., tuple[pd.DataFrame, Any]]] = {
    "attar": attar,
    "mean": mean,
    "IterativeImputer": ridge,
    "KNNImputer": neighbours,
    "boosted, 3 rounds": by_column(boosted, boosted_levels, 3),
    "MissForest, 3 rounds": by_column(forest, forest_levels, 3),
    "miceforest": miceforest,
}


def table(name: str) -> pd.DataFrame:
    """Return a data set; letter's columns scaled to 0..1."""
    folder = data_folder()
    assert folder is not None, "Set ATTAR_DATA to the folder of data."
    frame = pd.read_csv(folder / "tables" / f"{name}.csv")
    if name == "letter":
        frame = frame.select_dtypes("number").astype(float)
        frame = (frame - frame.min()) / (frame.max() - frame.min())
    return frame


def errors(truth: pd.DataFrame, filled: pd.DataFrame, mask: Mask, scaled: bool) -> dict[str, float]:
    """Return the error of numbers, and the accuracy of levels."""
    numeric = [name for name in truth if truth[name].dtype.kind in "iuf"]
    squares, accuracy = [], []
    for j, name in enumerate(truth):
        gap = mask[:, j]
        if name in numeric:
            error = filled[name].astype(float).to_numpy()[gap] - truth[name].to_numpy()[gap]
            squares.append(error / (1 if scaled else truth[name].std(ddof=0)))
        else:
            accuracy.append(
                (filled[name].astype(str).to_numpy() == truth[name].to_numpy())[gap].mean()
            )
    if scaled:
        return {"RMSE": float(np.sqrt((np.concatenate(squares) ** 2).mean()))}
    each = [np.sqrt((error**2).mean()) for error in squares]
    return {"RMSE": float(np.mean(each)), "accuracy": float(np.mean(accuracy))}


def coverage(imputer: Any, holes: pd.DataFrame, truth: pd.DataFrame) -> float:
    """Return how many hidden numbers are in their interval of 90%."""
    found = imputer.uncertainty(holes)
    found = found[found["column"].isin([n for n in truth if truth[n].dtype.kind in "iuf"])]
    places = truth.columns.get_indexer(found["column"])
    value = truth.to_numpy()[found["row"], places].astype(float)
    inside = (found["low"].astype(float) <= value + 1e-9) & (
        value <= found["high"].astype(float) + 1e-9
    )
    return float(inside.mean())


def main() -> None:
    """Print errors and seconds of each contender."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", nargs="+", default=["letter", "adult"])
    parser.add_argument("--masks", nargs="+", default=["MCAR .2", "MCAR .5", "MAR .2", "MNAR .2"])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", nargs="+", default=list(CONTENDERS))
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    for name in given.data:
        truth = table(name)
        codes = truth.apply(lambda c: c if c.dtype.kind in "iuf" else pd.factorize(c)[0]).to_numpy()
        for how, share in (mask.split() for mask in given.masks):
            for seed in range(given.seeds):
                mask = hidden(codes, how, float(share), seed)
                for contender in given.only:
                    started = time.perf_counter()
                    holes = truth.mask(mask)
                    try:
                        filled, imputer = CONTENDERS[contender](holes, seed)
                    except Exception as error:  # a peer's: told, and the others go on
                        print(f"{name} {how} {share} seed {seed} {contender}: {error!r:.80}")
                        continue
                    seconds = time.perf_counter() - started
                    found = errors(truth, filled, mask, name == "letter")
                    if imputer is not None:
                        found["coverage"] = coverage(imputer, holes, truth)
                    words = "  ".join(f"{key} {value:.4f}" for key, value in found.items())
                    place = f"{name} {how} {share} seed {seed}"
                    print(f"{place}  {contender:20}  {words}  {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
