"""Time series on the page: windows as small charts, one for each channel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from xml.etree.ElementTree import Element

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attar.data.kind import Kind, Rows
from attar.data.points import LongTable
from attar.data.series import Windows
from attar.reporting.colours import Attribute
from attar.reporting.display import Display, Examples, Interpolation, nan_mean
from attar.reporting.html import (
    captioned,
    headed,
    interpolation_table,
    legend,
    number,
    scrolling,
    tag,
)
from attar.reporting.scale import Scale, text_width
from attar.reporting.svg import CHART_WIDTH, across, chart

MOST_CHANNELS, MOST_INTERPOLATED = 8, 2

# Ticks of a chart, its least width in pixels, the size of its labels, and the gap from one
# to the next (page.css).
MOST_TICKS, NARROWEST, TICK_SIZE, GAP = 4, 128.0, 11.0, 3.0

# A time zone, or the offset of one, behind a time.
ZONE = r"(?<=:\d\d)(?:Z|[+-]\d\d(?::?\d\d)?)$"


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

    def attributes(self, examples: Examples) -> list[Attribute]:
        """Return the mean of each channel, and the time of the window."""
        missing = np.isnan(examples.rows).all(2)
        means = np.where(missing, np.nan, nan_mean(examples.rows, 2)).T
        found = [
            Attribute(f"the mean of {name}", values)
            for name, values in zip(self.names, means, strict=True)
        ]
        if examples.times is not None:
            found.append(Attribute("the start of the window", examples.times[:, 0]))
        return found

    def reconstructions(
        self, examples: Examples, names: Sequence[str], order: str
    ) -> list[Element]:
        """Return charts of both lines, a row for each channel and a column for each window."""
        body = []
        spans = [None] * len(names) if examples.times is None else list(examples.times)
        axes = [self._ticks(span) for span in spans]
        for j in self.channels:
            rows, reconstructed = examples.rows[:, j], examples.reconstructed[:, j]
            low, high = _range(np.stack([rows, reconstructed]))
            charts = [
                chart(
                    [("faint", row), ("first", other)],
                    low,
                    high,
                    f"{self.names[j]} from {name}: original and reconstruction.",
                    [place for place, _ in ticks],
                )
                for row, other, name, ticks in zip(rows, reconstructed, names, axes, strict=True)
            ]
            body.append(self._line(j, low, high, charts))
        body.append(_axis("step" if examples.times is None else "time", axes))
        caption = (
            f"Originals and reconstructions, {order}{self._selection()}. The charts of a channel "
            "have one scale."
        )
        if np.isnan(examples.rows).any():
            caption += " Missing values of the original are predicted, on a shaded background."
        if self.standardized:
            caption += f" Standardized within each series: {', '.join(self.standardized)}."
        grid = scrolling(headed(names, body), "charts", "Reconstructions")
        tones = legend([("faint", "original"), ("first", "reconstruction")])
        return [
            captioned(tag("div", tones, grid), caption),
        ]

    def denoised(
        self, clean: Rows, noisy: Rows, found: Rows, names: Sequence[str]
    ) -> list[Element]:
        """Return charts of windows with noise, without, and clean."""
        body = []
        for j in self.channels:
            low, high = _range(np.stack([noisy[:, j], clean[:, j]]))
            charts = [
                chart(
                    [("faint", other), ("second", row), ("first", without)],
                    low,
                    high,
                    f"{self.names[j]} from {name}: noisy, clean and denoised.",
                )
                for row, other, without, name in zip(
                    clean[:, j], noisy[:, j], found[:, j], names, strict=True
                )
            ]
            body.append(self._line(j, low, high, charts))
        tones = legend([("faint", "noisy"), ("first", "denoised"), ("second", "clean")])
        grid = scrolling(headed(names, body), "charts", "Denoised windows")
        caption = f"Windows with noise, without, and as they are{self._selection()}."
        return [captioned(tag("div", tones, grid), caption)]

    def interpolations(self, interpolations: Sequence[Interpolation]) -> list[Element]:
        """Return a chart for each step, of the channels that change most."""
        caption = "Decoded interpolations between the codes of two windows"
        if len(self.names) > MOST_INTERPOLATED:
            caption += ", of the channels that change most"
        grids = (
            scrolling(self._interpolation(line), "charts", f"From {line.start} to {line.end}")
            for line in interpolations
        )
        return [captioned(tag("div", *grids), caption + ".")]

    def samples(self, rows: Rows, drawn: bool = True) -> list[Element]:
        """Return charts of generated windows, a row for each channel."""
        body = []
        ticks = self._ticks(None)
        places = [place for place, _ in ticks]
        for j in self.channels:
            low, high = _range(rows[:, j])
            charts = (
                chart([("first", row)], low, high, f"{self.names[j]} of sample {i}.", places)
                for i, row in enumerate(rows[:, j])
            )
            body.append(self._line(j, low, high, charts))
        body.append(_axis("step", [ticks] * len(rows)))
        caption = f"Windows drawn from the model{self._selection()}."
        heads = [f"sample {i}" for i in range(len(rows))]
        return [captioned(scrolling(headed(heads, body), "charts", "Generated samples"), caption)]

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

    def _ticks(self, times: Rows | None) -> list[tuple[float, str]]:
        """Return the ticks of a window at positions from 0 to 1, as many as have room."""
        ticks: list[tuple[float, str]] = []
        for most in range(MOST_TICKS, 0, -1):
            scale = self._scale(times, most)
            ticks = [(scale.share(value), text) for value, text in scale.ticks]
            if len(list(_labels(ticks))) == len(ticks):
                break
        return ticks

    def _scale(self, times: Rows | None, most: int) -> Scale:
        if times is None:
            return Scale.over(0, self.steps - 1, "step", integer=True, most=most)
        if times.dtype.kind == "M":
            return Scale.over_times(times[0], times[1], "time", most)
        return Scale.over(float(times[0]), float(times[1]), "time", most=most)

    def _line(self, channel: int, low: float, high: float, charts: Iterable[Element]) -> Element:
        name = self.names[channel]
        ends = tag("small", f"{number(low)} to {number(high)}")
        head = tag("th", tag("span", name, title=name), ends, scope="row")
        return tag("tr", head, *(tag("td", drawn) for drawn in charts))

    def _selection(self) -> str:
        if len(self.names) == len(self.channels):
            return ""
        return f", of the {len(self.channels)} of {len(self.names)} channels with the largest MSE"


def step_times(kind: Kind, data: object) -> Rows | None:
    """Return the times of the first and of the last step of each window of a series: (n, 2).

    Dates are those of the clock on the wall. None where steps have no times.
    """
    if not isinstance(kind, Windows) or not isinstance(kind.form, LongTable):
        return None
    if kind.form.clock == "rows":
        return None
    index, steps = kind.index(data), kind.extents(data)
    found = []
    for name in ("start", "end"):
        column = index[name].infer_objects()
        if isinstance(column.dtype, pd.PeriodDtype):
            column = column.dt.to_timestamp()
        if column.dtype.kind not in "iufmM":
            texts = column.astype(str).str.replace(ZONE, "", regex=True)
            column = pd.to_datetime(texts, format="ISO8601", errors="coerce")
        if isinstance(column.dtype, pd.DatetimeTZDtype):
            column = column.dt.tz_localize(None)
        if column.dtype.kind == "m" or column.isna().any():
            return None
        dates = column.dtype.kind == "M"
        found.append(column.to_numpy("datetime64[us]" if dates else np.float64))
    return _extended(np.stack(found, 1), steps, kind)


def _extended(times: Rows, steps: Rows, kind: Windows) -> Rows:
    """Return the times of all steps from those of the first and last point in each window."""
    dates = times.dtype.kind == "M"
    numbers = times.astype(np.int64) / 1e6 if dates else times
    between = steps[:, 1] - steps[:, 0]
    each = np.where(between > 0, np.ptp(numbers, 1) / np.maximum(between, 1), kind.step)
    missing = np.stack([-steps[:, 0], kind.window - 1 - steps[:, 1]], 1) * each[:, None]
    added = np.rint(missing * 1e6).astype("timedelta64[us]") if dates else missing
    extended: Rows = times + added
    return extended


def _axis(name: str, axes: Iterable[Sequence[tuple[float, str]]]) -> Element:
    """Return the labels of the ticks below each chart of a table."""
    cells = (tag("td", tag("div", *_labels(ticks), class_="ticks")) for ticks in axes)
    return tag("tfoot", tag("tr", tag("th", name, scope="row"), *cells))


def _labels(ticks: Sequence[tuple[float, str]]) -> Iterable[Element]:
    """Return labels within the chart, without those that have no room in the narrowest one."""
    end = 0.0
    for share, text in ticks:
        place = across(share) / CHART_WIDTH
        width = text_width(text, TICK_SIZE)
        left = min(max(NARROWEST * place - width / 2, 0), NARROWEST - width)
        if left >= end:
            shift = (left - NARROWEST * place) / width
            yield tag("span", text, style=f"left:{place:.1%};translate:{shift:.0%}")
            end = left + width + GAP


def _range(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the extremes of the values that are not missing."""
    return float(np.nanmin(values)), float(np.nanmax(values))
