"""attar reconstruct: rows as the model brings them back."""

from __future__ import annotations

from attar.cli import arguments
from attar.cli import output as out


def reconstruct(
    model: arguments.Model,
    source: arguments.Source,
    output: arguments.Rows,
    label: arguments.Label = None,
    condition: arguments.Condition = None,
) -> None:
    """Write rows as the model brings them back; missing cells are predicted."""
    out.check(output)
    out.check_apart(output, source)
    from attar.data.pictures.folder import Pictures
    from attar.data.source import read
    from attar.loading import load

    estimator = load(model)
    kind = estimator.fitted.kind
    opened = read(source, part="test", label=condition or label, kind=kind)
    data, fitted = opened.data, estimator.fitted
    told = arguments.told(opened, condition, fitted.conditioning is not None)
    pictures = data.names if isinstance(data, Pictures) else None
    white = None if pictures else fitted.applied.preparation.brightest
    with out.writer(output, kind.feature_names(), white, pictures) as writer:
        for piece in kind.pieces(data):
            writer.write(estimator.reconstruct(piece, condition=told))
