"""The base of the kinds of data: each stores the user's own form, and restores data in it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from attar.data.scaling import Scaling
from attar.data.stream import SIZE, pieces
from attar.data.summary import Rows as Rows
from attar.data.summary import Summary
from attar.errors import DataError, warn

# Plain data of JSON.
Json = dict[str, Any]


@dataclass(frozen=True)
class Portion:
    """A part of the data: a column of a table, a channel of a series.

    Attributes
    ----------
    name, type : str
    columns : slice
        The columns of :meth:`Kind.columns` that it became; empty where it is not used.
    remark : str
        How its handling differs from the rule; empty where it does not.
    advice : str
        What to do where it is not used; empty where it is.
    """

    name: str
    type: str
    columns: slice
    remark: str = ""
    advice: str = ""


class Kind(ABC):
    """The form of some data.

    ::

        user's data ── rows ──► raw rows ── scaler ──► scaled ── expand ──► prepared rows
                   ◄─ restore ── (n, *cells) ◄─ inverse ──  ◄─ collapse ──  (n, *shape)

    Raw rows are numbers, one cell for each thing that can be missing, and NaN where it is.
    Prepared rows are what networks see.
    """

    name: ClassVar[str]

    # What the parts of a row are called.
    part: ClassVar[str] = "column"

    # Whether new rows are draws, noise included, where the user says nothing: images are means.
    noisy: ClassVar[bool] = True

    # In training this fraction of the cells is hidden where cells are missing.
    hidden: ClassVar[float] = 0.15

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """The shape of one prepared row, channels first."""

    @property
    def dimensions(self) -> int:
        """How many values of the user's a row has: columns of a table, else cells."""
        return prod(self.shape)

    @property
    def leaders(self) -> Tensor | None:
        """With which cell of a raw row each one is hidden in training; None: each by itself."""
        return None

    @classmethod
    @abstractmethod
    def of(cls, pieces: Iterable[object]) -> tuple[Self, Summary]:
        """Return the form of data and its summary, from one pass over its pieces.

        Raises
        ------
        DataError
            If no model can be trained on the data.
        """

    @abstractmethod
    def rows(self, data: object) -> Rows:
        """Return data of this form as raw rows: (n, *cells), NaN where a cell is missing.

        Raises
        ------
        DataError
            If it is of another form, or has infinite cells.
        """

    @property
    def overlap(self) -> int:
        """How many of the following rows share cells with a row: windows of a series do."""
        return 0

    @property
    def sample_size(self) -> int:
        """How many rows a summary keeps at most."""
        return SIZE

    @property
    def remarks(self) -> list[tuple[str, str]]:
        """Names of parts of the data that are not used as they are, and why."""
        return []

    @property
    @abstractmethod
    def portions(self) -> list[Portion]:
        """The parts of the data."""

    @property
    def parts(self) -> list[tuple[str, slice]]:
        """The parts that the model reconstructs, and the cells of a prepared row that each is."""
        return [(name, slice(i, i + 1)) for i, name in enumerate(self.feature_names())]

    def refusal(self, shape: tuple[int, ...], other: type[Kind]) -> str:
        """Return why data of another kind and of a shape is refused."""
        article = "a " * (other.name == "table")
        return (
            f"The model was fitted on {self.name}, but X is {article}{other.name} of shape {shape}."
        )

    def accepts(self, other: type[Kind]) -> bool:
        """Return whether data of another kind may be taken for this one."""
        return isinstance(self, other)

    def pieces(self, data: object) -> Iterable[object]:
        """Return the pieces in which data of this form may be processed, one after the other."""
        return pieces(data)

    def index(self, data: object) -> pd.DataFrame | None:
        """Return what names each raw row: identifiers, a file, a window's series and times.

        None where rows are rows of the data and have no name.
        """
        return None

    def changed(self, data: object) -> NDArray[np.intp] | None:
        """Return how many columns of each raw row differ that were constant in the fit.

        They are named in a warning. None where there are none.
        """
        return None

    def passthrough(self, data: object) -> Any:
        """Return what is not modelled, but needed to restore this very data."""
        return None

    @abstractmethod
    def restore(self, rows: Rows, passthrough: Any = None) -> Any:
        """Return raw rows (n, *cells) in the user's own form, dtypes included.

        Parameters
        ----------
        rows : array
        passthrough : object
            What :meth:`passthrough` returned for the data of these rows; None for new data.
        """

    @abstractmethod
    def joined(self, parts: Sequence[Any]) -> object:
        """Return pieces of the user's own form as one."""

    @abstractmethod
    def scaling(self, summary: Summary) -> Scaling:
        """Return the scaling that suits this data."""

    @abstractmethod
    def columns(self, rows: Rows) -> Rows:
        """Return raw rows as a matrix whose columns are each scaled alike: (m, columns)."""

    @abstractmethod
    def spread(self, per_column: NDArray[np.float64], neutral: float) -> NDArray[np.float64]:
        """Return a value for each of those columns in a shape that broadcasts against a raw row.

        Parameters
        ----------
        per_column : array (columns,)
        neutral : float
            The value for cells that are not scaled.
        """

    def expand(self, scaled: Tensor) -> Tensor:
        """Return scaled rows (B, *cells) as prepared rows (B, *shape), NaN where missing."""
        return scaled

    def collapse(self, prepared: Tensor) -> Tensor:
        """Return prepared rows (B, *shape) as scaled rows (B, *cells): the most likely ones."""
        return prepared

    def columns_with(self, features: NDArray[np.bool_]) -> int:
        """Return how many columns of a table, or cells of anything else, have a feature of these.

        Parameters
        ----------
        features : bool array (features,)
            A mask of the cells of a prepared row.
        """
        return int(features.sum())

    def with_unit(self, prepared: Rows) -> tuple[list[str], Rows]:
        """Return names and values (m, columns) of the prepared columns that have a unit."""
        return self.feature_names(), self.columns(prepared)

    def residuals(self, prepared: Rows, decoded: Rows) -> Rows:
        """Return by how much decoded values differ from prepared ones; NaN where one is missing."""
        residuals: Rows = decoded - prepared
        return residuals

    @abstractmethod
    def feature_names(self) -> list[str]:
        """Return a name for each cell of a prepared row."""

    def tensors(self) -> dict[str, Tensor]:
        """Return what is too large for JSON, by name: of columns of text their words and texts."""
        return {}

    def with_tensors(self, tensors: Mapping[str, Tensor]) -> Self:
        """Return the form of JSON with what :meth:`tensors` returned."""
        return self

    @abstractmethod
    def to_json(self) -> Json:
        """Return the form as plain JSON data."""

    @classmethod
    @abstractmethod
    def from_json(cls, data: Json) -> Self:
        """Return the form that :meth:`to_json` described."""


def back_to(dtype: np.dtype, rows: Rows) -> Rows:
    """Return floating point numbers in a dtype: integers rounded and kept in range."""
    if dtype.kind == "b":
        return np.asarray(rows >= 0.5)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        # The largest 64-bit integers have no exact double: stay one double below.
        top = np.nextafter(float(limits.max) + 1, 0)
        return np.asarray(np.clip(np.rint(rows.astype(np.float64)), limits.min, top).astype(dtype))
    return rows.astype(dtype, copy=False)


def require_finite(rows: Rows, name_of: Callable[[tuple[int, ...]], str]) -> Rows:
    """Return the rows if none of them is infinite; NaN, which is missing, may be.

    Parameters
    ----------
    rows : array (n, ...)
    name_of : callable
        The words for a cell, from its index within a row.

    Raises
    ------
    DataError
        If a cell is infinite; the message names the first.
    """
    # A sum is finite if all are, but for overflow: only another sum needs a closer look.
    with np.errstate(over="ignore", invalid="ignore"):
        if rows.dtype.kind != "f" or np.isfinite(rows.sum(dtype=np.float64)):
            return rows
    bad = np.isinf(rows)
    if not bad.any():
        return rows
    place = tuple(int(i) for i in np.argwhere(bad.any(0))[0])
    infinite = int(bad.reshape(len(rows), -1)[:, np.ravel_multi_index(place, rows.shape[1:])].sum())
    raise DataError(
        f"{name_of(place)} has {infinite} infinite values (inf): replace them by finite ones, or "
        "set infinite_as_missing=True."
    )


def warn_of_unused(kind: Kind) -> None:
    """Warn of each column that the model does not use."""
    for portion in kind.portions:
        if portion.advice:
            warn(f"Column {portion.name!r} is not used, as {portion.remark}: {portion.advice}.")


def changes(differing: dict[str, NDArray[np.bool_]]) -> NDArray[np.intp] | None:
    """Return in how many columns each row differs, with a warning that names them.

    Parameters
    ----------
    differing : dict
        By a column's name, in which rows (n,) it differs from the constant that it was.
    """
    found = {name: differs for name, differs in differing.items() if differs.any()}
    if not found:
        return None
    named = ", ".join(repr(name) for name in list(found)[:5]) + ", ..." * (len(found) > 5)
    total: NDArray[np.intp] = np.sum(list(found.values()), axis=0)
    warn(
        f"Columns that were constant in the fit have other values now, in {(total > 0).sum():,} "
        f"rows: {named}. They lower the score and change nothing else; fit on rows that have them."
    )
    return total
