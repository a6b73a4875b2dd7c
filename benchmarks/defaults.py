"""What defaults reach: attar, PCA, and three networks, on tables, images, series and photographs.

Each contender has its own defaults, and as many code units as attar chooses, but 64 for patches of
photographs. Errors are mean squared errors of prepared cells (standardized numbers, one-hot
categories, pixels) of held-out rows; seconds are those of training. Each contender runs in a fresh
process, the peers on the rows that attar prepared.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from benchmarks._common import Rows, arguments, data_folder, in_fresh_process, middle, report
from benchmarks.contenders.defaults import CONTENDERS

MOST_ROWS = 10_000

# Training and test rows.
Parts = tuple[Any, Any]


def folder() -> Path:
    """Return the folder of data."""
    found = data_folder()
    if found is None:
        raise SystemExit("There is no folder of data: set ATTAR_DATA.")
    return found


def numbers(path: str, seed: int) -> Parts:
    """Return at most 10,000 rows of a table of numbers, a fifth of them to test."""
    rows = np.load(folder() / path)["X"].astype(np.float64)
    rows = rows[np.random.default_rng(seed).permutation(len(rows))[:MOST_ROWS]]
    return split(rows, seed)


def frame(path: str, seed: int) -> Parts:
    """Return a table of any types, a fifth of its rows to test."""
    return split(pd.read_csv(folder() / path), seed)


def split(rows: Any, seed: int) -> Parts:
    """Return four fifths of rows at random, and the others."""
    train, test = train_test_split(rows, test_size=0.2, random_state=seed)
    return train, test


def digits(seed: int) -> Parts:
    """Return scikit-learn's digits, in attar's parts."""
    from attar.data.source import read

    return read("digits/train").data, read("digits/test").data


def days(seed: int) -> Parts:
    """Return the hours of ETTh1 as days that start every six hours; the last fifth to test."""
    values = pd.read_csv(folder() / "series" / "ETTh1.csv", index_col="date").to_numpy(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(values, 24, axis=0)[::6].swapaxes(1, 2)
    rows = windows.reshape(len(windows), -1)
    return rows[: len(rows) * 4 // 5 - 4], rows[len(rows) * 4 // 5 :]


def photographs(height: int, width: int, number: int, seed: int) -> Parts:
    """Return parts at random places of 240 photographs, as bytes, and of the 60 others to test."""
    from PIL import Image

    paths = sorted((folder() / "photos").glob("*.jpg"))
    photos = [np.asarray(Image.open(path).convert("RGB")) for path in paths]
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(photos))

    def part(chosen: Rows, number: int) -> Rows:
        found = []
        for place in range(number):
            photo = photos[chosen[place % len(chosen)]]
            top, left = rng.integers(photo.shape[0] - height), rng.integers(photo.shape[1] - width)
            found.append(photo[top : top + height, left : left + width])
        return np.stack(found)

    return part(order[60:], number), part(order[:60], number // 4)


def data_sets() -> dict[str, tuple[Callable[[int], Parts], int | str]]:
    """Return the reader of each data set, and the number of code units."""
    tables = sorted((folder() / "adbench").glob("*.npz"))
    found: dict[str, tuple[Callable[[int], Parts], int | str]] = {
        path.stem.split("_", 1)[1]: (partial(numbers, f"adbench/{path.name}"), "auto")
        for path in tables
    }
    return found | {
        "adult": (partial(frame, "tables/adult.csv"), "auto"),
        "letters": (partial(frame, "tables/letter.csv"), "auto"),
        "digits": (digits, "auto"),
        "ETTh1": (days, "auto"),
        "patches": (partial(photographs, 32, 32, 8_000), 64),
        "photos": (partial(photographs, 90, 120, 200), 64),
    }


def attar_run(name: str, seed: int) -> tuple[dict[str, float], Rows, Rows]:
    """Return attar's result, and the prepared rows, flat; a first fit imports what it needs."""
    import attar

    reader, code_size = data_sets()[name]
    train, test = reader(seed)
    attar.Autoencoder(code_size=1, epochs=1, verbose=False).fit(train[:64])
    start = time.perf_counter()
    ae = attar.Autoencoder(code_size=code_size, random_state=seed, verbose=False).fit(train)
    seconds = time.perf_counter() - start
    predictor = ae.fitted_.predictor
    preparation = predictor.preparation

    def prepared(data: Any) -> Rows:
        rows: Rows = preparation.prepare(preparation.kind.rows(data)).numpy()
        return rows.reshape(len(rows), -1).astype(np.float64)

    rows = preparation.kind.rows(test)
    decoded = predictor.decode(predictor.encode(rows)).numpy().reshape(len(test), -1)
    result = {
        "code_size": ae.code_size_,
        "seconds": seconds,
        "epochs": len(ae.history_),
        "error": error(prepared(test), decoded),
    }
    return result, prepared(train), prepared(test)


def peer_run(name: str, train: Rows, test: Rows, code_size: int, seed: int) -> dict[str, float]:
    """Return a peer's result; a first run on few rows imports what it needs."""
    CONTENDERS[name](train[:64], test[:1], 1, seed)
    start = time.perf_counter()
    reconstruction = CONTENDERS[name](train, test, code_size, seed)
    return {"seconds": time.perf_counter() - start, "error": error(test, reconstruction)}


def error(rows: Rows, reconstruction: Rows) -> float:
    """Return the mean squared error."""
    return float(np.mean((rows - reconstruction) ** 2))


def compare(name: str, seeds: int, contenders: list[str]) -> dict[str, float]:
    """Return the medians over seeds of each contender's error and seconds on a data set."""
    runs = []
    for seed in range(seeds):
        found, train, test = in_fresh_process(attar_run, name, seed)
        run = {"code_size": found["code_size"], "epochs": found["epochs"]}
        run |= {"attar": found["error"], "attar_s": found["seconds"]}
        for peer in contenders:
            size = int(found["code_size"])
            result = in_fresh_process(peer_run, peer, train, test, size, seed)
            run |= {peer: result["error"], f"{peer}_s": result["seconds"]}
        runs.append(run)
    return {key: middle(runs, key) for key in runs[0]}


def summary(result: dict[str, dict[str, float]], contenders: list[str]) -> dict[str, float]:
    """Return how often attar has the lowest error, and the medians of its ratios to the others."""
    rows = list(result.values())
    networks = [name for name in contenders if name != "pca"]
    lowest = [row["attar"] <= min(row[name] for name in contenders) for row in rows]
    found = {"data_sets": len(rows), "lowest": float(np.mean(lowest)) if contenders else 0.0}
    found["seconds"] = middle(rows, "attar_s")
    for name in contenders:
        found[f"error_to_{name}"] = middle([{"r": row["attar"] / row[name]} for row in rows], "r")
    for name in networks:
        found[f"time_to_{name}"] = float(
            np.median([row["attar_s"] / row[f"{name}_s"] for row in rows])
        )
    return found


def main() -> None:
    options = arguments(__doc__, seeds=3, only="", contenders=",".join(CONTENDERS))
    contenders = [name for name in options.contenders.split(",") if name]
    names = options.only.split(",") if options.only else list(data_sets())
    result = {}
    for name in names:
        result[name] = compare(name, options.seeds, contenders)
        print(name, result[name], flush=True)
    table = [{"": name, **row} for name, row in result.items()]
    report({**result, "summary": summary(result, contenders)}, table, options.json)


if __name__ == "__main__":
    main()
