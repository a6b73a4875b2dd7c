"""attar encode: rows become codes."""

from __future__ import annotations

from attar.cli import arguments
from attar.cli import output as out


def encode(
    model: arguments.Model,
    source: arguments.Source,
    output: arguments.Rows,
    label: arguments.Label = None,
) -> None:
    """Write the codes of rows."""
    out.check(output)
    from attar.data.source import read
    from attar.estimator import load

    estimator = load(model)
    codes = estimator.transform(read(source, part="test", label=label).data)
    out.write(output, codes, list(estimator.get_feature_names_out()))
