"""Time series on the page: windows as small charts, one for each channel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from attar.data.kind import Rows
from attar.data.series import Windows
from attar.report.display import Display, Examples, Interpolation, nan_mean
from attar.report.html import (
    captioned,
    headed,
    interpolation_table,
    legend,
    number,
    scrolling,
    tag,
)
from attar.report.svg import chart

MOST_CHANNELS, MOST_INTERPOLATED = 8, 2


class SeriesDisplay(Display):
    """Windows of series; of many channels, those with the largest errors."""

    row = "window"
    compared, sampled = 6, 6

    def __init__(self, kind: Windows, examples: Examples) -> None:
        self.steps = kind.window
        self.names = [str(kind.form.channels[i]) for i in kind.channels_used]
        self.errors = nan_mean(np.square(examples.residuals), (0, 2))
        worst = np.argsort(-self.errors, kind="stable")
        self.channels = np.sort(worst[:MOST_CHANNELS])
        pairs = zip(self.names, kind.typical, strict=True)
        self.standardized = [name for name, typical in pairs if typical]

    @property
    def title(self) -> str:
        """The number of steps and channels."""
        several = f" and {len(self.names)} channels" if len(self.names) > 1 else ""
        return f"windows of {self.steps} steps{several}"

    def reconstructions(
        self, examples: Examples, names: Sequence[str], order: str
    ) -> list[Element]:
        """Return charts of both lines, a row for each channel and a column for each window."""
        body = []
        for j in self.channels:
            rows, reconstructed = examples.rows[:, j], examples.reconstructed[:, j]
            low, high = _range(np.stack([rows, reconstructed]))
            charts = [
                chart(
                    [("faint", row), ("first", other)],
                    low,
                    high,
                    f"{self.names[j]} from {name}: original and reconstruction.",
                )
                for row, other, name in zip(rows, reconstructed, names, strict=True)
            ]
            body.append(self._line(j, low, high, charts))
        caption = (
            f"Originals and reconstructions, {order}{self._selection()}. The charts of a channel "
            "have one scale."
        )
        if np.isnan(examples.rows).any():
            caption += " Missing values of the original are predicted."
        if self.standardized:
            caption += f" Standardized within each series: {', '.join(self.standardized)}."
        grid = scrolling(headed(names, body), "charts")
        tones = legend([("faint", "original"), ("first", "reconstruction")])
        return [
            captioned(tag("div", tones, grid), caption),
        ]

    def interpolations(self, interpolations: Sequence[Interpolation]) -> list[Element]:
        """Return a chart for each step, of the channels that change most."""
        caption = "Decoded interpolations between the codes of two windows"
        if len(self.names) > MOST_INTERPOLATED:
            caption += ", of the channels that change most"
        grids = (scrolling(self._interpolation(line), "charts") for line in interpolations)
        return [captioned(tag("div", *grids), caption + ".")]

    def samples(self, rows: Rows, decoded: Rows) -> list[Element]:
        """Return charts of generated windows, a row for each channel."""
        body = []
        for j in self.channels:
            low, high = _range(rows[:, j])
            charts = (
                chart([("first", row)], low, high, f"{self.names[j]} of sample {i}.")
                for i, row in enumerate(rows[:, j])
            )
            body.append(self._line(j, low, high, charts))
        caption = f"Windows decoded from random codes{self._selection()}."
        heads = [f"sample {i}" for i in range(len(rows))]
        return [captioned(scrolling(headed(heads, body), "charts"), caption)]

    def _interpolation(self, line: Interpolation) -> Element:
        change = np.ptp(line.decoded, axis=0).max(1)
        body = []
        for j in np.sort(np.argsort(-change, kind="stable")[:MOST_INTERPOLATED]):
            low, high = _range(line.rows[:, j])
            charts = (
                chart(
                    [("first", row)],
                    low,
                    high,
                    f"{self.names[j]}, step {step} from {line.start} to {line.end}.",
                )
                for step, row in enumerate(line.rows[:, j])
            )
            body.append(self._line(j, low, high, charts))
        return interpolation_table(line.start, line.end, body)

    def _line(self, channel: int, low: float, high: float, charts: Iterable[Element]) -> Element:
        name = self.names[channel]
        ends = tag("small", f"{number(low)} to {number(high)}")
        head = tag("th", tag("span", name, title=name), ends, scope="row")
        return tag("tr", head, *(tag("td", drawn) for drawn in charts))

    def _selection(self) -> str:
        if len(self.names) == len(self.channels):
            return ""
        return f", of the {len(self.channels)} of {len(self.names)} channels with the largest MSE"


def _range(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the extremes of the values that are not missing."""
    return float(np.nanmin(values)), float(np.nanmax(values))
