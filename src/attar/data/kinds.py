"""The kind of some data, and its preparation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial, reduce
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse
from torch import Tensor

from attar.data.clips import Clips
from attar.data.images import Images
from attar.data.kind import Json, Kind
from attar.data.lines import Lines
from attar.data.pictures import Pictures
from attar.data.preparation import DensePreparation, Preparation
from attar.data.recordings import SoundWindows
from attar.data.scaling import Scaler, Scaling, Unscaled
from attar.data.series import Series, Windows
from attar.data.sounds import Sounds
from attar.data.sparse import Sparse, SparseMatrix, SparsePreparation
from attar.data.stream import Sample, Stream, SupportsArrow, pieces
from attar.data.summary import Moments, Summary
from attar.data.table import Table
from attar.data.text import Text, are_texts, is_column_of_texts
from attar.errors import DataError, SettingError

KINDS: dict[str, type[Kind]] = {
    kind.name: kind for kind in (Table, Images, Windows, SparseMatrix, SoundWindows, Text)
}


def kind_to_json(kind: Kind) -> Json:
    """Return a kind but for its tensors as plain JSON data."""
    return {"name": kind.name, **kind.to_json()}


def kind_from_json(data: Json, tensors: Mapping[str, Tensor]) -> Kind:
    """Return the kind of :func:`kind_to_json` that has these tensors."""
    form = {name: value for name, value in data.items() if name != "name"}
    return KINDS[data["name"]].from_json(form).with_tensors(tensors)


def kind_of(data: Any) -> type[Kind]:
    """Return what kind of data this is.

    Raises
    ------
    DataError
        If it is no kind that attar knows.
    """
    if isinstance(data, Pictures):
        return Images
    if isinstance(data, Sounds | Clips):
        return SoundWindows
    if isinstance(data, Lines):
        return Text
    if isinstance(data, Stream):
        return kind_of(next(iter(data)))
    if isinstance(data, Series):
        return Windows
    if are_texts(data):
        return Text
    if isinstance(data, pd.DataFrame | SupportsArrow):
        return Table
    if isinstance(data, Sparse) or sparse.issparse(data):
        return SparseMatrix
    if isinstance(data, np.lib.npyio.NpzFile):
        raise DataError(
            f"An archive with the arrays {', '.join(data.files)} is no data: give one of them, "
            f"such as archive[{next(iter(data.files), 'X')!r}]."
        )
    if isinstance(data, Sequence) and data and isinstance(data[0], Path):
        raise DataError(
            "A list of paths is no data: give the path of the folder, or attar.Sounds(X) for sound."
        )
    try:
        dimensions = np.asarray(data).ndim
    except ValueError:
        sizes = sorted({str(np.shape(item)) for item in data})
        raise DataError(
            f"The rows have different shapes ({', '.join(sizes[:4])}): bring them to one."
        ) from None
    if dimensions in (3, 4):
        return Images
    if dimensions == 5:
        raise DataError(
            f"Videos of shape {np.shape(data)} are not supported: "
            "X.reshape(-1, *X.shape[2:]) makes a stack of their frames."
        )
    if dimensions == 2:
        return Table
    if not dimensions and not np.isscalar(data) and not isinstance(data, np.ndarray):
        raise DataError(
            f"{type(data).__name__!r} is no form of data that attar knows: give an array, a table, "
            "a path, or the name of a data set."
        )
    raise DataError(
        f"Expected 2D array (rows, columns) or images (rows, height, width[, channels]), got an "
        f"array with {dimensions} dimensions instead. Reshape your data: array.reshape(-1, 1) for "
        "one column, array.reshape(1, -1) for one row."
    )


def form_of(data: Any, columns: Mapping[str, str] | None = None) -> tuple[Kind, Summary]:
    """Return the form of data, of the kind that they are, and their summary.

    Parameters
    ----------
    data : array, table, Series, sparse matrix, or Stream
    columns : mapping or None
        The kinds of a table's columns that the user chose, by their names.

    Raises
    ------
    DataError
        If no model can be trained on the data.
    SettingError
        If the data have no columns of these names.
    """
    if not columns and is_column_of_texts(data):
        return Text.of([data])
    kind = kind_of(data)
    if not columns:
        return kind.of(pieces(data))
    if kind is not Table:
        raise SettingError(
            f"columns is for tables, and the data are {kind.name}: leave it out, or drop columns "
            "before."
        )
    return Table.of(pieces(data), {str(name): kind for name, kind in columns.items()})


def summary_of(kind: Kind, data: Any) -> Summary:
    """Return the summary of further data of a form that is known, from one pass over them.

    Raises
    ------
    DataError
        If the data are of another form.
    """
    parts: list[Moments] = []
    sample: Sample[Any] = Sample(lambda rows, places: rows[places], kind.sample_size)
    for piece in kind.pieces(data):
        kind.changed(piece)
        rows = kind.rows(piece)
        parts.append(Moments.of(kind.columns(rows)))
        sample.add(rows, rows.shape[0])
    moments = reduce(Moments.merged, parts)
    if isinstance(kind, SparseMatrix):
        kept, places = sample.result(partial(sparse.vstack, format="csr"))
        return Summary(sample.seen, moments, kept, places, kind.partial)
    return Summary(sample.seen, moments, *sample.result(np.concatenate))


def preparation(kind: Kind, scaling: Scaling, summary: Summary) -> Preparation:
    """Return the preparation that suits data of a kind and summary.

    Raises
    ------
    SettingError
        If the scaling would make a sparse matrix dense.
    """
    dense = isinstance(kind, SparseMatrix) and not kind.partial
    if dense and not isinstance(scaling, Unscaled):
        raise SettingError(
            f"The scaling {scaling.name!r} would make a sparse matrix dense: use 'none'."
        )
    return _type(kind).fit(kind, scaling, summary)


def restored(kind: Kind, scaler: Scaler) -> Preparation:
    """Return the preparation that has this scaler."""
    return _type(kind)(kind, scaler)


def _type(kind: Kind) -> type[Preparation]:
    return SparsePreparation if isinstance(kind, SparseMatrix) else DensePreparation
