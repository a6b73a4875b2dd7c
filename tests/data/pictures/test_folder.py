import os
import re
import threading

import numpy as np
import pytest
from PIL import Image

from attar import DataError, FileError, SettingError
from attar.data.pictures import Pictures, height_and_width
from attar.data.pictures import folder as module
from attar.data.stream import Stream

CHANCE = np.random.default_rng(0)
X = CHANCE.integers(0, 256, (40, 5, 7, 3), np.uint8)


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
    """Pieces of six pictures, read in jobs of two."""
    monkeypatch.setattr(module, "PIECE", 6 * X[0].nbytes + 1)
    monkeypatch.setattr(module, "JOB", 2)


def test_a_folder_is_read_whole(forty):
    pictures = Pictures(forty)
    assert isinstance(pictures, Stream)
    assert pictures.names == [f"{i}.png" for i in range(40)]
    assert (pictures.rows, pictures.shape, pictures.dtype) == (40, (5, 7, 3), np.uint8)
    assert pictures.bytes == X.nbytes
    assert not pictures.resized
    whole = pictures.whole()
    assert whole.dtype == np.uint8
    np.testing.assert_array_equal(whole, X)
    np.testing.assert_array_equal(Pictures(str(forty)).whole(), X)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("size", [None, (3, 3)])
def test_pieces_are_the_whole_however_many_threads_read(forty, small_pieces, threads, size):
    pictures = Pictures(forty, size, threads=threads)
    whole = Pictures(forty, size, threads=1).whole()
    for _ in range(2):
        pieces = list(pictures)
        assert len(pieces) > 1
        np.testing.assert_array_equal(np.concatenate(pieces), whole)
    if size is None:
        assert [len(piece) for piece in pieces] == [6] * 6 + [4]


def test_pieces_of_small_pictures_have_no_more_than_some_thousand_rows(forty, monkeypatch):
    monkeypatch.setattr(module, "ROWS", 17)
    assert [len(piece) for piece in Pictures(forty)] == [17, 17, 6]


def test_pictures_once_read_whole_are_kept(forty, small_pieces, monkeypatch):
    pictures = Pictures(forty)
    whole = pictures.whole()
    monkeypatch.setattr(Image, "open", None)
    assert pictures.whole() is whole
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


GREY, CLEAR = X[0, ..., 0], np.dstack([X[0], X[0, ..., 0]])
DEEP = GREY.astype(np.uint16) << 8


@pytest.mark.parametrize(
    ("mixed", "dtype", "channels"),
    [
        ([GREY], np.uint8, ()),
        ([GREY, X[0]], np.uint8, (3,)),
        ([X[0], CLEAR], np.uint8, (4,)),
        ([GREY, CLEAR], np.uint8, (4,)),
        ([GREY, DEEP], np.uint16, ()),
    ],
)
def test_mixed_pictures_get_what_holds_all(put, mixed, dtype, channels):
    pictures = Pictures(put(**{str(i): pixels for i, pixels in enumerate(mixed)}))
    assert (pictures.dtype, pictures.shape) == (dtype, (5, 7, *channels))
    richest = pictures.whole()[-1]
    np.testing.assert_array_equal(richest, mixed[-1])


@pytest.mark.parametrize("other", [X[0], CLEAR])
def test_deep_grey_and_colour_have_nothing_in_common(put, other):
    words = {3: "colour", 4: "colour with transparency"}[other.shape[2]]
    folder = put(a=GREY, b=DEEP, c=other)
    sentence = (
        f"{folder}/b.png is 16-bit grey, but {folder}/c.png is {words}: bring them to one kind "
        "of pixel."
    )
    with pytest.raises(DataError, match=f"^{re.escape(sentence)}$"):
        Pictures(folder)


def test_a_mode_that_does_not_hold_all_is_refused(put):
    folder = put(a=GREY, b=X[0])
    with pytest.raises(DataError, match=r"b\.png is colour, where grey belongs: convert it\.$"):
        Pictures(folder, mode="L")
    with pytest.raises(SettingError, match="no mode named 'RGBB': did you mean 'RGB'"):
        Pictures(folder, mode="RGBB")


class TestSizes:
    def test_that_differ_are_listed_with_examples(self, put):
        folder = put(a=GREY, b=GREY.T, c=GREY)
        sentence = (
            f"The pictures have different sizes (2 of 5x7, such as {folder}/a.png; 1 of 7x5, such "
            f"as {folder}/b.png): bring them to one height and width with size='5x7' (--size 5x7)."
        )
        with pytest.raises(DataError, match=f"^{re.escape(sentence)}$"):
            Pictures(folder)

    def test_are_listed_up_to_five(self, put):
        with pytest.raises(DataError, match=r"5\.png; and 3 more sizes\): bring") as error:
            Pictures(put(**{str(i): np.zeros((i, i), np.uint8) for i in range(1, 9)}))
        assert str(error.value).count(" of ") == 5

    def test_that_differ_are_brought_to_one(self, put):
        pictures = Pictures(put(a=GREY, b=GREY.T, c=X[0]), size="4x6")
        assert pictures.resized
        assert pictures.shape == (4, 6, 3)
        assert pictures.whole().shape == (3, 4, 6, 3)

    def test_of_pictures_that_fit_change_nothing(self, forty):
        np.testing.assert_array_equal(Pictures(forty, size=(5, 7)).whole(), X)

    @pytest.mark.parametrize("size", ["64x48", "64 x 48", "64X48", "64×48", (64, 48), [64, 48]])
    def test_are_height_and_width(self, size):
        assert height_and_width(size) == (64, 48)

    @pytest.mark.parametrize("size", ["", "64", "x", "0x5", "5x-1", "2x3x4", "axb", 64, (1, 2, 3)])
    def test_that_are_none_are_refused(self, size):
        sentence = f"A size is HEIGHTxWIDTH, such as '64x48', not {size!r}."
        with pytest.raises(SettingError, match=f"^{re.escape(sentence)}$"):
            height_and_width(size)


class TestRefusals:
    def test_of_no_folder(self, tmp_path):
        with pytest.raises(FileError, match=r"^There is no folder .*nowhere\.$"):
            Pictures(tmp_path / "nowhere")

    def test_of_no_pictures(self, tmp_path):
        (tmp_path / "a.txt").write_text("text")
        sentence = f"{tmp_path} holds no pictures: attar reads PNG, JPEG, WEBP, TIFF, BMP and GIF."
        with pytest.raises(DataError, match=f"^{re.escape(sentence)}$"):
            Pictures(tmp_path)

    def test_of_a_file_that_is_no_picture(self, forty):
        (forty / "17.png").write_text("no picture")
        with pytest.raises(FileError, match=r"17\.png is no picture, though its name says so"):
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
            pictures.whole()
        pieces = iter(pictures)
        np.testing.assert_array_equal(np.concatenate([next(pieces), next(pieces)]), X[:12])
        with pytest.raises(FileError, match=r"17\.png cannot be read: image file is truncated"):
            next(pieces)

    def test_of_a_file_that_has_gone(self, forty):
        pictures = Pictures(forty)
        (forty / "8.png").unlink()
        for use in (pictures.whole, lambda: pictures.fingerprint):
            with pytest.raises(FileError, match=r"There is no file .*8\.png"):
                use()
