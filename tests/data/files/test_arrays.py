import gzip
import struct
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_array_equal

from attar import DataError, FileError
from attar.data.files.arrays import NpyStream, parse_idx, read_idx

in_a_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def changed(content, times):
    for place in np.linspace(0, len(content) - 1, times).astype(int):
        bad = bytearray(content)
        bad[place] ^= 0xFF
        yield bytes(bad)


@in_a_folder
@given(
    hnp.arrays(
        st.sampled_from(["u1", ">i4", "f4", "f8", "?"]),
        hnp.array_shapes(min_dims=1, max_dims=4, min_side=0),
    ),
    st.booleans(),
)
def test_pieces_make_the_array(tmp_path, array, fortran):
    path = tmp_path / "a.npy"
    np.save(path, np.asfortranarray(array) if fortran else array)
    stream = NpyStream(path)
    assert stream.rows == len(array)
    native = array.dtype.newbyteorder("=")
    assert {piece.dtype for piece in [stream.read(), *stream]} == {native}
    assert_array_equal(stream.read(), array)
    assert_array_equal(np.concatenate(list(stream)), array)


def test_pieces_are_small_and_in_memory(tmp_path):
    array = np.arange(400_000.0).reshape(200_000, 2)
    np.save(tmp_path / "a.npy", array)
    pieces = list(NpyStream(tmp_path / "a.npy"))
    assert [len(piece) for piece in pieces] == [65536] * 3 + [200_000 - 3 * 65536]
    bounds = pairwise([0, 65536, 131072, 196608, 200_000])
    for piece, (start, end) in zip(pieces, bounds, strict=True):
        assert type(piece) is np.ndarray
        assert piece.flags.owndata
        assert_array_equal(piece, array[start:end])


def test_what_is_no_array_of_rows_is_refused(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.zeros((30, 4)))
    content = path.read_bytes()
    np.save(path, np.array([{}], dtype=object), allow_pickle=True)
    pickled = path.read_bytes()
    np.save(path, 3.0)
    number = path.read_bytes()
    for bad, error, message in (
        (content[:-9], FileError, "is damaged: it has less data than its header says."),
        (content[:50], FileError, "is no .npy file, or a damaged one."),
        (b"", FileError, "is no .npy file, or a damaged one."),
        (b"a,b\n1,2\n", FileError, "is no .npy file, or a damaged one."),
        (
            pickled,
            FileError,
            "holds Python objects, which are never loaded: save an array of numbers.",
        ),
        (number, DataError, "holds a single value: save an array of rows."),
    ):  # fmt: skip
        path.write_bytes(bad)
        for attempt in (NpyStream(path).read, lambda: list(NpyStream(path))):
            with pytest.raises(error) as caught:
                attempt()
            assert str(caught.value) == f"{path} {message}"


def test_what_is_damaged_is_read_or_refused(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.zeros((30, 4)))
    for bad in changed(path.read_bytes(), 150):
        path.write_bytes(bad)
        with suppress(FileError, DataError):
            assert isinstance(NpyStream(path).read(), np.ndarray)


CODES = {8: "u1", 9: "i1", 11: "i2", 12: "i4", 13: "f4", 14: "f8"}
PATH = Path("some.idx")


def idx(array, code):
    """An IDX file as its specification has it: big-endian throughout."""
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


@given(st.data())
def test_the_array_of_an_idx_file_is_read(data):
    code = data.draw(st.sampled_from(sorted(CODES)))
    array = data.draw(hnp.arrays(CODES[code], hnp.array_shapes(max_dims=4, max_side=4)))
    found = parse_idx(idx(array, code), PATH)
    assert found.dtype == array.dtype
    assert_array_equal(found, array)


CONTENT = idx(np.arange(24, dtype=np.int16).reshape(2, 3, 4), 11)


@given(st.integers(0, len(CONTENT) - 1))
def test_an_idx_file_that_ends_early_is_refused(length):
    with pytest.raises(FileError, match=r"some\.idx is"):
        parse_idx(CONTENT[:length], PATH)


@given(st.binary(min_size=1, max_size=9))
def test_an_idx_file_that_is_longer_than_it_says_is_refused(more):
    with pytest.raises(
        FileError, match=f"its header says 48 bytes of data, and it has {48 + len(more)}"
    ):
        parse_idx(CONTENT + more, PATH)


@pytest.mark.parametrize(
    "start", [b"\x01\0\x0b\x03", b"\0\x01\x0b\x03", b"\0\0\x0a\x03", b"PK\3\4"]
)
def test_an_idx_file_that_does_not_begin_as_one_is_refused(start):
    with pytest.raises(FileError, match="does not begin as one"):
        parse_idx(start + CONTENT[4:], PATH)


@given(st.binary(max_size=60))
def test_any_bytes_are_an_idx_array_or_a_file_error(content):
    with suppress(FileError):
        assert isinstance(parse_idx(b"\0\0" + content, PATH), np.ndarray)


def test_an_idx_size_beyond_all_memory_is_refused_without_taking_any():
    content = struct.pack(">BBBB4I", 0, 0, 14, 4, *[2**32 - 1] * 4)
    with pytest.raises(FileError, match="its header says"):
        parse_idx(content, PATH)


def test_idx_files_may_be_compressed(tmp_path):
    plain, packed = tmp_path / "a.idx", tmp_path / "a.idx.gz"
    plain.write_bytes(CONTENT)
    packed.write_bytes(gzip.compress(CONTENT))
    assert_array_equal(read_idx(plain), read_idx(packed))


@pytest.mark.parametrize("damage", ["cut", "flipped", "checksum", "other"])
def test_a_damaged_compressed_idx_file_is_refused(tmp_path, damage):
    packed = bytearray(gzip.compress(CONTENT))
    if damage == "cut":
        packed = packed[:-12]
    elif damage == "flipped":
        packed[12] ^= 0xFF
    elif damage == "checksum":
        packed[-6] ^= 0xFF
    else:
        packed = bytearray(CONTENT)
    path = tmp_path / "a.idx.gz"
    path.write_bytes(packed)
    with pytest.raises(FileError, match="cannot be read"):
        read_idx(path)
