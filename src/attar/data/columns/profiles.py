"""Profiles of the columns of a table, from one pass over its pieces."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from attar import workers
from attar.data.columns.arrow import plain_text, sort_of
from attar.data.columns.base import Column, ColumnProfile, ConstantColumn, DroppedColumn, unscaled
from attar.data.columns.categorical import CategoricalColumn, CategoricalProfile
from attar.data.columns.frames import FrameFormat, format_of, frame_of, in_order, opened
from attar.data.columns.interpreted import InterpretedColumn, TextProfile, interpreted
from attar.data.columns.numbers import BooleanProfile, NumberProfile
from attar.data.columns.sentinels import warn_of_sentinel
from attar.data.columns.temporal import DatetimeProfile, DurationProfile, TimeProfile
from attar.data.columns.text import FreeTextProfile
from attar.data.stream import ROWS_OF_A_SHARE, Sample, Share
from attar.data.summary import Moments
from attar.errors import DataError, unknown

# Of the kinds that the user may choose, those that no sort of values has by itself.
CHOSEN: dict[str | None, type[ColumnProfile]] = {
    "categorical": CategoricalProfile,
    "text": FreeTextProfile,
}

PROFILES: dict[str, type[ColumnProfile]] = {
    "numbers": NumberProfile,
    "booleans": BooleanProfile,
    "text": TextProfile,
    "dates": DatetimeProfile,
    "dates with a time zone": DatetimeProfile,
    "durations": DurationProfile,
    "times of day": TimeProfile,
}


class TableProfile:
    """The format of a table, statistics of its columns, and a sample of its rows.

    Parameters
    ----------
    kinds : mapping
        The kinds of columns that the user chose, by their names.

    Attributes
    ----------
    format : FrameFormat or None
        None before the first piece.
    sample : Sample
        Of the rows, as Arrow columns.
    """

    def __init__(self, kinds: Mapping[str, str] | None = None, first: int = 0) -> None:
        self.kinds = kinds or {}
        self.format: FrameFormat | None = None
        self.sample = Sample(_taken, first=first)
        self._profiles: list[FieldProfile] = []

    @classmethod
    def of(cls, pieces: Iterable[object], kinds: Mapping[str, str] | None, first: int = 0) -> Self:
        """Return the profile of the pieces of a table."""
        profile = cls(kinds, first)
        for piece in pieces:
            profile.add(piece)
        return profile

    @classmethod
    def of_shares(
        cls, share: Share, kinds: Mapping[str, str] | None
    ) -> tuple[Self, tuple[int, ...]]:
        """Return the profile of the shares of all workers, and how many rows each has."""
        first = workers.rank() * ROWS_OF_A_SHARE if share.start is None else share.start
        with workers.all_or_none():
            profile = cls.of(share, kinds, first)
        rows = tuple(workers.gathered(profile.sample.seen))
        profile.sample.thin(sum(rows))
        profile, *others = workers.gathered(profile)
        with workers.all_or_none():
            for other in others:
                profile.merge(other)
        return profile, rows

    def merge(self, other: TableProfile) -> None:
        """Add the profile of further rows.

        Raises
        ------
        DataError
            If they do not fit those before.
        """
        assert self.format is not None
        assert other.format is not None
        void = [pa.types.is_null(profile.type) for profile in self._profiles]
        self.format = self.format.merged(other.format, void)
        for profile, further in zip(self._profiles, other._profiles, strict=True):
            profile.merge(further)
        self.sample.merge(other.sample)

    def add(self, piece: object) -> None:
        """Add the next piece.

        Raises
        ------
        DataError
            If it does not fit those before, or a number is infinite.
        SettingError
            If the table lacks a column whose kind is set.
        """
        frame = frame_of(piece)
        if self.format is not None:
            frame = in_order(frame, [profile.name for profile in self._profiles])
        table = opened(frame)
        format_ = format_of(piece, frame, table)
        if self.format is None:
            names = table.column_names
            for name in self.kinds:
                if name not in names:
                    raise unknown("column", name, names)
            self._profiles = [profile_of(name, self.kinds.get(name)) for name in names]
            self.format = format_
        else:
            void = [pa.types.is_null(profile.type) for profile in self._profiles]
            self.format = self.format.merged(format_, void)
        for profile, column in zip(self._profiles, table.columns, strict=True):
            profile.add(column)
        self.sample.add(table, len(table))

    def sampled(self) -> tuple[pa.Table, NDArray[np.intp]]:
        """Return some rows as Arrow columns, and their indices."""
        if self.sample.seen:
            return self.sample.result(_joined)
        empty = {profile.name: pa.nulls(0) for profile in self._profiles}
        return pa.table(empty), np.empty(0, np.intp)

    def columns(self, sample: pa.Table) -> tuple[Column, ...]:
        """Return the columns that suit the values; warn of values that seem to be missing ones."""
        for profile in self._profiles:
            warn_of_sentinel(profile.name, sample[profile.name])
        return tuple(profile.column(sample[profile.name]) for profile in self._profiles)

    def moments(self, columns: tuple[Column, ...]) -> Moments:
        """Return the moments of all cells."""
        pairs = zip(self._profiles, columns, strict=True)
        return Moments.beside([profile.moments(column) for profile, column in pairs])


class FieldProfile(ABC):
    """Statistics of a column of any type; abstract.

    Parameters
    ----------
    name : str

    Attributes
    ----------
    type : pyarrow.DataType
        That of the values so far; null before the first.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.type: pa.DataType = pa.null()

    @abstractmethod
    def add(self, array: pa.ChunkedArray) -> None:
        """Add the next piece.

        Raises
        ------
        DataError
            If its values are of another sort than those before, or infinite.
        """

    @abstractmethod
    def merge(self, other: Self) -> None:
        """Add the statistics of further rows.

        Raises
        ------
        DataError
            If their values are of another sort than those before.
        """

    @abstractmethod
    def column(self, sample: pa.ChunkedArray) -> Column:
        """Return the column that suits the values.

        Parameters
        ----------
        sample : ChunkedArray
            The values of some rows.
        """

    @abstractmethod
    def moments(self, column: Column) -> Moments:
        """Return the moments of the cells of the column that :meth:`column` returned."""

    def _widen(self, array: pa.ChunkedArray) -> None:
        """Update the type with that of a piece."""
        self._join(plain_text(array.slice(0, 0)).type)

    def _join(self, new: pa.DataType) -> None:
        """Update the type with that of further values."""
        if pa.types.is_null(self.type) or new == self.type:
            self.type = new
        elif sort_of(new) == sort_of(self.type) == "numbers":
            both = [pa.schema([("", type_)]) for type_ in (self.type, new)]
            self.type = pa.unify_schemas(both, promote_options="permissive").field(0).type
        else:
            raise DataError(
                f"Column {self.name!r} holds {sort_of(self.type)} ({self.type}) in one piece of "
                f"the data and {sort_of(new)} ({new}) in another: give it one type."
            )


class UntypedProfile(FieldProfile):
    """Statistics of a column whose type is that of its first values.

    Parameters
    ----------
    name : str
    chosen : str or None
        The kind that the user chose for the column.
    """

    def __init__(self, name: str, chosen: str | None = None) -> None:
        super().__init__(name)
        self._rows, self._chosen = 0, chosen
        self._profile: ColumnProfile | None = None

    def add(self, array: pa.ChunkedArray) -> None:
        """Add the next piece."""
        self._rows += len(array)
        sort = sort_of(array.type)
        if sort == "nothing":
            return
        first = pa.types.is_null(self.type)
        if sort not in PROFILES or (self._profile is None and not first):
            # One piece that cannot be modelled drops the column.
            self.type = array.type if first or self._profile else self.type
            self._profile = None
            return
        if self._profile is None:
            self._profile = CHOSEN.get(self._chosen, PROFILES[sort])(self.name)
            self._profile.chosen = self._chosen is not None
        self._widen(array)
        self._profile.add(array)

    def merge(self, other: Self) -> None:
        """Add the statistics of further rows."""
        first, self._rows = pa.types.is_null(self.type), self._rows + other._rows
        if pa.types.is_null(other.type):
            return
        if first:
            self.type, self._profile = other.type, other._profile
        elif self._profile is not None and other._profile is not None:
            self._join(other.type)
            self._profile.merge(other._profile)
        else:  # rows that cannot be modelled drop the column
            self.type = self.type if self._profile is None else other.type
            self._profile = None

    def column(self, sample: pa.ChunkedArray) -> Column:
        """Return the column that suits the values."""
        if pa.types.is_null(self.type):
            return DroppedColumn(self.name, self.type, "all of its values are missing")
        if self._profile is None:
            why, advice = f"it holds {sort_of(self.type)}", "make it numbers, dates or text"
            return DroppedColumn(self.name, self.type, why, advice)
        if self._profile.only is not None:
            gaps = self._profile.observed < self._rows
            return ConstantColumn(self.name, self.type, self._profile.only, gaps)
        return self._profile.column(self.type, self._rows, sample.cast(self.type, safe=False))

    def moments(self, column: Column) -> Moments:
        """Return the moments of the cells of the column that :meth:`column` returned."""
        if self._profile is None or not column.cells:
            return Moments.none(0)
        if isinstance(column, ConstantColumn):
            return unscaled(self._profile.observed, 0)
        return self._profile.moments(column)


class ChosenProfile(FieldProfile):
    """Statistics of a column whose kind the user chose.

    Parameters
    ----------
    name, kind : str
    """

    def __init__(self, name: str, kind: str) -> None:
        super().__init__(name)
        self.kind = kind
        self._inner = UntypedProfile(name, kind)

    def add(self, array: pa.ChunkedArray) -> None:
        """Add the next piece."""
        if sort_of(array.type) != "nothing":
            self._widen(array)
            self._inner.add(interpreted(self.name, plain_text(array), self.kind))
        else:
            self._inner.add(array)

    def merge(self, other: Self) -> None:
        """Add the statistics of further rows."""
        if not pa.types.is_null(other.type):
            self._join(other.type)
        self._inner.merge(other._inner)

    def column(self, sample: pa.ChunkedArray) -> Column:
        """Return the column of the kind."""
        inner = self._inner.column(interpreted(self.name, sample, self.kind))
        if self.kind == "datetime" and isinstance(inner, CategoricalColumn | DroppedColumn):
            raise DataError(
                f"The dates of the column {self.name!r} are written in no known form, or may be "
                "read in several ways: convert them with pandas.to_datetime first."
            )
        return inner if inner.type == self.type else InterpretedColumn(self.name, self.type, inner)

    def moments(self, column: Column) -> Moments:
        """Return the moments of the cells of the column that :meth:`column` returned."""
        if isinstance(column, InterpretedColumn) and self._inner.type != self.type:
            return self._inner.moments(column.inner)
        return self._inner.moments(column)


class UnusedProfile(FieldProfile):
    """The type of a column that the user keeps out of the model.

    Parameters
    ----------
    name, kind : str
    """

    def __init__(self, name: str, kind: str) -> None:
        super().__init__(name)
        self.kind = kind

    def add(self, array: pa.ChunkedArray) -> None:
        """Add the next piece."""
        if pa.types.is_null(self.type):
            self.type = plain_text(array.slice(0, 0)).type

    def merge(self, other: Self) -> None:
        """Take the type of further rows, where there is none yet."""
        if pa.types.is_null(self.type):
            self.type = other.type

    def column(self, sample: pa.ChunkedArray) -> Column:
        """Return a column that is not used, of which nothing is warned."""
        why = f"it is set to {self.kind!r}"
        return DroppedColumn(self.name, self.type, why, "", identifier=self.kind == "id")

    def moments(self, column: Column) -> Moments:
        """Return none."""
        return Moments.none(0)


def profile_of(name: str, kind: str | None) -> FieldProfile:
    """Return the empty profile of a column, of the kind that the user chose, if any."""
    if kind is None:
        return UntypedProfile(name)
    return (UnusedProfile if kind in ("id", "ignore") else ChosenProfile)(name, kind)


def _taken(table: pa.Table, places: NDArray[np.intp]) -> pa.Table:
    """Return some rows, text as text; columns that cannot be modelled are missing."""
    columns = [
        plain_text(column.take(pa.array(places)))
        if sort_of(column.type) in PROFILES
        else pa.nulls(len(places))
        for column in table.columns
    ]
    return pa.table(columns, table.column_names)


def _joined(tables: list[pa.Table]) -> pa.Table:
    return pa.concat_tables(tables, promote_options="permissive")
