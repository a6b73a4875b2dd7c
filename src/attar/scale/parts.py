"""A verb applied to the parts of a table by workers of Ray, each with the model in memory."""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from attar import errors
from attar.data.files.base import FileStream, TableStream, files_in
from attar.data.files.several import Files, matching
from attar.data.files.tabular import STREAMS
from attar.errors import AttarError, AttarWarning, ClusterError, DataError, FileError, warn
from attar.remote import Url, file_at
from attar.scale import cluster
from attar.scale.verbs import OnRows, TablePart, Verb
from attar.storage import check_writable, written_whole

# A part has at most so many rows, or is one row group of Parquet, or one file of another format.
ROWS = 1 << 18

# A part at which so many workers ended is given up.
TRIES = 3

# Seconds between two lines of progress.
SECONDS = 10.0

EMPTY = "The table has no rows."

# Where a table is.
Tables = str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | FileStream


def apply(
    verb: Verb,
    data: Tables,
    out: str | os.PathLike[str],
    on: str = "ray",
    workers: int | None = None,
    exact: bool = False,
) -> int:
    """Apply a verb to each part of a table, write files into a new folder, and return the rows.

    The folder is there at the end, whole; after an error there is none. Its files, such as
    ``part-00000.parquet``, are in order of the rows. A part whose worker is lost is done again.

    Parameters
    ----------
    verb : Verb
    data : path, paths, or TableStream
        Files of tables, a folder of them, or a pattern.
    out : path
        A folder that every worker sees; it must not exist yet, or be empty.
    on, workers, exact
        As of :func:`attar.scale.cluster.reached`.

    Raises
    ------
    DataError
        If the data is no table in files, its files have different columns, or it does not fit the
        model.
    FileError
        If a file cannot be read or written by a worker, or the folder is not empty.
    ClusterError
        If Ray cannot be reached, or a part ends each worker that gets it.
    """
    folder = _new_folder(out)
    verb.check()
    parts = parts_of(table_of(data))
    with written_whole(folder) as beside, cluster.reached(on, workers, exact) as found:
        beside.mkdir()
        if workers is not None and len(parts) < found.workers:
            warn(
                f"The table has {len(parts)} part{'s' * (len(parts) > 1)} for {found.workers} "
                "workers: write it as several files, or row groups of Parquet."
            )
        rows = 0
        for done in _progress(_applied(verb, parts, beside, found.workers), len(parts)):
            rows += done.rows
        for left in beside.glob(".*"):  # journals, and what lost workers left
            left.unlink()
        if not rows:
            raise DataError(EMPTY)
    return rows


def table_of(data: Tables) -> TableStream:
    """Return the table in some files, or in all files of tables in a folder.

    Raises
    ------
    DataError
        If one of them is no table.
    FileError
        If there is no such file.
    """
    if isinstance(data, TableStream):
        return data
    if not isinstance(data, str | os.PathLike | list | tuple):
        raise DataError(
            f"Ray's workers read tables in files, and not {type(data).__name__} in memory: give a "
            "path."
        )
    paths = [data] if isinstance(data, str | os.PathLike) else data
    files: list[str | os.PathLike[str]] = []
    for path in (file for one in paths for file in matching(file_at(one))):
        here = not isinstance(path, Url)
        if here and not path.exists():
            raise FileError(f"There is no file {path}.")
        if here and path.is_dir():
            found: list[str | os.PathLike[str]] = [*files_in(os.fspath(path), tuple(STREAMS))]
        else:
            found = [path] if path.name.lower().endswith(tuple(STREAMS)) else []
        files += found
        if not found:
            raise DataError(
                f"Ray's workers read tables in files ({', '.join(STREAMS)}), and {path} has none: "
                "leave out --on."
            )
    table = Files(files)
    return table if len(table.streams) > 1 else table.streams[0]


def parts_of(table: TableStream) -> list[TablePart]:
    """Return the parts of a table, in order.

    Raises
    ------
    DataError
        If its files have different columns, or no rows.
    """
    next(table.part([]))  # finds the form of the whole, once for all workers
    parts = []
    for file in table.streams if isinstance(table, Files) else [table]:
        units: list[TableStream] = []
        rows = 0
        for unit in (unit for unit in file.units if unit.rows != 0):
            more = unit.rows or 0
            if units and rows + more > ROWS:
                parts.append(TablePart(table, units))
                units, rows = [], 0
            units.append(unit)
            rows += more
        if units:
            parts.append(TablePart(table, units))
    if not parts:
        raise DataError(EMPTY)
    return parts


@dataclass(frozen=True)
class Done:
    """What a worker says of a part.

    Attributes
    ----------
    rows : int
    warnings : list of str
    error, reason : str
        The class and the words of an error of attar's; empty where there was none.
    """

    rows: int = 0
    warnings: list[str] = field(default_factory=list)
    error: str = ""
    reason: str = ""

    def check(self) -> None:
        """Raise the error."""
        if self.error:
            raise getattr(errors, self.error)(self.reason)


class Worker:
    """A worker, which gets one part after the other.

    Parameters
    ----------
    verb : Verb
    parts : sequence of TablePart
    folder : Path
        For the files, and for a journal of each part: the rows reached, a try a line.
    here : Path
        The folder that paths are relative to.
    """

    def __init__(self, verb: Verb, parts: Sequence[TablePart], folder: Path, here: Path) -> None:
        self.verb, self.parts, self.folder = verb, parts, folder
        torch.set_num_threads(1)
        if here.is_dir():
            os.chdir(here)

    def __call__(self, batch: dict[str, NDArray[np.int64]]) -> dict[str, list[str]]:
        """Return what became of the part of this number."""
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", AttarWarning)
            try:
                done = Done(self._written(int(batch["part"][0])))
            except AttarError as error:
                done = Done(error=type(error).__name__, reason=str(error))
        said = list(dict.fromkeys(str(one.message) for one in found))
        return {"done": [json.dumps(asdict(done) | {"warnings": said})]}

    def _written(self, number: int) -> int:
        part, name = self.parts[number], f"part-{number:05}"
        path = part.file.path
        for place in (self.folder, path):
            cluster.require_seen(place)
        with self._tried(self.folder / f".{name}.tries", f"{path} ({name})") as on_rows:
            if not len(next(iter(part))):
                return 0
            return self.verb.write(part, self.folder / f"{name}{self.verb.suffix}", on_rows)

    @contextmanager
    def _tried(self, journal: Path, part: str) -> Iterator[OnRows]:
        """Write down how far a part comes; refuse one that ended workers again and again.

        Raises
        ------
        ClusterError
            That says after which row.
        """
        before = journal.read_text().splitlines() if journal.exists() else []
        reached = int(before[-1].split()[-1]) if before else 0
        if len(before) >= TRIES:
            raise _out_of_memory(f"{TRIES} workers ended", part, reached)

        def on_rows(rows: int) -> None:
            nonlocal reached
            reached = rows
            file.write(f" {rows}".encode())

        with journal.open("ab", buffering=0) as file:
            file.write(b"\n0" if before else b"0")
            try:
                yield on_rows
            except MemoryError:
                raise _out_of_memory("A worker ran out of memory", part, reached) from None


def _out_of_memory(what: str, part: str, rows: int) -> ClusterError:
    return ClusterError(
        f"{what} in {part}, after row {rows:,}: use fewer workers a machine, or more memory."
    )


def _applied(verb: Verb, parts: Sequence[TablePart], folder: Path, workers: int) -> Iterator[Done]:
    """Yield what workers say of each part, in any order."""
    ray = cluster.ray_module()
    from ray.data import ActorPoolStrategy, DataContext, from_items

    context = DataContext.get_current()
    bars, context.enable_progress_bars = context.enable_progress_bars, False
    # Ray moves numbers of parts: rows are read and written by the workers themselves.
    numbers = from_items([{"part": i} for i in range(len(parts))], override_num_blocks=len(parts))
    size = min(workers, len(parts))
    found = numbers.map_batches(
        Worker,
        fn_constructor_args=(verb, parts, folder.resolve(), Path.cwd()),
        batch_size=1,
        num_cpus=1,
        compute=ActorPoolStrategy(size=size, max_tasks_in_flight_per_actor=1),
    )
    try:
        for row in found.iter_rows():
            done = Done(**json.loads(row["done"]))
            done.check()
            yield done
    except ray.exceptions.RayError as error:
        said = str(error).strip().splitlines()[-1]
        raise ClusterError(f"Ray's workers cannot do this: {said}") from error
    finally:
        context.enable_progress_bars = bars


def _progress(done: Iterator[Done], parts: int) -> Iterator[Done]:
    """Yield what was done, with lines of progress, and each warning once."""
    printed, rows, said = time.monotonic(), 0, set()
    for number, one in enumerate(done, 1):
        rows += one.rows
        for message in one.warnings:
            if message not in said:
                said.add(message)
                warn(message)
        if (now := time.monotonic()) > printed + SECONDS:
            printed = now
            print(f"attar: {number:,} of {parts:,} parts, {rows:,} rows", file=sys.stderr)
        yield one


def _new_folder(out: str | os.PathLike[str]) -> Path:
    """Return the path of a folder that can be made.

    Raises
    ------
    FileError
        If there is something, or it cannot be written.
    """
    path = file_at(out)
    if isinstance(path, Url):
        raise FileError(f"{path} is a URL, and parts go into a folder: give one of the storage.")
    if path.exists() and (not path.is_dir() or next(path.iterdir(), None) is not None):
        raise FileError(f"{path} is there already: give a new folder, into which parts go.")
    check_writable(path)
    return path
