"""Categorical columns."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from attar.data.cells import Category, Cell
from attar.data.columns.arrow import TEXT, places, plain_text
from attar.data.columns.base import Array, Column, ColumnProfile, Dropped, unscaled
from attar.data.summary import Moments

# The most levels of a column, and the most different texts that are counted.
CAP, COUNTED = 100, 100_000

# How many texts are looked at together.
CHUNK = 1 << 20

OTHER = "other"


@dataclass(frozen=True)
class CategoricalColumn(Column, tag="levels"):
    """Text of few values: the number of its level.

    Parameters
    ----------
    levels : tuple of str
    other : str or None
        Where levels were left out, what those come back as: they make one more level. None where
        every level is known: one that was never seen is then -1, and comes back missing.
    """

    levels: tuple[str, ...]
    other: str | None = None

    @property
    def cells(self) -> tuple[Cell, ...]:
        """One cell of levels."""
        rest = () if self.other is None else (OTHER,)
        return (Category(self.name, self.levels + rest),)

    @property
    def remark(self) -> str | None:
        """That levels were left out."""
        if self.other is None:
            return None
        return f"only the {len(self.levels)} most frequent of its levels are told apart"

    @property
    def single(self) -> bool:
        """True: small integers are exact."""
        return True

    def encode(self, array: pa.ChunkedArray) -> Array:
        """Return the numbers of the levels."""
        numbers = places(array, pa.array(self.levels, TEXT)).astype(np.float64)
        unknown = numbers < 0
        if unknown.any():
            numbers[unknown] = -1 if self.other is None else len(self.levels)
            numbers[array.is_null().to_numpy()] = np.nan
        return numbers[:, None]

    def decode(self, rows: Array) -> pa.Array:
        """Return the levels as a dictionary."""
        rest = () if self.other is None else (self.other,)
        numbers = np.rint(rows[:, 0])
        missing = ~(numbers >= 0)
        last = len(self.levels) + len(rest) - 1
        indices = np.where(missing, 0, numbers).clip(max=last).astype(np.int32)
        return pa.DictionaryArray.from_arrays(
            pa.array(indices, mask=missing), pa.array(self.levels + rest, TEXT)
        )


class CategoricalProfile(ColumnProfile):
    """How often each text occurs.

    Beyond :data:`COUNTED` different texts nothing is counted any more: what is most frequent is
    then seen from the sample.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.counts: Counter[str] | None = Counter()
        # The categories in their own order, where the column has categories.
        self.order: dict[str, None] = {}

    def add(self, array: pa.ChunkedArray) -> None:
        """Look at the next piece, in which some value is known."""
        self.observed += len(array) - array.null_count
        if pa.types.is_dictionary(array.type):
            array = array.unify_dictionaries()
            self.order |= dict.fromkeys(array.chunk(0).dictionary.to_pylist())
        for start in range(0, len(array), CHUNK):
            if self.counts is not None:
                self.counts.update(_counted(array.slice(start, CHUNK)))
                if len(self.counts) > COUNTED:
                    self.counts = None

    @property
    def only(self) -> str | None:
        """The one text that was seen; None where there are several."""
        return next(iter(self.counts)) if self.counts and len(self.counts) == 1 else None

    def column(self, type_: pa.DataType, n: int, sample: pa.ChunkedArray) -> Column:
        """Return a column of levels, or that nearly all are different."""
        seen = _counted(sample)
        if len(seen) > max(CAP, seen.total() / 2):
            return Dropped(self.name, type_, "nearly all of its values are different")
        counts = seen if self.counts is None else self.counts
        ranks = self.order if self.order else sorted(counts)
        known = [label for label in ranks if counts[label]]
        # Sorting is stable: of levels equally frequent, the first ones are kept.
        frequent = sorted(known, key=counts.__getitem__, reverse=True)
        if self.counts is not None and len(known) <= CAP:
            return CategoricalColumn(self.name, type_, tuple(known))
        kept = set(frequent[:CAP])
        other = OTHER
        if self.order:
            rest = [label for label in self.order if label not in kept]
            other = max(rest, key=counts.__getitem__)
        return CategoricalColumn(self.name, type_, tuple(x for x in known if x in kept), other)

    def moments(self, column: CategoricalColumn) -> Moments:
        """Return how many there are."""
        return unscaled(self.observed, len(column.cells[0].features) - 1)


def _counted(array: pa.ChunkedArray) -> Counter[str]:
    """Return how often each text occurs."""
    if pa.types.is_dictionary(array.type):
        whole = array.unify_dictionaries().combine_chunks()
        counts = pc.value_counts(whole.indices.drop_null())
        labels = whole.dictionary.take(counts.field(0))
    else:
        counts = pc.value_counts(array.drop_null())
        labels = plain_text(counts.field(0))
    return Counter(dict(zip(labels.to_pylist(), counts.field(1).to_pylist(), strict=True)))
