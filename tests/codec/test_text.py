"""Text comes back exactly, whatever it is, in fewer bytes than general compressors need."""

from __future__ import annotations

import bz2
import lzma
import zlib

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal, assert_series_equal

import attar
from attar.codec import text as text_module
from attar.codec.container import ArchiveReader
from attar.codec.text import Form, decoded_text, encoded_text, opened_text
from attar.errors import ArchiveError, DataError, FileError
from attar.likelihoods.context_mixing import Lanes, MixingTables

WORDS = ["oil", "prices", "rise", "on", "fears", "of", "war", "as", "stocks", "fall", "dollar"]
FRESH = MixingTables.fresh(16)


def headlines(n, seed):
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, rng.integers(3, 9))) for _ in range(n)]


@pytest.fixture(scope="module")
def model():
    recipe = attar.recipes.recipe("text").replace(
        network__width=16, network__heads=2, likelihood__width=16, likelihood__heads=2
    )
    return attar.Autoencoder(recipe, epochs=1, code_size=2, random_state=0).fit(headlines(80, 0))


@pytest.fixture(scope="module")
def codec(model):
    return attar.Codec(model)


def restored(data, tables=FRESH):
    """Return what values make of data, by way of their bytes."""
    values, pieces = opened_text(data, tables)
    parts = []
    for piece in pieces:
        encoded = values.encode(piece)
        opened = values.opened(encoded.rows, encoded.literals)
        parts.append(values.decode(encoded.symbols, encoded.residues, opened))
    return type(values).from_json(tables, values.to_json()).joined(parts)


@given(st.binary(max_size=30))
@settings(max_examples=15, deadline=None)
def test_any_bytes_come_back(data):
    assert decoded_text(FRESH, encoded_text(FRESH, data)) == data


@given(st.lists(st.text(st.characters(), max_size=6), max_size=4))
@settings(max_examples=15, deadline=None)
def test_any_strings_come_back(rows):
    assert restored(rows) == rows


@given(st.lists(st.binary(max_size=6), max_size=4))
@settings(max_examples=10, deadline=None)
def test_any_rows_of_bytes_come_back(rows):
    assert restored(rows) == rows


HARD = ["", "\n", "a\r\nb\0", "\ud800\udc00", "é", "\u0065\u0301", "שלום", "🙂", "\xfe\x01"]


@pytest.mark.parametrize(
    "rows", [HARD, [row.encode("utf-16", "surrogatepass") + b"\xfe\n\xfe" for row in HARD]]
)
def test_rows_with_breaks_and_odd_characters_come_back(rows):
    assert restored(rows) == rows


def test_every_form_comes_back(codec):
    rows = headlines(3, 1)
    assert codec.decompress(codec.compress(tuple(rows))) == tuple(rows)
    for array in (np.array(rows), np.array(rows, object)):
        found = codec.decompress(codec.compress(array))
        assert found.dtype == array.dtype
        assert found.tolist() == rows
    column = pd.Series(rows, name="title")
    assert_series_equal(codec.decompress(codec.compress(column)), column)
    frame = column.to_frame()
    assert_frame_equal(codec.decompress(codec.compress(frame)), frame)
    assert codec.decompress(codec.compress([])) == []


@pytest.mark.parametrize("text", [b"", b"\n\n", b"\xff\0\r\nno end", b"a,title\r\n1,oil rises\r\n"])
def test_the_bytes_of_any_file_come_back(codec, tmp_path, text):
    path = tmp_path / "some.csv"
    path.write_bytes(text)
    data = codec.compress(path)
    assert codec.decompress(data) == text
    archive = ArchiveReader(data)
    assert archive.rows == len(text.splitlines())
    assert archive.rows * archive.schema["cells"] == pytest.approx(len(text))


def test_a_long_file_is_in_chunks(codec, tmp_path, monkeypatch):
    monkeypatch.setattr(text_module, "BYTES", 100)
    rows = headlines(12, 2)
    text = "\n".join(rows).encode()
    (tmp_path / "a.log").write_bytes(text)
    data = codec.compress(tmp_path / "a.log")
    assert len(ArchiveReader(data)) == -(-len(text) // 100)
    assert codec.decompress(data) == text
    archive = attar.compression.Archive(ArchiveReader(codec.compress(rows)), codec)
    assert len(archive.reader) > 3
    assert archive[4:9] == rows[4:9]


def test_lines_like_those_of_the_fit_take_few_bytes(codec):
    rows = headlines(60, 3)
    raw = "\n".join(rows).encode()
    text = encoded_text(codec._coding.tables, raw)
    assert len(text) < 0.75 * len(encoded_text(FRESH, raw))
    assert len(text) < 0.8 * min(len(f(raw)) for f in (zlib.compress, bz2.compress, lzma.compress))


def test_bytes_are_as_many_as_the_probabilities_say():
    raw = "\n".join(headlines(30, 4)).encode()
    ones, zeros = Lanes(FRESH.copy(), len(raw)).over(raw)
    bits = -np.log2(np.where(ones, 65536 - zeros, zeros) / 65536).sum()
    assert bits / 8 < len(encoded_text(FRESH, raw)) < bits / 8 + 16


def test_a_saved_model_reads_what_the_model_wrote(model, codec, tmp_path):
    model.save(tmp_path / "t.attar")
    other = attar.Codec(attar.load(tmp_path / "t.attar"))
    rows = headlines(4, 5)
    assert other.decompress(codec.compress(rows)) == rows
    codec.compress_file(rows, tmp_path / "t.atz", with_model=True)
    assert attar.open(tmp_path / "t.atz")[1:3] == rows[1:3]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (["a", None], "Row 2 is of the type NoneType"),
        (["a", b"b"], "Row 2 is of the type bytes"),
        (3, "a list of strings or the path of a file, not int"),
        (pd.DataFrame({"a": ["x"], "b": ["y"]}), "2 columns is no text"),
        (pd.Series(["x"], [5]), "reset_index"),
    ],
)
def test_what_is_no_text_is_refused(codec, data, words):
    with pytest.raises(DataError, match=words):
        codec.compress(data)


def test_a_missing_file_is_refused(codec, tmp_path):
    with pytest.raises(FileError, match="There is no file"):
        codec.compress(tmp_path / "none.txt")


def test_damaged_text_is_refused(codec):
    data = codec.compress(headlines(3, 6))
    for place in range(0, len(data), 7):
        damaged = bytearray(data)
        damaged[place] ^= 16
        with pytest.raises(ArchiveError):
            codec.decompress(bytes(damaged))
    with pytest.raises(ArchiveError):
        codec.decompress(data[:-3])


def test_damaged_bytes_of_a_chunk_are_refused():
    text = encoded_text(FRESH, b"To be, or not to be")
    for damaged in (b"", text[:1], text[:-4], text + bytes(4), b"\xff" * 9 + text[1:]):
        with pytest.raises(FileError):
            decoded_text(FRESH, damaged)


def test_a_form_says_what_it_is():
    assert str(Form("file")) == "a file, byte for byte"
    assert str(Form("list", strings=False)) == "a list of bytes"
    assert str(Form("array")) == "an array of strings"
