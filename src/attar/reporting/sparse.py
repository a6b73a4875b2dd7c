"""Sparse matrices on the page: the largest cells of rows and of their reconstructions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import floor, log10
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from attar.data.kind import Rows
from attar.data.sparse import SparseMatrix
from attar.reporting.colours import Attribute
from attar.reporting.display import Display, Examples, Interpolation, nan_mean
from attar.reporting.html import (
    captioned,
    head,
    interpolation_table,
    legend,
    number,
    scrolling,
    strip,
    tag,
)

STORED, PREDICTED, MOST_INTERPOLATED = 6, 3, 8

# The share of rows that store a column which can colour the map.
FREQUENT = 0.1


class SparseDisplay(Display):
    """Rows of sparse matrices."""

    compared, sampled = 6, 8

    def __init__(self, kind: SparseMatrix, examples: Examples) -> None:
        self.names, self.partial = kind.feature_names(), kind.partial
        self.mean = nan_mean(self._values(examples.rows, examples.prepared), 0)

    @property
    def title(self) -> str:
        """The number of columns."""
        return f"sparse rows of {len(self.names)} column" + "s" * (len(self.names) > 1)

    def attributes(self, examples: Examples) -> Iterable[Attribute]:
        """Return the sum of a row, and each column that is not so rare that chance explains it."""
        values = self._values(examples.rows, examples.prepared)
        yield Attribute("the sum of the row", np.nansum(values, 1))
        stored = (np.nan_to_num(values) != 0).mean(0)
        for j in np.flatnonzero(stored >= FREQUENT):
            yield Attribute(self.names[j], values[:, j])

    def reconstructions(
        self, examples: Examples, names: Sequence[str], order: str
    ) -> list[Element]:
        """Return a table of the largest cells for each row."""
        given = self._values(examples.rows, examples.prepared)
        decoded = self._values(examples.reconstructed, examples.decoded)
        tables = map(self._compared, given, decoded, names)
        caption = (
            f"The {STORED} largest stored cells of some rows, and the {PREDICTED} largest "
            f"predictions among the other cells, {order}."
        )
        tones = legend([("second", "original"), ("first", "reconstruction")])
        grid = tag("div", *tables, class_="bags")
        return [captioned(tag("div", tones, grid), caption)]

    def interpolations(self, interpolations: Sequence[Interpolation]) -> list[Element]:
        """Return a strip of tints for each interpolation and column."""
        caption = (
            "Decoded interpolations between the codes of two rows, red above a column’s mean and "
            "blue below, of the columns that change most."
        )
        tables = map(self._interpolation, interpolations)
        return [captioned(tag("div", *tables, class_="heats"), caption)]

    def samples(self, rows: Rows, drawn: bool = True) -> list[Element]:
        """Return the largest cells of each sample."""
        lines = []
        for i, row in enumerate(sparse.csr_array(rows).toarray()):
            cells = [
                tag("td", tag("span", self.names[j], class_="soft"), number(float(row[j])))
                for j in _largest(row, STORED)
                if row[j] or self.partial
            ]
            rest = (tag("td") for _ in range(STORED - len(cells)))
            lines.append(tag("tr", head(f"sample {i}", "row"), *cells, *rest))
        caption = "The largest cells of rows drawn from the model."
        grid = scrolling(tag("table", *lines), "sampled", "Generated samples")
        return [captioned(grid, caption)]

    def _compared(self, row: Rows, decoded: Rows, name: str) -> Element:
        known = ~np.isnan(row) if self.partial else row != 0
        stored = [j for j in _largest(row, STORED) if known[j]]
        others = [j for j in _largest(np.where(known, 0, decoded), PREDICTED) if not known[j]]
        places = stored + others
        most = float(np.nanmax(np.abs([row[places], decoded[places]]))) or 1.0
        lines = [self._line(j, row[j], decoded[j], most, "") for j in stored]
        lines += [self._line(j, row[j], decoded[j], most, "predicted") for j in others]
        return tag("table", tag("caption", name), *lines)

    def _line(self, column: int, value: float, decoded: float, most: float, part: str) -> Element:
        bars = (
            tag("i", class_=tone, style=f"--share:{abs(float(length)) / most:.4f}")
            for tone, length in (("second", np.nan_to_num(value)), ("first", decoded))
        )
        return tag(
            "tr",
            head(self.names[column], "row"),
            tag("td", *bars),
            tag("td", number(float(value))),
            tag("td", number(float(decoded))),
            class_=part,
        )

    def _interpolation(self, line: Interpolation) -> Element:
        decoded = self._values(line.rows, line.decoded)
        columns = np.sort(_largest(np.ptp(decoded, axis=0), MOST_INTERPOLATED))
        return interpolation_table(line.start, line.end, self._strips(columns, decoded))

    def _values(self, rows: sparse.csr_array, prepared: Rows) -> Rows:
        """Return cells in the data's own unit, NaN where missing; prepared zeros are not scaled."""
        if not self.partial:
            return prepared
        return np.where(np.isnan(prepared), np.nan, rows.toarray())

    def _strips(self, columns: NDArray[np.intp], decoded: Rows) -> Iterable[Element]:
        deviations = (decoded - self.mean)[:, columns]
        tints = deviations / (np.abs(deviations).max() or 1.0)
        for j, strengths in zip(columns, tints.T, strict=True):
            yield strip(self.names[j], _texts(decoded[:, j]), strengths)


def _texts(values: Rows) -> list[str]:
    """Return numbers with the decimals that the largest has with four significant digits."""
    most = float(np.abs(values).max()) or 1.0
    return [number(round(float(value), 3 - floor(log10(most)))) for value in values]


def _largest(values: Rows, most: int) -> NDArray[np.intp]:
    """Return the indices of the largest absolute values, largest first."""
    places: NDArray[np.intp] = np.argsort(-np.abs(values), kind="stable")[:most]
    return places
