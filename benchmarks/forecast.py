"""Forecasts: attar's Forecaster beside linear peers, on hours of electricity transformers.

12 months are the train part, 4 are for validation and 4 for the test; all channels, in units of the
train part. Mean squared and absolute errors over all origins of the test, at several horizons; and
the share of outcomes in 90% intervals, in all and in each quarter of the origins.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np
import pandas as pd

from benchmarks._common import Rows, arguments, in_fresh_process, machine, show
from benchmarks.contenders.futures import CONTENDERS, FIXED
from benchmarks.defaults import folder

MONTH = 30 * 24
SPLIT, END = (12 * MONTH, 16 * MONTH), 20 * MONTH

Run = dict[str, Any]


def data(file: str) -> Rows:
    """Return the hours (steps, channels) in units of the train part."""
    values = pd.read_csv(folder() / file).iloc[:END, 1:].to_numpy(float)
    train = values[: SPLIT[0]]
    return (values - train.mean(0)) / train.std(0)


def run_of(contender: str, file: str, horizon: int, seed: int) -> Run:
    """Return a run of a contender."""
    values = data(file)
    start = time.process_time()
    forecast, low, high = CONTENDERS[contender](values, SPLIT, horizon, seed)
    seconds = time.process_time() - start
    origins = np.arange(SPLIT[1], END - horizon + 1)
    actual = values[origins[:, None] + np.arange(horizon)]
    errors = actual - forecast
    run = {"contender": contender, "horizon": horizon, "seed": seed, "seconds": seconds}
    run |= {"mse": float((errors**2).mean()), "mae": float(np.abs(errors).mean())}
    if low is not None and high is not None:
        inside = (actual >= low) & (actual <= high)
        run |= {"coverage": float(inside.mean())}
        run["quarters"] = [round(float(part.mean()), 3) for part in np.array_split(inside, 4)]
    return run


def main() -> None:
    options = arguments(
        __doc__,
        seeds=3,
        contenders=";".join(CONTENDERS),
        horizons="96,192,336,720",
        file="series/ETTh1.csv",
    )
    runs: list[Run] = []
    for horizon in map(int, options.horizons.split(",")):
        for contender in options.contenders.split(";"):
            for seed in range(1 if contender in FIXED else options.seeds):
                runs.append(in_fresh_process(run_of, contender, options.file, horizon, seed))
                print(json.dumps(runs[-1]), file=sys.stderr, flush=True)
    frame = pd.DataFrame(runs)
    means = frame.groupby(["contender", "horizon"])["mse"].mean().unstack("horizon")
    names = list(dict.fromkeys(frame["contender"]))
    table = means.loc[names].reset_index()
    if not options.json:
        show(table)
        show(frame[frame["coverage"].notna()][["contender", "horizon", "coverage", "quarters"]])
    print(json.dumps({"runs": runs, "machine": machine("scikit-learn")}))


if __name__ == "__main__":
    main()
