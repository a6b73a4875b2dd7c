"""Regions: where images are odd, by what the rest of an image says of each of its regions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from torch import Tensor
from torch.nn import functional

from attar.tasks.anomalies.calibration import surprise
from attar.tasks.anomalies.principal import Principal

Array = NDArray[np.float64]
Places = NDArray[np.intp]

# Images are reduced to so many pixels a side; a region is such a part of the sides.
SIDE, WINDOW = 32, 0.25

# So many principal components; what is added to the variance that they leave, as a part of that of
# pixels.
COMPONENTS, RIDGE = 64, 0.2

# The least variance of a pixel.
LEAST = 1e-6

# So many images say what is usual of each region.
USUAL = 1000


@dataclass(frozen=True)
class Found:
    """The least likely regions of images.

    Attributes
    ----------
    y, x : array of int (n, most)
        The middle of each region.
    nats : array (n, most)
        -log of the share of usual images in which some region is as unlikely.
    value, expected, deviation : array (n, most, channels)
        The mean of its pixels; the expected one, given the rest of the image, and its deviation.
    """

    y: Places
    x: Places
    nats: Array
    value: Array
    expected: Array
    deviation: Array


@dataclass(frozen=True)
class Regions:
    """What an image says of each of its regions.

    Attributes
    ----------
    size : tuple of int
        Height and width of the images.
    mean : array (channels, rows, columns)
        Of images reduced to at most 32 pixels a side.
    principal : Principal
        Of their pixels.
    usual : float
        -log p of a region of a usual image, to a constant.
    known : array
        What is beyond that in the least likely region of usual images.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> images = np.repeat(rng.normal(size=(300, 1, 1, 8)), 8, axis=2)  # vertical stripes
    >>> images[0, 0, 2, 5] += 9
    >>> maps, _ = Regions.fit(images[1:]).maps(images[:1])
    >>> y, x = np.unravel_index(maps[0].argmax(), (8, 8))
    >>> bool(abs(y - 2) <= 1 and abs(x - 5) <= 1)
    True
    """

    size: tuple[int, int]
    mean: Array
    principal: Principal
    usual: float
    known: Array

    @classmethod
    def fit(cls, images: Array) -> Self:
        """Return what usual images say.

        Parameters
        ----------
        images : array (n, channels, height, width)
        """
        size = (images.shape[2], images.shape[3])
        small = _reduced(images)
        # What components leave, and what is usual, is told by images that they were not fitted on.
        half, held = _components(small[::2]), small[1::2]
        delta = (held - half.mean_.reshape(held.shape[1:])).reshape(len(held), -1)
        left = (delta**2).sum() - ((delta @ half.components_.T) ** 2).sum()
        noise = max(left / delta.size + RIDGE * delta.var(), LEAST)
        tried, model = (
            cls(
                size,
                found.mean_.reshape(small.shape[1:]),
                Principal.of(found.components_.T, found.explained_variance_, noise),
                0.0,
                np.zeros(0),
            )
            for found in (half, _components(small))
        )
        nats = tried._conditionals(held[:USUAL])[0]
        usual = float(np.median(nats))
        return replace(model, usual=usual, known=nats.max((1, 2)) - usual)

    def tensors(self) -> dict[str, Tensor]:
        """Return all that :meth:`restored` needs."""
        found = {"size": self.size, "mean": self.mean, "usual": self.usual, "known": self.known}
        found |= {"factors": self.principal.factors, "noise": self.principal.noise}
        return {name: torch.from_numpy(np.array(value)) for name, value in found.items()}

    @classmethod
    def restored(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Return what :meth:`tensors` described."""
        height, width = tensors["size"].tolist()
        noise, usual = (float(tensors[name]) for name in ("noise", "usual"))
        principal = Principal(tensors["factors"].numpy(), noise)
        mean, known = tensors["mean"].numpy(), tensors["known"].numpy()
        return cls((height, width), mean, principal, usual, known)

    def maps(self, images: Array) -> tuple[Array, Array]:
        """Return how unlikely the region around each pixel is, and what was expected there.

        Parameters
        ----------
        images : array (n, channels, height, width)

        Returns
        -------
        array (n, height, width)
            -log p(region | rest), beyond what it is in a usual image.
        array (n, channels, height, width)
            Each pixel, given those that are not of its region.
        """
        nats, expected = self._conditionals(_reduced(images))
        return self._enlarged(nats[:, None])[:, 0] - self.usual, self._enlarged(expected)

    def least_likely(self, images: Array, most: int) -> Found:
        """Return the least likely regions of images (n, channels, height, width).

        Each is replaced by what was expected there before the next one is looked for, so that its
        neighbours do not look odd for it.
        """
        small, (channels, rows, columns) = _reduced(images), self.mean.shape
        n, most = len(small), min(most, rows * columns)
        mended, taken = small.reshape(n, -1).copy(), np.zeros((n, rows * columns), bool)
        at, nats = np.empty((n, most), np.intp), np.empty((n, most))
        value, expected, deviation = (np.empty((n, most, channels)) for _ in range(3))
        for k in range(most):
            likely = self._conditionals(mended.reshape(small.shape))[0].reshape(n, -1) - self.usual
            at[:, k] = np.where(taken, -np.inf, likely).argmax(1)
            nats[:, k] = likely[np.arange(n), at[:, k]]
            shift = self._shift(mended)
            for middle in np.unique(at[:, k]):
                own, block = np.flatnonzero(at[:, k] == middle), self._blocks[middle]
                missed, covariance = self.principal.missed(shift[np.ix_(own, block)], block)
                before, shape = mended[np.ix_(own, block)], (len(own), channels, -1)
                value[own, k] = before.reshape(shape).mean(2)
                expected[own, k] = (before - missed).reshape(shape).mean(2)
                parts = covariance.reshape(channels, len(block) // channels, channels, -1)
                deviation[own, k] = np.einsum("iaib->i", parts) ** 0.5 / parts.shape[1]
                mended[np.ix_(own, block)] = before - missed
            taken[np.arange(n), at[:, k]] = True
        y, x = (
            ((place + 0.5) * side / count).astype(np.intp)
            for place, side, count in zip(
                np.divmod(at, columns), self.size, (rows, columns), strict=True
            )
        )
        order = np.arange(n)[:, None], np.argsort(-nats, axis=1)
        nats = surprise(self.known, nats[order])
        return Found(y[order], x[order], nats, value[order], expected[order], deviation[order])

    @cached_property
    def _blocks(self) -> list[Places]:
        """The pixels of each region, channel by channel."""
        _, rows, columns = self.mean.shape
        places = np.arange(self.mean.size).reshape(self.mean.shape)
        reach = [max(1, round((WINDOW * side - 1) / 2)) for side in (rows, columns)]
        return [
            places[
                :,
                max(0, i - reach[0]) : i + reach[0] + 1,
                max(0, j - reach[1]) : j + reach[1] + 1,
            ].ravel()
            for i in range(rows)
            for j in range(columns)
        ]

    def _shift(self, rows: Array) -> Array:
        """Return K δ of reduced images (n, pixels)."""
        return self.principal.shift(rows - self.mean.ravel())

    def _conditionals(self, small: Array) -> tuple[Array, Array]:
        """Return -log p(region | rest) of reduced images, to a constant, and expected pixels."""
        n, channels, rows, columns = small.shape
        shift, expected = self._shift(small.reshape(n, -1)), small.reshape(n, channels, -1).copy()
        nats = np.empty((n, rows * columns))
        for middle, block in enumerate(self._blocks):
            own = shift[:, block]
            missed, _ = self.principal.missed(own, block)
            nats[:, middle] = (own * missed).sum(1) / 2
            at = np.flatnonzero(block % (rows * columns) == middle)
            expected[:, :, middle] -= missed[:, at]
        return nats.reshape(n, rows, columns), expected.reshape(small.shape)

    def _enlarged(self, small: Array) -> Array:
        """Return reduced images in their own size."""
        if small.shape[2:] == self.size:
            return small
        large = functional.interpolate(
            torch.from_numpy(small), self.size, mode="bilinear", align_corners=False
        )
        return np.asarray(large.numpy())


def _components(small: Array) -> PCA:
    rows = small.reshape(len(small), -1)
    most = max(1, min(COMPONENTS, rows.shape[1] - 1, len(rows) // 2))
    return PCA(most, random_state=0).fit(rows)


def _reduced(images: Array) -> Array:
    """Return images with at most so many pixels a side, each the mean of those that it covers."""
    height, width = images.shape[2:]
    if max(height, width) <= SIDE:
        return images
    size = min(height, SIDE), min(width, SIDE)
    small = functional.adaptive_avg_pool2d(torch.from_numpy(np.ascontiguousarray(images)), size)
    return np.asarray(small.numpy())
