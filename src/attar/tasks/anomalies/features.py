"""Rows of any data as numbers that can be compared."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from attar.data.images import Images
from attar.data.kind import Kind, Rows
from attar.data.kinds import preparation
from attar.data.preparation import DensePreparation
from attar.data.summary import Summary

Array = NDArray[np.float64]

# Edges of so many directions are counted in images, smoothed over so many pixels of 28, and kept at
# so many places along each side.
DIRECTIONS, SOFTNESS, PLACES = 8, 2.5, 7

# Edges are found at this scale, in pixels; weak ones count less than such a share of the mean.
FINE, WEAK = 0.6, 0.01


@dataclass(frozen=True)
class Features:
    """The features of rows: prepared cells, or the edges of images.

    Attributes
    ----------
    preparation : DensePreparation
    fill : array (features,)
        What stands for missing values.
    """

    preparation: DensePreparation
    fill: Array

    @classmethod
    def fit(cls, kind: Kind, summary: Summary) -> Features:
        """Return the features that suit data of this summary."""
        prepared = preparation(kind, kind.scaling(summary), summary)
        assert isinstance(prepared, DensePreparation)
        found = cls(prepared, np.zeros(0))._prepared(summary.sample)
        known = np.where(np.isnan(found).all(0), 0.0, found)
        return cls(prepared, np.nanmedian(known, axis=0))

    @property
    def kind(self) -> Kind:
        """The form of the data."""
        return self.preparation.kind

    @property
    def one_unit(self) -> bool:
        """Whether all features share a unit."""
        return isinstance(self.kind, Images)

    @property
    def columns(self) -> list[tuple[str, slice]]:
        """The columns of a table, or the edges and channels of images, and their features."""
        kind = self.kind
        if not isinstance(kind, Images):
            return kind.parts
        places = prod(min(side, PLACES) for side in kind.shape[1:])
        names = kind.channel_names if kind.shape[0] > 1 else []
        own = [
            slice((DIRECTIONS + i) * places, (DIRECTIONS + i + 1) * places)
            for i in range(len(names))
        ]
        return [("edges", slice(0, DIRECTIONS * places)), *zip(names, own, strict=True)]

    def of(self, rows: Rows) -> Array:
        """Return the features of raw rows (n, *cells): (n, features)."""
        filled = self.filled(rows)
        return edges(filled) if isinstance(self.kind, Images) else filled.reshape(len(filled), -1)

    def filled(self, rows: Rows) -> Array:
        """Return prepared rows (n, *shape), with the median where a value is missing."""
        prepared = self._prepared(rows)
        filled = np.where(np.isnan(prepared), self.fill, prepared)
        return np.asarray(filled.reshape(len(filled), *self.kind.shape))

    def _prepared(self, rows: Rows) -> Array:
        scaled = self.preparation.scaled(rows, torch.float64, far=True)
        return np.asarray(self.kind.expand(scaled).flatten(1).numpy(), np.float64)


def edges(images: Rows) -> Array:
    """Return how strong edges of each direction are in each region of images: (n, features).

    Small shifts of a stroke change little of them. Channels are averaged for the edges; where there
    are several, their means in each region are further features.

    Parameters
    ----------
    images : array (n, channels, height, width)
    """
    n, channels, height, width = images.shape
    grey = gaussian_filter(images.mean(1), (0, FINE, FINE))
    slopes = np.gradient(grey, axis=1) if height > 1 else np.zeros_like(grey)
    across = np.gradient(grey, axis=2) if width > 1 else np.zeros_like(grey)
    size, angle = np.hypot(slopes, across), np.arctan2(slopes, across)
    towards = 2 * np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    parts = [np.maximum(0, np.cos(angle - direction)) ** 4 * size for direction in towards]
    found = np.stack([_regions(part) for part in parts], 1)
    energy = (found**2).sum(1, keepdims=True)
    found /= np.sqrt(energy + WEAK * energy.mean((1, 2, 3), keepdims=True) + 1e-12)
    features = found.reshape(n, -1)
    if channels == 1:
        return features
    colours = [_regions(images[:, c]).reshape(n, -1) for c in range(channels)]
    return np.concatenate([features, *colours], 1)


def _regions(maps: Rows) -> Any:
    """Return maps (n, height, width) smoothed, at evenly spaced places."""
    _, height, width = maps.shape
    softness = [SOFTNESS * side / 28 for side in (height, width)]
    smooth = gaussian_filter(maps, (0, *softness))
    rows, columns = (
        ((np.arange(min(side, PLACES)) + 0.5) * side / min(side, PLACES)).astype(int)
        for side in (height, width)
    )
    return smooth[:, rows[:, None], columns]
