import resource
import tracemalloc
import zipfile
from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_array_equal
from pandas.testing import assert_frame_equal

from attar import DataError, FileError
from attar.data.files import writers
from attar.data.files.arrays import NpyStream
from attar.data.files.tabular import STREAMS
from attar.data.files.writers import WRITERS, TextWriter, writer_for

NUMERIC = [suffix for suffix, writer in WRITERS.items() if not issubclass(writer, TextWriter)]

in_a_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
TYPED = (".parquet", ".feather", ".arrow")
TABLES = (".csv", ".csv.gz", *TYPED)

DATETIMES = st.datetimes(pd.Timestamp(1700, 1, 1), pd.Timestamp(2200, 1, 1))
MONTH = pd.Timedelta("30D")
COLUMNS = {
    "int64": st.integers(-(2**63), 2**63 - 1),
    "uint8": st.integers(0, 255),
    "Int64": st.none() | st.integers(-(2**63), 2**63 - 1),
    "float64": st.floats(),
    "float32": st.floats(width=32),
    "bool": st.booleans(),
    "boolean": st.none() | st.booleans(),
    "str": st.none() | st.text('xyz é,"\n\r', min_size=1, max_size=6),
    "category": st.none() | st.sampled_from(["p", "q", "é,"]),
    "datetime64[s]": st.none() | st.dates(),
    "datetime64[us]": st.none() | DATETIMES,
    "datetime64[ns, UTC]": st.none() | DATETIMES,
    "timedelta64[us]": st.none() | st.timedeltas(-MONTH, MONTH),
}


@st.composite
def tables(draw, names=tuple(COLUMNS)):
    """Draw frames of some of these columns; masked dtypes end with a missing value."""
    n = draw(st.integers(1, 8))
    columns = {}
    for name in draw(st.lists(st.sampled_from(names), min_size=1, unique=True)):
        cells = draw(st.lists(COLUMNS[name], min_size=n, max_size=n))
        if name in ("Int64", "boolean"):
            cells[-1] = None
        dtype = pd.CategoricalDtype(["q", "é,", "z", "p"]) if name == "category" else name
        columns[name] = pd.Series(cells, dtype=dtype)
    return pd.DataFrame(columns)


def write(path, *pieces, names=None):
    with writer_for(path, names) as writer:
        for piece in pieces:
            writer.write(piece)
    return path


def cut(data, places):
    bounds = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    rows = [slice(a, b) for a, b in pairwise(bounds)]
    return [data.iloc[part] if isinstance(data, pd.DataFrame) else data[part] for part in rows]


def read(path):
    return STREAMS["".join(path.suffixes)](path).read()


TIMELESS = tuple(name for name in COLUMNS if not name.startswith("datetime64"))
PLACES = st.lists(st.integers(0, 99), max_size=3)


class TestTables:
    @in_a_folder
    @pytest.mark.parametrize("suffix", TYPED)
    @given(tables(), PLACES)
    def test_are_read_with_their_dtypes(self, suffix, tmp_path, table, places):
        path = write(tmp_path / f"a{suffix}", *cut(table, places))
        assert_frame_equal(read(path), table)

    @in_a_folder
    @given(tables())
    def test_read_from_text_are_written_as_the_same_text(self, tmp_path, table):
        text = write(tmp_path / "a.csv", table).read_text()
        found = read(tmp_path / "a.csv")
        assert len(found) == len(table)
        assert write(tmp_path / "b.csv", found).read_text() == text
        write(tmp_path / "a.csv.gz", found)
        assert_frame_equal(read(tmp_path / "a.csv.gz"), found)

    @in_a_folder
    @given(tables(TIMELESS), PLACES)
    def test_are_the_same_text_however_they_are_cut(self, tmp_path, table, places):
        whole = write(tmp_path / "a.csv", table).read_text()
        assert write(tmp_path / "b.csv", *cut(table, places)).read_text() == whole

    @pytest.mark.parametrize("suffix", TABLES)
    def test_may_be_matrices_with_names(self, suffix, tmp_path):
        X = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
        for names, columns in ((["a", "b,", 'c"'], ["a", "b,", 'c"']), (None, ["x0", "x1", "x2"])):
            found = read(write(tmp_path / f"a{suffix}", X[:4], X[4:], names=names))
            assert found.columns.to_list() == columns
            assert_array_equal(found.to_numpy().astype(np.float32), X)

    @pytest.mark.parametrize("suffix", TABLES)
    def test_may_be_of_any_library_that_speaks_arrow(self, suffix, tmp_path):
        class Foreign:
            def __init__(self, table):
                self.table = table

            def __arrow_c_stream__(self, requested_schema=None):
                return self.table.__arrow_c_stream__(requested_schema)

        words = pa.array(["p", "q", None], pa.string_view())
        coded = pa.DictionaryArray.from_arrays([0, 1, None], words[:2])
        table = pa.table({"n": [1, None, 3], "s": words, "c": coded, "t": pa.array([1, 2, 3])})
        found = read(write(tmp_path / f"a{suffix}", table, Foreign(table)))
        assert found["n"].to_list() == [1, pd.NA, 3] * 2
        for name in "sc":
            texts = found[name].astype(object).where(found[name].notna(), "-")
            assert texts.to_list() == ["p", "q", "-"] * 2

    @pytest.mark.parametrize("suffix", TABLES)
    def test_may_be_of_any_length(self, suffix, tmp_path):
        empty = pd.DataFrame({"a": np.zeros(0), "b": np.zeros(0)})
        found = read(write(tmp_path / f"a{suffix}", empty))
        assert_frame_equal(found, empty)
        long = pd.DataFrame({"a": np.arange(300_000) % 7, "b": 0.5})
        assert_frame_equal(
            read(write(tmp_path / f"a{suffix}", empty.astype(long.dtypes), long)), long
        )

    def test_keep_an_index_where_there_is_a_place_for_it(self, tmp_path):
        frame = pd.DataFrame({"a": [1, 2, 3]}, index=[5, 3, 4])
        for suffix in TYPED:
            assert_frame_equal(read(write(tmp_path / f"a{suffix}", frame[:1], frame[1:])), frame)
        assert write(tmp_path / "a.csv", frame).read_text() == "a\n1\n2\n3\n"
        named = write(tmp_path / "a.csv", frame.rename_axis("id"))
        assert named.read_text() == "a,id\n1,5\n2,3\n3,4\n"
        counted = write(tmp_path / "a.csv", frame.reset_index(drop=True)[1:])
        assert counted.read_text() == "a\n2\n3\n"


class TestText:
    def of(self, folder, *pieces):
        return write(
            folder / "a.csv", *(pd.DataFrame({"a": piece}) for piece in pieces)
        ).read_text()

    @pytest.mark.parametrize(
        ("values", "text"),
        [
            (np.float64([1, -0.0, 0.1, 1e22, np.nan, np.inf]), "1.0 -0.0 0.1 1e+22 \"\" inf"),
            (np.float32([0.1, 1 / 3]), "0.1 0.33333334"),
            (np.float16([0.1, 2, np.nan]), '0.099975586 2.0 ""'),
            (np.int8([1, -2]), "1 -2"),
            ([True, False], "True False"),
            (pd.array([2**62 + 1, None], "Int64"), '4611686018427387905 ""'),
            (pd.Categorical([3, 1, None]), '3 1 ""'),
            (["x", "", None, "a,b", 'q"', '"', "é"], 'x "" "" "a,b" "q""" """" é'),
            (np.array(["2016-07-01", "NaT"], "datetime64[s]"), '2016-07-01 ""'),
            (np.array(["1066-10-14"], "datetime64[D]"), "1066-10-14"),
            (pd.to_timedelta(["1D", None]), '1 days 00:00:00|""'),
        ],
    )  # fmt: skip
    def test_is_the_shortest_that_says_it(self, values, text, tmp_path):
        cells = text.split("|" if "days" in text else " ")
        assert self.of(tmp_path, values) == "\n".join(["a", *cells]) + "\n"

    def test_of_missing_cells_is_empty(self, tmp_path):
        frame = pd.DataFrame({"a": [1.5, None], "b": [None, "x"], "c": [pd.NaT, pd.NaT]})
        assert write(tmp_path / "a.csv", frame).read_text() == "a,b,c\n1.5,,\n,x,\n"

    def test_of_times_has_the_digits_that_they_need(self, tmp_path):
        times = pd.DatetimeIndex(
            np.array(
                ["2020-01-01", "2020-01-01T05", "2020-01-02T00:00:00.5", "2020-01-03"], "M8[us]"
            )
        )
        day = "2020-01-01 00:00:00"
        assert self.of(tmp_path, times[:1]) == f"a\n{day}\n"
        assert self.of(tmp_path, times[:1].as_unit("ns")) == f"a\n{day}\n"
        assert self.of(tmp_path, times[:1].tz_localize("UTC")) == f"a\n{day}Z\n"
        assert self.of(tmp_path, times[:1].tz_localize("Europe/Rome")) == f"a\n{day}+0100\n"
        assert self.of(tmp_path, times[:2].as_unit("s")) == f"a\n{day}\n2020-01-01 05:00:00\n"
        assert self.of(tmp_path, times[:1], times[1:3], times[3:]) == (
            f"a\n{day}\n2020-01-01 05:00:00.000\n2020-01-02 00:00:00.500\n2020-01-03 00:00:00.000\n"
        )

    def test_compressed_is_the_same_each_time(self, tmp_path):
        frame = pd.DataFrame({"a": [1, 2]})
        first = write(tmp_path / "a.csv.gz", frame).read_bytes()
        assert write(tmp_path / "b.csv.gz", frame).read_bytes() == first


class TestArrays:
    @in_a_folder
    @given(
        hnp.arrays(
            st.sampled_from(["u1", ">i4", "f2", "f4", "f8", "?", "c8", "M8[s]", "U3"]),
            hnp.array_shapes(min_dims=1, max_dims=4, min_side=0),
        ),
        PLACES,
    )
    def test_are_read_as_written(self, tmp_path, array, places):
        pieces = cut(array, places)
        write(tmp_path / "a.npy", *pieces)
        write(tmp_path / "a.npz", *(np.asfortranarray(piece) for piece in pieces))
        with np.load(tmp_path / "a.npz") as archive:
            assert archive.files == ["X"]
            for found in (np.load(tmp_path / "a.npy"), archive["X"]):
                assert found.dtype == array.dtype
                assert_array_equal(found, array)

    def test_are_the_bytes_that_numpy_writes(self, tmp_path):
        array = np.random.default_rng(0).normal(size=(1000, 2, 3))
        np.save(tmp_path / "b.npy", array)
        write(tmp_path / "a.npy", *np.array_split(array, 7))
        assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()

    def test_are_compressed_in_an_archive(self, tmp_path):
        write(tmp_path / "a.npz", np.zeros((1000, 100)))
        assert zipfile.is_zipfile(tmp_path / "a.npz")
        assert (tmp_path / "a.npz").stat().st_size < 2000

    def test_of_a_frame_are_its_numbers(self, tmp_path):
        frame = pd.DataFrame({"a": [1, 2], "b": [0.5, 1.5]})
        for piece in (frame, pa.Table.from_pandas(frame)):
            found = NpyStream(write(tmp_path / "a.npy", piece)).read()
            assert_array_equal(found, [[1, 0.5], [2, 1.5]])
        masked = pd.DataFrame({"a": pd.array([1, None], "Int64")})
        found = NpyStream(write(tmp_path / "a.npy", masked)).read()
        assert_array_equal(found, [[1], [np.nan]])


def test_row_groups_do_not_depend_on_the_pieces(tmp_path, monkeypatch):
    def groups(*pieces):
        metadata = pq.read_metadata(write(tmp_path / "a.parquet", *pieces))
        return [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]

    piece = pd.DataFrame({"a": np.zeros(1000)})
    assert groups(*[piece] * 300) == [132_000, 132_000, 36_000]
    monkeypatch.setattr(writers, "GROUP_BYTES", 20_000)
    assert groups(*[piece] * 7) == [3000, 3000, 1000]


@pytest.mark.parametrize("suffix", NUMERIC)
def test_memory_does_not_grow_with_the_pieces(suffix, tmp_path, monkeypatch):
    monkeypatch.setattr(writers, "GROUP_ROWS", 4096)
    piece = np.random.default_rng(0).normal(size=(1024, 8))
    taken = []
    tracemalloc.start()
    with writer_for(tmp_path / f"a{suffix}") as writer:
        for _ in range(30):
            writer.write(piece)
            taken.append(tracemalloc.get_traced_memory()[0] + pa.total_allocated_bytes())
    tracemalloc.stop()
    assert max(taken) < max(taken[:10]) + piece.nbytes


class TestRefusals:
    @pytest.mark.parametrize("suffix", NUMERIC)
    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
    def test_leave_nothing_behind_and_what_was_there(self, suffix, error, tmp_path):
        path = tmp_path / f"a{suffix}"
        path.write_text("old")

        def fail():
            with writer_for(path) as writer:
                writer.write(np.zeros((5, 2)))
                raise error

        with pytest.raises(error):
            fail()
        assert path.read_text() == "old"
        assert [found.name for found in tmp_path.iterdir()] == [path.name]

    @pytest.mark.parametrize("suffix", NUMERIC)
    def test_of_a_full_disk_say_so(self, suffix, tmp_path):
        noise = np.random.default_rng(0).normal(size=(50_000, 4))
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limits[1]))
        try:
            with pytest.raises(FileError, match=r"a\.\S+ cannot be written: .*file too large"):
                write(tmp_path / f"a{suffix}", noise)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("suffix", NUMERIC)
    def test_of_no_rows_at_all(self, suffix, tmp_path):
        with pytest.raises(DataError, match=r"There are no rows to write to .*a\."):
            write(tmp_path / f"a{suffix}")
        assert list(tmp_path.iterdir()) == []

    def test_of_other_suffixes_list_those_there_are(self, tmp_path):
        with pytest.raises(FileError, match=r"a\.xlsx has a suffix .* use one of \.csv, \.csv\.gz"):
            write(tmp_path / "a.xlsx", np.zeros((2, 2)))

    @pytest.mark.parametrize("suffix", TABLES)
    def test_of_other_columns(self, suffix, tmp_path):
        frame = pd.DataFrame({"a": [1, 2], "b": ["x", None]})
        for other, message in (
            (frame[["a"]], "began with the columns a, b, and cannot go on with a."),
            (frame.astype({"a": float}), "began with int64 in the column 'a', and cannot go on"),
        ):
            with pytest.raises(FileError, match=message):
                write(tmp_path / f"a{suffix}", frame, other)
        nothing = pd.DataFrame({"a": [3], "b": pd.Series([None], dtype=object)})
        assert len(read(write(tmp_path / f"a{suffix}", frame, nothing))) == 3
        assert len(read(write(tmp_path / f"a{suffix}", nothing, frame))) == 3

    @pytest.mark.parametrize("suffix", TABLES)
    def test_of_times_among_dates(self, suffix, tmp_path):
        days = pd.DataFrame({"a": np.array(["2020-01-01", "2020-01-02"], "datetime64[s]")})
        with pytest.raises(FileError, match=r"began with date32.* cannot go on with timestamp"):
            write(tmp_path / f"a{suffix}", days, days + pd.Timedelta("1h").as_unit("s"))

    @pytest.mark.parametrize("suffix", [".npy", ".npz"])
    def test_of_other_arrays(self, suffix, tmp_path):
        first = np.zeros((3, 2), np.float32)
        for other in (first.astype(float), np.zeros((3, 4), np.float32)):
            with pytest.raises(FileError, match="began with rows of float32 and shape"):
                write(tmp_path / f"a{suffix}", first, other)
        for text in (np.array([["x"]], dtype=object), pd.DataFrame({"a": ["x"], "b": [1]})):
            with pytest.raises(DataError, match="holds numbers only, and this data has others"):
                write(tmp_path / f"a{suffix}", text)

    @pytest.mark.parametrize("suffix", TABLES)
    def test_of_what_has_no_place_in_a_table(self, suffix, tmp_path):
        for bad, message in (
            (np.zeros((2, 3, 3)), "Images don't go into a table: write .npy, .npz or a folder."),
            (pd.DataFrame({"a": [1, "x"]}), "cannot hold this data: .*Could not convert 'x'"),
            (pd.DataFrame([[1, 2]], columns=["a", "a"]), "cannot hold this data: Duplicate column"),
            (np.zeros((2, 2), complex), "cannot hold this data: "),
        ):
            with pytest.raises(DataError, match=message) as caught:
                write(tmp_path / f"a{suffix}", bad)
            assert "\n" not in str(caught.value)

    def test_of_lists_in_csv(self, tmp_path):
        with pytest.raises(DataError, match=r"values of type list<.*> cannot be written as CSV"):
            write(tmp_path / "a.csv", pd.DataFrame({"a": [[1, 2]]}))

    def test_of_other_categories_in_arrow_files(self, tmp_path):
        pieces = [pd.DataFrame({"a": pd.Categorical([category])}) for category in "pq"]
        with pytest.raises(DataError, match="cannot hold this data: Dictionary replacement"):
            write(tmp_path / "a.feather", *pieces)
        assert read(write(tmp_path / "a.parquet", *pieces))["a"].to_list() == ["p", "q"]
