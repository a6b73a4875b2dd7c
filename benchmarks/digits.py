"""The test error: attar with its defaults, against PCA with as many components.

The defaults were chosen on the digits. The tables show whether they suit other data too. Each row
of the result is a data set, with mean squared errors of prepared cells.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split

from benchmarks._common import Rows, arguments, data_folder, middle, report, spread

TABLES = {
    "letter": "tables/letter.csv",
    "cardio": "adbench/6_cardio.npz",
    "satellite": "adbench/30_satellite.npz",
    "pendigits": "adbench/28_pendigits.npz",
    "vowels": "adbench/40_vowels.npz",
    "annthyroid": "adbench/2_annthyroid.npz",
}
DIGITS_CODE_SIZE = 16


def tables() -> dict[str, tuple[Any, Any]]:
    """Return training and test rows of each table that is there."""
    from attar.data.source import read

    folder = data_folder()
    found = {name: folder / path for name, path in TABLES.items()} if folder else {}
    return {
        name: train_test_split(read(path).data, test_size=0.2, random_state=0)
        for name, path in found.items()
        if path.exists()
    }


def compare(train: Any, test: Any, code_size: Any, seed: int) -> dict[str, float]:
    """Return both errors on the test rows, with attar's code size and seconds."""
    import attar

    start = time.perf_counter()
    ae = attar.Autoencoder(code_size=code_size, random_state=seed).fit(train)
    seconds = time.perf_counter() - start
    error, pca_error = ae.evaluate(test)["error"], linear_error(ae, train, test)
    return {
        "code_size": ae.code_size_,
        "seconds": seconds,
        "error": error,
        "pca_error": pca_error,
        "ratio": error / pca_error,
    }


def linear_error(ae: Any, train: Any, test: Any) -> float:
    """Return the error of PCA, fitted to all rows that attar was given, as attar prepares them."""
    preparation = ae.fitted_.predictor.preparation

    def prepared(data: Any) -> Rows:
        rows = preparation.prepare(preparation.kind.rows(data)).numpy()
        return rows.reshape(len(rows), -1).astype(np.float64)

    rows = prepared(test)
    pca = PCA(ae.code_size_, svd_solver="full").fit(prepared(train))
    return float(np.mean((rows - pca.inverse_transform(pca.transform(rows))) ** 2))


def main() -> None:
    from attar.data.source import read

    options = arguments(__doc__, seeds=5, table_seeds=1)
    digits = read("digits/train").data, read("digits/test").data
    sets = {"digits": (*digits, DIGITS_CODE_SIZE, options.seeds)}
    sets |= {name: (*parts, "auto", options.table_seeds) for name, parts in tables().items()}
    result = {}
    for name, (train, test, code_size, seeds) in sets.items():
        runs = [compare(train, test, code_size, seed) for seed in range(seeds)]
        result[name] = {key: middle(runs, key) for key in runs[0]}
        result[name]["spread"] = spread(runs, "ratio")
    table = [{"": name, **row} for name, row in result.items()]
    seeds = {"seeds": options.seeds, "table_seeds": options.table_seeds}
    report({**seeds, **result}, table, options.json)


if __name__ == "__main__":
    main()
