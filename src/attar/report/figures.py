"""The figures: each a function of plain arrays, drawn in the page's own colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from attar.records import Epoch
from attar.report.axes import HEIGHT, Axes, Scale
from attar.report.markup import number, tag

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
    best = history[best_epoch - 1].judged
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


def carried(growth: Rows) -> Element:
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
