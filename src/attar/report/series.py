"""Time series on the page: windows as small charts, one for each channel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from attar.data.kind import Rows
from attar.data.series import Windows
from attar.report.display import Display, Shown, Walk, known_mean
from attar.report.html import bars, captioned, headed, legend, number, scrolling, tag, walk_table
from attar.report.svg import chart

MOST_CHANNELS, MOST_WALKED = 8, 2


class SeriesDisplay(Display):
    """Shows windows of series; of many channels, those with most error."""

    row = "window"
    compared, sampled = 6, 6

    def __init__(self, kind: Windows, shown: Shown) -> None:
        self.steps = kind.window
        self.names = [str(kind.form.channels[i]) for i in kind.channels_used]
        self.errors = known_mean(np.square(shown.off), (0, 2))
        worst = np.argsort(-self.errors, kind="stable")
        self.channels = np.sort(worst[:MOST_CHANNELS])
        pairs = zip(self.names, kind.typical, strict=True)
        self.standardized = [name for name, typical in pairs if typical]

    @property
    def form(self) -> str:
        """The number of steps and channels."""
        several = f" of {len(self.names)} channels" if len(self.names) > 1 else ""
        return f"windows of {self.steps} steps{several}"

    def compare(self, shown: Shown, names: Sequence[str]) -> list[Element]:
        """Return charts of both lines, a row a channel and a column a window."""
        body = []
        for j in self.channels:
            pairs = list(zip(shown.rows[:, j], shown.back[:, j], names, strict=True))
            low, high = _range(np.stack([shown.rows[:, j], shown.back[:, j]]))
            charts = (
                chart(
                    [("faint", row), ("first", back)],
                    low,
                    high,
                    f"{self.names[j]} from {name}: original and reconstruction.",
                )
                for row, back, name in pairs
            )
            body.append(self._line(j, low, high, charts))
        words = (
            "Originals and reconstructions, from the window that comes back best (left) to the one "
            "that comes back worst (right). A row has one scale: what it goes from and to stands "
            f"at its head{self._which()}."
        )
        if np.isnan(shown.rows).any():
            words += " Where the original has a gap, the reconstruction is what the model expects."
        if self.standardized:
            words += f" Standardized within each series: {', '.join(self.standardized)}."
        grid = scrolling(headed(names, body), "charts")
        tones = legend([("faint", "original"), ("first", "reconstruction")])
        return [
            captioned(tag("div", tones, grid), words),
            captioned(
                bars(self.names, self.errors),
                "The mean squared error of each channel, prepared, the worst first.",
            ),
        ]

    def walks(self, walks: Sequence[Walk]) -> list[Element]:
        """Return a chart for each step, of the channels that change most."""
        words = (
            "Straight lines between the codes of two windows, decoded step by step. The channels "
            "are those that change most on the way."
        )
        grids = (scrolling(self._walk(walk), "charts") for walk in walks)
        return [captioned(tag("div", *grids), words)]

    def samples(self, rows: Rows, decoded: Rows) -> list[Element]:
        """Return charts of new windows, a row a channel."""
        body = []
        for j in self.channels:
            low, high = _range(rows[:, j])
            charts = (
                chart([("first", row)], low, high, f"{self.names[j]} of sample {i}.")
                for i, row in enumerate(rows[:, j])
            )
            body.append(self._line(j, low, high, charts))
        words = f"Nobody has seen these: codes drawn by chance, decoded{self._which()}."
        heads = [f"sample {i}" for i in range(len(rows))]
        return [captioned(scrolling(headed(heads, body), "charts"), words)]

    def _walk(self, walk: Walk) -> Element:
        change = np.ptp(walk.decoded, axis=0).max(1)
        lines = []
        for j in np.sort(np.argsort(-change, kind="stable")[:MOST_WALKED]):
            low, high = _range(walk.rows[:, j])
            charts = (
                chart(
                    [("first", row)],
                    low,
                    high,
                    f"{self.names[j]}, step {step} from {walk.start} to {walk.end}.",
                )
                for step, row in enumerate(walk.rows[:, j])
            )
            lines.append(self._line(j, low, high, charts))
        return walk_table(walk.start, walk.end, lines)

    def _line(self, channel: int, low: float, high: float, charts: Iterable[Element]) -> Element:
        name = self.names[channel]
        ends = tag("small", f"{number(low)} to {number(high)}")
        head = tag("th", tag("span", name, title=name), ends, scope="row")
        return tag("tr", head, *(tag("td", drawn) for drawn in charts))

    def _which(self) -> str:
        if len(self.names) == len(self.channels):
            return ""
        return f"; of {len(self.names)} channels, the {len(self.channels)} with most error"


def _range(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the extremes of what is known."""
    return float(np.nanmin(values)), float(np.nanmax(values))
