"""The PCA baseline: the best linear code of each size."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from attar.data.kind import Rows
from attar.data.summary import with_means
from attar.evaluation.metrics import mean_squared_error
from attar.isolation import one_thread

# Rows or columns whose products are few enough to be decomposed exactly.
FEW = 2048

# Components with so little of the largest variance are rounding errors.
ROUNDING = 1e-6


@dataclass(frozen=True)
class Baseline:
    """Principal components of prepared rows, the best linear code of each size.

    Attributes
    ----------
    mean : array (cells,)
    components : array (k, cells)
        Orthonormal rows, by decreasing variance.

    Examples
    --------
    >>> import numpy as np
    >>> rows = np.array([[0.0, 0.0], [2.0, 2.0], [4.0, 4.0]])
    >>> baseline = Baseline.fit(rows, most=1)
    >>> [round(error, 6) for error in baseline.errors(rows)]
    [2.666667, 0.0]
    """

    mean: Rows
    components: Rows

    @classmethod
    def fit(cls, prepared: Rows, most: int) -> Baseline:
        """Return the first ``most`` principal components of rows (n, ...)."""
        matrix = with_means(prepared.reshape(len(prepared), -1))
        k = min(most, len(matrix) - 1, matrix.shape[1])
        if k < 1 or not np.ptp(matrix, axis=0).any():
            mean = matrix.mean(0).astype(np.float32)
            return cls(mean, np.zeros((0, matrix.shape[1]), np.float32))
        if len(matrix) <= FEW < matrix.shape[1]:
            return cls(*_components_of_few(matrix, k))
        # The covariance is the fastest exact way, as long as it is not too wide.
        if matrix.shape[1] <= FEW:
            mean = matrix.mean(0, dtype=np.float64).astype(np.float32)
            centred = matrix - mean
            _, vectors = _eigh(centred.T @ centred)
            return cls(mean, vectors[:, ::-1][:, :k].T.astype(np.float32))
        from sklearn.decomposition import PCA

        pca = PCA(k, svd_solver="randomized", random_state=0).fit(matrix)
        return cls(pca.mean_.astype(np.float32), pca.components_.astype(np.float32))

    def reconstruct(self, prepared: Rows, k: int) -> Rows:
        """Return rows (n, ...) as reconstructed from their first ``k`` components."""
        matrix = prepared.reshape(len(prepared), -1) - self.mean
        basis = self.components[:k]
        reconstructed: Rows = (matrix @ basis.T) @ basis + self.mean
        return reconstructed.reshape(prepared.shape)

    def errors(self, prepared: Rows) -> list[float]:
        """Return the mean squared error of the cells with 0, 1, 2, ... components.

        Missing cells (NaN) are set to the mean, and have no error.
        """
        matrix = prepared.reshape(len(prepared), -1) - self.mean
        if np.isnan(matrix).any():
            codes = np.nan_to_num(matrix) @ self.components.T
            sizes = range(len(self.components) + 1)
            return [mean_squared_error(matrix, codes[:, :k] @ self.components[:k]) for k in sizes]
        total = float(np.square(matrix).sum(dtype=np.float64))
        explained = np.square(matrix @ self.components.T).sum(0, dtype=np.float64)
        residuals = total - np.concatenate([[0.0], np.cumsum(explained)])
        cells = len(matrix) * math.prod(prepared.shape[1:])
        return [max(0.0, float(residual)) / cells for residual in residuals]


def _components_of_few(matrix: Rows, k: int) -> tuple[Rows, Rows]:
    """Return the mean and the first components of wide rows, from their products: in one copy."""
    mean = matrix.mean(0, dtype=np.float64).astype(np.float32)
    centred = (matrix - mean).astype(np.float32, copy=False)
    values, vectors = _eigh((centred @ centred.T).astype(np.float64))
    large = vectors[:, ::-1][:, : min(k, int((values > ROUNDING * values[-1]).sum()))]
    components = large.T.astype(np.float32) @ centred
    return mean, components / np.linalg.norm(components, axis=1, keepdims=True)


def _eigh(matrix: Rows) -> tuple[Rows, Rows]:
    """Return the eigenvalues of a symmetric matrix, ascending, and its eigenvectors."""
    with one_thread():
        values, vectors = torch.linalg.eigh(torch.from_numpy(matrix))
    return values.numpy(), vectors.numpy()
