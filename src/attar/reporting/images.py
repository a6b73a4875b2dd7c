"""Images on the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Self
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from attar.data.images import Images
from attar.data.kind import Rows
from attar.reporting.colours import Attribute
from attar.reporting.display import Examples, Interpolation, PictureDisplay, nan_mean
from attar.reporting.html import captioned, tag

# Pixels of the longer side: of most pictures, of those that are compared, and from where on
# pictures are large, of which fewer are beside each other.
MOST_SIDE, COMPARED_SIDE, LARGE = 64, 96, 24

# Visible on light and dark backgrounds.
BRIGHTER, DARKER = (205, 62, 96), (58, 124, 196)

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Shades:
    """Images as bytes, with the smallest value of all rows as black and the largest as white.

    Images with transparency keep their values. Missing pixels are transparent.

    Attributes
    ----------
    kind : Images
    low, high : float
    """

    kind: Images
    low: float
    high: float

    @classmethod
    def of(cls, kind: Images, rows: Rows) -> Self:
        """Return the shades of raw rows (n, channels, height, width)."""
        found = cls(kind, 0.0, 255.0)
        if found.clear or np.isnan(rows).all():
            return found
        return cls(kind, float(np.nanmin(rows)), float(np.nanmax(rows)))

    @property
    def clear(self) -> bool:
        """Whether images have transparency."""
        return self.kind.shape[0] == 4 and self.kind.dtype == "uint8"

    @property
    def size(self) -> str:
        """The class of large images."""
        return " large" if max(self.kind.shape[1:]) >= LARGE else ""

    def brightness(self, row: Rows) -> NDArray[np.float64]:
        """Return an image, 0 where it is black and 1 where it is white."""
        return (row.astype(np.float64) - self.low) / ((self.high - self.low) or 1.0)

    def bytes(self, row: Rows) -> Bytes:
        """Return an image as gray (height, width) or colour (height, width, 3 or 4) bytes."""
        image = self.brightness(row)
        coloured = len(image) == 3 or self.clear
        pixels = image.transpose(1, 2, 0) if coloured else image.mean(0)
        missing = np.isnan(pixels)
        values = np.rint(255 * np.where(missing, 0, pixels).clip(0, 1)).astype(np.uint8)
        return with_alpha(values, missing) if missing.any() else values


class ImageDisplay(PictureDisplay):
    """Images, originals beside reconstructions."""

    row = "image"
    compared, sampled = 12, 24

    def __init__(self, kind: Images, examples: Examples) -> None:
        self.kind, self.shades = kind, Shades.of(kind, examples.rows)
        self.channels, self.height, self.width = kind.shape

    @property
    def title(self) -> str:
        """Height and width."""
        colour = "colour images" if self.channels == 3 else "images"
        return f"{colour} of {self.height} × {self.width} pixels"

    def attributes(self, examples: Examples) -> list[Attribute]:
        """Return the brightness."""
        colours = examples.rows[:, :3].reshape(len(examples.rows), -1)
        return [Attribute("the mean brightness", nan_mean(colours, 1))]

    def pixels(self, rows: Rows) -> list[Bytes]:
        """Return images in the shades of the originals."""
        return [self.shades.bytes(row) for row in rows]

    def differences(self, rows: Rows, reconstructed: Rows) -> list[Bytes]:
        """Return by how much images are too bright or too dark."""
        found = [
            np.nan_to_num(self.shades.brightness(other) - self.shades.brightness(row))
            for row, other in zip(rows, reconstructed, strict=True)
        ]
        largest = max(float(np.abs(difference).max()) for difference in found) or 1.0
        return [signed(difference / largest) for difference in found]

    def reconstructions(
        self, examples: Examples, names: Sequence[str], order: str
    ) -> list[Element]:
        """Return originals above reconstructions above differences, a column for each image."""
        reconstructed = self._rounded(examples.reconstructed)
        columns = [
            tag(
                "div",
                picture(row, f"{name}, original", COMPARED_SIDE),
                picture(other, f"{name}, reconstructed", COMPARED_SIDE),
                picture(difference, f"{name}, difference", COMPARED_SIDE),
                tag("span", name, title=name),
            )
            for row, other, difference, name in zip(
                self.pixels(examples.rows),
                self.pixels(reconstructed),
                self.differences(examples.rows, reconstructed),
                names,
                strict=True,
            )
        ]
        caption = (
            f"Originals, reconstructions and differences, {order}. Differences are red where the "
            "reconstruction is too bright and blue where it is too dark."
        )
        return [captioned(tag("div", *columns, class_=f"pictures{self.shades.size}"), caption)]

    def denoised(
        self, clean: Rows, noisy: Rows, found: Rows, names: Sequence[str]
    ) -> list[Element]:
        """Return images with noise above those without above clean ones."""
        columns = [
            tag(
                "div",
                *(
                    picture(self.shades.bytes(row), f"{name}, {words}", COMPARED_SIDE)
                    for row, words in zip(rows, ("noisy", "denoised", "clean"), strict=True)
                ),
                tag("span", name, title=name),
            )
            for *rows, name in zip(noisy, self._rounded(found), clean, names, strict=True)
        ]
        caption = "Images with noise, without, and as they are."
        return [captioned(tag("div", *columns, class_=f"pictures{self.shades.size}"), caption)]

    def originals(self, rows: Rows, names: Sequence[str]) -> list[Element]:
        """Return a picture for each row."""
        columns = [
            tag(
                "div",
                picture(self.shades.bytes(row), name, COMPARED_SIDE),
                tag("span", name, title=name),
            )
            for row, name in zip(rows, names, strict=True)
        ]
        return [tag("div", *columns, class_=f"pictures{self.shades.size}")]

    def interpolations(self, interpolations: Sequence[Interpolation]) -> list[Element]:
        """Return a strip of pictures for each interpolation."""

        def drawn(rows: Rows) -> Iterable[Bytes]:
            return self.pixels(self._rounded(rows))

        caption = "Decoded interpolations between the codes of two images."
        return [captioned(strips(interpolations, drawn, self.shades.size), caption)]

    def samples(self, rows: Rows, drawn: bool = True) -> list[Element]:
        """Return a picture for each sample."""
        pictures = [
            picture(image, f"sample {i}")
            for i, image in enumerate(self.pixels(self._rounded(rows)))
        ]
        caption = f"Images {'drawn from the model' if drawn else 'decoded from random codes'}."
        return [captioned(tag("div", *pictures, class_=f"samples{self.shades.size}"), caption)]

    def _rounded(self, rows: Rows) -> Rows:
        """Return raw rows with the precision of the images' dtype."""
        return self.kind.rows(self.kind.restore(rows))


def strips(
    interpolations: Sequence[Interpolation], drawn: Callable[[Rows], Iterable[Bytes]], size: str
) -> Element:
    """Return a strip of pictures for each interpolation, of a class of size."""
    lines = (
        tag(
            "div",
            tag("span", line.start, title=line.start),
            tag(
                "div",
                *(
                    picture(pixels, f"step {step} from {line.start} to {line.end}")
                    for step, pixels in enumerate(drawn(line.rows))
                ),
            ),
            tag("span", line.end, title=line.end),
            class_="strip",
        )
        for line in interpolations
    )
    return tag("div", *lines, class_=f"strips{size}")


def with_alpha(values: Bytes, missing: NDArray[np.bool_]) -> Bytes:
    """Return bytes as RGBA, transparent where a channel is missing."""
    colours = values if values.ndim == 3 else np.dstack([values] * 3)
    transparent = missing.any(2) if missing.ndim == 3 else missing
    return np.dstack([colours[..., :3], np.where(transparent, 0, 255)]).astype(np.uint8)


def signed(difference: NDArray[np.float64]) -> Bytes:
    """Return differences (channels, height, width) as RGBA: sign as colour, size as opacity."""
    size = np.sqrt(np.square(difference).mean(0))
    sign = np.where(difference.mean(0)[..., None] > 0, BRIGHTER, DARKER)
    return np.asarray(np.dstack([sign, np.rint(255 * size)]), np.uint8)


def heat(nats: NDArray[np.float64]) -> Bytes:
    """Return a map (height, width) as RGBA, opaque where it is largest, clear from 0 down."""
    share = np.maximum(nats, 0) / max(float(nats.max()), 1e-9)
    return np.asarray(
        np.dstack([np.full((*nats.shape, 3), BRIGHTER), np.rint(255 * share)]), np.uint8
    )


def picture(pixels: Bytes, description: str, most: int = MOST_SIDE) -> Element:
    """Return an image (height, width[, channels]) as an element, reduced to a side of ``most``."""
    from PIL import Image

    image = Image.fromarray(pixels)
    factor = -(-max(image.size) // most)
    image = image.reduce(factor)
    file = io.BytesIO()
    image.save(file, "png", optimize=True)
    code = base64.b64encode(file.getvalue()).decode()
    return tag(
        "img",
        src=f"data:image/png;base64,{code}",
        alt=description,
        width=image.width,
        height=image.height,
        **({"class_": "reduced"} if factor > 1 else {}),
    )
