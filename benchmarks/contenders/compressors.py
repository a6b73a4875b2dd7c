"""The peers of ``lossless``, at their best settings, and counts.

General compressors take bytes, image formats pictures, and formats of columns arrays or tables.
"""

from __future__ import annotations

import bz2
import io
import lzma
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from scipy.special import gammaln

from benchmarks.contenders.layouts import Array, Data, seconds

# The bytes of trained dictionaries, and the logarithm of zstd's window: training rows and data.
DICTIONARY, WINDOW = 1 << 17, 27

DATE = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"


@dataclass(frozen=True)
class Coder:
    """A compressor of one piece.

    Attributes
    ----------
    encode, decode : callable
        A piece to bytes and back.
    """

    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]


# General compressors of bytes.


def bzip2(train: list[bytes]) -> Coder:
    return Coder(partial(bz2.compress, compresslevel=9), bz2.decompress)


def xz(train: list[bytes]) -> Coder:
    preset = 9 | lzma.PRESET_EXTREME
    return Coder(partial(lzma.compress, check=lzma.CHECK_NONE, preset=preset), lzma.decompress)


def brotli(train: list[bytes]) -> Coder:
    import brotli

    return Coder(partial(brotli.compress, quality=11, lgwin=24), brotli.decompress)


def ppmd(train: list[bytes]) -> Coder:
    """PPMd of order 16, for text: pyppmd can't always read back what it wrote of images."""
    import pyppmd

    setting = {"max_order": 16, "mem_size": 1 << 28}
    return Coder(partial(pyppmd.compress, **setting), partial(pyppmd.decompress, **setting))


def zstd(train: list[bytes], dictionary: Any = None) -> Coder:
    import zstandard

    settings = zstandard.ZstdCompressionParameters.from_level(
        22, window_log=WINDOW, write_checksum=False, write_dict_id=False
    )
    encoder = zstandard.ZstdCompressor(compression_params=settings, dict_data=dictionary)
    decoder = zstandard.ZstdDecompressor(dict_data=dictionary, max_window_size=1 << WINDOW)
    return Coder(encoder.compress, decoder.decompress)


def zstd_trained(train: list[bytes]) -> Coder:
    """Zstandard with a dictionary trained on 10,000 blocks of training rows."""
    import zstandard

    block = max(256, len(train[0]) // 10_000)
    blocks = [train[0][i : i + block] for i in range(0, len(train[0]), block)]
    return zstd([], zstandard.train_dictionary(DICTIONARY, blocks))


def zstd_rows(train: list[bytes]) -> Coder:
    """Zstandard with the training rows as its dictionary."""
    import zstandard

    rows = zstandard.ZstdCompressionDict(train[0], dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    return zstd([], rows)


# Image formats.


def image_format(train: list[Array], bilevel: bool = False, **setting: Any) -> Coder:
    """Return a format of Pillow; one without bilevel images gets them as grey ones."""
    mode = Image.fromarray(train[0]).mode

    def encode(piece: Array) -> bytes:
        image, file = Image.fromarray(piece), io.BytesIO()
        (image if bilevel or mode != "1" else image.convert("L")).save(file, **setting)
        return file.getvalue()

    def decode(data: bytes) -> Array:
        return np.asarray(Image.open(io.BytesIO(data)).convert(mode, dither=Image.Dither.NONE))

    return Coder(encode, decode)


def jpeg_xl(train: list[Array]) -> Coder:
    import pillow_jxl  # noqa: F401  # tells Pillow of the format

    return image_format(train, format="JXL", lossless=True, effort=9)


# Formats of columns.


def pcodec(train: list[Array]) -> Coder:
    from pcodec import ChunkConfig, standalone

    setting = ChunkConfig(compression_level=12)
    encode = partial(standalone.simple_compress, config=setting)
    return Coder(encode, standalone.simple_decompress)


def parquet(train: list[pd.DataFrame], **setting: Any) -> Coder:
    def encode(piece: pd.DataFrame) -> bytes:
        file = io.BytesIO()
        piece.to_parquet(file, index=False, compression="zstd", compression_level=22, **setting)
        return file.getvalue()

    return Coder(encode, lambda data: pd.read_parquet(io.BytesIO(data)))


def parquet_split(train: list[pd.DataFrame]) -> Coder:
    """Parquet with the bytes of numbers apart: all first ones, all second ones, ..."""
    numbers = list(train[0].select_dtypes("number"))
    others = [name for name in train[0] if name not in numbers]
    split = dict.fromkeys(numbers, "BYTE_STREAM_SPLIT")
    return parquet(train, use_dictionary=others, column_encoding=split)


BYTES = ("pixels", "places", "packed", "csv", "columns", "shuffled")


@dataclass(frozen=True)
class Peer:
    """A compressor, and what it can be given.

    Attributes
    ----------
    trained : callable
        Makes the coder from pieces of the training rows.
    layouts : tuple of str
    """

    trained: Callable[[list[Any]], Coder]
    layouts: tuple[str, ...]


png = partial(image_format, bilevel=True, format="PNG", optimize=True)
webp = partial(image_format, format="WEBP", lossless=True, quality=100, method=6)

PEERS = {
    "bz2": Peer(bzip2, BYTES),
    "xz": Peer(xz, BYTES),
    "brotli": Peer(brotli, BYTES),
    "ppmd": Peer(ppmd, ("csv", "columns")),
    "zstd": Peer(zstd, BYTES),
    "zstd-trained": Peer(zstd_trained, BYTES),
    "zstd-rows": Peer(zstd_rows, BYTES),
    "PNG": Peer(png, ("each", "tall", "mosaic")),
    "WebP": Peer(webp, ("each", "split", "mosaic")),
    "JPEG-XL": Peer(jpeg_xl, ("each", "tall", "mosaic")),
    "pcodec": Peer(pcodec, ("arrays",)),
    "Parquet": Peer(parquet, ("table",)),
    "Parquet-split": Peer(parquet_split, ("table",)),
}


# Counts, whose ideal code lengths are told: the lower bound of any coder that has no more to go by.


def symbols(data: Data) -> list[Array]:
    """Return the values of each cell in all rows; those of dates are their steps."""
    if not isinstance(data, pd.DataFrame):
        return list(np.stack([image.ravel() for image in data], axis=1))
    found = []
    for name in data:
        column = data[name]
        is_date = column.dtype == "str" and column.str.fullmatch(DATE).all()
        found.append(np.diff(seconds(column)) if is_date else column.to_numpy())
    return found


def counts(train: Data, test: Data, adaptive: bool) -> float:
    """Return the bits of values coded by their frequencies in each column.

    A value without a count takes an escape, and bits of its own. The escape's count is the number
    of values that were seen once.

    Parameters
    ----------
    train, test : images or DataFrame
    adaptive : bool
        Whether test values are counted as well, after they are coded.
    """
    pairs = zip(symbols(train), symbols(test), strict=True)
    return sum(bits_of_counts(*pair, adaptive) for pair in pairs)


def bits_of_counts(train: Array, test: Array, adaptive: bool) -> float:
    values, seen = np.unique(train, return_counts=True)
    found, coded = np.unique(test, return_counts=True)
    place = np.minimum(np.searchsorted(values, found), len(values) - 1)
    known = values[place] == found
    start = np.append(seen, max(1, np.sum(seen == 1))).astype(float)
    used = np.zeros_like(start)
    np.add.at(used, np.where(known, place, len(values)), coded)
    if adaptive:
        total = gammaln(start.sum() + used.sum()) - gammaln(start.sum())
        nats = total - np.sum(gammaln(start + used) - gammaln(start))
    else:
        nats = -np.sum(used * np.log(start / start.sum()))
    escaped = sum(
        escape_bits(value, values) * number
        for value, number in zip(found[~known], coded[~known], strict=True)
    )
    return float(nats / np.log(2) + escaped)


def escape_bits(value: Any, values: Array) -> float:
    """Return the bits of a value without a count: its place between whole ones, or itself."""
    if values.dtype.kind in "iu" and values[0] <= value <= values[-1]:
        return float(np.log2(values[-1] - values[0] + 1.0))
    return 8.0 * (values.itemsize if values.dtype.kind in "iuf" else len(str(value)) + 1)
