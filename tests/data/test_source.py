import gzip
import io
import struct
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather
import pytest
from PIL import Image

from attar import AttarWarning, DataError, FileError
from attar.data import datasets
from attar.data import source as sources
from attar.data.images import Images
from attar.data.pictures import Pictures
from attar.data.series import Series
from attar.data.source import READERS, STREAMS, Source, read, without_infinities
from attar.data.stream import Stream

X = np.arange(12.0).reshape(4, 3)
FRAME = pd.DataFrame(X, columns=["a", "b", "c"]).assign(kind=["p", "q", "p", "q"])


def idx(path):
    header = struct.pack(">BBBB2I", 0, 0, 8, 2, 4, 3)
    path.write_bytes(header + X.astype(np.uint8).tobytes())


WRITERS = {
    "a.csv": lambda path: FRAME.drop(columns="kind").to_csv(path, index=False),
    "a.csv.gz": lambda path: FRAME.drop(columns="kind").to_csv(path, index=False),
    "a.parquet": lambda path: FRAME.drop(columns="kind").to_parquet(path),
    "a.feather": lambda path: FRAME.drop(columns="kind").to_feather(path),
    "a.arrow": lambda path: feather.write_feather(FRAME.drop(columns="kind"), str(path)),
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
    with pytest.raises(FileError, match="holds Python objects, which are never loaded"):
        read(tmp_path / "a.npy")


def test_a_column_of_labels_is_split_off(tmp_path):
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


def test_pictures_and_arrays_have_no_column_of_labels(tmp_path):
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    for source in (tmp_path, Pictures(tmp_path), "digits"):
        with pytest.raises(DataError, match="no table with named columns, so it has no column 'x'"):
            read(source, label="x")


def test_a_missing_file_lists_the_data_sets(tmp_path):
    with pytest.raises(FileError, match=r"no file .*a\.csv, and no data set .* \(digits, mnist"):
        read(tmp_path / "a.csv")


def test_an_unknown_suffix_lists_the_known_ones(tmp_path):
    (tmp_path / "a.docx").write_bytes(b"PK")
    with pytest.raises(FileError, match=r"suffix that attar does not read: use one of \.csv"):
        read(tmp_path / "a.docx")


def test_a_folder_without_pictures_is_refused(tmp_path):
    with pytest.raises(DataError, match="holds no pictures: attar reads PNG"):
        read(tmp_path)


def pictures(folder, sizes):
    for i, size in enumerate(sizes):
        (folder / "ab"[i % 2]).mkdir(exist_ok=True)
        Image.fromarray(np.full(size, 9 * i, np.uint8)).save(folder / "ab"[i % 2] / f"{i}.png")


def test_a_folder_is_its_pictures_and_their_labels(tmp_path):
    pictures(tmp_path, [(4, 5)] * 6)
    source = read(tmp_path)
    assert isinstance(source.data, Pictures)
    assert source.labels.tolist() == ["a", "a", "a", "b", "b", "b"]
    expected = np.array([0, 18, 36, 9, 27, 45])
    assert np.array_equal(np.concatenate(list(source.data))[:, 0, 0], expected)


def test_pictures_come_in_the_form_that_was_fitted(tmp_path):
    pictures(tmp_path, [(8, 6), (4, 4)])
    (piece,) = read(tmp_path, kind=Images((3, 2), "uint8", resized=True)).data
    np.testing.assert_array_equal(piece, np.full((2, 3, 2), [[[0]], [[9]]]))
    with pytest.raises(DataError, match="different sizes"):
        read(tmp_path)


def test_a_closed_file_is_refused(tmp_path, monkeypatch):
    def refuse(*_, **__):
        # The superuser, whom tests may run as, may read every file.
        raise PermissionError(13, "Permission denied")

    monkeypatch.setitem(READERS, ".npz", refuse)
    monkeypatch.setattr("pyarrow.csv.open_csv", refuse)
    monkeypatch.setattr(np.lib.format, "open_memmap", refuse)
    for name in ("a.csv", "a.npy", "a.npz"):
        (tmp_path / name).write_text("a\n1\n")
        with pytest.raises(FileError, match="may not be read: change its permissions"):
            read(tmp_path / name)


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


@pytest.mark.parametrize("name", [name for name in WRITERS if name.endswith(tuple(STREAMS))])
def test_a_large_file_is_streamed(name, tmp_path, monkeypatch):
    WRITERS[name](tmp_path / name)
    monkeypatch.setattr(sources, "MAX_FILE", 9)
    monkeypatch.setattr(sources, "MAX_MEMORY", 9)
    source = read(tmp_path / name)
    assert isinstance(source.data, Stream)
    for _ in range(2):
        np.testing.assert_array_equal(np.concatenate([np.asarray(p) for p in source.data]), X)


def test_a_large_file_lacks_its_column_of_labels(tmp_path, monkeypatch):
    FRAME.to_csv(tmp_path / "a.csv", index=False)
    monkeypatch.setattr(sources, "MAX_FILE", 9)
    source = read(tmp_path / "a.csv", label="kind")
    assert isinstance(source.data, Stream)
    assert source.labels is None
    assert list(pd.concat(source.data).columns) == ["a", "b", "c"]
    assert source.data.fingerprint != read(tmp_path / "a.csv").data.fingerprint
    with pytest.raises(DataError, match="did you mean 'kind'"):
        read(tmp_path / "a.csv", label="knd")


def test_a_series_may_be_a_file(tmp_path):
    FRAME.drop(columns="kind").to_csv(tmp_path / "a.csv", index=False)
    source = read(Series(tmp_path / "a.csv", window=3))
    assert isinstance(source.data, Series)
    assert source.data.window == 3
    np.testing.assert_array_equal(np.asarray(source.data.data), X)


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


class Pieces(Stream):
    fingerprint = "pieces"

    def __init__(self, *pieces):
        self.given = pieces

    def __iter__(self):
        return iter(self.given)


VALUES = np.array([[1.0, np.inf], [np.nan, -np.inf], [np.inf, 2.0]])
CLEAN = np.array([[1.0, np.nan], [np.nan, np.nan], [np.nan, 2.0]])


def test_infinite_cells_of_an_array_become_missing():
    with pytest.warns(AttarWarning, match="3 infinite values count as missing"):
        np.testing.assert_array_equal(without_infinities(VALUES), CLEAN)


def test_a_frame_keeps_its_dtypes():
    frame = pd.DataFrame(VALUES, columns=["a", "b"]).astype({"b": np.float32})
    frame["words"] = ["x", "y", "z"]
    frame["nullable"] = pd.array([1.5, None, np.inf], "Float64")
    with pytest.warns(AttarWarning, match="4 infinite values"):
        clean = without_infinities(frame)
    assert clean.dtypes.tolist() == frame.dtypes.tolist()
    np.testing.assert_array_equal(clean[["a", "b"]], CLEAN)
    assert clean["nullable"].isna().tolist() == [False, True, True]


def test_an_arrow_table_keeps_its_schema():
    table = pa.table({"a": VALUES[:, 0], "n": [1, 2, None]})
    with pytest.warns(AttarWarning, match="1 infinite values"):
        clean = without_infinities(table)
    assert clean.schema == table.schema
    assert clean["a"].null_count == 1


def test_a_stream_is_counted_once():
    stream = without_infinities(Pieces(VALUES[:1], VALUES[1:]))
    with pytest.warns(AttarWarning, match="3 infinite values"):
        first = list(stream)
    again = list(stream)  # a warning here would be an error
    for pieces in (first, again):
        np.testing.assert_array_equal(np.concatenate(pieces), CLEAN)


def test_finite_data_stays_the_same_object():
    for data in (CLEAN, pd.DataFrame({"a": [1.0], "b": ["x"]})):
        assert without_infinities(data) is data
