"""The figures of a model on rows, beside principal components with as many numbers."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from attar.applied import Applied
from attar.data.kind import Rows
from attar.data.summary import Moments
from attar.evaluation import measures
from attar.evaluation.baseline import Baseline


def reconstruction(
    applied: Applied, baseline: Baseline, pieces: Iterable[Rows]
) -> dict[str, float]:
    """Return how well rows (n, *cells), in pieces, come back; errors are of prepared cells."""
    moments = Moments.none(int(np.prod(applied.preparation.kind.shape)))
    rows, wrong, linear = 0, 0.0, 0.0
    for piece in pieces:
        for part in applied.chunks(piece):
            prepared = applied.preparation.prepare(part).numpy()
            back = applied.decode(applied.encode(part)).numpy()
            known = float((~np.isnan(prepared)).sum())
            rows += len(prepared)
            wrong += known * measures.mean_squared_error(prepared, back)
            linear += known * baseline.errors(prepared)[: applied.code_size + 1][-1]
            moments = moments.merged(Moments.of(prepared.reshape(len(prepared), -1)))
    cells, variation = moments.count.sum(), moments.squares.sum()
    error, pca_error = float(wrong / cells), float(linear / cells)
    figures = {
        "rows": float(rows),
        "code_size": float(applied.code_size),
        "error": error,
        "pca_error": pca_error,
        "error_to_pca": error / pca_error if pca_error else float("nan"),
        "explained_variance": float(1 - wrong / variation) if variation else 0.0,
    }
    if moments.low.min() >= 0 and moments.high.max() <= 1:
        figures["psnr"] = measures.psnr(error)
    return figures
