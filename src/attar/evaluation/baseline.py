"""The baseline: principal component analysis with as many numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attar.data.missing import with_means
from attar.evaluation.measures import mean_squared_error

Rows = NDArray[Any]


@dataclass(frozen=True)
class Baseline:
    """Principal components of prepared rows, the best linear code of each size.

    Attributes
    ----------
    mean : array (cells,)
    components : array (k, cells)
        Orthonormal rows, the most variance first.
    """

    mean: Rows
    components: Rows

    @classmethod
    def fit(cls, prepared: Rows, most: int) -> Baseline:
        """Return the first ``most`` principal components of rows (n, ...)."""
        from sklearn.decomposition import PCA

        matrix = with_means(prepared.reshape(len(prepared), -1))
        k = min(most, len(matrix) - 1, matrix.shape[1])
        if k < 1 or not np.ptp(matrix, axis=0).any():
            mean = matrix.mean(0).astype(np.float32)
            return cls(mean, np.zeros((0, matrix.shape[1]), np.float32))
        # The covariance is the fastest exact way, as long as it is not too wide itself.
        solver = "covariance_eigh" if matrix.shape[1] <= 2048 else "randomized"
        pca = PCA(k, svd_solver=solver, random_state=0).fit(matrix)
        return cls(pca.mean_.astype(np.float32), pca.components_.astype(np.float32))

    def reconstruct(self, prepared: Rows, k: int) -> Rows:
        """Return rows (n, ...) as the first ``k`` components give them back."""
        matrix = prepared.reshape(len(prepared), -1) - self.mean
        basis = self.components[:k]
        back: Rows = (matrix @ basis.T) @ basis + self.mean
        return back.reshape(prepared.shape)

    def errors(self, prepared: Rows) -> list[float]:
        """Return the mean squared error of a cell with 0, 1, 2, ... components.

        Missing cells (NaN) count as the mean, and have no error.
        """
        matrix = prepared.reshape(len(prepared), -1) - self.mean
        if np.isnan(matrix).any():
            codes = np.nan_to_num(matrix) @ self.components.T
            sizes = range(len(self.components) + 1)
            return [mean_squared_error(matrix, codes[:, :k] @ self.components[:k]) for k in sizes]
        total = float(np.square(matrix).sum(dtype=np.float64))
        caught = np.square(matrix @ self.components.T).sum(0, dtype=np.float64)
        left = total - np.concatenate([[0.0], np.cumsum(caught)])
        cells = len(matrix) * math.prod(prepared.shape[1:])
        return [max(0.0, float(error)) / cells for error in left]
