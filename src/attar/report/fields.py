"""The columns of tables as the page shows them: numbers, times, and names."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from xml.etree.ElementTree import Element

import numpy as np

from attar.data.cells import Number
from attar.data.columns.column import Column
from attar.data.columns.numbers import NumberColumn
from attar.data.kind import Rows
from attar.data.table import Mixed, Table
from attar.report.grids import lines, runs, strip, tint, toned
from attar.report.markup import MISSING, number, short_times, tag

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
    if not isinstance(kind, Mixed):
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
    if isinstance(column, NumberColumn):
        return Numbers(column.name, cells, features)
    form = Times if isinstance(column.cells[0], Number) else Names
    return form(column.name, cells, features, column)


def _whole(text: str, **attributes: str) -> Element:
    return tag("span", text, title=text, **attributes)


def _signed(difference: float) -> str:
    if np.isnan(difference):
        return ""
    return ("+" if difference > 0 else "") + number(difference)
