"""A large table: attar streaming from a file, against all in memory.

The file has 40 columns of mixed types, some of them with missing cells, in row groups of 100,000
rows. ``attar fit`` with one epoch, then ``attar encode``, of the whole file and of its first fifth;
beside them the same from a DataFrame, for the first fifth. Each is a process of its own, timed from
its start to the model or the codes in a file. ``loop_rows`` are the rows per second of training
alone. Files are written once and kept in the folder. attar reads small files whole, so fewer than
three million rows only test this program.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks._common import arguments, in_fresh_process, megabytes, report
from benchmarks.mixed import MixedTable

COLUMNS = MixedTable(floats=20, integers=8, booleans=2, times=2, strings=8)
GROUP = 100_000
GOALS = {"peak_megabytes": 1200, "growth": 1.1, "fit_ratio": 0.6, "encode_ratio": 0.6}


def write(path: Path, first: int, rows: int) -> None:
    """Write the rows of the table from one on to a file, whole or not at all."""
    unfinished = path.with_suffix(".part")
    writer = None
    for start in range(first, first + rows, GROUP):
        frame = COLUMNS.frame(min(GROUP, first + rows - start), part=start // GROUP)
        group = pa.Table.from_pandas(frame, preserve_index=False)
        writer = writer or pq.ParquetWriter(unfinished, group.schema, compression="snappy")
        writer.write_table(group)
    assert writer is not None  # there are rows
    writer.close()
    unfinished.rename(path)


def streamed(*words: str | Path) -> dict[str, float]:
    """Return the seconds and memory of a command of attar."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "attar", *words], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"attar {words[0]} failed.")
    return {"seconds": time.perf_counter() - start, "megabytes": megabytes(usage)}


def in_memory(function: Callable[..., float], *paths: Path) -> dict[str, float]:
    """Return the seconds and memory of a function that reads the file as a DataFrame."""
    start = time.perf_counter()
    peak = in_fresh_process(function, *paths)
    return {"seconds": time.perf_counter() - start, "megabytes": peak}


def fit_in_memory(source: Path, model: Path) -> float:
    """Write the model of a DataFrame, and return the peak memory."""
    import attar
    from attar.data.stream import SIZE

    frame = pd.read_parquet(source)
    # Of a stream, a tenth of a sample is the validation set: as many rows here.
    fraction = 0.1 * min(1, SIZE / len(frame))
    ae = attar.Autoencoder(epochs=1, validation_fraction=fraction, random_state=0)
    ae.fit(frame).save(model)
    return megabytes(resource.getrusage(resource.RUSAGE_SELF))


def encode_in_memory(source: Path, model: Path, target: Path) -> float:
    """Write the codes of a DataFrame, and return the peak memory."""
    import attar

    ae = attar.load(model)
    codes = ae.transform(pd.read_parquet(source))
    pd.DataFrame(codes, columns=ae.get_feature_names_out()).to_parquet(target)
    return megabytes(resource.getrusage(resource.RUSAGE_SELF))


def loop_rows(model: Path) -> float:
    """Return the rows per second of the training of a model."""
    import attar

    return attar.load(model).history_.rows_per_second.iloc[-1]


def from_file(source: Path, model: Path, codes: Path) -> dict[str, dict[str, float]]:
    """Return the costs of attar's fit and encode."""
    fit = streamed("fit", source, "-o", model, "--epochs", "1")
    return {"fit": fit, "encode": streamed("encode", model, source, "-o", codes)}


def from_memory(source: Path, model: Path, codes: Path) -> dict[str, dict[str, float]]:
    """Return the costs of fit and transform of a DataFrame."""
    fit = in_memory(fit_in_memory, source, model)
    return {"fit": fit, "encode": in_memory(encode_in_memory, source, model, codes)}


def main() -> None:
    kept = Path(tempfile.gettempdir()) / "attar-streaming"
    options = arguments(__doc__, rows=5_000_000, folder=str(kept))
    folder, few = Path(options.folder), options.rows // 5
    folder.mkdir(parents=True, exist_ok=True)
    sources = {rows: folder / f"mixed-{rows}.parquet" for rows in (few, options.rows)}
    for rows, source in sources.items():
        if not source.exists():
            in_fresh_process(write, source, 0, rows)
    runs = {
        "file": (from_file, few),
        "memory": (from_memory, few),
        "all": (from_file, options.rows),
    }
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        model, codes = Path(scratch) / "m.attar", Path(scratch) / "codes.parquet"
        for name, (run, rows) in runs.items():
            costs = run(sources[rows], model, codes)
            for cost in costs.values():
                cost["rows_per_second"] = rows / cost["seconds"]
            speed = in_fresh_process(loop_rows, model)
            result[name] = {"rows": rows, **costs, "loop_rows": speed}
    file, memory, all_rows = result["file"], result["memory"], result["all"]
    peaks = [max(run["fit"]["megabytes"], run["encode"]["megabytes"]) for run in (file, all_rows)]
    metrics = {
        "peak_megabytes": peaks[1],
        "growth": peaks[1] / peaks[0],
        "fit_ratio": memory["fit"]["seconds"] / file["fit"]["seconds"],
        "encode_ratio": memory["encode"]["seconds"] / file["encode"]["seconds"],
        "loop_ratio": file["loop_rows"] / memory["loop_rows"],
    }
    table = [
        {"from": name, "rows": run["rows"], "": verb, **run[verb], "loop_rows": run["loop_rows"]}
        for name, run in result.items()
        for verb in ("fit", "encode")
    ]
    report({**metrics, "goals": GOALS, **result}, table, options.json, "pyarrow")


if __name__ == "__main__":
    main()
