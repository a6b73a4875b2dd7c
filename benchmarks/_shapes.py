"""Made images of one white shape each, drawn from known factors, after the idea of dSprites.

The factors are shape, scale, rotation, and place along and down, drawn independently. Rotations
keep to a quarter turn, so that a square too has but one for each image.

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
LEVELS = (3, 6, 8, 16, 16)
SIZE = 32
# Half the side of a square, in pixels; the other shapes have about its area.
SMALLEST, LARGEST = 2.0, 5.0
# How near to the image's border, in pixels, the middle of a shape comes. Shapes that share no
# pixel are all equally far apart: with more room, place was coded in three numbers and not in two.
NEAREST = 10.5


def made(count: int, seed: int) -> tuple[Rows, Rows]:
    """Return images (count, 32, 32) as bytes, and the level of each factor (count, 5)."""
    factors = np.random.default_rng(seed).integers(LEVELS, size=(count, len(LEVELS)))
    return drawn(factors), factors


def drawn(factors: Rows) -> Rows:
    """Return the images of factors' levels (n, 5): (n, 32, 32) bytes, with soft edges."""
    shape, *others = factors.T
    scale, turn, along, down = (
        (level / (count - 1))[:, None, None].astype(np.float32)
        for level, count in zip(others, LEVELS[1:], strict=True)
    )
    extent = SMALLEST + (LARGEST - SMALLEST) * scale
    angle = turn * (np.pi / 2) * (1 - 1 / LEVELS[2])
    span = SIZE - 1 - 2 * NEAREST
    pixels = np.arange(SIZE, dtype=np.float32)
    x = pixels - NEAREST - span * along
    y = pixels[:, None] - NEAREST - span * down
    u, v = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    images = np.empty(u.shape, np.uint8)
    for kind, outside in enumerate((square, ellipse, triangle)):
        mine = shape == kind
        beyond = outside(u[mine], v[mine], extent[mine])
        images[mine] = np.rint(255 * np.clip(0.5 - beyond, 0, 1))
    return images


def square(u: Rows, v: Rows, extent: Rows) -> Rows:
    """Return how many pixels beyond the edge points are, negative within."""
    return np.maximum(np.abs(u), np.abs(v)) - extent


def ellipse(u: Rows, v: Rows, extent: Rows) -> Rows:
    """Return the same of an ellipse that is twice as long as wide, nearly."""
    longer, shorter = 1.6 * extent, 0.8 * extent
    return (np.hypot(u / longer, v / shorter) - 1) * shorter


def triangle(u: Rows, v: Rows, extent: Rows) -> Rows:
    """Return the same of a triangle of equal sides."""
    inner = 0.88 * extent
    slanted = np.sqrt(0.75) * np.abs(u) - 0.5 * v
    return np.maximum(v, slanted) - inner
