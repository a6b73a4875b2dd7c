"""Pictures at a quality: attar beside JPEG, WebP, JPEG XL and AVIF, by bytes at equal PSNR.

``--data photos``: 60 of the photographs, of which the other 240 train attar. ``--data mosaics``:
MNIST's test digits, 16 x 16 in a picture, and its training digits. Each picture is a file of its
own, of which all bytes count. A curve has for each quality the mean of bits a pixel and of PSNR
over all pictures; the BD-rate is the mean difference of the logarithm of bits at equal PSNR, where
both curves are, from ``--low`` to ``--high`` bits a pixel of the peer. attar is trained for
``--minutes``, or read from ``--model``; ``--pictures`` of the test are compressed.
"""

from __future__ import annotations

import io
import time
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.interpolate import PchipInterpolator

from benchmarks._common import arguments, in_fresh_process, mnist, report
from benchmarks.defaults import folder

Picture = NDArray[np.uint8]

QUALITIES = (3, 6, 10, 15, 20, 30, 40, 50, 60, 70, 80, 88, 94)
PEERS: dict[str, tuple[str, dict[str, Any]]] = {
    "JPEG 4:2:0": ("JPEG", {"optimize": True, "progressive": True}),
    "JPEG 4:4:4": ("JPEG", {"optimize": True, "progressive": True, "subsampling": 0}),
    "WebP": ("WEBP", {"method": 6}),
    "JPEG XL": ("JXL", {"effort": 7}),
    "AVIF": ("AVIF", {"speed": 4}),
}
HELD_OUT, SIDE = 60, 16


def photographs() -> tuple[list[Picture], list[Picture]]:
    """Return 240 photographs for training, and 60 others."""
    paths = sorted((folder() / "photos").glob("*.jpg"))
    order = np.random.default_rng(0).permutation(len(paths))
    pictures = [np.asarray(Image.open(paths[i]).convert("RGB")) for i in order]
    return pictures[:-HELD_OUT], pictures[-HELD_OUT:]


def mosaics(part: str, side: int) -> list[Picture]:
    """Return pictures of side x side digits."""
    digits = mnist(part)
    digits = digits[: len(digits) // side**2 * side**2].reshape(-1, side, side, 28, 28)
    return list(digits.transpose(0, 1, 3, 2, 4).reshape(len(digits), 28 * side, 28 * side))


def psnr(picture: Picture, decoded: Picture) -> float:
    """Return the peak signal-to-noise ratio in dB."""
    error = np.square(picture.astype(float) - decoded).mean()
    return float(10 * np.log10(255**2 / max(error, 1e-3)))


def curve(points: list[list[tuple[float, float]]]) -> list[tuple[float, float]]:
    """Return the means of pictures at each quality."""
    return [tuple(np.mean(of_quality, 0).tolist()) for of_quality in points]


def peer_curve(peer: str, data: str, pictures: int) -> list[tuple[float, float]]:
    """Return bits a pixel and PSNR of a peer at each quality."""
    if peer == "JPEG XL":
        import pillow_jxl  # noqa: F401  # which registers the format
    form, options = PEERS[peer]
    points = []
    for quality in QUALITIES:
        found = []
        for picture in test_pictures(data)[:pictures]:
            file = io.BytesIO()
            Image.fromarray(picture).save(file, form, quality=quality, **options)
            mode = "RGB" if picture.ndim == 3 else "L"
            decoded = np.asarray(Image.open(file).convert(mode))
            bits = 8 * file.getbuffer().nbytes / (picture.shape[0] * picture.shape[1])
            found.append((bits, psnr(picture, decoded)))
        points.append(found)
    return curve(points)


def test_pictures(data: str) -> list[Picture]:
    """Return the pictures that are compressed."""
    return photographs()[1] if data == "photos" else mosaics("test", SIDE)


def attar_curve(data: str, pictures: int, minutes: float, model: str) -> dict[str, Any]:
    """Return the curve of attar, and its seconds."""
    import attar

    started = time.perf_counter()
    if model:
        ae = attar.load(model)
    else:
        ae = attar.Autoencoder("picture-codec", max_minutes=minutes, random_state=0)
        ae.fit(tiles() if data == "photos" else np.stack(mosaics("train", 4)))
    trained, codec, points = time.perf_counter(), attar.PictureCodec(ae), []
    seconds = {"encode": 0.0, "decode": 0.0}
    for quality in (1, 8, 16, 25, 35, 45, 55):
        found = []
        for picture in test_pictures(data)[:pictures]:
            begin = time.perf_counter()
            coded = codec.compress(picture, quality=quality)
            middle = time.perf_counter()
            decoded = codec.decompress(coded)
            seconds["encode"] += middle - begin
            seconds["decode"] += time.perf_counter() - middle
            bits = 8 * len(coded) / (picture.shape[0] * picture.shape[1])
            found.append((bits, psnr(picture, decoded)))
        points.append(found)
    pixels = len(points) * sum(p.shape[0] * p.shape[1] for p in test_pictures(data)[:pictures])
    speeds = {f"{name}_s_a_megapixel": 1e6 * s / pixels for name, s in seconds.items()}
    return {"curve": curve(points), "train_s": trained - started, **speeds}


def tiles() -> NDArray[np.uint8]:
    """Return tiles of the training photographs, of 128 x 128 pixels."""
    return np.stack(
        [
            picture[top : top + 128, left : left + 128]
            for picture in photographs()[0]
            for top in (*range(0, picture.shape[0] - 128, 128), picture.shape[0] - 128)
            for left in (*range(0, picture.shape[1] - 128, 128), picture.shape[1] - 128)
        ]
    )


def bd_rate(
    curve: list[tuple[float, float]], peer: list[tuple[float, float]], low: float, high: float
) -> float:
    """Return the mean change of bits at equal PSNR from a peer's curve to another."""
    bits, found = (np.array(column) for column in zip(*sorted(peer), strict=True))
    ends = PchipInterpolator(np.log(bits), found)(np.log(np.clip([low, high], bits[0], bits[-1])))
    of_peer, of_other = (
        PchipInterpolator(*zip(*sorted((p, np.log(b)) for b, p in points), strict=True))
        for points in (peer, curve)
    )
    shared = [p for _, p in curve]
    grid = np.linspace(max(ends[0], min(shared)), min(ends[1], max(shared)), 200)
    return float(np.expm1((of_other(grid) - of_peer(grid)).mean()))


def main() -> None:
    options = arguments(
        __doc__,
        data="photos",
        pictures=60,
        minutes=60,
        model="",
        low="0.15",
        high="1",
        peers=",".join(PEERS),
    )
    found = in_fresh_process(
        attar_curve, options.data, options.pictures, options.minutes, options.model
    )
    compared = partial(bd_rate, low=float(options.low), high=float(options.high))
    curves: dict[str, list[tuple[float, float]]] = {"attar": found["curve"]}
    for peer in (peer for peer in options.peers.split(",") if peer):
        curves[peer] = in_fresh_process(peer_curve, peer, options.data, options.pictures)
    table = [
        {"": name, "BD-rate of attar": compared(found["curve"], points) if name != "attar" else 0.0}
        for name, points in curves.items()
    ]
    report({"curves": curves, **found}, table, options.json, "pillow", "pillow-jxl-plugin")


if __name__ == "__main__":
    main()
