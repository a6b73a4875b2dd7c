"""Tables: arrays (n, columns) of numbers, and frames whose columns may be of any type."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import Self

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from attar.data.cells import Category, Cell, Component, Expansion, Number
from attar.data.columns.arrow import schema_from_json, schema_to_json
from attar.data.columns.base import Column, ConstantColumn, DroppedColumn
from attar.data.columns.frames import (
    Frame,
    FrameFormat,
    array_of,
    frame_of,
    in_order,
    is_table,
    misfit,
    opened,
    picked,
)
from attar.data.columns.profiles import TableProfile
from attar.data.kind import Json, Kind, Portion, Rows, back_to, changes, require_finite
from attar.data.scaling import MinMax, Scaling, Standard, Symmetric, skewness, usual
from attar.data.stream import Sample, Share, Stream, pieces, places_of
from attar.data.summary import Moments, Summary
from attar.errors import DataError, SettingError, warn
from attar.storage import nested, unnested

# How many rows are encoded at once: about what the processor's cache holds.
CHUNK = 1 << 15


class Table(Kind):
    """The form of a table: rows of cells."""

    name = "table"

    @property
    @abstractmethod
    def cells(self) -> tuple[Cell, ...]:
        """The cells of a raw row."""

    @property
    def dimensions(self) -> int:
        """The number of columns."""
        return len(self.portions)

    @property
    def remarks(self) -> list[tuple[str, str]]:
        """The columns that are not used as they are, and why."""
        return [(portion.name, portion.remark) for portion in self.portions if portion.remark]

    @property
    @abstractmethod
    def names(self) -> tuple[Hashable, ...] | None:
        """The names of a frame's columns; None for an array."""

    @classmethod
    def of(
        cls, pieces: Iterable[object], columns: Mapping[str, str] | None = None
    ) -> tuple[Table, Summary]:
        """Return the form of arrays or frames and their summary.

        Parameters
        ----------
        pieces : iterable of array or frame
        columns : mapping or None
            The kinds of columns that the user chose, by their names.

        Raises
        ------
        DataError
            If a cell is infinite, if pieces don't fit each other, if no column can be used, or if
            a category or the name of a column cannot be saved.
        SettingError
            If there is no column of a name in ``columns``.
        """
        share = pieces.share() if isinstance(pieces, Stream) else None
        if share is not None:
            return MixedTable.fit(share, columns)
        rest = iter(pieces)
        first = next(rest, None)
        if first is None:
            raise DataError("The data have no rows: there is nothing to learn.")
        if is_table(first):
            return MixedTable.fit(chain([first], rest), columns)
        if columns:
            raise SettingError(
                f"The columns of an array have no names, such as {next(iter(columns))!r}: give a "
                "DataFrame, or leave columns out."
            )
        return NumericTable.fit(chain([first], rest))

    @cached_property
    def expansion(self) -> Expansion:
        """How cells become features."""
        return Expansion(self.cells)

    def scaling(self, summary: Summary) -> Scaling:
        """Return the scaling that suits the cells that have a unit.

        Min-max where all of them lie between 0 and 1; standardization else, after a power
        transform where a column is skewed.
        """
        scaled, moments = self._scaled, summary.moments
        if (moments.low[scaled] >= 0).all() and (moments.high[scaled] <= 1).all():
            return MinMax()
        symmetric = Symmetric()
        _, sample = usual(moments, summary.sample)
        skewed = np.abs(skewness(sample[:, scaled])) > symmetric.tolerance
        return symmetric if skewed.any() else Standard()

    def columns(self, rows: Rows) -> Rows:
        """Return the rows: each cell has its own scale."""
        return rows

    def spread(self, per_column: NDArray[np.float64], neutral: float) -> NDArray[np.float64]:
        """Return the values, with the neutral one for cells that have no unit."""
        return np.where(self._scaled, per_column, neutral)

    def expand(self, scaled: Tensor) -> Tensor:
        """Return rows of cells (B, cells) as rows of features (B, features), NaN where missing."""
        return self.expansion.expand(scaled)

    def collapse(self, prepared: Tensor) -> Tensor:
        """Return rows of features (B, features) as rows of cells (B, cells): the likeliest."""
        return self.expansion.collapse(prepared)

    def with_unit(self, prepared: Rows) -> tuple[list[str], Rows]:
        """Return names and values (n, columns) of the features that are numbers."""
        cells = zip(self.cells, self.expansion.segments, strict=True)
        places = [segment.start for cell, segment in cells if cell.scaled]
        names = self.feature_names()
        return [names[place] for place in places], prepared[:, places]

    def feature_names(self) -> list[str]:
        """Return the names of the features, such as age, race=White and date (day, cos)."""
        return self.expansion.feature_names

    @classmethod
    def from_json(cls, data: Json) -> Table:
        """Return the form that :meth:`to_json` described."""
        return (MixedTable if "columns" in data else NumericTable).read(data)

    @classmethod
    @abstractmethod
    def read(cls, data: Json) -> Self:
        """Return the form of this class that :meth:`to_json` described."""

    @cached_property
    def _scaled(self) -> NDArray[np.bool_]:
        return np.array([cell.scaled for cell in self.cells], bool)


@dataclass(frozen=True)
class NumericTable(Table):
    """The form of an array (n, columns) of numbers: each column is a number, NaN is missing.

    Parameters
    ----------
    dtype : str
    width : int
        The number of columns.
    void : tuple of int
        The columns without a value, which are not used; not all of them.
    constants : tuple of pairs
        The columns that have but one value, and that value; it is assumed in new rows too.
    """

    dtype: str
    width: int
    void: tuple[int, ...] = ()
    constants: tuple[tuple[int, float], ...] = ()

    @property
    def names(self) -> None:
        """None: an array has no names."""

    @classmethod
    def fit(cls, pieces: Iterable[object]) -> tuple[Self, Summary]:
        """Return the form of arrays and their summary."""
        kind: Self | None = None
        moments = Moments.none(0)
        sample: Sample[Rows] = Sample(lambda rows, places: rows[places])
        for piece in pieces:
            rows = array_of(piece) if kind is None else kind.rows(piece)
            if kind is None:
                kind, moments = cls(str(rows.dtype), rows.shape[1]), Moments.none(rows.shape[1])
            kind = replace(kind, dtype=str(np.result_type(kind.dtype, rows.dtype)))
            if rows.size:
                moments = moments.merged(Moments.of(kind.rows(rows)))
            sample.add(rows, len(rows))
        assert kind is not None  # there is a first piece
        if not sample.seen:
            return kind, Summary(0, moments, rows, np.empty(0, np.intp))
        sampled, places = sample.result(np.concatenate)
        void = np.flatnonzero(moments.count == 0)
        if 0 < len(void) < kind.width:
            kind = replace(kind, void=tuple(void.tolist()))
            moments, sampled = moments.at(kind._used), sampled[:, kind._used]
        alike = np.flatnonzero(moments.low == moments.high).tolist()
        kind = replace(kind, constants=tuple((i, float(moments.low[i])) for i in alike))
        return kind, Summary(sample.seen, moments, sampled, places)

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of columns that are used."""
        return (self.width - len(self.void),)

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """A number for each column that is used: x0, x1, ..."""
        return tuple(Number(f"x{i}") for i in self._used)

    @property
    def portions(self) -> list[Portion]:
        """The columns."""
        used = {i: slice(place, place + 1) for place, i in enumerate(self._used)}
        void = slice(0, 0), "all of its values are missing", "drop it"
        return [
            Portion(f"x{i}", self.dtype, *((used[i],) if i in used else void))
            for i in range(self.width)
        ]

    def rows(self, data: object) -> Rows:
        """Return the columns that are used as they are, NaN where a cell is missing.

        Parameters
        ----------
        data : array, or frame of numbers
        """
        array = require_finite(self._columns(data), lambda place: f"Column {place[0]} of X")
        differing = self._differing(array)
        if any(differs.any() for differs in differing.values()):
            array = array.copy()
            for (place, value), differs in zip(self.constants, differing.values(), strict=True):
                array[differs, place] = value
        return array

    def changed(self, data: object) -> NDArray[np.intp] | None:
        """Return how many columns of each row differ that were constant in the fit."""
        return changes(self._differing(self._columns(data)))

    def _differing(self, array: Rows) -> dict[str, NDArray[np.bool_]]:
        """Return in which rows each constant column differs, by more than its digits."""
        types = [dtype for dtype in (np.dtype(self.dtype), array.dtype) if dtype.kind == "f"]
        digits = max((float(np.finfo(dtype).eps) for dtype in types), default=0.0)
        found = {}
        for place, value in self.constants:
            column = array[:, place].astype(np.float64)
            found[self.cells[place].name] = np.abs(column - value) > digits * abs(value)
        return found

    def passthrough(self, data: object) -> Rows | None:
        """Return the columns that are not used, if any."""
        return self._checked(data)[:, self.void] if self.void else None

    def restore(self, rows: Rows, passthrough: Rows | None = None) -> Rows:
        """Return the array in its own dtype; 0 stands for what is missing among integers.

        Without ``passthrough``, columns that are not used are missing.
        """
        dtype = np.dtype(self.dtype)
        if dtype.kind in "iu" and rows.dtype.kind == "f":
            rows = np.where(np.isnan(rows), 0, rows)
        restored = back_to(dtype, rows)
        if not self.void:
            return restored
        whole = np.full((len(rows), self.width), np.nan, dtype)
        whole[:, self._used] = restored
        if passthrough is not None:
            whole[:, self.void] = passthrough
        return whole

    def joined(self, parts: Sequence[Rows]) -> Rows:
        """Return arrays as one."""
        return np.concatenate(parts)

    def to_json(self) -> Json:
        """Return dtype, width, columns without a value, and constants."""
        return {
            "dtype": self.dtype,
            "width": self.width,
            "void": list(self.void),
            "constants": self.constants,
        }

    @classmethod
    def read(cls, data: Json) -> Self:
        """Return the form that :meth:`to_json` described."""
        constants = tuple((int(place), float(value)) for place, value in data["constants"])
        return cls(data["dtype"], data["width"], tuple(data["void"]), constants)

    @cached_property
    def _used(self) -> list[int]:
        return [i for i in range(self.width) if i not in self.void]

    def _columns(self, data: object) -> Rows:
        array = self._checked(data)
        return array[:, self._used] if self.void else array

    def _checked(self, data: object) -> Rows:
        array = array_of(data)
        if array.ndim != 2 or array.shape[1] != self.width:
            raise misfit(array.shape, self.width)
        return array


@dataclass(frozen=True)
class MixedTable(Table):
    """The form of a frame, each column of which has its own type.

    Parameters
    ----------
    format : FrameFormat
        Of the user's own frame.
    fields : tuple of Column
        Its columns.
    """

    format: FrameFormat
    fields: tuple[Column, ...]

    @classmethod
    def fit(
        cls, pieces: Iterable[object], columns: Mapping[str, str] | None = None
    ) -> tuple[Self, Summary]:
        """Return the form of frames and their summary, or those of the shares of all workers."""
        shares: tuple[int, ...] = ()
        if isinstance(pieces, Share):
            profile, shares = TableProfile.of_shares(pieces, columns)
        else:
            profile = TableProfile.of(pieces, columns)
        assert profile.format is not None  # there is a first piece
        sample, places = profile.sampled()
        if shares:
            places = places_of(places, shares)
        fields = profile.columns(sample)
        kind = cls(profile.format, fields)
        kind.to_json()  # before training: what cannot be saved is refused
        if len(sample) > 1:
            kind._require_cells()
        rows = profile.sample.seen
        cells = kind._encoded(kind._fitting(sample))
        return kind, Summary(rows, profile.moments(fields), cells, places, shares=shares)

    def without_texts(self, summary: Summary) -> tuple[Self, Summary]:
        """Return the form in which columns of text are not used, and the summary without them.

        Raises
        ------
        DataError
            If there are no other columns.
        """
        kept = [i for i, cell in enumerate(self.cells) if not isinstance(cell, Component)]
        fields = tuple(
            DroppedColumn(one.name, one.type, "it is text, which is stored as it is", "")
            if any(isinstance(cell, Component) for cell in one.cells)
            else one
            for one in self.fields
        )
        kind = replace(self, fields=fields)
        kind._require_cells()
        moments, sample = summary.moments.at(kept), summary.sample[:, kept]
        return kind, replace(summary, moments=moments, sample=sample)

    def _require_cells(self) -> None:
        if not self.cells:
            why = ", ".join(f"{name!r} ({remark})" for name, remark in self.remarks[:3])
            raise DataError(f"The table has no column to learn from: {why}.")

    @property
    def names(self) -> tuple[Hashable, ...]:
        """The names of the columns, as the user has them."""
        return self.format.names

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """The cells of all columns that are used."""
        return tuple(cell for column in self.fields for cell in column.cells)

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of features."""
        return (self.expansion.width,)

    @cached_property
    def leaders(self) -> Tensor:
        """The first cell of the column of each cell: what encodes a value is hidden together."""
        widths = [len(column.cells) for column in self.used]
        first = np.cumsum([0, *widths[:-1]])
        return torch.from_numpy(np.repeat(first, widths))

    @property
    def portions(self) -> list[Portion]:
        """The columns."""
        portions, start = [], 0
        for column in self.fields:
            stop = start + len(column.cells)
            portions.append(
                Portion(
                    column.name,
                    column.kind,
                    slice(start, stop),
                    column.remark or "",
                    column.advice,
                )
            )
            start = stop
        return portions

    @property
    def parts(self) -> list[tuple[str, slice]]:
        """The columns that are used."""
        places = [
            (portion.name, self.expansion.segments[portion.columns]) for portion in self.portions
        ]
        return [(name, slice(cells[0].start, cells[-1].stop)) for name, cells in places if cells]

    def columns_with(self, features: NDArray[np.bool_]) -> int:
        """Return how many columns have a feature of these; of text each component is one."""
        cells = zip(self.cells, self.leaders.tolist(), self.expansion.segments, strict=True)
        found = {
            place if isinstance(cell, Component) else leader
            for place, (cell, leader, segment) in enumerate(cells)
            if features[segment].any()
        }
        return len(found)

    def rows(self, data: object) -> Rows:
        """Return a frame as cells: (n, cells), NaN where one is missing.

        In single precision where that holds all of them exactly. Categories that the fit did not
        see are counted in a warning.

        Parameters
        ----------
        data : frame, or array with the same number of columns
        """
        rows = self._encoded(self.values(data))
        owners = [column.name for column in self.used for _ in column.cells]
        require_finite(rows, lambda place: f"Column {owners[place[0]]!r}")
        self._warn_of_unseen(rows)
        return rows

    def values(self, data: object) -> pa.Table:
        """Return the columns of a frame that are used, with values of the sorts of the fit."""
        return self._fitting(opened(picked(self.ordered(data), self._places(used=True))))

    def index(self, data: object) -> pd.DataFrame | None:
        """Return the columns that the user named as identifiers, if any."""
        fields = enumerate(self.fields)
        places = [i for i, f in fields if isinstance(f, DroppedColumn) and f.identifier]
        if not places:
            return None
        frames = [picked(self.ordered(piece), places) for piece in pieces(data)]
        index: pd.DataFrame = pd.concat(
            [frame if isinstance(frame, pd.DataFrame) else frame.to_pandas() for frame in frames]
        )
        return index

    def changed(self, data: object) -> NDArray[np.intp] | None:
        """Return how many columns of each row differ that were constant in the fit."""
        constant = {i: c for i, c in enumerate(self.fields) if isinstance(c, ConstantColumn)}
        places = [i for i, column in constant.items() if not column.gaps]
        if not places:
            return None
        table = opened(picked(self.ordered(data), places))
        return changes(
            {table.column_names[j]: constant[i].differs(table[j]) for j, i in enumerate(places)}
        )

    def passthrough(self, data: object) -> pd.DataFrame:
        """Return the columns that are not used, with the index."""
        frame = self.ordered(data)
        places = self._places(used=False)
        names = [self.fields[place].name for place in places]
        rest = picked(frame, places)
        if isinstance(rest, pd.DataFrame):
            return rest.set_axis(names, axis=1)
        passthrough: pd.DataFrame = rest.to_pandas(types_mapper=pd.ArrowDtype, ignore_metadata=True)
        return passthrough.reindex(range(len(frame)))

    def restore(self, rows: Rows, passthrough: pd.DataFrame | None = None) -> object:
        """Return cells as a frame of the user's own library, with its columns, dtypes, and index.

        Without ``passthrough``, columns that are not used have their constant, running numbers,
        empty text, or missing values. Where a dtype of NumPy has no missing values, 0 and false
        stand for them.
        """
        # Column by column in memory, as they are read below.
        cells = np.asarray(rows, np.float64, order="F")
        arrays, start = {}, 0
        for column in self.fields:
            stop = start + len(column.cells)
            if column.cells or passthrough is None:
                arrays[column.name] = column.decode(cells[:, start:stop])
            start = stop
        return self.format.close(arrays, passthrough)

    def joined(self, parts: Sequence[object]) -> object:
        """Return frames as one."""
        return self.format.joined(parts)

    def tensors(self) -> dict[str, Tensor]:
        """Return those of columns, by their places."""
        parts = [nested(str(i), column.tensors()) for i, column in enumerate(self.fields)]
        return {name: tensor for part in parts for name, tensor in part.items()}

    def with_tensors(self, tensors: Mapping[str, Tensor]) -> Self:
        """Return the form of JSON with what :meth:`tensors` returned."""
        own = (unnested(str(i), tensors) for i in range(len(self.fields)))
        pairs = zip(self.fields, own, strict=True)
        return replace(self, fields=tuple(column.with_tensors(x) for column, x in pairs))

    def to_json(self) -> Json:
        """Return format, types and columns."""
        types = pa.schema([(column.name, column.type) for column in self.fields])
        return {
            "format": self.format.to_json(),
            "types": schema_to_json(types),
            "columns": [column.to_json() for column in self.fields],
        }

    @classmethod
    def read(cls, data: Json) -> Self:
        """Return the form that :meth:`to_json` described."""
        types = schema_from_json(data["types"]).types
        columns = map(Column.from_json, data["columns"], types)
        return cls(FrameFormat.from_json(data["format"]), tuple(columns))

    @cached_property
    def used(self) -> tuple[Column, ...]:
        """The columns that are used."""
        return tuple(column for column in self.fields if column.cells)

    @property
    def precision(self) -> type[np.float32] | type[np.float64]:
        """The dtype of raw rows: single where it holds all values exactly."""
        single = all(column.single for column in self.used)
        return np.float32 if single else np.float64

    def _places(self, used: bool) -> list[int]:
        return [i for i, column in enumerate(self.fields) if bool(column.cells) == used]

    def ordered(self, data: object) -> Frame:
        """Return data as a frame with the columns of the fit, in their order."""
        names = [column.name for column in self.fields]
        if is_table(data):
            return in_order(frame_of(data), names)
        array = np.asarray(data)
        if array.ndim != 2 or array.shape[1] != len(names):
            raise misfit(array.shape, len(names))
        return pd.DataFrame(array, columns=names)

    def _fitting(self, table: pa.Table) -> pa.Table:
        """Return the columns that are used, with values of the sorts of the fit."""
        columns = {column.name: column.fitting(table[column.name]) for column in self.used}
        return pa.table(columns) if columns else table

    def _encoded(self, table: pa.Table) -> Rows:
        rows = np.empty((len(table), len(self.cells)), self.precision)
        for start in range(0, len(table) if self.used else 0, CHUNK):
            part = table.slice(start, CHUNK)
            cells = [column.encode(part[column.name]).T for column in self.used]
            rows[start : start + CHUNK] = np.vstack(cells).T
        return rows

    def _warn_of_unseen(self, rows: Rows) -> None:
        places = [i for i, cell in enumerate(self.cells) if isinstance(cell, Category)]
        counts = {self.cells[i].name: int((rows[:, i] < 0).sum()) for i in places}
        unseen = [repr(name) for name, count in counts.items() if count]
        if unseen:
            warn(
                "Categories that the fit did not see are encoded as none of the known ones: "
                f"{sum(counts.values())} in the column{'s' * (len(unseen) > 1)} "
                f"{', '.join(unseen)}."
            )
