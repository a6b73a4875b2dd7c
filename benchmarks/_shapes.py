"""Synthetic images of one white shape each, drawn from known factors, as in dSprites.

The factors are shape, scale, rotation, and horizontal and vertical position, drawn independently.
Rotations are within a quarter turn, so that a square has only one rotation per image.

References
----------
Matthey, Higgins, Hassabis and Lerchner, "dSprites: disentanglement testing sprites dataset", 2017.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[Any]

FACTORS = ("shape", "scale", "rotation", "x", "y")
VALUES = (3, 6, 8, 16, 16)
SIZE = 32
# Half the side of a square, in pixels; the other shapes have about its area.
SMALLEST, LARGEST = 2.0, 5.0
# The least distance of a shape's centre from the border, in pixels. Shapes that share no pixel are
# all equally distant: with more room, models encoded the position in three dimensions, not in two.
NEAREST = 10.5


def sample(count: int, seed: int) -> tuple[Rows, Rows]:
    """Return images (count, 32, 32) as bytes, and the value of each factor (count, 5)."""
    factors = np.random.default_rng(seed).integers(VALUES, size=(count, len(VALUES)))
    return rendered(factors), factors


def rendered(factors: Rows) -> Rows:
    """Return the images of factors (n, 5): (n, 32, 32) bytes, antialiased."""
    shape, *others = factors.T
    scale, turn, along, down = (
        (value / (count - 1))[:, None, None].astype(np.float32)
        for value, count in zip(others, VALUES[1:], strict=True)
    )
    extent = SMALLEST + (LARGEST - SMALLEST) * scale
    angle = turn * (np.pi / 2) * (1 - 1 / VALUES[2])
    span = SIZE - 1 - 2 * NEAREST
    pixels = np.arange(SIZE, dtype=np.float32)
    x = pixels - NEAREST - span * along
    y = pixels[:, None] - NEAREST - span * down
    u, v = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    images = np.empty(u.shape, np.uint8)
    for kind, outside in enumerate((square, ellipse, triangle)):
        chosen = shape == kind
        distance = outside(u[chosen], v[chosen], extent[chosen])
        images[chosen] = np.rint(255 * np.clip(0.5 - distance, 0, 1))
    return images


def square(u: Rows, v: Rows, extent: Rows) -> Rows:
    """Return the signed distance of points from the edge, in pixels, negative inside."""
    return np.maximum(np.abs(u), np.abs(v)) - extent


def ellipse(u: Rows, v: Rows, extent: Rows) -> Rows:
    """Return the same for an ellipse twice as long as wide, approximately."""
    longer, shorter = 1.6 * extent, 0.8 * extent
    return (np.hypot(u / longer, v / shorter) - 1) * shorter


def triangle(u: Rows, v: Rows, extent: Rows) -> Rows:
    """Return the same for an equilateral triangle."""
    inner = 0.88 * extent
    slanted = np.sqrt(0.75) * np.abs(u) - 0.5 * v
    return np.maximum(v, slanted) - inner
