import gzip
import json

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from attar import DataError, FileError
from attar.data.files import jsonlines as module
from attar.data.files.jsonlines import JsonLines


def lines(folder, text, name="a.jsonl"):
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return JsonLines(path)


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
@pytest.mark.parametrize("block", [1, 1 << 22])
def test_rows_are_those_that_were_written(name, block, tmp_path, monkeypatch):
    rows = [
        {"a": 1, "b": "x", "when": "2024-01-03", "c": True},
        {"b": None, "a": 2.5, "when": "2025-12-31"},
        {"a": None, "b": "y", "c": False},
    ]
    monkeypatch.setattr(module, "BLOCK", block)
    found = lines(tmp_path, "\n".join(map(json.dumps, rows)), name).read()
    expected = {
        "a": [1, 2.5, np.nan],
        "b": pd.Series(["x", None, "y"], dtype="str"),
        "when": pd.Series(["2024-01-03", "2025-12-31", None], dtype="datetime64[s]"),
        "c": pd.Series([True, None, False], dtype="boolean"),
    }
    assert_frame_equal(found, pd.DataFrame(expected))


def test_dates_among_text_are_text_however_the_file_is_cut(tmp_path, monkeypatch):
    stream = lines(tmp_path, '{"a": "2024-01-03"}\n{"a": "open"}\n')
    monkeypatch.setattr(module, "BLOCK", 1)
    assert stream.read()["a"].to_list() == ["2024-01-03", "open"]


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", DataError, "is empty: it needs a JSON object on each line"),
        ('{"a": 1}\n{"a"\n', FileError, "cannot be read: line 2 is no JSON"),
        ('{"a": 1}\n\n[2]\n', FileError, "cannot be read: line 3 is no JSON object"),
        ('{"a": 1}\n{"a": "x"}\n', DataError, "has values of several types in a column"),
        (
            '{"a": 1}\n{"a": 18446744073709551616}\n',
            FileError,
            "has 18446744073709551616 in line 2, more than a number holds exactly",
        ),
    ],
)
@pytest.mark.parametrize("block", [1, 1 << 22])
def test_what_is_broken_is_refused_in_one_sentence(
    text, error, message, block, tmp_path, monkeypatch
):
    monkeypatch.setattr(module, "BLOCK", block)
    with pytest.raises(error, match=message):
        lines(tmp_path, text).read()
