"""A million rows of 40 floats to a network's input: attar against scaling alone.

The peer is scikit-learn's StandardScaler, fitted and applied, and a copy of the data. attar does
more: it determines the kind of data, finds missing and infinite values, draws a sample, and
converts to single precision. Each runs in a fresh process with everything loaded.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pandas as pd
from sklearn.preprocessing import StandardScaler

from benchmarks._common import arguments, in_fresh_process, middle, report, spread

COLUMNS = 40
GOAL = 2.0


def data(form: str, rows: int) -> Any:
    """Return columns of different means and deviations, as an array or a frame."""
    generator = np.random.default_rng(0)
    array = generator.standard_normal((rows, COLUMNS))
    array *= generator.uniform(0.1, 10, COLUMNS)
    array += generator.uniform(-10, 10, COLUMNS)
    return array if form == "array" else pd.DataFrame(array).rename(columns="x{}".format)


def attar_seconds(form: str, rows: int) -> dict[str, float]:
    """Return attar's seconds, step by step."""
    from attar.data.kinds import kind_of, preparation
    from attar.data.stream import pieces

    X = data(form, rows)
    clock = Clock()
    kind, summary = kind_of(X).of(pieces(X))
    clock.stamp("of")
    raw = kind.rows(X)
    clock.stamp("rows")
    fitted = preparation(kind, kind.scaling(summary), summary)
    clock.stamp("fit")
    fitted.scaled(raw)
    clock.stamp("scaled")
    return clock.seconds()


def peer_seconds(form: str, rows: int) -> dict[str, float]:
    """Return scikit-learn's seconds, step by step."""
    X = data(form, rows)
    clock = Clock()
    scaler = StandardScaler().fit(X)
    clock.stamp("fit")
    scaler.transform(X)
    clock.stamp("scaled")
    X.copy()
    clock.stamp("copy")
    return clock.seconds()


class Clock:
    """The seconds of each step."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.stamps = [time.perf_counter()]

    def stamp(self, name: str) -> None:
        """Record the end of a step."""
        self.names.append(name)
        self.stamps.append(time.perf_counter())

    def seconds(self) -> dict[str, float]:
        """Return the seconds of each step, and their sum."""
        steps = dict(zip(self.names, np.diff(self.stamps).tolist(), strict=True))
        return {"seconds": sum(steps.values()), **steps}


def main() -> None:
    options = arguments(__doc__, rows=1_000_000, repeats=3)
    contenders = {"attar": attar_seconds, "scikit-learn": peer_seconds}
    result: dict[str, Any] = {"rows": options.rows, "goal": GOAL}
    table = []
    for form in ("array", "frame"):
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in contenders}
        for _ in range(options.repeats):
            for name, contender in contenders.items():
                runs[name].append(in_fresh_process(contender, form, options.rows))
        medians = {name: {key: middle(r, key) for key in r[0]} for name, r in runs.items()}
        ratio = medians["attar"]["seconds"] / medians["scikit-learn"]["seconds"]
        spreads = {name: spread(done, "seconds") for name, done in runs.items()}
        result[form] = {**medians, "ratio": ratio, "spread": spreads}
        table += [
            {"": form, "contender": "attar", **medians["attar"], "ratio": ratio},
            {"": form, "contender": "scikit-learn", **medians["scikit-learn"]},
        ]
    report(result, table, options.json, "scikit-learn")


if __name__ == "__main__":
    main()
