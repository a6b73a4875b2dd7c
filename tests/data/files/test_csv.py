import datetime as dt
import gzip
from contextlib import suppress

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_array_equal
from pandas.testing import assert_frame_equal

from attar import AttarWarning, Csv, DataError, FileError, SettingError
from attar.data.files import base
from attar.data.files import csv as module

in_a_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def csv(folder, text, name="a.csv"):
    path = folder / name
    content = text if isinstance(text, bytes) else text.encode()
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return Csv(path)


def column(folder, *cells):
    frame = csv(folder, "a,b\n" + "".join(f"{cell},\n" for cell in cells)).read()
    return frame["a"]


@pytest.mark.parametrize("line", ["5.1,3.5,setosa", "1.5,2.5", "3,1", "39,39,7"])
def test_a_first_line_that_seems_to_be_a_row_is_warned_of(tmp_path, line):
    with (
        pytest.warns(AttarWarning, match="first line .* write names above it"),
        suppress(DataError),
    ):
        csv(tmp_path, f"{line}\n{line}\n").read()


@pytest.mark.parametrize("line", ["0,1,2", "land,2020,2021", "400.5,401,401.5", "a,1.x"])
def test_numbers_may_be_names(tmp_path, line):
    assert csv(tmp_path, f"{line}\n{line}\n").read().columns.tolist() == line.split(",")


class TestCells:
    @pytest.mark.parametrize(
        ("cells", "dtype", "values"),
        [
            (["1", "-2", " 3 "], "int64", [1, -2, 3]),
            (["9007199254740993", "0"], "int64", [9007199254740993, 0]),
            (["1", "NA", "null"], "Int64", [1, pd.NA, pd.NA]),
            (["1", "2.5", "1e3"], "float64", [1.0, 2.5, 1000.0]),
            (["18446744073709551615", "1"], "str", ["18446744073709551615", "1"]),
            (["-9223372036854775809"], "str", ["-9223372036854775809"]),
            (["123456789012345678901", "1.5"], "float64", [123456789012345678901.0, 1.5]),
            (["True", "false", "TRUE"], "bool", [True, False, True]),
            (["true", "", "false"], "boolean", [True, pd.NA, False]),
            (["0", "1"], "int64", [0, 1]),
            (["2016-07-01", "1066-10-14"], "datetime64[s]", ["2016-07-01", "1066-10-14"]),
            (["2016-07-01", "2016-07-01 05:00"], "datetime64[us]", ["2016-07-01", "2016-07-01 05"]),
            (["2016-07-01T05:00:00.25"], "datetime64[us]", ["2016-07-01T05:00:00.25"]),
            (["2016-07-01T05:00:00.000000001"], "datetime64[ns]", [1467349200000000001]),
            (["2016-07-01 05:00:00+02:00"], "datetime64[us, UTC]", ["2016-07-01T03:00Z"]),
            (["12:30", "9:05:07"], "object", [dt.time(12, 30), dt.time(9, 5, 7)]),
            (["12:30:00.25"], "object", [dt.time(12, 30, 0, 250_000)]),
            (["12:30", "25:00"], "str", ["12:30", "25:00"]),
            (["None", "n/a", "-", " ?", "7"], "Int64", [pd.NA] * 4 + [7]),
            (["31.12.2024", "1.2.2025"], "datetime64[s]", ["2024-12-31", "2025-02-01"]),
            (["31/12/2024 9:05", "1/2/2025"], "datetime64[us]", ["2024-12-31 09:05", "2025-02-01"]),
            (["12/31/2024", "2/1/2025"], "datetime64[s]", ["2024-12-31", "2025-02-01"]),
            (["2024/12/31", "2025/2/1"], "datetime64[s]", ["2024-12-31", "2025-02-01"]),
            (["31/12/2024", "12/31/2024"], "str", ["31/12/2024", "12/31/2024"]),
            (["30.02.2024"], "str", ["30.02.2024"]),
            (["1 234", "12\u00a0345\u202f678", "-7"], "int64", [1234, 12345678, -7]),
            (["1'234.50", "12.5"], "float64", [1234.5, 12.5]),
            (["5%", "7 %"], "int64", [5, 7]),
            (["$1.50", "-$2.00", "$-3.25"], "float64", [1.5, -2.0, -3.25]),
            (["1.50 €", "+2.25 €"], "float64", [1.5, 2.25]),
            (["$1", "2 €"], "str", ["$1", "2 €"]),
            (["5%", "0.5"], "str", ["5%", "0.5"]),
            (['"1,234.5"', '"1,234,567"'], "float64", [1234.5, 1234567.0]),
            (['"1.234,5"', '"0,25"'], "float64", [1234.5, 0.25]),
            (['"1,5"', "1.5"], "str", ["1,5", "1.5"]),
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
                r"numbers: if it stands for a missing value, give na='unknown' \(--na\), else give "
                r"the table as Parquet\.",
            ):
                column(tmp_path, *cells)

    def test_of_text_of_which_many_look_like_numbers_are_text(self, tmp_path):
        cells = ["113803", "A/5 21171", "17463"] * 9
        assert column(tmp_path, *cells).to_list() == cells

    def test_of_identifiers_among_numbers_are_text(self, tmp_path):
        for cells in ([*["90210"] * 99, "01234"], ["x", *["90210"] * 99, "01234"]):
            assert column(tmp_path, *cells).to_list() == cells

    @in_a_folder
    @given(
        st.lists(
            st.one_of(
                st.sampled_from(["", "1", " 2", "-0.5", "1e9", "True", "2016-07-01", "NA", "007"]),
                st.sampled_from(["1.5%", "7 %", "31.12.2024", "9:30", "1.2.2024 9:30", "1 000"]),
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
                "a,b\n1,é\n".encode() + b"2,\xe9\n",
                FileError,
                "cannot be read: line 3 is not in utf-8; name the encoding with encoding= "
                "(--encoding).",
            ),
            ('a,b\n1,"x\n2,y\n3,z\n', FileError, "cannot be read: a quote is never closed."),
            (
                'a,b\n1,"x\n' + 900_000 * "2,yyyyyyyy\n",
                FileError,
                "cannot be read: a quote is never closed, or a line longer than 1 MB.",
            ),
            (
                "a,b\n1,Москва\n".encode("cp1251"),
                FileError,
                "cannot be read: line 2 is not in utf-8; name the encoding with encoding= "
                "(--encoding).",
            ),
            (
                "a;b\n1;2\n3\n",
                FileError,
                "cannot be read: about line 3 the number of fields is 1, not 2.",
            ),
            (
                "sep=;\na;b\n1;2;3\n",
                FileError,
                "cannot be read: about line 3 the number of fields is 3, not 2.",
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


def dialect_text(frame, delimiter, decimal, grouped):
    """Return a frame of days, numbers, counts and names as people write it in a dialect."""
    group = {",": ".", ".": ","}[decimal] if grouped else ""

    def number(value, digits):
        text = f"{value:,.{digits}f}".replace(",", "g").replace(".", decimal).replace("g", group)
        return f'"{text}"' if delimiter in text else text

    day = "%d.%m.%Y" if decimal == "," else "%Y-%m-%d"
    lines = [
        delimiter.join([d.strftime(day), number(x, 2), number(n, 0), t])
        for d, x, n, t in frame.itertuples(index=False)
    ]
    return "\n".join([delimiter.join(frame.columns), *lines]) + "\n"


ROWS = st.tuples(
    st.dates(dt.date(1700, 1, 1), dt.date(2200, 1, 1)),
    st.integers(-(10**9), 10**9).map(lambda cents: cents / 100),
    st.integers(0, 10**9),
    st.sampled_from(["Müller", "Maß", "x"]),
)


class TestDialects:
    @in_a_folder
    @given(
        st.lists(ROWS, min_size=1),
        st.sampled_from(",;\t|"),
        st.sampled_from(".,"),
        st.booleans(),
        st.sampled_from(["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-le", "utf-16-be"]),
    )
    def test_are_recognized(self, tmp_path, rows, delimiter, decimal, grouped, encoding):
        # One row that can be read in one way only.
        rows = [*rows, (dt.date(2024, 12, 31), 1234567.25, 1234567, "x")]
        frame = pd.DataFrame(rows, columns=["day", "amount", "count", "name"])
        text = dialect_text(frame, delimiter, decimal, grouped)
        path = tmp_path / "a.csv"
        path.write_bytes(text.encode(encoding))
        expected = frame.astype({"day": "datetime64[s]", "name": "str"})
        for stream in (Csv(path), Csv(path, delimiter, decimal, encoding)):
            assert_frame_equal(stream.read(), expected)

    def test_are_described(self, tmp_path):
        text = "day;price;share\n31.12.2024;1.234,50 €;5 %\n02.01.2025;?;7,5 %\n"
        stream = csv(tmp_path, text.encode("cp1252"))
        assert stream.description == (
            "cp1252, delimiter ';', decimal ',', 'day' day first, 'price' in €, 'share' in %"
        )
        assert csv(tmp_path, "a\tb\n1\t2\n").description == "utf-8, delimiter tab"

    def test_of_excel_may_be_named_in_the_first_line(self, tmp_path):
        frame = csv(tmp_path, "sep=;\r\na;b\r\n1,5;x\r\n").read()
        assert_frame_equal(frame, pd.DataFrame({"a": [1.5], "b": ["x"]}))

    def test_of_numbers_are_those_of_other_columns(self, tmp_path):
        frame = csv(tmp_path, "a;b\n1.234;0,5\n5.678;1,25\n").read()
        assert_frame_equal(frame, pd.DataFrame({"a": [1234, 5678], "b": [0.5, 1.25]}))

    @pytest.mark.parametrize(
        ("text", "options", "value", "message"),
        [
            ("a;b\n1,234;x\n", {}, 1.234, "'1,234' is read as 1.234"),
            ("a;b\n1.234;x\n", {}, 1.234, "'1.234' is read as 1.234"),
            ('a,b\n"1,234",x\n', {}, 1234, "'1,234' is read as 1234"),
            ("a;b\n03/04/2024;x\n", {}, pd.Timestamp(2024, 4, 3), "is read as 2024-04-03"),
            ("a,b\n03/04/2024,x\n", {}, pd.Timestamp(2024, 3, 4), "is read as 2024-03-04"),
            ("a;b\n1,234;x\n", {"decimal": "."}, 1234, None),
            ("a;b\n1,234;x\n", {"decimal": ","}, 1.234, None),
            ("a,b\n1.234,x\n", {}, 1.234, None),
        ],
    )
    def test_that_can_be_read_in_two_ways_are_warned_of(
        self, tmp_path, text, options, value, message, recwarn
    ):
        path = csv(tmp_path, text).path
        assert Csv(path, **options).read()["a"][0] == value
        said = [str(w.message) for w in recwarn if w.category is AttarWarning]
        assert len(said) == (message is not None)
        assert all(message in text for text in said)

    def test_options_overrule_what_is_recognized(self, tmp_path):
        path = csv(tmp_path, "a|b;c\n1|-999;x\n-999|2;Москва\n".encode("cp1251")).path
        frame = Csv(path, delimiter=";", encoding="cp1251", na=(-999, "x")).read()
        assert frame["a|b"].to_list() == ["1|-999", "-999|2"]
        assert frame["c"].to_list()[1] == "Москва"
        assert frame["c"].isna().to_list() == [True, False]
        frame = Csv(path, "|", encoding="cp1251", na=-999).read()
        assert frame["a"].isna().to_list() == [False, True]

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"delimiter": ";;"}, "one character, such as ';', or the word tab, not ';;'"),
            ({"decimal": "-"}, "The decimal sign is '.' or ',', not '-'"),
            ({"encoding": "ansi-1"}, "no encoding named 'ansi-1'"),
        ],
    )
    def test_options_that_cannot_be_are_refused(self, options, message):
        with pytest.raises(SettingError, match=message):
            Csv("a.csv", **options)
        assert Csv("a.csv", delimiter="tab").delimiter == "\t"

    def test_options_are_part_of_the_fingerprint(self, tmp_path):
        path = csv(tmp_path, "a,b\n1,2\n").path
        assert Csv(path).fingerprint != Csv(path, na=1).fingerprint

    def test_are_found_in_time_though_late(self, tmp_path):
        frame = csv(tmp_path, b"a,b\n" + b"1,x\n" * 400_000 + b"2,\xe9\n").read()
        assert frame["b"].iloc[-1] == "é"
