"""Arguments, options and outputs that several verbs share."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from attar.errors import FileError, SettingError

if TYPE_CHECKING:
    from attar.data.source import Source as Opened
    from attar.estimator import Autoencoder


Source = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="A file (.csv, .parquet, .feather, .npy, .npz, IDX), a folder of pictures, or a data "
        "set: digits, mnist.",
        show_default=False,
    ),
]
Model = Annotated[Path, typer.Argument(metavar="MODEL", help="A model file.", show_default=False)]
Rows = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        metavar="OUT",
        help="Where to write: .npy, .npz, .csv, .parquet, .feather; for images also a folder.",
        show_default=False,
    ),
]
Label = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", help="A column of labels, which training does not use."),
]
Condition = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN",
        help="A column that the model is conditioned on; a conditional recipe takes the data "
        "set's labels by default.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
Seed = Annotated[int, typer.Option(min=0, help="Equal seeds give equal results.")]

Size = Annotated[
    str | None,
    typer.Option(metavar="HxW", help="Bring pictures to this size, such as 64x64."),
]
Time = Annotated[
    str | None,
    typer.Option("--time", metavar="COLUMN", help="The time of each row: learn a series."),
]
Series = Annotated[
    str | None, typer.Option(metavar="COLUMN", help="Which of several series a row belongs to.")
]
Window = Annotated[int | None, typer.Option(min=1, help="Steps of a series in one code.")]
Stride = Annotated[int | None, typer.Option(min=1, help="Steps from one window to the next.")]


def form(
    source: str,
    size: str | None,
    time: str | None,
    series: str | None,
    window: int | None,
    stride: int | None,
) -> Any:
    """Return the source as what the options say it is: pictures, a series, or as it stands."""
    if size is not None:
        from attar.data.pictures import Pictures

        return Pictures(source, size)
    if any(option is not None for option in (time, series, window, stride)):
        from attar.data.series import Series

        return Series(source, time, series, window, stride)
    return source


def is_conditional(estimator: Autoencoder) -> bool:
    """Return whether the recipe of an estimator needs a condition."""
    from attar import recipes

    recipe = estimator.recipe
    return recipe != "auto" and recipes.resolve(recipe).condition is not None


def condition_of(source: Opened, condition: str | None, wanted: bool) -> Any:
    """Return the labels of a source where they are the condition: by option, or by the recipe.

    Raises
    ------
    SettingError
        If a condition is wanted, and the source has no labels.
    """
    if not wanted and condition is None:
        return None
    if source.labels is None:
        raise SettingError(
            "A condition is needed, but the source has no labels: name a column of a table that fits "
            "into memory with --condition COLUMN."
        )
    return source.labels


def settings(assignments: list[str]) -> dict[str, Any]:
    """Return the settings that ``key=value`` assignments make; values are JSON or plain words.

    Raises
    ------
    SettingError
        If one is no assignment.
    """
    parsed = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals or not key:
            raise SettingError(f"--set takes key=value, such as network=conv, not {assignment!r}.")
        parsed[key.strip().replace("-", "_").replace(".", "__")] = _value(value.strip())
    return parsed


def _value(text: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        return {"None": None, "True": True, "False": False}.get(text, text)
    return tuple(value) if isinstance(value, list) else value


def dumped(metrics: Mapping[str, Any]) -> str:
    """Return figures as JSON, which knows no number that is not finite: null stands for it."""
    known = {k: None if isinstance(v, float) and not isfinite(v) else v for k, v in metrics.items()}
    return json.dumps(known)


class Writing(Protocol):
    """Something that takes rows piece by piece."""

    def write(self, piece: Any) -> None:
        """Write the next rows."""


def check_writable(path: Path) -> None:
    """Refuse a place that cannot be written to."""
    from attar import storage

    storage.check_writable(path)


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


def check_separate(output: Path, source: str) -> None:
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
    from attar.data.pictures import picture_writer

    return picture_writer(path, pictures, white)


def _check_replaceable(folder: Path) -> None:
    other = (p for p in folder.rglob("*") if p.is_file() and p.suffix.lower() != ".png")
    found = next(other, None)
    if found is not None:
        raise FileError(
            f"{folder} holds {found.relative_to(folder)}, which would be lost: give a new folder."
        )
