"""What every kind of data is: the user's own form, remembered so that data can come back in it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from attar.data.scaling import Scaling
from attar.errors import DataError

Rows = NDArray[Any]


class Kind(ABC):
    """The form of some data.

    Attributes
    ----------
    shape : tuple of int
        The shape of one row as networks see it, channels first.
    """

    name: ClassVar[str]
    shape: tuple[int, ...]

    @classmethod
    @abstractmethod
    def of(cls, data: Any) -> Self:
        """Return the form of data."""

    @abstractmethod
    def rows(self, data: Any) -> Rows:
        """Return data of this form as numbers: (n, *shape).

        Raises
        ------
        DataError
            If it is of another form, or has cells that are no finite numbers.
        """

    @abstractmethod
    def restore(self, rows: Rows) -> Any:
        """Return numbers (n, *shape) in the user's own form, dtypes included."""

    @abstractmethod
    def scaling(self, rows: Rows) -> Scaling:
        """Return the scaling that suits these rows."""

    @abstractmethod
    def columns(self, rows: Rows) -> Rows:
        """Return the rows as a matrix whose columns are each scaled alike: (m, columns)."""

    @abstractmethod
    def spread(self, per_column: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return a value for each of those columns in a form that broadcasts against one row."""

    @abstractmethod
    def feature_names(self) -> list[str]:
        """Return a name for each cell of a row."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Return the form as plain JSON data."""

    @classmethod
    @abstractmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Return the form that :meth:`to_json` wrote down."""


def back_to(dtype: np.dtype[Any], rows: Rows) -> Rows:
    """Return floating point numbers in a dtype: integers rounded and kept in range."""
    if dtype.kind == "b":
        return np.asarray(rows >= 0.5)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        # The largest 64-bit integers have no exact double: stay one double below.
        top = np.nextafter(float(limits.max) + 1, 0)
        return np.asarray(np.clip(np.rint(rows.astype(np.float64)), limits.min, top).astype(dtype))
    return rows.astype(dtype, copy=False)


def require_numbers(rows: Rows, name_of: Any) -> Rows:
    """Return the rows if all of them are finite.

    Parameters
    ----------
    rows : array (n, ...)
    name_of : callable
        The words for a cell's place, from its index within a row.

    Raises
    ------
    DataError
        If a cell is missing or infinite; it names the first such place.
    """
    # A sum is finite if all are, but for overflow: only a bad sum is worth a closer look.
    with np.errstate(over="ignore", invalid="ignore"):
        if rows.dtype.kind != "f" or np.isfinite(rows.sum(dtype=np.float64)):
            return rows
    bad = ~np.isfinite(rows)
    if not bad.any():
        return rows
    place = tuple(int(i) for i in np.argwhere(bad.any(0))[0])
    cells = rows.reshape(len(rows), -1)[:, np.ravel_multi_index(place, rows.shape[1:])]
    missing = int(np.isnan(cells).sum())
    if missing:
        raise DataError(
            f"{name_of(place)} has {missing} missing values (NaN): fill them or leave the rows out."
        )
    infinite = int(np.isinf(cells).sum())
    raise DataError(
        f"{name_of(place)} has {infinite} infinite values (inf): replace them by finite ones."
    )
