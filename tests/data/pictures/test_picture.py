import os
import re
import struct
import zlib

import numpy as np
import pytest
from PIL import ExifTags, Image

from attar import AttarError, DataError, FileError
from attar.data.pictures import Picture

CHANCE = np.random.default_rng(0)
GREY = CHANCE.integers(0, 256, (6, 9), np.uint8)
COLOUR = CHANCE.integers(0, 256, (6, 9, 3), np.uint8)
DEEP = CHANCE.integers(0, 65536, (6, 9), np.uint16)


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


class TestRefusals:
    def test_of_what_is_no_picture(self, tmp_path):
        for content in (b"", b"no picture", b"\x89PNG\r\n\x1a\n"):
            path = tmp_path / "a.png"
            path.write_bytes(content)
            sentence = f"{path} is no picture, though its name says so: repair it or leave it out."
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
