"""A table in Parquet parts: fit and encode by one process, by torchrun, and on Ray.

The table has 40 columns of mixed types, in parts of a million rows and row groups of 100,000.
Each contender is a command of attar, timed from its start to the model or the codes in files: one
process, 1 and 2 processes of torchrun, 1 and 2 workers of a Ray that the command starts. Each
process computes with one thread; the batches, and so the steps, are the same for all.
``loop_rows`` are the rows per second of training alone; ``megabytes`` is the largest private
memory that one process of a command had. Losses are those of the same held-out rows after one
epoch. ``model`` predicts the rows per second of training from three numbers that are measured
apart: the seconds of a row and of a step in one process, from two sizes of batches on the first
part, and those of an exchange of as many numbers as the model has weights between two processes.
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


def of_batches(part: Path, size: int) -> tuple[float, int]:
    """Return the seconds of a row in training with batches of a size, and how many weights."""
    import torch

    import attar

    torch.set_num_threads(1)
    ae = attar.Autoencoder(epochs=1, batch_size=size, random_state=0, verbose=False).fit([part])
    weights = sum(weight.numel() for weight in ae.model_.parameters())
    return 1 / ae.history_["rows_per_second"].iloc[-1], weights


def exchange(rank: int, rendezvous: str, numbers: int, out: str) -> None:
    """Write the seconds of a sum of so many numbers over two processes."""
    import torch
    import torch.distributed as dist

    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
    gradient = torch.ones(numbers)
    seconds = []
    for _ in range(50):
        start = time.perf_counter()
        dist.all_reduce(gradient)
        gradient.fill_(1)
        seconds.append(time.perf_counter() - start)
    if rank == 0:
        Path(out).write_text(str(sorted(seconds)[25]))
    dist.destroy_process_group()


def model_of_costs(part: Path, size: int, folder: Path) -> dict[str, float]:
    """Return the seconds of a row, a step and an exchange, and the predicted rows per second."""
    from torch.multiprocessing import spawn

    small, weights = in_fresh_process(of_batches, part, size // 4)
    large, _ = in_fresh_process(of_batches, part, size)
    # seconds of a row = row + step / size
    step = (small - large) / (4 / size - 1 / size)
    row = large - step / size
    out = folder / "seconds"
    spawn(exchange, (str(folder / "rendezvous"), weights, str(out)), nprocs=2)
    seconds = {"row": row, "step": step, "exchange": float(out.read_text()), "weights": weights}
    predicted = 1 / (row / 2 + (step + seconds["exchange"]) / size)
    return {**seconds, "one_process": 1 / large, "two_workers": predicted}


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
        model = model_of_costs(parts / "00000.parquet", options.batch_size, folder)
        for name, (start, last) in FITS.items():
            path = folder / f"{name}.attar"
            settings = ["--epochs", "1", "--set", f"batch_size={options.batch_size}", *last]
            fit = command([*start, "fit", parts, "-o", path, *settings])
            result[name] = {"fit": {**fit, **in_fresh_process(trained, path)}}
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
    report(
        {"rows": options.rows, "goals": GOALS, "model": model, **result},
        table,
        options.json,
        "pyarrow",
        "ray",
    )


if __name__ == "__main__":
    main()
