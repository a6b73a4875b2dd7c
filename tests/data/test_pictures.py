import os
import re
import struct
import threading
import zlib
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import ExifTags, Image

from attar import AttarError, DataError, FileError, SettingError
from attar.data import pictures as module
from attar.data.images import Images
from attar.data.pictures import Picture, Pictures, height_and_width, picture_writer
from attar.data.stream import Stream

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (6, 9), np.uint8)
COLOUR = RNG.integers(0, 256, (6, 9, 3), np.uint8)
DEEP = RNG.integers(0, 65536, (6, 9), np.uint16)


@pytest.fixture
def saved(tmp_path):
    """Save a picture, and return its path."""

    def save(image, name="a.png", **options):
        path = str(tmp_path / name)
        image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
        image.save(path, **options)
        return path

    return save


def pixels(path):
    picture = Picture.of(path)
    return picture.pixels(picture.size, picture.mode)


class TestWithoutLoss:
    @pytest.mark.parametrize("name", ["a.png", "a.tif", "a.bmp"])
    def test_grey_comes_as_it_was_saved(self, saved, name):
        read = pixels(saved(GREY, name))
        assert read.dtype == np.uint8
        np.testing.assert_array_equal(read, GREY)

    @pytest.mark.parametrize("name", ["a.png", "a.tif", "a.bmp", "a.webp"])
    def test_colour_comes_as_it_was_saved(self, saved, name):
        options = {"lossless": True} if name == "a.webp" else {}
        np.testing.assert_array_equal(pixels(saved(COLOUR, name, **options)), COLOUR)

    @pytest.mark.parametrize("byte_order", ["<", ">"])
    @pytest.mark.parametrize("name", ["a.png", "a.tif"])
    def test_sixteen_bits_come_as_they_were_saved(self, saved, name, byte_order):
        read = pixels(saved(DEEP.astype(f"{byte_order}u2"), name))
        assert read.dtype.kind == "u"
        assert read.dtype.itemsize == 2
        np.testing.assert_array_equal(read, DEEP)

    def test_black_and_white_is_grey(self, saved):
        bits = GREY > 127
        np.testing.assert_array_equal(pixels(saved(bits)), 255 * bits)

    @pytest.mark.parametrize("name", ["a.png", "a.tif", "a.bmp", "a.gif"])
    def test_a_palette_is_colour(self, saved, name):
        paletted = Image.fromarray(COLOUR).quantize(16)
        expected = np.asarray(paletted.convert("RGB"))
        np.testing.assert_array_equal(pixels(saved(paletted, name)), expected)

    def test_a_transparent_colour_gives_transparency(self, saved):
        paletted = Image.fromarray(COLOUR).quantize(16)
        read = pixels(saved(paletted, transparency=3))
        np.testing.assert_array_equal(read[..., 3] == 0, np.asarray(paletted) == 3)
        grey = pixels(saved(GREY, transparency=int(GREY[0, 0])))
        np.testing.assert_array_equal(grey[..., 3] == 0, GREY[0, 0] == GREY)

    def test_grey_with_transparency_is_colour_with_transparency(self, saved):
        read = pixels(saved(np.dstack([GREY, GREY[::-1]])))
        np.testing.assert_array_equal(read, np.dstack([GREY, GREY, GREY, GREY[::-1]]))

    def test_the_first_of_several_frames_is_read(self, saved):
        first, second = (Image.fromarray(pixels) for pixels in (COLOUR, 255 - COLOUR))
        for name in ("a.png", "a.tif"):
            path = saved(first, name, save_all=True, append_images=[second])
            np.testing.assert_array_equal(pixels(path), COLOUR)


def test_cmyk_becomes_colour(saved):
    inks = np.zeros((16, 16, 4), np.uint8)
    inks[..., 0] = 255
    read = pixels(saved(Image.fromarray(inks, "CMYK"), "a.jpg", quality=100))
    assert read.shape == (16, 16, 3)
    # Nothing but cyan is light without red.
    np.testing.assert_allclose(read.reshape(-1, 3), np.tile([0, 255, 255], (256, 1)), atol=2)


# Stored pixels to upright ones, as EXIF 2.32 defines the values of its tag 274.
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.T,
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].T,
    8: lambda a: np.rot90(a),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
class TestOrientation:
    def exif(self, orientation):
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        return exif

    @pytest.mark.parametrize("name", ["a.png", "a.tif"])
    def test_is_followed(self, saved, name, orientation):
        path = saved(GREY, name, exif=self.exif(orientation))
        upright = UPRIGHT[orientation](GREY)
        assert Picture.of(path).size == upright.shape
        np.testing.assert_array_equal(pixels(path), upright)

    def test_comes_before_the_centre_is_cut_out(self, saved, orientation):
        turned = Image.fromarray(UPRIGHT[orientation](GREY))
        for size in ((3, 3), (2, 5), (12, 4)):
            plain = Picture.of(saved(turned, "upright.png")).pixels(size, "L")
            path = saved(GREY, "lying.png", exif=self.exif(orientation))
            np.testing.assert_array_equal(Picture.of(path).pixels(size, "L"), plain)

    def test_of_a_jpeg_that_is_decoded_smaller(self, saved, orientation):
        y, x = np.mgrid[:240, :320]
        ramp = (y / 2 + x / 3).astype(np.uint8)
        path = saved(ramp, "a.jpg", quality=100, exif=self.exif(orientation))
        upright = Image.fromarray(UPRIGHT[orientation](ramp))
        truth = Picture.of(saved(upright, "a.png")).pixels((20, 10), "L")
        read = Picture.of(path).pixels((20, 10), "L")
        np.testing.assert_allclose(read.astype(int), truth, atol=2)


def test_damaged_exif_is_no_exif(saved):
    path = saved(COLOUR, "a.jpg", exif=b"Exif\x00\x00nonsense")
    assert Picture.of(path).orientation == 1


def test_exif_at_the_end_of_a_png_is_not_looked_for(saved):
    path = saved(GREY)
    with open(path, "rb") as file:
        content = file.read()
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    chunk = b"eXIf" + exif.tobytes()[6:]
    chunk = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    with open(path, "wb") as file:
        file.write(content[:-12] + chunk + content[-12:])
    np.testing.assert_array_equal(pixels(path), GREY)


class TestAnotherSize:
    def test_keeps_what_is_all_of_one_colour(self, saved):
        for image, mode in ((GREY, "L"), (COLOUR, "RGB"), (DEEP, "I;16")):
            even = np.broadcast_to(image[0, 0], image.shape)
            read = Picture.of(saved(even.copy())).pixels((4, 15), mode)
            np.testing.assert_array_equal(
                read, np.broadcast_to(image[0, 0], (4, 15, *even[0, 0].shape))
            )

    @pytest.mark.parametrize("turned", [False, True])
    def test_shows_the_centre(self, saved, turned):
        thirds = np.repeat(np.array([10, 20, 30], np.uint8), 6)[None].repeat(6, 0)
        read = Picture.of(saved(thirds.T if turned else thirds)).pixels((6, 6), "L")
        np.testing.assert_array_equal(read, 20)

    @pytest.mark.parametrize("byte_order", ["<", ">"])
    def test_of_sixteen_bits_is_as_fine_as_of_floating_point(self, saved, byte_order):
        path = saved(DEEP.astype(f"{byte_order}u2"), "a.tif")
        read = Picture.of(path).pixels((2, 3), "I;16")
        exact = np.asarray(
            Image.fromarray(DEEP.astype(np.float32)).resize((3, 2), Image.Resampling.LANCZOS)
        )
        np.testing.assert_allclose(read, exact.clip(0, 65535), atol=1)

    def test_lets_no_colour_shine_through_where_nothing_is(self, saved):
        clear_red, solid_blue = [255, 0, 0, 0], [0, 0, 255, 255]
        halves = np.repeat(np.array([clear_red, solid_blue], np.uint8), 4, axis=0)
        read = Picture.of(saved(halves[None].repeat(8, 0))).pixels((2, 2), "RGBA")
        assert not read[..., 0].any()


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("RGB", np.dstack([GREY] * 3)),
        ("RGBA", np.dstack([GREY] * 3 + [np.full_like(GREY, 255)])),
        ("I;16", GREY * np.uint16(257)),
    ],
)
def test_grey_goes_into_richer_modes_without_loss(saved, mode, expected):
    read = Picture.of(saved(GREY)).pixels((6, 9), mode)
    assert read.dtype == expected.dtype
    np.testing.assert_array_equal(read, expected)


class TestFileRefusals:
    def test_of_what_is_no_picture(self, tmp_path):
        for content in (b"", b"no picture", b"\x89PNG\r\n\x1a\n"):
            path = tmp_path / "a.png"
            path.write_bytes(content)
            sentence = f"{path} is no picture, despite its suffix: repair it or leave it out."
            with pytest.raises(FileError, match=re.escape(sentence)):
                Picture.of(str(path))

    def test_of_a_picture_that_is_cut(self, saved):
        path = saved(COLOUR)
        os.truncate(path, os.path.getsize(path) - 30)
        picture = Picture.of(path)
        with pytest.raises(FileError, match=re.escape(f"{path} cannot be read: image file is tru")):
            picture.pixels(picture.size, picture.mode)

    def test_of_a_file_that_has_gone(self, saved, tmp_path):
        picture = Picture.of(saved(GREY))
        (tmp_path / "a.png").unlink()
        with pytest.raises(FileError, match=r"There is no file .*a\.png"):
            picture.pixels(picture.size, picture.mode)

    def test_of_a_file_that_was_changed(self, saved):
        picture = Picture.of(saved(GREY))
        saved(GREY.T)
        with pytest.raises(FileError, match="was changed while it was read: start again"):
            picture.pixels(picture.size, picture.mode)

    @pytest.mark.parametrize("pixels", [30, 50])
    def test_of_a_bomb(self, saved, monkeypatch, pixels):
        # Pillow warns of more pixels than this, and raises at twice as many; here are 54.
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", pixels - 5)
        with pytest.raises(FileError, match=f"a.png has more than {pixels - 5} pixels"):
            Picture.of(saved(GREY))

    @pytest.mark.parametrize("dtype", [np.float32, np.int32])
    def test_of_wide_pixels(self, saved, dtype):
        with pytest.raises(DataError, match=r"a\.tif has 32-bit pixels: save it with 8 or 16"):
            Picture.of(saved(GREY.astype(dtype), "a.tif"))


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.tif", "a.bmp", "a.gif"])
def test_a_picture_with_any_byte_changed_is_read_or_refused_in_one_sentence(saved, name):
    path = saved(COLOUR, name)
    with open(path, "rb") as file:
        content = file.read()
    for place in range(0, len(content), max(1, len(content) // 60)):
        changed = bytearray(content)
        changed[place] ^= 0xFF
        with open(path, "wb") as file:
            file.write(changed)
        outcome = shape_or_sentence(path)
        assert outcome == (4, 5, 4) or (path in outcome and "\n" not in outcome)


def shape_or_sentence(path):
    try:
        return Picture.of(path).pixels((4, 5), "RGBA").shape
    except AttarError as error:
        return str(error)


X = RNG.integers(0, 256, (40, 5, 7, 3), np.uint8)


@pytest.fixture
def put(tmp_path):
    """Put pictures into the folder, by name."""

    def put(**pictures):
        for name, pixels in pictures.items():
            path = tmp_path / (name if "." in name else f"{name}.png")
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
        return tmp_path

    return put


@pytest.fixture
def forty(put):
    """The pictures X, numbered without leading zeros."""
    return put(**{str(i): pixels for i, pixels in enumerate(X)})


@pytest.fixture
def small_pieces(monkeypatch):
    """Pieces of six pictures, read in tasks of two."""
    monkeypatch.setattr(module, "PIECE", 6 * X[0].nbytes + 1)
    monkeypatch.setattr(module, "TASK", 2)


def test_a_folder_is_read_as_one_array(forty):
    pictures = Pictures(forty)
    assert isinstance(pictures, Stream)
    assert pictures.names == [f"{i}.png" for i in range(40)]
    assert (pictures.rows, pictures.shape, pictures.dtype) == (40, (5, 7, 3), np.uint8)
    assert pictures.bytes == X.nbytes
    assert not pictures.resized
    whole = pictures.read()
    assert whole.dtype == np.uint8
    np.testing.assert_array_equal(whole, X)
    np.testing.assert_array_equal(Pictures(str(forty)).read(), X)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("size", [None, (3, 3)])
def test_pieces_are_the_whole_however_many_threads_read(forty, small_pieces, threads, size):
    pictures = Pictures(forty, size, threads=threads)
    whole = Pictures(forty, size, threads=1).read()
    for _ in range(2):
        pieces = list(pictures)
        assert len(pieces) > 1
        np.testing.assert_array_equal(np.concatenate(pieces), whole)
    if size is None:
        assert [len(piece) for piece in pieces] == [6] * 6 + [4]


def test_pieces_of_small_pictures_have_no_more_than_some_thousand_rows(forty, monkeypatch):
    monkeypatch.setattr(module, "ROWS", 17)
    assert [len(piece) for piece in Pictures(forty)] == [17, 17, 6]


def test_pictures_once_read_are_kept(forty, small_pieces, monkeypatch):
    pictures = Pictures(forty)
    whole = pictures.read()
    monkeypatch.setattr(Image, "open", None)
    assert pictures.read() is whole
    pieces = list(pictures)
    assert [len(piece) for piece in pieces] == [6] * 6 + [4]
    np.testing.assert_array_equal(np.concatenate(pieces), X)
    assert all(np.shares_memory(piece, whole) for piece in pieces)


def test_a_stream_that_is_left_leaves_no_thread(forty, small_pieces):
    before = threading.active_count()
    pieces = iter(Pictures(forty, threads=2))
    next(pieces)
    assert threading.active_count() > before
    pieces.close()
    assert threading.active_count() == before


def test_order_is_natural_and_goes_into_subfolders(put):
    names = ["a2", "A10", "b/x9", "b/x10", "c1", "c01"]
    folder = put(**dict.fromkeys(names, X[0]))
    assert [n.removesuffix(".png") for n in Pictures(folder).names] == [
        "a2", "A10", "b/x9", "b/x10", "c01", "c1",
    ]  # fmt: skip


def test_what_is_no_picture_by_name_is_passed_over(put):
    folder = put(**{"a": X[0], ".hidden.png": X[1], ".folder/b.png": X[2], "c.JPG": X[3]})
    for name in ("Thumbs.db", "notes.txt", "._a.png", "png"):
        (folder / name).write_text("no picture")
    assert Pictures(folder).names == ["a.png", "c.JPG"]


def test_links_are_followed_but_never_in_circles(put):
    folder = put(**{"data/a": X[0], "pictures/b": X[1]})
    (folder / "pictures" / "linked").symlink_to(folder / "data")
    (folder / "pictures" / "self").symlink_to(folder / "pictures")
    assert Pictures(folder / "pictures").names == ["b.png", "linked/a.png"]


class TestLabels:
    def test_are_the_topmost_folders(self, put):
        folder = put(**{"cat/1": X[0], "cat/2": X[1], "dog/puppy/1": X[2]})
        labels = Pictures(folder).labels
        assert labels.tolist() == ["cat", "cat", "dog"]
        assert labels.dtype.kind == "U"

    @pytest.mark.parametrize("names", [("cat/1", "2"), ("cat/1", "cat/2"), ("1", "2")])
    def test_are_none_where_folders_tell_nothing(self, put, names):
        assert Pictures(put(**dict(zip(names, X, strict=False)))).labels is None


class TestFingerprint:
    def test_is_the_same_for_the_same(self, forty, monkeypatch):
        expected = Pictures(forty).fingerprint
        assert Pictures(forty, threads=2).fingerprint == expected
        monkeypatch.chdir(forty)
        assert Pictures(".").fingerprint == expected

    def test_tells_another_form_and_other_files(self, forty, put):
        seen = {Pictures(forty).fingerprint, Pictures(forty, "5x5").fingerprint}
        seen.add(Pictures(forty, mode="RGBA").fingerprint)
        os.utime(forty / "3.png", (1, 1))
        seen.add(Pictures(forty).fingerprint)
        seen.add(Pictures(put(**{"41": X[0]})).fingerprint)
        (forty / "41.png").rename(forty / "42.png")
        seen.add(Pictures(forty).fingerprint)
        assert len(seen) == 6


GREY_X, CLEAR_X = X[0, ..., 0], np.dstack([X[0], X[0, ..., 0]])
DEEP_X = GREY_X.astype(np.uint16) << 8


@pytest.mark.parametrize(
    ("mixed", "dtype", "channels"),
    [
        ([GREY_X], np.uint8, ()),
        ([GREY_X, X[0]], np.uint8, (3,)),
        ([X[0], CLEAR_X], np.uint8, (4,)),
        ([GREY_X, CLEAR_X], np.uint8, (4,)),
        ([GREY_X, DEEP_X], np.uint16, ()),
    ],
)
def test_mixed_pictures_get_what_holds_all(put, mixed, dtype, channels):
    pictures = Pictures(put(**{str(i): pixels for i, pixels in enumerate(mixed)}))
    assert (pictures.dtype, pictures.shape) == (dtype, (5, 7, *channels))
    richest = pictures.read()[-1]
    np.testing.assert_array_equal(richest, mixed[-1])


@pytest.mark.parametrize("other", [X[0], CLEAR_X])
def test_deep_grey_and_colour_have_nothing_in_common(put, other):
    words = {3: "colour", 4: "colour with transparency"}[other.shape[2]]
    folder = put(a=GREY_X, b=DEEP_X, c=other)
    sentence = (
        f"{folder}/b.png is 16-bit grey, but {folder}/c.png is {words}: bring them to one "
        "pixel format."
    )
    with pytest.raises(DataError, match=f"^{re.escape(sentence)}$"):
        Pictures(folder)


def test_a_mode_that_does_not_hold_all_is_refused(put):
    folder = put(a=GREY_X, b=X[0])
    with pytest.raises(DataError, match=r"b\.png is colour, but 'L' holds only grey"):
        Pictures(folder, mode="L")
    with pytest.raises(SettingError, match="no mode named 'RGBB': did you mean 'RGB'"):
        Pictures(folder, mode="RGBB")


class TestSizes:
    def test_that_differ_are_listed_with_examples(self, put):
        folder = put(a=GREY_X, b=GREY_X.T, c=GREY_X)
        sentence = (
            f"The pictures have different sizes (2 of 5x7, such as {folder}/a.png; 1 of 7x5, such "
            f"as {folder}/b.png): bring them to one height and width with size='5x7' (--size 5x7), "
            "or cut them into tiles with tile=64 (--tile 64)."
        )
        with pytest.raises(DataError, match=f"^{re.escape(sentence)}$"):
            Pictures(folder)

    def test_are_listed_up_to_five(self, put):
        with pytest.raises(DataError, match=r"5\.png; and 3 more sizes\): bring") as error:
            Pictures(put(**{str(i): np.zeros((i, i), np.uint8) for i in range(1, 9)}))
        assert str(error.value).count(" of ") == 5

    def test_that_differ_are_brought_to_one(self, put):
        pictures = Pictures(put(a=GREY_X, b=GREY_X.T, c=X[0]), size="4x6")
        assert pictures.resized
        assert pictures.shape == (4, 6, 3)
        assert pictures.read().shape == (3, 4, 6, 3)

    def test_of_pictures_that_fit_change_nothing(self, forty):
        np.testing.assert_array_equal(Pictures(forty, size=(5, 7)).read(), X)

    @pytest.mark.parametrize("size", ["64x48", "64 x 48", "64X48", "64×48", (64, 48), [64, 48]])
    def test_are_height_and_width(self, size):
        assert height_and_width(size) == (64, 48)

    @pytest.mark.parametrize("size", ["", "64", "x", "0x5", "5x-1", "2x3x4", "axb", 64, (1, 2, 3)])
    def test_that_are_none_are_refused(self, size):
        sentence = f"A size is HEIGHTxWIDTH, such as '64x48', not {size!r}."
        with pytest.raises(SettingError, match=f"^{re.escape(sentence)}$"):
            height_and_width(size)


class TestFolderRefusals:
    def test_of_no_folder(self, tmp_path):
        with pytest.raises(FileError, match=r"^There is no folder .*nowhere\.$"):
            Pictures(tmp_path / "nowhere")
        (tmp_path / "a.csv").touch()
        with pytest.raises(FileError, match="is a file, where a folder of pictures belongs"):
            Pictures(tmp_path / "a.csv")

    def test_of_no_pictures(self, tmp_path):
        (tmp_path / "a.txt").write_text("text")
        sentence = f"{tmp_path} holds no pictures: attar reads PNG, JPEG, WEBP, TIFF, BMP and GIF."
        with pytest.raises(DataError, match=f"^{re.escape(sentence)}$"):
            Pictures(tmp_path)

    def test_of_a_file_that_is_no_picture(self, forty):
        (forty / "17.png").write_text("no picture")
        with pytest.raises(FileError, match=r"17\.png is no picture, despite its suffix"):
            Pictures(forty)

    def test_of_a_bomb(self, forty, monkeypatch):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 30)
        with pytest.raises(FileError, match=r"0\.png has more than 30 pixels"):
            Pictures(forty)

    @pytest.mark.parametrize("threads", [1, 3])
    def test_of_the_first_picture_that_is_cut(self, forty, small_pieces, threads):
        for name in ("17.png", "19.png"):
            content = (forty / name).read_bytes()
            (forty / name).write_bytes(content[:-30])
        pictures = Pictures(forty, threads=threads)
        with pytest.raises(FileError, match=r"17\.png cannot be read: image file is truncated"):
            pictures.read()
        pieces = iter(pictures)
        np.testing.assert_array_equal(np.concatenate([next(pieces), next(pieces)]), X[:12])
        with pytest.raises(FileError, match=r"17\.png cannot be read: image file is truncated"):
            next(pieces)

    def test_of_a_file_that_has_gone(self, forty):
        pictures = Pictures(forty)
        (forty / "8.png").unlink()
        for use in (pictures.read, lambda: pictures.fingerprint):
            with pytest.raises(FileError, match=r"There is no file .*8\.png"):
                use()


SIZES = st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(1, 5))


def written(folder, images, **options):
    with picture_writer(folder, **options) as writer:
        writer.write(images)
    return Pictures(folder).read()


@given(st.data())
def test_pictures_are_read_as_they_were_written(data):
    dtype, channels = data.draw(
        st.sampled_from([("uint8", ()), ("uint8", (3,)), ("uint8", (4,)), ("uint16", ())])
    )
    images = data.draw(arrays(dtype, data.draw(SIZES) + channels))
    cut = data.draw(st.integers(0, len(images)))
    with TemporaryDirectory() as folder:
        with picture_writer(Path(folder) / "out") as writer:
            writer.write(images[:cut])
            writer.write(images[cut:])
        back = Pictures(Path(folder) / "out").read()
    assert back.dtype == images.dtype
    np.testing.assert_array_equal(back, images)


def test_one_channel_is_grey(tmp_path):
    images = RNG.integers(0, 256, (2, 1, 1, 1), np.uint8)
    np.testing.assert_array_equal(written(tmp_path / "out", images), images[..., 0])


def test_pictures_are_numbered_from_0(tmp_path):
    written(tmp_path / "out", np.zeros((2, 3, 3)))
    assert Pictures(tmp_path / "out").names == ["000000.png", "000001.png"]
    written(tmp_path / "out", np.zeros((11, 3, 3)), digits=1)
    assert Pictures(tmp_path / "out").names == [f"{i}.png" for i in range(11)]


class TestNames:
    def test_are_those_of_the_pictures_read(self, tmp_path):
        images = RNG.integers(0, 256, (3, 4, 4), np.uint8)
        names = ["a.b.jpg", "cat/1.jpg", "cat/deep/2.png"]
        np.testing.assert_array_equal(written(tmp_path / "out", images, names=names), images)
        assert Pictures(tmp_path / "out").names == ["a.b.png", "cat/1.png", "cat/deep/2.png"]

    @pytest.mark.parametrize("names", [("a.jpg", "a.png", "a.jpg.png"), ("A.png", "a.png", "b")])
    def test_that_would_be_the_same_keep_their_suffix(self, tmp_path, names):
        written(tmp_path / "out", np.zeros((3, 4, 4)), names=names)
        assert set(Pictures(tmp_path / "out").names) == {f"{name}.png" for name in names}


class TestWhite:
    """Values are scaled so that white is white, unless integers use their range already."""

    @pytest.mark.parametrize(
        ("images", "white", "expected"),
        [
            (np.uint8([0, 16]), 16, np.uint8([0, 255])),
            (np.uint8([0, 100, 200]), 200, np.uint8([0, 100, 200])),
            (np.uint8([0, 1]), None, np.uint8([0, 1])),
            (np.uint8([0, 0]), 0, np.uint8([0, 0])),
            (np.uint16([0, 4095]), 4095, np.uint16([0, 65535])),
            (np.uint16([0, 40000]), 40000, np.uint16([0, 40000])),
            (np.uint16([0, 1]), None, np.uint16([0, 1])),
            (np.float32([-1, 0.5, 1, 2]), 1, np.uint8([0, 128, 255, 255])),
            (np.float64([0, 0.2]), None, np.uint8([0, 51])),
            (np.float64([0, 30]), 60, np.uint8([0, 128])),
            (np.int64([0, 255]), 255, np.uint8([0, 255])),
            (np.int16([-5, 32767]), None, np.uint8([0, 255])),
            (np.array([False, True]), None, np.uint8([0, 255])),
        ],
    )
    def test_is_white(self, tmp_path, images, white, expected):
        back = written(tmp_path / "out", images[:, None, None], white=white)
        assert back.dtype == expected.dtype
        np.testing.assert_array_equal(back[:, 0, 0], expected)

    def test_of_deep_colour_has_eight_bits(self, tmp_path):
        images = np.uint16([[[[0, 32768, 65535]]]])
        np.testing.assert_array_equal(written(tmp_path / "out", images), [[[[0, 128, 255]]]])


class TestWholeOrNotAtAll:
    def test_a_failure_leaves_the_folder_as_it_was(self, tmp_path):
        before = RNG.integers(0, 256, (2, 3, 3), np.uint8)
        written(tmp_path / "out", before)

        def fail():
            with picture_writer(tmp_path / "out") as writer:
                writer.write(255 - before)
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            fail()
        np.testing.assert_array_equal(Pictures(tmp_path / "out").read(), before)
        assert [path.name for path in tmp_path.iterdir()] == ["out"]

    def test_a_missing_place_is_a_file_error(self, tmp_path):
        with pytest.raises(FileError, match="out cannot be written: no such file or directory"):
            written(tmp_path / "none" / "out", np.zeros((2, 3, 3)))

    def test_a_full_disk_is_a_file_error(self, tmp_path, monkeypatch):
        def full(*_, **__):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Image.Image, "save", full)
        with pytest.raises(FileError, match="out cannot be written: no space left on device"):
            written(tmp_path / "out", np.zeros((2, 3, 3)))
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("shape", [(3, 4), (3, 4, 4, 2), (3, 4, 4, 5), (3, 2, 2, 2, 3)])
def test_what_is_no_picture_is_refused(tmp_path, shape):
    sentence = f"Rows of shape {shape[1:]} are no pictures: write them to a file."
    with pytest.raises(DataError, match=f"^{re.escape(sentence)}$"):
        written(tmp_path / "out", np.zeros(shape))
    assert not list(tmp_path.iterdir())


class TestTiles:
    WIDE = np.arange(4 * 11, dtype=np.uint8).reshape(4, 11)
    TALL = 200 - np.arange(9 * 4, dtype=np.uint8).reshape(9, 4)

    def test_cover_pictures_of_any_sizes(self, put, small_pieces):
        folder = put(**{"a/wide": self.WIDE, "b/tall": self.TALL})
        tiles = Pictures(folder, tile=4)
        wide = [self.WIDE[:, x : x + 4] for x in (0, 4, 7)]
        tall = [self.TALL[y : y + 4] for y in (0, 4, 5)]
        expected = np.stack([*wide, *tall])
        np.testing.assert_array_equal(np.concatenate(list(tiles)), expected)
        np.testing.assert_array_equal(tiles.read(), expected)
        assert tiles.names[2] == "a/wide/0_7.png"
        assert tiles.names[3] == "b/tall/0_0.png"
        assert tiles.labels.tolist() == ["a"] * 3 + ["b"] * 3
        assert [name for name, _ in tiles.pictures()] == tiles.files
        for (_, whole), picture in zip(tiles.pictures(), (self.WIDE, self.TALL), strict=True):
            np.testing.assert_array_equal(whole, picture)

    def test_are_cut_again_for_a_fitted_model(self, put):
        folder = put(wide=self.WIDE, tall=self.TALL)
        kind, _ = Images.of(Pictures(folder, tile=4))
        assert kind.tiled
        assert kind.pictures(folder).names == Pictures(folder, tile=4).names

    def test_larger_than_a_picture_are_refused(self, put):
        folder = put(wide=self.WIDE, tall=self.TALL)
        with pytest.raises(DataError, match=r"tall.png has 9 x 4 pixels.* less than a tile of 5"):
            Pictures(folder, tile=5)
        with pytest.raises(SettingError, match="size= or tile=, not both"):
            Pictures(folder, size=(4, 4), tile=4)
        with pytest.raises(SettingError, match="1 pixel at least, not 0"):
            Pictures(folder, tile=0)
