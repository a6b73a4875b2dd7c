from contextlib import suppress
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_array_equal

from attar import DataError, FileError
from attar.data.files.arrays import NpyStream

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
    assert {piece.dtype for piece in [stream.read(), *stream]} == {array.dtype}
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
        (content[:-9], FileError, "is damaged: it promises more data than it has."),
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
