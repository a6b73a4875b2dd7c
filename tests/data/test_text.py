import json
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal, assert_series_equal

from attar import AttarWarning, DataError, FileError, Lines, SettingError
from attar.data.files.writers import writer_for
from attar.data.kinds import form_of, kind_of
from attar.data.source import read
from attar.data.table import Table
from attar.data.text import LONGEST, Text
from attar.data.tokens import BYTES, END, FREQUENT, PAD, Vocabulary

ODD = [
    "plain",
    "",
    "a\x00b",
    "👍🏽 emoji",
    "שלום עולם",
    "e\u0301 and é",
    "\ud800 alone",
    " two  blanks ",
]


def identity(data, kind=None):
    """Return what comes back where a model changes nothing."""
    kind = kind or form_of(data)[0]
    return kind.joined([kind.restore(kind.rows(p), kind.passthrough(p)) for p in kind.pieces(data)])


# ---------------------------------------------------------------- tokens


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_any_bytes_come_back_from_tokens(texts):
    vocabulary = Vocabulary.learned([b"the the the the cat cat cat cat"])
    assert [vocabulary.decode(tokens) for tokens in vocabulary.encode(texts)] == texts


def test_frequent_pairs_are_tokens_and_rare_ones_are_not():
    assert Vocabulary.learned([b"ab"] * FREQUENT).pieces[259:] == (b"ab",)
    assert Vocabulary.learned([b"ab"] * (FREQUENT - 1)).merges == ()


def test_a_vocabulary_has_no_more_tokens_than_asked_for():
    texts = [f"{i} times {i * i} words".encode() for i in range(200)] * 4
    assert Vocabulary.learned(texts, 270).size == 270


def test_without_merges_a_token_is_a_byte():
    (tokens,) = Vocabulary().encode(["né".encode()])
    assert (tokens - BYTES).tolist() == list("né".encode())


# ---------------------------------------------------------------- the kind


@given(
    st.lists(st.text(st.characters(), max_size=15), min_size=2).filter(lambda x: len(set(x)) > 1)
)
def test_any_strings_come_back(texts):
    assert identity(texts) == texts


@given(st.lists(st.binary(max_size=60), min_size=2).filter(lambda x: len(set(x)) > 1))
def test_any_bytes_come_back(texts):
    assert identity(texts) == texts


@pytest.mark.parametrize(
    "data",
    [ODD, tuple(ODD), np.array(ODD, object), np.array(["a b", "c"]), np.array([b"\xff", b"a"])],
)
def test_sequences_come_back(data):
    back = identity(data)
    assert list(back) == list(data)
    assert getattr(back, "dtype", None) == getattr(data, "dtype", None)


@pytest.mark.parametrize("texts", [["a", "", "b c"], [b"a", b"\xfe", b""]])
def test_a_column_of_pandas_comes_back_with_its_index(texts):
    column = pd.Series(texts, index=[7, 3, 5], name="title")
    assert_series_equal(identity(column), column)


def test_a_table_of_one_column_of_text_is_text():
    frame = pd.DataFrame({"title": [f"text number {i}" for i in range(30)]}, index=range(5, 35))
    kind, _ = form_of(frame)
    assert isinstance(kind, Text)
    assert_frame_equal(identity(frame, kind), frame)
    wider = frame.assign(other=1)
    assert kind.accepts(kind_of(wider))
    assert_frame_equal(identity(wider, kind), frame)
    with pytest.raises(DataError, match="no column 'title'"):
        kind.rows(wider[["other"]])


def test_a_table_of_one_categorical_column_is_a_table():
    frame = pd.DataFrame({"colour": ["red", "blue"] * 20})
    assert isinstance(form_of(frame)[0], Table)
    distinct = pd.DataFrame({"colour": [f"colour {i}" for i in range(30)]})
    assert isinstance(form_of(distinct, {"colour": "categorical"})[0], Table)


def test_rows_are_tokens_then_one_end_then_nothing():
    kind, _ = form_of(["ab", "c", "longer text"])
    (row,) = kind.rows(["ab"])
    assert row.tolist() == [BYTES + 97, BYTES + 98, END, *[PAD] * (kind.length - 3)]


def test_texts_that_fill_a_row_are_whole_and_longer_ones_are_cut_with_a_warning():
    kind, _ = form_of(["".join(map(chr, range(33, 33 + 90))) * 2, "b"])
    assert kind.length == LONGEST
    fitting, longer = "x1" * (LONGEST // 2), "x1" * LONGEST
    with warnings.catch_warnings(action="error"):
        assert kind.restore(kind.rows([fitting])) == [fitting]
    with pytest.warns(AttarWarning, match="1 texts have more than 128 tokens, and are cut"):
        assert kind.restore(kind.rows([longer, "b"])) == [fitting, "b"]


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA])
def test_missing_texts_are_empty_with_a_warning(missing):
    column = pd.Series(["a", missing, "b"], dtype=object)
    with pytest.warns(AttarWarning, match="1 texts are missing"):
        assert identity(column).tolist() == ["a", "", "b"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (["same"] * 9, "All texts are equal: there is nothing to learn"),
        (["a", b"b"], "Some texts are strings and some are bytes"),
        (np.array([1.0, 2.0]), "Expected 2D array"),
        (["a", 1], "Expected 2D array"),
    ],
)
def test_what_is_no_text_is_refused_in_a_sentence(data, message):
    with pytest.raises(DataError, match=message):
        form_of(data)


def test_bytes_that_a_model_makes_are_strings_with_replacements():
    kind, _ = form_of(["é", "a"])
    rows = kind.rows(["é"])
    rows[0, 1] = END
    assert kind.restore(rows) == ["\ufffd"]


@pytest.mark.parametrize("data", [ODD, [b"a", b"b"], pd.DataFrame({"t": map(str, range(40))})])
def test_the_form_survives_json(data):
    kind, _ = form_of(data)
    assert Text.from_json(json.loads(json.dumps(kind.to_json()))) == kind


def test_remarks_count_texts_bytes_lengths_and_repetitions():
    remarks = dict(form_of(["ab", "ab", "abcd", ""])[0].remarks)
    assert remarks["texts"] == "4, of 8 bytes"
    assert remarks["repeated"] == "25.0% of the texts"
    assert remarks["median length"] == "2 tokens"
    assert remarks["longest"] == "4 tokens, in text 2"


# ---------------------------------------------------------------- files


@pytest.fixture
def plain(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffone line\r\ntwo\n\nthree é\n".encode())
    return path


def test_lines_and_paragraphs_of_a_file(plain):
    assert read(plain).data == ["one line", "two", "", "three é"]
    assert Lines(plain, paragraphs=True).read() == ["one line\ntwo", "three é"]
    assert kind_of(Lines(plain)) is Text


def test_long_texts_of_a_file_are_split(plain):
    assert Lines(plain, split=1).read() == ["one", "line", "two", "", "three", "é"]


def test_a_byte_of_another_encoding_is_named(tmp_path):
    path = tmp_path / "a.log"
    path.write_bytes(b"one\ncaf\xe9\n")
    with pytest.raises(FileError, match="is not utf-8 at byte 7: give its encoding"):
        read(path)
    assert Lines(path, encoding="cp1252").read() == ["one", "café"]


def test_pieces_of_a_file_are_its_texts(tmp_path, monkeypatch):
    monkeypatch.setattr("attar.data.lines.PIECE", 3)
    path = tmp_path / "a.md"
    texts = [f"text {i}" for i in range(10)]
    path.write_text("\n".join(texts))
    assert [len(piece) for piece in Lines(path)] == [3, 3, 3, 1]
    assert form_of(Lines(path))[0] == form_of(texts)[0]
    assert identity(Lines(path)) == texts


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_column_of_a_table_is_read_as_text(tmp_path, suffix):
    frame = pd.DataFrame({"title": ["a b", "c", "d"], "n": [1, 2, 3]})
    path = tmp_path / f"a{suffix}"
    if suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        {".csv": frame.to_csv, ".parquet": frame.to_parquet}[suffix](path)
    assert identity(read(Lines(path, "title")).data)["title"].tolist() == ["a b", "c", "d"]
    with pytest.raises(DataError, match="titel"):
        Lines(path, "titel").read()
    with pytest.raises(SettingError, match="is a table: name the column"):
        Lines(path)


def test_settings_that_do_not_fit_the_file_are_refused(plain):
    with pytest.raises(SettingError, match="is no table"):
        Lines(plain, "title")
    with pytest.raises(SettingError, match="no encoding 'utf-9'"):
        Lines(plain, encoding="utf-9")


def test_a_lone_surrogate_in_json_is_refused(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"t": "a"}\n{"t": "\\ud800"}\n')
    with pytest.raises(FileError, match="lone surrogate"):
        read(path)


@pytest.mark.parametrize("suffix", [".txt", ".log"])
def test_texts_are_written_as_lines(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    with writer_for(path) as writer:
        writer.write(["a", "", "é"])
        writer.write(pd.DataFrame({"t": ["d"]}))
    assert read(path).data == ["a", "", "é", "d"]


def test_line_breaks_in_lines_are_blanks_with_a_warning(tmp_path):
    path = tmp_path / "a.txt"
    with pytest.warns(AttarWarning, match="1 texts have line breaks"), writer_for(path) as writer:
        writer.write(["a\nb", "c"])
    assert path.read_bytes() == b"a b\nc\n"


def test_any_strings_are_written_as_json_lines(tmp_path):
    path = tmp_path / "a.jsonl"
    with writer_for(path) as writer:
        writer.write([*ODD, "a\nb"])
    lines = path.read_text().splitlines()
    assert [json.loads(line)["text"] for line in lines] == [*ODD, "a\nb"]


def test_texts_are_written_as_a_table(tmp_path):
    path = tmp_path / "a.csv"
    with writer_for(path) as writer:
        writer.write(["a,b", "c\nd"])
    assert pd.read_csv(path)["text"].tolist() == ["a,b", "c\nd"]
    with pytest.raises(DataError, match="lone surrogate"), writer_for(path) as writer:
        writer.write(["\ud800"])


@pytest.mark.parametrize("suffix", [".txt", ".jsonl"])
def test_numbers_are_no_lines(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    with pytest.raises(DataError, match="holds text only"), writer_for(path) as writer:
        writer.write(np.zeros((2, 2)))
