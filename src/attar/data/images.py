"""Images as arrays (n, height, width) or (n, height, width, channels)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from attar.data.kind import Kind, Rows, back_to, require_numbers
from attar.data.scaling import MinMax, Scaling
from attar.errors import DataError


@dataclass(frozen=True)
class Images(Kind):
    """The form of a stack of images.

    Parameters
    ----------
    size : tuple of int
        (height, width) or (height, width, channels), as the user has it.
    dtype : str
    """

    size: tuple[int, ...]
    dtype: str

    name = "images"

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """(channels, height, width)."""
        height, width, *channels = self.size
        return (channels[0] if channels else 1, height, width)

    @classmethod
    def of(cls, data: Any) -> Self:
        """Return the form of a stack of images."""
        array = _pixels(data)
        return cls(array.shape[1:], str(array.dtype))

    def rows(self, data: Any) -> Rows:
        """Return the images with channels first: (n, channels, height, width)."""
        array = _pixels(data)
        if array.shape[1:] != self.size:
            raise DataError(
                f"The images have shape {array.shape[1:]}, but the model was fitted on images of "
                f"shape {self.size}: resize them."
            )
        array = require_numbers(array, lambda place: f"Pixel {place[:2]}")
        return array[:, None] if len(self.size) == 2 else array.transpose(0, 3, 1, 2)

    def restore(self, rows: Rows) -> Any:
        """Return pixels with channels last again, in the images' own dtype."""
        pixels = rows[:, 0] if len(self.size) == 2 else rows.transpose(0, 2, 3, 1)
        return back_to(np.dtype(self.dtype), pixels)

    def scaling(self, rows: Rows) -> Scaling:
        """Return min-max: darkest 0, brightest 1."""
        return MinMax()

    def columns(self, rows: Rows) -> Rows:
        """Return all pixels in one column: brightness has one scale."""
        return rows.reshape(-1, 1)

    def spread(self, per_column: NDArray[np.float64]) -> NDArray[np.float64]:
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

    def to_json(self) -> dict[str, Any]:
        """Return size and dtype."""
        return {"size": list(self.size), "dtype": self.dtype}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Return the form that :meth:`to_json` wrote down."""
        return cls(tuple(data["size"]), data["dtype"])


def _pixels(data: Any) -> Rows:
    array = np.asarray(data)
    if array.dtype.kind not in "buif":
        raise DataError(f"The images hold {array.dtype} values where numbers belong.")
    return array
