"""The figures of a model on rows, beside principal components with as many numbers."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from attar.applied import Applied
from attar.data.kind import Rows
from attar.data.summary import Moments
from attar.evaluation import measures
from attar.evaluation.baseline import Baseline
from attar.evaluation.ssim import ssim


def reconstruction(
    applied: Applied, baseline: Baseline, pieces: Iterable[tuple[Applied, Rows]]
) -> dict[str, float]:
    """Return how well rows (n, *cells), in pieces, come back; errors are of prepared cells.

    Each piece comes with the model that is told of its rows.
    """
    moments = Moments.none(int(np.prod(applied.preparation.kind.shape)))
    images = len(applied.preparation.kind.shape) == 3
    rows, wrong, linear, alike = 0, 0.0, 0.0, 0.0
    for told, piece in pieces:
        for one, part in told.parts(piece):
            prepared = one.preparation.prepare(part).numpy()
            back = one.decode(one.encode(part)).numpy()
            known = float((~np.isnan(prepared)).sum())
            rows += len(prepared)
            wrong += known * measures.mean_squared_error(prepared, back)
            if images:
                alike += len(prepared) * ssim(
                    np.moveaxis(prepared, 1, -1), np.moveaxis(back, 1, -1)
                )
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
        if images:
            figures["ssim"] = alike / rows
    return figures
