"""Images in a report."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from attar.data.images import Images
from attar.data.kind import Rows
from attar.report.display import Display, Shown, Walk
from attar.report.html import captioned, tag

MOST_SIDE = 64

# Seen on light and dark paper alike.
BRIGHTER, DARKER = (205, 62, 96), (58, 124, 196)

Bytes = NDArray[np.uint8]


class ImageDisplay(Display):
    """Shows images, from the darkest value of all rows as black to the brightest as white.

    Pictures with transparency are shown as they are. Missing pixels are left open.
    """

    row = "image"
    compared, sampled = 12, 24

    def __init__(self, kind: Images, shown: Shown) -> None:
        self.kind = kind
        self.channels, self.height, self.width = kind.shape
        self.clear = self.channels == 4 and kind.dtype == "uint8"
        self.low, self.high = 0.0, 255.0
        if not self.clear and not np.isnan(shown.rows).all():
            self.low, self.high = float(np.nanmin(shown.rows)), float(np.nanmax(shown.rows))

    @property
    def form(self) -> str:
        """Height and width."""
        colour = "colour images" if self.channels == 3 else "images"
        return f"{colour} of {self.height} × {self.width} pixels"

    def compare(self, shown: Shown, names: Sequence[str]) -> list[Element]:
        """Return originals over reconstructions over differences, a column an image."""
        own = self._own(shown.back)
        changes = [
            np.nan_to_num(self._bright(back) - self._bright(row))
            for row, back in zip(shown.rows, own, strict=True)
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
            for row, back, change, name in zip(shown.rows, own, changes, names, strict=True)
        ]
        words = (
            "Originals over reconstructions over differences, from the image that comes back best "
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
                        for step, row in enumerate(self._own(walk.rows))
                    ),
                ),
                tag("span", walk.end, title=walk.end),
                class_="strip",
            )
            for walk in walks
        ]
        words = (
            "Straight lines between the codes of two images, decoded step by step. Where every "
            "step looks like data, the space between codes is filled."
        )
        return [captioned(tag("div", *strips, class_="strips"), words)]

    def samples(self, rows: Rows, decoded: Rows) -> list[Element]:
        """Return a picture for each sample."""
        own = enumerate(self._own(rows))
        pictures = [picture(self._bytes(row), f"sample {i}") for i, row in own]
        words = "Nobody has seen these: codes drawn by chance, decoded."
        return [captioned(tag("div", *pictures, class_="samples"), words)]

    def _own(self, rows: Rows) -> Rows:
        """Return raw rows with what the images' own dtype holds of them."""
        return self.kind.rows(self.kind.restore(rows))

    def _bytes(self, row: Rows) -> Bytes:
        """Return an image as grey (height, width) or colour (height, width, 3 or 4) bytes."""
        image = self._bright(row)
        coloured = self.channels == 3 or self.clear
        pixels = image.transpose(1, 2, 0) if coloured else image.mean(0)
        missing = np.isnan(pixels)
        levels = np.rint(255 * np.where(missing, 0, pixels).clip(0, 1)).astype(np.uint8)
        return _opened(levels, missing) if missing.any() else levels

    def _bright(self, row: Rows) -> NDArray[np.float64]:
        return (row.astype(np.float64) - self.low) / ((self.high - self.low) or 1.0)


def _opened(levels: Bytes, missing: NDArray[np.bool_]) -> Bytes:
    """Return bytes as RGBA, with nothing where a channel is missing."""
    colours = levels if levels.ndim == 3 else np.dstack([levels] * 3)
    gone = missing.any(2) if missing.ndim == 3 else missing
    return np.dstack([colours[..., :3], np.where(gone, 0, 255)]).astype(np.uint8)


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
