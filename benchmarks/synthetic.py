"""Made tables: attar, and TVAE, CTGAN and a Gaussian copula beside it, on the same rows.

Each contender is fitted to some rows and makes as many; all others are test rows. ``attar`` is the
recipe vae with its defaults, ``attar-40`` with 40 epochs. Of what they make:

- ``shapes``: the mean over columns of 1 minus the Kolmogorov-Smirnov distance (numbers) or the
  total variation (categories) from the test rows, as in SDMetrics.
- ``trends``: the mean over pairs of columns of 1 minus half the difference of the correlations
  (numbers) or the total variation of the contingency tables (others, numbers in tenths), likewise.
- ``accuracy``: that of a classifier trained on made rows and tested on real ones; ``real`` is
  trained on the training rows.
- ``impossible``: how many values are outside the range of the training rows, off their decimals, or
  unseen.
- ``copies``: the share of made rows that are nearer to a training row than 1% of the test rows are.
- ``seconds`` and ``cpu``: those of fit and sample, by the clock and of the processors.

The peers need pandas 2: they run in an environment of their own, made in the first run, which has
everything else from the benchmark's, the same torch above all.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import ks_2samp
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import train_test_split
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from benchmarks._common import arguments, in_fresh_process, report
from benchmarks.tables import adult

ENVIRONMENT = Path(os.environ.get("ATTAR_SYNTHESIZERS", ".venv/synthesizers")).absolute()
PYTHON = ENVIRONMENT / "bin" / "python"
PACKAGES = ("ctgan==0.12.*", "copulas==0.14.*", "pandas<3")
ATTAR = {"attar": {}, "attar-40": {"epochs": 40}}
PEERS = ("tvae", "copula", "ctgan")
COMPARED = 3000


def orders() -> pd.DataFrame:
    """Return 20,000 orders: skewed prices in steps of 0.05, counts, discounts that are mostly 0."""
    random, n = np.random.default_rng(0), 20_000
    size = random.standard_normal(n)
    shop = random.choice(["web", "shop", "phone"], n, p=[0.62, 0.35, 0.03])
    price = np.exp(2.5 + 0.8 * size + 0.3 * random.standard_normal(n))
    items = 1 + random.poisson(np.exp(0.5 + 0.4 * size + (shop == "web")))
    discount = np.where(random.random(n) < 0.85, 0, random.integers(1, 11, n) * 5)
    total = price * items * (1 - discount / 100)
    late = random.random(n) < 1 / (1 + np.exp(3 - 1.5 * (shop == "phone") - 0.2 * items))
    regret = np.log(total) - 4.8 + 2 * late - 1.5 * (discount > 0) + (shop == "web")
    returned = random.random(n) < 1 / (1 + np.exp(-4 * regret))
    return pd.DataFrame(
        {
            "shop": shop,
            "price": np.round(np.maximum(price, 0.5) * 20) / 20,
            "items": items,
            "discount": discount,
            "total": total.round(2),
            "late": late.astype(int),
            "day": random.integers(0, 7, n) + np.round(random.beta(2, 2, n), 3),
            "returned": np.where(returned, "yes", "no"),
        }
    )


TABLES = {"adult": (adult, "income"), "orders": (orders, "returned")}


def attar_rows(train: pd.DataFrame, **settings: int) -> tuple[pd.DataFrame, list[float]]:
    """Return rows made by the recipe vae, and the seconds of fit and sample, of the CPU too."""
    import attar

    start = time.perf_counter(), time.process_time()
    model = attar.Autoencoder("vae", random_state=0, verbose=False, **settings).fit(train)
    made = model.sample(len(train), random_state=0)
    return made, [time.perf_counter() - start[0], time.process_time() - start[1]]


def peer_rows(name: str, train: pd.DataFrame, epochs: int) -> tuple[pd.DataFrame, list[float]]:
    """Return rows made by a peer, and the seconds of fit and sample, of the CPU too."""
    program = Path(__file__).parent / "contenders" / "synthesizers.py"
    with tempfile.TemporaryDirectory() as folder:
        source, output = Path(folder) / "train.csv", Path(folder) / "made.csv"
        train.to_csv(source, index=False)
        command = [PYTHON, program, name, source, output, str(epochs)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        made = pd.read_csv(output, keep_default_na=False)
    return made, [float(seconds) for seconds in done.stdout.splitlines()[-1].split()]


def make_environment() -> None:
    """Make the peers' environment, or what is missing of it."""
    if not PYTHON.exists():
        venv.create(ENVIRONMENT, with_pip=True)
        packages = sysconfig.get_path("purelib", vars={"base": str(ENVIRONMENT)})
        shared = sysconfig.get_path("purelib")
        (Path(packages) / "benchmark.pth").write_text(shared)
    subprocess.run([PYTHON, "-m", "pip", "install", "-q", *PACKAGES], check=True)


def decimals(values: pd.Series) -> int:
    """Return how many decimals suffice for all values, at most 6."""
    return next(d for d in range(7) if d == 6 or np.allclose(values.round(d), values, rtol=1e-12))


def impossible(made: pd.DataFrame, train: pd.DataFrame) -> int:
    """Return how many values cannot be of the table."""
    count = 0
    for name, values in train.items():
        if values.dtype.kind in "if":
            column = made[name].astype(float)
            outside = ~column.between(values.min(), values.max())
            off = ~np.isclose(column.round(decimals(values)), column, rtol=1e-12)
            count += int((outside | off).sum())
        else:
            count += int((~made[name].isin(values.unique())).sum())
    return count


def shapes(made: pd.DataFrame, real: pd.DataFrame) -> dict[str, float]:
    """Return the similarity of the distributions of each column."""
    return {
        str(name): 1 - float(ks_2samp(values, made[name]).statistic)
        if values.dtype.kind in "if"
        else 1 - _variation(values.astype(str), made[name].astype(str))
        for name, values in real.items()
    }


def trends(made: pd.DataFrame, real: pd.DataFrame) -> float:
    """Return the mean similarity of pairs of columns."""
    tenths = [_tenths(table, real) for table in (made, real)]
    found = []
    for a, b in combinations(real, 2):
        if real[a].dtype.kind in "if" and real[b].dtype.kind in "if":
            difference = _correlation(made, a, b) - _correlation(real, a, b)
            found.append(1 - abs(difference) / 2)
        else:
            one, other = (table[a] + "|" + table[b] for table in tenths)
            found.append(1 - _variation(one, other))
    return float(np.mean(found))


def _correlation(table: pd.DataFrame, a: str, b: str) -> float:
    with np.errstate(invalid="ignore"):
        return float(np.nan_to_num(np.corrcoef(table[a], table[b])[0, 1]))


def _variation(one: pd.Series, other: pd.Series) -> float:
    shares = one.value_counts(normalize=True), other.value_counts(normalize=True)
    return float(shares[0].sub(shares[1], fill_value=0).abs().sum()) / 2


def _tenths(table: pd.DataFrame, real: pd.DataFrame) -> pd.DataFrame:
    """Return the table as text, numbers as the tenths of the real ones that they are in."""
    tenths = {}
    for name, values in real.items():
        if values.dtype.kind in "if":
            edges = np.unique(np.quantile(values, np.linspace(0, 1, 11)))[1:-1]
            tenths[name] = pd.Series(np.searchsorted(edges, table[name], "right")).astype(str)
        else:
            tenths[name] = table[name].astype(str).reset_index(drop=True)
    return pd.DataFrame(tenths)


def _features(train: pd.DataFrame) -> Any:
    numbers = train.select_dtypes("number").columns
    return make_column_transformer(
        (StandardScaler(), list(numbers)),
        (OneHotEncoder(handle_unknown="ignore"), list(train.columns.drop(numbers))),
        sparse_threshold=0,
    ).fit(train)


def accuracy(made: pd.DataFrame, test: pd.DataFrame, target: str, features: Any) -> float:
    """Return the accuracy on real rows of a classifier trained on made ones."""
    if made[target].nunique() < 2:
        return float((test[target] == made[target].iloc[0]).mean())
    model = HistGradientBoostingClassifier(random_state=0)
    model.fit(features.transform(made.drop(columns=target)), made[target])
    return float(model.score(features.transform(test.drop(columns=target)), test[target]))


def copies(made: pd.DataFrame, train: pd.DataFrame, test: pd.DataFrame) -> float:
    """Return the share of rows that are nearer to a training row than 1% of the test rows are."""
    features = _features(train)
    nearest = NearestNeighbors(n_neighbors=1).fit(features.transform(train))
    distances = [
        nearest.kneighbors(features.transform(table[:COMPARED]))[0] for table in (made, test)
    ]
    return float((distances[0] < np.quantile(distances[1], 0.01)).mean())


def run(name: str, table: str, rows: int, epochs: int) -> dict[str, Any]:
    """Return the metrics of a contender."""
    load, target = TABLES[table]
    data = load()
    objects = data.columns[data.dtypes.map(lambda dtype: dtype.kind not in "if")]
    data = data.astype(dict.fromkeys(objects, object))
    train, test = train_test_split(data, train_size=rows, random_state=0)
    train, test = train.reset_index(drop=True), test.reset_index(drop=True)
    features = _features(train.drop(columns=target))
    if name == "real":
        return {"accuracy": accuracy(train, test, target, features)}
    made, seconds = (
        attar_rows(train, **ATTAR[name]) if name in ATTAR else peer_rows(name, train, epochs)
    )
    made = made[train.columns].astype(dict.fromkeys(objects, object))
    columns = shapes(made, test)
    return {
        "shapes": float(np.mean(list(columns.values()))),
        "trends": trends(made, test),
        "accuracy": accuracy(made, test, target, features),
        "impossible": impossible(made, train),
        "copies": copies(made, train, test),
        "seconds": seconds[0],
        "cpu": seconds[1],
        "columns": columns,
    }


def main() -> None:
    options = arguments(__doc__, rows=4000, epochs=300, contenders=",".join((*ATTAR, *PEERS)))
    result: dict[str, Any] = {"rows": options.rows, "epochs": options.epochs}
    if set(PEERS) & set(options.contenders.split(",")):
        make_environment()
    for table in TABLES:
        result[table] = {}
        for name in ("real", *options.contenders.split(",")):
            done = in_fresh_process(run, name, table, options.rows, options.epochs)
            result[table][name] = done
            print(table, name, {k: v for k, v in done.items() if k != "columns"}, file=sys.stderr)
    rows = [
        {"": table, "contender": name} | {k: v for k, v in done.items() if k != "columns"}
        for table in TABLES
        for name, done in result[table].items()
    ]
    report(result, rows, options.json, "scikit-learn", "pandas")


if __name__ == "__main__":
    main()
