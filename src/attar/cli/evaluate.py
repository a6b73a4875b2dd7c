"""attar evaluate: how good a model is on rows, best on rows that it did not learn from."""

from __future__ import annotations

from typing import Annotated

import typer

from attar.cli import arguments
from attar.cli import output as out


def evaluate(
    model: arguments.Model,
    source: arguments.Source,
    label: arguments.Label = None,
    condition: arguments.Condition = None,
    draws: Annotated[
        int, typer.Option(min=1, help="How many draws of each code the likelihood takes.")
    ] = 32,
    as_json: arguments.Json = False,
) -> None:
    """Print how good a model is on rows, beside PCA with as many numbers."""
    from attar.data.source import read
    from attar.loading import load

    estimator = load(model)
    opened = read(source, part="test", label=condition or label)
    told = arguments.told(opened, condition, estimator.fitted.conditioning is not None)
    figures = estimator.evaluate(opened.data, draws=draws, condition=told)
    if as_json:
        print(out.dumped(figures))
        return
    for name, figure in figures.items():
        print(f"{name:20} {figure:,.6g}")
