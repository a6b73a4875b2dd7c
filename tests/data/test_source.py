import gzip
import io
import struct
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from attar import DataError, FileError
from attar.data import datasets
from attar.data.source import READERS, Source, kind_of, read

X = np.arange(12.0).reshape(4, 3)
FRAME = pd.DataFrame(X, columns=["a", "b", "c"]).assign(kind=["p", "q", "p", "q"])


def idx(path):
    header = struct.pack(">BBBB2I", 0, 0, 8, 2, 4, 3)
    path.write_bytes(header + X.astype(np.uint8).tobytes())


WRITERS = {
    "a.csv": lambda path: FRAME.drop(columns="kind").to_csv(path, index=False),
    "a.csv.gz": lambda path: FRAME.drop(columns="kind").to_csv(path, index=False),
    "a.parquet": lambda path: FRAME.drop(columns="kind").to_parquet(path),
    "a.npy": lambda path: np.save(path, X),
    "a.npz": lambda path: np.savez_compressed(path, X=X),
    "a.idx": idx,
    "a-ubyte": idx,
}


@pytest.mark.parametrize("name", WRITERS)
class TestEveryFormat:
    def test_is_read(self, name, tmp_path):
        path = tmp_path / name
        WRITERS[name](path)
        for source in (path, str(path)):
            np.testing.assert_array_equal(np.asarray(read(source).data), X)
            assert read(source).labels is None

    def test_that_is_empty_or_cut_or_something_else_is_refused_in_one_sentence(
        self, name, tmp_path
    ):
        path = tmp_path / name
        WRITERS[name](path)
        content = path.read_bytes()
        wrong = [b"", b"\x00\xff\xfe\x80 no data at all \x81" * 9]
        if name not in ("a.csv",):
            wrong += [content[:-1], content[: len(content) // 2]]
        for bad in wrong:
            path.write_bytes(bad)
            with pytest.raises((FileError, DataError)) as error:
                read(path)
            assert str(path) in str(error.value)
            assert "\n" not in str(error.value)

    def test_with_any_byte_changed_is_read_or_refused(self, name, tmp_path):
        path = tmp_path / name
        WRITERS[name](path)
        content = path.read_bytes()
        for place in range(0, len(content), max(1, len(content) // 60)):
            changed = bytearray(content)
            changed[place] ^= 0xFF
            path.write_bytes(changed)
            with suppress(FileError, DataError):
                assert isinstance(read(path), Source)


def test_objects_in_memory_are_taken_as_they_are():
    assert read(X).data is X
    assert read(FRAME).data is FRAME


@pytest.mark.parametrize("name", ["y", "labels"])
def test_an_archive_may_hold_labels(name, tmp_path):
    np.savez(tmp_path / "a.npz", **{name: np.arange(4)[:, None], "data": X})
    source = read(tmp_path / "a.npz")
    np.testing.assert_array_equal(source.data, X)
    np.testing.assert_array_equal(source.labels, np.arange(4))


def test_an_archive_of_one_array_needs_no_name_and_one_of_several_does(tmp_path):
    np.savez(tmp_path / "a.npz", anything=X)
    np.testing.assert_array_equal(read(tmp_path / "a.npz").data, X)
    np.savez(tmp_path / "b.npz", anything=X, other=X)
    with pytest.raises(DataError, match="name the one with the data 'X'"):
        read(tmp_path / "b.npz")


def test_an_archive_of_nothing_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz")
    with pytest.raises(DataError, match="holds no array"):
        read(tmp_path / "a.npz")


def test_a_pickle_is_never_opened(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(FileError, match="cannot be read: Object arrays cannot be loaded"):
        read(tmp_path / "a.npy")


def test_a_column_of_labels_is_set_apart(tmp_path):
    FRAME.to_csv(tmp_path / "a.csv", index=False)
    for source in (FRAME, tmp_path / "a.csv"):
        found = read(source, label="kind")
        assert list(found.data.columns) == ["a", "b", "c"]
        assert found.labels.tolist() == ["p", "q", "p", "q"]


def test_a_missing_column_of_labels_suggests_the_nearest():
    with pytest.raises(DataError, match="no column named 'knd': did you mean 'kind'"):
        read(FRAME, label="knd")
    with pytest.raises(DataError, match="no table with named columns"):
        read(X, label="kind")


def test_a_missing_file_says_what_there_is(tmp_path):
    with pytest.raises(FileError, match=r"no file .*a\.csv, and no data set .* \(digits, mnist"):
        read(tmp_path / "a.csv")


def test_an_unknown_suffix_says_which_are_known(tmp_path):
    (tmp_path / "a.xlsx").write_bytes(b"PK")
    with pytest.raises(FileError, match=r"suffix that attar does not read: use one of \.csv"):
        read(tmp_path / "a.xlsx")


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(FileError, match="is a folder: give a file"):
        read(tmp_path)


def test_a_closed_file_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.csv"
    path.write_text("a\n1\n")

    def refuse(path):
        # The superuser, whom tests may run as, may read every file.
        raise PermissionError(13, "Permission denied")

    monkeypatch.setitem(READERS, ".csv", refuse)
    with pytest.raises(FileError, match="may not be read: change its permissions"):
        read(path)


def test_data_sets_go_by_name_and_part():
    (train, train_labels), (test, _) = (
        datasets.load("digits", "train"),
        datasets.load("digits", "test"),
    )
    assert np.array_equal(read("digits").data, train)
    assert np.array_equal(read("digits").labels, train_labels)
    assert np.array_equal(read("digits", part="test").data, test)
    assert np.array_equal(read("digits/test", part="train").data, test)


def test_a_file_named_as_a_data_set_is_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("digits").write_text("a\n1\n")
    with pytest.raises(FileError, match="suffix"):
        read("digits")


def test_sparse_data_says_what_to_do():
    with pytest.raises(TypeError, match=r"convert it with \.toarray\(\)"):
        kind_of(scipy.sparse.csr_array(X))


def test_a_header_without_rows_is_an_empty_table(tmp_path):
    (tmp_path / "a.csv").write_text("a,b\n")
    table = read(tmp_path / "a.csv").data
    assert (list(table.columns), len(table)) == (["a", "b"], 0)


def test_compressed_text_is_checked(tmp_path):
    buffer = io.BytesIO()
    with gzip.open(buffer, "wb") as file:
        file.write(b"a,b\n1,2\n")
    path = tmp_path / "a.csv.gz"
    path.write_bytes(buffer.getvalue()[:-6])
    with pytest.raises(FileError, match="cannot be read"):
        read(path)
