"""Plots as SVG."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from attar.data.kind import Rows
from attar.records import Epoch
from attar.reporting.html import number, tag
from attar.reporting.scale import Scale, text_width

WIDTH, HEIGHT = 440, 270
LEFT, RIGHT, TOP, BOTTOM = 66, 16, 34, 52

# Sizes of the text of ticks, of bars and of labels on narrow screens, where they are largest, in
# the unit of the figure (page.css).
TICK_SIZE, BAR_SIZE, PLACE_SIZE = 15.0, 12.5, 18.0

# Bars, and the rows of their names with the gap from a name to the next.
MOST_BARS, ROWS_OF_NAMES, GAP = 64, 3, 4

# Bars of a histogram.
BINS = 40

MOST_LETTERS = 14

CHART_WIDTH, CHART_HEIGHT, ROOM = 160, 60, 3

# Of more points, the extremes of neighbouring ones are drawn, so that no peak is lost.
MOST_POINTS = 240


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

    def band(self, xs: Rows, low: Rows, high: Rows, tone: str) -> Element:
        """Return the area between two lines."""
        there = [self.at(x, y) for x, y in zip(xs, high, strict=True)]
        back = [self.at(x, y) for x, y in zip(xs[::-1], low[::-1], strict=True)]
        places = "L".join(f"{x:.1f} {y:.1f}" for x, y in [*there, *back])
        return tag("path", d=f"M{places}Z", class_=f"band {tone}")

    def dot(self, x: float, y: float, tone: str, radius: float, name: str = "") -> Element:
        """Return a dot at a point, named where the pointer is on it."""
        cx, cy = self.at(x, y)
        named = [tag("title", name)] if name else []
        return tag("circle", *named, cx=cx, cy=cy, r=radius, class_=tone)

    def figure(
        self,
        description: str,
        *marks: Element,
        over: Sequence[Element] = (),
        names: Sequence[Element] = (),
        bottom: float = BOTTOM,
    ) -> Element:
        """Return marks between the two axes.

        Parameters
        ----------
        description : str
            For screen readers.
        *marks : Element
            Cut at the border of the axes.
        over : sequence of Element
            Drawn over these, and never cut.
        names : sequence of Element
            Texts below the axis, beside its ticks.
        bottom : float
            The room below the axis.
        """
        lines, texts = [], []
        widest = max((text_width(text, TICK_SIZE) for _, text in self.y.ticks), default=0)
        left = max(LEFT, widest + 8)
        for value, text in self.y.ticks:
            height = self.at(self.x.low, value)[1]
            lines.append(tag("path", d=f"M0 {height:.1f}H{WIDTH}", class_="grid"))
            texts.append(tag("text", text, x=-8, y=height + 4, text_anchor="end"))
        for value, text in self.x.ticks:
            # A label at the end of the axis stays within the figure.
            half = text_width(text, TICK_SIZE) / 2
            place = min(self.at(value, self.y.low)[0], WIDTH + RIGHT - half)
            texts.append(tag("text", text, x=place, y=HEIGHT + 19, text_anchor="middle"))
        texts.append(tag("text", self.y.name, x=-left, y=-16, class_="name"))
        end = {"x": WIDTH, "y": HEIGHT + bottom - 11, "text_anchor": "end"}
        texts.append(tag("text", self.x.name, class_="name", **end))
        base = tag("path", d=f"M0 {HEIGHT}H{WIDTH}", class_="base")
        inner = tag("svg", *lines, base, *marks, width=WIDTH, height=HEIGHT, class_="marks")
        return tag(
            "svg",
            tag("g", inner, *over, *texts, *names, transform=f"translate({left:.5g} {TOP})"),
            viewBox=f"0 0 {left + WIDTH + RIGHT:.5g} {TOP + HEIGHT + bottom:.5g}",
            role="img",
            aria_label=description,
        )


def chart(
    lines: Iterable[tuple[str, Rows]],
    low: float,
    high: float,
    description: str,
    ticks: Iterable[float] = (),
    marked: NDArray[np.bool_] | None = None,
    band: tuple[Rows, Rows] | None = None,
) -> Element:
    """Return the chart of lines (tone, values) from low to high, broken where values are NaN.

    Parameters
    ----------
    lines : iterable of (str, array (n,))
        Where values of the first are missing, the background is shaded.
    low, high : float
    description : str
    ticks : iterable of float
        Positions from 0 (the first value) to 1 (the last).
    marked : array of bool (n,) or None
        Where the background is marked.
    band : (array (n,), array (n,)) or None
        Two lines, the area between which is filled.
    """
    lines = list(lines)
    areas = [] if band is None else [_area(*band, low, high)]
    marks = [] if marked is None else _gaps(marked)
    gaps = _gaps(np.isnan(np.asarray(lines[0][1], np.float64)))
    return tag(
        "svg",
        *(tag("rect", x=x, y=0, width=w, height=CHART_HEIGHT, class_="gap") for x, w in gaps),
        *(tag("rect", x=x, y=0, width=w, height=CHART_HEIGHT, class_="mark") for x, w in marks),
        *(tag("path", d=area, class_="band first") for area in areas),
        *(tag("path", d=f"M{across(s):.1f} 0V{CHART_HEIGHT}", class_="grid tick") for s in ticks),
        *(tag("path", d=_path(values, low, high), class_=f"line {tone}") for tone, values in lines),
        viewBox=f"0 0 {CHART_WIDTH} {CHART_HEIGHT}",
        preserveAspectRatio="none",
        class_="chart",
        role="img",
        aria_label=description,
    )


def across(share: float) -> float:
    """Return where a chart has a position from 0 (the first value) to 1 (the last)."""
    return ROOM + (CHART_WIDTH - 2 * ROOM) * share


def _gaps(missing: NDArray[np.bool_]) -> list[tuple[float, float]]:
    """Return the left end and the width of each run of missing values, a step wide each."""
    steps = np.diff(np.concatenate([[False], missing, [False]]).astype(np.int8))
    last = max(len(missing) - 1, 1)
    found = []
    for start, stop in zip(np.flatnonzero(steps > 0), np.flatnonzero(steps < 0), strict=True):
        left, right = (across(min(max((i - 0.5) / last, 0), 1)) for i in (start, stop))
        found.append((left, right - left))
    return found


def _path(values: Rows, low: float, high: float) -> str:
    values = _extremes(np.asarray(values, np.float64))
    places = np.linspace(across(0), across(1), len(values))
    share = (values - low) / ((high - low) or 1.0)
    down = ROOM + (CHART_HEIGHT - 2 * ROOM) * (1 - share)
    present = ~np.isnan(values)
    before, after = np.append(False, present[:-1]), np.append(present[1:], False)
    parts = []
    for i in np.flatnonzero(present):
        parts.append(f"{'L' if before[i] else 'M'}{places[i]:.1f} {down[i]:.1f}")
        if not before[i] and not after[i]:
            parts.append("h0")
    return "".join(parts)


def _area(below: Rows, above: Rows, low: float, high: float) -> str:
    """Return the area between two lines, without steps at which either is missing."""
    whole = ~np.isnan(below) & ~np.isnan(above)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], whole, [False]]).astype(np.int8)))
    places = np.linspace(across(0), across(1), len(below))
    parts = []
    for start, stop in edges.reshape(-1, 2):
        x = np.concatenate([places[start:stop], places[start:stop][::-1]])
        values = np.concatenate([above[start:stop], below[start:stop][::-1]])
        down = ROOM + (CHART_HEIGHT - 2 * ROOM) * (1 - (values - low) / ((high - low) or 1.0))
        parts.append("M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, down, strict=True)) + "Z")
    return "".join(parts)


def _extremes(values: Rows) -> Rows:
    """Return few values as they are, of many the least and the largest of each interval."""
    if len(values) <= MOST_POINTS:
        return values
    starts = np.linspace(0, len(values), MOST_POINTS // 2, endpoint=False).astype(np.intp)
    low, high = np.fmin.reduceat(values, starts), np.fmax.reduceat(values, starts)
    return np.stack([low, high], axis=1).ravel()


def settled_losses(history: Sequence[Epoch]) -> list[float]:
    """Return training and validation losses, without the high ones of the first epochs."""
    later = history[len(history) // 12 :]
    validation = (epoch.validation_loss for epoch in later)
    return [e.loss for e in later] + [loss for loss in validation if loss is not None]


def loss_curves(history: Sequence[Epoch], best_epoch: int) -> Element:
    """Return the training and validation loss over the epochs."""
    losses = [epoch.loss for epoch in history]
    validation = [loss for e in history if (loss := e.validation_loss) is not None]
    room = 0.02 * len(history)
    axes = Axes(
        Scale.over(1 - room, len(history) + room, "epoch", integer=True),
        Scale.around(settled_losses(history), "loss, nats per row"),
    )
    epochs = [epoch.epoch for epoch in history]
    marks = [axes.line([best_epoch] * 2, [axes.y.low, axes.y.high], "line faint dashed")]
    marks.append(axes.line(epochs, losses, "line second"))
    if validation:
        marks.append(axes.line(epochs, validation, "line first"))
    best = history[best_epoch - 1].monitored_loss
    dot = axes.dot(best_epoch, best, "dot ringed first" if validation else "dot ringed second", 5)
    return axes.figure(
        f"Loss over {len(history)} epochs, lowest at epoch {best_epoch} with {number(best)} nats.",
        *marks,
        over=[dot],
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
        over=[axes.dot(code_size, error, "dot ringed first", 6)],
    )


def fan(
    x: Scale,
    name: str,
    past: tuple[Rows, Rows],
    forecast: tuple[Rows, Rows],
    bands: Sequence[tuple[Rows, Rows]],
) -> Element:
    """Return the end of a series, its forecast, and the ends of prediction intervals.

    Parameters
    ----------
    x : Scale
    name : str
        Of the values.
    past, forecast : (array (n,), array (n,))
        Places and values.
    bands : sequence of (array (steps,), array (steps,))
        The low and the high end of each interval of the forecast, the widest first.
    """
    known = ~np.isnan(past[1])
    values = np.concatenate([past[1][known], forecast[1], *(end for ends in bands for end in ends)])
    axes = Axes(x, Scale.around(map(float, values), name))
    runs = np.split(np.arange(len(known)), np.flatnonzero(np.diff(known)) + 1)
    lines = [
        axes.line(past[0][run], past[1][run], "line second") for run in runs if known[run[:1]].any()
    ]
    areas = [axes.band(forecast[0], low, high, "first") for low, high in bands]
    return axes.figure(
        f"{name}: the last {len(known)} steps, and a forecast of {len(forecast[0])}.",
        *areas,
        *lines,
        axes.line(*forecast, "line first"),
    )


def errors_by_step(error: Rows, naive: Rows) -> Element:
    """Return the error of each step ahead (steps,), of forecasts and of naive ones."""
    steps = np.arange(1, len(error) + 1)
    axes = Axes(
        Scale.over(0, len(error) + 1, "steps ahead", integer=True),
        Scale.over(0, 1.06 * float(max(error.max(), naive.max())) or 1.0, "RMSE"),
    )
    return axes.figure(
        f"The error grows from {number(float(error[0]))} to {number(float(error[-1]))}.",
        axes.line(steps, naive, "line faint"),
        axes.line(steps, error, "line first"),
    )


def code_map(
    points: Rows,
    groups: Rows,
    tones: Sequence[str],
    texts: Sequence[str],
    x: str,
    y: str,
    names: Sequence[str],
) -> Element:
    """Return points (n, 2) in the tones of their groups, and each group's text at its median.

    A point is named where the pointer is on it. Where texts would overlap, one moves to another
    point of its group, or is left out.
    """
    axes = Axes(Scale.around(points[:, 0], x), Scale.around(points[:, 1], y))
    radius = float(np.clip(60 / np.sqrt(len(points)), 2.2, 4))
    dots = [
        axes.dot(a, b, f"dot {tones[group]}", radius, name)
        for (a, b), group, name in zip(points, groups, names, strict=True)
    ]
    places = np.array([axes.at(a, b) for a, b in points])
    shortened = [_shortened(text) for text in texts]
    labels = [
        tag("text", shortened[group], x=x, y=y + 5, class_=f"place {tones[group]}")
        for group, (x, y) in label_places(places, groups, shortened).items()
    ]
    over = [tag("g", *dots, class_="map"), *labels]
    return axes.figure(f"The codes of {len(points)} rows on a plane.", over=over)


def label_places(
    places: Rows, groups: Rows, texts: Sequence[str]
) -> dict[int, tuple[float, float]]:
    """Return the middle of the text of each group, none over another, the largest groups first."""
    found: dict[int, tuple[float, float]] = {}
    taken: list[tuple[float, float, float]] = []
    sizes = np.bincount(groups, minlength=len(texts))[: len(texts)]
    for group in map(int, np.argsort(-sizes, kind="stable")):
        own = places[groups == group]
        if not len(own):
            continue
        half = text_width(texts[group], PLACE_SIZE) / 2
        middle = np.median(own, axis=0)
        nearest = own[np.argsort(np.square(own - middle).sum(1), kind="stable")]
        for x, y in np.vstack([middle, nearest]):
            x = min(max(x, half), WIDTH - half)
            disjoint = (
                abs(x - u) >= half + other or abs(y - v) >= PLACE_SIZE for u, v, other in taken
            )
            if all(disjoint):
                found[group] = (float(x), float(y))
                taken.append((x, y, half))
                break
    return found


def _shortened(text: str) -> str:
    return text if len(text) <= MOST_LETTERS else f"{text[: MOST_LETTERS - 1]}…"


def importance(growth: Rows) -> Element:
    """Return bars of the growth of the error without each latent dimension, largest first.

    Each is named by its dimension, in several rows where they are narrower than their names.
    """
    order = np.argsort(-growth, kind="stable")[:MOST_BARS]
    bars = growth[order].clip(0)
    axes = Axes(
        Scale(-0.6, len(order) - 0.4, "latent dimension", ()),
        Scale.over(0, 1.05 * float(bars.max()) or 1.0, "increase of the MSE"),
    )
    half = 0.36 * min(1, len(bars) / 8)
    digits = "0" * max(len(str(dimension)) for dimension in order)
    room = WIDTH / len(order)
    one_row = text_width(digits, TICK_SIZE) + GAP <= room
    widest = text_width(digits, BAR_SIZE) + GAP
    rows = 1 if one_row else min(ceil(widest / room), ROWS_OF_NAMES)
    # Where even these rows have no room, every second or third bar is named.
    every = 1 if one_row else ceil(widest / room / rows)
    marks, names = [], []
    for i, (dimension, bar) in enumerate(zip(order, bars, strict=True)):
        left, top = axes.at(i - half, bar)
        right, _ = axes.at(i + half, bar)
        shape = {"x": left, "y": top, "width": right - left, "height": HEIGHT - top}
        words = tag("title", f"latent dimension {dimension}: {number(float(bar))}")
        marks.append(tag("rect", words, class_="bar first", **shape))
        if i % every == 0:
            y = HEIGHT + 19 + BAR_SIZE * 1.1 * (i // every % rows)
            place = {"x": (left + right) / 2, "y": y, "text_anchor": "middle"}
            small = {} if one_row else {"class_": "bar-name"}
            names.append(tag("text", str(dimension), **place, **small))
    return axes.figure(
        f"Latent dimension {order[0]} is the most important: without it the MSE increases by "
        f"{number(float(bars[0]))}.",
        *marks,
        names=names,
        bottom=BOTTOM + BAR_SIZE * 1.1 * (rows - 1),
    )


def score_edges(scores: Rows, usual: Rows, limit: float) -> Rows:
    """Return the edges of bins of scores, each of which is all beyond a limit or not at all."""
    both = np.concatenate([scores, usual])
    low, high = float(both.min()), float(both.max())
    edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
    if low < limit < high:
        edges += limit - edges[np.abs(edges - limit).argmin()]
        edges = np.concatenate(
            [edges[:1] - np.diff(edges[:2]), edges, edges[-1:] + np.diff(edges[:2])]
        )
    return edges


def score_histogram(scores: Rows, usual: Rows, limit: float) -> Element:
    """Return the distribution of scores as bars, and that of usual ones as a line.

    Parameters
    ----------
    scores, usual : array (n,), array (m,)
    limit : float
        Scores beyond it are flagged; infinity where none are.
    """
    edges = score_edges(scores, usual, limit)
    shares, known = (np.histogram(x, edges)[0] / len(x) for x in (scores, usual))
    axes = Axes(
        Scale.over(float(edges[0]), float(edges[-1]), "score, nats"),
        Scale.over(0, 1.05 * 100 * float(max(shares.max(), known.max())), "share, %"),
    )
    marks = []
    for left, right, share in zip(edges[:-1], edges[1:], 100 * shares, strict=True):
        if share:
            (x, y), (end, _) = axes.at(left, share), axes.at(right, share)
            tone = "first" if (left + right) / 2 > limit else "second"
            # The smallest share can be seen.
            height = max(HEIGHT - y, 1.5)
            shape = {"x": x + 0.5, "y": HEIGHT - height, "width": end - x - 1, "height": height}
            marks.append(tag("rect", class_=f"bar {tone}", **shape))
    marks.append(axes.line(np.repeat(edges, 2)[1:-1], np.repeat(100 * known, 2), "line faint"))
    return axes.figure(
        f"Scores of {len(scores)} rows, {int((scores > limit).sum())} of them beyond the limit.",
        *marks,
        *_limit(axes, limit),
    )


def score_tails(scores: Rows, usual: Rows, limit: float) -> Element:
    """Return the share of rows with at least each score, on a logarithmic scale."""
    ends = [(np.sort(x), 1 - np.arange(len(x)) / len(x)) for x in (usual, scores)]
    least = floor(log10(min(share[-1] for _, share in ends)) - 1e-9)
    decades = range(least, 1, -(least // 6) if least < -6 else 1)
    ticks = tuple((float(k), f"{10.0 ** (k + 2):g}%") for k in decades)
    axes = Axes(
        Scale.around([f([f(usual), f(scores)]) for f in (np.min, np.max)], "score, nats"),
        Scale(least, 0.12, "share with at least this score", ticks),
    )
    curves = []
    for (values, share), tone in zip(ends, ("line faint", "line second"), strict=True):
        some = np.unique(np.geomspace(1, len(values), MOST_POINTS).astype(np.intp)) - 1
        at = len(values) - 1 - some[::-1]
        curves.append(axes.line(values[at], np.log10(share[at]), tone))
    return axes.figure("The share of rows with at least each score.", *curves, *_limit(axes, limit))


def _limit(axes: Axes, limit: float) -> list[Element]:
    """Return a line at a limit, where it is within the axes."""
    if not axes.x.low < limit < axes.x.high:
        return []
    return [axes.line([limit] * 2, [axes.y.low, axes.y.high], "line faint dashed")]
