"""attar reconstruct: rows as the model brings them back."""

from __future__ import annotations

from attar.cli import arguments
from attar.cli import output as out


def reconstruct(
    model: arguments.Model,
    source: arguments.Source,
    output: arguments.Rows,
    label: arguments.Label = None,
) -> None:
    """Write rows as the model brings them back."""
    out.check(output)
    from attar.data.source import read
    from attar.estimator import load

    estimator = load(model)
    rows = estimator.reconstruct(read(source, part="test", label=label).data)
    preparation = estimator.fitted.applied.preparation
    out.write(output, rows, preparation.kind.feature_names(), white=preparation.brightest)
