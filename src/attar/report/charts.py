"""Small charts: lines without axes, to be seen beside each other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from attar.report.markup import tag

Line = NDArray[Any]

WIDTH, HEIGHT, ROOM = 160, 60, 3

# Of more points, the extremes of neighbours are drawn: no peak is lost.
MOST_POINTS = 240


def chart(lines: Iterable[tuple[str, Line]], low: float, high: float, words: str) -> Element:
    """Return the chart of lines (tone, values) between two levels, with gaps where one is NaN."""
    return tag(
        "svg",
        *(tag("path", d=_path(values, low, high), class_=f"line {tone}") for tone, values in lines),
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        preserveAspectRatio="none",
        class_="chart",
        role="img",
        aria_label=words,
    )


def _path(values: Line, low: float, high: float) -> str:
    values = _extremes(np.asarray(values, np.float64))
    across = np.linspace(ROOM, WIDTH - ROOM, len(values))
    share = (values - low) / ((high - low) or 1.0)
    down = ROOM + (HEIGHT - 2 * ROOM) * (1 - share)
    known = ~np.isnan(values)
    before, after = np.append(False, known[:-1]), np.append(known[1:], False)
    parts = []
    for i in np.flatnonzero(known):
        parts.append(f"{'L' if before[i] else 'M'}{across[i]:.1f} {down[i]:.1f}")
        if not before[i] and not after[i]:
            parts.append("h0")
    return "".join(parts)


def _extremes(values: Line) -> Line:
    """Return few values as they are, of many the least and the largest of each stretch."""
    if len(values) <= MOST_POINTS:
        return values
    starts = np.linspace(0, len(values), MOST_POINTS // 2, endpoint=False).astype(np.intp)
    low, high = np.fmin.reduceat(values, starts), np.fmax.reduceat(values, starts)
    return np.stack([low, high], axis=1).ravel()
