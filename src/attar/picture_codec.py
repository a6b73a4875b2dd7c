"""A codec of pictures at a chosen quality, by a fitted model of coefficients."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from math import log, prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from attar.checks import positive
from attar.codec.coded_pictures import (
    ARRAY,
    LIST,
    ONE,
    QUALITIES,
    SIDE,
    CodedPictures,
    CodedStack,
    Layers,
    parts_of,
)
from attar.codec.coefficients import CoefficientCoder
from attar.codes.contextual import ContextualModule
from attar.compression import model_bytes, model_inside
from attar.data.images import Images
from attar.data.pictures import Pictures, whole_pictures
from attar.errors import ArchiveError, DataError, SettingError, warn
from attar.estimator import Autoencoder
from attar.isolation import default_settings
from attar.networks.lapped import Analysis, Synthesis
from attar.remote import file_at
from attar.storage import written_whole

Array = NDArray[Any]

# A stack has so many pixels at most, or is one picture.
PIXELS = 1 << 20

# The first layer of a single colour: a coder's has never a length of 8 C + 1 bytes.
COLOUR = b"="

# So near to what is asked for, in dB or as a part of the bits, the search of a level ends.
NEAR = 0.01

# Pictures at a level, and the mean squared error of their pixels.
Tried = tuple[CodedPictures, float]


@dataclass(frozen=True)
class Given:
    """Pictures as they were given.

    Attributes
    ----------
    form : int
    names : list of str
    pictures : list of array
    """

    form: int
    names: list[str]
    pictures: list[Array]


class PictureCodec:
    """Compression of pictures at a chosen quality, by a model of the recipe ``picture-codec``.

    ::

        pixels ─ lapped transform ─► coefficients ─ quantization ─► steps ─ network, coder ─► bytes
                                                        ▲
                                  quality, bits a pixel or PSNR

    Pictures may have any size: the model sees them block by block. One model has all qualities.
    What is decoded is the same on every machine, to the last bit. The bytes come in three layers:
    without the last ones a picture is coarser.

    Parameters
    ----------
    model : Autoencoder
        Fitted with ``recipe="picture-codec"``.

    Attributes
    ----------
    kind : Images
        The pixel format.
    fingerprint : str
        Identifies the model.

    Raises
    ------
    SettingError
        If the model is another.

    Examples
    --------
    >>> import attar
    >>> from attar.data import datasets
    >>> images = datasets.load("digits", "train")[0].astype("uint8")
    >>> recipe = attar.recipes.recipe("picture-codec").replace(code__hidden=16, network__hidden=16)
    >>> ae = attar.Autoencoder(recipe, epochs=2, random_state=0).fit(images[:200])
    >>> codec = PictureCodec(ae)
    >>> coarse, fine = (codec.compress(images[200:260], quality=q) for q in (1, 100))
    >>> len(coarse) < len(fine) < images[200:260].nbytes, codec.decompress(fine).shape
    (True, (60, 8, 8))
    """

    @default_settings()
    def __init__(self, model: Autoencoder) -> None:
        fitted = model._fitted
        whole, kind = fitted.predictor.model, fitted.kind
        if not isinstance(whole.code, ContextualModule) or not isinstance(kind, Images):
            raise SettingError(
                "The model does not compress pictures at a quality: fit one with the recipe "
                "'picture-codec'."
            )
        assert isinstance(whole.encoder, Analysis)
        assert isinstance(whole.decoder, Synthesis)
        self.model, self.kind = model, replace(kind, low=(), high=())
        self.fingerprint = fitted.fingerprint[:16]
        self.coder = CoefficientCoder(whole.encoder, whole.code.prior, whole.decoder)
        scaler = fitted.predictor.preparation.scaler
        self.shift, self.scale = scaler.shift.double().cpu(), scaler.scale.double().cpu()
        integer = np.dtype(kind.dtype).kind in "iu"
        self.white = float(np.iinfo(kind.dtype).max) if integer else float(self.scale.max())

    def compress(
        self,
        X: object,
        quality: float | None = None,
        bpp: float | None = None,
        psnr: float | None = None,
    ) -> bytes:
        """Return pictures as bytes: a compressed file in memory.

        Parameters
        ----------
        X : array, list of arrays, Pictures, or path
            A picture (height, width) or (height, width, channels); or several, of any sizes; a
            file, or a folder.
        quality : float or None
            1 to 100; 50 where nothing else is given.
        bpp : float or None
            The most bits a pixel of the whole file.
        psnr : float or None
            The least peak signal-to-noise ratio of all pixels, in dB.

        Raises
        ------
        SettingError
            If more than one is given, or it is out of range.
        DataError, FileError
            If X is no picture, or of another pixel format.
        """
        return self.coded(X, quality, bpp, psnr).to_bytes()

    def compress_file(
        self,
        X: object,
        path: str | Path,
        quality: float | None = None,
        bpp: float | None = None,
        psnr: float | None = None,
        with_model: bool = False,
    ) -> CodedPictures:
        """Write pictures to a compressed file (.atz), which appears whole or not at all.

        Parameters
        ----------
        X, quality, bpp, psnr
            See :meth:`compress`.
        path : path
        with_model : bool
            Whether the file holds the model too, so that nothing else is needed to read it.
        """
        coded = self.coded(X, quality, bpp, psnr)
        if with_model:
            coded = replace(coded, model=model_bytes(self.model))
        with written_whole(file_at(path)) as beside:
            beside.write_bytes(coded.to_bytes())
        return coded

    @default_settings()
    def coded(
        self,
        X: object,
        quality: float | None = None,
        bpp: float | None = None,
        psnr: float | None = None,
    ) -> CodedPictures:
        """Return pictures as :meth:`compress` writes them."""
        asked = {"quality": quality, "bpp": bpp, "psnr": psnr}
        asked = {name: value for name, value in asked.items() if value is not None}
        if len(asked) > 1:
            raise SettingError(f"Give one of {' and '.join(asked)}, not {len(asked)}.")
        for name in {"bpp", "psnr"} & asked.keys():
            positive(name, asked[name])
        if quality is not None and not 1 <= quality <= 100:
            raise SettingError(f"A quality is from 1 to 100, not {quality:g}.")
        given = self._given(X)
        if bpp is not None:
            return self._at_most(given, bpp)
        if psnr is not None:
            return self._at_least(given, psnr)
        level = round(((50.0 if quality is None else quality) - 1) / 99 * QUALITIES)
        return self._at(given, level)[0]

    @default_settings()
    def decompress(
        self, source: bytes | str | Path | CodedPictures, layers: int | None = None
    ) -> Any:
        """Return the pictures of a compressed file or its bytes, as they were given.

        Parameters
        ----------
        source : bytes, path or CodedPictures
        layers : int or None
            How many layers are decoded, 1 to 3: fewer are coarser. With a number, the file may
            end too early.

        Returns
        -------
        array or list of array
            A picture, a stack of pictures, or a list of pictures.

        Raises
        ------
        ArchiveError
            If it is damaged, of another model, or has no compressed pictures.
        """
        coded = (
            source
            if isinstance(source, CodedPictures)
            else CodedPictures.of(source, cut=layers is not None)
        )
        if coded.fingerprint != self.fingerprint:
            raise ArchiveError(
                f"The pictures were compressed by another model, of the fingerprint "
                f"{coded.fingerprint[:12]}, than this one, {self.fingerprint[:12]}: give that."
            )
        found = [self._stack(stack, coded.level, layers) for stack in coded.stacks]
        if coded.form == ARRAY:
            return np.concatenate(found)
        pictures = [picture for stack in found for picture in stack]
        return pictures[0] if coded.form == ONE else pictures

    def _stack(self, stack: CodedStack, level: int, layers: int | None) -> Array:
        size, n = stack.size, len(stack.names)
        whole = np.empty((n, self.kind.shape[0], *size))
        for (rows, columns), part in zip(parts_of(size), stack.parts, strict=True):
            extent = rows.stop - rows.start, columns.stop - columns.start
            whole[..., rows, columns] = self._decoded(part[:layers], n, extent, level)
        return self._format(size).restore(whole)

    def _format(self, size: tuple[int, int]) -> Images:
        """Return the pixel format, for pictures of a size."""
        channels = self.kind.size[:1] if self.kind.first else self.kind.size[2:]
        shape = (*channels, *size) if self.kind.first else (*size, *channels)
        return replace(self.kind, size=shape)

    def _at(self, given: Given, level: int) -> Tried:
        """Return pictures at a level, and the mean squared error of their pixels."""
        stacks, squares, cells, start = [], 0.0, 0, 0
        for stack in _in_stacks(given.pictures):
            names = tuple(given.names[start : start + len(stack)]) or ("",) * len(stack)
            height, width = stack.shape[-2:] if self.kind.first else stack.shape[1:3]
            size, start = (height, width), start + len(stack)
            form = self._format(size)
            rows = form.rows(stack)
            whole, parts = np.empty(rows.shape), []
            for place in parts_of(size):
                layers, whole[..., *place] = self._part(rows[..., *place], level)
                parts.append(layers)
            restored = form.restore(whole)
            squares += float(np.square(restored.astype(np.float64) - stack).sum())
            cells += stack.size
            stacks.append(CodedStack(names, size, tuple(parts)))
        return CodedPictures(self.fingerprint, given.form, level, stacks), squares / cells

    def _part(self, rows: Array, level: int) -> tuple[Layers, Array]:
        """Return the layers of a part of pictures (n, C, h, w), and what is decoded."""
        values = rows.astype(np.float64)
        colour = values[:1, :, :1, :1]
        if (values == colour).all():  # a single colour is exact, in a few bytes
            return (COLOUR + colour.astype("<f8").tobytes(), b"", b""), values
        images = (torch.from_numpy(values) - self.shift) / self.scale
        layers, decoded = self.coder.encode(images, level / QUALITIES)
        return tuple(layers), (decoded * self.scale + self.shift).numpy()

    def _decoded(self, part: Layers, n: int, size: tuple[int, int], level: int) -> Array:
        """Return a part of pictures (n, C, h, w), of its layers."""
        channels = self.kind.shape[0]
        if part and len(part[0]) == len(COLOUR) + 8 * channels and part[0].startswith(COLOUR):
            colour = np.frombuffer(part[0][len(COLOUR) :], "<f8").reshape(-1, 1, 1)
            return np.broadcast_to(colour, (n, channels, *size))
        decoded = self.coder.decode(part, n, size, level / QUALITIES)
        found: Array = (decoded * self.scale + self.shift).numpy()
        return found

    def _at_most(self, given: Given, bpp: float) -> CodedPictures:
        """Return pictures at the highest level of at most so many bits a pixel, or near it."""

        def value(coded: CodedPictures, _: float) -> float:
            return log(coded.bits_per_pixel)

        low, high = self._around(given, value, log(bpp), nearly=True)
        if value(*low) > log(bpp):
            raise self._out_of_range(
                f"{bpp:g} bits a pixel are", low[0].bits_per_pixel, high[0].bits_per_pixel
            )
        return (low if value(*high) > log(bpp) else high)[0]

    def _at_least(self, given: Given, psnr: float) -> CodedPictures:
        """Return pictures at the lowest level of at least a PSNR, or near it."""

        def value(_: CodedPictures, error: float) -> float:
            return float(10 * np.log10(self.white**2 / max(error, 1e-30)))

        low, high = self._around(given, value, psnr, nearly=False)
        if value(*high) < psnr:
            raise self._out_of_range(f"A PSNR of {psnr:g} dB is", value(*low), value(*high))
        return (high if value(*low) < psnr else low)[0]

    def _out_of_range(self, wanted: str, low: float, high: float) -> SettingError:
        return SettingError(
            f"{wanted} out of range: this model codes these pictures at {low:.3g} to {high:.3g}."
        )

    def _around(
        self,
        given: Given,
        value: Callable[[CodedPictures, float], float],
        wanted: float,
        nearly: bool,
    ) -> tuple[Tried, Tried]:
        """Return the levels below and above a wanted value, which grows with the level.

        The search ends where the one below is near enough, or with ``nearly=False`` the one above.
        """
        low, high = (self._at(given, level) for level in (0, QUALITIES))
        halve = False
        while value(*low) < wanted < value(*high) and high[0].level - low[0].level > 1:
            best = value(*(low if nearly else high))
            if abs(best - wanted) < NEAR:
                break
            share = (wanted - value(*low)) / (value(*high) - value(*low))
            first, width = low[0].level, high[0].level - low[0].level
            step = round((0.5 if halve else share) * width)
            tried = self._at(given, first + min(max(step, 1), width - 1))
            below = value(*tried) <= wanted
            halve = not halve and below != nearly  # the end that counts has not moved
            low, high = (tried, high) if below else (low, tried)
        return low, high

    def _given(self, X: object) -> Given:
        """Return pictures, and how they were given."""
        if isinstance(X, Pictures):
            X = list(X.read()) if X.resized else X.folder
        if isinstance(X, str | os.PathLike):
            X = file_at(X)
            mode = self.kind.mode()
            pairs = list(whole_pictures(X, mode))
            form = ONE if X.is_file() else LIST
            given = Given(form, [name for name, _ in pairs], [pixels for _, pixels in pairs])
        elif isinstance(X, list | tuple):
            given = Given(LIST, [], [np.asarray(picture) for picture in X])
        else:
            array = np.asarray(X)
            one = array.ndim <= len(self.kind.size)
            given = Given(ONE if one else ARRAY, [], [array] if one else list(array))
        if not given.pictures:
            raise DataError("There are no pictures: give one at least.")
        for picture in given.pictures:
            self._check(picture)
        return given

    def _check(self, picture: Array) -> None:
        known = self.kind.size[:1] if self.kind.first else self.kind.size[2:]
        found = picture.shape[:-2] if self.kind.first else picture.shape[2:]
        if (
            picture.ndim != len(self.kind.size)
            or found != known
            or picture.dtype != self.kind.dtype
        ):
            raise DataError(
                f"A picture of the type {picture.dtype} and of shape {picture.shape} is not of the "
                f"model's pixel format, {self.kind.dtype} with channels {known}: convert it."
            )
        if not picture.size:
            raise DataError(f"A picture of shape {picture.shape} has no pixels: leave it out.")
        if not np.isfinite(picture).all():
            raise DataError("A picture has pixels that are not finite: fill them.")
        if max(picture.shape[-2:] if self.kind.first else picture.shape[:2]) > SIDE:
            warn(
                f"A picture of shape {picture.shape} is coded in parts of {SIDE} x {SIDE} pixels, "
                "to save memory."
            )


def _in_stacks(pictures: Sequence[Array]) -> Iterator[Array]:
    """Yield pictures that follow each other and have one size."""
    for shape, group in groupby(pictures, key=lambda picture: picture.shape):
        same = list(group)
        most = max(1, PIXELS // max(1, prod(shape)))
        for start in range(0, len(same), most):
            yield np.stack(same[start : start + most])


def open_pictures(
    path: str | Path, model: Autoencoder | None = None, layers: int | None = None
) -> tuple[CodedPictures, Any]:
    """Return a compressed file of pictures, and these.

    Parameters
    ----------
    path : path
    model : Autoencoder or None
        None where the file holds the model.
    layers : int or None
        How many layers are decoded.

    Raises
    ------
    FileError
        If there is no such file.
    ArchiveError
        If it is damaged, needs a model, or is of another one.
    """
    coded = CodedPictures.of(path, cut=layers is not None)
    model = model or model_inside(path, coded.model)
    return coded, PictureCodec(model).decompress(coded, layers)
