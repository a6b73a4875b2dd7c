"""Odd moments: attar's AnomalyDetector beside others, on real series of the Numenta benchmark.

Each learns the first 15% of a series without labels, and scores the other steps, whose anomalies
are intervals. VUS-PR and the area under precision and recall (AUPR) of steps, never adjusted to
intervals; seconds of processor time.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score

from benchmarks._common import Rows, arguments, in_fresh_process, machine, show
from benchmarks._vus import period, vus_pr
from benchmarks.contenders.moments import CONTENDERS, FIXED
from benchmarks.defaults import folder

LEARNT = 0.15

Run = dict[str, Any]


def odd_steps(name: str, frame: pd.DataFrame) -> Rows:
    """Return which steps of a series are within an anomaly."""
    intervals = json.loads((folder() / "nab" / "windows.json").read_text("utf-8"))[name]
    times = pd.to_datetime(frame["timestamp"])
    odd = np.zeros(len(frame), bool)
    for start, end in intervals:
        odd |= times.between(pd.Timestamp(start), pd.Timestamp(end)).to_numpy()
    return odd


def run_of(contender: str, seeds: int) -> list[Run]:
    """Return the runs of a contender on all series, each printed as soon as it ends."""
    warnings.simplefilter("ignore")
    runs = []
    for path in sorted((folder() / "nab").glob("*.csv")):
        frame = pd.read_csv(path)
        learnt, odd = int(LEARNT * len(frame)), odd_steps(path.name, frame)
        if not odd[learnt:].any():
            continue
        longest = period(frame["value"].to_numpy(float))
        for seed in range(1 if contender in FIXED else seeds):
            start = time.process_time()
            scores = CONTENDERS[contender](frame, learnt, seed)
            seconds = time.process_time() - start
            found = {
                "vus_pr": vus_pr(odd[learnt:], scores, longest),
                "aupr": float(average_precision_score(odd[learnt:], scores)),
            }
            run = {"contender": contender, "series": path.stem[:28], "seed": seed, **found}
            runs.append(run | {"seconds": seconds})
            print(json.dumps(runs[-1]), file=sys.stderr, flush=True)
    return runs


def main() -> None:
    options = arguments(__doc__, seeds=3, contenders=",".join(CONTENDERS))
    runs: list[Run] = []
    for contender in options.contenders.split(","):
        runs += in_fresh_process(run_of, contender, options.seeds)
    frame = pd.DataFrame(runs)
    names = list(dict.fromkeys(frame["contender"]))
    each = frame.pivot_table("vus_pr", "series", "contender")[names]
    means = frame.groupby(["contender", "seed"])[["vus_pr", "aupr", "seconds"]]
    means = means.agg({"vus_pr": "mean", "aupr": "mean", "seconds": "sum"})
    summary = means.groupby("contender").mean().loc[names].reset_index()
    summary["won"] = each.ge(each.max(axis=1), axis=0).sum().to_numpy()
    summary["of"] = len(each)
    summary["seeds"] = frame.groupby("contender")["seed"].nunique().loc[names].to_numpy()
    if not options.json:
        for title, table in {"VUS-PR": each.reset_index(), "all": summary}.items():
            print(f"\n{title}")
            show(table)
    result = {"series": each.reset_index().to_dict("records"), "all": summary.to_dict("records")}
    print(json.dumps({**result, "machine": machine("pyod", "stumpy", "scikit-learn")}))


if __name__ == "__main__":
    main()
