"""Arguments and options that several verbs share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from attar.errors import SettingError

if TYPE_CHECKING:
    from attar.data.source import Source as Opened

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
    typer.Option(metavar="COLUMN", help="A column of labels, never learnt from."),
]
Condition = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN",
        help="A column that the model is told; a recipe with a condition takes the data set's "
        "labels by itself.",
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
        from attar.data.pictures.folder import Pictures

        return Pictures(source, size)
    if any(option is not None for option in (time, series, window, stride)):
        from attar.data.series import SeriesData

        return SeriesData(source, time, series, window, stride)
    return source


def told(source: Opened, condition: str | None, wanted: bool) -> Any:
    """Return the labels of a source where they are the condition: named so, or wanted by a model.

    Raises
    ------
    SettingError
        If a condition is wanted, and the source has no labels.
    """
    if not wanted and condition is None:
        return None
    if source.labels is None:
        raise SettingError(
            "A condition is wanted, but no labels are at hand: name a column of a table that fits "
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
