"""Known-ahead and static columns: numbers, or categories as the numbers of their levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attar.data.kind import Json
from attar.data.points import Name, Points
from attar.errors import DataError, warn
from attar.tasks.steps import places_of_series

Array = NDArray[np.float64]
Integers = NDArray[np.intp]
Level = str | bool

# The most levels of a category; how many groups of series a static number makes.
LEVELS, BINS = 100, 4

# The number of a value that is no level of the fit.
NONE = -1


@dataclass(frozen=True)
class Covariate:
    """A known-ahead or static column.

    Attributes
    ----------
    name : str or int
    levels : tuple of (str or bool), or None
        Those of a category, in order; None for numbers.

    Examples
    --------
    >>> holiday = Covariate("holiday", ("Easter", "Whitsun"))
    >>> numbers = holiday.numbers(pd.Series(["Whitsun", None, "Easter"]))
    >>> numbers
    array([ 1., nan,  0.])
    >>> holiday.one_hot(numbers)
    array([[0., 1.],
           [0., 0.],
           [1., 0.]])
    """

    name: Name
    levels: tuple[Level, ...] | None

    @classmethod
    def of(cls, column: pd.Series, name: Name) -> Self:
        """Return the covariate that a column is.

        Raises
        ------
        DataError
            If it has more than ``LEVELS`` levels.
        """
        column = column.infer_objects()
        numeric = pd.api.types.is_numeric_dtype(column) and column.dtype.kind != "b"
        values = column.dropna()
        if numeric or not len(values):
            return cls(name, None)
        flags = all(isinstance(value, bool | np.bool_) for value in values)
        levels = sorted({bool(value) if flags else str(value) for value in values.unique()})
        if len(levels) > LEVELS:
            raise DataError(
                f"Column {name!r} has {len(levels)} levels, of at most {LEVELS}: give numbers, or "
                "fewer categories."
            )
        return cls(name, tuple(levels))

    def numbers(self, column: pd.Series) -> Array:
        """Return the numbers of levels: -1 for one that the fit did not have, which is warned of.

        NaN where a value is missing.
        """
        missing = column.isna().to_numpy()
        texts = [None if gap else str(x) for x, gap in zip(column, missing, strict=True)]
        found = pd.Index(map(str, self.levels or ())).get_indexer(pd.Index(texts, dtype=object))
        numbers = np.where(missing, np.nan, found)
        for place in np.flatnonzero(numbers == NONE)[:1]:
            warn(
                f"Column {self.name!r} has a level that the fit did not have, {texts[place]!r}: it "
                "counts as none."
            )
        return numbers

    def values(self, numbers: Array) -> Array | pd.Series:
        """Return levels by their numbers; None where there is none."""
        if self.levels is None:
            return numbers
        levels = np.array([*self.levels, None], object)
        return pd.Series(levels[np.nan_to_num(numbers, nan=NONE).astype(np.intp)]).infer_objects()

    def one_hot(self, numbers: Array) -> Array:
        """Return a column for each level (n, levels), or the numbers (n, 1)."""
        if self.levels is None:
            return numbers[:, None]
        return np.asarray(numbers[:, None] == np.arange(len(self.levels)), np.float64)

    def to_json(self) -> Json:
        """Return the name and the levels."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Json) -> Self:
        """Return what :meth:`to_json` described."""
        levels = data["levels"]
        return cls(data["name"], None if levels is None else tuple(levels))


@dataclass(frozen=True)
class Traits:
    """Features and groups of series by their static columns.

    Attributes
    ----------
    columns : tuple of Covariate
    mean, deviation : array (columns,)
        What numbers are standardized by.
    edges : array (columns, BINS - 1)
        The quantiles that cut numbers into groups.
    combinations : list of list of float
        The groups of all columns together: the values, or bins of numbers, that the fit had.
    """

    columns: tuple[Covariate, ...]
    mean: Array
    deviation: Array
    edges: Array
    combinations: list[list[float]]

    @classmethod
    def of(cls, columns: Sequence[Covariate], values: Array) -> Self:
        """Return the traits of series, whose static columns have these values."""
        deviation = values.std(0)
        shares = np.arange(1, BINS) / BINS
        found = cls(
            tuple(columns),
            values.mean(0),
            np.where(deviation > 0, deviation, 1.0),
            np.quantile(values, shares, axis=0).T.reshape(-1, BINS - 1),
            [],
        )
        combinations = np.unique([found._bins(row) for row in values], axis=0)
        return replace(found, combinations=combinations.tolist())

    def features(self, row: Array) -> Array:
        """Return categories one-hot, and standardized numbers."""
        parts = [np.empty(0)]
        for column, value, mean, deviation in zip(
            self.columns, row, self.mean, self.deviation, strict=True
        ):
            numbers = value if column.levels else (value - mean) / deviation
            parts.append(column.one_hot(np.array([numbers]))[0])
        return np.concatenate(parts)

    def groups(self, row: Array) -> Integers:
        """Return the group by each column, and of several by all together; -1 for none."""
        bins = self._bins(row)
        together = bins.tolist()
        all_ = self.combinations.index(together) if together in self.combinations else NONE
        return np.array([*bins, all_][: len(bins) + (len(bins) > 1)], np.intp)

    def to_json(self) -> Json:
        """Return all as plain JSON data."""
        arrays = {name: getattr(self, name).tolist() for name in ("mean", "deviation", "edges")}
        columns = [column.to_json() for column in self.columns]
        return {**arrays, "columns": columns, "combinations": self.combinations}

    @classmethod
    def from_json(cls, data: Json) -> Self:
        """Return what :meth:`to_json` described."""
        columns = tuple(Covariate.from_json(column) for column in data["columns"])
        mean, deviation, edges = (np.array(data[n], float) for n in ("mean", "deviation", "edges"))
        return cls(columns, mean, deviation, edges.reshape(-1, BINS - 1), data["combinations"])

    def _bins(self, row: Array) -> Array:
        bins = (row[:, None] >= self.edges).sum(1)
        categories = [column.levels is not None for column in self.columns]
        return np.where(categories, row, bins).astype(np.float64)


def constants(points: Points, columns: Sequence[Covariate], channels: Sequence[int]) -> Array:
    """Return the one value that each series has in some channels: (series, channels).

    Raises
    ------
    DataError
        If a series has several in one of them, or none.
    """
    found = np.empty((len(points.names), len(channels)))
    for code, places in enumerate(places_of_series(points)):
        for i, channel in enumerate(channels):
            values = points.values[places, channel]
            known = places[~np.isnan(values)]
            where = f"Column {columns[i].name!r} of the series {points.names[code]}"
            if not len(known):
                raise DataError(f"{where} has no value: a static column has one for each series.")
            others = known[points.values[known, channel] != points.values[known[0], channel]]
            for place in others[:1]:
                raise DataError(
                    f"{where} changes at {points.labels.iloc[place]}: a static column has one "
                    "value for each series."
                )
            found[code, i] = points.values[known[0], channel]
    return found
