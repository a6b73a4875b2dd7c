"""Plots as SVG."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self
from xml.etree.ElementTree import Element

import numpy as np

from attar.data.kind import Rows
from attar.records import Epoch
from attar.report.html import number, tag

WIDTH, HEIGHT = 440, 270
LEFT, RIGHT, TOP, BOTTOM = 58, 16, 34, 52

MOST_BARS, MOST_NAMED_BARS = 64, 24

CHART_WIDTH, CHART_HEIGHT, ROOM = 160, 60, 3

# Of more points, the extremes of neighbouring ones are drawn, so that no peak is lost.
MOST_POINTS = 240


@dataclass(frozen=True)
class Scale:
    """The scale of one axis.

    Attributes
    ----------
    low, high : float
    name : str
    ticks : tuple of (float, str)
        Positions and their labels.
    """

    low: float
    high: float
    name: str
    ticks: tuple[tuple[float, str], ...]

    @classmethod
    def over(cls, low: float, high: float, name: str, integer: bool = False) -> Self:
        """Return the scale from low to high with round ticks, at integers only if so wished."""
        from matplotlib.ticker import MaxNLocator

        if low == high:
            low, high = low - 0.5, high + 0.5
        places = MaxNLocator(6, steps=[1, 2, 5, 10], integer=integer).tick_values(low, high)
        ticks = ((float(v), number(float(v))) for v in places if low <= v <= high)
        return cls(low, high, name, tuple(ticks))

    @classmethod
    def around(cls, values: Iterable[float], name: str) -> Self:
        """Return the scale of values with some room at both ends."""
        values = list(values)
        room = 0.05 * (max(values) - min(values))
        return cls.over(min(values) - room, max(values) + room, name)

    def share(self, value: float) -> float:
        """Return the position of a value: 0 at the low end, 1 at the high end."""
        return (float(value) - self.low) / (self.high - self.low)


@dataclass(frozen=True)
class Axes:
    """Two scales, x to the right and y upwards."""

    x: Scale
    y: Scale

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Return the pixel position of a point, from the upper left corner."""
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
        """Return marks between the two axes, with a description for screen readers."""
        lines, texts = [], []
        for value, text in self.y.ticks:
            height = self.at(self.x.low, value)[1]
            lines.append(tag("path", d=f"M0 {height:.1f}H{WIDTH}", class_="grid"))
            texts.append(tag("text", text, x=-8, y=height + 4, text_anchor="end"))
        for value, text in self.x.ticks:
            place = self.at(value, self.y.low)[0]
            texts.append(tag("text", text, x=place, y=HEIGHT + 19, text_anchor="middle"))
        texts.append(tag("text", self.y.name, x=-LEFT + 4, y=-16, class_="name"))
        texts.append(
            tag("text", self.x.name, x=WIDTH, y=HEIGHT + 41, text_anchor="end", class_="name")
        )
        base = tag("path", d=f"M0 {HEIGHT}H{WIDTH}", class_="base")
        # The inner figure is clipped at its border, where lines may leave the scale.
        inner = tag("svg", *lines, base, *marks, width=WIDTH, height=HEIGHT, class_="marks")
        return tag(
            "svg",
            tag("g", inner, *texts, transform=f"translate({LEFT} {TOP})"),
            viewBox=f"0 0 {LEFT + WIDTH + RIGHT} {TOP + HEIGHT + BOTTOM}",
            role="img",
            aria_label=description,
        )


def chart(lines: Iterable[tuple[str, Rows]], low: float, high: float, description: str) -> Element:
    """Return the chart of lines (tone, values) from low to high, broken where values are NaN."""
    return tag(
        "svg",
        *(tag("path", d=_path(values, low, high), class_=f"line {tone}") for tone, values in lines),
        viewBox=f"0 0 {CHART_WIDTH} {CHART_HEIGHT}",
        preserveAspectRatio="none",
        class_="chart",
        role="img",
        aria_label=description,
    )


def _path(values: Rows, low: float, high: float) -> str:
    values = _extremes(np.asarray(values, np.float64))
    across = np.linspace(ROOM, CHART_WIDTH - ROOM, len(values))
    share = (values - low) / ((high - low) or 1.0)
    down = ROOM + (CHART_HEIGHT - 2 * ROOM) * (1 - share)
    present = ~np.isnan(values)
    before, after = np.append(False, present[:-1]), np.append(present[1:], False)
    parts = []
    for i in np.flatnonzero(present):
        parts.append(f"{'L' if before[i] else 'M'}{across[i]:.1f} {down[i]:.1f}")
        if not before[i] and not after[i]:
            parts.append("h0")
    return "".join(parts)


def _extremes(values: Rows) -> Rows:
    """Return few values as they are, of many the least and the largest of each interval."""
    if len(values) <= MOST_POINTS:
        return values
    starts = np.linspace(0, len(values), MOST_POINTS // 2, endpoint=False).astype(np.intp)
    low, high = np.fmin.reduceat(values, starts), np.fmax.reduceat(values, starts)
    return np.stack([low, high], axis=1).ravel()


def loss_curves(history: Sequence[Epoch], best_epoch: int) -> Element:
    """Return the training and validation loss over the epochs."""
    losses = [epoch.loss for epoch in history]
    validation = [loss for e in history if (loss := e.validation_loss) is not None]
    # The high losses of the first epochs would flatten the rest of the curve.
    start = len(history) // 12
    room = 0.02 * len(history)
    axes = Axes(
        Scale.over(1 - room, len(history) + room, "epoch", integer=True),
        Scale.around(losses[start:] + validation[start:], "loss, nats per row"),
    )
    epochs = [epoch.epoch for epoch in history]
    marks = [axes.line([best_epoch] * 2, [axes.y.low, axes.y.high], "line faint dashed")]
    marks.append(axes.line(epochs, losses, "line second"))
    if validation:
        marks.append(axes.line(epochs, validation, "line first"))
    best = history[best_epoch - 1].monitored_loss
    marks.append(axes.dot(best_epoch, best, "dot first" if validation else "dot second", 4.5))
    return axes.figure(
        f"Loss over {len(history)} epochs, lowest at epoch {best_epoch} with {number(best)} nats.",
        *marks,
    )


def error_by_size(
    pca_errors: Sequence[float], code_size: int, error: float, size_errors: Sequence[float] = ()
) -> Element:
    """Return PCA's error with 0, 1, 2, ... components, and the model's at its code size.

    For an ordered code, the model's error at every size is drawn too.
    """
    last = max(len(pca_errors) - 1, code_size)
    top = 1.06 * max(*pca_errors, error, *size_errors) or 1.0
    axes = Axes(
        Scale.over(-0.02 * last, 1.02 * last, "latent dimensions", integer=True),
        Scale.over(0, top, "MSE"),
    )
    sizes = range(len(pca_errors))
    return axes.figure(
        f"The model's MSE is {number(error)} with {code_size} latent dimensions; PCA's falls from "
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
    """Return points (n, 2) in the tones of their groups, each group's text at its median."""
    axes = Axes(Scale.around(points[:, 0], x), Scale.around(points[:, 1], y))
    radius = float(np.clip(60 / np.sqrt(len(points)), 2.2, 4))
    dots = [
        axes.dot(a, b, f"dot {tones[group]}", radius)
        for (a, b), group in zip(points, groups, strict=True)
    ]
    labels = []
    for group, text in enumerate(texts):
        if (groups == group).any():
            place = axes.at(*np.median(points[groups == group], axis=0))
            labels.append(tag("text", text[:14], x=place[0], y=place[1] + 5, class_="place"))
    return axes.figure(
        f"The codes of {len(points)} rows on a plane.", tag("g", *dots, class_="map"), *labels
    )


def importance(growth: Rows) -> Element:
    """Return bars of the growth of the error without each latent dimension, largest first."""
    order = np.argsort(-growth, kind="stable")[:MOST_BARS]
    bars = growth[order].clip(0)
    named = len(order) <= MOST_NAMED_BARS
    names = tuple((float(i), str(j)) for i, j in enumerate(order)) if named else ()
    axes = Axes(
        Scale(-0.6, len(order) - 0.4, "latent dimension", names),
        Scale.over(0, 1.05 * float(bars.max()) or 1.0, "increase of the MSE"),
    )
    half = 0.36 * min(1, len(bars) / 8)
    marks = []
    for i, bar in enumerate(bars):
        left, top = axes.at(i - half, bar)
        right, _ = axes.at(i + half, bar)
        shape = {"x": left, "y": top, "width": right - left, "height": HEIGHT - top}
        marks.append(tag("rect", class_="bar first", **shape))
    return axes.figure(
        f"Latent dimension {order[0]} is the most important: without it the MSE increases by "
        f"{number(float(bars[0]))}.",
        *marks,
    )
