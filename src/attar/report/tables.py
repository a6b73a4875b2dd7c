"""Tables in a report."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from attar.data.cells import Number
from attar.data.columns.base import Column
from attar.data.columns.numbers import IntegerColumn, NumberColumn
from attar.data.kind import Rows
from attar.data.table import MixedTable, Table
from attar.report.display import Display, Shown, Walk, known_mean
from attar.report.html import (
    MISSING,
    bars,
    captioned,
    head,
    headed,
    lines,
    number,
    runs,
    scrolling,
    short_times,
    strip,
    tag,
    tint,
    toned,
    walk_table,
)

UNSEEN = "never seen"


@dataclass(frozen=True)
class Field(ABC):
    """A column.

    Attributes
    ----------
    name : str
    cells, features : slice
        Where it lies in a raw row, and in a prepared one.
    """

    name: str
    cells: slice
    features: slice

    @abstractmethod
    def said(self, rows: Rows) -> list[str]:
        """Return what it is in raw rows (n, *cells), in words."""

    @abstractmethod
    def trend(self, prepared: Rows) -> Rows:
        """Return what prepared rows (n, *shape) have in common with numbers: (n,)."""

    @abstractmethod
    def compared(self, rows: Rows, back: Rows, tints: Rows) -> list[Element]:
        """Return a cell of originals over reconstructions for each raw row.

        Parameters
        ----------
        rows, back : array (n, cells)
        tints : array (n,)
            How far the trend is off, from -1 to 1.
        """

    def walked(self, rows: Rows, tints: Rows) -> Element:
        """Return the line of raw rows along a walk."""
        texts = self.said(rows)
        return strip(self.name, texts[0], texts[-1], tints)


class Numbers(Field):
    """A column of numbers."""

    def said(self, rows: Rows) -> list[str]:
        """Return the numbers."""
        return [number(float(row[self.cells][0])) for row in rows]

    def trend(self, prepared: Rows) -> Rows:
        """Return the numbers."""
        return prepared[:, self.features.start]

    def compared(self, rows: Rows, back: Rows, tints: Rows) -> list[Element]:
        """Return a third line with the difference, tinted."""
        place = self.cells.start
        differences = back[:, place].astype(np.float64) - rows[:, place]
        return [
            lines(row, again, tag("span", _signed(difference), class_="off", style=tint(strength)))
            for row, again, difference, strength in zip(
                self.said(rows), self.said(back), differences, tints, strict=True
            )
        ]


@dataclass(frozen=True)
class Texts(Field):
    """A column that is shown as text.

    Attributes
    ----------
    column : Column
    """

    column: Column

    def said(self, rows: Rows) -> list[str]:
        """Return the values as text; a level that was never seen has no text of its own."""
        cells = np.asarray(rows[:, self.cells], np.float64)
        values = self.column.decode(cells).to_pylist()
        unseen = ~np.isnan(cells[:, 0])
        absent = (UNSEEN if level else MISSING for level in unseen)
        return [
            text if value is None else str(value)
            for value, text in zip(values, absent, strict=True)
        ]

    @abstractmethod
    def style(self, strength: float) -> str:
        """Return the style of a reconstruction that differs."""

    def compared(self, rows: Rows, back: Rows, tints: Rows) -> list[Element]:
        """Tint reconstructions that differ."""
        both = self.said(np.concatenate([rows, back]))
        return [
            lines(_whole(row), _whole(again, **self._marked(row, again, strength)))
            for row, again, strength in zip(
                both[: len(rows)], both[len(rows) :], tints, strict=True
            )
        ]

    def _marked(self, row: str, again: str, strength: float) -> dict[str, str]:
        if again == row or row == MISSING:
            return {}
        return {"class_": "off", "style": self.style(strength)}


class Times(Texts):
    """A column of dates or durations, which is earlier or later."""

    def said(self, rows: Rows) -> list[str]:
        """Return the times, no longer than they need to be."""
        return short_times(super().said(rows))

    def trend(self, prepared: Rows) -> Rows:
        """Return the time."""
        return prepared[:, self.features.start]

    def style(self, strength: float) -> str:
        """Return red for later, blue for earlier."""
        return tint(strength)


class Names(Texts):
    """A column of levels, flags, or times of day, one of which is as near as another."""

    def trend(self, prepared: Rows) -> Rows:
        """Return zeros."""
        return np.zeros(len(prepared))

    def style(self, strength: float) -> str:
        """Return one tone for any other."""
        return toned("another", 0.7)

    def walked(self, rows: Rows, tints: Rows) -> Element:
        """Return the runs of equal texts."""
        return runs(self.name, self.said(rows))


def fields_of(kind: Table) -> list[Field]:
    """Return the columns of a table that are learnt."""
    if not isinstance(kind, MixedTable):
        return [
            Numbers(name, slice(i, i + 1), slice(i, i + 1))
            for i, name in enumerate(kind.feature_names())
        ]
    fields: list[Field] = []
    start, segments = 0, kind.expansion.segments
    for column in kind.fields:
        if column.cells:
            stop = start + len(column.cells)
            features = slice(segments[start].start, segments[stop - 1].stop)
            fields.append(_field(column, slice(start, stop), features))
            start = stop
    return fields


def _field(column: Column, cells: slice, features: slice) -> Field:
    if isinstance(column, NumberColumn | IntegerColumn):
        return Numbers(column.name, cells, features)
    form = Times if isinstance(column.cells[0], Number) else Names
    return form(column.name, cells, features, column)


def _whole(text: str, **attributes: str) -> Element:
    return tag("span", text, title=text, **attributes)


def _signed(difference: float) -> str:
    if np.isnan(difference):
        return ""
    return ("+" if difference > 0 else "") + number(difference)


MOST_COLUMNS = 8


class TableDisplay(Display):
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
