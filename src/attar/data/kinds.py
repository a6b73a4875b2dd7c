"""The kinds of data, by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from attar.data.images import Images
from attar.data.kind import Kind
from attar.data.pictures.folder import Pictures
from attar.data.series import SeriesData, Windows
from attar.data.sparse import Sparse
from attar.data.stream import Stream
from attar.data.table import Table
from attar.errors import DataError

KINDS: dict[str, type[Kind]] = {kind.name: kind for kind in (Table, Images, Windows, Sparse)}


def kind_of(data: Any) -> type[Kind]:
    """Return what kind of data this is.

    Raises
    ------
    DataError
        If it is no kind that attar knows.
    """
    if isinstance(data, Pictures):
        return Images
    if isinstance(data, Stream):
        return kind_of(next(iter(data)))
    if isinstance(data, SeriesData):
        return Windows
    if isinstance(data, pd.DataFrame) or hasattr(data, "__arrow_c_stream__"):
        return Table
    if sparse.issparse(data):
        return Sparse
    try:
        dimensions = np.asarray(data).ndim
    except ValueError:
        sizes = sorted({str(np.shape(item)) for item in data})
        raise DataError(
            f"The rows have different shapes ({', '.join(sizes[:4])}): bring them to one."
        ) from None
    if dimensions in (3, 4):
        return Images
    if dimensions == 2:
        return Table
    raise DataError(
        f"Expected 2D array (rows, columns) or images (rows, height, width[, channels]), got an "
        f"array with {dimensions} dimensions instead. Reshape your data: array.reshape(-1, 1) for "
        "one column, array.reshape(1, -1) for one row."
    )
