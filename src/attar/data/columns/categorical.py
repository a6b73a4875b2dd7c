"""Categorical columns."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from attar.data.cells import Category, Cell
from attar.data.columns.arrow import TEXT, places, plain_text
from attar.data.columns.base import FEW, Array, Column, ColumnProfile, DroppedColumn, unscaled
from attar.data.summary import Moments

# The most categories of a column, and the most different texts that are counted.
CAP, COUNTED = 100, 100_000

# How many texts are counted at once.
CHUNK = 1 << 20

OTHER = "other"


@dataclass(frozen=True)
class CategoricalColumn(Column, tag="categorical"):
    """Text of few categories: the index of its category.

    Parameters
    ----------
    categories : tuple of str
    other : str or None
        Where rare categories were left out, the text that they become: one more category. None
        where no category was left out: one that the fit did not see is then -1, and is restored
        as missing.
    """

    categories: tuple[str, ...]
    other: str | None = None

    @property
    def cells(self) -> tuple[Cell, ...]:
        """One categorical cell."""
        rest = () if self.other is None else (OTHER,)
        return (Category(self.name, self.categories + rest),)

    @property
    def remark(self) -> str | None:
        """That categories were left out."""
        if self.other is None:
            return None
        kept = f"kept the {len(self.categories)} most frequent categories"
        return f"{kept}, the rest become {self.other!r}"

    @property
    def single(self) -> bool:
        """True: small integers are exact."""
        return True

    def encode(self, array: pa.ChunkedArray) -> Array:
        """Return the indices of the categories."""
        indices = places(array, pa.array(self.categories, TEXT)).astype(np.float64)
        unknown = indices < 0
        if unknown.any():
            indices[unknown] = -1 if self.other is None else len(self.categories)
            indices[array.is_null().to_numpy()] = np.nan
        return indices[:, None]

    def decode(self, rows: Array) -> pa.Array:
        """Return the categories as a dictionary."""
        rest = () if self.other is None else (self.other,)
        labels = pa.array(self.categories + rest, TEXT)
        rounded = np.rint(rows[:, 0])
        missing = ~(rounded >= 0)
        indices = np.where(missing, 0, rounded).clip(max=len(labels) - 1).astype(np.int32)
        return pa.DictionaryArray.from_arrays(pa.array(indices, mask=missing), labels)


class CategoricalProfile(ColumnProfile):
    """How often each text occurs.

    Beyond :data:`COUNTED` different texts counting stops: the most frequent ones are then those of
    the sample.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.counts: Counter[str] | None = Counter()
        # The order of the categories, where the type has one.
        self.order: dict[str, None] = {}

    def add(self, array: pa.ChunkedArray) -> None:
        """Add the next piece, in which some value is not missing."""
        self.observed += len(array) - array.null_count
        if pa.types.is_dictionary(array.type):
            array = array.unify_dictionaries()
            self.order |= dict.fromkeys(array.chunk(0).dictionary.to_pylist())
        for start in range(0, len(array), CHUNK):
            if self.counts is not None:
                self.counts.update(_counted(array.slice(start, CHUNK)))
                if len(self.counts) > COUNTED:
                    self.counts = None

    def merge(self, other: Self) -> None:
        """Add the counts of further rows."""
        super().merge(other)
        self.order |= other.order
        if self.counts is not None:
            self.counts = None if other.counts is None else self.counts + other.counts
        if self.counts is not None and len(self.counts) > COUNTED:
            self.counts = None

    @property
    def only(self) -> str | None:
        """The one text, where all are equal."""
        return next(iter(self.counts)) if self.counts and len(self.counts) == 1 else None

    def column(self, type_: pa.DataType, n: int, sample: pa.ChunkedArray) -> Column:
        """Return a categorical column, or that nearly all values are different."""
        sampled = _counted(sample)
        if not self.chosen and len(sampled) > max(FEW, sampled.total() / 2):
            why = "nearly all of its values are different"
            advice = "drop it, or convert it if its text stands for numbers or dates"
            return DroppedColumn(self.name, type_, why, advice)
        counts = sampled if self.counts is None else self.counts
        ranks = self.order if self.order else sorted(counts)
        known = [label for label in ranks if counts[label]]
        # Sorting is stable: of categories equally frequent, the first ones are kept.
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
        array = array.unify_dictionaries().combine_chunks()
        counts = pc.value_counts(array.indices.drop_null())
        labels = array.dictionary.take(counts.field(0))
    else:
        counts = pc.value_counts(array.drop_null())
        labels = plain_text(counts.field(0))
    return Counter(dict(zip(labels.to_pylist(), counts.field(1).to_pylist(), strict=True)))
