"""A table in Parquet parts: fit and encode by one process, by torchrun, and on Ray.

The table has 40 columns of mixed types, in parts of a million rows and row groups of 100,000. Each
contender is a command of attar, timed from its start to the model or the codes in files: one
process, 1 and 2 processes of torchrun, 1 and 2 workers of a Ray that the command starts. Each
process computes with one thread; the batches, and so the steps, are the same for all.
``loop_rows`` are the rows per second of training alone; ``megabytes`` is the largest private memory
that one process of a command had. Losses are those of the same held-out rows after one epoch.
Parts are written once and kept in the folder. attar reads small tables whole, so fewer than three
million rows only test this program.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from benchmarks._common import arguments, in_fresh_process, report
from benchmarks.streaming import write

PART = 1_000_000
GOALS = {"one_worker": 0.85, "two_workers": 1.6, "megabytes": 1200}

ALONE = [sys.executable, "-m", "attar"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node"]
FITS = {
    "one process": (ALONE, []),
    "torchrun 1": ([*TORCHRUN, "1", "-m", "attar"], []),
    "torchrun 2": ([*TORCHRUN, "2", "-m", "attar"], []),
    "ray 1": (ALONE, ["--on", "ray", "--workers", "1"]),
    "ray 2": (ALONE, ["--on", "ray", "--workers", "2"]),
}
ENCODES = {name: ALONE for name in FITS if not name.startswith("torchrun")}


def private_megabytes(process: psutil.Process) -> float:
    """Return the largest memory that one process of a tree has for itself."""
    most = 0.0
    for one in (process, *process.children(recursive=True)):
        try:
            memory = one.memory_info()
        except psutil.NoSuchProcess:
            continue
        most = max(most, (memory.rss - memory.shared) / 2**20)
    return most


def command(words: Sequence[str | Path]) -> dict[str, float]:
    """Return the seconds and memory of a command."""
    start, most = time.perf_counter(), 0.0
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = psutil.Popen(words, stdout=subprocess.DEVNULL, env=environment)
    while process.poll() is None:
        most = max(most, private_megabytes(process))
        time.sleep(0.5)
    if process.returncode:
        raise SystemExit(f"{' '.join(map(str, words))} failed.")
    return {"seconds": time.perf_counter() - start, "megabytes": most}


def trained(model: Path) -> dict[str, float]:
    """Return the rows per second of the training of a model, and its loss."""
    import attar

    last = attar.load(model).history_.iloc[-1]
    return {"loop_rows": last.rows_per_second, "loss": last.validation_loss}


def main() -> None:
    kept = Path(tempfile.gettempdir()) / "attar-scaling"
    options = arguments(__doc__, rows=20_000_000, folder=str(kept), batch_size=4096)
    parts = Path(options.folder) / f"{options.rows}"
    parts.mkdir(parents=True, exist_ok=True)
    for number in range(-(-options.rows // PART)):
        path, rows = parts / f"{number:05d}.parquet", min(PART, options.rows - number * PART)
        if not path.exists():
            in_fresh_process(write, path, number * PART, rows)
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for name, (start, last) in FITS.items():
            model = folder / f"{name}.attar"
            settings = ["--epochs", "1", "--set", f"batch_size={options.batch_size}", *last]
            fit = command([*start, "fit", parts, "-o", model, *settings])
            result[name] = {"fit": {**fit, **in_fresh_process(trained, model)}}
        for name, start in ENCODES.items():
            codes = folder / (f"{name}.parquet" if name == "one process" else name)
            words = [*start, "encode", folder / "one process.attar", parts, "-o", codes]
            result[name]["encode"] = command([*words, *FITS[name][1]])
    for costs in result.values():
        for verb, cost in costs.items():
            cost["rows_per_second"] = options.rows / cost["seconds"]
            cost["ratio"] = (
                cost["rows_per_second"] / (result["one process"][verb]["rows_per_second"])
            )
    table = [
        {"": verb, "by": name, **costs[verb]}
        for verb in ("fit", "encode")
        for name, costs in result.items()
        if verb in costs
    ]
    report({"rows": options.rows, "goals": GOALS, **result}, table, options.json, "pyarrow", "ray")


if __name__ == "__main__":
    main()
