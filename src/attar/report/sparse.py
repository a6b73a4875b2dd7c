"""Sparse matrices on the page: the largest cells of a row, and what else the model expects."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from attar.data.kind import Rows
from attar.data.sparse import Sparse
from attar.report.display import Display, Shown, Walk
from attar.report.html import (
    captioned,
    head,
    headed,
    legend,
    number,
    scrolling,
    strip,
    tag,
    walk_table,
)

STORED, EXPECTED, MOST_WALKED = 6, 3, 8


class SparseDisplay(Display):
    """Shows rows of sparse matrices."""

    compared, sampled = 6, 8

    def __init__(self, kind: Sparse, shown: Shown) -> None:
        self.names = kind.feature_names()
        self.mean = shown.prepared.mean(0)

    @property
    def form(self) -> str:
        """The number of columns."""
        return f"sparse rows of {len(self.names)} column" + "s" * (len(self.names) > 1)

    def compare(self, shown: Shown, names: Sequence[str]) -> list[Element]:
        """Return a table of the largest cells for each row."""
        tables = map(self._compared, shown.prepared, shown.decoded, names)
        words = (
            f"The largest {STORED} stored cells of some rows over the {EXPECTED} others that the "
            "model expects most, from the row that comes back best to the one that comes back "
            "worst."
        )
        tones = legend([("second", "original"), ("first", "reconstruction")])
        grid = tag("div", *tables, class_="bags")
        return [captioned(tag("div", tones, grid), words)]

    def walks(self, walks: Sequence[Walk]) -> list[Element]:
        """Return a strip of tints for each walk and column."""
        words = (
            "Straight lines between the codes of two rows, decoded step by step: red above the "
            "column’s mean, blue below. The columns are those that change most on the way."
        )
        return [captioned(tag("div", *map(self._walk, walks), class_="heats"), words)]

    def samples(self, rows: Rows, decoded: Rows) -> list[Element]:
        """Return the largest cells of each sample."""
        body = []
        for i, row in enumerate(decoded):
            cells = (
                tag("td", tag("span", self.names[j], class_="soft"), number(float(row[j])))
                for j in _largest(row, STORED)
            )
            body.append(tag("tr", head(f"sample {i}", "row"), *cells))
        words = (
            "Nobody has seen these: codes drawn by chance, decoded; what is expected in the "
            "columns where it is most."
        )
        return [captioned(scrolling(headed((), body), "sampled"), words)]

    def _compared(self, row: Rows, back: Rows, name: str) -> Element:
        stored = [j for j in _largest(row, STORED) if row[j]]
        others = [j for j in _largest(np.where(row, 0, back), EXPECTED) if not row[j]]
        places = stored + others
        most = float(np.abs([row[places], back[places]]).max()) or 1.0
        lines = [self._line(j, row[j], back[j], most, "") for j in stored]
        lines += [self._line(j, row[j], back[j], most, "besides") for j in others]
        return tag("table", tag("caption", name), *lines)

    def _line(self, column: int, value: float, again: float, most: float, part: str) -> Element:
        bars = (
            tag("i", class_=tone, style=f"--share:{abs(float(length)) / most:.4f}")
            for tone, length in (("second", value), ("first", again))
        )
        return tag(
            "tr",
            head(self.names[column], "row"),
            tag("td", *bars),
            tag("td", number(float(value))),
            tag("td", number(float(again))),
            class_=part,
        )

    def _walk(self, walk: Walk) -> Element:
        change = np.ptp(walk.decoded, axis=0)
        columns = np.sort(_largest(change, MOST_WALKED))
        away = (walk.decoded - self.mean)[:, columns]
        return walk_table(walk.start, walk.end, self._strips(columns, walk.decoded, away))

    def _strips(self, columns: NDArray[np.intp], decoded: Rows, away: Rows) -> Iterable[Element]:
        tints = away / (np.abs(away).max() or 1.0)
        for j, strengths in zip(columns, tints.T, strict=True):
            first, last = (number(float(value)) for value in decoded[[0, -1], j])
            yield strip(self.names[j], first, last, strengths)


def _largest(values: Rows, most: int) -> NDArray[np.intp]:
    """Return the places of the largest absolute values, the largest first."""
    places: NDArray[np.intp] = np.argsort(-np.abs(values), kind="stable")[:most]
    return places
