"""CSV files come back byte for byte, whatever the bytes."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from attar.codec.csv_bytes import CsvLayout, CsvValues, csv_pieces
from attar.data.cells import Boolean, Category, Number
from attar.data.files.csv import Csv
from attar.data.table import MixedTable
from attar.errors import AttarError, DataError
from attar.likelihoods.alphabets import Levels, OneHot
from attar.likelihoods.lattices import alphabet_of

rng = np.random.default_rng(0)

N = 80
FRAME = pd.DataFrame(
    {
        "age": rng.integers(17, 90, N),
        "price": rng.integers(100, 999_999, N) / 100,
        "real": rng.normal(size=N),
        "single": np.float32(rng.normal(size=N).round(3)).astype(float),
        "colour": rng.choice(["red", "green", "light, blue", 'a "b"'], N),
        "member": rng.random(N) < 0.5,
        "day": pd.date_range("2024-01-01", periods=N).astype(str),
        "count": pd.array([None if i % 7 == 0 else i % 5 for i in range(N)], "Int64"),
        "only": "same",
    }
)


def alphabets_of(kind, rows):
    alphabets = []
    for i, cell in enumerate(kind.cells):
        if isinstance(cell, Category):
            alphabets.append(OneHot(len(cell.categories)))
        elif isinstance(cell, Boolean):
            alphabets.append(Levels(2))
        else:
            plain = isinstance(cell, Number) and cell.name != "day"
            alphabets.append(alphabet_of(rows[:, i]) if plain else None)
    return alphabets


def fitted(path):
    kind, summary = MixedTable.of(Csv(path))
    return kind, alphabets_of(kind, summary.sample)


@pytest.fixture(scope="module")
def typical(tmp_path_factory):
    path = tmp_path_factory.mktemp("csv") / "typical.csv"
    FRAME.to_csv(path, index=False)
    kind, alphabets = fitted(path)
    values = CsvValues.of(kind, alphabets, path.read_bytes())
    values.alphabets = alphabets
    return values, path.read_bytes()


def passed(values, data):
    encoded = values.encode(data)
    opened = values.opened(len(encoded.symbols), encoded.literals)
    np.testing.assert_array_equal(opened.hidden, values.channels.hidden(encoded.symbols))
    return values.decode(encoded.symbols, encoded.residues, opened), encoded


def written(**options):
    text = io.StringIO()
    FRAME.to_csv(text, index=False, **options)
    return text.getvalue()


DIALECTS = {
    "usual": written().encode(),
    "windows": written(lineterminator="\r\n").encode(),
    "mac": written(lineterminator="\r").encode(),
    "quoted": written(quoting=csv.QUOTE_ALL).encode(),
    "quoted text": written(quoting=csv.QUOTE_NONNUMERIC).encode(),
    "tabs": written(sep="\t", na_rep="NA").encode(),
    "german": written(sep=";", decimal=",", na_rep="-").encode("cp1252"),
    "utf-16": written().encode("utf-16"),
    "big-endian": written().encode("utf-16-be"),
    "marked": written().encode("utf-8-sig"),
    "sep": b"sep=,\r\n" + written(lineterminator="\r\n").encode(),
    "two decimals": written(float_format="%.2f").encode(),
    "lower case": written().replace("True", "true").replace("False", "false").encode(),
    "no final newline": written().rstrip("\n").encode(),
    "columns in another order": FRAME[FRAME.columns[::-1]].to_csv(index=False).encode(),
}


@pytest.mark.parametrize("name", DIALECTS)
def test_every_dialect_comes_back(typical, name):
    kind, aligned = typical[0].cells.kind, typical[0].alphabets
    data = DIALECTS[name]
    encoding = "utf-16-be" if name == "big-endian" else None
    values = CsvValues.of(kind, aligned, data, encoding=encoding)
    again = CsvValues.from_json(kind, aligned, json.loads(json.dumps(values.to_json())))
    back, encoded = passed(again, data)
    assert back == data
    assert len(encoded.symbols) == N
    if name != "two decimals":  # of columns that had more in the fit
        hidden = values.channels.hidden(encoded.symbols).mean(0)
        assert (hidden < 0.2).all()
        assert len(encoded.literals) < 200
    pieces = list(csv_pieces(io.BytesIO(data), values.layout, 30))
    assert b"".join(pieces) == data
    assert len(pieces) == 3
    assert again.joined([passed(again, piece)[0] for piece in pieces]) == data


LINES = [
    "", "\n", "a", "1,2", ",,,,,,,,", '"', '""', '"a\nb"', "\r", "\r\n", "\0", "€", "\ud800",
    '17,1.50,0.5,0.1,red,True,2024-01-01,1,same', '17,"1.5","x"y,0.1,red,True,,1,same',
    '017,+1.5,1e5,-0.0,RED,true,2024-1-1,,other', ' 17 ,1.,.5,inf,"red",False,nan,NA,"same"',
    '99999999999999999999,1e400,0x10,1_000,"light, blue",1,٣,١,same', "17;2",
]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(LINES) | st.text(max_size=20), max_size=8),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.booleans(),
)
@example(LINES, "\n", True)
def test_nasty_lines_come_back(typical, lines, end, headed):
    values, _ = typical
    text = values.layout.head * headed + end.join(lines)
    data = text.encode("utf-8", "surrogatepass")
    back, _ = passed(values, data)
    assert back == data


@settings(max_examples=30, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_come_back(typical, data):
    for values in (typical[0], wide(typical[0])):
        back, _ = passed(values, data)
        assert back == data
        pieces = list(csv_pieces(io.BytesIO(data), values.layout, 2))
        assert b"".join(pieces) == data


def wide(values):
    layout = CsvLayout("utf-16-le", ",", "\n", values.layout.head, values.layout.names)
    other = object.__new__(CsvValues)
    other.__dict__ = {**vars(values), "layout": layout}
    return other


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_damaged_literals_are_an_error_or_other_bytes(typical, data):
    values, whole = typical
    encoded = values.encode(whole + b"a\n1,2\n")
    literals = bytearray(encoded.literals)
    literals[data.draw(st.integers(0, len(literals) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        opened = values.opened(N, bytes(literals))
        found = values.decode(encoded.symbols, encoded.residues, opened)
    except AttarError:
        return
    assert isinstance(found, bytes)


def test_a_typical_file_needs_few_literals(typical):
    values, data = typical
    _, encoded = passed(values, data)
    assert len(encoded.literals) < 60


def test_an_open_quote_spoils_one_line_only(typical):
    values, data = typical
    lines = data.split(b"\n")
    lines[3] = lines[3].replace(b",", b',5" pipe', 1)
    back, encoded = passed(values, b"\n".join(lines))
    assert back == b"\n".join(lines)
    assert len(encoded.symbols) == N - 1


def test_names_may_have_delimiters_and_line_ends():
    kind, _ = MixedTable.of([pd.DataFrame({"a;b": ["x", "y"] * 9, "c\nd": ["u", "v"] * 9})])
    data = b'"a;b","c\nd"\nx,u\ny,v\n'
    values = CsvValues.of(kind, [OneHot(2), OneHot(2)], data)
    assert values.layout.delimiter == ","
    back, encoded = passed(values, data)
    assert back == data
    assert encoded.symbols.tolist() == [[0, 0], [1, 1]]


def test_files_with_other_columns_are_refused(typical):
    kind = typical[0].cells.kind
    with pytest.raises(DataError, match="'age'"):
        CsvValues.of(kind, [], b"a,b\n1,2\n")
    with pytest.raises(DataError, match="'extra'"):
        CsvValues.of(kind, [], b"extra," + typical[1])
