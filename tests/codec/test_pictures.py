"""Pictures of any sizes come back, by a model of tiles."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import attar
from attar.codec import pictures as module
from attar.codec.integer import LARGEST, on_integers
from attar.codec.literals import LiteralWriter
from attar.codec.pictures import PictureValues, in_pieces
from attar.data.images import Images
from attar.errors import DataError, FileError
from attar.likelihoods import Causal
from attar.likelihoods.intensities import Intensities, are_smooth, predicted

rng = np.random.default_rng(0)
SMALL = Causal(window=(3, 5), width=8, layers=1, hidden=16)


def smooth(height, width, *channels, dtype="uint8"):
    """Return a picture of gentle slopes, with little noise."""
    top = np.iinfo(dtype).max
    y, x = np.linspace(0, 3, height)[:, None], np.linspace(0, 3, width)
    waves = 0.5 + 0.4 * np.sin(y + rng.normal()) * np.cos(x + rng.normal())
    waves = waves[..., None] + rng.normal(0, 0.004, (height, width, *(channels or (1,))))
    picture = (top * waves.clip(0, 1)).astype(dtype)
    return picture if channels else picture[..., 0]


@pytest.fixture(scope="module", params=["grey", "colour", "fine"])
def model(request, tmp_path_factory):
    """Return a model of tiles of 8 x 8, and pictures of its pixel format."""
    folder = tmp_path_factory.mktemp(request.param)
    channels, dtype = {"colour": (3,)}.get(request.param, ()), "uint8"
    dtype = "uint16" if request.param == "fine" else "uint8"
    for i in range(6):
        Image.fromarray(smooth(24, 32 + i, *channels, dtype=dtype)).save(folder / f"{i}.png")
    tiles = attar.Pictures(folder, tile=8)
    ae = attar.Autoencoder("lossless", epochs=1, random_state=0, verbose=False, likelihood=SMALL)
    sizes = [(30, 20), (30, 20), (9, 40), (1, 1), (2, 3)]
    return ae.fit(tiles), [smooth(*size, *channels, dtype=dtype) for size in sizes]


def test_pictures_of_any_sizes_come_back(model):
    ae, pictures = model
    assert all(isinstance(one, Intensities) for one in ae.fitted_.likelihood.alphabets)
    codec = attar.Codec(ae)
    data = codec.compress(pictures)
    found = codec.decompress(data)
    assert [one.dtype for one in found] == [one.dtype for one in pictures]
    assert all(map(np.array_equal, found, pictures))
    assert len(data) < 0.9 * sum(one.nbytes for one in pictures)
    rate = codec.rate(pictures[3:])
    cells = sum(one.size for one in pictures[3:])
    assert rate.bits_per_dimension == pytest.approx(8 * rate.bytes / cells)
    # Tiles are compressed as any images are.
    tiles = np.stack([picture[:8, :8] for picture in pictures[:2]])
    np.testing.assert_array_equal(codec.decompress(codec.compress(tiles)), tiles)


def test_a_folder_comes_back_with_its_names(model, tmp_path):
    ae, pictures = model
    for name, picture in zip("ab", pictures[1:], strict=False):
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
    codec = attar.Codec(ae)
    codec.compress_file(tmp_path, tmp_path / "x.atz", with_model=True)
    archive = attar.open(tmp_path / "x.atz")
    assert archive.values.names == ["a.png", "b.png"]
    (second,) = archive[1:2]
    np.testing.assert_array_equal(second, pictures[2])


def test_pictures_of_another_format_are_refused(model):
    ae, pictures = model
    codec = attar.Codec(ae)
    with pytest.raises(DataError, match="not of the model's pixel format"):
        codec.compress([pictures[0].astype("float32")])
    with pytest.raises(DataError, match="not of the model's pixel format"):
        codec.compress([pictures[0][..., None][..., [0, 0]]])


def test_pictures_of_one_size_are_compressed_at_once(monkeypatch):
    monkeypatch.setattr(module, "CELLS", 30)
    shapes = [(2, 5), (2, 5), (2, 5), (2, 5), (5, 2), (9, 9), (9, 9)]
    pieces = in_pieces((np.zeros(shape) for shape in shapes), rows=100)
    assert [len(piece) for piece in pieces] == [3, 1, 1, 1, 1]
    assert list(in_pieces(iter([]), 5)) == []


def test_a_size_beyond_memory_is_damage():
    values = PictureValues(Images((4, 4), "uint8", tiled=True), [Intensities()])
    for size in ((1 << 20, 1 << 20), (0, 5)):
        writer = LiteralWriter()
        for side in size:
            writer.number(side)
        with pytest.raises(FileError, match="damaged"):
            values.opened(1, writer.finish())


def test_predictions_are_those_of_the_median_edge_detector():
    x = rng.integers(0, 256, (2, 3, 4, 5))
    local, expected = (part.numpy() for part in predicted(torch.from_numpy(x), 256))
    for n, c, i, j in np.ndindex(*x.shape):
        left = x[n, c, i, j - 1] if j else x[n, c, i - 1, 0] if i else 0
        above = x[n, c, i - 1, j] if i else left
        corner = x[n, c, i - 1, j - 1] if i and j else above
        if corner >= max(left, above):
            guess = min(left, above)
        elif corner <= min(left, above):
            guess = max(left, above)
        else:
            guess = left + above - corner
        assert local[n, c, i, j] == guess
        missed = x[n, c - 1, i, j] - local[n, c - 1, i, j] if c else 0
        assert expected[n, c, i, j] == np.clip(guess + missed, 0, 255)


@pytest.mark.parametrize("levels", [256, 1 << 16])
def test_differences_of_levels_keep_within_the_bounds_of_sums(levels):
    module = Causal((Intensities(levels),), (3, 5), 4, 1, 8).build()
    layers = replace(module.layers(), limits=[1.0] * 3)
    network, _ = on_integers(layers, torch.zeros(1, 4, 1, 1))
    (table,), seen = network.inputs.tables, network.inputs.differences
    assert table[:-1, 0].max() - table[:-1, 0].min() <= LARGEST
    assert (table[:-1, 1] > 0).all()
    assert (table[-1] == 0).all()
    assert seen.abs().max() <= LARGEST
    assert (seen.sign() == torch.arange(-(levels - 1), levels + 1).sign()).all()


def test_natural_images_are_smooth_and_drawings_are_not():
    natural = np.stack([smooth(20, 20) for _ in range(5)])[:, None]
    assert are_smooth(natural)
    shuffled = rng.permuted(natural.reshape(5, -1), axis=1).reshape(natural.shape)
    assert not are_smooth(shuffled)
    drawings = np.zeros((5, 1, 20, 20), np.int64)
    drawings[:, :, 5:9, ::3] = 255
    assert not are_smooth(drawings)
