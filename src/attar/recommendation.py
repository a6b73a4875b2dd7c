"""Recommendation: the columns of a sparse matrix that a model expects in rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from torch import Tensor

from attar.checks import positive_integer
from attar.data.kind import Rows
from attar.data.source import Data
from attar.data.sparse import SparsePreparation
from attar.errors import SettingError, warn
from attar.predictor import Predictor


class Recommender(ABC):
    """The methods of an estimator that are for sparse matrices only; no matrix is made dense."""

    @abstractmethod
    def _pieces(self, X: Data, condition: Data | None) -> Iterator[tuple[Predictor, Rows, object]]:
        """Yield the predictor with its conditions, raw rows, and what is passed through."""

    def recommend(
        self, X: Data, n: int = 10, *, seen: bool = False, condition: Data | None = None
    ) -> tuple[NDArray[np.intp], Rows]:
        """Return the ``n`` columns of a sparse matrix with the highest expected values in each row.

        Parameters
        ----------
        X : sparse matrix (m, columns)
        n : int
        seen : bool
            Whether columns that a row has already may be among them.
        condition : label, array (m,) or table, default None

        Returns
        -------
        columns : int array (m, n)
            The highest first; -1 where a row has fewer than ``n`` new columns.
        values : array (m, n)
            Their expected values, such as counts; NaN where there is no column.

        Raises
        ------
        SettingError
            If the model was not fitted on a sparse matrix, or on one of fewer than ``n`` columns.

        Examples
        --------
        Rows have the first two columns or the last two; one has only the first so far.

        >>> import attar
        >>> from scipy.sparse import csr_array
        >>> X = csr_array([[1, 1, 0, 0], [0, 0, 1, 1]] * 50)
        >>> ae = attar.Autoencoder(code_size=1, epochs=50, random_state=0).fit(X)
        >>> columns, values = ae.recommend(csr_array([[1, 0, 0, 0]]), n=1)
        >>> columns
        array([[1]])
        """
        n, empty, parts = positive_integer("number of columns", n), 0, []
        for predictor, rows, _ in self._pieces(X, condition):
            preparation = _sparse(predictor)
            empty += rows.shape[0] - len(np.unique(preparation.known(rows)[0]))
            parts.append(_highest(predictor, preparation, rows, n, seen))
        columns, values = map(np.concatenate, zip(*parts, strict=True))
        if empty:
            warn(
                "Rows without values get the recommendations of an empty row, which say nothing "
                f"about them: there are {empty:,} of {len(columns):,}."
            )
        return columns, values

    def expected_values(
        self, X: Data, columns: ArrayLike, *, condition: Data | None = None
    ) -> Rows:
        """Return the expected values of some columns of a sparse matrix in each row, dense.

        Nothing is left out or rounded, as in a sparse reconstruction.

        Parameters
        ----------
        X : sparse matrix (m, columns)
        columns : sequence of int
            Their numbers, from 0; ``range(width)`` gives all.
        condition : label, array (m,) or table, default None

        Returns
        -------
        array (m, len(columns))

        Raises
        ------
        SettingError
            If the model was not fitted on a sparse matrix, or on one without these columns.
        """
        places = np.asarray(columns)
        if places.ndim != 1 or places.dtype.kind not in "iu" or not len(places):
            raise SettingError(f"columns must be a list of column numbers, not {columns!r}.")
        parts = []
        for predictor, rows, _ in self._pieces(X, condition):
            preparation = _sparse(predictor)
            width = preparation.kind.width
            outside = places[(places < 0) | (places >= width)]
            if len(outside):
                raise SettingError(
                    f"There is no column {outside[0]}: columns are numbered from 0 to {width - 1}."
                )
            codes = predictor.encode(rows)
            values = np.empty((len(codes), len(places)), codes.dtype)
            for some, expected in _expected(predictor, preparation, codes):
                values[some] = expected.numpy()[:, places]
            parts.append(values)
        return np.concatenate(parts)


def _highest(
    predictor: Predictor, preparation: SparsePreparation, rows: sparse.csr_array, n: int, seen: bool
) -> tuple[NDArray[np.intp], Rows]:
    """Return the columns of the ``n`` highest expected values in each row, and these: (m, n)."""
    width = preparation.kind.width
    if n > width:
        raise SettingError(f"There are {width:,} columns, too few to recommend {n:,}.")
    codes = predictor.encode(rows)
    # Allocated before the chunks: small arrays between large ones would fragment the memory.
    columns, values = np.empty((len(codes), n), np.intp), np.empty((len(codes), n), codes.dtype)
    for some, expected in _expected(predictor, preparation, codes):
        if not seen:
            expected[preparation.known(rows[some])] = -torch.inf
        highest = expected.topk(n)
        columns[some], values[some] = highest.indices.numpy(), highest.values.numpy()
    none = np.isneginf(values)
    columns[none], values[none] = -1, np.nan
    return columns, values


def _expected(
    predictor: Predictor, preparation: SparsePreparation, codes: Rows
) -> Iterator[tuple[slice, Tensor]]:
    """Yield the expected values of all columns (B, width), chunk by chunk, and of which rows."""
    start = 0
    for prepared in predictor.decoded(codes):
        stop = start + len(prepared)
        yield slice(start, stop), preparation.unscaled(prepared)
        start = stop


def _sparse(predictor: Predictor) -> SparsePreparation:
    preparation = predictor.preparation
    if not isinstance(preparation, SparsePreparation):
        raise SettingError(
            "Only columns of a sparse matrix are recommended, but the model was fitted on "
            f"{preparation.kind.name}: fit it on scipy.sparse.csr_array(X)."
        )
    return preparation
