import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pytest
import torch
from scipy import sparse

import attar
from attar import DataError
from attar.data.arrays import native
from attar.data.files.arrays import NpyStream
from attar.data.kinds import kind_of
from attar.data.source import read

X = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
INTEGERS = np.arange(-60, 60, dtype=np.int16).reshape(30, 4)


def assert_same(found, expected):
    """Assert that arrays are equal in values and dtype, and in a form that torch takes."""
    assert type(found) is np.ndarray
    assert found.dtype == expected.dtype
    assert found.dtype.isnative
    np.testing.assert_array_equal(found, expected)
    torch.from_numpy(found)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i2", "i4", "i8", "u2"])
@pytest.mark.parametrize("order", "<>")
def test_byte_order_becomes_the_machines(dtype, order):
    values = np.abs(INTEGERS)
    assert_same(native(values.astype(order + dtype)), values.astype(dtype))


@pytest.mark.parametrize(
    "view", [np.s_[::-1], np.s_[:, ::-1], np.s_[:1, ::-1], np.s_[0::-1], np.s_[::2], np.s_[:0]]
)
def test_strides_become_positive(view):
    assert_same(native(X[view]), X[view].copy())
    assert_same(native(X.T[::-1]), X.T[::-1].copy())


def test_an_array_that_is_fine_is_not_copied():
    assert native(X) is X


def test_longdouble_becomes_double():
    assert_same(native(X.astype(np.longdouble)), X.astype(np.float64))
    assert_same(native(np.array([[np.inf, np.nan]], np.longdouble)), np.array([[np.inf, np.nan]]))


def test_masked_cells_are_missing():
    mask = np.random.default_rng(1).random(X.shape) < 0.3
    hidden = np.ma.masked_array(np.where(mask, -9999, X).astype(np.float32), mask)
    assert_same(native(hidden), np.where(mask, np.nan, X).astype(np.float32))
    integers = np.ma.masked_array(INTEGERS, mask)
    assert_same(native(integers), np.where(mask, np.nan, INTEGERS))
    assert_same(native(np.ma.masked_array(INTEGERS)), INTEGERS)
    assert_same(native(np.ma.masked_array(X.astype(">f4"), mask)), native(hidden))
    objects = native(np.ma.masked_array(np.array(["a", "b"], object), [True, False]))
    assert objects.tolist() == [None, "b"]


@pytest.mark.parametrize(
    ("tensor", "expected"),
    [
        (torch.tensor(X), X),
        (torch.tensor(X, requires_grad=True), X),
        (torch.nn.Parameter(torch.tensor(X)), X),
        (torch.tensor(X).T, X.T),
        (torch.tensor(X).bfloat16(), torch.tensor(X).bfloat16().float().numpy()),
        (torch.tensor(X).half(), X.astype(np.float16)),
        (torch.tensor(INTEGERS), INTEGERS),
        (torch.tensor(X, dtype=torch.cfloat).real, X),
    ],
    ids=lambda value: str(getattr(value, "dtype", "")),
)
def test_tensors_are_arrays(tensor, expected):
    assert_same(native(tensor), expected)


def test_a_sparse_tensor_is_refused():
    with pytest.raises(DataError, match="sparse tensor is not data: make it a scipy"):
        native(torch.tensor(X).to_sparse())


def test_objects_that_are_numbers_are_numbers():
    frame = X.astype(np.float64)
    objects = frame.astype(object)
    objects[3, 2] = None
    frame[3, 2] = np.nan
    found = attar.Autoencoder(code_size=2, epochs=2, random_state=0).fit(frame)
    again = attar.Autoencoder(code_size=2, epochs=2, random_state=0).fit(objects)
    np.testing.assert_array_equal(found.transform(frame), again.transform(objects))


@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.csc_array, sparse.coo_array])
@pytest.mark.parametrize("dtype", [">f4", "<f4", ">i2", "longdouble"])
def test_sparse_matrices_of_any_byte_order_are_learned_from(kind, dtype):
    counts = np.random.default_rng(0).poisson(0.5, (40, 9))
    plain = sparse.csr_array(counts.astype(np.float64))
    matrix = kind(counts.astype(np.float64))
    matrix.data = matrix.data.astype(dtype)  # for the constructor refuses other byte orders
    found = native(matrix)
    assert type(found) is kind
    assert found.dtype.isnative
    np.testing.assert_array_equal(found.toarray(), counts)
    ae = attar.Autoencoder(code_size=2, epochs=2, random_state=0).fit(plain)
    np.testing.assert_allclose(ae.transform(matrix), ae.transform(plain), rtol=1e-5, atol=1e-6)
    attar.Autoencoder(code_size=2, epochs=1).fit(matrix)


@pytest.mark.parametrize("dtype", [">f4", ">i2", "<f8"])
def test_the_pieces_of_a_file_are_in_native_order(tmp_path, monkeypatch, dtype):
    values = INTEGERS.astype(dtype)
    np.save(tmp_path / "x.npy", values)
    monkeypatch.setattr("attar.data.files.arrays.rows_of_a_piece", lambda width: 7)
    stream = NpyStream(tmp_path / "x.npy")
    pieces = list(stream)
    assert [len(piece) for piece in pieces] == [7, 7, 7, 7, 2]
    native_values = INTEGERS.astype(np.dtype(dtype).newbyteorder("="))
    assert_same(np.concatenate(pieces), native_values)
    for piece in [*pieces, stream.read()]:
        assert piece.dtype.isnative
    assert_same(read(tmp_path / "x.npy").data, native_values)


def test_frames_have_native_columns():
    frame = pd.DataFrame({"a": X[:, 0].astype(">f4"), "b": X[:, 1].astype(np.longdouble)})
    found = native(frame.assign(c="x"))
    assert [dtype.str for dtype in found.dtypes[:2]] == ["<f4", "<f8"]
    np.testing.assert_array_equal(found[["a", "b"]], X[:, :2])
    plain = pd.DataFrame({"a": [1, 2]})
    assert native(plain) is plain


# ---------------------------------------------------------------- tables in other forms

FRAME = pd.DataFrame({"a": X[:, 0], "n": np.arange(30) % 7, "t": np.resize(["x", "y", "z"], 30)})


class HubDataset:
    """What a data set of Hugging Face has of a table."""

    __module__ = "datasets.arrow_dataset"

    def to_pandas(self):
        return FRAME


TABLES = {
    "lazy frame of polars": lambda: pl.from_pandas(FRAME).lazy(),
    "data set of Arrow": lambda: pyarrow.dataset.dataset(pa.table(FRAME)),
    "reader of Arrow": lambda: pa.table(FRAME).to_reader(),
    "data set of Hugging Face": HubDataset,
    "dictionary of lists": lambda: FRAME.to_dict("list"),
    "dictionary of columns": lambda: {name: FRAME[name] for name in FRAME},
    "dictionary of tensors": lambda: {
        "a": torch.tensor(X[:, 0]),
        "n": FRAME["n"].to_numpy().astype(">i8"),
        "t": FRAME["t"].to_list(),
    },
    "records": lambda: FRAME.to_dict("records"),
    "structured array": lambda: FRAME.astype({"t": object}).to_records(index=False),
}


@pytest.mark.parametrize("form", TABLES)
def test_tables_in_other_forms_are_taken(form):
    given = attar.Autoencoder(code_size=2, epochs=1, random_state=0).fit(TABLES[form]())
    expected = attar.Autoencoder(code_size=2, epochs=1, random_state=0).fit(FRAME)
    codes = expected.transform(FRAME)
    assert given.n_features_in_ == 3
    np.testing.assert_allclose(given.transform(TABLES[form]()), codes, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(expected.transform(TABLES[form]()), codes, rtol=1e-5, atol=1e-6)
    columns = pa.table(given.reconstruct(TABLES[form]())).column_names
    assert columns == list(FRAME)


def test_records_may_lack_fields_which_are_missing():
    found = native([{"a": 1, "b": "x"}, {"a": 2}])
    pd.testing.assert_frame_equal(found, pd.DataFrame({"a": [1, 2], "b": ["x", None]}))


def test_lists_of_pictures_are_images():
    pictures = [np.full((4, 5), i, np.uint8) for i in range(6)]
    read_back = attar.Autoencoder(code_size=1, epochs=1).fit(pictures).reconstruct(pictures)
    assert (read_back.shape, read_back.dtype) == ((6, 4, 5), np.uint8)
    with pytest.raises(DataError, match=r"different shapes \(\(3, 3\), \(4, 5\)\)"):
        kind_of([*pictures, np.zeros((3, 3))])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"train": {"a": [1]}, "test": 2}, "'dict' is no form of data"),
        ({"a": [1, 2], "b": [1]}, "one value of each for each row"),
        (
            {"a": np.ones((3, 2))},
            r"'a' has the shape \(3, 2\): give that array by itself, X\['a'\]",
        ),
        (iter([[1, 2]]), "'list_iterator' is no form of data that attar knows: give an array"),
        (None, "'NoneType' is no form of data"),
        ({1, 2}, "'set' is no form of data"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_data_is_refused_in_a_sentence(data, message):
    with pytest.raises(DataError, match=message):
        attar.Autoencoder(epochs=1).fit(data)


@pytest.mark.parametrize(
    "codes",
    [np.zeros((0, 2)), [[0, np.nan]], torch.tensor([[0, np.inf]]), np.ma.masked_all((1, 2))],
)
def test_codes_that_are_none_or_no_numbers_are_refused(codes):
    ae = attar.Autoencoder(code_size=2, epochs=1, random_state=0).fit(X)
    with pytest.raises(DataError, match="Codes must be finite numbers, of at least one row"):
        ae.inverse_transform(codes)


def test_codes_of_any_form_are_decoded():
    ae = attar.Autoencoder(code_size=2, epochs=1, random_state=0).fit(X)
    codes = ae.transform(X)
    expected = ae.inverse_transform(codes)
    for form in (
        torch.tensor(codes, requires_grad=True),
        codes.astype(">f4"),
        codes[::-1][::-1],
        np.ma.masked_array(codes),
    ):
        np.testing.assert_array_equal(ae.inverse_transform(form), expected)
