"""Several files of one table, patterns, and sheets of Excel."""

from datetime import date, datetime
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import attar
from attar.data.source import read


@pytest.fixture
def parts(tmp_path, monkeypatch):
    """Three files of one table, in three notations."""
    monkeypatch.chdir(tmp_path)
    Path("a.csv").write_text("x,day,n\n1.5,2024-12-31,1\n2.5,2025-01-02,2\n")
    Path("b.csv").write_text("day;n;x\n03.01.2025;3;1,25\n31.01.2025;;2,5\n")
    Path("c.jsonl").write_text('{"n": 0.5, "x": 7, "day": "2025-02-01"}\n')
    days = pd.to_datetime(["2024-12-31", "2025-01-02", "2025-01-03", "2025-01-31", "2025-02-01"])
    return pd.DataFrame({"x": [1.5, 2.5, 1.25, 2.5, 7], "day": days, "n": [1, 2, 3, np.nan, 0.5]})


def test_files_of_any_notation_are_one_table(parts):
    found = attar.Files(["a.csv", "b.csv", "c.jsonl"]).read()
    pd.testing.assert_frame_equal(found, parts, check_dtype=False)


def test_a_pattern_and_a_list_of_paths_are_several_files(parts, run):
    expected = parts[:4]
    for source in ("*.csv", [Path("a.csv"), Path("b.csv")], attar.Files(["?.csv"])):
        pd.testing.assert_frame_equal(read(source).data, expected, check_dtype=False)
    status, out, err = run("inspect", "a.csv", "b.csv")
    assert (status, err) == (0, "")
    assert "4 rows" in out
    assert run("inspect", "*.csv")[1] == out


def test_options_describe_all_files(parts, run):
    for name in ("a.csv", "b.csv"):
        Path(name).write_text(Path(name).read_text().replace("1", "-999"))
    assert "missing" in run("inspect", "a.csv", "b.csv", "--na", "-999")[1]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a.csv", "d.csv"], "a.csv has a column 'day', which d.csv has not: drop or add it."),
        (["a.csv", "e.csv"], "Column 'x' holds double in a.csv, and string in e.csv: bring them"),
        (["a.csv", "f.csv"], "There is no file f.csv."),
        (["g*.csv"], "No file fits g*.csv."),
        (["a.csv", "h.npy"], "h.npy is no table, and several files are read as one table: give"),
    ],
)
def test_files_that_are_no_one_table(parts, names, message, run):
    Path("d.csv").write_text("x,n\n1,2\n")
    Path("e.csv").write_text("x,day,n\nred,2024-12-31,1\n")
    np.save("h.npy", np.eye(2))
    status, out, err = run("fit", *names, "-o", "m.attar")
    assert (status, out) == (2, "")
    assert err.startswith(f"attar: {message}")
    assert not Path("m.attar").exists()


def test_a_file_whose_name_has_brackets_is_that_file(parts):
    Path("a.csv").rename("[a].csv")
    assert len(read("[a].csv").data) == 2


@pytest.fixture
def book(tmp_path, monkeypatch):
    openpyxl = import_module("openpyxl")
    monkeypatch.chdir(tmp_path)
    return openpyxl.Workbook()


def test_a_sheet_is_read_as_its_values(book):
    sheet = book.active
    sheet.append(["n", "x", "day", "time", "paid", "code", "note"])
    sheet.append([1, 0.1, date(2024, 12, 31), datetime(2024, 12, 31, 8, 30), True, "007", "a, b"])
    sheet.append([2, 1e-30, date(2025, 1, 2), datetime(2025, 1, 2), False, "010", 'say "x"'])
    sheet.append([None, 2, None, None, None, None, "n/a"])
    book.save("a.xlsx")
    found = read("a.xlsx").data
    assert found["n"].astype(object).tolist() == [1, 2, pd.NA]
    assert found["x"].tolist() == [0.1, 1e-30, 2]
    assert found["day"].tolist()[:2] == [pd.Timestamp("2024-12-31"), pd.Timestamp("2025-01-02")]
    assert found["time"].tolist()[0] == pd.Timestamp("2024-12-31 08:30")
    assert found["paid"].astype(object).tolist() == [True, False, pd.NA]
    assert found["code"].tolist()[:2] == ["007", "010"]
    assert found["note"].tolist()[:2] == ["a, b", 'say "x"']
    assert found.isna().sum().tolist() == [1, 0, 1, 1, 1, 1, 1]


def test_of_several_sheets_the_first_that_has_cells_is_read(book):
    book.create_sheet("data").append(["x"])
    book["data"].append([1])
    book.create_sheet("more").append(["y"])
    book.save("a.xlsx")
    with pytest.warns(attar.AttarWarning, match=r"a.xlsx has 2 sheets with cells: 'data' is read"):
        assert read("a.xlsx").data["x"].tolist() == [1]


def test_a_sheet_that_is_empty_or_damaged_is_refused(book, run):
    book.save("empty.xlsx")
    Path("damaged.xlsx").write_bytes(Path("empty.xlsx").read_bytes()[:900])
    status, _, err = run("inspect", "empty.xlsx")
    assert (status, err) == (
        2,
        "attar: empty.xlsx is empty: it needs a header line and rows.\n",
    )
    status, _, err = run("inspect", "damaged.xlsx")
    assert status == 2
    assert err.startswith("attar: damaged.xlsx cannot be read: ")
    assert run("inspect", "none.xlsx")[2].startswith("attar: There is no file none.xlsx")
