"""Plots as SVG."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from attar.records import Epoch
from attar.report.html import number, tag

WIDTH, HEIGHT = 440, 270
LEFT, RIGHT, TOP, BOTTOM = 58, 16, 34, 52


@dataclass(frozen=True)
class Scale:
    """The stretch of numbers along one side.

    Attributes
    ----------
    low, high : float
    name : str
    ticks : tuple of (float, str)
        Where something is written along it, and what.
    """

    low: float
    high: float
    name: str
    ticks: tuple[tuple[float, str], ...]

    @classmethod
    def over(cls, low: float, high: float, name: str, whole: bool = False) -> Self:
        """Return the scale from low to high with round ticks, at whole numbers if so wished."""
        from matplotlib.ticker import MaxNLocator

        if low == high:
            low, high = low - 0.5, high + 0.5
        places = MaxNLocator(6, steps=[1, 2, 5, 10], integer=whole).tick_values(low, high)
        ticks = ((float(v), number(float(v))) for v in places if low <= v <= high)
        return cls(low, high, name, tuple(ticks))

    @classmethod
    def around(cls, values: Iterable[float], name: str) -> Self:
        """Return the scale of numbers with some room at both ends."""
        values = list(values)
        room = 0.05 * (max(values) - min(values))
        return cls.over(min(values) - room, max(values) + room, name)

    def share(self, value: float) -> float:
        """Return where a number lies: 0 at the low end, 1 at the high end."""
        return (float(value) - self.low) / (self.high - self.low)


@dataclass(frozen=True)
class Axes:
    """Two scales, x to the right and y upwards."""

    x: Scale
    y: Scale

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Return a point's place in the frame, from the upper left corner."""
        return WIDTH * self.x.share(x), HEIGHT * (1 - self.y.share(y))

    def line(self, xs: Iterable[float], ys: Iterable[float], tone: str) -> Element:
        """Return a line through points."""
        places = (self.at(x, y) for x, y in zip(xs, ys, strict=True))
        return tag("path", d="M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places), class_=tone)

    def dot(self, x: float, y: float, tone: str, radius: float) -> Element:
        """Return a dot at a point."""
        cx, cy = self.at(x, y)
        return tag("circle", cx=cx, cy=cy, r=radius, class_=tone)

    def figure(self, description: str, *marks: Element) -> Element:
        """Return the picture of marks between the two scales, with words for who can't see it."""
        lines, words = [], []
        for value, text in self.y.ticks:
            height = self.at(self.x.low, value)[1]
            lines.append(tag("path", d=f"M0 {height:.1f}H{WIDTH}", class_="grid"))
            words.append(tag("text", text, x=-8, y=height + 4, text_anchor="end"))
        for value, text in self.x.ticks:
            place = self.at(value, self.y.low)[0]
            words.append(tag("text", text, x=place, y=HEIGHT + 19, text_anchor="middle"))
        words.append(tag("text", self.y.name, x=-LEFT + 4, y=-16, class_="name"))
        words.append(
            tag("text", self.x.name, x=WIDTH, y=HEIGHT + 41, text_anchor="end", class_="name")
        )
        base = tag("path", d=f"M0 {HEIGHT}H{WIDTH}", class_="base")
        # The inner picture ends at its own border: lines that leave the scale leave the sight.
        inner = tag("svg", *lines, base, *marks, width=WIDTH, height=HEIGHT, class_="marks")
        return tag(
            "svg",
            tag("g", inner, *words, transform=f"translate({LEFT} {TOP})"),
            viewBox=f"0 0 {LEFT + WIDTH + RIGHT} {TOP + HEIGHT + BOTTOM}",
            role="img",
            aria_label=description,
        )


Line = NDArray[Any]

CHART_WIDTH, CHART_HEIGHT, ROOM = 160, 60, 3

# Of more points, the extremes of neighbours are drawn: no peak is lost.
MOST_POINTS = 240


def chart(lines: Iterable[tuple[str, Line]], low: float, high: float, words: str) -> Element:
    """Return the chart of lines (tone, values) between two levels, with gaps where one is NaN."""
    return tag(
        "svg",
        *(tag("path", d=_path(values, low, high), class_=f"line {tone}") for tone, values in lines),
        viewBox=f"0 0 {CHART_WIDTH} {CHART_HEIGHT}",
        preserveAspectRatio="none",
        class_="chart",
        role="img",
        aria_label=words,
    )


def _path(values: Line, low: float, high: float) -> str:
    values = _extremes(np.asarray(values, np.float64))
    across = np.linspace(ROOM, CHART_WIDTH - ROOM, len(values))
    share = (values - low) / ((high - low) or 1.0)
    down = ROOM + (CHART_HEIGHT - 2 * ROOM) * (1 - share)
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


Rows = NDArray[Any]

MOST_BARS = 64
MOST_NAMED_BARS = 24


def loss_curves(history: Sequence[Epoch], best_epoch: int) -> Element:
    """Return the losses over the epochs, on rows learnt from and on those held out."""
    losses = [epoch.loss for epoch in history]
    held_out = [loss for e in history if (loss := e.validation_loss) is not None]
    # The first epochs fall from so high that nothing else would be seen.
    settled = len(history) // 12
    room = 0.02 * len(history)
    axes = Axes(
        Scale.over(1 - room, len(history) + room, "epoch", whole=True),
        Scale.around(losses[settled:] + held_out[settled:], "loss, nats a row"),
    )
    epochs = [epoch.epoch for epoch in history]
    marks = [axes.line([best_epoch] * 2, [axes.y.low, axes.y.high], "line faint dashed")]
    marks.append(axes.line(epochs, losses, "line second"))
    if held_out:
        marks.append(axes.line(epochs, held_out, "line first"))
    best = history[best_epoch - 1].monitored_loss
    marks.append(axes.dot(best_epoch, best, "dot first" if held_out else "dot second", 4.5))
    return axes.figure(
        f"Loss over {len(history)} epochs, least at epoch {best_epoch} with {number(best)} nats.",
        *marks,
    )


def error_by_size(
    pca_errors: Sequence[float], code_size: int, error: float, size_errors: Sequence[float] = ()
) -> Element:
    """Return the error of PCA with 0, 1, 2, ... numbers, and this model's at its code size.

    Where the model's code is ordered, its error at every size is drawn too.
    """
    last = max(len(pca_errors) - 1, code_size)
    top = 1.06 * max(*pca_errors, error, *size_errors) or 1.0
    axes = Axes(
        Scale.over(-0.02 * last, 1.02 * last, "numbers in a code", whole=True),
        Scale.over(0, top, "mean squared error"),
    )
    sizes = range(len(pca_errors))
    return axes.figure(
        f"This model's error is {number(error)} with {code_size} numbers; PCA's falls from "
        f"{number(pca_errors[0])} to {number(pca_errors[-1])} with {len(pca_errors) - 1}.",
        axes.line([code_size] * 2, [0, axes.y.high], "line faint dashed"),
        axes.line(sizes, pca_errors, "line second"),
        *(axes.dot(k, e, "dot second", 2) for k, e in enumerate(pca_errors) if last <= 64),
        *([axes.line(range(len(size_errors)), size_errors, "line first")] if size_errors else []),
        axes.dot(code_size, error, "dot first", 6),
    )


def code_map(
    points: Rows, groups: Rows, tones: Sequence[str], texts: Sequence[str], x: str, y: str
) -> Element:
    """Return points (n, 2) in the tones of their groups, each group's text at its middle."""
    axes = Axes(Scale.around(points[:, 0], x), Scale.around(points[:, 1], y))
    radius = float(np.clip(60 / np.sqrt(len(points)), 2.2, 4))
    dots = [
        axes.dot(a, b, f"dot {tones[group]}", radius)
        for (a, b), group in zip(points, groups, strict=True)
    ]
    words = []
    for group, text in enumerate(texts):
        if (groups == group).any():
            place = axes.at(*np.median(points[groups == group], axis=0))
            words.append(tag("text", text[:14], x=place[0], y=place[1] + 5, class_="place"))
    return axes.figure(
        f"The codes of {len(points)} rows on a plane.", tag("g", *dots, class_="map"), *words
    )


def importance(growth: Rows) -> Element:
    """Return bars of how much the error grows without each code dimension, the largest first."""
    order = np.argsort(-growth, kind="stable")[:MOST_BARS]
    bars = growth[order].clip(0)
    named = len(order) <= MOST_NAMED_BARS
    names = tuple((float(i), str(j)) for i, j in enumerate(order)) if named else ()
    axes = Axes(
        Scale(-0.6, len(order) - 0.4, "code dimension", names),
        Scale.over(0, 1.05 * float(bars.max()) or 1.0, "growth of the error"),
    )
    half = 0.36 * min(1, len(bars) / 8)
    marks = []
    for i, bar in enumerate(bars):
        left, top = axes.at(i - half, bar)
        right, _ = axes.at(i + half, bar)
        shape = {"x": left, "y": top, "width": right - left, "height": HEIGHT - top}
        marks.append(tag("rect", class_="bar first", **shape))
    return axes.figure(
        f"Code dimension {order[0]} carries most: without it the error grows by "
        f"{number(float(bars[0]))}.",
        *marks,
    )
