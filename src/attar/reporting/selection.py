"""Selection: which rows the page shows, their names and colours, and their codes on a plane."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attar.data.kind import Kind, Rows
from attar.data.pictures import Pictures
from attar.data.preparation import Preparation
from attar.data.recordings import SoundWindows
from attar.data.source import Data
from attar.data.stream import Sample, evenly_spaced
from attar.data.training_data import most_rows
from attar.errors import DataError
from attar.reporting.html import CATEGORIES, MISSING, number
from attar.reporting.scale import Scale, time_ticks

Indices = NDArray[np.intp]

# Endings of times that can be left out where all have them, before the time zone, if any.
MIDNIGHT = re.compile(r"[ T]00:00:00([+-]\d\d:\d\d)?$")
SECONDS = re.compile(r"(?<=:\d\d):00(?=([+-]\d\d:\d\d)?$)")

# The steps of a scale of colours.
STEPS = 7


def sample_rows(preparation: Preparation, data: Data) -> tuple[Rows, Indices, int]:
    """Return a sample of the raw rows of data, all of few, their indices, and how many all are.

    Streams are read once, and never held in memory.
    """
    sample: Sample[Rows] | None = None
    for piece in preparation.kind.pieces(data):
        rows = preparation.kind.rows(piece)
        if sample is None:
            sample = Sample(lambda rows, places: rows[places], most_rows(rows))
        sample.add(rows, rows.shape[0])
    assert sample is not None  # data without rows are refused before
    return *sample.result(preparation.stacked), sample.seen


def names_of(kind: Kind, data: Data, places: Indices) -> list[str]:
    """Return the names of the rows of data of a kind at these places.

    They are identifiers, the index of a frame, the files of pictures, the series or the file and
    the start of a window; else rows are numbered.
    """
    index = kind.index(data)
    if index is not None and isinstance(kind, SoundWindows):
        some = index.iloc[places]
        pairs = zip(some["file"], some["start"], strict=True)
        return [f"{file}, {start:.3g} s" if start else file for file, start in pairs]
    if isinstance(data, Pictures):
        return [data.names[place] for place in places]
    if index is None and isinstance(data, pd.DataFrame):
        labels = data.index[places]
        numbered = pd.api.types.is_integer_dtype(labels)
        return row_names(None, labels.to_numpy()) if numbered else [str(x) for x in labels]
    return row_names(index, places)


def row_names(index: pd.DataFrame | None, places: Indices) -> list[str]:
    """Return the names of the rows at these places.

    Parameters
    ----------
    index : DataFrame (n, ...) or None
        The series of each row, where there are several, its start and its end; or identifiers. None
        where rows are rows of the data and have no name.
    """
    if index is None:
        return [f"row {place}" for place in places]
    columns = [index.iloc[places, i].astype(str).tolist() for i in range(index.shape[1])]
    if list(index.columns[-2:]) != ["start", "end"]:
        return [", ".join(parts) for parts in zip(*columns, strict=True)]
    *series, start, _ = columns
    words = [*series, short_times(start)]
    if series and len(set(start)) == 1:
        words = [[f"{index.columns[0]} {name}" for name in series[0]]]
    return [", ".join(parts) for parts in zip(*words, strict=True)]


def interpolation_ends(groups: Indices, along: Rows, most: int) -> list[tuple[int, int]]:
    """Return at most ``most`` pairs of rows, of different groups where there are several.

    Parameters
    ----------
    groups : int array (n,)
    along : array (n,)
        A coordinate in which the rows of a pair are far apart where they are of one group.
    most : int
    """
    # The ends of a pair are half of all rows apart: only a group of more than half contains both.
    order = np.lexsort((along, groups))
    half = len(order) // 2
    pairs = np.stack([order[:half], order[half : 2 * half]], axis=1)
    differ = pairs[groups[pairs[:, 0]] != groups[pairs[:, 1]]]
    candidates = differ if len(differ) else pairs
    return [(int(a), int(b)) for a, b in candidates[evenly_spaced(len(candidates), most)]]


def plane(codes: Rows) -> tuple[Rows, str, str]:
    """Return codes (n, d) as points (n, 2), and the names of the two axes."""
    n, d = codes.shape
    if d == 1:
        # The golden ratio's multiples fill an interval evenly from the first point on.
        spread = np.arange(n) * 0.6180339887 % 1
        return np.column_stack([codes[:, 0], spread]), "latent dimension 0", "jitter"
    if d == 2:
        return codes, "latent dimension 0", "latent dimension 1"
    centred = codes - codes.mean(0)
    wide = d > n > 2  # few codes have the same variances in a smaller matrix
    variances, vectors = np.linalg.eigh(centred @ centred.T if wide else centred.T @ centred)
    first = vectors[:, :-3:-1]
    if wide:
        first = centred.T @ first
        first = first / np.linalg.norm(first, axis=0).clip(np.finfo(first.dtype).tiny)
    # The sign of an eigenvector is arbitrary: its largest entry is made positive.
    first = first * np.sign(first[np.abs(first).argmax(0), [0, 1]])
    total = variances.sum()
    shares = variances[:-3:-1] / total if total else np.zeros(2)
    x, y = (
        f"{place} principal component, {share:.0%} of the variance"
        for place, share in zip(("first", "second"), shares, strict=True)
    )
    return centred @ first, x, y


def short_times(texts: Sequence[str]) -> list[str]:
    """Return texts without the time of day, or its seconds, where it is zero in all of them."""
    known = [text for text in texts if text != MISSING]
    for ending in (MIDNIGHT, SECONDS):
        if all(ending.search(text) for text in known):
            return [ending.sub("", text) for text in texts]
    return list(texts)


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
        The name of each row.
    categorical : bool
        Whether the groups are labels; else they are the steps of a scale.
    """

    groups: Indices
    tones: list[str]
    meanings: list[str]
    names: list[str]
    categorical: bool = True

    def at(self, rows: Indices) -> Colouring:
        """Return the colouring of some of the rows."""
        names = [self.names[row] for row in rows]
        return replace(self, groups=self.groups[rows], names=names)

    def named(self, names: Sequence[str]) -> Colouring:
        """Return the colouring of rows with names of their own beside their labels."""
        both = zip(names, self.names, strict=True)
        return replace(self, names=[f"{label} · {name}" for name, label in both])

    def of(self, names: list[str]) -> Colouring:
        """Return the colouring of rows of other names."""
        return replace(self, names=names)

    @property
    def legend(self) -> list[tuple[str, str]]:
        """Pairs of colour and meaning; empty where there is only one group."""
        return list(zip(self.tones, self.meanings, strict=True)) if len(self.tones) > 1 else []


def plain(names: list[str]) -> Colouring:
    """Return one colour for rows of these names."""
    return Colouring(np.zeros(len(names), np.intp), ["plain"], ["all rows"], names)


def label_array(labels: Data, n: int) -> Rows:
    """Return labels as an array (n,).

    Raises
    ------
    DataError
        If there is not one label for each of ``n`` rows.
    """
    values = np.asarray(labels)
    if values.shape != (n,):
        raise DataError(
            f"The labels have shape {values.shape}, but there are {n} rows: give one label per row."
        )
    return values


def by_label(values: Rows) -> Colouring:
    """Return a colour for each distinct label (n,), or a scale of colours for many values."""
    if values.dtype.kind not in "biuf":
        values = np.where(pd.isna(values), "missing", values.astype(str))
    names = [f"{v:g}" if values.dtype.kind == "f" else str(v) for v in values]
    distinct, groups, sizes = np.unique(values, return_inverse=True, return_counts=True)
    if len(distinct) > CATEGORIES:
        if values.dtype.kind == "U":
            return _largest_groups(groups, sizes, names)
        return by_value(values, names)
    first = np.unique(groups, return_index=True)[1]
    tones = [f"c{i}" for i in range(len(distinct))]
    return Colouring(groups, tones, [names[row] for row in first], names)


def _largest_groups(groups: Indices, sizes: Indices, names: list[str]) -> Colouring:
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


def by_value(values: Rows, names: list[str]) -> Colouring:
    """Return a scale of colours from the smallest to the largest number or date (n,).

    Its steps are between round values. The first and the last include what is beyond, so that a
    few far values leave colours for the others.
    """
    known = ~np.isnat(values) if values.dtype.kind == "M" else np.isfinite(values)
    ordered = np.sort(values[known])
    distinct = np.unique(ordered)
    if len(distinct) <= STEPS:
        groups, meanings = np.searchsorted(distinct, values), _edge_texts(distinct)
    else:
        low, high = ordered[len(ordered) // 50], ordered[-1 - len(ordered) // 50]
        edges = _edges(low, high) if low < high else _edges(distinct[0], distinct[-1])
        # Nothing is below an edge at the smallest value.
        edges = edges[edges > distinct[0]] if edges[-1] > distinct[0] else edges
        groups, texts = np.searchsorted(edges, values, side="right"), _edge_texts(edges)
        between = [f"{a} to {b}" for a, b in pairwise(texts)]
        meanings = [f"< {texts[0]}", *between, f"≥ {texts[-1]}"]
    groups = np.where(known, groups, len(meanings))
    places = np.linspace(0, STEPS - 1, len(meanings)) if len(meanings) > 1 else [STEPS // 2]
    tones = [f"s{round(place)}" for place in places]
    if not known.all():
        tones, meanings = [*tones, "other"], [*meanings, "none"]
    return Colouring(groups, tones, meanings, names, categorical=False)


def _edges(low: float | np.datetime64, high: float | np.datetime64) -> Rows:
    """Return round values between two numbers or dates, at least one and fewer than steps."""
    if isinstance(low, np.datetime64) and isinstance(high, np.datetime64):
        return time_ticks(low, high, STEPS - 1)
    scales = (Scale.over(float(low), float(high), "", most=most) for most in range(STEPS, 0, -1))
    scale = next(scale for scale in scales if len(scale.ticks) < STEPS)
    return np.array([value for value, _ in scale.ticks])


def _edge_texts(values: Rows) -> list[str]:
    if values.dtype.kind == "M":
        return short_times([str(time) for time in pd.DatetimeIndex(values)])
    return [number(float(value)) for value in values]
