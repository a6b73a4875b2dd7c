"""Sparse matrices: bags of words, ratings, counts; never made dense as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from attar.data.batches import Holding
from attar.data.kind import Json, Kind, Portion, Rows, back_to, require_finite
from attar.data.preparation import Preparation
from attar.data.scaling import Scaling, Unscaled
from attar.data.stream import Sample
from attar.data.summary import Moments, Summary, as_tensor
from attar.errors import DataError
from attar.records import Batch

NUMPY = {torch.float32: np.float32, torch.float64: np.float64}


@dataclass(frozen=True)
class Sparse(Kind):
    """The form of a sparse matrix.

    Parameters
    ----------
    width : int
        The number of columns.
    dtype : str
    format : str
        SciPy's name of its storage: ``"csr"``, ``"csc"``, ``"coo"``, ...
    array : bool
        Whether it is one of SciPy's sparse arrays, or of its older sparse matrices.
    smallest : float
        The smallest absolute value stored: reconstructions below half of it are zero.
    """

    width: int
    dtype: str
    format: str
    array: bool
    smallest: float

    name = "sparse"

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of columns, as the shape of a row."""
        return (self.width,)

    @classmethod
    def of(cls, pieces: Iterable[object]) -> tuple[Self, Summary]:
        """Return the form and the summary of a sparse matrix; its stored values are one column."""
        (matrix,) = pieces
        rows = _csr(matrix)
        moments = Moments.of(rows.data[:, None])
        stored = np.abs(rows.data[rows.data != 0])
        if all(rows.shape) and not len(stored):
            raise DataError("All cells of the sparse matrix are zero: there is nothing to learn.")
        kind = cls(
            rows.shape[1],
            str(rows.dtype),
            getattr(matrix, "format", "csr"),
            isinstance(matrix, sparse.sparray),
            float(stored.min()) if len(stored) else 0.0,
        )
        sample = Sample(lambda piece, places: piece[places])
        sample.add(rows, rows.shape[0])
        chosen, places = sample.result(sparse.vstack)
        return kind, Summary(rows.shape[0], moments, _csr(chosen), places)

    @property
    def portions(self) -> list[Portion]:
        """The stored values, all of them one part."""
        return [Portion("values stored", self.dtype, slice(0, 1))]

    def accepts(self, other: type[Kind]) -> bool:
        """Return whether it is a matrix, sparse or dense."""
        return other.name in ("sparse", "table")

    def rows(self, data: object) -> sparse.csr_array:
        """Return a sparse or dense matrix in SciPy's CSR format."""
        rows = _csr(data)
        if rows.shape[1] != self.width:
            raise DataError(
                f"X has {rows.shape[1]} features, but Autoencoder is expecting {self.width} "
                "features as input."
            )
        if np.isnan(rows.data).any():
            raise DataError("The sparse matrix has missing values (NaN): leave them out of it.")
        return rows

    def restore(self, rows: sparse.csr_array, passthrough: object = None) -> sparse.sparray:
        """Return sparse rows as a sparse matrix of the user's own format and dtype."""
        matrix = sparse.csr_array if self.array else sparse.csr_matrix
        return matrix(rows).astype(self.dtype).asformat(self.format)

    def sparsified(self, rows: Rows) -> sparse.csr_array:
        """Return dense rows (n, width) as sparse ones, counts rounded to integers."""
        kept = np.where(np.abs(rows) >= self.smallest / 2, rows, 0)
        return sparse.csr_array(back_to(np.dtype(self.dtype), kept))

    def joined(self, parts: Sequence[sparse.sparray]) -> sparse.sparray:
        """Return sparse matrices concatenated."""
        return sparse.vstack(parts, format=self.format)

    def scaling(self, summary: Summary) -> Scaling:
        """Return none: what is zero stays zero."""
        return Unscaled()

    def columns(self, rows: sparse.csr_array) -> Rows:
        """Return the stored values as one column."""
        values: Rows = rows.data if sparse.issparse(rows) else rows
        return values.reshape(-1, 1)

    def spread(self, per_column: NDArray[np.float64], neutral: float) -> NDArray[np.float64]:
        """Return the one value as (1,)."""
        return per_column

    def feature_names(self) -> list[str]:
        """Return x0, x1, ..."""
        return [f"x{j}" for j in range(self.width)]

    def to_json(self) -> Json:
        """Return the form as plain JSON data."""
        return vars(self)

    @classmethod
    def from_json(cls, data: Json) -> Self:
        """Return the form that :meth:`to_json` described."""
        return cls(**data)


@dataclass(frozen=True)
class SparseHeld(Holding):
    """A sparse matrix, held in memory.

    Attributes
    ----------
    rows : CSR matrix (n, width)
    device : torch.device
    """

    rows: sparse.csr_array
    device: torch.device

    def batch(self, rows: Tensor) -> Batch:
        """Return the rows of these indices: sparse to the encoder, dense as a target."""
        return sparse_batch(self.rows[rows.numpy(force=True)], torch.float32, self.device)


@dataclass(frozen=True)
class SparsePreparation(Preparation):
    """The preparation of a sparse matrix: values as they are."""

    kind: Sparse

    def prepare(self, rows: sparse.csr_array, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return some rows (n, width) as a dense tensor."""
        return as_tensor(rows.toarray()).to(dtype)

    def batch(self, rows: sparse.csr_array, dtype: torch.dtype, device: torch.device) -> Batch:
        """Return rows as a batch: sparse to the encoder, dense as a target."""
        return sparse_batch(rows, dtype, device)

    def inputs(self, rows: sparse.csr_array, dtype: torch.dtype, device: torch.device) -> Batch:
        """Return rows as a batch that is sparse throughout."""
        values = sparse_tensor(rows, dtype).to(device)
        return Batch(values, values)

    def unscaled(self, prepared: Tensor) -> Tensor:
        """Return prepared values (n, width) as values of the data's own unit, dense."""
        return prepared

    def known(self, rows: sparse.csr_array) -> tuple[Rows, Rows]:
        """Return the rows and the columns of the cells that have a value."""
        places: tuple[Rows, Rows] = rows.nonzero()
        return places

    def raw(self, prepared: Tensor) -> sparse.csr_array:
        """Return prepared values (n, width) as sparse rows."""
        return self.kind.sparsified(prepared.double().numpy())

    def stacked(self, parts: Sequence[sparse.csr_array]) -> sparse.csr_array:
        """Return sparse rows concatenated."""
        return sparse.vstack(parts, format="csr")

    def hold(self, rows: sparse.csr_array, device: torch.device, hidden: float = 0.0) -> SparseHeld:
        """Return rows held in memory, sparse."""
        return SparseHeld(rows.astype(np.float32), device)


def sparse_batch(rows: sparse.csr_array, dtype: torch.dtype, device: torch.device) -> Batch:
    """Return sparse rows (n, width) as a batch: sparse to the encoder, dense as a target."""
    target = as_tensor(rows.astype(NUMPY[dtype]).toarray())
    return Batch(sparse_tensor(rows, dtype).to(device), target.to(device))


def sparse_tensor(rows: sparse.csr_array, dtype: torch.dtype) -> Tensor:
    """Return sparse rows (n, width) as a sparse tensor.

    Examples
    --------
    >>> sparse_tensor(sparse.csr_array([[0, 2], [3, 0]]), torch.float32).to_dense()
    tensor([[0., 2.],
            [3., 0.]])
    """
    entries = rows.tocoo()
    indices = np.stack([entries.row, entries.col]).astype(np.int64)
    return torch.sparse_coo_tensor(
        as_tensor(indices),
        as_tensor(entries.data).to(dtype),
        rows.shape,
        is_coalesced=True,
        check_invariants=False,
    )


def _csr(data: object) -> sparse.csr_array:
    rows = data.tocsr() if hasattr(data, "tocsr") else sparse.csr_array(data)
    if rows.dtype.kind not in "buif":
        raise DataError(f"The sparse matrix holds {rows.dtype} values where real numbers belong.")
    require_finite(rows.data[:, None], lambda _: "The sparse matrix")
    if not rows.has_canonical_format:
        rows = rows.copy()
        rows.sum_duplicates()
    return rows
