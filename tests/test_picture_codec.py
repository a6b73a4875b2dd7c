"""The codec of pictures: forms, sizes and qualities, what is asked for, and what is refused."""

import numpy as np
import pytest
import torch
from PIL import Image

import attar
from attar import picture_codec
from attar.codec import coded_pictures
from attar.codec.coded_pictures import CodedPictures
from attar.errors import ArchiveError, AttarWarning, DataError, FileError, SettingError
from attar.picture_codec import PictureCodec, open_pictures
from attar.recipes import recipe


def picture(height, width, seed=0, channels=3):
    """Return a smooth picture with edges and noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    angle = rng.uniform(0, 2, channels)
    waves = np.sin(np.multiply.outer(y / 7, angle) + np.multiply.outer(x / 5, 2 - angle))
    edges = ((y // 11 + x // 13) % 2)[..., None]
    noisy = 128 + 70 * waves + 40 * edges + rng.normal(0, 4, waves.shape)
    return noisy.clip(0, 255).astype(np.uint8)


def fitted(images, **settings):
    small = recipe("picture-codec").replace(code__hidden=16, network__hidden=16)
    ae = attar.Autoencoder(small, random_state=0, verbose=False, **settings)
    return PictureCodec(ae.fit(images))


@pytest.fixture(scope="module")
def codec():
    whole = [picture(64, 64, seed) for seed in range(3)]
    tiles = [p[y : y + 32, x : x + 32] for p in whole for y in (0, 32) for x in (0, 32)]
    return fitted(np.stack(tiles), epochs=3, batch_size=6)


@pytest.fixture(scope="module")
def grey():
    return fitted(np.stack([picture(16, 16, i, 1)[..., 0] for i in range(12)]), epochs=1)


def psnr(a, b):
    error = np.mean((np.asarray(a, float) - np.asarray(b, float)) ** 2)
    return 10 * np.log10(255**2 / max(error, 1e-9))


@pytest.mark.parametrize("size", [(1, 1), (3, 50), (41, 17), (64, 48)])
def test_a_picture_of_any_size_comes_back_as_it_was_coded(codec, size):
    given = picture(*size)
    data = codec.compress(given, quality=90)
    back = codec.decompress(data)
    assert (back.shape, back.dtype) == (given.shape, np.uint8)
    assert psnr(given, back) > 25
    np.testing.assert_array_equal(codec.decompress(data), back)


def test_pictures_come_back_in_the_form_they_were_given_in(codec):
    pictures = [picture(20, 30, 1), picture(20, 30, 2), picture(9, 12, 3)]
    alone = [codec.decompress(codec.compress(p)) for p in pictures]
    several = codec.decompress(codec.compress(pictures))
    stack = codec.decompress(codec.compress(np.stack(pictures[:2])))
    one = codec.decompress(codec.compress(np.stack(pictures[:1])))
    assert isinstance(several, list)
    for found, expected in zip(several, alone, strict=True):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(stack, np.stack(alone[:2]))
    np.testing.assert_array_equal(one, alone[0][None])


def test_files_and_folders_are_pictures(codec, tmp_path):
    (tmp_path / "in" / "more").mkdir(parents=True)
    first, second = picture(20, 30, 1), picture(15, 10, 2)
    Image.fromarray(first).save(tmp_path / "in" / "a.png")
    Image.fromarray(second).save(tmp_path / "in" / "more" / "b.png")
    alone = codec.decompress(codec.compress(first))
    file = codec.compress(tmp_path / "in" / "a.png")
    np.testing.assert_array_equal(codec.decompress(file), alone)
    folder = codec.coded(str(tmp_path / "in"))
    assert [stack.names for stack in folder.stacks] == [("a.png",), ("more/b.png",)]
    found = codec.decompress(folder)
    np.testing.assert_array_equal(found[0], alone)
    assert found[1].shape == second.shape
    tiles = attar.Pictures(tmp_path / "in", tile=8)
    assert codec.compress(tiles) == folder.to_bytes()


def test_grey_pictures_of_a_grey_model(grey):
    given = picture(21, 30, channels=1)[..., 0]
    back = grey.decompress(grey.compress(given, quality=80))
    assert back.shape == (21, 30)
    assert psnr(given, back) > 25


def test_a_higher_quality_takes_more_bytes_and_has_a_smaller_error(codec):
    given = picture(40, 56, 9)
    found = [codec.compress(given, quality=q) for q in (1, 25, 50, 75, 100)]
    lengths = list(map(len, found))
    errors = [psnr(given, codec.decompress(data)) for data in found]
    assert lengths == sorted(lengths)
    assert errors == sorted(errors)
    assert lengths[-1] > 3 * lengths[0]
    assert codec.compress(given) == found[2]
    assert CodedPictures.of(found[2]).quality == pytest.approx(50, abs=0.1)


@pytest.mark.parametrize("bpp", [0.8, 2.0])
def test_bits_a_pixel_are_at_most_those_asked_for_and_near(codec, bpp):
    given = picture(64, 64, 8)
    data = codec.compress(given, bpp=bpp)
    assert 0.97 * bpp < 8 * len(data) / 64**2 <= bpp
    assert CodedPictures.of(data).bits_per_pixel == 8 * len(data) / 64**2


def test_more_bits_than_pictures_take_are_the_highest_quality(codec):
    given = picture(20, 20, 8)
    assert codec.compress(given, bpp=50) == codec.compress(given, quality=100)
    assert codec.compress(given, psnr=1) == codec.compress(given, quality=1)


@pytest.mark.parametrize("wanted", [26, 33])
def test_the_psnr_is_at_least_that_asked_for_and_near(codec, wanted):
    given = [picture(32, 40, 8), picture(24, 24, 7)]
    back = codec.decompress(codec.compress(given, psnr=wanted))
    found = psnr(*(np.concatenate([p.ravel() for p in pictures]) for pictures in (given, back)))
    assert wanted <= found < wanted + 0.3


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (200, 10, 90)])
def test_pictures_of_one_colour_are_exact_in_a_few_bytes(codec, colour):
    given = np.tile(np.array(colour, np.uint8), (128, 1500, 1))
    with pytest.warns(AttarWarning, match="in parts of"):
        data = codec.compress(given)
    assert len(data) < 120
    np.testing.assert_array_equal(codec.decompress(data), given)
    np.testing.assert_array_equal(codec.decompress(data, layers=1), given)


def test_fewer_layers_are_coarser_and_a_cut_file_gives_them(codec):
    given = picture(64, 64, 5)
    data = codec.compress(given, quality=90)
    found = [codec.decompress(data, layers=n) for n in (1, 2, 3)]
    errors = [psnr(given, back) for back in found]
    assert errors == sorted(errors)
    assert errors[2] > errors[0] + 3
    np.testing.assert_array_equal(found[2], codec.decompress(data))
    first = len(CodedPictures.of(data).stacks[0].parts[0][0])
    cut = codec.decompress(data[: first + 60], layers=3)
    np.testing.assert_array_equal(cut, found[0])
    for end in (5, 12, 20):
        with pytest.raises(ArchiveError):
            codec.decompress(data[:end], layers=3)
    with pytest.raises(ArchiveError, match="cut"):
        codec.decompress(data[:-9])


def test_large_pictures_are_coded_in_parts(codec, monkeypatch):
    given = picture(50, 70, 4)
    for module in (coded_pictures, picture_codec):
        monkeypatch.setattr(module, "SIDE", 32)
    with pytest.warns(AttarWarning, match="coded in parts of 32 x 32"):
        coded = codec.coded(given, quality=90)
    assert len(coded.stacks[0].parts) == 6
    back = codec.decompress(coded.to_bytes())
    assert psnr(given, back) > 25
    np.testing.assert_array_equal(
        back[32:, :32], codec.decompress(codec.compress(given[32:, :32], quality=90))
    )


def test_many_pictures_are_coded_stack_by_stack(codec, monkeypatch):
    given = np.stack([picture(16, 16, i) for i in range(5)])
    whole = codec.decompress(codec.compress(given))
    monkeypatch.setattr(picture_codec, "PIXELS", 2 * given[0].size)
    coded = codec.coded(given)
    assert [len(stack.names) for stack in coded.stacks] == [2, 2, 1]
    np.testing.assert_array_equal(codec.decompress(coded), whole)


def test_bytes_do_not_depend_on_seeds_and_threads(codec):
    given, before = picture(30, 30, 6), torch.get_num_threads()
    data = codec.compress(given)
    back = codec.decompress(data)
    torch.manual_seed(77)
    torch.set_num_threads(1 + before % 2)
    np.testing.assert_array_equal(codec.decompress(data), back)
    torch.set_num_threads(before)


def test_a_file_may_hold_its_model(codec, tmp_path):
    given, path = picture(20, 30, 1), tmp_path / "a.atz"
    coded = codec.compress_file(given, path, quality=30, with_model=True)
    assert len(path.read_bytes()) > len(coded.model) > 1000
    _, back = open_pictures(path)
    np.testing.assert_array_equal(back, codec.decompress(path))
    codec.compress_file(given, path, quality=30)
    np.testing.assert_array_equal(open_pictures(path, codec.model)[1], back)
    with pytest.raises(ArchiveError, match="does not hold its model"):
        open_pictures(path)


def test_a_saved_model_decodes_the_same(codec, tmp_path):
    codec.model.save(tmp_path / "p.attar")
    again = PictureCodec(attar.load(tmp_path / "p.attar"))
    given = picture(20, 30, 1)
    data = codec.compress(given)
    assert again.compress(given) == data
    np.testing.assert_array_equal(again.decompress(data), codec.decompress(data))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"quality": 50, "bpp": 1}, "Give one of quality and bpp"),
        ({"bpp": 1, "psnr": 30}, "Give one of bpp and psnr"),
        ({"quality": 0}, "from 1 to 100, not 0"),
        ({"quality": 101}, "from 1 to 100, not 101"),
        ({"quality": float("nan")}, "from 1 to 100, not nan"),
        ({"bpp": 0}, "bpp must be"),
        ({"psnr": -3}, "psnr must be"),
        ({"bpp": 0.001}, "0.001 bits a pixel are out of range"),
        ({"psnr": 90}, "A PSNR of 90 dB is out of range"),
    ],
)
def test_targets_that_cannot_be_reached_are_refused(codec, settings, said):
    with pytest.raises(SettingError, match=said):
        codec.compress(picture(16, 16), **settings)


@pytest.mark.parametrize(
    "given",
    [
        picture(16, 16).astype(np.float32),
        picture(16, 16, channels=1)[..., 0],
        picture(16, 16, channels=4),
        picture(0, 16),
        [],
        np.empty((0, 16, 16, 3), np.uint8),
        [picture(16, 16), picture(16, 16, channels=1)[..., 0]],
        7,
    ],
)
def test_what_is_no_picture_of_the_model_is_refused(codec, given):
    with pytest.raises(DataError):
        codec.compress(given)


def test_pixels_that_are_not_finite_are_refused():
    images = np.stack([picture(8, 8, i) / 255 for i in range(8)]).astype(np.float32)
    codec = fitted(images, epochs=1)
    back = codec.decompress(codec.compress(images[0], quality=100))
    assert back.dtype == np.float32
    assert np.abs(back - images[0]).max() < 0.3
    for value in (np.nan, np.inf):
        images[0, 0, 0, 0] = value
        with pytest.raises(DataError, match="not finite"):
            codec.compress(images[0])


def test_files_that_are_no_pictures_are_refused(codec, tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(FileError, match=r"text\.png is no picture"):
        codec.compress(tmp_path / "text.png")
    with pytest.raises(FileError, match="none"):
        codec.compress(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no pictures"):
        codec.compress(tmp_path / "empty")
    Image.fromarray(picture(9, 9, channels=4)).save(tmp_path / "clear.png")
    with pytest.raises(DataError, match="transparency"):
        codec.compress(tmp_path / "clear.png")


def test_files_of_other_models_and_damaged_ones_are_refused(codec, grey):
    data = codec.compress(picture(16, 16))
    with pytest.raises(ArchiveError, match="compressed by another model"):
        grey.decompress(data)
    for place in range(0, len(data), 7):
        with pytest.raises(ArchiveError):
            codec.decompress(data[:place] + bytes([data[place] ^ 16]) + data[place + 1 :])
    with pytest.raises(ArchiveError, match="not a compressed file"):
        codec.decompress(b"text")


def test_other_models_are_refused():
    ae = attar.Autoencoder("ae", 2, epochs=1, verbose=False).fit(
        np.random.default_rng(0).random((40, 5))
    )
    with pytest.raises(SettingError, match="picture-codec"):
        PictureCodec(ae)
