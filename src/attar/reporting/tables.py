"""Tables on the page."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from attar.data.cells import Number
from attar.data.columns.base import Column
from attar.data.columns.interpreted import InterpretedColumn
from attar.data.columns.numbers import IntegerColumn, NumberColumn
from attar.data.kind import Rows
from attar.data.table import MixedTable, Table
from attar.reporting.colours import Attribute
from attar.reporting.display import Display, Examples, Interpolation, nan_mean
from attar.reporting.html import (
    MISSING,
    captioned,
    head,
    headed,
    interpolation_table,
    lines,
    number,
    runs,
    scrolling,
    strip,
    tag,
    tint,
    toned,
)
from attar.reporting.selection import short_times

MOST_COLUMNS = 8

# A category without a text of its own.
UNSEEN = "unseen"


@dataclass(frozen=True)
class Field(ABC):
    """A column of a table on the page.

    Attributes
    ----------
    name : str
    cells, features : slice
        Its place in a raw row, and in a prepared one.
    """

    name: str
    cells: slice
    features: slice

    @abstractmethod
    def texts(self, rows: Rows) -> list[str]:
        """Return the values of raw rows (n, *cells) as text."""

    @abstractmethod
    def attribute(self, rows: Rows) -> Attribute:
        """Return the values of raw rows, which can colour a map."""

    @abstractmethod
    def ordered(self, prepared: Rows) -> Rows:
        """Return the prepared value (n,) of rows (n, *shape), 0 where values have no order."""

    @abstractmethod
    def compared(self, rows: Rows, reconstructed: Rows, tints: Rows) -> list[Element]:
        """Return a cell with original and reconstruction for each raw row.

        Parameters
        ----------
        rows, reconstructed : array (n, cells)
        tints : array (n,)
            The residuals, scaled to -1 to 1.
        """

    @abstractmethod
    def interpolated(self, rows: Rows, tints: Rows) -> Element:
        """Return the row of the column in an interpolation."""


class NumberField(Field):
    """A column of numbers."""

    def texts(self, rows: Rows) -> list[str]:
        """Return the numbers."""
        return [number(float(row[self.cells][0])) for row in rows]

    def attribute(self, rows: Rows) -> Attribute:
        """Return the numbers."""
        return Attribute(self.name, rows[:, self.cells.start].astype(np.float64))

    def ordered(self, prepared: Rows) -> Rows:
        """Return the numbers."""
        return prepared[:, self.features.start]

    def compared(self, rows: Rows, reconstructed: Rows, tints: Rows) -> list[Element]:
        """Add the difference, tinted."""
        place = self.cells.start
        differences = reconstructed[:, place].astype(np.float64) - rows[:, place]
        return [
            lines(row, other, tag("span", _signed(difference), **_differing(difference, tone)))
            for row, other, difference, tone in zip(
                self.texts(rows), self.texts(reconstructed), differences, tints, strict=True
            )
        ]

    def interpolated(self, rows: Rows, tints: Rows) -> Element:
        """Return a strip of tints."""
        return strip(self.name, self.texts(rows), tints)


@dataclass(frozen=True)
class TextField(Field):
    """A column of values that are written as the user's own.

    Attributes
    ----------
    column : Column
    """

    column: Column

    def written(self, rows: Rows) -> list[str]:
        """Return the values as text; a category that is not in the training rows has none."""
        cells = np.asarray(rows[:, self.cells], np.float64)
        values = self.column.decode(cells).to_pylist()
        absent = np.where(np.isnan(cells[:, 0]), MISSING, UNSEEN)
        return [
            str(text if value is None else value)
            for value, text in zip(values, absent, strict=True)
        ]

    @abstractmethod
    def style(self, strength: float) -> str:
        """Return the style of a reconstruction that differs."""

    def compared(self, rows: Rows, reconstructed: Rows, tints: Rows) -> list[Element]:
        """Tint reconstructions that differ."""
        both = self.texts(np.concatenate([rows, reconstructed]))
        return [
            lines(_titled(row), _titled(other, **self._marked(row, other, tone)))
            for row, other, tone in zip(both[: len(rows)], both[len(rows) :], tints, strict=True)
        ]

    def _marked(self, row: str, other: str, strength: float) -> dict[str, str]:
        if other == row or row == MISSING:
            return {}
        return {"class_": "differs", "style": self.style(strength)}


class TimeField(TextField):
    """A column of dates or durations."""

    def texts(self, rows: Rows) -> list[str]:
        """Return the times, as short as possible."""
        return short_times(self.written(rows))

    def attribute(self, rows: Rows) -> Attribute:
        """Return dates of the clock on the wall, or durations in days."""
        column = self.column.inner if isinstance(self.column, InterpretedColumn) else self.column
        values = column.decode(np.asarray(rows[:, self.cells], np.float64))
        if pa.types.is_duration(values.type):
            durations = values.cast(pa.duration("us"), safe=False).to_numpy(zero_copy_only=False)
            return Attribute(f"{self.name} in days", durations / np.timedelta64(1, "D"))
        if getattr(values.type, "tz", None):
            values = pc.local_timestamp(values)
        dates = values.cast(pa.timestamp("us"), safe=False).to_numpy(zero_copy_only=False)
        return Attribute(self.name, dates)

    def ordered(self, prepared: Rows) -> Rows:
        """Return the time."""
        return prepared[:, self.features.start]

    def style(self, strength: float) -> str:
        """Return red for later, blue for earlier."""
        return tint(strength)

    def interpolated(self, rows: Rows, tints: Rows) -> Element:
        """Return a strip of tints."""
        return strip(self.name, self.texts(rows), tints)


class CategoryField(TextField):
    """A column of categories, booleans, or times of day, which have no order."""

    def texts(self, rows: Rows) -> list[str]:
        """Return the names."""
        return self.written(rows)

    def attribute(self, rows: Rows) -> Attribute:
        """Return the names."""
        return Attribute(self.name, np.array(self.written(rows)))

    def ordered(self, prepared: Rows) -> Rows:
        """Return zeros."""
        return np.zeros(len(prepared))

    def style(self, strength: float) -> str:
        """Return one tone for any other."""
        return toned("another", 0.7)

    def interpolated(self, rows: Rows, tints: Rows) -> Element:
        """Return the runs of equal texts."""
        return runs(self.name, self.texts(rows))


def fields_of(kind: Table) -> list[Field]:
    """Return the columns of a table that the model reconstructs."""
    if not isinstance(kind, MixedTable):
        return [
            NumberField(name, slice(i, i + 1), slice(i, i + 1))
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


def note_of_texts(fields: Iterable[Field]) -> str:
    """Return a sentence on how columns of text are shown, where there are some."""
    texts = any(isinstance(one, TextField) and one.column.kind == "text" for one in fields)
    return " Of each text the most similar one that the model keeps is shown." * texts


def _field(column: Column, cells: slice, features: slice) -> Field:
    if isinstance(column, NumberColumn | IntegerColumn):
        return NumberField(column.name, cells, features)
    if isinstance(column.cells[0], Number):
        return TimeField(column.name, cells, features, column)
    return CategoryField(column.name, cells, features, column)


def _titled(text: str, **attributes: str) -> Element:
    return tag("span", text, title=text, **attributes)


def _differing(difference: float, strength: float) -> dict[str, str]:
    """Return the look of a difference; rounding leaves some of 0, which are not coloured."""
    if difference == 0 or np.isnan(difference):
        return {"class_": "equals"}
    return {"class_": "differs", "style": tint(strength)}


def _signed(difference: float) -> str:
    if np.isnan(difference):
        return ""
    return ("+" if difference > 0 else "") + number(difference)


class TableDisplay(Display):
    """Rows of tables; of many columns, those with the largest errors."""

    compared, sampled = 6, 8

    def __init__(self, kind: Table, examples: Examples) -> None:
        self.kind = kind
        self.fields = fields_of(kind)
        squares = np.square(examples.residuals)
        self.mean = nan_mean(examples.prepared, 0)
        self.variance = nan_mean(np.square(examples.prepared - self.mean), 0)
        cells = nan_mean(squares, 0)
        # Relative to the variance of the column over all rows.
        unexplained = [
            cells[f.features].sum() / (self.variance[f.features].sum() or 1) for f in self.fields
        ]
        # Where all codes are equal, there is nothing to explain.
        self.explained = bool(np.ptp(examples.codes, axis=0).any())
        worst = np.argsort(-self.explained * np.array(unexplained), kind="stable")
        self.columns = [self.fields[j] for j in np.sort(worst[:MOST_COLUMNS])]

    @property
    def title(self) -> str:
        """The number of columns."""
        return f"rows of {len(self.fields)} column" + "s" * (len(self.fields) > 1)

    def attributes(self, examples: Examples) -> Iterable[Attribute]:
        """Return the columns."""
        return (field.attribute(examples.rows) for field in self.fields)

    def cell(self, examples: Examples, row: int, part: int, expected: bool = True) -> str:
        """Return the value, and the expected one."""
        field, one = self.fields[part], slice(row, row + 1)
        reconstructed = self.kind.rows(self.kind.restore(examples.reconstructed[one]))
        value, other = field.texts(np.concatenate([examples.rows[one], reconstructed]))
        return f" = {value}" + f", expected {other}" * expected

    def reconstructions(
        self, examples: Examples, names: Sequence[str], order: str
    ) -> list[Element]:
        """Return a table of originals above reconstructions."""
        reconstructed = self.kind.rows(self.kind.restore(examples.reconstructed))
        tints = _tints(self.columns, examples.residuals)
        columns = [
            field.compared(examples.rows, reconstructed, strengths)
            for field, strengths in zip(self.columns, tints, strict=True)
        ]
        body = [
            tag("tr", head(name, "row"), *cells)
            for name, *cells in zip(names, *columns, strict=True)
        ]
        table = headed((field.name for field in self.columns), body)
        missing = bool(np.isnan(examples.rows).any())
        return [
            captioned(
                scrolling(table, "compared", "Reconstructions"), self._caption(order, missing)
            ),
        ]

    def interpolations(self, interpolations: Sequence[Interpolation]) -> list[Element]:
        """Return a row for each interpolation and column: tints of numbers, names of categories."""
        caption = "Decoded interpolations between the codes of two rows"
        if self._has(NumberField, TimeField):
            caption += ", red above a column’s mean and blue below"
        if self._has(CategoryField):
            caption += ", with the most likely category at each step"
        if len(self.fields) > MOST_COLUMNS:
            caption += ", of the columns that change most"
        tables = map(self._interpolation, interpolations)
        return [captioned(tag("div", *tables, class_="heats"), caption + ".")]

    def samples(self, rows: Rows, drawn: bool = True) -> list[Element]:
        """Return a table of samples."""
        raw = self.kind.rows(self.kind.restore(rows))
        columns = [[tag("td", text) for text in field.texts(raw)] for field in self.columns]
        body = [
            tag("tr", head(f"sample {i}", "row"), *cells)
            for i, cells in enumerate(zip(*columns, strict=True))
        ]
        table = headed((field.name for field in self.columns), body)
        caption = f"Rows drawn from the model{self._selection()}."
        return [captioned(scrolling(table, "sampled", "Generated samples"), caption)]

    def _interpolation(self, line: Interpolation) -> Element:
        change = np.square(np.ptp(line.decoded, axis=0))
        # Relative to the variance of the column over all rows.
        relative = [
            change[f.features].sum() / (self.variance[f.features].sum() or 1) for f in self.fields
        ]
        places = np.sort(np.argsort(-np.array(relative), kind="stable")[:MOST_COLUMNS])
        fields = [self.fields[j] for j in places]
        tints = _tints(fields, line.decoded - self.mean)
        rows = self.kind.rows(self.kind.restore(line.rows))
        body = (field.interpolated(rows, tint) for field, tint in zip(fields, tints, strict=True))
        return interpolation_table(line.start, line.end, body)

    def _caption(self, order: str, missing: bool) -> str:
        caption = f"Originals above reconstructions, {order}{self._selection()}."
        if self._has(NumberField):
            caption += " Differences are red where the reconstruction is too large and blue where "
            caption += "it is too small."
        if self._has(TimeField):
            caption += " A time is red where it is too late and blue where it is too early."
        if self._has(CategoryField):
            caption += " Wrong categories are amber."
        caption += note_of_texts(self.columns)
        return caption + " A dash is a missing value, above its prediction." * missing

    def _has(self, *types: type[object]) -> bool:
        return any(isinstance(field, types) for field in self.columns)

    def _selection(self) -> str:
        if len(self.fields) == len(self.columns):
            return ""
        some = f"{len(self.columns)} of {len(self.fields)} columns"
        if not self.explained:
            return f", of the first {some}"
        return f", of the {some} with the lowest explained variance"


def _tints(fields: Sequence[Field], prepared: Rows) -> list[Rows]:
    """Return the ordered values of fields, scaled to -1 to 1 over all of them: (n,) for each."""
    values = [np.nan_to_num(field.ordered(prepared)) for field in fields]
    most = max(float(np.abs(column).max()) for column in values) or 1.0
    return [column / most for column in values]
