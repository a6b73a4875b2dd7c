"""Remove noise from a photograph, with a model of tiles of its other half and of another one."""

from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_sample_image

import attar
from attar.corruptions import GaussianNoise

matplotlib.use("Agg")

TILE, NOISE = 8, 25 / 255

Picture = NDArray[np.float32]


def tiles_of(picture: Picture, number: int) -> Picture:
    """Return tiles from random places."""
    rng = np.random.default_rng(0)
    places = [[rng.integers(side - TILE + 1) for side in picture.shape[:2]] for _ in range(number)]
    return np.stack([picture[y : y + TILE, x : x + TILE] for y, x in places])


def decibels(clean: Picture, found: Picture) -> float:
    """Return the peak signal to noise ratio."""
    return float(10 * np.log10(1 / np.mean((found.clip(0, 1) - clean) ** 2)))


def draw(pictures: dict[str, Picture], path: str | Path) -> None:
    """Draw pictures side by side."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(pictures), figsize=(11, 3.4))
    for axis, (title, picture) in zip(axes, pictures.items(), strict=True):
        axis.imshow(picture.clip(0, 1))
        axis.set(title=title, xticks=[], yticks=[])
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    plt.close(figure)


def main(
    picture: str | Path = "clean_picture.png", tiles: int = 20_000, epochs: int | str = "auto"
) -> tuple[float, float]:
    """Return the decibels of a part of a photograph, noisy and clean."""
    china, flower = (
        load_sample_image(name).astype(np.float32) / 255 for name in ("china.jpg", "flower.jpg")
    )
    known, clean = (china[:, :380], flower), china[120:312, 384:]
    ae = attar.Autoencoder(
        code_size=TILE * TILE * 3,  # noise, not a narrow code, keeps it from copying
        corruption=GaussianNoise(NOISE),
        epochs=epochs,
        random_state=0,
    ).fit(np.concatenate([tiles_of(each, tiles) for each in known]))
    noisy = clean + NOISE * np.random.default_rng(0).normal(size=clean.shape).astype(np.float32)
    found = ae.denoise(noisy[None])[0]
    before, after = decibels(clean, noisy), decibels(clean, found)
    print(f"{before:.1f} dB with noise, {after:.1f} dB without")
    draw({f"noisy, {before:.1f} dB": noisy, f"{after:.1f} dB": found, "original": clean}, picture)
    return before, after


if __name__ == "__main__":
    main()
