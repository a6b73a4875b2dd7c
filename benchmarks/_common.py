"""Shared by all benchmarks: data, a fresh process per contender, losses, and the printed result.

Data is read from the folder ATTAR_DATA, else from ``../shared/data`` beside the repository, else
attar downloads it where it can.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Rows = NDArray[Any]

_BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"
if _BESIDE.is_dir():
    os.environ.setdefault("ATTAR_DATA", str(_BESIDE))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def data_folder() -> Path | None:
    """Return the folder of data, if there is one."""
    folder = os.environ.get("ATTAR_DATA")
    return None if folder is None else Path(folder)


def mnist(part: str) -> Rows:
    """Return MNIST's images (n, 28, 28) as bytes."""
    from attar.data.source import read

    images: Rows = read(f"mnist/{part}").data
    return images


def flat(images: Rows) -> Rows:
    """Return images as rows of values from 0 to 1: (n, pixels)."""
    return images.reshape(len(images), -1).astype(np.float32) / 255


def cross_entropy(rows: Rows, probabilities: Rows) -> float:
    """Return the binary cross-entropy of rows (n, cells) in nats per row."""
    p = np.clip(probabilities.reshape(rows.shape).astype(np.float64), 1e-7, 1 - 1e-7)
    return float(-(rows * np.log(p) + (1 - rows) * np.log1p(-p)).sum(1).mean())


def in_fresh_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """Return ``function(*arguments)`` from a new process, without anything loaded."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as process:
        return process.submit(function, *arguments).result()


def middle(runs: Iterable[Mapping[str, float]], key: str) -> float:
    """Return the median of a metric over runs."""
    return float(np.median([run[key] for run in runs]))


def spread(runs: Iterable[Mapping[str, float]], key: str) -> list[float]:
    """Return the smallest and the largest value of a metric over runs."""
    values = [run[key] for run in runs]
    return [min(values), max(values)]


def megabytes(usage: Any) -> float:
    """Return the peak memory of a process, from its ``resource.struct_rusage``."""
    return float(usage.ru_maxrss) / (2**20 if sys.platform == "darwin" else 2**10)


def arguments(description: str | None, **options: float | str) -> argparse.Namespace:
    """Return the command line's options, with the types of their defaults, and ``--json``."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="print the JSON only")
    for name, default in options.items():
        option, help_ = f"--{name.replace('_', '-')}", f"default: {default}"
        parser.add_argument(option, type=type(default), default=default, help=help_)
    return parser.parse_args()


def report(
    result: Mapping[str, Any], table: list[dict[str, Any]], only_json: bool, *packages: str
) -> None:
    """Print the table, and the result with a description of the machine as a last line of JSON."""
    if not only_json:
        show(pd.DataFrame(table))
    print(json.dumps({**result, "machine": machine(*packages)}))


def show(table: pd.DataFrame) -> None:
    """Print a table."""
    print(table.to_string(index=False, float_format="{:.4g}".format))


def machine(*packages: str) -> dict[str, Any]:
    """Return what times depend on: processors, torch's threads, versions."""
    import torch

    versions = {name: version(name) for name in ("torch", *packages)}
    return {"cpus": os.cpu_count(), "threads": torch.get_num_threads(), **versions}
