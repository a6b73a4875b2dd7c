"""Results go to a file by its suffix, or to a folder of pictures; whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from math import isfinite
from pathlib import Path
from typing import Any, Protocol

from attar.errors import FileError
from attar.files import check_writable


def dumped(figures: Mapping[str, Any]) -> str:
    """Return figures as JSON, which knows no number that is not finite: null stands for it."""
    known = {k: None if isinstance(v, float) and not isfinite(v) else v for k, v in figures.items()}
    return json.dumps(known)


class Writing(Protocol):
    """Something that takes rows piece by piece."""

    def write(self, piece: Any) -> None:
        """Write the next rows."""


def check(path: Path) -> None:
    """Refuse a place that rows cannot be written to.

    Raises
    ------
    FileError
        If its suffix is unknown, its folder missing or closed, or it is a folder of other things
        than pictures.
    """
    from attar.data.files.writers import SUFFIXES

    known = ", ".join(SUFFIXES)
    if path.suffix and not path.name.endswith(SUFFIXES):
        raise FileError(f"{path} has a suffix that attar does not write: use {known}, or a folder.")
    if not path.suffix and path.exists():
        if not path.is_dir():
            raise FileError(f"{path} is a file: give a folder, or one of {known}.")
        _check_replaceable(path)
    check_writable(path)


def check_apart(output: Path, source: str) -> None:
    """Refuse to write a folder of pictures over the one that is read.

    Raises
    ------
    FileError
        If both are the same, or one lies in the other.
    """
    if not output.suffix and Path(source).is_dir():
        a, b = output.resolve(), Path(source).resolve()
        if a == b or a in b.parents or b in a.parents:
            raise FileError(f"{output} would be written over what is read: give another folder.")


def writer(
    path: Path,
    names: Sequence[str],
    white: float | None = None,
    pictures: Sequence[str] | None = None,
) -> AbstractContextManager[Writing]:
    """Return what writes rows to a file, or pictures to a folder.

    Parameters
    ----------
    path : Path
        With a suffix a file, without one a folder of PNG.
    names : sequence of str
        The columns of a matrix, where the file has room for them.
    white : float or None
        The value of a white pixel; None takes bytes as they are.
    pictures : sequence of str or None
        The names of the pictures; None numbers them.
    """
    if path.suffix:
        from attar.data.files.writers import writer_for

        return writer_for(path, names)
    from attar.data.pictures.png import picture_writer

    return picture_writer(path, pictures, white)


def _check_replaceable(folder: Path) -> None:
    other = (p for p in folder.rglob("*") if p.is_file() and p.suffix.lower() != ".png")
    found = next(other, None)
    if found is not None:
        raise FileError(
            f"{folder} holds {found.relative_to(folder)}, which would be lost: give a new folder."
        )
