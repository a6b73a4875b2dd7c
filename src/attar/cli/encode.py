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
    """Write the codes of rows; large files are worked on piece by piece."""
    out.check(output)
    from attar.data.files.tabular import STREAMS
    from attar.data.source import read
    from attar.loading import load

    estimator = load(model)
    kind = estimator.fitted.kind
    data = read(source, part="test", label=label, kind=kind).data
    names = [str(name) for name in estimator.get_feature_names_out()]
    table = output.name.endswith(tuple(STREAMS))
    with out.writer(output, names) as writer:
        for piece in kind.pieces(data):
            codes = estimator.transform(piece)
            index = kind.index(piece) if table else None
            named = dict(zip(names, codes.T, strict=True))
            writer.write(codes if index is None else index.assign(**named))
