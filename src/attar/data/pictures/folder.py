"""Folders of pictures, whole or in pieces, brought to one size and one kind of pixel."""

from __future__ import annotations

import hashlib
import os
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from attar.data.files.filestream import readable
from attar.data.pictures.picture import FORMATS, MODES, Mode, Picture
from attar.data.stream import Stream
from attar.errors import DataError, FileError, SettingError, unknown

Rows = NDArray[Any]

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif")

# The most bytes and pictures in a piece, and pictures in the job of a thread.
PIECE, ROWS, JOB = 1 << 25, 4096, 32


class Pictures(Stream):
    """The pictures in a folder and its subfolders, as arrays of one size and one kind of pixel.

    They are PNG, JPEG, WebP, TIFF, BMP or GIF files, in the natural order of their names (``2.png``
    before ``10.png``); hidden files, and files with other suffixes, are passed over. Of several
    frames or pages the first is read. EXIF's orientation is followed; colour profiles are not.

    Pieces are arrays (n, height, width) of grey, (n, height, width, 3) of colour, or
    (n, height, width, 4) of colour with transparency; ``uint8``, or ``uint16`` for 16-bit grey.

    Parameters
    ----------
    folder : str or Path
    size : (int, int), str or None
        Height and width, also as ``"64x48"``. A picture of another size is made smaller (or larger)
        until it just covers this one (Lanczos, antialiased), and its centre is cut out. None: all
        pictures must have one size.
    mode : str or None
        What all are brought to: ``"L"`` (grey), ``"RGB"``, ``"RGBA"`` or ``"I;16"``. None: the
        poorest that holds all of them without loss. So grey among colour becomes colour, one
        picture with transparency gives it to all, and 8-bit grey among 16-bit grey is stretched to
        16 bits (255 to 65535). 16-bit grey and colour have nothing in common. Palettes and CMYK
        count as colour; 16-bit colour is read with 8 bits.
    threads : int or None
        How many decode at a time, which changes nothing but the speed; None: as many as the machine
        has cores, but at most 8.

    Attributes
    ----------
    rows : int
        How many pictures there are.
    shape : tuple of int
        (height, width) or (height, width, channels) of each.
    dtype : dtype
    names : list of str
        The files' paths within the folder, with slashes.
    resized : bool
        Whether a size was given.

    Raises
    ------
    DataError
        If there are no pictures, or they have no size or no kind of pixel in common.
    FileError
        If the folder or a picture in it cannot be read.
    SettingError
        If the size is none, or the mode unknown.
    """

    def __init__(
        self,
        folder: str | Path,
        size: tuple[int, int] | str | None = None,
        mode: str | None = None,
        threads: int | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.resized = size is not None
        self.threads = threads or min(8, os.cpu_count() or 1)
        wanted = None if size is None else height_and_width(size)
        self._pictures = _heads(self.folder)
        self._mode = _mode_that_holds(self._pictures, mode)
        self._size = wanted or _one_size(self._pictures)
        self.rows = len(self._pictures)
        self.shape = (*self._size, *self._mode.channels)
        self.dtype = np.dtype(self._mode.dtype)
        self._whole: Rows | None = None
        self.names = [Path(p.path).relative_to(self.folder).as_posix() for p in self._pictures]

    @property
    def bytes(self) -> int:
        """How much memory all of them take."""
        return self.rows * self._bytes_of_one

    @property
    def labels(self) -> NDArray[np.str_] | None:
        """The topmost subfolder that each picture lies in: (n,).

        None where a picture lies in none, or all lie in the same.
        """
        tops = [name.partition("/")[0] for name in self.names if "/" in name]
        return np.array(tops) if len(tops) == self.rows and len(set(tops)) > 1 else None

    @property
    def fingerprint(self) -> str:
        """A digest of place, form, and every file's name, size and time of change."""
        form = f"{self.folder.resolve()} {self.shape} {self.dtype}"
        digest = hashlib.sha256(os.fsencode(form))
        for name, picture in zip(self.names, self._pictures, strict=True):
            with readable(picture.path):
                file = os.stat(picture.path)
            digest.update(os.fsencode(f"\n{name} {file.st_size} {file.st_mtime_ns}"))
        return digest.hexdigest()

    def __iter__(self) -> Iterator[Rows]:
        n = max(1, min(ROWS, PIECE // self._bytes_of_one))
        if self._whole is not None:
            return (self._whole[start : start + n] for start in range(0, self.rows, n))
        return self._in_pieces_of(n)

    def whole(self) -> Rows:
        """Return all pictures in one array, which is kept: no pass after this one reads files.

        Raises
        ------
        FileError
            If a picture cannot be read.
        """
        if self._whole is None:
            (self._whole,) = self._in_pieces_of(self.rows)
        return self._whole

    @property
    def _bytes_of_one(self) -> int:
        return int(np.prod(self.shape)) * self.dtype.itemsize

    def _in_pieces_of(self, n: int) -> Iterator[Rows]:
        pool = ThreadPoolExecutor(self.threads)
        try:
            ahead = self._begun(pool, 0, n)
            for start in range(n, self.rows, n):
                ready, ahead = ahead, self._begun(pool, start, n)
                yield _finished(*ready)
            yield _finished(*ahead)
        finally:
            pool.shutdown(cancel_futures=True)

    def _begun(
        self, pool: ThreadPoolExecutor, start: int, n: int
    ) -> tuple[Rows, list[Future[None]]]:
        pictures = self._pictures[start : start + n]
        piece = np.empty((len(pictures), *self.shape), self.dtype)
        jobs = [slice(i, i + JOB) for i in range(0, len(piece), JOB)]
        return piece, [pool.submit(self._fill, piece[job], pictures[job]) for job in jobs]

    def _fill(self, piece: Rows, pictures: Sequence[Picture]) -> None:
        for i, picture in enumerate(pictures):
            piece[i] = picture.pixels(self._size, self._mode.name)


def _finished(piece: Rows, jobs: Sequence[Future[None]]) -> Rows:
    for job in jobs:
        job.result()
    return piece


def height_and_width(size: tuple[int, int] | str) -> tuple[int, int]:
    """Return height and width from a pair or from words such as ``"64x48"``.

    Raises
    ------
    SettingError
        If it is no size.
    """
    sides = re.split("[x×]", size.lower()) if isinstance(size, str) else size
    try:
        height, width = (int(side) for side in sides)
    except (TypeError, ValueError):
        height = width = 0
    if min(height, width) < 1:
        raise SettingError(f"A size is HEIGHTxWIDTH, such as '64x48', not {size!r}.")
    return height, width


def _heads(folder: Path) -> list[Picture]:
    if not folder.is_dir():
        raise FileError(f"There is no folder {folder}.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        pictures = [Picture.of(path) for path in _files(str(folder))]
    if not pictures:
        raise DataError(
            f"{folder} holds no pictures: attar reads {', '.join(FORMATS[:-1])} and {FORMATS[-1]}."
        )
    return pictures


def _files(folder: str, above: tuple[str, ...] = ()) -> Iterator[str]:
    real = os.path.realpath(folder)
    if real in above:  # a link to where we came from
        return
    with readable(folder), os.scandir(folder) as scan:
        entries = sorted(scan, key=lambda entry: _natural(entry.name))
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _files(entry.path, (*above, real))
        elif entry.name.lower().endswith(SUFFIXES):
            yield entry.path


def _natural(name: str) -> tuple[list[str | int], str]:
    parts = re.split("([0-9]+)", name.casefold())
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], name


def _one_size(pictures: Sequence[Picture]) -> tuple[int, int]:
    counts = Counter(picture.size for picture in pictures).most_common()
    (height, width), _ = counts[0]
    if len(counts) == 1:
        return height, width
    examples = {picture.size: picture.path for picture in reversed(pictures)}
    listed = "; ".join(f"{n} of {h}x{w}, such as {examples[h, w]}" for (h, w), n in counts[:5])
    more = f"; and {len(counts) - 5} more sizes" if len(counts) > 5 else ""
    raise DataError(
        f"The pictures have different sizes ({listed}{more}): bring them to one height and width "
        f"with size='{height}x{width}' (--size {height}x{width})."
    )


def _mode_that_holds(pictures: Sequence[Picture], name: str | None) -> Mode:
    if name not in (None, *MODES):
        raise unknown("mode", name, MODES)
    first = {picture.mode: picture.path for picture in reversed(pictures)}
    for mode in MODES.values() if name is None else [MODES[name]]:
        if first.keys() <= set(mode.holds):
            return mode
    if name is None:
        colour = next(mode for mode in ("RGB", "RGBA") if mode in first)
        raise DataError(
            f"{first['I;16']} is 16-bit grey, but {first[colour]} is {MODES[colour].words}: bring "
            "them to one kind of pixel."
        )
    other = next(mode for mode in first if mode not in MODES[name].holds)
    raise DataError(
        f"{first[other]} is {MODES[other].words}, where {MODES[name].words} belongs: convert it."
    )
