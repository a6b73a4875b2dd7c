"""What a codec of pictures makes of some of them: curves, and pictures of the differences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

import numpy as np

from attar.data.images import Images
from attar.data.kind import Rows
from attar.picture_codec import PictureCodec
from attar.rate_distortion import Curve, Pixels, bd_rate, curve_of, curves_of_formats, psnr
from attar.reporting import svg
from attar.reporting.html import captioned, legend, tag
from attar.reporting.images import picture
from attar.reporting.scale import Scale

if TYPE_CHECKING:
    from attar.estimator import Autoencoder

# So many pictures are coded for the curves, and shown at these qualities. Differences are shown so
# many times as large.
CODED, SHOWN, QUALITIES, TIMES = 8, 2, (1, 25, 60), 8
TONES = ("first", "second", "c1", "c3", "c5")


def pixels_of(kind: Images, rows: Rows) -> list[Pixels]:
    """Return the first of raw rows (n, C, H, W) as pictures; none that Pillow does not write."""
    if kind.dtype != "uint8" or kind.shape[0] not in (1, 3):
        return []
    some = np.asarray(rows[:CODED], np.uint8)
    return list(
        some[:, 0] if kind.shape[0] == 1 else np.ascontiguousarray(some.transpose(0, 2, 3, 1))
    )


def qualities(estimator: Autoencoder, rows: Rows) -> list[Element]:
    """Return curves of quality against bytes of raw rows (n, C, H, W), and coded pictures."""
    kind = estimator.fitted_.kind
    assert isinstance(kind, Images)
    pictures = pixels_of(kind, rows)
    if not pictures:
        return []
    codec = PictureCodec(estimator)
    curves = [curve_of(codec, _given(kind, pictures)), *curves_of_formats(pictures)]
    return [
        captioned(_chart(curves), _words(curves, pictures)),
        *(_compared(codec, one, i) for i, one in enumerate(pictures[:SHOWN], 1)),
    ]


def _given(kind: Images, pictures: Sequence[Pixels]) -> list[Pixels]:
    """Return pictures as the codec takes them."""
    if len(kind.size) == 2:
        return list(pictures)
    three = [one if one.ndim == 3 else one[..., None] for one in pictures]
    return [one.transpose(2, 0, 1) for one in three] if kind.first else three


def _chart(curves: Sequence[Curve]) -> Element:
    ours = curves[0]
    most = 1.05 * max(ours.bits)
    low, high = min(ours.decibels) - 1, max(ours.decibels) + 1
    axes = svg.Axes(Scale.over(0, most, "bits a pixel"), Scale.around([low, high], "PSNR, dB"))
    marks = []
    for tone, curve in zip(TONES, curves, strict=False):
        points = [
            (x, y)
            for x, y in zip(curve.bits, curve.decibels, strict=True)
            if x <= most and axes.y.low <= y <= axes.y.high
        ]
        if points:
            xs, ys = zip(*points, strict=True)
            marks.append(axes.line(xs, ys, f"line {tone}"))
            marks += [axes.dot(x, y, f"dot {tone}", 3) for x, y in points]
    names = ", ".join(curve.name for curve in curves[1:])
    figure = axes.figure(f"PSNR against bits a pixel, of attar, {names}.", *marks)
    names_of_tones = list(zip(TONES, (curve.name for curve in curves), strict=False))
    return tag("div", legend(names_of_tones), figure, class_="curves")


def _words(curves: Sequence[Curve], pictures: Sequence[Pixels]) -> str:
    ours, *others = curves
    rates = [(bd_rate(ours, other), other.name) for other in others]
    found = [
        f"{abs(r):.0%} {'fewer' if r < 0 else 'more'} than {name}" for r, name in rates if r == r
    ]
    size = f"{pictures[0].shape[0]} x {pictures[0].shape[1]}"
    words = (
        f"Means of {len(pictures)} images of {size} pixels, each a file of its own: small files "
        "are mostly headers."
    )
    return f"{words} Bytes at equal PSNR (BD-rate): {', '.join(found)}." if found else words


def _compared(codec: PictureCodec, original: Pixels, number: int) -> Element:
    """Return a picture, and it coded at several qualities, with the differences."""
    (given,) = _given(codec.kind, [original])
    shown = [tag("div", picture(original, f"image {number}"), tag("span", "original"))]
    for quality in QUALITIES:
        coded = codec.coded(given, quality=quality)
        decoded = np.asarray(codec.decompress(coded), np.uint8)
        decoded = decoded.transpose(1, 2, 0) if codec.kind.first else decoded
        decoded = decoded.reshape(original.shape)
        difference = (128 + TIMES * (decoded.astype(int) - original)).clip(0, 255)
        words = (
            f"quality {quality}, {coded.bits_per_pixel:.2f} bits a pixel, "
            f"{psnr(original, decoded):.1f} dB"
        )
        shown.append(
            tag(
                "div",
                picture(np.ascontiguousarray(decoded), f"image {number} at {words}"),
                picture(difference.astype(np.uint8), f"its differences, {TIMES} times as large"),
                tag("span", f"{coded.bits_per_pixel:.2f} bits, {psnr(original, decoded):.1f} dB"),
            )
        )
    listed = ", ".join(map(str, QUALITIES))
    return captioned(
        tag("div", *shown, class_="pictures large"),
        f"At qualities {listed}: the image, and below it the differences, {TIMES} times as large.",
    )
