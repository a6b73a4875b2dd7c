"""Tables on the page: the user's own columns and values, tinted by how far they are off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from attar.data.kind import Rows
from attar.data.table import Table
from attar.report.display import Display, Walk
from attar.report.fields import Field, Names, Numbers, Times, fields_of
from attar.report.grids import bars, head, headed, scrolling, walk_table
from attar.report.markup import captioned, tag
from attar.report.shown import Shown, known_mean

MOST_COLUMNS = 8


class Tables(Display):
    """Shows tables; of many columns, those with most error."""

    compared, sampled = 6, 8

    def __init__(self, kind: Table, shown: Shown) -> None:
        self.kind = kind
        self.fields = fields_of(kind)
        squares = np.square(shown.off)
        self.errors = np.array([known_mean(squares[:, f.features], (0, 1)) for f in self.fields])
        self.mean = known_mean(shown.prepared, 0)
        self.variance = known_mean(np.square(shown.prepared - self.mean), 0)
        worst = np.argsort(-self.errors, kind="stable")
        self.columns = [self.fields[j] for j in np.sort(worst[:MOST_COLUMNS])]

    @property
    def form(self) -> str:
        """The number of columns."""
        return f"rows of {len(self.fields)} column" + "s" * (len(self.fields) > 1)

    def compare(self, shown: Shown, names: Sequence[str]) -> list[Element]:
        """Return a table of originals over reconstructions, and the error of each column."""
        own = self.kind.rows(self.kind.restore(shown.back))
        tints = _strengths(self.columns, shown.off)
        columns = [
            field.compared(shown.rows, own, strengths)
            for field, strengths in zip(self.columns, tints, strict=True)
        ]
        body = [
            tag("tr", head(name, "row"), *cells)
            for name, *cells in zip(names, *columns, strict=True)
        ]
        table = headed((field.name for field in self.columns), body)
        missing = bool(np.isnan(shown.rows).any())
        return [
            captioned(scrolling(table, "compared"), self._explained(missing)),
            captioned(
                bars([field.name for field in self.fields], self.errors),
                "The mean squared error of each column, prepared, the worst first.",
            ),
        ]

    def walks(self, walks: Sequence[Walk]) -> list[Element]:
        """Return a line for each walk and column: a strip of tints, or names where they change."""
        words = "Straight lines between the codes of two rows, decoded step by step"
        if self._has(Numbers, Times):
            words += ": red above the column’s mean, blue below"
        if self._has(Names):
            words += "; names stand where they are the likeliest"
        words += ". The columns are those that change most on the way."
        return [captioned(tag("div", *map(self._walk, walks), class_="heats"), words)]

    def samples(self, rows: Rows, decoded: Rows) -> list[Element]:
        """Return a table of samples."""
        own = self.kind.rows(self.kind.restore(rows))
        columns = [[tag("td", text) for text in field.said(own)] for field in self.columns]
        body = [
            tag("tr", head(f"sample {i}", "row"), *cells)
            for i, cells in enumerate(zip(*columns, strict=True))
        ]
        table = headed((field.name for field in self.columns), body)
        words = f"Nobody has seen these: codes drawn by chance, decoded{self._which()}."
        return [captioned(scrolling(table, "sampled"), words)]

    def _walk(self, walk: Walk) -> Element:
        change = np.square(np.ptp(walk.decoded, axis=0))
        # Beside how much a column changes from row to row.
        share = [
            change[f.features].sum() / (self.variance[f.features].sum() or 1) for f in self.fields
        ]
        places = np.sort(np.argsort(-np.array(share), kind="stable")[:MOST_COLUMNS])
        fields = [self.fields[j] for j in places]
        tints = _strengths(fields, walk.decoded - self.mean)
        rows = self.kind.rows(self.kind.restore(walk.rows))
        return walk_table(
            walk.start,
            walk.end,
            (field.walked(rows, strengths) for field, strengths in zip(fields, tints, strict=True)),
        )

    def _explained(self, missing: bool) -> str:
        words = (
            "Originals over reconstructions, from the row that comes back best (top) to the one "
            f"that comes back worst{self._which()}."
        )
        if self._has(Numbers):
            words += " Differences are red where the reconstruction is too large and blue where it "
            words += "is too small."
        if self._has(Times):
            words += " A time is red where it is too late and blue where it is too early."
        if self._has(Names):
            words += " Amber is another value than the original."
        return words + " A dash is a missing value, over what the model expects." * missing

    def _has(self, *types: type[Field]) -> bool:
        return any(isinstance(field, types) for field in self.columns)

    def _which(self) -> str:
        hidden = len(self.fields) - len(self.columns)
        if not hidden:
            return ""
        return f"; of {len(self.fields)} columns, the {len(self.columns)} with most error"


def _strengths(fields: Sequence[Field], prepared: Rows) -> list[NDArray[Any]]:
    """Return the trends of fields, from -1 to 1 among all of them: (n,) for each."""
    trends = [np.nan_to_num(field.trend(prepared)) for field in fields]
    most = max(float(np.abs(trend).max()) for trend in trends) or 1.0
    return [trend / most for trend in trends]
