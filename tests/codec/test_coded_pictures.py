"""The file of pictures at a quality: it comes back, and damage never passes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attar.codec import coded_pictures
from attar.codec.coded_pictures import (
    ARRAY,
    FORMAT,
    LAYERS,
    LIST,
    MAGIC,
    ONE,
    CodedPictures,
    CodedStack,
    is_compressed_pictures,
    parts_of,
    quality_of,
)
from attar.codec.compact import Reader, number, sealed, sized, unsealed
from attar.errors import ArchiveError, FileError

LAYER = st.binary(max_size=9)
STACKS = st.lists(
    st.builds(
        lambda names, size, layers: CodedStack(tuple(names), size, (tuple(layers),)),
        st.lists(st.text(max_size=5), min_size=1, max_size=3),
        st.tuples(st.integers(1, 1024), st.integers(1, 1024)),
        st.lists(LAYER, min_size=LAYERS, max_size=LAYERS),
    ),
    min_size=1,
    max_size=2,
)
PICTURES = CodedPictures(
    "0123456789abcdef",
    LIST,
    700,
    [
        CodedStack(("a.png",), (3, 5), ((b"first", b"second", b"third"),)),
        CodedStack(("b", "c"), (1, 300), ((b"fourth", b"", b"sixth"),)),
    ],
    b"model",
)


@given(st.lists(st.integers(0, 1 << 70)), st.lists(LAYER, max_size=4))
def test_numbers_and_bytes_come_back(values, parts):
    reader = Reader(b"".join([*map(number, values), *map(sized, parts)]), 0)
    assert [reader.number() for _ in values] == values
    assert [reader.sized() for _ in parts] == parts
    assert reader.ended


@given(st.integers(0, 1 << 40))
def test_numbers_have_seven_bits_a_byte(value):
    assert len(number(value)) == max(1, -(-value.bit_length() // 7))
    with pytest.raises(IndexError):
        Reader(number(value)[:-1], 0).number()


@given(STACKS, st.sampled_from([ONE, LIST, ARRAY]), st.integers(0, 1024), LAYER)
@settings(max_examples=20, deadline=None)
def test_a_file_comes_back(stacks, form, level, model):
    pictures = CodedPictures("fedcba9876543210", form, level, stacks, model)
    for cut in (False, True):
        assert CodedPictures.of(pictures.to_bytes(), cut) == pictures


def test_a_cut_file_is_refused_or_decoded_as_far_as_it_goes():
    data, lengths = PICTURES.to_bytes(), set()
    whole = [stack.parts[0] for stack in PICTURES.stacks]
    for end in range(len(data)):
        with pytest.raises(ArchiveError):
            CodedPictures.of(data[:end])
        try:
            found = CodedPictures.of(data[:end], cut=True)
        except ArchiveError:
            continue
        assert (found.level, found.form, found.model) == (700, LIST, b"model")
        assert [stack.names for stack in found.stacks] == [("a.png",), ("b", "c")][
            : len(found.stacks)
        ]
        layers = [stack.parts[0] for stack in found.stacks]
        assert all(some == every[: len(some)] for some, every in zip(layers, whole, strict=False))
        lengths.add(sum(map(len, layers)))
    assert lengths == set(range(1, 2 * LAYERS + 1))


@pytest.mark.parametrize("cut", [False, True])
def test_a_changed_byte_is_refused(cut):
    """Of a file that may be cut, all before the last layer is checked too."""
    data = PICTURES.to_bytes()
    for place in range(len(data) - 4 * cut):
        for bit in (0, 3, 7):
            broken = data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]
            try:
                found = CodedPictures.of(broken, cut)
            except ArchiveError:
                continue
            # A longer length reads as a file that ends before the layer does.
            assert cut
            assert (found.form, found.level, found.model) == (LIST, 700, b"model")
            assert found.fingerprint == PICTURES.fingerprint
            for some, every in zip(found.stacks, PICTURES.stacks, strict=False):
                assert (some.names, some.size) == (every.names, every.size)
                assert some.parts[0] == every.parts[0][: len(some.parts[0])]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (number(3) + number(5) + number(0), "not whole"),
        (number(ONE) + number(1025) + number(0), "not whole"),
        (number(ONE) + number(5) + number(1), "not whole"),
        (number(ONE) + number(5) + number(1) + number(0) + number(4) + number(4), "not whole"),
        (
            number(ONE) + number(5) + number(1) + number(1) + sized(b"") + number(1 << 15) * 2,
            "not whole",
        ),
        (number(ONE) + number(5) + number(0), "not whole"),
    ],
)
def test_contents_that_are_none_are_refused(body, said):
    data = sealed(MAGIC, FORMAT, bytes(8) + sized(b"") + body)
    with pytest.raises(ArchiveError, match=said):
        CodedPictures.of(data)


def test_more_than_the_pictures_is_refused():
    magic, body = len(MAGIC) + 1, PICTURES.to_bytes()[:-4]
    with pytest.raises(ArchiveError, match="does not end where its pictures do"):
        CodedPictures.of(sealed(MAGIC, FORMAT, body[magic:] + b"more"))


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "a.atz"
    path.write_bytes(PICTURES.to_bytes())
    assert is_compressed_pictures(path)
    assert CodedPictures.of(path) == PICTURES
    path.write_bytes(b"text")
    assert not is_compressed_pictures(path)
    assert not is_compressed_pictures(tmp_path / "none")
    for cut in (False, True):
        with pytest.raises(ArchiveError, match=r"a\.atz is not a compressed file"):
            CodedPictures.of(path, cut)
        with pytest.raises(FileError, match="none cannot be read: no such file"):
            CodedPictures.of(tmp_path / "none", cut)
        with pytest.raises(ArchiveError, match="another format than 1"):
            CodedPictures.of(sealed(MAGIC, 2, b"anything"), cut)
    with pytest.raises(ArchiveError, match="checksum"):
        unsealed(sealed(b"magic", 1, b"")[:-1], b"magic", 1)


def test_bits_a_pixel_are_those_of_all_but_the_model():
    pixels = 3 * 5 + 2 * 300
    length = len(PICTURES.to_bytes()) - len(b"model")
    assert PICTURES.bits_per_pixel == 8 * length / pixels
    assert quality_of(512) == 50.5
    assert PICTURES.quality == 1 + 99 * 700 / 1024


@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 9))
@settings(deadline=None)
def test_parts_cover_a_picture_once(height, width, side):
    covered = set()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(coded_pictures, "SIDE", side)
        for rows, columns in parts_of((height, width)):
            assert 0 < rows.stop - rows.start <= side
            assert 0 < columns.stop - columns.start <= side
            places = {(y, x) for y in range(height)[rows] for x in range(width)[columns]}
            assert not covered & places
            covered |= places
    assert len(covered) == height * width
