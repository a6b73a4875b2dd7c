"""Pictures of any sizes as symbols, and back."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from attar.codec.literals import LiteralReader, LiteralWriter, damaged, refusing
from attar.codec.symbols import Channels
from attar.codec.values import Encoded, Opened, Values
from attar.data.images import Images
from attar.data.kind import Json
from attar.data.pictures import Pictures
from attar.errors import DataError
from attar.likelihoods.alphabets import Alphabet, Integers, Residues
from attar.remote import file_at

Array = NDArray[Any]

# A chunk has so many cells at most, or one picture, which has no more than the second number.
CELLS, MOST = 1 << 20, 1 << 29


class PictureValues(Values):
    """Pictures of any sizes, by a model that was fitted on tiles.

    Parameters
    ----------
    kind : Images
        That of tiles.
    alphabets : sequence of Alphabet
        Of each channel: with a symbol for each value that a pixel can have.
    names : sequence of str
        Of the pictures' files; empty for arrays.
    mean_cells : float
        Of a picture.

    Examples
    --------
    >>> from attar.likelihoods.intensities import Intensities
    >>> values = PictureValues(Images((4, 4), "uint8", tiled=True), [Intensities()])
    >>> picture = np.arange(12, dtype=np.uint8).reshape(2, 6)
    >>> encoded = values.encode([picture])
    >>> opened = values.opened(1, encoded.literals)
    >>> (found,) = values.decode(encoded.symbols, encoded.residues, opened)
    >>> bool((found == picture).all())
    True
    """

    def __init__(
        self,
        kind: Images,
        alphabets: Sequence[Alphabet],
        names: Sequence[str] = (),
        mean_cells: float = 1.0,
    ) -> None:
        self.kind, self.names, self.mean_cells = kind, list(names), mean_cells
        self.channels = Channels(tuple(alphabets))

    def encode(self, data: object) -> Encoded:
        """Return pictures of one size as symbols."""
        assert isinstance(data, list)
        pictures = np.stack(data)
        n, height, width = pictures.shape[:3]
        rows = pictures.reshape(n, height, width, -1).transpose(0, 3, 1, 2)
        writer = LiteralWriter()
        writer.number(height)
        writer.number(width)
        return Encoded(n, rows.astype(np.int64), np.zeros(0, np.uint64), writer.finish())

    def opened(self, n: int, literals: bytes) -> Opened:
        """Return the size of n pictures."""
        reader = LiteralReader(literals)
        size = len(self.channels.alphabets), reader.number(), reader.number()
        if not 0 < n * size[0] * size[1] * size[2] <= MOST:
            raise damaged()
        return Opened(np.zeros((n, *size), bool), None, reader)

    def decode(self, symbols: Integers, residues: Residues, opened: Opened) -> list[Array]:
        """Return the pictures that were encoded."""
        pictures = symbols.transpose(0, 2, 3, 1).astype(self.kind.dtype)
        return list(pictures.reshape(*pictures.shape[:3], *self.kind.size[2:]))

    def joined(self, parts: Sequence[list[Array]]) -> list[Array]:
        """Return all pictures."""
        return [picture for part in parts for picture in part]

    def to_json(self) -> Json:
        """Return the names, and the number of cells."""
        return {"names": self.names, "mean_cells": self.mean_cells}

    @classmethod
    def from_json(cls, kind: Images, alphabets: Sequence[Alphabet], data: Json) -> Self:
        """Return the values that :meth:`to_json` described.

        Raises
        ------
        FileError
            If they are none.
        """
        with refusing():
            return cls(kind, alphabets, list(map(str, data["names"])), float(data["mean_cells"]))


def pictures_of(X: object, kind: Images) -> tuple[list[str], list[int], Iterator[Array]] | None:
    """Return pictures of a folder, or a list of arrays of any sizes: names, cells, and pixels.

    None where data are something else, or the model is not one of tiles.

    Raises
    ------
    DataError
        If they have another pixel format.
    """
    if not kind.tiled:
        return None
    if isinstance(X, str | os.PathLike) and (folder := file_at(X)).is_dir():
        X = kind.pictures(folder)
    if isinstance(X, Pictures):
        names, pixels = X.files, (picture for _, picture in X.pictures())
        cells = [height * width * kind.shape[0] for height, width in X.sizes]
        return names, cells, (_checked(picture, kind) for picture in pixels)
    if isinstance(X, list | tuple):
        arrays = list(map(np.asarray, X))
        return [], [a.size for a in arrays], (_checked(picture, kind) for picture in arrays)
    return None


def in_pieces(pictures: Iterator[Array], rows: int) -> Iterator[list[Array]]:
    """Yield pictures that follow each other and have one size: so many at most."""
    piece: list[Array] = []
    for picture in pictures:
        most = max(1, min(rows, CELLS // picture.size))
        if piece and (piece[0].shape != picture.shape or len(piece) >= most):
            yield piece
            piece = []
        piece.append(picture)
    if piece:
        yield piece


def _checked(picture: Array, kind: Images) -> Array:
    """Return a picture in the pixel format of a kind."""
    known = kind.size[2:] if not kind.first else kind.size[:1]
    if picture.dtype != kind.dtype or picture.shape[2:] != known or not picture.size:
        raise DataError(
            f"A picture of the type {picture.dtype} and of shape {picture.shape} is not of the "
            f"model's pixel format, {kind.dtype} with channels {known}: convert it."
        )
    if picture.size > MOST:
        raise DataError(f"A picture has {picture.size:,} values, more than {MOST:,}: cut it.")
    return picture
