"""The figures of a model on rows, beside principal components with as many numbers."""

from __future__ import annotations

from attar.applied import Applied
from attar.data.kind import Rows
from attar.evaluation import measures
from attar.evaluation.baseline import Baseline


def reconstruction(applied: Applied, baseline: Baseline, rows: Rows) -> dict[str, float]:
    """Return how well rows (n, *shape) come back; errors are of prepared cells."""
    prepared = applied.preparation.prepare(rows).numpy()
    back = applied.decode(applied.encode(rows)).numpy()
    error = measures.mean_squared_error(prepared, back)
    pca_error = baseline.errors(prepared)[: applied.code_size + 1][-1]
    figures = {
        "rows": float(len(rows)),
        "code_size": float(applied.code_size),
        "error": error,
        "pca_error": pca_error,
        "error_to_pca": error / pca_error if pca_error else float("nan"),
        "explained_variance": measures.explained_variance(prepared, back),
    }
    if prepared.min() >= 0 and prepared.max() <= 1:
        figures["psnr"] = measures.psnr(prepared, back)
    return figures
