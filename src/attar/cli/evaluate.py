"""attar evaluate: how good a model is on rows, best on rows that it did not learn from."""

from __future__ import annotations

import json

from attar.cli import arguments


def evaluate(
    model: arguments.Model,
    source: arguments.Source,
    label: arguments.Label = None,
    condition: arguments.Condition = None,
    as_json: arguments.Json = False,
) -> None:
    """Print how good a model is on rows, beside PCA with as many numbers."""
    from attar.data.source import read
    from attar.loading import load

    estimator = load(model)
    opened = read(source, part="test", label=condition or label)
    told = arguments.told(opened, condition, estimator.fitted.conditioning is not None)
    figures = estimator.evaluate(opened.data, condition=told)
    if as_json:
        print(json.dumps(figures))
        return
    for name, figure in figures.items():
        print(f"{name:20} {figure:,.6g}")
