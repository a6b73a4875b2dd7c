"""Which colour each row has, by its label."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attar.errors import DataError

CATEGORIES = 10
STEPS = 7


@dataclass(frozen=True)
class Colouring:
    """A grouping of rows, with a colour for each group.

    Attributes
    ----------
    groups : int array (n,)
    tones : list of str
        The name of each group's colour on the page.
    meanings : list of str
        What is in each group.
    names : list of str (n,)
        What each row is called: its label, or where it is in the data.
    categorical : bool
        Whether the groups are labels; else they are the steps of a scale.
    """

    groups: NDArray[np.intp]
    tones: list[str]
    meanings: list[str]
    names: list[str]
    categorical: bool = True

    def at(self, rows: NDArray[np.intp]) -> Colouring:
        """Return the colouring of some of the rows."""
        names = [self.names[row] for row in rows]
        return replace(self, groups=self.groups[rows], names=names)

    @property
    def legend(self) -> list[tuple[str, str]]:
        """The colours and what they mean; empty where there is but one group."""
        return list(zip(self.tones, self.meanings, strict=True)) if len(self.tones) > 1 else []


def plain(names: list[str]) -> Colouring:
    """Return one colour for rows of these names."""
    return Colouring(np.zeros(len(names), np.intp), ["plain"], ["all rows"], names)


def one_each(labels: Any, n: int) -> NDArray[Any]:
    """Return labels as an array.

    Raises
    ------
    DataError
        If there is not one label for each of ``n`` rows.
    """
    values = np.asarray(labels)
    if values.shape != (n,):
        raise DataError(
            f"The labels have shape {values.shape}, but there are {n} rows: give one label a row."
        )
    return values


def by_label(values: NDArray[Any]) -> Colouring:
    """Return a colour for each distinct label (n,), or a scale of colours for many numbers."""
    values = values if values.dtype.kind in "biuf" else values.astype(str)
    names = [f"{v:g}" if values.dtype.kind == "f" else str(v) for v in values]
    distinct, groups, sizes = np.unique(values, return_inverse=True, return_counts=True)
    if len(distinct) > CATEGORIES:
        return _few(groups, sizes, names) if values.dtype.kind == "U" else _scale(values, names)
    first = np.unique(groups, return_index=True)[1]
    tones = [f"c{i}" for i in range(len(distinct))]
    return Colouring(groups, tones, [names[row] for row in first], names)


def _few(groups: NDArray[np.intp], sizes: NDArray[np.intp], names: list[str]) -> Colouring:
    """Return a colour for each of the largest groups, and one for all others."""
    largest = np.argsort(-sizes, kind="stable")[: CATEGORIES - 1]
    place = np.full(len(sizes), len(largest))
    place[largest] = np.arange(len(largest))
    first = np.unique(groups, return_index=True)[1]
    return Colouring(
        place[groups],
        [f"c{i}" for i in range(len(largest))] + ["other"],
        [names[first[group]] for group in largest] + ["other"],
        names,
    )


def _scale(values: NDArray[Any], names: list[str]) -> Colouring:
    """Return a scale of colours from the smallest to the largest number."""
    finite = np.isfinite(values)
    edges = np.linspace(values[finite].min(), values[finite].max(), STEPS + 1)
    groups = np.where(finite, np.digitize(values, edges[1:-1]), STEPS)
    meanings = [f"{a:.3g} to {b:.3g}" for a, b in pairwise(edges)]
    tones = [f"s{i}" for i in range(STEPS)]
    if finite.all():
        return Colouring(groups, tones, meanings, names, categorical=False)
    tones, meanings = [*tones, "other"], [*meanings, "no number"]
    return Colouring(groups, tones, meanings, names, categorical=False)
