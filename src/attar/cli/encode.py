"""attar encode: rows become codes."""

from __future__ import annotations

from attar.cli import arguments
from attar.cli import output as out


def encode(
    model: arguments.Model,
    source: arguments.Source,
    output: arguments.Rows,
    label: arguments.Label = None,
    condition: arguments.Condition = None,
) -> None:
    """Write the codes of rows; large files are worked on piece by piece."""
    out.check(output)
    from attar.data.files.tabular import STREAMS
    from attar.data.source import read
    from attar.loading import load

    estimator = load(model)
    kind = estimator.fitted.kind
    opened = read(source, part="test", label=condition or label, kind=kind)
    told = arguments.told(opened, condition, estimator.fitted.conditioning is not None)
    names = [str(name) for name in estimator.get_feature_names_out()]
    table = output.name.endswith(tuple(STREAMS))
    with out.writer(output, names) as writer:
        for piece in kind.pieces(opened.data):
            codes = estimator.transform(piece, condition=told)
            index = kind.index(piece) if table else None
            named = dict(zip(names, codes.T, strict=True))
            writer.write(codes if index is None else index.assign(**named))
