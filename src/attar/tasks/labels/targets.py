"""Labels as users write them: classes or numbers, some of which are missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import column_or_1d

from attar.data.kind import Json
from attar.errors import DataError, warn

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

# More numbers than these, each of fewer labelled rows in the mean, are no classes.
MOST_NUMBERS, ROWS_OF_NUMBER = 30, 100

# So many classes are named in a message.
NAMED = 5


@dataclass(frozen=True)
class Classes:
    """The classes of a classifier.

    Attributes
    ----------
    values : array (classes,)
        In order, as the user has them.
    """

    values: NDArray[Any]

    @classmethod
    def of(cls, y: ArrayLike) -> tuple[Self, Mask, NDArray[np.intp]]:
        """Return the classes, which rows have a label, and the class of each of these.

        Raises
        ------
        DataError
            If no label is known, or one class only, or the labels are numbers with many values.
        """
        labels = one_column(y)
        known = ~missing(labels)
        if _of_integers(labels) and len(set(labels[known])) == 1 and (labels == -1).any():
            known = np.ones(len(labels), bool)
            warn(
                f"y has the values -1 and {labels[labels != -1][0]} only, which are taken for two "
                "classes: mark unknown labels by NaN or None where there is one class."
            )
        _check_some(known)
        if (
            labels.dtype.kind == "O"
            and len({isinstance(label, str) for label in labels[known]}) > 1
        ):
            raise DataError("y has text and numbers: give labels of one type.")
        values, places = np.unique(labels[known], return_inverse=True)
        _check_classes(values, np.bincount(places))
        return cls(values), known, places

    def named(self, places: NDArray[np.intp]) -> NDArray[Any]:
        """Return the classes at some places, as the user has them."""
        return np.asarray(self.values[places])

    def to_json(self) -> Json:
        """Return the classes as plain JSON data."""
        return {"values": self.values.tolist(), "dtype": self.values.dtype.str}

    @classmethod
    def from_json(cls, data: Json) -> Self:
        """Return the classes that :meth:`to_json` described."""
        return cls(np.array(data["values"], np.dtype(data["dtype"])))


@dataclass(frozen=True)
class Numbers:
    """The targets of a regressor, in units of their standard deviation.

    Attributes
    ----------
    mean, scale : float
    """

    mean: float
    scale: float

    @classmethod
    def of(cls, y: ArrayLike) -> tuple[Self, Mask, Array]:
        """Return the unit of numbers, which rows have one, and each of these in this unit.

        Raises
        ------
        DataError
            If no label is known, or one is no finite number.
        """
        labels = one_column(y)
        try:
            numbers = pd.Series(labels).replace("", None).astype(np.float64).to_numpy()
        except (TypeError, ValueError):
            raise DataError("y has labels that are no numbers: use attar.Classifier.") from None
        if np.isinf(numbers).any():
            raise DataError("y contains infinity: replace it by finite numbers, or NaN.")
        known = ~np.isnan(numbers)
        _check_some(known)
        mean, scale = float(numbers[known].mean()), float(numbers[known].std())
        unit = cls(mean, scale if scale > 0 else 1.0)
        return unit, known, np.asarray((numbers[known] - mean) / unit.scale)

    def named(self, standardized: Array) -> Array:
        """Return numbers in the user's own unit."""
        return self.mean + self.scale * standardized


def one_column(y: ArrayLike) -> NDArray[Any]:
    """Return labels as an array (n,).

    Raises
    ------
    DataError
        If there are none, or several for each row.
    """
    if y is None:
        raise DataError(
            "This estimator requires y to be passed, but the target y is None: give a label for "
            "each row, and -1, NaN or None where it is unknown."
        )
    labels = y.to_numpy() if isinstance(y, pd.Series) else np.asarray(y)
    try:
        found: NDArray[Any] = column_or_1d(labels, warn=True)
    except ValueError as error:
        raise DataError(f"y has no single label for each row: {error}") from None
    return found


def missing(labels: NDArray[Any]) -> Mask:
    """Return which labels are unknown: -1 of integers, NaN, None, and empty texts."""
    found = np.asarray(pd.isna(labels)) | (labels == "" if labels.dtype.kind in "OUT" else False)
    return found | (labels == -1 if _of_integers(labels) else False)


def are_numbers(labels: NDArray[Any]) -> bool:
    """Return whether known labels are numbers that are not classes."""
    known = labels[~missing(labels)]
    if known.dtype.kind == "O" and all(isinstance(label, int | float) for label in known):
        known = known.astype(np.float64)
    if known.dtype.kind not in "iuf" or not len(known):
        return False
    number = len(np.unique(known))
    whole = np.isfinite(known).all() and (known == np.floor(known)).all()
    return bool(not whole or number > max(MOST_NUMBERS, len(known) / ROWS_OF_NUMBER))


def _of_integers(labels: NDArray[Any]) -> bool:
    return labels.dtype.kind == "i"


def _check_some(known: Mask) -> None:
    if not known.any():
        raise DataError("No label is known: give some rows a label.")


def _check_classes(values: NDArray[Any], counts: NDArray[np.intp]) -> None:
    """Refuse one class, and numbers with many values; warn of classes of one row."""
    if are_numbers(np.repeat(values, counts)):
        raise DataError(
            f"Unknown label type: continuous. The labels are {len(values):,} different numbers: "
            "use attar.Regressor, or give them as text where they are classes."
        )
    if len(values) == 1:
        raise DataError(
            f"The labelled rows are of one class, {values.item()!r}: label rows of another too."
        )
    single = [repr(value) for value in values[counts == 1].tolist()]
    if single:
        more = ", ..." * (len(single) > NAMED)
        several = "es" * (len(single) > 1)
        warn(
            f"One row only is labelled with the class{several} {', '.join(single[:NAMED])}{more}: "
            "how far to trust such predictions cannot be measured; label a few rows more."
        )
