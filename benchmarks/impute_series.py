"""Filled gaps of series, beside what else fills them: errors of hidden cells, and time.

Of ETTh1 (7 channels, hourly) and the temperature of a machine (NAB, one channel, every five
minutes), a fifth of all cells is hidden in runs of 1, 6, 24 and 96 steps: in each channel by
itself, or in all at the same time. Errors are root mean squared, in standard deviations of a
channel, and their mean over channels. What attar says to be 90% intervals should hold 90%.
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

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

SOURCES = {
    "ETTh1": ("series/ETTh1.csv", "date"),
    "machine": ("nab/machine_temperature_system_failure.csv", "timestamp"),
}


def series(name: str, steps: int) -> tuple[pd.DataFrame, str]:
    """Return the first steps of a series, and its column of times."""
    folder = data_folder()
    assert folder is not None, "Set ATTAR_DATA to the folder of data."
    path, when = SOURCES[name]
    table = pd.read_csv(folder / path, parse_dates=[when]).head(steps)
    return table.drop(columns=["label", "is_anomaly"], errors="ignore"), when


def hidden(shape: tuple[int, int], length: int, together: bool, seed: int) -> Mask:
    """Return a fifth of all cells in runs: of each channel, or of all together."""
    rng, mask = np.random.default_rng(seed), np.zeros(shape, bool)
    for channel in range(1 if together else shape[1]):
        own = slice(None) if together else slice(channel, channel + 1)
        while mask[:, channel].mean() < 0.2:
            start = rng.integers(0, shape[0] - length + 1)
            mask[start : start + length, own] = True
    return mask


def attar(holes: pd.DataFrame, when: str) -> tuple[Array, Any]:
    """Return what attar fills, and the imputer."""
    import attar

    data = attar.Series(holes, time=when)
    imputer = attar.Imputer(random_state=0).fit(data)
    return imputer.transform(data).drop(columns=when).to_numpy(np.float64), imputer


def by_channel(fill: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[..., Any]:
    """Return a filler of tables with times, from one of channels."""

    def filled(holes: pd.DataFrame, when: str) -> tuple[Array, None]:
        return fill(holes.set_index(when)).to_numpy(np.float64), None

    return filled


@by_channel
def lines(table: pd.DataFrame) -> pd.DataFrame:
    """Draw straight lines."""
    return table.interpolate(limit_direction="both")


@by_channel
def last(table: pd.DataFrame) -> pd.DataFrame:
    """Repeat the last known value."""
    return table.ffill().bfill()


@by_channel
def seasonal(table: pd.DataFrame) -> pd.DataFrame:
    """Take the mean at the same time of the day."""
    index = pd.DatetimeIndex(table.index)
    return table.fillna(table.groupby(index.hour * 60 + index.minute).transform("mean"))


@by_channel
def kalman(table: pd.DataFrame) -> pd.DataFrame:
    """Smooth a local level by a Kalman filter (statsmodels)."""
    from statsmodels.tsa.statespace.structural import UnobservedComponents

    found = table.copy()
    for name, column in table.items():
        scaled = (column.to_numpy() - column.mean()) / column.std()
        fitted = UnobservedComponents(scaled, "local level").fit(disp=False, maxiter=50)
        smooth = fitted.smoothed_state[0] * column.std() + column.mean()
        found[name] = column.fillna(pd.Series(smooth, table.index))
    return found


def around(steps: int, imputer: Callable[[], Any]) -> Callable[..., Any]:
    """Return an imputer of scikit-learn's on rows of windows: a step, and so many on both sides."""

    @by_channel
    def filled(table: pd.DataFrame) -> pd.DataFrame:
        from sklearn.preprocessing import StandardScaler

        scaler = StandardScaler().fit(table)
        rows = pd.DataFrame(scaler.transform(table))
        both = [rows.shift(shift) for shift in range(-steps, steps + 1)]
        windows = pd.concat(both, axis=1).to_numpy()
        whole = imputer().fit_transform(windows)
        own = whole[:, steps * rows.shape[1] : (steps + 1) * rows.shape[1]]
        return table.fillna(pd.DataFrame(scaler.inverse_transform(own), table.index, table.columns))

    return filled


def ridge() -> Any:
    """Return scikit-learn's IterativeImputer."""
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer

    return IterativeImputer(random_state=0, max_iter=5, keep_empty_features=True)


def neighbours() -> Any:
    """Return scikit-learn's KNNImputer."""
    from sklearn.impute import KNNImputer

    return KNNImputer(weights="distance", keep_empty_features=True)


CONTENDERS: dict[str, Callable[..., tuple[Array, Any]]] = {
    "attar": attar,
    "lines": lines,
    "last value": last,
    "seasonal mean": seasonal,
    "Kalman, local level": kalman,
    "IterativeImputer": around(2, ridge),
    "KNNImputer": around(2, neighbours),
}


def coverage(imputer: Any, holes: pd.DataFrame, truth: pd.DataFrame, when: str) -> float:
    """Return how many hidden cells are in their interval of 90%."""
    import attar

    found = imputer.uncertainty(attar.Series(holes, time=when))
    value = truth.to_numpy()[found["row"], truth.columns.get_indexer(found["column"])]
    inside = (found["low"] <= value.astype(float)) & (value.astype(float) <= found["high"])
    return float(inside.mean())


def main() -> None:
    """Print errors and seconds of each contender."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", nargs="+", default=list(SOURCES))
    parser.add_argument("--runs", nargs="+", type=int, default=[1, 6, 24, 96])
    parser.add_argument("--steps", type=int, default=4380)
    parser.add_argument("--only", nargs="+", default=list(CONTENDERS))
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    for name in given.data:
        truth, when = series(name, given.steps)
        values = truth.drop(columns=when).to_numpy(np.float64)
        for length in given.runs:
            for together in (False, True)[: values.shape[1]]:
                mask = hidden(values.shape, length, together, 0)
                holes = truth.copy()
                holes[truth.columns.drop(when)] = np.where(mask, np.nan, values)
                for contender in given.only:
                    started = time.perf_counter()
                    try:
                        filled, imputer = CONTENDERS[contender](holes, when)
                    except Exception as error:  # a peer's: told, and the others go on
                        print(f"{name} {length} {contender}: {error!r:.80}")
                        continue
                    seconds = time.perf_counter() - started
                    squares = np.where(mask, ((filled - values) / values.std(0)) ** 2, np.nan)
                    error = float(np.sqrt(np.nanmean(squares, 0)).mean())
                    inside = ""
                    if imputer is not None:
                        inside = f"  coverage {coverage(imputer, holes, truth, when):.3f}"
                    how = "all" if together else "each"
                    print(
                        f"{name} runs of {length:2} in {how:4}  {contender:20}  RMSE {error:.4f}"
                        f"{inside}  {seconds:.0f} s",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
