"""Augmentations: small changes that leave what a row shows, for codes that recognize."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from attar.corruptions.base import Corrupted, Corruption, CorruptionModule, ValuesCorruption
from attar.corruptions.masking import Masking
from attar.errors import SettingError


@dataclass(frozen=True)
class Augmentation(Corruption, name="augmentation"):
    """The augmentation that suits the kind of data, which a fit chooses.

    Of images this is :class:`Distortion`, of log-mel frames ``SpectrogramAugmentation``, of tables
    ``SwapNoise``; of all else, and built by itself, ``Masking``.

    Examples
    --------
    >>> import attar, numpy as np
    >>> images = np.random.default_rng(0).random((20, 8, 8))
    >>> ae = attar.Autoencoder(corruption="augmentation", epochs=1, random_state=0)
    >>> ae.fit(images).fitted_.recipe.corruption.name
    'distortion'
    """

    def build(self) -> CorruptionModule:
        """Return a module that masks cells."""
        return Masking().build()


@dataclass(frozen=True)
class Distortion(Corruption, name="distortion"):
    """Shift, rotate, scale, shear and bend images: affine and elastic distortions.

    A pixel at p, from -1 to 1, takes the value at A p + t + b(p), by bilinear interpolation; A
    rotates, scales and shears, and the displacements b are normal on a coarse grid, with cubic
    interpolation between its points. Beyond the edges pixels are those at the edges. Each image has
    distortions of its own.

    Parameters
    ----------
    shift : float
        The largest shift, as a fraction of height and width.
    rotation : float
        The largest angle, in degrees.
    scale : float
        The largest logarithm of a factor on height and on width.
    shear : float
        The largest tangent of the angle by which columns are tilted.
    bend : float
        The standard deviation of displacements, as a fraction of half of the size.
    grid : int
        Points of the coarse grid along each axis, 2 or more.

    Examples
    --------
    >>> import torch
    >>> from attar.corruptions import Distortion
    >>> images = torch.zeros(1, 1, 9, 9)
    >>> images[..., 4] = 1
    >>> upright = Distortion(shift=0.0, rotation=0.0, scale=0.0, shear=0.0, bend=0.0)
    >>> torch.equal(upright.build()(images).values, images)
    True

    References
    ----------
    Simard, Steinkraus and Platt, "Best practices for convolutional neural networks applied to
    visual document analysis", ICDAR 2003.
    """

    shift: float = 0.1
    rotation: float = 15.0
    scale: float = 0.2
    shear: float = 0.2
    bend: float = 0.06
    grid: int = 4

    def build(self) -> CorruptionModule:
        """Return the module; nothing may be negative, and the grid has at least two points."""
        if self.positive_integer("grid") < 2:
            raise SettingError(f"The grid of {self!r} must have at least 2 points.")
        return DistortionModule(
            self.non_negative("shift"),
            math.radians(self.non_negative("rotation")),
            self.non_negative("scale"),
            self.non_negative("shear"),
            self.non_negative("bend"),
            self.grid,
        )


class DistortionModule(ValuesCorruption):
    """Distorts images."""

    def __init__(
        self, shift: float, rotation: float, scale: float, shear: float, bend: float, grid: int
    ) -> None:
        super().__init__()
        self.shift, self.rotation, self.scale = shift, rotation, scale
        self.shear, self.bend, self.grid = shear, bend, grid

    def forward(self, values: Tensor) -> Corrupted:
        """Return distorted images (B, channels, height, width)."""
        if values.ndim != 4:
            raise SettingError(
                "The corruption 'distortion' is for images (channels, height, width), but a row "
                f"of this data has shape {tuple(values.shape[1:])}: use 'masking'."
            )
        places = functional.affine_grid(self._affine(values), list(values.shape), False)
        if self.bend:
            noise = torch.randn(len(values), 2, self.grid, self.grid, device=values.device)
            down, across = (self._interpolation(length).to(values) for length in values.shape[2:])
            places = places + self.bend * (down.T @ noise.to(values) @ across).movedim(1, -1)
        sampled = functional.grid_sample(values, places, padding_mode="border", align_corners=False)
        return Corrupted(sampled)

    def _interpolation(self, length: int) -> Tensor:
        """Return cubic weights (grid, length) of the coarse grid's points at each pixel."""
        points = torch.eye(self.grid)[None, :, :, None]
        return functional.interpolate(points, (length, 1), mode="bicubic")[0, :, :, 0]

    def _affine(self, values: Tensor) -> Tensor:
        """Return random matrices (A, t) for images: (B, 2, 3)."""
        uniform = 2 * torch.rand(6, len(values), dtype=values.dtype, device=values.device) - 1
        angle, tilt = self.rotation * uniform[0], self.shear * uniform[1]
        width, height = (self.scale * uniform[2:4]).exp()
        across, down = 2 * self.shift * uniform[4:]
        cos, sin = angle.cos(), angle.sin()
        rows = (
            torch.stack([cos * width, (cos * tilt - sin) * height, across], 1),
            torch.stack([sin * width, (sin * tilt + cos) * height, down], 1),
        )
        return torch.stack(rows, 1)
