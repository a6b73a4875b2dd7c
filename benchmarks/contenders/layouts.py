"""How the peers of ``lossless`` are given data: as bytes, pictures, arrays or tables, and back.

The schema (names, types, shapes) is told to what reads them, and its bytes are not counted.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_numeric_dtype

Array = NDArray[Any]
Images = Sequence[Array]
Data = Any  # images, or a DataFrame

# The most rows of pixels that WebP takes, and as many as others do.
FEW, MANY = 16_383, 10**9


@dataclass(frozen=True)
class Layout:
    """A way to write data as pieces.

    Attributes
    ----------
    pieces : callable
        Data to a list of bytes, arrays or tables.
    data : callable
        The pieces and the schema to data.
    """

    pieces: Callable[[Data], list[Any]]
    data: Callable[[list[Any], Any], Data]


def schema(data: Data) -> Any:
    """Return what is told to a decoder: a table's types, or the shapes of images."""
    return data.dtypes if isinstance(data, pd.DataFrame) else [image.shape for image in data]


def equal(first: Data, second: Data) -> bool:
    """Return whether data are the same, bit for bit."""
    if isinstance(first, pd.DataFrame):
        return first.to_csv(index=False) == second.to_csv(index=False)
    return len(first) == len(second) and all(map(np.array_equal, first, second))


# Layouts of images.


def images_of(values: Array, shapes: list[tuple[int, ...]]) -> Images:
    """Return the images whose pixels follow each other in an array."""
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
    parts = np.split(values, ends[:-1])
    return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]


def pixels(images: Images) -> list[bytes]:
    """Return the pixels of all images, one after the other."""
    return [b"".join(image.tobytes() for image in images)]


def from_pixels(pieces: list[bytes], shapes: Any) -> Images:
    return images_of(np.frombuffer(pieces[0], np.uint8), shapes)


def places(images: Images) -> list[bytes]:
    """Return the first pixel of all images, then the second, and so on."""
    return [np.stack(list(images), axis=-1).tobytes()]


def from_places(pieces: list[bytes], shapes: Any) -> Images:
    values = np.frombuffer(pieces[0], np.uint8).reshape(-1, len(shapes))
    return images_of(values.T.ravel(), shapes)


def packed(images: Images) -> list[bytes]:
    """Return the pixels of binary images, eight in a byte."""
    return [np.packbits(np.concatenate([image.ravel() for image in images])).tobytes()]


def from_packed(pieces: list[bytes], shapes: Any) -> Images:
    count = sum(int(np.prod(shape)) for shape in shapes)
    return images_of(np.unpackbits(np.frombuffer(pieces[0], np.uint8), count=count), shapes)


def each(images: Images) -> list[Array]:
    """Return images for a file each."""
    return list(images)


def from_each(pieces: list[Array], shapes: Any) -> Images:
    return pieces


def tall(images: Images, rows: int) -> list[Array]:
    """Return images of one shape above each other, in pictures of at most so many rows."""
    pieces = []
    for shape in dict.fromkeys(image.shape for image in images):
        same = [image for image in images if image.shape == shape]
        number = rows // shape[0]
        pieces += [np.concatenate(same[i : i + number]) for i in range(0, len(same), number)]
    return pieces


def from_tall(pieces: list[Array], shapes: Any) -> Images:
    found: dict[Any, list[Array]] = {shape: [] for shape in shapes}
    for shape, images in found.items():
        for piece in pieces:
            if piece.shape[1:] == shape[1:]:
                images.extend(piece.reshape(-1, *shape))
    turns = {shape: iter(images) for shape, images in found.items()}
    return [next(turns[shape]) for shape in shapes]


def mosaic(images: Images) -> list[Array]:
    """Return one picture of images of one shape, as many beside as above each other."""
    stack = np.stack(list(images))
    side = int(np.ceil(np.sqrt(len(stack))))
    height, width = stack.shape[1:]
    grid = np.zeros((side * side, height, width), stack.dtype)
    grid[: len(stack)] = stack
    grid = grid.reshape(side, side, height, width).swapaxes(1, 2)
    return [grid.reshape(side * height, side * width)]


def from_mosaic(pieces: list[Array], shapes: Any) -> Images:
    height, width = shapes[0]
    side = len(pieces[0]) // height
    grid = pieces[0].reshape(side, height, side, width).swapaxes(1, 2)
    return list(grid.reshape(-1, height, width)[: len(shapes)])


# Layouts of tables.


def csv(table: pd.DataFrame) -> list[bytes]:
    """Return the table as CSV."""
    return [table.to_csv(index=False).encode()]


def from_csv(pieces: list[bytes], dtypes: Any) -> pd.DataFrame:
    return pd.read_csv(io.BytesIO(pieces[0]), keep_default_na=False)


def columns(table: pd.DataFrame) -> list[bytes]:
    """Return the cells' text, column by column."""
    lines = [line for _, column in table.items() for line in column.astype(str)]
    return ["\n".join(lines).encode()]


def from_columns(pieces: list[bytes], dtypes: Any) -> pd.DataFrame:
    cells = np.array(pieces[0].decode().split("\n"), dtype=object).reshape(len(dtypes), -1)
    return pd.DataFrame(dict(zip(dtypes.index, cells, strict=True))).astype(dtypes)


def arrow(table: pd.DataFrame) -> list[pd.DataFrame]:
    """Return the table."""
    return [table]


def from_arrow(pieces: list[pd.DataFrame], dtypes: Any) -> pd.DataFrame:
    return pieces[0]


def arrays(table: pd.DataFrame) -> list[Array]:
    """Return each column as an array of numbers; dates as seconds."""
    return [
        (column if is_numeric_dtype(column) else seconds(column)).to_numpy()
        for _, column in table.items()
    ]


def from_arrays(pieces: list[Array], dtypes: Any) -> pd.DataFrame:
    columns = {
        name: values if is_numeric_dtype(dtype) else dates(values)
        for (name, dtype), values in zip(dtypes.items(), pieces, strict=True)
    }
    return pd.DataFrame(columns)


def seconds(texts: pd.Series) -> pd.Series:
    return pd.to_datetime(texts).astype("datetime64[s]").astype(np.int64)


def dates(seconds: Array) -> pd.Index:
    return pd.to_datetime(seconds, unit="s").strftime("%Y-%m-%d %H:%M:%S")


def shuffled(table: pd.DataFrame) -> list[bytes]:
    """Return the columns of numbers one after the other, the first byte of all, the second, ..."""
    values = [array.view(np.uint8).reshape(len(array), -1).T for array in arrays(table)]
    return [b"".join(value.tobytes() for value in values)]


def from_shuffled(pieces: list[bytes], dtypes: Any) -> pd.DataFrame:
    kinds = [np.dtype(d if is_numeric_dtype(d) else np.int64) for d in dtypes]
    rows = len(pieces[0]) // sum(kind.itemsize for kind in kinds)
    ends = np.cumsum([rows * kind.itemsize for kind in kinds])
    parts = np.split(np.frombuffer(pieces[0], np.uint8), ends[:-1])
    values = [
        part.reshape(-1, rows).T.copy().view(kind).ravel()
        for part, kind in zip(parts, kinds, strict=True)
    ]
    return from_arrays(values, dtypes)


LAYOUTS = {
    "pixels": Layout(pixels, from_pixels),
    "places": Layout(places, from_places),
    "packed": Layout(packed, from_packed),
    "each": Layout(each, from_each),
    "tall": Layout(partial(tall, rows=MANY), from_tall),
    "split": Layout(partial(tall, rows=FEW), from_tall),
    "mosaic": Layout(mosaic, from_mosaic),
    "csv": Layout(csv, from_csv),
    "columns": Layout(columns, from_columns),
    "table": Layout(arrow, from_arrow),
    "arrays": Layout(arrays, from_arrays),
    "shuffled": Layout(shuffled, from_shuffled),
}
