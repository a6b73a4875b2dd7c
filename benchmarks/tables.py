"""Tables of mixed types from codes of eight numbers: attar as it comes, and linear peers.

One table is of people, the other is made: what its columns follow is known, and cells are missing.
All figures are of rows that were not learnt from, in the table's own units. ``error`` is the mean
squared error of a column of numbers over its variance, and ``accuracy`` the share of levels that
come back right; both are means over columns. Each contender runs in a fresh process.
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
from benchmarks.mixed import Mixed

CODE_SIZE = 8
CONTENDERS = ("attar", "pca", "famd", "typical")
MADE = Mixed(floats=9, integers=4, booleans=2, strings=4)


def adult() -> pd.DataFrame:
    """Return the census: 30,162 people, 6 columns of numbers and 9 of words."""
    folder = data_folder()
    if folder is None:
        raise SystemExit("There is no folder of data: name one in ATTAR_DATA.")
    return pd.read_csv(folder / "tables" / "adult.csv")


def made() -> pd.DataFrame:
    """Return 20,000 rows of 13 columns of numbers and 6 of words and booleans."""
    return MADE.frame(20_000)


TABLES = {"adult": adult, "made": made}


def contender(name: str, seed: int) -> Any:
    """Return what has ``fit`` and ``reconstruct``, with everything loaded."""
    if name == "attar":
        import attar

        return attar.Autoencoder(code_size=CODE_SIZE, random_state=seed)
    from benchmarks import peers

    kinds = {"pca": peers.Principal, "famd": peers.Factors, "typical": peers.Typical}
    return kinds[name](CODE_SIZE)


def run(name: str, table: str, seed: int) -> dict[str, Any]:
    """Return a contender's errors, column by column, and its seconds."""
    learnt, unseen = train_test_split(TABLES[table](), test_size=0.2, random_state=seed)
    model = contender(name, seed)
    start = time.perf_counter()
    back = model.fit(learnt).reconstruct(unseen)
    seconds = time.perf_counter() - start
    errors, medians = {}, {}
    for column in learnt.select_dtypes("number"):
        known = unseen[column].notna().to_numpy()
        missed = (_numbers(back[column]) - _numbers(unseen[column]))[known]
        deviation = float(learnt[column].std(ddof=0))
        errors[column] = float((missed**2).mean()) / deviation**2
        medians[column] = float(abs(missed).median()) / deviation
    accuracies = {}
    for column in unseen.columns.drop(list(errors)):
        known = unseen[column].notna().to_numpy()
        right = _words(back[column]) == _words(unseen[column])
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


def _words(column: pd.Series) -> pd.Series:
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
            for figure in ("errors", "medians", "accuracies"):
                columns = {name: done[figure] for name, done in result[table].items()}
                show(pd.DataFrame(columns).rename_axis(figure).reset_index())
    metrics = ("error", "accuracy", "seconds")
    rows = [
        {"": table, "contender": name} | {figure: result[table][name][figure] for figure in metrics}
        for table in TABLES
        for name in CONTENDERS
    ]
    report(result, rows, options.json, "scikit-learn", "prince")


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the medians of all figures, and the spread of those that are means over columns."""
    whole = ("error", "accuracy", "seconds")
    by_column = ("errors", "medians", "accuracies")
    return {
        **{figure: middle(runs, figure) for figure in whole},
        **{
            figure: pd.DataFrame([done[figure] for done in runs]).median().to_dict()
            for figure in by_column
        },
        "spread": {figure: spread(runs, figure) for figure in whole},
    }


if __name__ == "__main__":
    main()
