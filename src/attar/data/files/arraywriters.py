"""Arrays to files, piece by piece."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy import sparse

from attar.data.files.writer import Writer
from attar.data.kind import Rows
from attar.errors import DataError, FileError


class NpyWriter(Writer):
    """Writes an array (n, ...) in NumPy's own format."""

    _dtype: np.dtype[Any] | None = None
    _shape: tuple[int, ...] = ()
    _rows = 0

    def write(self, piece: Any) -> None:
        """Write the next rows; frames as the array of their values."""
        if sparse.issparse(piece):
            raise DataError(f"{self.path} has no place for a sparse matrix: write .npz.")
        array = np.ascontiguousarray(as_array(piece))
        if array.dtype.hasobject:
            raise DataError(
                f"{self.path} holds numbers only, and this data has others: write a table "
                "(.csv, .parquet or .feather)."
            )
        if self._dtype is None:
            self._dtype, self._shape = array.dtype, array.shape[1:]
            self._write_header(self._dtype)
        if (array.dtype, array.shape[1:]) != (self._dtype, self._shape):
            raise FileError(
                f"{self.path} began with rows of {self._dtype} and shape {self._shape}, and cannot "
                f"go on with {array.dtype} and {array.shape[1:]}."
            )
        self.file.write(array.reshape(-1).view(np.uint8).data)
        self._rows += len(array)

    def finish(self) -> None:
        """Write the number of rows into the header."""
        if self._dtype is None:
            raise self._nothing()
        self.file.seek(0)
        self._write_header(self._dtype)

    def _write_header(self, dtype: np.dtype[Any]) -> None:
        # NumPy leaves room in it for any number of rows.
        facts = {
            "descr": np.lib.format.dtype_to_descr(dtype),
            "fortran_order": False,
            "shape": (self._rows, *self._shape),
        }
        np.lib.format.write_array_header_1_0(self.file, facts)


class NpzWriter(NpyWriter):
    """Writes an array (n, ...) named X to a compressed archive, by way of a temporary file.

    Sparse matrices go into one as SciPy has them.
    """

    def __init__(self, path: Path, file: IO[bytes], names: Sequence[str] | None = None) -> None:
        beside = tempfile.TemporaryFile(dir=path.parent)  # noqa: SIM115
        super().__init__(path, beside, names)
        self._archive = file
        self._matrices: list[Any] = []

    def write(self, piece: Any) -> None:
        """Write the next rows; those of sparse matrices are kept until all are there."""
        if sparse.issparse(piece):
            self._matrices.append(piece)
        else:
            super().write(piece)

    def finish(self) -> None:
        """Compress what was written."""
        if self._matrices:
            layout = self._matrices[0].format
            sparse.save_npz(self._archive, sparse.vstack(self._matrices, format=layout))
            return
        super().finish()
        self.file.seek(0)
        with (
            zipfile.ZipFile(self._archive, "w", zipfile.ZIP_DEFLATED) as archive,
            archive.open("X.npy", "w", force_zip64=True) as entry,
        ):
            shutil.copyfileobj(self.file, entry, 1 << 20)

    def close(self) -> None:
        """Delete the temporary file."""
        self.file.close()


def as_array(piece: Any) -> Rows:
    """Return rows of any form as an array; missing whole numbers of a table become NaN."""
    if hasattr(piece, "__arrow_c_stream__") and not isinstance(piece, pd.DataFrame):
        piece = pa.table(piece).to_pandas()
    if isinstance(piece, pd.DataFrame):
        masked = [name for name, dtype in piece.dtypes.items() if _is_masked(dtype)]
        piece = piece.astype(dict.fromkeys(masked, np.float64)).to_numpy()
    return np.asarray(piece)


def _is_masked(dtype: Any) -> bool:
    return pd.api.types.is_extension_array_dtype(dtype) and pd.api.types.is_numeric_dtype(dtype)
