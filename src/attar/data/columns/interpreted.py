"""Columns whose values are read as values of another type: text as dates, or as the user says."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc
from torch import Tensor

from attar.data.cells import Cell
from attar.data.columns.arrow import (
    TEXT,
    Plain,
    converted,
    held,
    plain_text,
    read_text,
    schema_from_json,
    schema_to_json,
    sort_of,
)
from attar.data.columns.base import Array, Column, ColumnProfile, DroppedColumn
from attar.data.columns.categorical import OTHER, CategoricalProfile
from attar.data.columns.temporal import DateText, DatetimeProfile, date_forms
from attar.data.columns.text import TextColumn, is_free_text
from attar.data.kind import Json
from attar.data.summary import Moments
from attar.errors import DataError


@dataclass(frozen=True)
class InterpretedColumn(Column, tag="interpreted"):
    """A column whose values are read as those of another, and given back as they were.

    Parameters
    ----------
    inner : Column
        The column of the values as they are read.
    pattern : str or None
        How dates are written, where the values are text that stands for dates.
    """

    inner: Column
    pattern: str | None = None

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Those of the inner column."""
        return self.inner.cells

    @property
    def kind(self) -> str:
        """That of the inner column."""
        return self.inner.kind

    @property
    def remark(self) -> str | None:
        """That of the inner column."""
        return self.inner.remark

    @property
    def advice(self) -> str:
        """That of the inner column."""
        return self.inner.advice

    @property
    def single(self) -> bool:
        """That of the inner column."""
        return self.inner.single

    def fitting(self, array: pa.ChunkedArray) -> pa.ChunkedArray:
        """Return new values as the inner column takes them."""
        if self.pattern is not None and sort_of(array.type) == "text":
            dates = DateText(self.pattern, self.inner.type).read(plain_text(array))
            array = array if dates is None else dates
        return self.inner.fitting(array)

    def encode(self, array: pa.ChunkedArray) -> Array:
        """Return the cells of the inner column."""
        return self.inner.encode(array)

    def decode(self, rows: Array) -> pa.Array:
        """Return values of the user's own type; missing where rare categories became one."""
        values = plain_text(self.inner.decode(rows))
        if self.pattern is not None:
            return DateText(self.pattern, self.inner.type).written(values)
        if values.type == TEXT:
            return pc.if_else(pc.equal(values, OTHER), None, values).cast(self.type)
        if pa.types.is_boolean(values.type) and self.type == TEXT:
            return pc.utf8_capitalize(values.cast(TEXT))
        return values.cast(self.type)

    def tensors(self) -> dict[str, Tensor]:
        """Return those of the inner column."""
        return self.inner.tensors()

    def with_tensors(self, tensors: Mapping[str, Tensor]) -> Self:
        """Return the column whose inner one has tensors."""
        return replace(self, inner=self.inner.with_tensors(tensors))

    def to_json(self) -> Json:
        """Return the column but for its type as plain JSON data."""
        type_ = schema_to_json(pa.schema([("", self.inner.type)]))
        return {**super().to_json(), "inner": self.inner.to_json(), "inner_type": type_}

    @classmethod
    def read(cls, type_: pa.DataType, settings: Json) -> Self:
        """Return the column that :meth:`to_json` described."""
        inner_type = schema_from_json(settings["inner_type"]).field(0).type
        inner = Column.from_json(settings["inner"], inner_type)
        return cls(settings["name"], type_, inner, settings["pattern"])


# Sorts of dates.
DATES = ("dates", "dates with a time zone")

# The types of the kinds that the user may choose.
TYPES = {"boolean": pa.bool_(), "categorical": TEXT, "number": pa.int64(), "text": TEXT}


def interpreted(name: str, array: pa.ChunkedArray, kind: str) -> pa.ChunkedArray:
    """Return values as those of a kind that the user chose; text that stands for dates as it is.

    Raises
    ------
    DataError
        If they cannot stand for such values.
    """
    given = sort_of(array.type)
    if kind == "datetime":
        fits, found = given in ("text", *DATES), None
    else:
        fits = given == sort_of(TYPES[kind])
        found = _as_text(array) if kind == "categorical" else converted(array, TYPES[kind])
    if fits or given == "nothing":
        return array
    if found is None:
        raise DataError(
            f"{held(name, array)}, which cannot be read as {kind!r}: convert it, or choose another "
            "kind in columns."
        )
    return found


def _as_text(array: pa.ChunkedArray) -> pa.ChunkedArray | None:
    with suppress(pa.ArrowException):
        missing = array.is_null(nan_is_null=True)
        return pc.if_else(missing, pa.scalar(None, TEXT), array.cast(TEXT))
    return None


class TextProfile(ColumnProfile):
    """Statistics of text: of its categories, and of the dates that all of it stands for, if any."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.categories: ColumnProfile = CategoricalProfile(name)
        self._dates: dict[DateText, ColumnProfile] | None = None

    def add(self, array: pa.ChunkedArray) -> None:
        """Add the next piece, in which some value is not missing."""
        self.categories.add(array)
        self.observed = self.categories.observed
        if pa.types.is_dictionary(array.type):
            self._dates = {}
        elif self._dates is None:
            self._dates = {form: DatetimeProfile(self.name) for form in date_forms(array)}
        for form in list(self._dates):
            dates = form.read(array)
            if dates is None:
                del self._dates[form]
            else:
                self._dates[form].add(dates)

    def merge(self, other: Self) -> None:
        """Add the statistics of further rows: the dates of the forms that both are in."""
        self.categories.merge(other.categories)
        self.observed = self.categories.observed
        if self._dates is None or other._dates is None:
            self._dates = other._dates if self._dates is None else self._dates
            return
        self._dates = {form: dates for form, dates in self._dates.items() if form in other._dates}
        for form, dates in self._dates.items():
            dates.merge(other._dates[form])

    @property
    def only(self) -> Plain | None:
        """The one text, where all are equal."""
        return self.categories.only

    def column(self, type_: pa.DataType, n: int, sample: pa.ChunkedArray) -> Column:
        """Return a column of dates where all text is in one form, else of categories or words."""
        for form, profile in self._the_form.items():
            inner = profile.column(form.type, n, form.read(sample))
            return InterpretedColumn(self.name, type_, inner, form.pattern)
        column = self.categories.column(type_, n, sample)
        if isinstance(column, DroppedColumn):
            numbers = read_text(sample, pa.float64())
            if numbers is not None and pa.types.is_floating(numbers.type):
                why = "its text stands for numbers"
                advice = f"convert it, or give columns={{{self.name!r}: 'number'}}"
                return replace(column, why=why, advice=advice)
            if is_free_text(sample):
                return TextColumn.of(self.name, type_, sample) or column
        return column

    def moments(self, column: Column) -> Moments:
        """Return the moments of the dates, or how many texts there are."""
        if isinstance(column, InterpretedColumn):
            (profile,) = self._the_form.values()
            return profile.moments(column.inner)
        if isinstance(column, TextColumn):
            return column.moments(self.observed)
        return self.categories.moments(column)

    @property
    def _the_form(self) -> dict[DateText, ColumnProfile]:
        forms = self._dates or {}
        return forms if len(forms) == 1 else {}
