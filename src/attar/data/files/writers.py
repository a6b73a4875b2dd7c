"""Results go to files piece by piece; a file is there whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from attar.data.files.arraywriters import NpyWriter, NpzWriter
from attar.data.files.tablewriters import ArrowWriter, CsvWriter, GzippedCsvWriter, ParquetWriter
from attar.data.files.writer import Writer
from attar.errors import FileError
from attar.files import written_whole


@contextmanager
def writer_for(path: str | Path, names: Sequence[str] | None = None) -> Iterator[Writer]:
    """Yield what writes rows to a file, in the format that its suffix names.

    ::

        with writer_for("codes.parquet", ["z0", "z1"]) as writer:
            for piece in pieces:
                writer.write(piece)

    The file takes its place at the end; where anything is raised on the way, none does. Memory does
    not grow with the number of rows.

    Parameters
    ----------
    path : str or Path
    names : sequence of str or None
        The columns of arrays (n, columns) that go into a table; by default x0, x1, ...

    Raises
    ------
    FileError
        If the suffix is unknown, or the file cannot be written.
    DataError
        If no piece is written.
    """
    path = Path(path)
    suffix = next((suffix for suffix in SUFFIXES if path.name.endswith(suffix)), None)
    if suffix is None:
        raise FileError(
            f"{path} has a suffix that attar does not write: use one of {', '.join(SUFFIXES)}."
        )
    with written_whole(path) as beside, beside.open("wb") as file:
        writer = WRITERS[suffix](path, file, names)
        try:
            yield writer
            writer.finish()
        finally:
            writer.close()


WRITERS: dict[str, type[Writer]] = {
    ".csv": CsvWriter,
    ".csv.gz": GzippedCsvWriter,
    ".parquet": ParquetWriter,
    ".feather": ArrowWriter,
    ".arrow": ArrowWriter,
    ".npy": NpyWriter,
    ".npz": NpzWriter,
}
SUFFIXES = tuple(WRITERS)
