"""Arguments and options that several verbs share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from attar.errors import SettingError

Source = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="A file (.csv, .parquet, .npy, .npz, IDX), or a data set: digits, mnist.",
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
        help="Where to write: .npy, .npz, .csv, .parquet; for images also a folder (of PNG).",
        show_default=False,
    ),
]
Label = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", help="A column of labels, never learnt from."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
Seed = Annotated[int, typer.Option(min=0, help="Equal seeds give equal results.")]


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
