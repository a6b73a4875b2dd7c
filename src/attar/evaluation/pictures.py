"""Pictures of rows above their reconstructions, while a model is trained."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from attar.codes.point import NoCodeModule
from attar.data.kind import Rows
from attar.predictor import Predictor

# So many rows are shown. The longer side of an image has at least and at most so many pixels, and
# windows of fewer channels are drawn as lines, else as images.
SHOWN, LEAST_SIDE, MOST_SIDE, CHANNELS = 8, 32, 128, 9


def reconstruction_picture(predictor: Predictor, rows: Rows) -> NDArray[np.uint8] | None:
    """Return raw rows (n, *cells) above their reconstructions, as pixels (height, width, 3).

    Both have one range of values; missing ones are black. None where rows are neither images nor
    windows, or the model has no code.
    """
    shape = predictor.preparation.kind.shape
    if len(shape) < 2 or isinstance(predictor.model.code, NoCodeModule):
        return None
    rows = rows[:SHOWN]
    predictor.model.eval()
    decoded = predictor.decode(predictor.encode(rows)).numpy()
    original = predictor.preparation.prepare(rows).numpy()
    pair = (original, decoded.reshape(original.shape))
    if len(shape) == 2 and shape[0] < CHANNELS:
        return _lines(*pair)
    return _grid([array[:, None, ::-1] if len(shape) == 2 else array for array in pair])


def _grid(pair: Sequence[Rows]) -> NDArray[np.uint8]:
    """Return two rows of images (n, channels, height, width), enlarged."""
    low, high = np.nanmin(pair[0]), np.nanmax(pair[0])
    found = np.nan_to_num((np.stack(pair) - low) / ((high - low) or 1.0)).clip(0, 1)
    if found.shape[2] != 3:
        found = found[:, :, :1].repeat(3, 2) if found.shape[2] < 3 else found[:, :, :3]
    side = max(found.shape[3:])
    step, scale = -(-side // MOST_SIDE), max(1, LEAST_SIDE // side)
    large = (
        np.rint(255 * found[..., ::step, ::step]).astype(np.uint8).repeat(scale, 3).repeat(scale, 4)
    )
    framed = np.pad(large, [(0, 0)] * 3 + [(1, 1)] * 2)
    lines, n, channels, height, width = framed.shape
    return framed.transpose(0, 3, 1, 4, 2).reshape(lines * height, n * width, channels)


def _lines(original: Rows, decoded: Rows) -> NDArray[np.uint8]:
    """Return a plot of windows (n, channels, steps) beside each other: a line for each channel."""
    from matplotlib.figure import Figure

    n, channels, steps = original.shape
    gap = [(0, 0), (0, 0), (0, -(-steps // 8))]
    curves = (
        np.pad(rows, gap, constant_values=np.nan).swapaxes(0, 1).reshape(channels, -1)
        for rows in (original, decoded)
    )
    figure = Figure(figsize=(2 * n, 1.5 * channels))
    figure.subplots_adjust(0.01, 0.02, 0.99, 0.98)
    grid = figure.subplots(channels, squeeze=False)[:, 0]
    for axes, before, after in zip(grid, *curves, strict=True):
        axes.plot(before, "0.6")
        axes.plot(after, "C0")
        axes.set_axis_off()
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return np.asarray(Image.open(file).convert("RGB"))
