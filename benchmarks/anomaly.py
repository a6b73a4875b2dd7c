"""Odd rows and odd pictures: attar's AnomalyDetector beside PyOD's detectors, and false alarms.

- ``tables``: those of ADBench, at most ``--rows`` rows each, with odd and other rows in proportion
  (of the odd ones at least 10). ``contaminated``: 70% of all rows to train, odd ones too, the
  others to test. ``clean``: half of the normal rows to train, all others to test. A contender that
  fails on a table, or whose scores are NaN or all alike, is named with its error, and has no figure
  there; ``attar_auroc`` is attar's mean over the tables and seeds that the contender has. ``won``:
  tables where none is better, of means over seeds.
- ``pictures``: each digit of MNIST in turn, 1,000 training pictures of it, and all 10,000 test
  pictures, beside the error of principal components and the distance to neighbours of pixels.
- ``robustness``: 0, 2, 5, 10 and 20% odd rows among the training rows, of which at most 1,500 are
  normal, and always the same test rows; tables with too few odd rows are left out.
- ``alarms``: 1% asked for. Detectors fitted on 10,000 made rows, and the share of 100,000 fresh
  ones that they flag, a run for each seed; then 20 fitted on 500 rows each (20,000 fresh ones).
  ``kept`` is how often that share is within the 95% interval that the detector promised.

Seconds are those of the processors, of fit and scores; each contender runs in a fresh process. With
``--runs FILE``, runs are appended to a file of lines of JSON, and those it holds are not run again,
so that the benchmark can be run in pieces.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata
from sklearn.metrics import average_precision_score, roc_auc_score

from benchmarks._common import Rows, arguments, in_fresh_process, machine, show
from benchmarks.contenders.detectors import PYOD, neighbours, pca, scores
from benchmarks.defaults import folder

PROTOCOLS = ("contaminated", "clean")

# A sample of a table has so many odd rows at least, if it has them.
FEWEST_ODD = 10

# Percentages of odd rows, and the most normal rows, that robustness is measured with.
SHARES, NORMAL = (0, 2, 5, 10, 20), 1500
ROBUST = ("kNN5", "kNN50", "IForest")

# False alarms asked for, fresh rows for many and for few rows of the fit, and sets of few rows.
ASKED, FRESH, FEW_FRESH, SETS = 0.01, 100_000, 20_000, 20

# What pictures are compared with: flat pixels from 0 to 1.
PIXELS: dict[str, Callable[[Rows, Rows, int], Rows]] = {
    **{f"PCA{n}": lambda a, b, seed, n=n: pca(a, b, seed, n) for n in (20, 50, 100)},
    **{f"kNN{n}": lambda a, b, seed, n=n: neighbours(a, b, seed, n) for n in (1, 5)},
}

Run = dict[str, Any]


@dataclass(frozen=True)
class Task:
    """What a contender is run on: data of at most so many rows."""

    part: str
    data: str
    seed: int
    contender: str
    rows: int


def tables() -> dict[str, Path]:
    """Return the file of each table."""
    return {
        path.stem.split("_", 1)[1]: path for path in sorted((folder() / "adbench").glob("*.npz"))
    }


def sample(path: Path, most: int, seed: int) -> tuple[Rows, Rows]:
    """Return at most so many rows of a table, and which are odd, in proportion."""
    with np.load(path) as file:
        rows, odd = file["X"].astype(np.float64), file["y"].ravel().astype(bool)
    if len(rows) <= most:
        return rows, odd
    rng = np.random.default_rng(1000 + seed)
    a, b = np.flatnonzero(odd), np.flatnonzero(~odd)
    number = min(len(a), max(FEWEST_ODD, round(most * len(a) / len(odd))))
    kept = np.r_[rng.permutation(a)[:number], rng.permutation(b)[: most - number]]
    return rows[kept], odd[kept]


def parts(path: Path, protocol: str, most: int, seed: int) -> tuple[Rows, Rows, Rows]:
    """Return training rows, test rows, and which of these are odd."""
    rows, odd = sample(path, most, seed)
    rng = np.random.default_rng(seed)
    a, b = rng.permutation(np.flatnonzero(odd)), rng.permutation(np.flatnonzero(~odd))
    if protocol == "contaminated":
        i, j = round(0.7 * len(a)), round(0.7 * len(b))
        train, test = np.r_[a[:i], b[:j]], np.r_[a[i:], b[j:]]
    else:
        train, test = b[: len(b) // 2], np.r_[a, b[len(b) // 2 :]]
    return rows[rng.permutation(train)], rows[test], odd[test]


def with_odd(path: Path, percent: int, seed: int) -> tuple[Rows, Rows, Rows] | None:
    """Return training rows of which so many are odd, test rows, and which of these are odd."""
    rows, odd = sample(path, 4 * NORMAL, seed)
    rng = np.random.default_rng(seed)
    a, b = rng.permutation(np.flatnonzero(odd)), rng.permutation(np.flatnonzero(~odd))
    half = len(a) // 2
    number = min(NORMAL, len(b) // 2, half * (100 - SHARES[-1]) // SHARES[-1])
    if number < 100:
        return None
    train = np.r_[b[:number], a[: round(number * percent / (100 - percent))]]
    test = np.r_[a[half:], b[number:][:NORMAL]]
    return rows[rng.permutation(train)], rows[test], odd[test]


def measured(task: Task, run: Callable[[], Rows], odd: Rows) -> Run:
    """Return how well scores rank rows, or the error."""
    start = time.process_time()
    try:
        # Ranks, so that infinite scores count as such.
        found = rankdata(run())
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        return asdict(task) | {"failed": reason, "seconds": time.process_time() - start}
    seconds = time.process_time() - start
    auroc, aupr = roc_auc_score(odd, found), average_precision_score(odd, found)
    return asdict(task) | {"auroc": float(auroc), "aupr": float(aupr), "seconds": seconds}


def table_run(task: Task) -> Run:
    """Return the run of a contender on a table."""
    name, protocol = task.data.split("/")
    train, test, odd = parts(tables()[name], protocol, task.rows, task.seed)
    return measured(task, lambda: scores(task.contender, train, test, task.seed), odd)


def robust_run(task: Task) -> Run:
    """Return the run of a contender on a table with so many odd rows among the training rows."""
    name, percent = task.data.split("/")
    found = with_odd(tables()[name], int(percent), task.seed)
    if found is None:
        return asdict(task)
    train, test, odd = found
    return measured(task, lambda: scores(task.contender, train, test, task.seed), odd)


def picture_run(task: Task) -> Run:
    """Return the run of a contender on pictures of a digit."""
    from attar.data.source import read

    digit, (train, test) = int(task.data), (read(f"mnist/{part}") for part in ("train", "test"))
    rng = np.random.default_rng(task.seed + 10 * digit)
    of_digit = np.flatnonzero(train.labels == digit)
    images, others = train.data[rng.permutation(of_digit)[:1000]], test.data
    odd = test.labels != digit
    if task.contender == "attar":
        return measured(task, lambda: scores("attar", images, others, task.seed), odd)
    flat = [rows.reshape(len(rows), -1) / 255 for rows in (images, others)]
    return measured(task, lambda: PIXELS[task.contender](flat[0], flat[1], task.seed), odd)


def gaussian(rng: np.random.Generator, n: int) -> Rows:
    """Return eight numbers that go together."""
    mixed = np.random.default_rng(0).normal(size=(8, 8))
    return rng.normal(size=(n, 8)) @ mixed


def heavy(rng: np.random.Generator, n: int) -> Rows:
    """Return six numbers with heavy tails, and two skewed ones."""
    mixed = np.random.default_rng(1).normal(size=(6, 6))
    numbers = rng.standard_t(2.5, size=(n, 6)) @ mixed
    skewed = np.exp(1.5 * rng.normal(size=(n, 2)) + 0.1 * numbers[:, :2].clip(-9, 9))
    return np.concatenate([numbers, skewed], 1)


def mixed(rng: np.random.Generator, n: int) -> pd.DataFrame:
    """Return orders: numbers, counts, flags and categories, some cells of them missing."""
    shop = rng.choice(["web", "shop", "phone", "fax"], n, p=[0.6, 0.3, 0.095, 0.005])
    size = rng.normal(size=n) + (shop == "web")
    items = 1 + rng.poisson(np.exp(0.5 + 0.4 * size.clip(-3, 3)))
    price = np.exp(2 + 0.8 * size + 0.3 * rng.normal(size=n)).round(2)
    paid = np.where(rng.random(n) < 0.05, np.nan, price * items)
    country = rng.choice(["de", "fr", "it", "pl", "dk"], n, p=[0.5, 0.2, 0.15, 0.1, 0.05])
    columns = {"shop": shop, "items": items, "price": price, "paid": paid, "country": country}
    return pd.DataFrame(columns | {"gift": rng.random(n) < 0.2})


def clustered(rng: np.random.Generator, n: int) -> Rows:
    """Return six numbers in ten clusters of unlike sizes and widths."""
    fixed = np.random.default_rng(2)
    centres, widths = fixed.normal(0, 6, (10, 6)), fixed.uniform(0.2, 2, (10, 6))
    which = rng.choice(10, n, p=fixed.dirichlet(np.ones(10)))
    return centres[which] + widths[which] * rng.normal(size=(n, 6))


MADE: dict[str, Callable[[np.random.Generator, int], Any]] = {
    "gaussian": gaussian,
    "heavy": heavy,
    "mixed": mixed,
    "clustered": clustered,
}


def alarm_run(task: Task) -> Run:
    """Return the share of fresh rows that a detector flags, and the interval that it promised."""
    from attar import AnomalyDetector

    name, number = task.data.split("/")
    fresh = FRESH if int(number) > 500 else FEW_FRESH
    rng = np.random.default_rng(task.seed)
    train, test = MADE[name](rng, int(number)), MADE[name](rng, fresh)
    start = time.process_time()
    detector = AnomalyDetector(false_alarms=ASKED, random_state=task.seed).fit(train)
    share = float((detector.predict(test) < 0).mean())
    low, high = detector.alarm_interval_
    seconds = time.process_time() - start
    return asdict(task) | {"share": share, "low": low, "high": high, "seconds": seconds}


RUNS: dict[str, Callable[[Task], Run]] = {
    "tables": table_run,
    "pictures": picture_run,
    "robustness": robust_run,
    "alarms": alarm_run,
}


def run_all(tasks: list[Task], file: str) -> list[Run]:
    """Return the runs of one contender, each printed as soon as it ends."""
    warnings.simplefilter("ignore")
    if tasks[0].part == "tables":  # imports what is needed
        rng = np.random.default_rng(0)
        scores(tasks[0].contender, rng.normal(size=(300, 4)), rng.normal(size=(9, 4)), 0)
    found = []
    for task in tasks:
        run = RUNS[task.part](task)
        found.append(run)
        print(json.dumps(run), file=sys.stderr, flush=True)
        if file:
            with open(file, "a", encoding="utf-8") as lines:
                lines.write(json.dumps(run) + "\n")
    return found


def all_tasks(
    part: str, names: list[str], peers: list[str], seeds: int, rows: int
) -> Iterator[list[Task]]:
    """Yield the tasks of each contender of a part."""
    digits, sets = [str(digit) for digit in range(10)], range(100, 100 + SETS)
    data, contenders = {
        "tables": ([f"{name}/{protocol}" for name in names for protocol in PROTOCOLS], peers),
        "pictures": (digits, list(PIXELS)),
        "robustness": (
            [f"{name}/{percent}" for name in names for percent in SHARES],
            [name for name in ROBUST if name in peers],
        ),
        "alarms": ([f"{name}/10000" for name in MADE], []),
    }[part]
    for contender in ("attar", *contenders):
        yield [Task(part, one, seed, contender, rows) for seed in range(seeds) for one in data]
    if part == "alarms":
        yield [Task(part, f"{name}/500", seed, "attar", rows) for seed in sets for name in MADE]


def ranked(runs: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return means over seeds: data by contenders, NaN where one has failed."""
    means = runs.pivot_table(metric, "data", "contender", "mean")
    names = dict.fromkeys(["attar", *PYOD, *PIXELS])
    return means[[name for name in names if name in means]]


def attar_there(runs: pd.DataFrame, metric: str) -> pd.Series[float]:
    """Return attar's mean over the data and seeds that each contender has."""
    each = runs.pivot_table(metric, ["data", "seed"], "contender")
    return pd.Series(
        {
            name: each["attar"][column.notna()].groupby("data").mean().mean()
            for name, column in each.items()
        }
    )


def summary(runs: pd.DataFrame) -> pd.DataFrame:
    """Return what each contender reaches on all data together."""
    auroc, aupr = ranked(runs, "auroc"), ranked(runs, "aupr")
    there = {metric: attar_there(runs, metric) for metric in ("auroc", "aupr")}
    seconds = runs.groupby(["contender", "seed"])["seconds"].sum().groupby("contender").mean()
    best = auroc.max(axis=1)
    return pd.DataFrame(
        {
            "": auroc.columns,
            "auroc": auroc.mean(),
            "attar_auroc": there["auroc"],
            "aupr": aupr.mean(),
            "attar_aupr": there["aupr"],
            "won": auroc.ge(best - 1e-12, axis=0).sum(),
            "of": auroc.notna().sum(),
            "seeds": runs.groupby("contender")["seed"].nunique(),
            "seconds": seconds,
        },
        index=auroc.columns,
    ).sort_values("auroc", ascending=False)


def robustness(runs: pd.DataFrame) -> pd.DataFrame:
    """Return mean AUROC by contender and percentage of odd rows."""
    runs = runs[runs["auroc"].notna()]
    name, percent = (runs["data"].str.split("/").str[i] for i in (0, 1))
    table = runs.pivot_table("auroc", percent.astype(int).rename("% odd"), "contender", "mean")
    return table.reset_index().assign(tables=name.nunique())


def alarms(runs: pd.DataFrame) -> pd.DataFrame:
    """Return shares of false alarms, and how many are within what was promised."""
    kept = runs["share"].between(runs["low"], runs["high"])
    grouped = runs.assign(kept=kept).groupby("data")
    shares = grouped["share"].agg(["mean", "min", "max"])
    return (
        shares.join(grouped[["low", "high"]].first())
        .join(grouped["kept"].agg(kept="sum", of="size"))
        .reset_index()
    )


TABLES = {"robustness": robustness, "alarms": alarms}


def printed(title: str, table: pd.DataFrame, only_json: bool) -> list[Run]:
    """Print a table, and return it as records."""
    if not only_json:
        print(f"\n{title}")
        show(table)
    return table.to_dict("records")


def results(runs: list[Run], only_json: bool) -> dict[str, Any]:
    """Print the tables of all runs, and return them."""
    frame, found = pd.DataFrame(runs), {}
    for part, of_part in frame.groupby("part", sort=False):
        if part in TABLES:
            found[part] = printed(part, TABLES[part](of_part), only_json)
            continue
        for protocol in PROTOCOLS if part == "tables" else ("pictures",):
            own = of_part
            if part == "tables":
                own = of_part[of_part["data"].str.endswith(f"/{protocol}")]
            own = own.assign(data=own["data"].str.split("/").str[0])
            each = ranked(own, "auroc").reset_index()
            found[protocol] = {
                "auroc": printed(f"{protocol}: AUROC", each, only_json),
                "summary": printed(f"{protocol}: all", summary(own), only_json),
            }
            if "failed" in own and own["failed"].notna().any():
                failed = own[own["failed"].notna()][["contender", "data", "seed", "failed"]]
                found[protocol]["failed"] = printed(f"{protocol}: failed", failed, only_json)
    return found


def known_runs(file: str, rows: int) -> dict[Task, Run]:
    """Return the runs that a file holds, with so many rows of tables at most."""
    if not file or not Path(file).exists():
        return {}
    runs = [json.loads(line) for line in Path(file).read_text("utf-8").splitlines()]
    names = [field.name for field in fields(Task)]
    return {Task(**{name: run[name] for name in names}): run for run in runs if run["rows"] == rows}


def main() -> None:
    names = {"tables": ",".join(tables()), "peers": ",".join(PYOD)}
    options = arguments(__doc__, seeds=3, rows=10_000, parts=",".join(RUNS), runs="", **names)
    chosen = [name for name in options.tables.split(",") if name]
    peers = [name for name in options.peers.split(",") if name]
    runs = known_runs(options.runs, options.rows)
    for part in options.parts.split(","):
        for tasks in all_tasks(part, chosen, peers, options.seeds, options.rows):
            new = [task for task in tasks if task not in runs]
            if new:
                found = in_fresh_process(run_all, new, options.runs)
                runs |= dict(zip(new, found, strict=True))
    result = results(list(runs.values()), options.json)
    print(json.dumps({**result, "machine": machine("pyod", "scikit-learn")}))


if __name__ == "__main__":
    main()
