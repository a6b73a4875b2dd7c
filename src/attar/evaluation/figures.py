"""The figures of a model on rows, beside principal components with as many numbers."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from attar.applied import Applied
from attar.data.cells import Flag, Levels
from attar.data.kind import Kind, Rows
from attar.data.summary import Moments
from attar.data.table import Table
from attar.evaluation import measures
from attar.evaluation.baseline import Baseline
from attar.evaluation.ssim import ssim


def reconstruction(
    applied: Applied, baseline: Baseline, pieces: Iterable[tuple[Applied, Rows]]
) -> dict[str, float]:
    """Return how well rows (n, *cells), in pieces, come back; errors are of prepared cells.

    ``accuracy`` is the share of a table's levels and flags that are told right. Each piece comes
    with the model that is told of its rows.
    """
    moments = Moments.none(int(np.prod(applied.preparation.kind.shape)))
    images = len(applied.preparation.kind.shape) == 3
    sorts, told_right, told_of = _sorts(applied.preparation.kind), 0.0, 0
    rows, wrong, linear, alike = 0, 0.0, 0.0, 0.0
    for told, piece in pieces:
        for one, part in told.parts(piece):
            prepared = one.preparation.prepare(part).numpy()
            decoded = one.decode(one.encode(part))
            back = decoded.numpy()
            known = float((~np.isnan(prepared)).sum())
            rows += len(prepared)
            wrong += known * measures.mean_squared_error(prepared, back)
            if images:
                alike += len(prepared) * ssim(
                    np.moveaxis(prepared, 1, -1), np.moveaxis(back, 1, -1)
                )
            if sorts:
                levels = part[:, sorts]
                given = int((~np.isnan(levels)).sum())
                raw = one.preparation.raw(decoded)[:, sorts]
                told_right += given * measures.accuracy(levels, raw)
                told_of += given
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
    if told_of:
        figures["accuracy"] = told_right / told_of
    return figures


def _sorts(kind: Kind) -> list[int]:
    """Return which cells of a raw row are no numbers but levels or flags."""
    if not isinstance(kind, Table):
        return []
    return [i for i, cell in enumerate(kind.cells) if isinstance(cell, Flag | Levels)]
