"""attar report: a page about a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attar.cli import arguments
from attar.files import check_writable


def report(
    model: arguments.Model,
    source: arguments.Source,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="PAGE", help="The HTML page.", show_default=False),
    ],
    label: arguments.Label = None,
    condition: arguments.Condition = None,
    labels: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="A file with a label for each row, to colour by."),
    ] = None,
) -> None:
    """Write a page about a model: what it does with rows, in pictures and words."""
    check_writable(output)
    from attar.data.source import read
    from attar.loading import load
    from attar.report import write_report

    estimator = load(model)
    shown = read(source, part="test", label=condition or label, kind=estimator.fitted.kind)
    colours = shown.labels if labels is None else read(labels).data
    told = arguments.told(shown, condition, estimator.fitted.conditioning is not None)
    write_report(estimator, shown.data, output, labels=colours, condition=told)
