"""The nearest rows of counts by the cosine of weighted logarithmic counts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from attar.tasks.anomalies.rows import ROWS
from attar.tasks.anomalies.scorer import Array

Mask = NDArray[np.bool_]

# Similarities to so many rows are averaged; rows this similar are one row twice.
NEAREST, SAME = 20, 1 - 1e-6

# So many rows are compared at once.
AT_ONCE = 1 << 10


@dataclass(frozen=True)
class CosineNeighbours:
    """Rows of counts with which others are compared.

    Attributes
    ----------
    counts : CSR matrix (n, columns)
    least : float
        The weight of a column that all rows have; of others it is more by their IDF.

    References
    ----------
    Salton and Buckley, "Term-weighting approaches in automatic text retrieval", Information
    Processing and Management 1988.
    """

    counts: sparse.csr_array
    least: float = 1.0

    def similar(
        self, counts: sparse.csr_array, own: bool = False
    ) -> Iterator[tuple[Array, NDArray[np.intp]]]:
        """Yield cosine similarities of some rows and those of the fit, and which a row is itself.

        Of rows of the fit that a row equals, one does not count: it may be the row itself. Where
        there is none, it is -1.

        Parameters
        ----------
        counts : CSR matrix (rows, columns)
        own : bool
            Whether these are all rows of the fit.
        """
        weighed = self._weigh(counts, int(own))
        for start in range(0, counts.shape[0], AT_ONCE):
            found = (weighed[start : start + AT_ONCE] @ self._weighted).toarray()
            each = np.arange(len(found))
            same = start + each if own else found.argmax(1)
            alike = own | (found[each, same] >= SAME)
            found[each[alike], same[alike]] = -np.inf
            yield found, np.where(alike, same, -1)

    @cached_property
    def rows(self) -> NDArray[np.intp]:
        """How many rows have a column: (columns,)."""
        return np.bincount(self.counts.indices, minlength=self.counts.shape[1])

    @cached_property
    def _weighted(self) -> sparse.csr_array:
        return self._weigh(self.counts, 0).T.tocsr()

    def _weigh(self, counts: sparse.csr_array, own: int) -> sparse.csr_array:
        """Return logarithmic counts of unit norm, weighed by log((1 + n) / (1 + rows)) + least.

        Of rows of the fit, others have a column in ``own`` rows less.
        """
        idf = np.log((1 + self.counts.shape[0]) / (1 + self.rows[counts.indices] - own))
        values = np.log1p(counts.data) * (idf + self.least)
        stored = np.diff(counts.indptr)
        row = np.repeat(np.arange(len(stored)), stored)
        norm = np.sqrt(np.bincount(row, values**2, len(stored)))
        values = (values / norm[row]).astype(np.float32)
        return sparse.csr_array((values, counts.indices, counts.indptr), counts.shape)


def nearest(similar: Array, kept: Mask | slice = slice(None)) -> Array:
    """Return the mean of the largest similarities to rows that are kept: (rows,)."""
    among = similar[:, kept]
    most = min(NEAREST, among.shape[1] - 1)
    largest = np.partition(among, among.shape[1] - most, 1)[:, -most:]
    return np.asarray(largest.mean(1), np.float64)


def sampled(
    counts: sparse.csr_array, pieces: Iterable[sparse.csr_array], rng: np.random.Generator
) -> tuple[sparse.csr_array, int]:
    """Return a sample of rows in which each new one takes the place of any other, and their number.

    Parameters
    ----------
    counts : CSR matrix (n, columns)
    pieces : iterable of CSR matrix (rows, columns)
        New rows.
    rng : Generator
    """
    added = 0
    for new in pieces:
        added += new.shape[0]
        room = max(0, ROWS - counts.shape[0])
        both = sparse.vstack([counts, new], format="csr")
        places = np.arange(counts.shape[0] + min(room, new.shape[0]))
        later = np.arange(len(places), both.shape[0])
        places[rng.integers(0, len(places), len(later))] = later
        counts = both[places]
    return counts, added
