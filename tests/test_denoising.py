"""Noise is removed from pictures of any size, by tiles that overlap, and from all other data."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

import attar
from attar.corruptions import GaussianNoise, Shrinkage
from attar.data.images import Images
from attar.denoising import tiles_of
from attar.errors import DataError, SettingError
from attar.evaluation.noise import noise_level, patches_of

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
    corrupted = noisy(pictures, 2)
    clean = tiles.denoise(corrupted)
    assert (clean.shape, clean.dtype) == (pictures.shape, np.uint8)
    assert error(clean, pictures) < 0.15 * error(corrupted, pictures)
    # One tile alone knows less than all that overlap.
    corner = tiles.reconstruct(corrupted[:, 12:18, 6:12])
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


def test_noise_unlike_that_of_the_training_is_warned_of(tiles):
    picture = waves(1, 40, 40, 9)
    much = picture + np.random.default_rng(0).normal(0, 3 * NOISE, picture.shape)
    with pytest.warns(attar.AttarWarning, match=r"stronger than in training, (2.[789]|3) times"):
        tiles.denoise(much)
    with pytest.warns(attar.AttarWarning, match="weaker than in training"):
        tiles.denoise(picture)


def test_tables_and_series_lose_their_noise():
    rng, t = np.random.default_rng(0), np.arange(1500)
    clean = np.stack([np.sin(t / 9), np.cos(t / 9)], 1)
    corrupted = clean + 0.35 * rng.normal(size=clean.shape)
    settings = {"recipe": "denoising", "epochs": 5, "random_state": 0}
    frame = pd.DataFrame(clean[:1000], columns=["a", "b"])
    series = attar.Autoencoder(network="mlp", **settings).fit(attar.Series(frame, window=32))
    found = series.denoise(pd.DataFrame(corrupted[1000:], columns=["a", "b"]))
    assert error(found, clean[1000:]) < 0.1 * error(corrupted[1000:], clean[1000:])
    rows = clean[:, :1] @ rng.normal(size=(1, 8))
    table = attar.Autoencoder(code_size=1, **settings).fit(rows[:1000])
    corrupted = rows + 0.3 * rows.std(0) * rng.normal(size=rows.shape)
    # One component of eight keeps an eighth of the noise.
    assert error(table.denoise(corrupted), rows) < 0.16 * error(corrupted, rows)


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


def textures():
    """Return a picture of blocks, each with a grating of its own."""
    rng = np.random.default_rng(0)
    blocks = rng.integers(40, 200, (8, 9))
    picture = np.kron(blocks, np.ones((24, 24)))
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]]
    a, b = (np.kron(rng.uniform(-0.9, 0.9, blocks.shape), np.ones((24, 24))) for _ in range(2))
    return picture + 30 * np.sin(a * x + b * y)


@pytest.mark.parametrize("level", [5.0, 15.0, 50.0])
def test_the_level_of_noise_is_estimated_in_textures(level):
    picture = textures()
    noisy = picture + np.random.default_rng(1).normal(0, level, picture.shape)
    assert noise_level(patches_of(noisy[None, None])) == pytest.approx(level, rel=0.05)


def test_the_level_of_noise_is_that_of_the_smallest_variances():
    rng = np.random.default_rng(0)
    clean = rng.normal(size=(5000, 4)) @ rng.normal(size=(4, 12))
    assert noise_level(clean) == pytest.approx(0, abs=1e-6)
    for level in (0.01, 0.5, 2.0):
        rows = clean + rng.normal(scale=level, size=clean.shape)
        assert noise_level(rows) == pytest.approx(level, rel=0.02)
    assert np.isnan(noise_level(clean[:23]))
    # 30% of the pixels are white: noise is cut off there, and is not in these patches.
    picture = textures()
    picture[:, :60] = 255
    noisy = (picture + rng.normal(scale=10, size=picture.shape)).clip(0, 255)
    assert noise_level(patches_of(noisy[None, None])) == pytest.approx(10, rel=0.05)


def test_shrinkage_starts_at_the_wiener_filter():
    rng = np.random.default_rng(0)
    variances, (vectors, _) = np.array([4.0, 1.0, 0.1]), np.linalg.qr(rng.normal(size=(3, 3)))
    encoder = torch.from_numpy(vectors.T / np.sqrt(variances)[:, None])
    shrinkage, x = Shrinkage(3, low=0.5, high=1.0).double(), rng.normal(size=3)
    shrinkage.start(encoder)
    covariance = vectors @ np.diag(variances) @ vectors.T
    for level in (None, 0.0, 2.0):
        given = None if level is None else torch.tensor([[level]]).double()
        code = shrinkage((encoder @ torch.from_numpy(x))[None], given)[0].detach().numpy()
        noise = 0.5**2 if level is None else level**2
        wiener = covariance @ np.linalg.solve(covariance + noise * np.eye(3), x)
        np.testing.assert_allclose((vectors * np.sqrt(variances)) @ code, wiener, rtol=1e-6)


@pytest.fixture(scope="module")
def gaussian():
    """A linear model of Gaussian rows in two units, fitted without noise, and the variances."""
    rng = np.random.default_rng(0)
    variances, units = 2.0 ** -np.arange(6), np.array([1.0, 1.0, 1.0, 100.0, 100.0, 100.0])
    # By Hadamard-like signs every column has the same variance, so scaling keeps the components.
    basis = np.linalg.qr(np.cos(np.pi * np.outer(np.arange(6) + 0.5, np.arange(6)) / 6))[0]
    rows = (rng.normal(size=(20_000, 6)) * np.sqrt(variances)) @ basis.T
    ae = attar.Autoencoder("denoising", network="linear", code_size=6, epochs=15, random_state=0)
    return ae.fit(rows[:10_000] * units), rows[10_000:], units


@pytest.mark.parametrize("level", [0.1, 0.25, 0.45])
def test_a_linear_model_is_the_wiener_filter_at_levels_that_it_was_not_given(gaussian, level):
    ae, rows, units = gaussian
    scale = rows.std(0)
    noise = level * scale * np.random.default_rng(1).normal(size=rows.shape)
    found = ae.denoise((rows + noise) * units) / units
    values = np.linalg.eigvalsh(np.cov((rows / scale).T))
    wiener = (values * level**2 / (values + level**2)).mean()
    assert error(found / scale, rows / scale) == pytest.approx(wiener, rel=0.03)


def test_a_level_has_the_units_of_the_data(gaussian):
    ae, rows, units = gaussian
    rows, predictor = rows[:300] * units, ae.fitted_.predictor
    scale = predictor.preparation.scaler.scale.numpy()
    expected = predictor.restore(predictor.encode(rows, 0.3))
    np.testing.assert_allclose(ae.denoise(rows, level=0.3 * scale), expected, atol=1e-5)
    # One number for columns of many units is far too much for some.
    with pytest.warns(attar.AttarWarning, match="stronger than in training"):
        ae.denoise(rows, level=100.0)
    # Clean rows of full rank have no noise, although none of their variances is small.
    np.testing.assert_allclose(ae.denoise(rows), ae.reconstruct(rows), atol=0.05 * scale.max())


def test_bad_levels_and_data_are_refused(gaussian):
    ae, rows, units = gaussian
    for level in (-1.0, 0, np.nan, np.inf, "much", [1.0, 2.0], [1.0] * 5 + [-1.0]):
        with pytest.raises(SettingError, match="level of noise must be a number above 0"):
            ae.denoise(rows * units, level=level)
    with pytest.raises(DataError, match=r"noise in 1 row cannot be estimated.*give level="):
        ae.denoise(rows[:1] * units)
    assert ae.denoise(rows[:1] * units, level=0.3 * units * rows.std(0)).shape == (1, 6)
    plain = attar.Autoencoder(code_size=2, epochs=1, random_state=0).fit(rows[:100])
    with pytest.raises(SettingError, match="fitted without Gaussian noise"):
        plain.denoise(rows, level=0.1)
    with pytest.warns(attar.AttarWarning, match="fit with recipe='denoising'"):
        np.testing.assert_array_equal(plain.denoise(rows), plain.reconstruct(rows))
    counts = sparse.random_array((50, 9), density=0.3, format="csr", random_state=0)
    with pytest.raises(DataError, match="Sparse data have no Gaussian noise"):
        attar.Autoencoder("denoising", epochs=1, random_state=0).fit(counts).denoise(counts)


def test_a_model_of_any_level_is_as_good_as_one_of_that_level(tiles):
    settings = {"code_size": 27, "epochs": 12, "random_state": 0}
    ae = attar.Autoencoder("denoising", **settings).fit(waves(3000, 6, 6, 0))
    pictures = waves(3, 31, 40, 1)
    corrupted = noisy(pictures, 2)
    errors = [error(model.denoise(corrupted), pictures) for model in (ae, tiles)]
    assert 10 * np.log10(errors[0] / errors[1]) < 0.5
    # At a third of the level the other one blurs.
    little = (pictures + np.random.default_rng(0).normal(0, NOISE / 4, pictures.shape)).clip(0, 255)
    assert error(ae.denoise(little), pictures) < 0.5 * error(little, pictures)


def test_noise_that_was_cut_off_is_warned_of():
    digits = np.kron(np.eye(6)[np.random.default_rng(0).integers(0, 6, (400, 3))], np.ones((3, 2)))
    ae = attar.Autoencoder("denoising", epochs=2, random_state=0).fit(digits)
    noisy = digits + np.random.default_rng(1).normal(0, 0.3, digits.shape)
    with pytest.warns(attar.AttarWarning, match=r"\d\d% of the pixels .* cut off"):
        ae.denoise(noisy.clip(0, 1))


def test_tiles_have_a_code_as_large_as_they_are_where_noise_is_removed(tmp_path):
    from PIL import Image

    for i, picture in enumerate(waves(3, 40, 40, 10)):
        Image.fromarray(picture).save(tmp_path / f"{i}.png")
    folder = attar.Pictures(tmp_path, tile=4)
    settings = {"epochs": 1, "random_state": 0}
    denoising = attar.Autoencoder("denoising", **settings).fit(folder)
    assert denoising.fitted_.predictor.code_size == 48
    assert attar.Autoencoder(**settings).fit(folder).fitted_.predictor.code_size < 48
    assert [p.shape for p in denoising.denoise(attar.Pictures(tmp_path))] == [(40, 40, 3)] * 3
