"""Two scales with their ticks, and the frame around what is drawn between them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self
from xml.etree.ElementTree import Element

from attar.report.markup import number, tag

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
