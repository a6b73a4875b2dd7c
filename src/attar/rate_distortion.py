"""Curves of quality against bytes: a codec of pictures beside the formats that Pillow writes."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features
from scipy.interpolate import PchipInterpolator

from attar.picture_codec import PictureCodec

Pixels = NDArray[np.uint8]

# The qualities of the codec and of the formats.
LEVELS, QUALITIES = (1, 8, 16, 28, 42, 60, 80), (3, 6, 10, 20, 30, 45, 60, 75, 88, 95)

# Pillow's formats, the features that they need, and their best settings.
FORMATS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "JPEG": ("JPEG", "jpg", {"optimize": True, "progressive": True}),
    "JPEG 4:4:4": ("JPEG", "jpg", {"optimize": True, "progressive": True, "subsampling": 0}),
    "WebP": ("WEBP", "webp", {"method": 6}),
    "AVIF": ("AVIF", "avif", {"speed": 6}),
}

MOST_DECIBELS = 99.0


@dataclass(frozen=True)
class Curve:
    """Quality against bytes: means over pictures.

    Attributes
    ----------
    name : str
    bits : list of float
        Of a pixel, ascending.
    decibels : list of float
        The peak signal-to-noise ratio.
    """

    name: str
    bits: list[float]
    decibels: list[float]

    @classmethod
    def of(cls, name: str, points: Sequence[tuple[float, float]]) -> Curve:
        """Return the curve of points, each better than the one before that takes fewer bits."""
        kept: dict[float, float] = {}
        for bits, decibels in sorted(points):
            if decibels > max(kept.values(), default=-np.inf):
                kept[bits] = decibels
        return cls(name, [*kept], [*kept.values()])


def bd_rate(curve: Curve, peer: Curve) -> float:
    """Return the Bjøntegaard delta rate: by which part more bits a curve has than a peer's.

    It is exp(mean of log(bits) - log(bits of the peer)) - 1, over the decibels that both have; NaN
    where these are none, or a curve has one point.

    Examples
    --------
    >>> peer = Curve("peer", [0.2, 0.4, 0.8], [25.0, 28.0, 31.0])
    >>> half = Curve("half", [0.1, 0.2, 0.4], [25.0, 28.0, 31.0])
    >>> round(bd_rate(half, peer), 6)
    -0.5

    References
    ----------
    Bjøntegaard, "Calculation of average PSNR differences between RD-curves", ITU-T VCEG-M33, 2001.
    """
    both = (curve, peer)
    low = max(one.decibels[0] for one in both)
    high = min(one.decibels[-1] for one in both)
    if low >= high:
        return float("nan")
    grid = np.linspace(low, high, 200)
    ours, theirs = (PchipInterpolator(one.decibels, np.log(one.bits))(grid) for one in both)
    return float(np.expm1((ours - theirs).mean()))


def psnr(picture: Pixels, decoded: Pixels) -> float:
    """Return the peak signal-to-noise ratio of 8-bit pixels, in dB, 99 at most."""
    error = np.square(picture.astype(np.float64) - decoded).mean()
    return min(MOST_DECIBELS, float(10 * np.log10(255**2 / max(error, 1e-9))))


def curve_of(codec: PictureCodec, pictures: Sequence[Pixels]) -> Curve:
    """Return the curve of a codec."""
    points = []
    for quality in LEVELS:
        found = [codec.coded(picture, quality=quality) for picture in pictures]
        decoded = [codec.decompress(coded) for coded in found]
        ratios = [psnr(*pair) for pair in zip(pictures, decoded, strict=True)]
        points.append((_mean([one.bits_per_pixel for one in found]), _mean(ratios)))
    return Curve.of("attar", points)


def bd_rates(codec: PictureCodec, pictures: Sequence[Pixels]) -> dict[str, float]:
    """Return how many pictures were coded, and the BD-rate beside each format, by name."""
    ours = curve_of(codec, pictures)
    found = {
        f"bd_rate_{peer.name.lower().replace(' ', '_').replace(':', '')}": bd_rate(ours, peer)
        for peer in curves_of_formats(pictures)
    }
    return {"coded_pictures": float(len(pictures)), **found}


def curves_of_formats(pictures: Sequence[Pixels]) -> Iterator[Curve]:
    """Yield the curve of each format that Pillow writes, on grey or colour pictures."""
    for name, (form, feature, options) in FORMATS.items():
        if not features.check(feature):
            continue
        points = []
        for quality in QUALITIES:
            found = [written(picture, form, quality=quality, **options) for picture in pictures]
            bits = [
                8 * size / (p.shape[0] * p.shape[1])
                for p, (size, _) in zip(pictures, found, strict=True)
            ]
            ratios = [psnr(p, decoded) for p, (_, decoded) in zip(pictures, found, strict=True)]
            points.append((_mean(bits), _mean(ratios)))
        yield Curve.of(name, points)


def written(picture: Pixels, form: str, **options: object) -> tuple[int, Pixels]:
    """Return the bytes of a picture in a format, and the picture that it is read as."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, form, **options)
    decoded = np.asarray(Image.open(file).convert("RGB" if picture.ndim == 3 else "L"))
    return file.getbuffer().nbytes, decoded


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
