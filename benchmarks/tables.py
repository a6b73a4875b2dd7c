"""Tables of mixed types in 8 latent dimensions: attar with its defaults, and linear peers.

One table is the census, the other synthetic, with known latent variables and missing cells. All
metrics are of test rows, in the table's own units. ``error`` is the mean squared error of a numeric
column over its variance, ``accuracy`` the share of correctly reconstructed categories; both are
means over columns. Each contender runs in a fresh process.
"""

from __future__ import annotations

import time
from typing import Any

import pandas as pd
from sklearn.model_selection import train_test_split

from benchmarks._common import (
    arguments,
    data_folder,
    in_fresh_process,
    middle,
    report,
    show,
    spread,
)
from benchmarks.mixed import MixedTable

CODE_SIZE = 8
CONTENDERS = ("attar", "pca", "famd", "typical")
SYNTHETIC = MixedTable(floats=9, integers=4, booleans=2, strings=4)


def adult() -> pd.DataFrame:
    """Return the census: 30,162 people, 6 numeric columns and 9 of text."""
    folder = data_folder()
    if folder is None:
        raise SystemExit("There is no folder of data: set ATTAR_DATA.")
    return pd.read_csv(folder / "tables" / "adult.csv")


def synthetic() -> pd.DataFrame:
    """Return 20,000 rows of 13 numeric columns and 6 of text and booleans."""
    return SYNTHETIC.frame(20_000)


TABLES = {"adult": adult, "synthetic": synthetic}


def contender(name: str, seed: int) -> Any:
    """Return an object with ``fit`` and ``reconstruct``, with everything loaded."""
    if name == "attar":
        import attar

        return attar.Autoencoder(code_size=CODE_SIZE, random_state=seed)
    from benchmarks import peers

    kinds = {"pca": peers.Principal, "famd": peers.Factors, "typical": peers.Typical}
    return kinds[name](CODE_SIZE)


def run(name: str, table: str, seed: int) -> dict[str, Any]:
    """Return a contender's errors, column by column, and its seconds."""
    train, test = train_test_split(TABLES[table](), test_size=0.2, random_state=seed)
    model = contender(name, seed)
    start = time.perf_counter()
    reconstructed = model.fit(train).reconstruct(test)
    seconds = time.perf_counter() - start
    errors, medians = {}, {}
    for column in train.select_dtypes("number"):
        known = test[column].notna().to_numpy()
        residual = (_numbers(reconstructed[column]) - _numbers(test[column]))[known]
        deviation = float(train[column].std(ddof=0))
        errors[column] = float((residual**2).mean()) / deviation**2
        medians[column] = float(abs(residual).median()) / deviation
    accuracies = {}
    for column in test.columns.drop(list(errors)):
        known = test[column].notna().to_numpy()
        right = _text(reconstructed[column]) == _text(test[column])
        accuracies[column] = float(right[known].mean())
    return {
        "error": float(pd.Series(errors).mean()),
        "accuracy": float(pd.Series(accuracies).mean()),
        "seconds": seconds,
        "errors": errors,
        "medians": medians,
        "accuracies": accuracies,
    }


def _numbers(column: pd.Series) -> pd.Series:
    return column.astype("Float64").astype("float64").reset_index(drop=True)


def _text(column: pd.Series) -> pd.Series:
    return column.astype("str").reset_index(drop=True)


def main() -> None:
    options = arguments(__doc__, seeds=3)
    result: dict[str, Any] = {"seeds": options.seeds}
    for table in TABLES:
        runs = {
            name: [in_fresh_process(run, name, table, seed) for seed in range(options.seeds)]
            for name in CONTENDERS
        }
        result[table] = {name: summary(done) for name, done in runs.items()}
        if not options.json:
            print(f"\n{table}: medians over {options.seeds} seeds, column by column")
            for metric in ("errors", "medians", "accuracies"):
                columns = {name: done[metric] for name, done in result[table].items()}
                show(pd.DataFrame(columns).rename_axis(metric).reset_index())
    metrics = ("error", "accuracy", "seconds")
    rows = [
        {"": table, "contender": name} | {metric: result[table][name][metric] for metric in metrics}
        for table in TABLES
        for name in CONTENDERS
    ]
    report(result, rows, options.json, "scikit-learn", "prince")


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the medians of all metrics, and the spread of the means over columns."""
    means = ("error", "accuracy", "seconds")
    by_column = ("errors", "medians", "accuracies")
    return {
        **{metric: middle(runs, metric) for metric in means},
        **{
            metric: pd.DataFrame([done[metric] for done in runs]).median().to_dict()
            for metric in by_column
        },
        "spread": {metric: spread(runs, metric) for metric in means},
    }


if __name__ == "__main__":
    main()
