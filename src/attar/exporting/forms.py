"""How an exported program prepares and restores each kind of data."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from attar.data.columns.frames import array_of
from attar.data.images import Images
from attar.data.kind import Rows
from attar.data.points import Stack, precision
from attar.data.preparation import LARGEST
from attar.data.series import Windows
from attar.data.sparse import SparsePreparation
from attar.data.summary import as_tensor
from attar.data.table import NumericTable, Table
from attar.errors import SettingError
from attar.exporting.ports import Arrays, Block, Port, rounded
from attar.predictor import Predictor
from attar.records import Batch


class ProgramForm(nn.Module, ABC):
    """The preparation of a kind of data in a program, and the way back.

    Attributes
    ----------
    inputs, outputs : Block
        The data that are taken, and those that are restored.
    precision : torch.dtype
        That in which attar computes for such data.
    """

    inputs: Block
    outputs: Block
    precision: torch.dtype

    @abstractmethod
    def batch(self, dtype: torch.dtype, x: Tensor) -> Batch:
        """Return the tensor of ``inputs`` prepared to be encoded, in a precision."""

    def scored(self, dtype: torch.dtype, x: Tensor) -> Batch:
        """Return the tensor of ``inputs`` prepared, with the target of a score."""
        return self.batch(dtype, x)

    @abstractmethod
    def restored(self, prepared: Tensor) -> Tensor:
        """Return expected values (B, *shape) as the tensor of ``outputs``."""

    @abstractmethod
    def given(self, data: object) -> Arrays:
        """Return data in the user's own form as the arrays of ``inputs``, categories as strings."""

    @abstractmethod
    def expected(self, decoded: Tensor) -> Arrays:
        """Return what attar itself restores from decoded values, but not rounded."""


class DenseForm(ProgramForm, ABC):
    """The preparation of all kinds but sparse matrices.

    Parameters
    ----------
    predictor : Predictor
    dtype : numpy.dtype
        Of the raw rows.
    """

    def __init__(self, predictor: Predictor, dtype: np.dtype) -> None:
        super().__init__()
        self.predictor = predictor
        self.kind, self.scaler = predictor.preparation.kind, predictor.preparation.scaler
        double = dtype == np.float64 and predictor.doubles
        self.precision = torch.float64 if double else torch.float32
        # What single precision cannot hold is scaled in double.
        self.single = not double and np.can_cast(dtype, np.float32)

    @abstractmethod
    def rows(self, x: Tensor) -> Tensor:
        """Return the tensor of ``inputs`` as raw rows (B, *cells), NaN where one is missing."""

    @abstractmethod
    def values(self, rows: Tensor) -> Tensor:
        """Return raw rows of expected values (B, *cells) as the tensor of ``outputs``."""

    @abstractmethod
    def arrays(self, rows: Rows) -> Arrays:
        """Return raw rows that attar decoded as the arrays of ``outputs``, but not rounded."""

    def batch(self, dtype: torch.dtype, x: Tensor) -> Batch:
        """Return the tensor of ``inputs`` prepared, values far out cut off."""
        return Batch.of(self.kind.expand(self.scaler.cut(self._scaled(x)).to(dtype)))

    def scored(self, dtype: torch.dtype, x: Tensor) -> Batch:
        """Return the tensor of ``inputs`` prepared, values far out as they are in the target."""
        far = self.kind.expand(self._scaled(x).clamp(-LARGEST, LARGEST).to(dtype))
        return replace(Batch.of(far), values=self.batch(dtype, x).values)

    def _scaled(self, x: Tensor) -> Tensor:
        scaled: Tensor = self.scaler(
            self.rows(x).to(torch.float32 if self.single else torch.float64)
        )
        return scaled

    def restored(self, prepared: Tensor) -> Tensor:
        """Return expected values (B, *shape) as the tensor of ``outputs``."""
        return self.values(self.scaler.inverse(self.kind.collapse(prepared.double())))

    def expected(self, decoded: Tensor) -> Arrays:
        """Return what attar itself restores from decoded values, but not rounded."""
        return self.arrays(self.predictor.possible([decoded]))


class ImagesForm(DenseForm):
    """Images in their own layout, dtype and range."""

    low: Tensor
    high: Tensor

    def __init__(self, kind: Images, predictor: Predictor) -> None:
        super().__init__(predictor, np.dtype(kind.dtype))
        self.images, self.dtype = kind, torch_dtype(kind.dtype)
        self.inputs = Block((Port("x", self.dtype, kind.size),))
        self.outputs = Block((Port("reconstruction", self.dtype, kind.size),))
        for name, limits, none in (("low", kind.low, -np.inf), ("high", kind.high, np.inf)):
            limit = torch.tensor(limits or (none,), dtype=torch.float64)
            self.register_buffer(name, limit.reshape(-1, 1, 1))

    def rows(self, x: Tensor) -> Tensor:
        """Return images with channels first."""
        if self.images.first:
            return x
        return x[:, None] if x.ndim == 3 else x.permute(0, 3, 1, 2)

    def values(self, rows: Tensor) -> Tensor:
        """Return images in the user's own layout, dtype and range."""
        pixels = rows.clamp(self.low, self.high)
        if not self.images.first:
            pixels = pixels[:, 0] if len(self.images.size) == 2 else pixels.permute(0, 2, 3, 1)
        return rounded(pixels, self.dtype)

    def given(self, data: object) -> Arrays:
        """Return the stack."""
        return [np.asarray(data, self.images.dtype)]

    def arrays(self, rows: Rows) -> Arrays:
        """Return images, not rounded."""
        return [replace(self.images, dtype="float64").restore(rows)]


class MatrixForm(DenseForm):
    """An array (B, columns) of numbers; columns without a value are missing in what is restored."""

    only: Tensor

    def __init__(self, kind: NumericTable, predictor: Predictor) -> None:
        super().__init__(predictor, np.dtype(kind.dtype))
        self.table, self.dtype = kind, torch_dtype(kind.dtype)
        self.inputs = Block((Port("x", self.dtype, (kind.width,)),))
        self.outputs = Block((Port("reconstruction", self.dtype, (kind.width,)),))
        self.possible = Possible(predictor)
        self.used = [i for i in range(kind.width) if i not in kind.void]
        self.constant = [place for place, _ in kind.constants]
        only = torch.tensor([value for _, value in kind.constants], dtype=torch.float64)
        self.register_buffer("only", only)

    def rows(self, x: Tensor) -> Tensor:
        """Return the columns that are used; constant ones have their value."""
        rows = x[:, self.used]
        if self.constant:
            columns = rows[:, self.constant].double()
            columns = torch.where(columns.isnan(), columns, self.only)
            rows = rows.double().index_copy(1, torch.tensor(self.constant), columns)
        return rows

    def values(self, rows: Tensor) -> Tensor:
        """Return all columns."""
        whole = rows.new_full((rows.shape[0], self.table.width), torch.nan)
        whole[:, self.used] = self.possible(rows)
        return rounded(whole, self.dtype)

    def given(self, data: object) -> Arrays:
        """Return the array."""
        return [array_of(data).astype(self.table.dtype)]

    def arrays(self, rows: Rows) -> Arrays:
        """Return all columns, not rounded."""
        return [replace(self.table, dtype="float64").restore(rows)]


class WindowsForm(DenseForm):
    """Windows of series (B, steps, channels), NaN where a point is missing."""

    def __init__(self, kind: Windows, predictor: Predictor) -> None:
        form = kind.form
        dtypes = [np.dtype(form.dtype)] if isinstance(form, Stack) else [np.dtype(np.float64)]
        super().__init__(predictor, np.dtype(precision(dtypes)))
        self.windows, channels = kind, len(kind.channels_used)
        if any(kind.typical):
            names = [name for name, remark in kind.remarks if "standardized" in remark]
            raise SettingError(
                f"Channel {names[0]!r} is standardized within each series, and a program "
                "has windows only: standardize the series first, and fit on these."
            )
        self.dtype = torch_dtype(precision(dtypes))
        self.inputs = Block((Port("x", self.dtype, (kind.window, channels)),))
        self.outputs = Block((Port("reconstruction", self.dtype, (kind.window, channels)),))

    def rows(self, x: Tensor) -> Tensor:
        """Return windows with channels first."""
        return x.transpose(1, 2)

    def values(self, rows: Tensor) -> Tensor:
        """Return windows with steps first."""
        return rows.transpose(1, 2).to(self.dtype)

    def given(self, data: object) -> Arrays:
        """Return the windows of series."""
        return self.arrays(self.windows.rows(data))

    def arrays(self, rows: Rows) -> Arrays:
        """Return windows with steps first."""
        return [rows.transpose(0, 2, 1)]


class SparseForm(ProgramForm):
    """A sparse matrix as a dense one (B, columns), NaN where a cell is missing.

    What is restored are expected values: nothing is left out or rounded.
    """

    def __init__(self, preparation: SparsePreparation) -> None:
        super().__init__()
        self.preparation, self.scaler = preparation, preparation.scaler
        kind = preparation.kind
        double = kind.dtype == "float64"
        self.precision = torch.float64 if double else torch.float32
        self.inputs = Block((Port("x", torch_dtype(kind.dtype), (kind.width,)),))
        self.outputs = Block((Port("reconstruction", self.precision, (kind.width,)),))

    def batch(self, dtype: torch.dtype, x: Tensor) -> Batch:
        """Return the matrix prepared."""
        if not self.preparation.kind.partial:
            return Batch(x.to(dtype), x.to(dtype))
        return Batch.of(self.scaler(x.double()).to(dtype))

    def restored(self, prepared: Tensor) -> Tensor:
        """Return the expected values."""
        return self.preparation.unscaled(prepared).to(self.precision)

    def given(self, data: object) -> Arrays:
        """Return the matrix, dense."""
        rows = self.preparation.kind.rows(data)
        dense = rows.toarray()
        if self.preparation.kind.partial:
            dense = np.full(rows.shape, np.nan, np.result_type(rows.dtype, np.float32))
            dense[self.preparation.known(rows)] = rows.data
        return [dense.astype(self.preparation.kind.dtype)]

    def expected(self, decoded: Tensor) -> Arrays:
        """Return the expected values."""
        return [self.preparation.unscaled(decoded).numpy()]


class Possible(nn.Module):
    """Raw rows of a table without impossible values; see :meth:`~Margins.possible`."""

    floor: Tensor
    ceiling: Tensor

    def __init__(self, predictor: Predictor) -> None:
        super().__init__()
        margins = predictor.margins
        assert isinstance(predictor.preparation.kind, Table)
        cells = len(predictor.preparation.kind.cells)
        limits = {"floor": np.full(cells, -np.inf), "ceiling": np.full(cells, np.inf)}
        for name, whole in limits.items():
            self.register_buffer(name, torch.from_numpy(whole))
        if margins is not None:
            limits["floor"][margins.places], limits["ceiling"][margins.places] = margins.limits

    def forward(self, rows: Tensor) -> Tensor:
        """Return raw rows (B, cells)."""
        return rows.clamp(self.floor, self.ceiling)


def torch_dtype(dtype: str | type) -> torch.dtype:
    """Return torch's name of a dtype of NumPy.

    Raises
    ------
    SettingError
        If it has none.
    """
    try:
        return as_tensor(np.empty(0, dtype)).dtype
    except TypeError:
        raise SettingError(f"A program takes no {dtype} numbers: fit on float64.") from None
