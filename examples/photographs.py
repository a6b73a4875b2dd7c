"""Compress a part of a photograph in fewer bytes than JPEG takes for the same error."""

import io
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_sample_image

import attar

matplotlib.use("Agg")

TILE, JPEG_QUALITY = 64, 25

Picture = NDArray[np.uint8]


def tiles_of(picture: Picture, number: int) -> Picture:
    """Return tiles from random places."""
    rng = np.random.default_rng(0)
    places = [[rng.integers(side - TILE + 1) for side in picture.shape[:2]] for _ in range(number)]
    return np.stack([picture[y : y + TILE, x : x + TILE] for y, x in places])


def decibels(picture: Picture, decoded: Picture) -> float:
    """Return the peak signal-to-noise ratio."""
    return float(10 * np.log10(255**2 / np.square(picture.astype(float) - decoded).mean()))


def draw(pictures: dict[str, Picture], path: str | Path) -> None:
    """Draw pictures side by side."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(pictures), figsize=(11, 3.4))
    for axis, (title, picture) in zip(axes, pictures.items(), strict=True):
        axis.imshow(picture)
        axis.set(title=title, xticks=[], yticks=[])
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    plt.close(figure)


def main(
    picture: str | Path = "photographs.png",
    tiles: int = 2000,
    recipe: str | attar.Recipe = "picture-codec",
    epochs: int | str = "auto",
) -> dict[str, int]:
    """Fit on the left of one photograph and on another, and return the bytes of each way."""
    china, flower = (load_sample_image(name) for name in ("china.jpg", "flower.jpg"))
    ae = attar.Autoencoder(recipe, epochs=epochs, random_state=0)
    ae.fit(np.concatenate([tiles_of(each, tiles // 2) for each in (china[:, :380], flower)]))
    codec, original = attar.PictureCodec(ae), china[120:312, 384:]

    file = io.BytesIO()
    Image.fromarray(original).save(file, "jpeg", quality=JPEG_QUALITY, optimize=True)
    jpeg = np.asarray(Image.open(file))
    data = codec.compress(original, psnr=decibels(original, jpeg))
    decoded = codec.decompress(data)

    sizes = {"JPEG": file.getbuffer().nbytes, "attar": len(data)}
    pixels = original.shape[0] * original.shape[1]
    for (name, size), found in zip(sizes.items(), (jpeg, decoded), strict=True):
        bits, ratio = 8 * size / pixels, decibels(original, found)
        print(f"{name:5} {size:6,} bytes, {bits:.2f} bits a pixel, {ratio:.1f} dB")
    named = {
        f"{name}, {size:,} bytes": found
        for (name, size), found in zip(sizes.items(), (jpeg, decoded), strict=True)
    }
    draw({"original": original, **named}, picture)
    return sizes


if __name__ == "__main__":
    main()
