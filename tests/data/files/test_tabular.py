import datetime
from contextlib import suppress

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.ipc as ipc
import pyarrow.parquet as pq
import pytest
from pandas.testing import assert_frame_equal

from attar import DataError, FileError
from attar.data.files import base
from attar.data.files import csv as csv_module
from attar.data.files.csv import Csv
from attar.data.files.tabular import STREAMS, FeatherStream, ParquetStream


def csv(folder, text):
    path = folder / "a.csv"
    path.write_text(text)
    return Csv(path)


def written(folder, frame):
    """Write a frame in each format that keeps its dtypes; return the streams."""
    frame.to_parquet(folder / "a.parquet", row_group_size=5)
    frame.to_feather(folder / "a.feather", chunksize=5)
    table = pa.Table.from_pandas(frame)
    with ipc.new_stream(folder / "a.arrow", table.schema) as writer:
        writer.write_table(table, max_chunksize=5)
    return [STREAMS[s](folder / f"a{s}") for s in (".parquet", ".feather", ".arrow")]


FRAME = pd.DataFrame(
    {
        "float": np.linspace(0, 1, 12, dtype=np.float32),
        "integer": np.arange(12, dtype=np.int16),
        "missing": pd.array([None, 2**62 + 1, *range(10)], dtype="Int64"),
        "bool": [True, False] * 6,
        "unsure": pd.array([True, False, None] * 4, dtype="boolean"),
        "text": ["p", "q", None, "é,\n"] * 3,
        "category": pd.Categorical(["y", None, "z"] * 4, categories=["z", "x", "y"]),
        "ordered": pd.Categorical(["lo", "hi"] * 6, categories=["lo", "hi"], ordered=True),
        "time": pd.date_range("2020", periods=12, freq="h", unit="us"),
        "zone": pd.date_range("2020", periods=12, tz="Europe/Berlin", unit="us"),
        "span": pd.to_timedelta(np.arange(12), "h").as_unit("us"),
    }
)


class TestDtypes:
    def test_are_those_that_pandas_wrote(self, tmp_path):
        for stream in written(tmp_path, FRAME):
            assert_frame_equal(stream.read(), FRAME)

    def test_are_the_same_in_every_piece(self, tmp_path, monkeypatch):
        streams = written(tmp_path, FRAME)
        FRAME.drop(columns=["zone", "span"]).to_csv(tmp_path / "a.csv", index=False)
        for stream in [*streams, Csv(tmp_path / "a.csv")]:
            whole = stream.read()
            for rows in (1, 4, 7, 100):
                monkeypatch.setattr(base, "rows_of_a_piece", lambda width, rows=rows: rows)
                pieces = list(stream)
                assert [len(piece) for piece in pieces[:-1]] == [rows] * (11 // rows)
                for piece in pieces:
                    assert_frame_equal(piece, whole.loc[piece.index])
                assert_frame_equal(pd.concat(pieces), whole)
            monkeypatch.undo()

    def test_of_integers_and_booleans_with_missing_values_in_another_programs_file(
        self, tmp_path, monkeypatch
    ):
        monkeypatch.setattr(base, "rows_of_a_piece", lambda width: 2)
        table = pa.table(
            {"i": pa.array([1, 2, 3, None], pa.uint8()), "b": [True, True, True, None]}
        )
        pq.write_table(table, tmp_path / "a.parquet")
        for piece in ParquetStream(tmp_path / "a.parquet"):
            assert piece.dtypes.astype(str).to_list() == ["UInt8", "boolean"]
        assert ParquetStream(tmp_path / "a.parquet").read()["i"].to_list() == [1, 2, 3, pd.NA]

    def test_of_columns_with_dots_in_their_names_and_of_very_many_with_missing_values(
        self, tmp_path
    ):
        names = ["a.b", *map(str, range(300))]
        table = pa.table([pa.array([1, None])] * len(names), names=names)
        pq.write_table(table, tmp_path / "a.parquet")
        frame = ParquetStream(tmp_path / "a.parquet").read()
        assert frame.columns.to_list() == names
        assert set(frame.dtypes) == {pd.Int64Dtype()}

    def test_of_dates(self, tmp_path):
        days = [datetime.date(1066, 10, 14), None, datetime.date(2016, 7, 1)]
        pq.write_table(pa.table({"d": days}), tmp_path / "a.parquet")
        pd.DataFrame({"d": days}).to_parquet(tmp_path / "b.parquet")
        for name in ("a.parquet", "b.parquet"):
            found = ParquetStream(tmp_path / name).read()["d"]
            assert found.dtype == "datetime64[s]"
            assert [None if pd.isna(day) else day.date() for day in found] == days

    def test_categories_of_all_row_groups_are_joined_in_their_order(self, tmp_path, monkeypatch):
        monkeypatch.setattr(base, "rows_of_a_piece", lambda width: 2)
        schema = pa.schema([("c", pa.dictionary(pa.int32(), pa.string()))])
        words = (["b", "a"], ["c", None], ["d", "a"])
        with pq.ParquetWriter(tmp_path / "a.parquet", schema) as writer:
            for pair in words:
                writer.write_table(pa.table({"c": pa.array(pair).dictionary_encode()}))
        stream = ParquetStream(tmp_path / "a.parquet")
        for piece, pair in zip(stream, words, strict=True):
            assert piece["c"].cat.categories.to_list() == ["b", "a", "c", "d"]
            assert piece["c"].astype(object).where(piece["c"].notna(), None).to_list() == pair
        assert_frame_equal(stream.read(), pd.read_parquet(tmp_path / "a.parquet"))

    def test_of_the_newest_arrow_types(self, tmp_path):
        view = pa.array(["p", "q", "p"], pa.string_view())
        coded = pa.DictionaryArray.from_arrays([0, 1, 0], view[:2])
        table = pa.table({"s": view, "c": coded})
        with ipc.new_file(tmp_path / "a.arrow", table.schema) as writer:
            writer.write_table(table)
        frame = FeatherStream(tmp_path / "a.arrow").read()
        assert frame["s"].to_list() == frame["c"].to_list() == ["p", "q", "p"]
        assert frame["c"].dtype == "category"


@pytest.mark.parametrize(
    "index",
    [
        pd.RangeIndex(12),
        pd.RangeIndex(30, 54, 2, name="n"),
        pd.Index(list("abcdefghijkl")),
        pd.date_range("2020", periods=12, unit="us", name="day"),
        pd.MultiIndex.from_product([["p", "q"], range(6)], names=["a", "b"]),
    ],
    ids=["default", "range", "unnamed", "named", "multi"],
)
def test_the_index_is_kept(index, tmp_path, monkeypatch):
    frame = FRAME.set_axis(index)
    frame.to_parquet(tmp_path / "a.parquet")
    stream = ParquetStream(tmp_path / "a.parquet")
    assert_frame_equal(stream.read(), frame, check_freq=False)
    monkeypatch.setattr(base, "rows_of_a_piece", lambda width: 5)
    assert_frame_equal(pd.concat(stream), frame, check_freq=False)


def test_the_number_of_rows_is_known_where_the_metadata_has_it(tmp_path):
    parquet, *others = written(tmp_path, FRAME)
    assert parquet.rows == 12
    assert [stream.rows for stream in others] == [None, None]
    assert csv(tmp_path, "a\n1\n").rows is None


def test_tables_without_rows_have_columns(tmp_path):
    frame = FRAME.drop(columns=["category", "ordered"])[:0]
    for stream in written(tmp_path, frame):
        [piece] = stream
        assert_frame_equal(piece, frame)
    [piece] = csv(tmp_path, "a,b\n")
    assert_frame_equal(piece, pd.DataFrame({"a": [], "b": []}))


def test_a_fingerprint_changes_with_the_file(tmp_path):
    stream = csv(tmp_path, "a\n1\n")
    before = stream.fingerprint
    assert stream.fingerprint == before
    csv(tmp_path, "a\n1\n2\n")
    assert stream.fingerprint != before
    assert Csv(stream.path).fingerprint == stream.fingerprint
    with pytest.raises(FileError, match=r"There is no file .*none\.csv"):
        Csv(tmp_path / "none.csv").fingerprint  # noqa: B018


@pytest.mark.parametrize(
    ("width", "least", "most"), [(1, 65536, 65536), (40, 30000, 33000), (2000, 1024, 1024)]
)
def test_pieces_of_wide_tables_have_fewer_rows(width, least, most, tmp_path):
    table = pa.table([pa.array(np.zeros(most + 1))] * width, names=list(map(str, range(width))))
    pq.write_table(table, tmp_path / "a.parquet")
    pyarrow.feather.write_feather(table, tmp_path / "a.feather")
    for suffix in (".parquet", ".feather"):
        first, *_ = STREAMS[suffix](tmp_path / f"a{suffix}")
        assert least <= len(first) <= most


def test_reading_in_pieces_takes_no_more_memory_for_more_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_module, "BLOCK", 1 << 16)

    def most(rows, suffix):
        path = tmp_path / f"a{suffix}"
        table = pa.table({"a": np.random.default_rng(0).normal(size=rows), "b": ["text"] * rows})
        WRITERS[suffix](table, path)
        del table
        before = pa.total_allocated_bytes()
        return max(pa.total_allocated_bytes() - before for _ in STREAMS[suffix](path))

    for suffix in WRITERS:
        assert most(1 << 19, suffix) < 1.2 * most(1 << 18, suffix)


WRITERS = {
    ".parquet": pq.write_table,
    ".feather": pyarrow.feather.write_feather,
    ".csv": pyarrow.csv.write_csv,
}


class TestArrow:
    def test_repeated_columns_are_named(self, tmp_path):
        table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"])
        pq.write_table(table, tmp_path / "a.parquet")
        with ipc.new_file(tmp_path / "a.arrow", table.schema) as writer:
            writer.write_table(table)
        for stream in (ParquetStream(tmp_path / "a.parquet"), FeatherStream(tmp_path / "a.arrow")):
            with pytest.raises(DataError, match=r"a\.\w+ has more than one column named 'a'"):
                stream.read()

    def test_feathers_first_version_is_refused(self, tmp_path):
        path = tmp_path / "a.feather"
        path.write_bytes(b"FEA1" + bytes(99) + b"FEA1")
        with pytest.raises(FileError, match="is of Feather's first version: write it again"):
            FeatherStream(path).read()

    def test_what_is_damaged_is_read_or_refused_in_one_sentence(self, tmp_path):
        for stream in written(tmp_path, FRAME):
            content = stream.path.read_bytes()
            cut = [content[:n] for n in (0, 3, 100, len(content) // 2, len(content) - 1)]
            for bad in cut + list(changed(content, 150)):
                stream.path.write_bytes(bad)
                with suppress(FileError, DataError):
                    assert isinstance(type(stream)(stream.path).read(), pd.DataFrame)
            for bad in (b"", b"\x00\xff no table", content[: len(content) // 2]):
                stream.path.write_bytes(bad)
                with pytest.raises(FileError, match="cannot be read: ") as caught:
                    type(stream)(stream.path).read()
                assert str(stream.path) in str(caught.value)
                assert "\n" not in str(caught.value)


def changed(content, times):
    for place in np.linspace(0, len(content) - 1, times).astype(int):
        bad = bytearray(content)
        bad[place] ^= 0xFF
        yield bytes(bad)
