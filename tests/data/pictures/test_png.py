import re
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from attar import DataError, FileError
from attar.data.pictures import Pictures, picture_writer

CHANCE = np.random.default_rng(0)
SIZES = st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(1, 5))


def written(folder, images, **options):
    with picture_writer(folder, **options) as writer:
        writer.write(images)
    return Pictures(folder).whole()


@given(st.data())
def test_pictures_come_back_as_they_were_written(data):
    dtype, channels = data.draw(
        st.sampled_from([("uint8", ()), ("uint8", (3,)), ("uint8", (4,)), ("uint16", ())])
    )
    images = data.draw(arrays(dtype, data.draw(SIZES) + channels))
    cut = data.draw(st.integers(0, len(images)))
    with TemporaryDirectory() as folder:
        with picture_writer(Path(folder) / "out") as writer:
            writer.write(images[:cut])
            writer.write(images[cut:])
        back = Pictures(Path(folder) / "out").whole()
    assert back.dtype == images.dtype
    np.testing.assert_array_equal(back, images)


def test_one_channel_is_grey(tmp_path):
    images = CHANCE.integers(0, 256, (2, 1, 1, 1), np.uint8)
    np.testing.assert_array_equal(written(tmp_path / "out", images), images[..., 0])


def test_pictures_are_numbered_from_0(tmp_path):
    written(tmp_path / "out", np.zeros((2, 3, 3)))
    assert Pictures(tmp_path / "out").names == ["000000.png", "000001.png"]
    written(tmp_path / "out", np.zeros((11, 3, 3)), digits=1)
    assert Pictures(tmp_path / "out").names == [f"{i}.png" for i in range(11)]


class TestNames:
    def test_are_those_of_the_pictures_read(self, tmp_path):
        images = CHANCE.integers(0, 256, (3, 4, 4), np.uint8)
        names = ["a.b.jpg", "cat/1.jpg", "cat/deep/2.png"]
        np.testing.assert_array_equal(written(tmp_path / "out", images, names=names), images)
        assert Pictures(tmp_path / "out").names == ["a.b.png", "cat/1.png", "cat/deep/2.png"]

    @pytest.mark.parametrize("names", [("a.jpg", "a.png", "a.jpg.png"), ("A.png", "a.png", "b")])
    def test_that_would_be_the_same_keep_their_suffix(self, tmp_path, names):
        written(tmp_path / "out", np.zeros((3, 4, 4)), names=names)
        assert set(Pictures(tmp_path / "out").names) == {f"{name}.png" for name in names}


class TestWhite:
    """Values are scaled so that white is white, unless whole numbers use their range already."""

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
        before = CHANCE.integers(0, 256, (2, 3, 3), np.uint8)
        written(tmp_path / "out", before)

        def fail():
            with picture_writer(tmp_path / "out") as writer:
                writer.write(255 - before)
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            fail()
        np.testing.assert_array_equal(Pictures(tmp_path / "out").whole(), before)
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
