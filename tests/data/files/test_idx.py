import gzip
import struct
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from attar import FileError
from attar.data.files.arrays import parse_idx, read_idx

CODES = {8: "u1", 9: "i1", 11: "i2", 12: "i4", 13: "f4", 14: "f8"}
HERE = Path("some.idx")


def written(array, code):
    """An IDX file as its specification has it: big-endian throughout."""
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


@given(st.data())
def test_what_is_written_is_read(data):
    code = data.draw(st.sampled_from(sorted(CODES)))
    array = data.draw(arrays(CODES[code], array_shapes(max_dims=4, max_side=4)))
    found = parse_idx(written(array, code), HERE)
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


CONTENT = written(np.arange(24, dtype=np.int16).reshape(2, 3, 4), 11)


@given(st.integers(0, len(CONTENT) - 1))
def test_a_file_that_ends_early_is_refused(length):
    with pytest.raises(FileError, match=r"some\.idx is"):
        parse_idx(CONTENT[:length], HERE)


@given(st.binary(min_size=1, max_size=9))
def test_a_file_that_is_longer_than_it_says_is_refused(more):
    with pytest.raises(FileError, match=f"promises 48 bytes of data and has {48 + len(more)}"):
        parse_idx(CONTENT + more, HERE)


@pytest.mark.parametrize(
    "start", [b"\x01\0\x0b\x03", b"\0\x01\x0b\x03", b"\0\0\x0a\x03", b"PK\3\4"]
)
def test_a_file_that_does_not_begin_as_one_is_refused(start):
    with pytest.raises(FileError, match="does not begin as one"):
        parse_idx(start + CONTENT[4:], HERE)


@given(st.binary(max_size=60))
def test_any_bytes_are_an_array_or_a_file_error(content):
    with suppress(FileError):
        assert isinstance(parse_idx(b"\0\0" + content, HERE), np.ndarray)


def test_a_size_beyond_all_memory_is_refused_without_taking_any():
    content = struct.pack(">BBBB4I", 0, 0, 14, 4, *[2**32 - 1] * 4)
    with pytest.raises(FileError, match="promises"):
        parse_idx(content, HERE)


def test_files_may_be_compressed(tmp_path):
    plain, packed = tmp_path / "a.idx", tmp_path / "a.idx.gz"
    plain.write_bytes(CONTENT)
    packed.write_bytes(gzip.compress(CONTENT))
    np.testing.assert_array_equal(read_idx(plain), read_idx(packed))


@pytest.mark.parametrize("damage", ["cut", "flipped", "checksum", "other"])
def test_a_damaged_compressed_file_is_refused(tmp_path, damage):
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
    with pytest.raises(FileError, match="is damaged"):
        read_idx(path)
