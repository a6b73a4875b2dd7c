"""Rows of tables on the page: numbers, tinted by how far they are off."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element

import numpy as np

from attar.data.kind import Kind, Rows
from attar.report.display import Display, Walk
from attar.report.markup import captioned, number, tag
from attar.report.shown import Shown

MOST_COLUMNS = 8
MOST_BARS = 16


class Tables(Display):
    """Shows tables; of many columns, those with most error."""

    compared, sampled = 6, 8

    def __init__(self, kind: Kind, shown: Shown) -> None:
        self.names = kind.feature_names()
        self.errors = np.square(shown.prepared - shown.decoded).mean(0, dtype=np.float64)
        self.mean = shown.prepared.mean(0)
        self.worst = np.argsort(-self.errors, kind="stable")
        self.columns = np.sort(self.worst[:MOST_COLUMNS])

    @property
    def form(self) -> str:
        """The number of columns."""
        return f"rows of {len(self.names)} column" + "s" * (len(self.names) > 1)

    def compare(self, shown: Shown, names: Sequence[str]) -> list[Element]:
        """Return a table of three lines a cell, and the error of each column."""
        off = shown.decoded - shown.prepared
        tints = off / (np.abs(off[:, self.columns]).max() or 1.0)
        body = [
            tag(
                "tr",
                _head(name, "row"),
                *(
                    tag(
                        "td",
                        tag("span", number(float(shown.rows[i, j]))),
                        tag("span", number(float(shown.back[i, j]))),
                        tag(
                            "span",
                            _signed(float(shown.back[i, j]) - float(shown.rows[i, j])),
                            style=_tint(tints[i, j]),
                        ),
                    )
                    for j in self.columns
                ),
            )
            for i, name in enumerate(names)
        ]
        words = (
            "Originals over reconstructions over differences, from the row that comes back best "
            "(top) to the one that comes back worst. Differences are red where the reconstruction "
            f"is too large and blue where it is too small{self._which()}."
        )
        return [
            captioned(_scrolling(self._table(body), "compared"), words),
            captioned(
                self._bars(),
                "The mean squared error of each column, prepared, the worst first.",
            ),
        ]

    def walks(self, walks: Sequence[Walk]) -> list[Element]:
        """Return a strip of colours for each walk and column, with the numbers at its ends."""
        words = (
            "Straight lines between the codes of two rows, decoded step by step: red above the "
            "column’s mean, blue below. The columns are those that change most on the way."
        )
        return [captioned(tag("div", *map(self._walk, walks), class_="heats"), words)]

    def samples(self, rows: Rows) -> list[Element]:
        """Return a table of samples."""
        body = [
            tag(
                "tr",
                _head(f"sample {i}", "row"),
                *(tag("td", number(float(row[j]))) for j in self.columns),
            )
            for i, row in enumerate(rows)
        ]
        words = f"Nobody has seen these: codes drawn by chance, decoded{self._which()}."
        return [captioned(_scrolling(self._table(body), "sampled"), words)]

    def _walk(self, walk: Walk) -> Element:
        change = np.ptp(walk.decoded, axis=0)
        columns = np.sort(np.argsort(-change, kind="stable")[:MOST_COLUMNS])
        away = walk.decoded - self.mean
        tints = away / (np.abs(away[:, columns]).max() or 1.0)
        lines = [
            tag(
                "tr",
                _head(self.names[j], "row"),
                tag("td", number(float(walk.rows[0, j]))),
                *(tag("td", class_="heat", style=_tint(tint)) for tint in tints[:, j]),
                tag("td", number(float(walk.rows[-1, j]))),
            )
            for j in columns
        ]
        title = tag("caption", walk.start, " → ", walk.end)
        return tag("table", title, *lines, class_="walk")

    def _table(self, body: Sequence[Element]) -> Element:
        heads = [_head(self.names[j], "col") for j in self.columns]
        return tag("table", tag("tr", tag("td"), *heads), *body)

    def _bars(self) -> Element:
        most = float(self.errors.max()) or 1.0
        lines = [
            tag(
                "li",
                tag("span", self.names[j], title=self.names[j]),
                tag("i", style=f"--share:{self.errors[j] / most:.4f}"),
                tag("span", number(float(self.errors[j]))),
            )
            for j in self.worst[:MOST_BARS]
        ]
        return tag("ol", *lines, class_="bars")

    def _which(self) -> str:
        hidden = len(self.names) - len(self.columns)
        if not hidden:
            return ""
        return f"; of {len(self.names)} columns, the {len(self.columns)} with most error"


def _head(text: str, scope: str) -> Element:
    return tag("th", tag("span", text, title=text), scope=scope)


def _scrolling(table: Element, name: str) -> Element:
    return tag("div", table, class_=f"scrolling {name}", tabindex=0)


def _signed(difference: float) -> str:
    return ("+" if difference > 0 else "") + number(difference)


def _tint(strength: float) -> str:
    """Return the style of red for 0 to 1, of blue for 0 to -1."""
    tone = "above" if strength > 0 else "below"
    return f"--tint:var(--{tone});--strength:{abs(strength):.0%}"
