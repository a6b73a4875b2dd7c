import gzip

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_array_equal
from pandas.testing import assert_frame_equal

from attar import DataError, FileError
from attar.data.files import base
from attar.data.files import csv as module
from attar.data.files.csv import CsvStream

in_a_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def csv(folder, text, name="a.csv"):
    path = folder / name
    content = text if isinstance(text, bytes) else text.encode()
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return CsvStream(path)


def column(folder, *cells):
    frame = csv(folder, "a,b\n" + "".join(f"{cell},\n" for cell in cells)).read()
    return frame["a"]


class TestCells:
    @pytest.mark.parametrize(
        ("cells", "dtype", "values"),
        [
            (["1", "-2", " 3 "], "int64", [1, -2, 3]),
            (["9007199254740993", "0"], "int64", [9007199254740993, 0]),
            (["1", "NA", "null"], "Int64", [1, pd.NA, pd.NA]),
            (["1", "2.5", "1e3"], "float64", [1.0, 2.5, 1000.0]),
            (["18446744073709551616", "1"], "float64", [2.0**64, 1.0]),
            (["True", "false", "TRUE"], "bool", [True, False, True]),
            (["true", "", "false"], "boolean", [True, pd.NA, False]),
            (["0", "1"], "int64", [0, 1]),
            (["2016-07-01", "1066-10-14"], "datetime64[s]", ["2016-07-01", "1066-10-14"]),
            (["2016-07-01", "2016-07-01 05:00"], "datetime64[us]", ["2016-07-01", "2016-07-01 05"]),
            (["2016-07-01T05:00:00.25"], "datetime64[us]", ["2016-07-01T05:00:00.25"]),
            (["2016-07-01T05:00:00.000000001"], "datetime64[ns]", [1467349200000000001]),
            (["2016-07-01 05:00:00+02:00"], "datetime64[us, UTC]", ["2016-07-01T03:00Z"]),
            (["12:30", "13:00"], "str", ["12:30", "13:00"]),
            (["None", "n/a", "-", "?"], "str", ["None", "n/a", "-", "?"]),
            (["a", "NaN", "<NA>", "#N/A"], "str", ["a", None, None, None]),
            (["007", "12"], "str", ["007", "12"]),
            (["0x1F"], "str", ["0x1F"]),
            (["1.5", "007"], "str", ["1.5", "007"]),
            (['"a,b"', '"c""d"', '"e\nf"'], "str", ["a,b", 'c"d', "e\nf"]),
            (["5\" long", "x"], "str", ['5" long', "x"]),
            (["\0", "x"], "str", ["\0", "x"]),
            (["", "NA"], "float64", [np.nan, np.nan]),
            (["1", "True"], "str", ["1", "True"]),
            (["2016-07-01", "1"], "str", ["2016-07-01", "1"]),
        ],
    )  # fmt: skip
    def test_are_of_the_first_type_that_takes_all_of_them(self, cells, dtype, values, tmp_path):
        found = column(tmp_path, *cells)
        expected = pd.Series(values, dtype=dtype, name="a")
        pd.testing.assert_series_equal(found, expected)

    def test_all_count_however_late(self, tmp_path):
        cells = ["1"] * 300_000
        cells[-1] = "2.5"
        cells[-3] = ""
        found = column(tmp_path, *cells)
        assert found.dtype == "float64"
        assert (found[0], found.iloc[-1], found.isna().sum()) == (1.0, 2.5, 1)

    def test_of_text_among_numbers_are_refused(self, tmp_path):
        for place in (3, 199_999):
            cells = ["1"] * 200_000
            cells[place] = "unknown"
            with pytest.raises(
                DataError,
                match=rf"a\.csv has 'unknown' in about line {place + 2}, where column 'a' holds "
                r"numbers: leave such cells empty, or give the table as Parquet\.",
            ):
                column(tmp_path, *cells)

    def test_of_text_of_which_many_look_like_numbers_are_text(self, tmp_path):
        cells = ["113803", "A/5 21171", "17463"] * 9
        assert column(tmp_path, *cells).to_list() == cells

    def test_of_identifiers_among_numbers_are_text(self, tmp_path):
        for cells in ([*["90210"] * 99, "01234"], ["-", *["90210"] * 99, "01234"]):
            assert column(tmp_path, *cells).to_list() == cells

    @in_a_folder
    @given(
        st.lists(
            st.one_of(
                st.sampled_from(["", "1", " 2", "-0.5", "1e9", "True", "2016-07-01", "NA", "007"]),
                st.integers().map(str),
                st.floats().map(str),
                st.datetimes().map(str),
                st.text(st.characters(codec="utf-8", exclude_characters='\r\n,"'), max_size=5),
            ),
            min_size=1,
        )
    )
    def test_do_not_depend_on_how_the_file_is_cut(self, tmp_path, cells):
        try:
            whole = column(tmp_path, *cells)
        except DataError:
            return
        assert len(whole) == len(cells)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "BLOCK", 200)
            patch.setattr(base, "rows_of_a_piece", lambda width: 3)
            pd.testing.assert_series_equal(column(tmp_path, *cells), whole)

    @in_a_folder
    @given(hnp.arrays(np.float64, (5, 2)))
    def test_of_numbers_are_read_to_the_last_digit(self, tmp_path, values):
        text = "".join(f"{a!r},{b!r}\n" for a, b in values.tolist())
        found = csv(tmp_path, "a,b\n" + text).read().to_numpy(np.float64, na_value=np.nan)
        assert_array_equal(found, values)


class TestCsv:
    def test_may_be_compressed(self, tmp_path):
        frame = csv(tmp_path, "a,b\n1,x\n2,y\n", "a.csv.gz").read()
        assert_frame_equal(frame, pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}))

    @pytest.mark.parametrize(
        "text",
        [
            "a,b\n1,2\n3,4",
            "a,b\r\n1,2\r\n3,4\r\n",
            "\ufeffa,b\n1,2\n\n3,4\n\n",
            'a,"b"\n"1","2"\n3,4',
        ],
    )
    def test_comes_in_several_styles(self, text, tmp_path):
        frame = csv(tmp_path, text).read()
        assert_frame_equal(frame, pd.DataFrame({"a": [1, 3], "b": [2, 4]}))

    @pytest.mark.parametrize(
        ("text", "error", "message"),
        [
            ("", DataError, "is empty: it needs a header line and rows."),
            ("\n\n", DataError, "is empty: it needs a header line and rows."),
            ("a,b,a\n1,2,3\n", DataError, "has more than one column named 'a': rename them."),
            (
                "a,b\n1,2\n1,2,3\n",
                FileError,
                "cannot be read: about line 3 the number of fields is 3, not 2.",
            ),
            (
                "a,b\n" + 300_000 * "1,2\n" + "1\n",
                FileError,
                "cannot be read: about line 300002 the number of fields is 1, not 2.",
            ),
            (
                b"a,b\n1,x\n2,\xe9\n",
                FileError,
                "cannot be read: line 3 is not in UTF-8; save it in that encoding.",
            ),
            (
                b"a\xe9,b\n1,x\n",
                FileError,
                "cannot be read: line 1 is not in UTF-8; save it in that encoding.",
            ),
            (
                "a,b\n1,x\n".encode("utf-16"),
                FileError,
                "cannot be read: line 1 is not in UTF-8; save it in that encoding.",
            ),
            ('a,b\n1,"x\n2,y\n3,z\n', FileError, "cannot be read: a quote is never closed."),
            (
                'a,b\n1,"x\n' + 900_000 * "2,yyyyyyyy\n",
                FileError,
                "cannot be read: a quote is never closed, or a line longer than 1 MB.",
            ),
            (
                "a;b\n1;2\n",
                FileError,
                "has no commas between its fields: save it with commas.",
            ),
        ],
    )  # fmt: skip
    def test_that_is_broken_is_refused_in_one_sentence(self, text, error, message, tmp_path):
        stream = csv(tmp_path, text)
        for attempt in (stream.read, lambda: list(stream)):
            with pytest.raises(error) as caught:
                attempt()
            assert str(caught.value) == f"{stream.path} {message}"

    def test_may_be_of_a_header_only(self, tmp_path):
        for text in ("a,b\n", "a,b\r\n\r\n"):
            assert_frame_equal(csv(tmp_path, text).read(), pd.DataFrame({"a": [], "b": []}))

    @pytest.mark.parametrize("end", ['y\n3,z"\n', 'y"\n\n', 'y\n""\n"'])
    def test_may_end_in_a_cell_of_several_lines(self, end, tmp_path):
        frame = csv(tmp_path, f'a,b\n1,"x\n{end}').read()
        assert len(frame) == 1

    def test_that_is_cut_is_refused(self, tmp_path):
        stream = csv(tmp_path, "a,b\n" + "1,2\n" * 99, "a.csv.gz")
        stream.path.write_bytes(stream.path.read_bytes()[:-6])
        with pytest.raises(FileError, match=r"a\.csv\.gz cannot be read: Truncated"):
            stream.read()
