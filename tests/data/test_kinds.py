from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image
from scipy import sparse

from attar import DataError
from attar.data.arrays import native
from attar.data.images import Images
from attar.data.kinds import KINDS, kind_of
from attar.data.pictures import Pictures
from attar.data.series import Series, Windows
from attar.data.sparse import SparseMatrix
from attar.data.stream import Stream, pieces
from attar.data.table import Table

X = np.random.default_rng(0).random((30, 4))
FRAME = pd.DataFrame(X, columns=list("abcd"))
IMAGES = np.random.default_rng(1).random((6, 4, 5))


class Pieces(Stream):
    fingerprint = "pieces"

    def __init__(self, *given):
        self.given = given

    def __iter__(self):
        return iter(self.given)


CASES = {
    "array": (X, Table),
    "list": (X.tolist(), Table),
    "frame": (FRAME, Table),
    "arrow": (pa.table({"a": X[:, 0]}), Table),
    "images": (IMAGES, Images),
    "images with channels": (np.stack([IMAGES] * 3, -1), Images),
    "a list of images": (list(IMAGES), Images),
    "matrix": (sparse.csr_matrix(X), SparseMatrix),
    "sparse array": (sparse.coo_array(X), SparseMatrix),
    "series": (Series(X), Windows),
    "series of a frame": (Series(FRAME), Windows),
    "stream of arrays": (Pieces(X[:3], X[3:]), Table),
    "stream of frames": (Pieces(FRAME), Table),
    "stream of images": (Pieces(IMAGES, IMAGES), Images),
}


@pytest.mark.parametrize("case", CASES)
def test_data_are_of_a_kind(case):
    data, expected = CASES[case]
    assert kind_of(data) is expected
    kind, summary = expected.of(pieces(data))
    assert isinstance(kind, expected)
    assert KINDS[kind.name] is expected
    assert summary.rows == sum(kind.rows(piece).shape[0] for piece in pieces(data))
    assert not summary.missing


def test_a_folder_of_pictures_is_images(tmp_path):
    for i in range(3):
        Image.fromarray(np.full((4, 5), 40 * i, np.uint8)).save(tmp_path / f"{i}.png")
    assert kind_of(Pictures(tmp_path)) is Images


@pytest.mark.parametrize("shape", [(), (5,), (2,) * 6])
def test_data_of_other_dimensions_are_refused(shape):
    with pytest.raises(DataError, match=f"an array with {len(shape)} dimensions instead. Reshape"):
        kind_of(np.zeros(shape))


def test_rows_of_different_shapes_are_refused():
    with pytest.raises(DataError, match=r"different shapes \(\(2,\), \(3,\)\): bring them to one"):
        kind_of([[1.0, 2.0], [3.0, 4.0, 5.0]])


def gone(data, place):
    """A copy of data in which one cell is missing."""
    copy = data.astype(float)
    copy[place] = np.nan
    return copy


@pytest.mark.parametrize(
    "data",
    [gone(X, (3, 2)), pd.DataFrame(gone(X, (3, 2))), gone(IMAGES, (2, 3, 0))],
    ids=["array", "frame", "images"],
)
def test_a_single_missing_cell_is_known_of(data):
    assert kind_of(data).of([data])[1].missing


def test_a_missing_cell_in_each_column_is_known_of_wherever_it_is():
    # More rows than a sample has, and all columns lack as many values.
    x = np.random.default_rng(0).random((50_000, 3)).astype(np.float32)
    _, before = Table.of([x])
    others = np.setdiff1d(np.arange(50_000), before.places)[:3]
    x[others, range(3)] = np.nan
    for data in (x, pd.DataFrame(x)):
        _, summary = Table.of([data])
        assert not np.isnan(summary.sample).any()
        assert summary.missing


def test_a_missing_point_of_a_series_is_known_of():
    data = Series(gone(X, (3, 2)), window=6)
    assert Windows.of([data])[1].missing


@pytest.mark.parametrize("dtype", [float, np.float32, int, bool])
def test_nothing_is_missing_in_a_sparse_matrix(dtype):
    matrix = sparse.csr_array(np.eye(5, dtype=dtype))
    assert not SparseMatrix.of([matrix])[1].missing


def test_categories_and_dates_are_missing_too():
    frame = pd.DataFrame(
        {
            "town": ["Bonn", "Ulm", "Bonn", "Ulm"] * 5,
            "day": pd.date_range("2024-01-01", periods=20, freq="31h"),
            "paid": pd.array([True, False] * 10, "boolean"),
        }
    )
    assert not Table.of([frame])[1].missing
    for column in frame:
        holed = frame.copy()
        holed.loc[7, column] = None
        assert Table.of([holed])[1].missing


def test_refusals_say_what_to_give(tmp_path):
    with pytest.raises(DataError, match=r"X\.reshape\(-1, \*X\.shape\[2:\]\)"):
        kind_of(np.zeros((2, 2, 2, 2, 2)))
    with pytest.raises(DataError, match="the path of the folder"):
        kind_of([Path("a.png"), Path("b.png")])
    np.savez(tmp_path / "a.npz", X=np.zeros(3))
    with np.load(tmp_path / "a.npz") as archive, pytest.raises(DataError, match=r"archive\['X'\]"):
        kind_of(archive)


def test_an_object_array_of_images_is_their_stack():
    images = np.arange(24.0).reshape(2, 3, 4)
    objects = np.empty(2, object)
    objects[:] = list(images)
    np.testing.assert_array_equal(native(objects), images)
