"""Verbs of the latent space: neighbours and interpolate."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from attar.cli import arguments
from attar.cli.apply import check_printed, write_rows
from attar.remote import Copied, file_at

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from attar.data.files.base import FileStream
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
        from attar.estimator import Autoencoder

    estimator = Autoencoder.load(model, device=device)
    kind = estimator.fitted_.kind
    rows = None if among is None else read(among, part="test", kind=kind).data
    distances, places = estimator.neighbours(text_or_rows(estimator, query), number, among=rows)
    texts = _texts(estimator, rows, places)
    for row, found in enumerate(zip(distances, places, texts, strict=True)):
        if len(distances) > 1 and not as_json:
            print(f"row {row:,}")
        for distance, place, text in zip(*found, strict=True):
            if as_json:
                line = {"row": row, "distance": float(distance), "neighbour": int(place)}
                print(arguments.to_json(line | ({"text": text} if text else {})))
            else:
                print(f"{distance:8.3g}  row {place:,}  {text}".rstrip())


def interpolate(
    model: arguments.Model,
    start: Query,
    end: Query,
    steps: Annotated[int, typer.Option(min=2, help="The rows of the path, ends included.")] = 8,
    output: arguments.Printed = None,
    device: arguments.Device = "cpu",
) -> None:
    """Write rows on the path in latent space from each row of a file to that of another."""
    if output is not None:
        arguments.check_output(output)
    with arguments.importing():
        from attar.estimator import Autoencoder

    estimator = Autoencoder.load(model, device=device)
    check_printed(estimator, output)
    first, last = (text_or_rows(estimator, query) for query in (start, end))
    write_rows(estimator, estimator.interpolate(first, last, steps), output)


def text_or_rows(estimator: Autoencoder, source: FileStream | Path | str) -> Data:
    """Return the rows of a file, or a text that was given itself."""
    from attar.data.source import read
    from attar.data.text import Text

    kind = estimator.fitted_.kind
    if isinstance(source, str):
        path = file_at(source)
        if isinstance(kind, Text) and not isinstance(path, Copied) and not os.path.exists(path):
            return [source]
        source = path
    return read(source, part="test", kind=kind).data


def _texts(estimator: Autoencoder, rows: Data | None, places: NDArray[np.intp]) -> list[list[str]]:
    """Return the texts of rows at places (m, n), those of the fit decoded; else empty ones."""
    from attar.data.text import Text

    fitted, flat = estimator.fitted_, places.ravel()
    if not isinstance(fitted.kind, Text):
        found = [""] * len(flat)
    elif rows is None:
        summary = fitted.training_summary
        order = {number: i for i, number in enumerate(summary.numbers.tolist())}
        codes = summary.codes[[order[place] for place in flat.tolist()]]
        found = arguments.printable(estimator.inverse_transform(codes))
    else:
        column = fitted.kind.column
        pieces = fitted.kind.pieces(rows)
        texts = [text for piece in pieces for text in arguments.printable(piece, column)]
        found = [texts[place] for place in flat]
    return [list(row) for row in zip(*[iter(found)] * places.shape[1], strict=True)]
