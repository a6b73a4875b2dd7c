"""A picture in a file: what its head tells, and its pixels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from attar.data.files.filestream import readable
from attar.errors import DataError, FileError

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF")

# What each of EXIF's orientations asks for.
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS = (5, 6, 7, 8)


@dataclass(frozen=True)
class Mode:
    """What a pixel is.

    Attributes
    ----------
    name : str
        Pillow's name.
    words : str
    dtype : str
    channels : tuple of int
        How the shape of a picture's array goes on after height and width.
    holds : tuple of str
        The modes that can be brought to this one without loss.
    """

    name: str
    words: str
    dtype: str
    channels: tuple[int, ...]
    holds: tuple[str, ...]


# The poorest first.
MODES = {
    mode.name: mode
    for mode in (
        Mode("L", "grey", "uint8", (), ("L",)),
        Mode("RGB", "colour", "uint8", (3,), ("L", "RGB")),
        Mode("RGBA", "colour with transparency", "uint8", (4,), ("L", "RGB", "RGBA")),
        Mode("I;16", "16-bit grey", "uint16", (), ("L", "I;16")),
    )
}


@dataclass(frozen=True, slots=True)
class Picture:
    """What the head of a picture's file tells.

    Attributes
    ----------
    path : str
    size : (int, int)
        Height and width, as the picture is to be seen.
    mode : str
        The poorest of ``MODES`` that holds it.
    orientation : int
        EXIF's; 1 is upright.
    """

    path: str
    size: tuple[int, int]
    mode: str
    orientation: int

    @classmethod
    def of(cls, path: str) -> Self:
        """Return what a file's head tells; no pixel is decoded.

        Raises
        ------
        FileError
            If it cannot be read.
        DataError
            If its pixels are of a mode that attar does not take.
        """
        with _opened(path) as image:
            width, height = image.size
            if not width * height:
                raise FileError(f"{path} has no pixels: repair it or leave it out.")
            orientation = _orientation(image)
            size = (width, height) if orientation in SIDEWAYS else (height, width)
            return cls(path, size, _mode(image, path), orientation)

    def pixels(self, size: tuple[int, int], mode: str) -> NDArray[Any]:
        """Return the picture, upright, as an array of a size (height, width) and a mode.

        If it has another size it is resized to just cover this one, and its centre is cut out.

        Raises
        ------
        FileError
            If it cannot be read.
        """
        height, width = size
        with _opened(self.path) as image:
            if self.size != size:
                lying = (height, width) if self.orientation in SIDEWAYS else (width, height)
                image.draft(None, _twice(image.size, lying))
            plain = _native(image) if self.mode == "I;16" else image.convert(self.mode)
        if self.orientation in TURNS:
            plain = plain.transpose(TURNS[self.orientation])
        if self.size != size:
            plain = ImageOps.fit(plain, (width, height), Image.Resampling.LANCZOS)
        if plain.size != (width, height):
            raise FileError(f"{self.path} was changed while it was read: start again.")
        if mode == "I;16" and self.mode == "L":
            return np.asarray(plain, np.uint16) * np.uint16(257)
        return np.asarray(plain if mode == self.mode else plain.convert(mode))


def _mode(image: Image.Image, path: str) -> str:
    if image.mode.startswith("I;16"):
        return "I;16"
    if image.mode in ("I", "F"):
        raise DataError(
            f"{path} has 32-bit pixels: save it with 8 or 16 bits a pixel, or as an array (.npy)."
        )
    if image.has_transparency_data:
        return "RGBA"
    return "L" if image.mode in ("1", "L") else "RGB"


def _orientation(image: Image.Image) -> int:
    # Pillow turns TIFF itself, and would decode a whole PNG to look for EXIF at its end.
    if image.format == "TIFF":
        return 1
    try:
        return int(Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged EXIF says nothing, and the picture may be sound
        return 1


def _native(image: Image.Image) -> Image.Image:
    """Return a picture of 16 bits in the machine's byte order, the one that Pillow resizes."""
    return Image.fromarray(np.asarray(image).astype(np.uint16))


def _twice(size: tuple[int, int], target: tuple[int, int]) -> tuple[int, int]:
    """Return the size that covers twice a target: so large at least a JPEG is to be decoded.

    With fewer pixels left the resampling that follows would have too little to work with.
    """
    factor = 2 * max(target[0] / size[0], target[1] / size[1])
    return max(1, round(factor * size[0])), max(1, round(factor * size[1]))


@contextmanager
def _opened(path: str) -> Iterator[Image.Image]:
    with readable(path):
        try:
            # From a path Pillow would map plain TIFF into memory, and take it for turned already.
            with open(path, "rb") as file, Image.open(file, formats=FORMATS) as image:
                yield image
        except UnidentifiedImageError:
            raise FileError(
                f"{path} is no picture, though its name says so: repair it or leave it out."
            ) from None
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            raise FileError(
                f"{path} has more than {Image.MAX_IMAGE_PIXELS:,} pixels, which may be meant to "
                "fill the memory: make it smaller or leave it out."
            ) from None
