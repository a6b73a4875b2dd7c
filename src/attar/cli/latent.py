"""Verbs of the latent space: neighbours and interpolate."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from attar.cli import arguments
from attar.errors import DataError

if TYPE_CHECKING:
    from attar.data.source import Data
    from attar.estimator import Autoencoder

Query = Annotated[
    str,
    typer.Argument(metavar="ROWS", help="A file of rows, or a text.", show_default=False),
]


def neighbours(
    model: arguments.Model,
    query: Query,
    among: Annotated[
        str | None,
        typer.Option(metavar="SOURCE", help="The rows that are searched; else those of the fit."),
    ] = None,
    number: Annotated[int, typer.Option("-n", min=1, help="How many of each row.")] = 5,
    device: arguments.Device = "cpu",
    as_json: arguments.Json = False,
) -> None:
    """Print the rows whose codes are nearest: their distances, their numbers, and of text, it.

    A model keeps the codes of rows of the fit, not the rows: texts are then decoded from them.
    """
    with arguments.importing():
        from attar.data.source import read
        from attar.estimator import load

    estimator = load(model, device=device)
    kind = estimator.fitted_.kind
    rows = None if among is None else read(among, part="test", kind=kind).data
    given = _queried(estimator, query)
    distances, places = estimator.neighbours(given, number, among=rows)
    texts = _texts(estimator, rows)
    for row, (of_row, found) in enumerate(zip(distances, places, strict=True)):
        if as_json:
            near = [
                {"row": int(i), "distance": float(d), **({"text": texts[int(i)]} if texts else {})}
                for d, i in zip(of_row, found, strict=True)
            ]
            print(arguments.to_json({"row": row, "neighbours": near}))
            continue
        if len(distances) > 1:
            print(f"row {row:,}:")
        for distance, place in zip(of_row, found, strict=True):
            text = f"  {texts[int(place)]}" if texts else ""
            print(f"{distance:8.3g}  row {place:,}{text}")


def interpolate(
    model: arguments.Model,
    start: Query,
    end: Query,
    steps: Annotated[int, typer.Option(min=2, help="The rows of the path, ends included.")] = 8,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="OUT", help="The output; text is printed without."),
    ] = None,
    device: arguments.Device = "cpu",
) -> None:
    """Write rows on the path in latent space from each row of a file to that of another."""
    if output is not None:
        arguments.check_output(output)
    with arguments.importing():
        from attar.cli.apply import write_rows
        from attar.estimator import load

    estimator = load(model, device=device)
    ends = (_queried(estimator, query) for query in (start, end))
    write_rows(estimator, estimator.interpolate(*ends, steps=steps), output)
