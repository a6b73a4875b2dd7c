"""Images as arrays (n, height, width) or (n, height, width, channels), and folders of pictures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from attar.data.kind import Json, Kind, Portion, Rows, back_to, require_finite
from attar.data.pictures import MODES, Pictures
from attar.data.scaling import MinMax, Scaling
from attar.data.stream import SIZE, Sample
from attar.data.summary import Moments, Summary
from attar.errors import DataError

# The sample has so many cells at most, but so many images at least.
CELLS, FEWEST = 1 << 25, 64


@dataclass(frozen=True)
class Images(Kind):
    """The form of a stack of images.

    Parameters
    ----------
    size : tuple of int
        (height, width) or (height, width, channels), as the user has it.
    dtype : str
    resized : bool
        Whether pictures were resized to this size; :meth:`pictures` then does it again.
    """

    size: tuple[int, ...]
    dtype: str
    resized: bool = False

    name = "images"
    noisy = False

    @property
    def shape(self) -> tuple[int, ...]:
        """(channels, height, width)."""
        height, width, *channels = self.size
        return (channels[0] if channels else 1, height, width)

    @classmethod
    def of(cls, pieces: Iterable[object]) -> tuple[Self, Summary]:
        """Return the form and the summary of images, from one pass over pieces of a stack.

        Raises
        ------
        DataError
            If there are no images, or they have different shapes, no numbers, or infinite values.
        """
        kind: Self | None = None
        moments = Moments.none(1)
        for piece in pieces:
            array = _pixels(piece)
            if kind is None:
                kind = cls(array.shape[1:], str(array.dtype))
                most = max(FEWEST, min(SIZE, CELLS // max(1, prod(kind.size))))
                sample: Sample[Rows] = Sample(lambda rows, places: rows[places], most)
            if array.shape[1:] != kind.size:
                raise DataError(
                    f"The images have different shapes ({kind.size}, {array.shape[1:]}): bring "
                    "them to one."
                )
            kind = replace(kind, dtype=str(np.result_type(kind.dtype, array)))
            rows = kind.rows(array)
            moments = moments.merged(Moments.of(kind.columns(rows)))
            sample.add(rows, len(rows))
        if kind is None or not sample.seen:
            raise DataError("There are no images: give two at least.")
        kept, places = sample.result(np.concatenate)
        resized = isinstance(pieces, Pictures) and pieces.resized
        return replace(kind, resized=resized), Summary(sample.seen, moments, kept, places)

    def rows(self, data: object) -> Rows:
        """Return the images with channels first: (n, channels, height, width)."""
        array = _pixels(data)
        if array.shape[1:] != self.size:
            raise DataError(
                f"The images have shape {array.shape[1:]}, but the model was fitted on images of "
                f"shape {self.size}: resize them."
            )
        array = require_finite(array, lambda place: f"Pixel {place[:2]}")
        return array[:, None] if len(self.size) == 2 else array.transpose(0, 3, 1, 2)

    @property
    def portions(self) -> list[Portion]:
        """The pixels, which are all alike."""
        return [Portion("pixels", self.dtype, slice(0, 1))]

    def pictures(self, folder: str | Path) -> Pictures:
        """Return a folder's pictures as the model takes them: in its mode.

        They are resized if the pictures that the model was fitted on were.

        Raises
        ------
        DataError
            If the model was fitted on arrays that are no pictures, or the folder's pictures don't
            fit its own.
        FileError
            If the folder or a picture in it cannot be read.
        """
        height, width, *channels = self.size
        for mode in MODES.values():
            if (mode.dtype, mode.channels) == (self.dtype, tuple(channels)):
                return Pictures(folder, (height, width) if self.resized else None, mode.name)
        raise DataError(
            f"The model was fitted on {self.dtype} arrays of shape {self.size}, but the pictures "
            f"in {folder} hold bytes: give an array."
        )

    def restore(self, rows: Rows, passthrough: None = None) -> Rows:
        """Return pixels with channels last again, in the images' own dtype."""
        pixels = rows[:, 0] if len(self.size) == 2 else rows.transpose(0, 2, 3, 1)
        return back_to(np.dtype(self.dtype), pixels)

    def joined(self, parts: Sequence[Rows]) -> Rows:
        """Return stacks of images as one."""
        return np.concatenate(parts)

    def scaling(self, summary: Summary) -> Scaling:
        """Return min-max: darkest 0, brightest 1."""
        return MinMax()

    def columns(self, rows: Rows) -> Rows:
        """Return all pixels in one column, in any order: brightness has one scale."""
        # In the order of memory a stack with channels last needs no copy.
        return rows.ravel(order="K").reshape(-1, 1)

    def spread(self, per_column: NDArray[np.float64], neutral: float) -> NDArray[np.float64]:
        """Return the one value as (1, 1, 1)."""
        return per_column.reshape(1, 1, 1)

    def feature_names(self) -> list[str]:
        """Return pixel_row_column, with the channel where there are several."""
        channels, height, width = self.shape
        return [
            f"pixel_{i}_{j}" + (f"_{c}" if channels > 1 else "")
            for c in range(channels)
            for i in range(height)
            for j in range(width)
        ]

    def to_json(self) -> Json:
        """Return size, dtype, and whether pictures are resized."""
        return {"size": list(self.size), "dtype": self.dtype, "resized": self.resized}

    @classmethod
    def from_json(cls, data: Json) -> Self:
        """Return the form that :meth:`to_json` described."""
        return cls(tuple(data["size"]), data["dtype"], data["resized"])


def _pixels(data: object) -> Rows:
    array = np.asarray(data)
    if array.dtype.kind not in "buif":
        raise DataError(f"The images hold {array.dtype} values where numbers belong.")
    return array
