"""Images as arrays (n, height, width) or (n, height, width, channels), and folders of pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import reduce
from math import prod
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attar.data.kind import Json, Kind, Portion, Rows, back_to, require_finite
from attar.data.pictures import MODES, Pictures
from attar.data.scaling import Between, MinMax, Scaling
from attar.data.stream import SIZE, Sample, pieces
from attar.data.summary import Moments, Summary
from attar.errors import DataError, warn

Array = NDArray[np.float64]

# The sample has so many cells at most, but so many images at least.
CELLS, FEWEST = 1 << 25, 64

# The range of pixels is searched for outliers in so many cells.
SEARCHED = 1 << 22

# A value is far beyond the others where it is at least so many times their range away.
FAR = 3.0

# Images are of another unit where so many of their values are beyond the range by a whole range.
FAR_OUT = 0.01

# Channels are scaled separately where the range of one is so many times smaller than that of all.
UNLIKE = 4.0


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
    tiled : bool
        Whether images are tiles that pictures were cut into; :meth:`pictures` then does it again.
    first : bool
        Whether channels come first: size is (channels, height, width).
    per_channel : bool
        Whether channels have such unlike ranges that each is scaled by itself.
    low, high : tuple of float
        The range of each channel, within which images are restored; empty: any.
    """

    size: tuple[int, ...]
    dtype: str
    resized: bool = False
    tiled: bool = False
    first: bool = False
    per_channel: bool = False
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()

    name = "images"
    part = "channel"
    noisy = False

    @property
    def shape(self) -> tuple[int, ...]:
        """(channels, height, width)."""
        if self.first:
            return self.size
        height, width, *channels = self.size
        return (channels[0] if channels else 1, height, width)

    @property
    def sample_size(self) -> int:
        """Fewer where images are large."""
        return max(FEWEST, min(SIZE, CELLS // max(1, prod(self.size))))

    @classmethod
    def of(cls, pieces: Iterable[object]) -> tuple[Self, Summary]:
        """Return the form and the summary of images, from one pass over pieces of a stack.

        Raises
        ------
        DataError
            If there are no images, or they have different shapes, no numbers, or infinite values.
        """
        kind: Self | None = None
        for piece in pieces:
            array = _pixels(piece)
            if kind is None:
                _warn_of_one(array)
                first = array.ndim == 4 and _channels_first(*array.shape[1:])
                kind = cls(array.shape[1:], str(array.dtype), first=first)
                channels = [Moments.none(1)] * kind.shape[0]
                sample: Sample[Rows] = Sample(lambda rows, places: rows[places], kind.sample_size)
            if array.shape[1:] != kind.size:
                raise DataError(
                    f"The images have different shapes ({kind.size}, {array.shape[1:]}): bring "
                    "them to one."
                )
            kind = replace(kind, dtype=str(np.result_type(kind.dtype, array)))
            rows = kind.rows(array)
            channels = [
                moments.merged(Moments.of(rows[:, i].ravel(order="K").reshape(-1, 1)))
                for i, moments in enumerate(channels)
            ]
            sample.add(rows, len(rows))
        if kind is None or not sample.seen:
            raise DataError("There are no images: give two at least.")
        kept, places = sample.result(np.concatenate)
        moments = Moments.beside(channels)
        observed = moments.count > 0
        lowest = np.where(observed, moments.low, 0.0)
        highest = np.where(observed, moments.high, 0.0)
        low, high = bulk(kept, lowest, highest)
        kind = replace(
            kind,
            resized=isinstance(pieces, Pictures) and pieces.resized,
            tiled=isinstance(pieces, Pictures) and pieces.tile is not None,
            per_channel=_unlike(low, high),
            low=tuple(lowest.tolist()),
            high=tuple(highest.tolist()),
        )
        if not kind.per_channel:
            moments = reduce(Moments.merged, channels)
        return kind, Summary(sample.seen, moments, kept, places)

    def rows(self, data: object) -> Rows:
        """Return the images with channels first: (n, channels, height, width)."""
        array = _pixels(data)
        if array.shape[1:] != self.size:
            raise DataError(
                f"The images have shape {array.shape[1:]}, but the model was fitted on images of "
                f"shape {self.size}: {self._advice(array.shape)}."
            )
        array = require_finite(array, lambda place: f"Pixel {place[:2]}")
        if self.first:
            return array
        return array[:, None] if len(self.size) == 2 else array.transpose(0, 3, 1, 2)

    def refusal(self, shape: tuple[int, ...], other: type[Kind]) -> str:
        """Return why data of another kind and of a shape is refused."""
        if shape == self.size:
            return "X is one image, but the model takes a stack of them: use X[None]."
        return super().refusal(shape, other)

    def _advice(self, shape: tuple[int, ...]) -> str:
        """Return what to do with images of another shape (n, ...)."""
        if shape == self.size:
            return "X[None] makes one image the first of a stack"
        if shape[1:] == (*self.size, 1):
            return "use X[..., 0]"
        if (*shape[1:], 1) == self.size:
            return "use X[..., None]"
        if len(shape) == 4 and sorted(shape[1:]) == sorted(self.size):
            first = shape[2:] + shape[1:2] == self.size
            if first or shape[3:] + shape[1:3] == self.size:
                return f"use X.transpose({'0, 2, 3, 1' if first else '0, 3, 1, 2'})"
        return "resize them"

    def pieces(self, data: object) -> Iterator[object]:
        """Yield the pieces of a stack, with one warning if the values are of another range."""
        warned = False
        for piece in pieces(data):
            if not warned and self.low and np.shape(piece)[1:] == self.size and len(piece):
                warned = self._warn_of_range(_pixels(piece))
            yield piece

    def index(self, data: object) -> pd.DataFrame | None:
        """Return the names of pictures' files."""
        return pd.DataFrame({"file": data.names}) if isinstance(data, Pictures) else None

    def _warn_of_range(self, array: Rows) -> bool:
        rows = self.rows(array)
        low, high = _extremes(rows)
        fitted_low, fitted_high = np.array(self.low), np.array(self.high)
        span = np.where(fitted_high > fitted_low, fitted_high - fitted_low, np.inf)
        # Noise has few values so far out, images of another unit many.
        ends = [end[:, None, None] for end in (fitted_low - span, fitted_high + span)]
        beyond = ((rows < ends[0]) | (rows > ends[1])).mean((0, 2, 3)).max() > FAR_OUT
        fitted = np.dtype(self.dtype)
        # Dark images of the fitted type are no other unit, unless all are very dark.
        alike = array.dtype == fitted if fitted.kind in "biu" else array.dtype.kind == "f"
        factor = np.inf if alike and fitted.kind in "biu" else 50 if alike else 8
        squeezed = ((high - low) * factor < span).all() and (high > low).any()
        if not beyond and not squeezed:
            return False
        warn(
            f"The images hold {array.dtype} values from {np.nanmin(low):.6g} to "
            f"{np.nanmax(high):.6g}, but the model was fitted on {self.dtype} values from "
            f"{min(self.low):.6g} to {max(self.high):.6g}: bring them to the same unit."
        )
        return True

    @property
    def remarks(self) -> list[tuple[str, str]]:
        """The layout and the scaling of channels, where they are not the usual ones."""
        found = []
        if self.first:
            found.append(("channels first", f"a row has shape {self.size}"))
        if self.per_channel:
            found.append(("channels are scaled separately", "their ranges are unlike"))
        return found

    @property
    def portions(self) -> list[Portion]:
        """The pixels, or the channels that are scaled separately."""
        if not self.per_channel:
            return [Portion("pixels", self.dtype, slice(0, 1))]
        return [
            Portion(name, self.dtype, slice(i, i + 1)) for i, name in enumerate(self.channel_names)
        ]

    @property
    def channel_names(self) -> list[str]:
        """Those of pictures in colour, else numbers."""
        channels = self.shape[0]
        if self.dtype == "uint8" and channels in (3, 4):
            return ["red", "green", "blue", "alpha"][:channels]
        return [f"channel {i}" for i in range(channels)]

    @property
    def parts(self) -> list[tuple[str, slice]]:
        """The channels."""
        size = prod(self.shape[1:])
        return [
            (name, slice(i * size, (i + 1) * size)) for i, name in enumerate(self.channel_names)
        ]

    def pictures(self, folder: str | Path) -> Pictures:
        """Return a folder's pictures as the model takes them: in its mode.

        They are resized, or cut into tiles, if the pictures that the model was fitted on were.

        Raises
        ------
        DataError
            If the model was fitted on arrays that are no pictures, or the folder's pictures don't
            fit its own.
        FileError
            If the folder or a picture in it cannot be read.
        """
        height, width = self.size[:2]
        size = (height, width) if self.resized else None
        return Pictures(folder, size, self.mode(), tile=height if self.tiled else None)

    def mode(self) -> str:
        """Return Pillow's name of the pixel format.

        Raises
        ------
        DataError
            If pictures have no such format.
        """
        for mode in MODES.values():
            if (mode.dtype, mode.channels) == (self.dtype, self.size[2:]):
                return mode.name
        raise DataError(
            f"The model was fitted on {self.dtype} arrays of shape {self.size}, but pictures in "
            "files hold bytes: give an array."
        )

    def restore(self, rows: Rows, passthrough: None = None) -> Rows:
        """Return pixels in the user's own layout, dtype and range."""
        if self.low:
            rows = rows.clip(*(np.reshape(limit, (-1, 1, 1)) for limit in (self.low, self.high)))
        if not self.first:
            rows = rows[:, 0] if len(self.size) == 2 else rows.transpose(0, 2, 3, 1)
        return back_to(np.dtype(self.dtype), rows)

    def joined(self, parts: Sequence[Rows]) -> Rows:
        """Return stacks of images as one."""
        return np.concatenate(parts)

    def scaling(self, summary: Summary) -> Scaling:
        """Return min-max: darkest 0, brightest 1; but without what lies far beyond the rest."""
        low, high = bulk(summary.sample, np.array(self.low), np.array(self.high))
        if not self.per_channel:
            low, high = low.min(keepdims=True), high.max(keepdims=True)
        moments = summary.moments
        if (low <= moments.low).all() and (high >= moments.high).all():
            return MinMax()
        return Between(tuple(low.tolist()), tuple(high.tolist()))

    def columns(self, rows: Rows) -> Rows:
        """Return all pixels in one column, in any order, or a column for each channel."""
        if self.per_channel:
            return np.moveaxis(rows, 1, -1).reshape(-1, self.shape[0])
        # In the order of memory a stack with channels last needs no copy.
        return rows.ravel(order="K").reshape(-1, 1)

    def spread(self, per_column: NDArray[np.float64], neutral: float) -> NDArray[np.float64]:
        """Return the values of channels, or the one of all, as (channels or 1, 1, 1)."""
        return per_column.reshape(-1, 1, 1)

    def with_unit(self, prepared: Rows) -> tuple[list[str], Rows]:
        """Return the channels."""
        return self.channel_names, np.moveaxis(prepared, 1, -1).reshape(-1, self.shape[0])

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
        """Return the form as plain JSON data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Json) -> Self:
        """Return the form that :meth:`to_json` described."""
        form: Json = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
        return cls(**form)


def _pixels(data: object) -> Rows:
    array = np.asarray(data)
    if array.dtype.kind not in "buif":
        raise DataError(f"The images hold {array.dtype} values where numbers belong.")
    return array


def bulk(images: Rows, low: Array, high: Array) -> tuple[Array, Array]:
    """Return the range of each channel without a few odd images or a few odd places.

    An extreme counts only where it is not far beyond what all but 2% of the images, and all but 1%
    of the places (stuck pixels), stay within.

    Parameters
    ----------
    images : array (n, channels, height, width)
    low, high : array (channels,)
        The extremes of all images.
    """
    some = images[:: max(1, -(-images.size // SEARCHED))]
    if len(some) < 10:
        return low, high
    ranges = []
    for axes in ((2, 3), (0,)):  # of each image, of each place
        least, most = (f.reduce(some, axis=axes).astype(np.float64) for f in (np.fmin, np.fmax))
        if axes == (0,):
            least, most = (x.reshape(len(low), -1).T for x in (least, most))
        few = len(least) // (50 if axes == (2, 3) else 100) + 1
        least, most = np.nan_to_num(least, nan=np.inf), np.nan_to_num(most, nan=-np.inf)
        if few < len(least):
            ranges.append((np.sort(least, 0)[few], np.sort(most, 0)[-1 - few]))
    inner_low = np.max([least for least, _ in ranges], 0)
    inner_high = np.min([most for _, most in ranges], 0)
    far = FAR * (inner_high - inner_low)
    found = np.isfinite(far) & (far > 0)
    return (
        np.where(found & (inner_low - low > far), inner_low, low),
        np.where(found & (high - inner_high > far), inner_high, high),
    )


def _unlike(low: Array, high: Array) -> bool:
    """Return whether the range of a channel is many times smaller than that of all."""
    spans = (high - low)[high > low]
    return bool(len(spans) and UNLIKE * spans.min() < high.max() - low.min())


def _extremes(rows: Rows) -> tuple[Array, Array]:
    """Return the smallest and the largest value of each channel, but for missing ones."""
    low, high = (f.reduce(rows, axis=(0, 2, 3)) for f in (np.fmin, np.fmax))
    return low.astype(np.float64), high.astype(np.float64)


def _channels_first(a: int, b: int, c: int) -> bool:
    """Return whether rows (a, b, c) are (channels, height, width), as torch has images."""
    return c > 4 and a < min(b, c) and (a <= 4 or b == c)


def _warn_of_one(array: Rows) -> None:
    """Warn if a stack of grey images looks like one colour image."""
    if array.ndim != 3:
        return
    n, height, width = array.shape
    if (width in (3, 4) and min(n, height) >= 8) or (n in (3, 4) and height == width >= 8):
        warn(
            f"An array of shape {array.shape} is taken for {n} grey images of {height} x {width}: "
            "if it is one colour image, give X[None]."
        )
