"""attar sample: new rows."""

from __future__ import annotations

from typing import Annotated

import typer

from attar.cli import arguments
from attar.cli import output as out


def sample(
    model: arguments.Model,
    output: arguments.Rows,
    number: Annotated[int, typer.Option("-n", min=1, help="How many.")] = 16,
    by: Annotated[
        str, typer.Option(help="Where codes come from: prior, mixture, kernel-density, flow, ...")
    ] = "auto",
    condition: Annotated[
        str | None, typer.Option(metavar="LABEL", help="What the new rows are told.")
    ] = None,
    seed: arguments.Seed = 0,
) -> None:
    """Write new rows that the model makes."""
    out.check(output)
    from attar.loading import load

    estimator = load(model)
    rows = estimator.sample(number, by=by, condition=condition, random_state=seed)
    preparation = estimator.fitted.applied.preparation
    names, white = preparation.kind.feature_names(), preparation.brightest
    with out.writer(output, names, white) as writer:
        writer.write(rows)
