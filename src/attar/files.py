"""Files are written whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from attar.errors import FileError, first_line


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield a path beside the wanted one to write to; it takes the wanted place at the end.

    Whatever happens on the way, a file or folder that was there before stays as it was.

    Raises
    ------
    FileError
        If the place cannot be written to, or the disk is full.
    """
    if not path.name:
        raise FileError(f"{str(path)!r} is no name to write to: give a file.")
    beside = path.with_name(f".{path.name}.{os.getpid()}.part{path.suffix}")
    try:
        try:
            yield beside
            if path.is_dir() and beside.is_dir():
                shutil.rmtree(path)
            beside.replace(path)
        finally:
            _remove(beside)
    except FileError:
        raise
    except OSError as error:
        raise FileError(f"{path} cannot be written: {first_line(error).lower()}.") from error


def check_writable(path: Path) -> None:
    """Refuse a place that nothing can be written to, before long work begins.

    Raises
    ------
    FileError
        If its folder is missing or closed.
    """
    folder = path.parent
    if not folder.is_dir():
        raise FileError(f"{path} cannot be written: there is no folder {folder}; make it first.")
    if not os.access(folder, os.W_OK):
        raise FileError(f"{path} cannot be written: the folder {folder} is closed to you.")


def _remove(path: Path) -> None:
    with suppress(FileNotFoundError):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
