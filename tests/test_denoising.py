"""Noise is removed from pictures of any size, by tiles that overlap, and from all other data."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import attar
from attar.corruptions import GaussianNoise
from attar.data.images import Images
from attar.denoising import noise_level, tiles_of
from attar.errors import DataError

NOISE = 20.0


def waves(n, height, width, seed, channels=3):
    """Return smooth pictures of slanted waves, as bytes."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    made = []
    for _ in range(n):
        a, b, phase = rng.uniform(-0.6, 0.6), rng.uniform(-0.6, 0.6), rng.uniform(0, 6, channels)
        made.append(128 + 90 * np.sin(a * y[..., None] + b * x[..., None] + phase))
    return np.array(made).round().astype(np.uint8)


def noisy(pictures, seed):
    noise = np.random.default_rng(seed).normal(0, NOISE, pictures.shape)
    return (pictures + noise).clip(0, 255).round().astype(np.uint8)


def error(a, b):
    return float(np.mean((np.asarray(a, float) - b) ** 2))


@pytest.fixture(scope="module")
def tiles():
    """A model of tiles of 6 x 6 pixels, trained with noise; their values span 180."""
    return attar.Autoencoder(
        code_size=27, corruption=GaussianNoise(NOISE / 180), epochs=12, random_state=0
    ).fit(waves(3000, 6, 6, 0))


def test_pictures_of_any_size_lose_their_noise(tiles):
    pictures = waves(2, 31, 20, 1)
    spoilt = noisy(pictures, 2)
    clean = tiles.denoise(spoilt)
    assert (clean.shape, clean.dtype) == (pictures.shape, np.uint8)
    assert error(clean, pictures) < 0.15 * error(spoilt, pictures)
    # One tile alone knows less than all that overlap.
    corner = tiles.reconstruct(spoilt[:, 12:18, 6:12])
    own = error(corner, pictures[:, 12:18, 6:12])
    assert error(clean[:, 12:18, 6:12], pictures[:, 12:18, 6:12]) < own


def test_lists_folders_and_pictures_of_the_size_of_a_tile(tiles, tmp_path):
    unlike = [noisy(waves(1, 9, 12, 3), 4)[0], noisy(waves(1, 6, 7, 5), 6)[0]]
    found = tiles.denoise(unlike)
    assert [picture.shape for picture in found] == [(9, 12, 3), (6, 7, 3)]
    np.testing.assert_array_equal(found[0], tiles.denoise(unlike[0][None])[0])
    small = noisy(waves(4, 6, 6, 7), 8)
    np.testing.assert_array_equal(tiles.denoise(small), tiles.reconstruct(small))
    with pytest.raises(DataError, match="5 x 9 pixels is smaller than the images of 6 x 6"):
        tiles.denoise(np.zeros((1, 5, 9, 3), np.uint8))
    with pytest.raises(DataError, match="other channels"):
        tiles.denoise([np.zeros((9, 9), np.uint8)])
    with pytest.raises(DataError, match="other channels"):
        tiles.denoise([np.zeros((9, 9, 4), np.uint8)])


def test_more_noise_than_in_training_is_told(tiles):
    picture = waves(1, 40, 40, 9)
    much = picture + np.random.default_rng(0).normal(0, 3 * NOISE, picture.shape)
    with pytest.warns(attar.AttarWarning, match=r"deviation of about [56]\d.*, and .* with 20"):
        tiles.denoise(much)


def test_tables_and_series_are_reconstructed():
    rng, t = np.random.default_rng(0), np.arange(1500)
    clean = np.stack([np.sin(t / 9), np.cos(t / 9)], 1)
    spoilt = clean + 0.35 * rng.normal(size=clean.shape)
    settings = {"corruption": GaussianNoise(0.5), "epochs": 5, "random_state": 0}
    frame = pd.DataFrame(clean[:1000], columns=["a", "b"])
    series = attar.Autoencoder(**settings).fit(attar.Series(frame, window=32))
    found = series.denoise(pd.DataFrame(spoilt[1000:], columns=["a", "b"]))
    assert error(found, clean[1000:]) < 0.1 * error(spoilt[1000:], clean[1000:])
    rows = clean[:, :1] @ rng.normal(size=(1, 8))
    table = attar.Autoencoder(code_size=1, **settings).fit(rows[:1000])
    spoilt = rows + 0.3 * rows.std(0) * rng.normal(size=rows.shape)
    # One component of eight keeps an eighth of the noise.
    assert error(table.denoise(spoilt), rows) < 0.16 * error(spoilt, rows)


@pytest.mark.parametrize(
    ("size", "first", "shape"),
    [((4, 6, 3), False, (9, 13, 3)), ((3, 4, 6), True, (3, 9, 13)), ((4, 6), False, (9, 13))],
)
def test_tiles_cover_each_pixel_and_keep_their_places(size, first, shape):
    kind = Images(size, "float64", first=first)
    picture = np.random.default_rng(0).random(shape)
    places, whole, tiles = tiles_of(picture, kind)
    assert whole == (9, 13)
    covered = np.zeros(whole, int)
    for (y, x), tile in zip(places, tiles, strict=True):
        cut = (slice(y, y + 4), slice(x, x + 6))
        covered[cut] += 1
        np.testing.assert_array_equal(tile, picture[(slice(None), *cut) if first else cut])
    assert covered.min() >= 1
    assert covered[4:5, 6].item() >= 6


def test_the_noise_of_a_picture_is_estimated_beside_its_edges():
    picture = np.kron(np.random.default_rng(0).integers(0, 255, (8, 9)), np.ones((16, 16)))
    for level in (2.0, 30.0):
        noise = np.random.default_rng(1).normal(0, level, picture.shape)
        assert noise_level(picture + noise) == pytest.approx(level, rel=0.05)
    assert noise_level(picture) == 0.0


def test_tiles_have_a_code_as_large_as_they_are_where_noise_is_removed(tmp_path):
    from PIL import Image

    for i, picture in enumerate(waves(3, 40, 40, 10)):
        Image.fromarray(picture).save(tmp_path / f"{i}.png")
    folder = attar.Pictures(tmp_path, tile=4)
    settings = {"epochs": 1, "random_state": 0}
    noisy_input = attar.Autoencoder(corruption="gaussian-noise", **settings).fit(folder)
    assert noisy_input.fitted_.predictor.code_size == 48
    assert attar.Autoencoder(**settings).fit(folder).fitted_.predictor.code_size < 48
    assert [p.shape for p in noisy_input.denoise(attar.Pictures(tmp_path))] == [(40, 40, 3)] * 3
