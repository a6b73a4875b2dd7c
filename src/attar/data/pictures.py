"""Folders of pictures, read and written."""

from __future__ import annotations

import hashlib
import os
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path, PurePosixPath
from typing import Self

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from attar.data.files.base import files_in, readable
from attar.data.kind import Rows
from attar.data.stream import Stream
from attar.errors import DataError, FileError, SettingError, unknown
from attar.remote import file_at
from attar.storage import written_whole

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif")

# How each EXIF orientation becomes upright.
TRANSPOSES = {
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
    """A pixel format.

    Attributes
    ----------
    name : str
        Pillow's name.
    description : str
    dtype : str
    channels : tuple of int
        What follows height and width in the shape of a picture's array.
    holds : tuple of str
        The modes that convert to this one without loss.
    """

    name: str
    description: str
    dtype: str
    channels: tuple[int, ...]
    holds: tuple[str, ...]


# From the least general to the most.
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
    """The metadata of a picture's file.

    Attributes
    ----------
    path : str
    size : (int, int)
        Height and width of the upright picture.
    mode : str
        The first of ``MODES`` that holds it.
    orientation : int
        EXIF's; 1 is upright.
    """

    path: str
    size: tuple[int, int]
    mode: str
    orientation: int

    @classmethod
    def of(cls, path: str) -> Self:
        """Return a file's metadata; no pixel is decoded.

        Raises
        ------
        FileError
            If it cannot be read.
        DataError
            If its pixel format is not supported.
        """
        with _opened(path) as image:
            width, height = image.size
            if not width * height:
                raise FileError(f"{path} has no pixels: repair it or leave it out.")
            orientation = _orientation(image)
            size = (width, height) if orientation in SIDEWAYS else (height, width)
            return cls(path, size, _mode(image, path), orientation)

    def pixels(self, size: tuple[int, int], mode: str) -> Rows:
        """Return the picture, upright, as an array of a size (height, width) and a mode.

        If it has another size it is resized to just cover this one and cropped at the centre.

        Raises
        ------
        FileError
            If it cannot be read.
        """
        height, width = size
        with _opened(self.path) as image:
            if self.size != size:
                stored = (height, width) if self.orientation in SIDEWAYS else (width, height)
                image.draft(None, _twice(image.size, stored))
            plain = _native(image) if self.mode == "I;16" else image.convert(self.mode)
        if self.orientation in TRANSPOSES:
            plain = plain.transpose(TRANSPOSES[self.orientation])
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
    # Pillow orients TIFF itself, and would decode a whole PNG to look for EXIF at its end.
    if image.format == "TIFF":
        return 1
    try:
        return int(Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged EXIF is ignored: the pixels may be intact
        return 1


def _native(image: Image.Image) -> Image.Image:
    """Return a picture of 16 bits in the machine's byte order, the one that Pillow resizes."""
    return Image.fromarray(np.asarray(image).astype(np.uint16))


def _twice(size: tuple[int, int], target: tuple[int, int]) -> tuple[int, int]:
    """Return the size that covers twice a target: the smallest at which a JPEG is decoded.

    With fewer pixels the resampling that follows would lose quality.
    """
    factor = 2 * max(target[0] / size[0], target[1] / size[1])
    return max(1, round(factor * size[0])), max(1, round(factor * size[1]))


@contextmanager
def _opened(path: str) -> Iterator[Image.Image]:
    with readable(path):
        try:
            # From a path Pillow would map plain TIFF into memory, without orienting it.
            with open(path, "rb") as file, Image.open(file, formats=FORMATS) as image:
                yield image
        except UnidentifiedImageError:
            raise FileError(
                f"{path} is no picture, despite its suffix: repair it or leave it out."
            ) from None
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            raise FileError(
                f"{path} has more than {Image.MAX_IMAGE_PIXELS:,} pixels, which may exhaust the "
                "memory: make it smaller or leave it out."
            ) from None


def smallest_side(folder: str | Path) -> int:
    """Return the least height or width of the pictures in a folder.

    Raises
    ------
    DataError, FileError
        If there are none, or the folder or a picture in it cannot be read.
    """
    return min(min(picture.size) for picture in _pictures_in(file_at(folder)))


def whole_pictures(path: str | Path, mode: str) -> Iterator[tuple[str, Rows]]:
    """Yield names and pixels of a file's picture or of those in a folder, in their own sizes.

    Raises
    ------
    DataError, FileError
        If there are none, they cannot be read, or a pixel format does not convert to the mode.
    """
    path = file_at(path)
    pictures = [Picture.of(os.fspath(path))] if path.is_file() else _pictures_in(path)
    for picture in pictures:
        if picture.mode not in MODES[mode].holds:
            raise DataError(
                f"{picture.path} is {MODES[picture.mode].description}, and the model is of "
                f"{MODES[mode].description} pictures: convert it."
            )
    for picture in pictures:
        root = path.parent if path.is_file() else path
        yield Path(picture.path).relative_to(root).as_posix(), picture.pixels(picture.size, mode)


# The most bytes and pictures in a piece, and pictures in a thread's task.
PIECE, ROWS, TASK = 1 << 25, 4096, 32


class Pictures(Stream):
    """The pictures in a folder and its subfolders, as arrays of one size and pixel format.

    They are PNG, JPEG, WebP, TIFF, BMP or GIF files, in the natural order of their names (``2.png``
    before ``10.png``); hidden files, and files with other suffixes, are ignored. Of several frames
    or pages the first is read. EXIF's orientation is applied; colour profiles are not.

    Pieces are arrays (n, height, width) of grey, (n, height, width, 3) of colour, or
    (n, height, width, 4) of colour with transparency; ``uint8``, or ``uint16`` for 16-bit grey.
    The topmost subfolders are the pictures' labels.

    Parameters
    ----------
    folder : str or Path
    size : (int, int), str or None
        Height and width, also as ``"64x48"``. A picture of another size is resized to just cover
        this one (Lanczos, antialiased) and cropped at the centre. None: all pictures must have the
        same size.
    mode : str or None
        The pixel format: ``"L"`` (grey), ``"RGB"``, ``"RGBA"`` or ``"I;16"``. None: the first of
        these that holds all pictures without loss. Grey among colour becomes colour, one
        picture with transparency gives it to all, and 8-bit grey among 16-bit grey is scaled to
        16 bits (255 to 65535). 16-bit grey and colour cannot be mixed. Palettes and CMYK
        count as colour; 16-bit colour is read with 8 bits.
    threads : int or None
        How many threads decode, which changes only the speed; None: one for each core, at most 8.
    tile : int or None
        The side of square tiles: pictures may have any size from this on, and each is cut into
        tiles, row by row, that cover it. At the right and at the bottom they may overlap.

    Attributes
    ----------
    rows : int
        The number of pictures, or of tiles.
    shape : tuple of int
        (height, width) or (height, width, channels) of each.
    dtype : dtype
    files : list of str
        The files' paths within the folder, with slashes.
    names : list of str
        The name of each row: its file, or ``picture/row_column.suffix`` of a tile.
    resized : bool
        Whether a size was given.
    tile : int or None

    Raises
    ------
    DataError
        If there are no pictures, or they have different sizes or pixel formats.
    FileError
        If the folder or a picture in it cannot be read.
    SettingError
        If the size is invalid, or the mode unknown.

    Examples
    --------
    >>> import attar
    >>> from tempfile import TemporaryDirectory
    >>> folder = TemporaryDirectory()
    >>> for name, grey in (("2.png", 20), ("10.png", 100)):
    ...     Image.new("L", (6, 4), grey).save(f"{folder.name}/{name}")
    >>> pictures = attar.Pictures(folder.name, size="2x3")
    >>> pictures.names, pictures.shape
    (['2.png', '10.png'], (2, 3))
    >>> pictures.read()
    array([[[ 20,  20,  20],
            [ 20,  20,  20]],
    <BLANKLINE>
           [[100, 100, 100],
            [100, 100, 100]]], dtype=uint8)
    >>> folder.cleanup()
    """

    def __init__(
        self,
        folder: str | Path,
        size: tuple[int, int] | str | None = None,
        mode: str | None = None,
        threads: int | None = None,
        tile: int | None = None,
    ) -> None:
        self.folder, self.tile = file_at(folder), tile
        self.resized = size is not None
        self.threads = threads or min(8, os.cpu_count() or 1)
        target = None if size is None else height_and_width(size)
        self._pictures = _pictures_in(self.folder)
        self._mode = _mode_that_holds(self._pictures, mode)
        self.files = [Path(p.path).relative_to(self.folder).as_posix() for p in self._pictures]
        if tile is None:
            self._size = target or _common_size(self._pictures)
            self.names = self.files
        else:
            self._size = _tile_size(tile, target, self._pictures)
            self.names = [
                (name.with_suffix("") / f"{y}_{x}{name.suffix}").as_posix()
                for name, picture in zip(
                    map(PurePosixPath, self.files), self._pictures, strict=True
                )
                for y, x in _places(picture.size, tile)
            ]
        self.rows = len(self.names)
        self.shape = (*self._size, *self._mode.channels)
        self.dtype = np.dtype(self._mode.dtype)
        self._whole: Rows | None = None

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Height and width of each file's picture."""
        return [picture.size for picture in self._pictures]

    @property
    def bytes(self) -> int:
        """How much memory all pictures take."""
        return self.rows * self._row_bytes

    @property
    def labels(self) -> NDArray[np.str_] | None:
        """The topmost subfolder of each row's picture: (n,).

        None where a picture is in none, or all are in the same.
        """
        tops = [name.partition("/")[0] for name in self.files if "/" in name]
        if len(tops) < len(self.files) or len(set(tops)) == 1:
            return None
        return np.repeat(tops, self._counts(self._pictures))

    @property
    def fingerprint(self) -> str:
        """A digest of path, shape, dtype, and every file's name, size and modification time."""
        form = f"{self.folder.resolve()} {self.shape} {self.dtype}"
        digest = hashlib.sha256(os.fsencode(form))
        for name, picture in zip(self.files, self._pictures, strict=True):
            with readable(picture.path):
                status = os.stat(picture.path)
            digest.update(os.fsencode(f"\n{name} {status.st_size} {status.st_mtime_ns}"))
        return digest.hexdigest()

    def __iter__(self) -> Iterator[Rows]:
        n = max(1, min(ROWS, PIECE // self._row_bytes))
        if self._whole is not None:
            return (self._whole[start : start + n] for start in range(0, self.rows, n))
        return self._in_pieces_of(max(1, n * len(self.files) // self.rows))

    def read(self) -> Rows:
        """Return all pictures in one array, and keep it: later passes read no files.

        Raises
        ------
        FileError
            If a picture cannot be read.
        """
        if self._whole is None:
            (self._whole,) = self._in_pieces_of(len(self.files))
        return self._whole

    @property
    def _row_bytes(self) -> int:
        return int(np.prod(self.shape)) * self.dtype.itemsize

    def pictures(self) -> Iterator[tuple[str, Rows]]:
        """Yield the path of each file within the folder, and its whole picture in its own size.

        Raises
        ------
        FileError
            If a picture cannot be read.
        """
        for name, picture in zip(self.files, self._pictures, strict=True):
            yield name, picture.pixels(picture.size, self._mode.name)

    def _in_pieces_of(self, n: int) -> Iterator[Rows]:
        """Yield the rows of so many pictures at once."""
        pool = ThreadPoolExecutor(self.threads)
        try:
            ahead = self._submitted(pool, 0, n)
            for start in range(n, len(self.files), n):
                current, ahead = ahead, self._submitted(pool, start, n)
                yield _result(*current)
            yield _result(*ahead)
        finally:
            pool.shutdown(cancel_futures=True)

    def _submitted(
        self, pool: ThreadPoolExecutor, start: int, n: int
    ) -> tuple[Rows, list[Future[None]]]:
        pictures = self._pictures[start : start + n]
        ends = np.cumsum([0, *self._counts(pictures)])
        piece = np.empty((ends[-1], *self.shape), self.dtype)
        parts = [(i, min(i + TASK, len(pictures))) for i in range(0, len(pictures), TASK)]
        return piece, [
            pool.submit(self._fill, piece[ends[i] : ends[j]], pictures[i:j]) for i, j in parts
        ]

    def _counts(self, pictures: Sequence[Picture]) -> list[int]:
        """Return the number of rows of each picture."""
        tile = self.tile
        return [1 if tile is None else len(_places(picture.size, tile)) for picture in pictures]

    def _fill(self, piece: Rows, pictures: Sequence[Picture]) -> None:
        rows = (row for picture in pictures for row in self._rows_of(picture))
        for place, row in zip(piece, rows, strict=True):
            place[...] = row

    def _rows_of(self, picture: Picture) -> Iterator[Rows]:
        """Yield a picture, or its tiles."""
        tile, mode = self.tile, self._mode.name
        if tile is None:
            yield picture.pixels(self._size, mode)
            return
        whole = picture.pixels(picture.size, mode)
        for y, x in _places(picture.size, tile):
            yield whole[y : y + tile, x : x + tile]


def _result(piece: Rows, tasks: Sequence[Future[None]]) -> Rows:
    for task in tasks:
        task.result()
    return piece


def height_and_width(size: tuple[int, int] | str) -> tuple[int, int]:
    """Return height and width from a pair or from text such as ``"64x48"``.

    Raises
    ------
    SettingError
        If it is no size.

    Examples
    --------
    >>> height_and_width("64x48")
    (64, 48)
    """
    sides = re.split("[x×]", size.lower()) if isinstance(size, str) else size
    try:
        height, width = (int(side) for side in sides)
    except (TypeError, ValueError):
        height = width = 0
    if min(height, width) < 1:
        raise SettingError(f"A size is HEIGHTxWIDTH, such as '64x48', not {size!r}.")
    return height, width


def _tile_size(
    tile: int, size: tuple[int, int] | None, pictures: Sequence[Picture]
) -> tuple[int, int]:
    """Return the size of tiles of a side that pictures can be cut into."""
    if size is not None:
        raise SettingError(
            "Pictures are resized, or cut into tiles: give size= or tile=, not both."
        )
    if tile < 1:
        raise SettingError(f"A tile has a side of 1 pixel at least, not {tile}.")
    small = next((picture for picture in pictures if min(picture.size) < tile), None)
    if small is not None:
        raise DataError(
            f"{small.path} has {small.size[0]} x {small.size[1]} pixels, which is less than a tile "
            f"of {tile} x {tile}: give a smaller tile, or leave the picture out."
        )
    return tile, tile


def _places(size: tuple[int, int], tile: int) -> list[tuple[int, int]]:
    """Return the first row and column of each tile that a picture of a size is cut into.

    Examples
    --------
    >>> _places((4, 10), 4)
    [(0, 0), (0, 4), (0, 6)]
    """
    ys, xs = ([*range(0, side - tile, tile), side - tile] for side in size)
    return [(y, x) for y in ys for x in xs]


def _pictures_in(folder: Path) -> list[Picture]:
    if folder.is_file():
        raise FileError(f"{folder} is a file, where a folder of pictures belongs.")
    if not folder.is_dir():
        raise FileError(f"There is no folder {folder}.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        pictures = [Picture.of(path) for path in files_in(os.fspath(folder), SUFFIXES)]
    if not pictures:
        raise DataError(
            f"{folder} holds no pictures: attar reads {', '.join(FORMATS[:-1])} and {FORMATS[-1]}."
        )
    return pictures


def _common_size(pictures: Sequence[Picture]) -> tuple[int, int]:
    counts = Counter(picture.size for picture in pictures).most_common()
    (height, width), _ = counts[0]
    if len(counts) == 1:
        return height, width
    examples = {picture.size: picture.path for picture in reversed(pictures)}
    listed = "; ".join(f"{n} of {h}x{w}, such as {examples[h, w]}" for (h, w), n in counts[:5])
    more = f"; and {len(counts) - 5} more sizes" if len(counts) > 5 else ""
    raise DataError(
        f"The pictures have different sizes ({listed}{more}): bring them to one height and width "
        f"with size='{height}x{width}' (--size {height}x{width}), or cut them into tiles with "
        "tile=64 (--tile 64)."
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
            f"{first['I;16']} is 16-bit grey, but {first[colour]} is {MODES[colour].description}: "
            "bring them to one pixel format."
        )
    other = next(mode for mode in first if mode not in MODES[name].holds)
    raise DataError(
        f"{first[other]} is {MODES[other].description}, but {name!r} holds only "
        f"{MODES[name].description}: convert it, with Pillow's Image.convert({name!r}), or leave "
        "mode out where you gave it."
    )


class PictureWriter:
    """Writes arrays of images into a folder, as PNG.

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
            If their shape is not that of pictures.
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
            Image.fromarray(_as_integers(pixels, self.white)).save(path)


@contextmanager
def picture_writer(
    folder: Path,
    names: Sequence[str] | None = None,
    white: float | None = None,
    digits: int = 6,
) -> Iterator[PictureWriter]:
    """Yield a writer for a folder of PNG files, which is there at the end, whole, or not at all.

    An existing folder is replaced.

    Parameters
    ----------
    folder : Path
    names : sequence of str or None
        The names of all pictures, such as ``Pictures.names``: their suffix becomes ``.png``. If two
        would then be the same, all keep their own suffix before it. None: numbers from 0.
    white : float or None
        The value of a white pixel; values are scaled by it, except integers that use the upper
        half of a picture's range. None: ``uint8`` and ``uint16`` as they are, and white is 1 in
        floating point.
    digits : int
        The least number of digits in a name.

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
    # On some systems A.png and a.png are the same file.
    if len({name.casefold() for name in plain}) == len(plain):
        return plain
    return [f"{name}.png" for name in names]


def _as_integers(pixels: Rows, white: float | None) -> Rows:
    """Return an image as PNG holds it: 16 bits for grey that has them, else 8."""
    bits = 16 if pixels.dtype == np.uint16 and pixels.ndim == 2 else 8
    dtype, full = np.dtype(f"uint{bits}"), 2**bits - 1
    if white is None:
        white = np.iinfo(pixels.dtype).max if pixels.dtype.kind in "iu" else 1.0
    if pixels.dtype == dtype and white > full / 2:
        return pixels
    scaled = pixels.astype(np.float64) * (full / white if white else 1.0)
    return np.asarray(np.rint(scaled).clip(0, full).astype(dtype))
