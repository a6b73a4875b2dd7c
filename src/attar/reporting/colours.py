"""Colours of the map of codes where rows have no labels: a column that the map explains."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from attar.data.kind import Rows
from attar.reporting.selection import Colouring, by_label, by_value


@dataclass(frozen=True)
class Attribute:
    """Something that is known of each row.

    Attributes
    ----------
    name : str
    values : array (n,)
        Numbers (NaN where missing), dates (NaT where missing), or texts.
    """

    name: str
    values: Rows

    @property
    def numeric(self) -> bool:
        """Whether the values have an order."""
        return self.values.dtype.kind in "iufM"

    def colouring(self, names: Sequence[str]) -> Colouring:
        """Return a scale of colours for numbers and dates, a colour for each frequent text."""
        if self.numeric:
            return by_value(self.values, list(names))
        return by_label(self.values).of(list(names))

    def explained_variance(self, points: Rows) -> float:
        """Return the share of the variance that a linear function of points (n, 2) explains.

        Of texts, it is that of the indicators of their colours. NaN where nothing varies.

        Examples
        --------
        >>> points = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
        >>> Attribute("sum", np.array([0.0, 1.0, 1.0, 2.0])).explained_variance(points)
        1.0
        """
        values = self.values
        if not self.numeric:
            groups = by_label(values).groups
            values = np.eye(int(groups.max()) + 1)[groups]
        elif values.dtype.kind == "M":
            moments = values.astype("datetime64[us]").astype(np.int64)
            values = np.where(np.isnat(values), np.nan, moments / 86400e6)
        values = values.astype(np.float64).reshape(len(points), -1)
        known = np.isfinite(values).all(1)
        if known.sum() < 2:
            return np.nan
        centred = values[known] - values[known].mean(0)
        design = points[known] - points[known].mean(0)
        fit = design @ np.linalg.lstsq(design, centred, rcond=None)[0]
        total = float(np.square(centred).sum())
        if total <= 1e-12 * float(np.square(values[known]).sum()):
            return np.nan
        return round(1 - float(np.square(centred - fit).sum()) / total, 9)


def best_explained(attributes: Iterable[Attribute], points: Rows) -> tuple[Attribute, float] | None:
    """Return the attribute that the points explain best, with its explained variance.

    None where no attribute varies.
    """
    shares = [(attribute, attribute.explained_variance(points)) for attribute in attributes]
    known = [pair for pair in shares if not np.isnan(pair[1])]
    return max(known, key=lambda pair: pair[1], default=None)
