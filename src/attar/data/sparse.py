"""Sparse matrices: bags of words, ratings, counts; never made dense as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from attar.data.batches import Holding
from attar.data.columns.frames import misfit
from attar.data.kind import Json, Kind, Portion, Rows, back_to, require_finite
from attar.data.preparation import Preparation
from attar.data.scaling import Scaling, Standard, Unscaled
from attar.data.stream import Sample, SupportsCsr
from attar.data.summary import Moments, Summary, as_tensor
from attar.errors import DataError, unknown
from attar.records import Batch

NUMPY = {torch.float32: np.float32, torch.float64: np.float64}


Absent = Literal["zero", "missing"]


@dataclass(frozen=True, eq=False)
class Sparse:
    """A sparse matrix, with what it says about the cells that it does not store.

    Parameters
    ----------
    matrix : sparse matrix of SciPy, or path of a ``.npz`` file
    absent : str
        ``"zero"``: an absent cell is 0, as of counts and clicks. ``"missing"``: it says nothing, as
        of ratings; it is left out of the loss and predicted, and stored zeros are values.

    Raises
    ------
    SettingError
        If ``absent`` is neither.

    Notes
    -----
    A plain sparse matrix has absent zeros. A model that was fitted on one or the other takes plain
    matrices as it was fitted. Where absent cells are missing, a reconstruction has all cells: for
    large matrices use :meth:`~attar.Autoencoder.recommend`.

    Examples
    --------
    >>> import attar
    >>> from scipy.sparse import csr_array
    >>> ratings = csr_array([[5, 4, 0], [1, 0, 2]] * 20)
    >>> ae = attar.Autoencoder(code_size=1, epochs=5, random_state=0)
    >>> ae.fit(attar.Sparse(ratings, absent="missing")).fitted_.likelihood.name
    'gaussian'
    """

    matrix: SupportsCsr | str | Path = field(repr=False)
    absent: Absent = "zero"

    def __post_init__(self) -> None:
        if self.absent not in ("zero", "missing"):
            raise unknown("absent", self.absent, ("zero", "missing"))


@dataclass(frozen=True)
class SparseMatrix(Kind):
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
    absent : str
        What cells are that are not stored: ``"zero"`` or ``"missing"``.
    """

    width: int
    dtype: str
    format: str
    array: bool
    smallest: float
    absent: Absent = "zero"

    name = "sparse"

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of columns, as the shape of a row."""
        return (self.width,)

    @classmethod
    def of(cls, pieces: Iterable[object]) -> tuple[Self, Summary]:
        """Return the form and the summary of a sparse matrix; its stored values are one column."""
        (given,) = pieces
        matrix, absent = given, Sparse.absent
        if isinstance(given, Sparse):
            matrix, absent = given.matrix, given.absent
        rows = _csr(matrix)
        moments = Moments.of(rows.data[:, None])
        stored = np.abs(rows.data[rows.data != 0])
        if absent == "zero" and all(rows.shape) and not len(stored):
            raise DataError("All cells of the sparse matrix are zero: there is nothing to learn.")
        kind = cls(
            rows.shape[1],
            str(rows.dtype),
            getattr(matrix, "format", "csr"),
            isinstance(matrix, sparse.sparray),
            float(stored.min()) if len(stored) else 0.0,
            absent,
        )
        sample = Sample(lambda piece, places: piece[places])
        sample.add(rows, rows.shape[0])
        chosen, places = sample.result(sparse.vstack)
        return kind, Summary(rows.shape[0], moments, _csr(chosen), places, kind.partial)

    @property
    def partial(self) -> bool:
        """Whether cells that are not stored are missing."""
        return self.absent == "missing"

    @property
    def portions(self) -> list[Portion]:
        """The stored values, all of them one part."""
        return [Portion("values stored", self.dtype, slice(0, 1))]

    def accepts(self, other: type[Kind]) -> bool:
        """Return whether it is a matrix, sparse or dense."""
        return other.name in ("sparse", "table")

    def rows(self, data: object) -> sparse.csr_array:
        """Return a sparse or dense matrix in SciPy's CSR format."""
        if isinstance(data, Sparse):
            if data.absent != self.absent:
                raise DataError(
                    f"The model was fitted with absent={self.absent!r}, but X has "
                    f"absent={data.absent!r}: give both the same."
                )
            data = data.matrix
        if self.partial and not sparse.issparse(data):
            raise DataError(
                "The model was fitted on a sparse matrix whose absent cells are missing, and a "
                "dense X has none: give a scipy.sparse matrix."
            )
        rows = _csr(data)
        if rows.shape[1] != self.width:
            raise misfit(rows.shape, self.width)
        if np.isnan(rows.data).any():
            raise DataError("The sparse matrix has missing values (NaN): leave them out of it.")
        return rows

    def restore(self, rows: sparse.csr_array, passthrough: object = None) -> sparse.sparray:
        """Return sparse rows as a sparse matrix of the user's own format and dtype."""
        matrix = sparse.csr_array if self.array else sparse.csr_matrix
        return matrix(rows).astype(self.dtype).asformat(self.format)

    def sparsified(self, rows: Rows) -> sparse.csr_array:
        """Return dense rows (n, width) as sparse ones, counts rounded to integers.

        Small values are left out, but for those of missing cells.
        """
        if self.partial:
            columns = np.tile(np.arange(self.width), len(rows))
            starts = self.width * np.arange(len(rows) + 1)
            values = back_to(np.dtype(self.dtype), rows).ravel()
            return sparse.csr_array((values, columns, starts), rows.shape)
        kept = np.where(np.abs(rows) >= self.smallest / 2, rows, 0)
        return sparse.csr_array(back_to(np.dtype(self.dtype), kept))

    def joined(self, parts: Sequence[sparse.sparray]) -> sparse.sparray:
        """Return sparse matrices concatenated."""
        return sparse.vstack(parts, format=self.format)

    def scaling(self, summary: Summary) -> Scaling:
        """Return none, so that zeros stay zero, or mean 0 and deviation 1 of the known values."""
        return Standard() if self.partial else Unscaled()

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
        Prepared.
    device : torch.device
    partial : bool
        Whether absent cells are missing.
    hidden : float
        The fraction of known cells that are hidden from the encoder, where others are missing.
    """

    rows: sparse.csr_array
    device: torch.device
    partial: bool = False
    hidden: float = 0.0

    def batch(self, rows: Tensor) -> Batch:
        """Return the rows of these indices: sparse to the encoder, dense as a target."""
        known = self.rows[rows.numpy(force=True)]
        batch = sparse_batch(known, torch.float32, self.device, self.partial)
        if not (self.partial and self.hidden):
            return batch
        cells = known.tocoo()
        fraction = 2 * self.hidden * torch.rand(len(rows))
        seen = (torch.rand(cells.nnz) >= fraction[as_tensor(cells.row).long()]).numpy()
        visible = sparse.coo_array(
            (cells.data[seen], (cells.row[seen], cells.col[seen])), known.shape
        )
        values, mask = sparse_tensor(visible, torch.float32), sparse_mask(visible, torch.float32)
        return replace(
            batch,
            values=values.to(self.device),
            visible=mask.to_dense().bool().to(self.device),
        )


@dataclass(frozen=True)
class SparsePreparation(Preparation):
    """The preparation of a sparse matrix: known values are scaled where all others are missing."""

    kind: SparseMatrix

    def scaled(self, rows: sparse.csr_array) -> sparse.csr_array:
        """Return rows with the stored values scaled."""
        if not self.kind.partial:
            return rows
        values = self.scaler(as_tensor(rows.data.astype(np.float64))).numpy()
        return sparse.csr_array((values, rows.indices, rows.indptr), rows.shape)

    def unscaled(self, prepared: Tensor) -> Tensor:
        """Return prepared values (n, width) as values of the data's own unit, dense."""
        if not self.kind.partial:
            return prepared
        return self.scaler.inverse(prepared)

    def known(self, rows: sparse.csr_array) -> tuple[Rows, Rows]:
        """Return the rows and the columns of the cells that have a value."""
        cells = rows.tocoo()
        stored = np.full(cells.nnz, True) if self.kind.partial else cells.data != 0
        return cells.row[stored], cells.col[stored]

    def prepare(self, rows: sparse.csr_array, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return some rows (n, width) as a dense tensor, NaN where a cell is missing."""
        scaled = self.scaled(rows)
        dense = as_tensor(scaled.toarray()).to(dtype)
        if not self.kind.partial:
            return dense
        return dense.masked_fill(~sparse_mask(scaled, dtype).to_dense().bool(), torch.nan)

    def batch(self, rows: sparse.csr_array, dtype: torch.dtype, device: torch.device) -> Batch:
        """Return rows as a batch: sparse to the encoder, dense as a target."""
        return sparse_batch(self.scaled(rows), dtype, device, self.kind.partial)

    def inputs(self, rows: sparse.csr_array, dtype: torch.dtype, device: torch.device) -> Batch:
        """Return rows as a batch that is sparse throughout."""
        scaled = self.scaled(rows)
        values = sparse_tensor(scaled, dtype).to(device)
        observed = sparse_mask(scaled, dtype).to(device) if self.kind.partial else None
        return Batch(values, values, observed)

    def raw(self, prepared: Tensor) -> sparse.csr_array:
        """Return prepared values (n, width) as sparse rows."""
        return self.kind.sparsified(self.unscaled(prepared.double()).numpy())

    def stacked(self, parts: Sequence[sparse.csr_array]) -> sparse.csr_array:
        """Return sparse rows concatenated."""
        return sparse.vstack(parts, format="csr")

    def hold(self, rows: sparse.csr_array, device: torch.device, hidden: float = 0.0) -> SparseHeld:
        """Return rows held in memory, sparse."""
        scaled = self.scaled(rows).astype(np.float32)
        return SparseHeld(scaled, device, self.kind.partial, hidden)


def sparse_batch(
    rows: sparse.csr_array, dtype: torch.dtype, device: torch.device, partial: bool
) -> Batch:
    """Return sparse rows (n, width) as a batch: sparse to the encoder, dense as a target."""
    values = sparse_tensor(rows, dtype).to(device)
    target = as_tensor(rows.astype(NUMPY[dtype]).toarray()).to(device)
    observed = sparse_mask(rows, dtype).to(device).to_dense().bool() if partial else None
    return Batch(values, target, observed)


def sparse_mask(rows: sparse.csr_array, dtype: torch.dtype) -> Tensor:
    """Return a sparse tensor that is 1 where a cell is stored.

    Examples
    --------
    >>> sparse_mask(sparse.csr_array(([0, 3], ([0, 1], [1, 0])), (2, 2)), torch.float32).to_dense()
    tensor([[0., 1.],
            [1., 0.]])
    """
    cells = rows.tocoo()
    ones = np.ones(cells.nnz)
    return sparse_tensor(sparse.coo_array((ones, (cells.row, cells.col)), rows.shape), dtype)


def sparse_tensor(rows: sparse.csr_array, dtype: torch.dtype) -> Tensor:
    """Return sparse rows (n, width) as a sparse tensor, stored zeros included.

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
