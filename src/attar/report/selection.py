"""What is shown of many rows: which of them, from where to where, and their codes on a plane."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attar.data.preparation import Preparation
from attar.data.stream import Sample, evenly_spaced
from attar.data.training_data import most_rows
from attar.report.html import short_times

Rows = NDArray[Any]
Indices = NDArray[np.intp]


def drawn(preparation: Preparation, data: Any) -> tuple[Rows, Indices]:
    """Return some of the raw rows of data, all where they are few, and their numbers among all.

    Streams are gone through once, and never held.
    """
    sample: Sample[Rows] | None = None
    for piece in preparation.kind.pieces(data):
        rows = preparation.kind.rows(piece)
        if sample is None:
            sample = Sample(lambda rows, places: rows[places], most_rows(rows))
        sample.add(rows, rows.shape[0])
    assert sample is not None  # data without rows was refused before
    return sample.result(preparation.stacked)


def called(index: pd.DataFrame | None, places: Indices) -> list[str]:
    """Return what the rows at these places are called.

    Parameters
    ----------
    index : DataFrame (n, ...) or None
        What each row is of: its series, where there is one, its start, and its end. None where it
        is a row of the data.
    """
    if index is None:
        return [f"row {place:,}" for place in places]
    *series, start, _ = (index.iloc[places, i].astype(str).tolist() for i in range(index.shape[1]))
    words = [*series, short_times(start)]
    if series and len(set(start)) == 1:
        words = [[f"{index.columns[0]} {name}" for name in series[0]]]
    return [", ".join(parts) for parts in zip(*words, strict=True)]


def walk_ends(groups: Indices, along: Rows, most: int) -> list[tuple[int, int]]:
    """Return at most ``most`` pairs of rows, of different groups where there are several.

    Parameters
    ----------
    groups : int array (n,)
    along : array (n,)
        A coordinate in which the rows of a pair are far apart where they are of one group.
    most : int
    """
    # Half the rows lie between the two of a pair, so only a group of more than half can hold both.
    order = np.lexsort((along, groups))
    half = len(order) // 2
    pairs = np.stack([order[:half], order[half : 2 * half]], axis=1)
    differ = pairs[groups[pairs[:, 0]] != groups[pairs[:, 1]]]
    candidates = differ if len(differ) else pairs
    return [(int(a), int(b)) for a, b in candidates[evenly_spaced(len(candidates), most)]]


def plane(codes: Rows) -> tuple[Rows, str, str]:
    """Return codes (n, d) as points (n, 2), and what the two axes are."""
    n, d = codes.shape
    if d == 1:
        # The golden ratio's multiples fill an interval evenly from the first point on.
        spread = np.arange(n) * 0.6180339887 % 1
        return np.column_stack([codes[:, 0], spread]), "the code", "spread out, without meaning"
    if d == 2:
        return codes, "code dimension 0", "code dimension 1"
    centred = codes - codes.mean(0)
    variances, directions = np.linalg.eigh(centred.T @ centred)
    first = directions[:, :-3:-1]
    # An eigenvector's sign is chance: let its largest entry be positive.
    first = first * np.sign(first[np.abs(first).argmax(0), [0, 1]])
    total = variances.sum()
    shares = variances[:-3:-1] / total if total else np.zeros(2)
    x, y = (
        f"{place} principal direction, {share:.0%} of the codes’ variance"
        for place, share in zip(("first", "second"), shares, strict=True)
    )
    return centred @ first, x, y
