"""The verb export: a model as a program of another library."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attar.cli import arguments
from attar.cli.apply import opened_model
from attar.remote import file_at


def export(
    model: arguments.Model,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help="The file: .keras, .onnx or .pt2.",
            show_default=False,
        ),
    ],
    source: Annotated[
        Path | None,
        typer.Argument(
            metavar="[SOURCE]",
            help="Rows that the file is checked on; without, reconstructions of training rows.",
            parser=file_at,
            show_default=False,
        ),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(metavar="keras|onnx|torch", help="The format; without, that of OUT."),
    ] = None,
    part: Annotated[
        str, typer.Option(metavar="whole|encoder|decoder|score", help="What the file does.")
    ] = "whole",
    condition: arguments.Condition = None,
    as_json: arguments.Json = False,
) -> None:
    """Write a model as a program that needs no attar, preparation included, once it is checked."""
    with arguments.importing():
        from attar.estimator import Autoencoder
        from attar.exporting.files import check, export

    check(output, part, format)
    if source is None:
        exported = export(Autoencoder.load(model), output, part, format=format)
    else:
        estimator, rows, labels = opened_model(model, "cpu", source, None, condition)
        exported = export(estimator, output, part, format=format, data=rows, condition=labels)
    if as_json:
        print(arguments.to_json(exported.to_json()))
        return
    for name in ("inputs", "outputs"):
        print(f"{name:8}{', '.join(map(str, getattr(exported, name)))}")
    print(
        f"{output} differs from attar by {exported.difference:.2g} of the largest value at most, "
        f"on {exported.rows:,} rows."
    )
