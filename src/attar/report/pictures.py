"""Images on the page: pictures in data URIs."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from attar.data.kind import Kind, Rows
from attar.report.display import Display, Walk
from attar.report.markup import captioned, tag
from attar.report.shown import Shown

MOST_SIDE = 64

# Seen on light and dark paper alike.
BRIGHTER, DARKER = (205, 62, 96), (58, 124, 196)

Bytes = NDArray[np.uint8]


class Pictures(Display):
    """Shows images, from the darkest value of all rows as black to the brightest as white."""

    compared, sampled = 12, 24

    def __init__(self, kind: Kind, shown: Shown) -> None:
        self.channels, self.height, self.width = kind.shape
        self.low, self.high = float(shown.rows.min()), float(shown.rows.max())

    @property
    def form(self) -> str:
        """Height and width."""
        colour = "colour images" if self.channels == 3 else "images"
        return f"{colour} of {self.height} × {self.width} pixels"

    def compare(self, shown: Shown, names: Sequence[str]) -> list[Element]:
        """Return originals over reconstructions over differences, a column an image."""
        changes = [
            self._bright(back) - self._bright(row)
            for row, back in zip(shown.rows, shown.back, strict=True)
        ]
        largest = max(float(np.abs(change).max()) for change in changes) or 1.0
        columns = [
            tag(
                "div",
                picture(self._bytes(row), f"{name}, original"),
                picture(self._bytes(back), f"{name}, reconstructed"),
                picture(_signed(change / largest), f"{name}, difference"),
                tag("span", name, title=name),
            )
            for row, back, change, name in zip(shown.rows, shown.back, changes, names, strict=True)
        ]
        words = (
            "Originals over reconstructions over differences, from the row that comes back best "
            "(left) to the one that comes back worst (right). Differences are red where the "
            "reconstruction is too bright and blue where it is too dark."
        )
        return [captioned(tag("div", *columns, class_="pictures"), words)]

    def walks(self, walks: Sequence[Walk]) -> list[Element]:
        """Return a strip of pictures for each walk."""
        strips = [
            tag(
                "div",
                tag("span", walk.start, title=walk.start),
                tag(
                    "div",
                    *(
                        picture(self._bytes(row), f"step {step} from {walk.start} to {walk.end}")
                        for step, row in enumerate(walk.rows)
                    ),
                ),
                tag("span", walk.end, title=walk.end),
                class_="strip",
            )
            for walk in walks
        ]
        words = (
            "Straight lines between the codes of two rows, decoded step by step. Where every step "
            "looks like data, the space between codes is filled."
        )
        return [captioned(tag("div", *strips, class_="strips"), words)]

    def samples(self, rows: Rows) -> list[Element]:
        """Return a picture for each sample."""
        pictures = [picture(self._bytes(row), f"sample {i}") for i, row in enumerate(rows)]
        words = "Nobody has seen these: codes drawn by chance, decoded."
        return [captioned(tag("div", *pictures, class_="samples"), words)]

    def _bytes(self, row: Rows) -> Bytes:
        """Return an image as grey (height, width) or colour (height, width, 3) bytes."""
        image = self._bright(row)
        pixels = image.transpose(1, 2, 0) if self.channels == 3 else image.mean(0)
        return np.asarray(np.rint(255 * pixels.clip(0, 1)), np.uint8)

    def _bright(self, row: Rows) -> NDArray[np.float64]:
        return (row.astype(np.float64) - self.low) / ((self.high - self.low) or 1.0)


def _signed(change: NDArray[np.float64]) -> Bytes:
    """Return changes (channels, height, width) as RGBA: sign as colour, size as opacity."""
    size = np.sqrt(np.square(change).mean(0))
    sign = np.where(change.mean(0)[..., None] > 0, BRIGHTER, DARKER)
    return np.asarray(np.dstack([sign, np.rint(255 * size)]), np.uint8)


def picture(pixels: Bytes, words: str) -> Element:
    """Return an image (height, width[, channels]) as an element; large ones are made smaller."""
    from PIL import Image

    image = Image.fromarray(pixels)
    image = image.reduce(-(-max(image.size) // MOST_SIDE))
    file = io.BytesIO()
    image.save(file, "png", optimize=True)
    code = base64.b64encode(file.getvalue()).decode()
    size: dict[str, Any] = {"width": image.width, "height": image.height}
    return tag("img", src=f"data:image/png;base64,{code}", alt=words, **size)
