"""Writing images as a folder of PNG files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count, islice
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from attar.errors import DataError
from attar.files import written_whole

Rows = NDArray[Any]


class PictureWriter:
    """Writes stacks of images into a folder, one after the other, as PNG.

    Parameters
    ----------
    folder : Path
    names : iterable of str
        The paths of the files to write.
    white : float or None
        See :func:`picture_writer`.
    """

    def __init__(self, folder: Path, names: Iterable[str], white: float | None) -> None:
        self.folder, self.white = folder, white
        self.names = iter(names)

    def write(self, images: Rows) -> None:
        """Write images (n, height, width) or (n, height, width, channels).

        Raises
        ------
        DataError
            If these are no pictures.
        """
        if images.ndim == 4 and images.shape[3] == 1:
            images = images[..., 0]
        if images.shape[3:] not in ((), (3,), (4,)) or images.ndim < 3:
            raise DataError(
                f"Rows of shape {images.shape[1:]} are no pictures: write them to a file."
            )
        for name, pixels in zip(islice(self.names, len(images)), images, strict=True):
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(_seen(pixels, self.white)).save(path)


@contextmanager
def picture_writer(
    folder: Path,
    names: Sequence[str] | None = None,
    white: float | None = None,
    digits: int = 6,
) -> Iterator[PictureWriter]:
    """Yield a writer for a folder of PNG files, which is there whole in the end or not at all.

    A folder that was there before is replaced.

    Parameters
    ----------
    folder : Path
    names : sequence of str or None
        The names of all pictures to come, such as ``Pictures.names``: their suffix becomes
        ``.png``. If two would then be the same, all keep their own suffix before it. None: numbers
        from 0.
    white : float or None
        The value of a white pixel; values are scaled by it, except whole numbers that use the upper
        half of a picture's range. None: ``uint8`` and ``uint16`` as they are, and white is 1 in
        floating point.
    digits : int
        How many digits a number has at least.

    Raises
    ------
    FileError
        If the folder cannot be written to.
    """
    paths = (f"{i:0{digits}}.png" for i in count()) if names is None else _as_png(names)
    with written_whole(folder) as beside:
        beside.mkdir()
        yield PictureWriter(beside, paths, white)


def _as_png(names: Sequence[str]) -> list[str]:
    plain = [str(PurePosixPath(name).with_suffix(".png")) for name in names]
    # Some systems hold A.png and a.png for the same.
    if len({name.casefold() for name in plain}) == len(plain):
        return plain
    return [f"{name}.png" for name in names]


def _seen(pixels: Rows, white: float | None) -> Rows:
    """Return an image as PNG holds it: 16 bits for grey that has them, else 8."""
    deep = pixels.dtype == np.uint16 and pixels.ndim == 2
    dtype: np.dtype[Any] = np.dtype(np.uint16 if deep else np.uint8)
    full = np.iinfo(dtype).max
    if white is None:
        white = np.iinfo(pixels.dtype).max if pixels.dtype.kind in "iu" else 1.0
    if pixels.dtype == dtype and white > full / 2:
        return pixels
    scaled = pixels.astype(np.float64) * (full / white if white else 1.0)
    return np.asarray(np.rint(scaled).clip(0, full).astype(dtype))
