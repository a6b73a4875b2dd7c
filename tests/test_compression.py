"""Compressed data come back to the last bit, whatever they are, and nothing else comes back."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from hashlib import sha256

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

import attar
from attar import compression
from attar.codec.container import ArchiveReader, ArchiveWriter, digest_of
from attar.compression import Archive, Codec, Rate, open_archive
from attar.data import datasets
from attar.errors import ArchiveError, DataError, FileError, SettingError
from attar.likelihoods import Causal

rng = np.random.default_rng(0)

DIGITS = datasets.load("digits", "train")[0].astype("uint8")
SMALL = Causal(window=(3, 5), width=8, layers=1, hidden=16)
N = 400
TABLE = pd.DataFrame(
    {
        "age": rng.integers(18, 80, N),
        "pay": rng.normal(3000, 800, N).round(2),
        "weight": rng.integers(10**6, 10**7, N),
        "job": rng.choice(["clerk", "cook", "smith"], N),
        "vote": rng.random(N) < 0.3,
        "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 500, N), "D"),
    }
)
HOURS = pd.DataFrame(
    {
        "time": pd.date_range("2024-01-01", periods=200, freq="h"),
        "load": rng.normal(0, 5, 200).cumsum().round(1),
        "count": rng.poisson(4, 200),
    }
)
REPEATED = pd.DataFrame(
    {
        "group": rng.choice(["a", "b"], 3500),
        "weight": rng.choice(rng.integers(10**6, 10**7, 1500), 3500),
    }
)
PAYLOAD = np.array([0x7FF8DEAD00000001], np.uint64).view(np.float64)[0]


def fitted(X, recipe="lossless", **settings):
    return attar.Autoencoder(recipe, epochs=1, random_state=0, verbose=False, **settings).fit(X)


@pytest.fixture(scope="module")
def images():
    return Codec(fitted(DIGITS[:200], likelihood=SMALL, batch_size=8))


@pytest.fixture(scope="module")
def table():
    return Codec(fitted(TABLE[:300], likelihood=SMALL))


@pytest.fixture(scope="module")
def series():
    hours = attar.Series(HOURS, time="time", window=24)
    return Codec(fitted(hours, likelihood=SMALL))


@pytest.fixture(scope="module")
def numbers():
    return Codec(fitted(TABLE[["age", "pay"]].to_numpy(), likelihood=SMALL))


@pytest.fixture(scope="module")
def vae():
    return Codec(fitted(DIGITS[:200], "vae"))


def comes_back(codec, data):
    """Assert that data come back, and return their compressed bytes."""
    compressed = codec.compress(data)
    found = codec.decompress(compressed)
    if isinstance(data, pd.DataFrame):
        pd.testing.assert_frame_equal(found, data, check_exact=True)
    elif isinstance(data, np.ndarray):
        assert (found.dtype, found.shape) == (data.dtype, data.shape)
        assert found.tobytes() == data.tobytes()
    else:
        assert found.equals(data)
    return compressed


def strange(array):
    """Return numbers among which are some that no model has seen."""
    odd = array.astype(float)
    odd.flat[:6] = [np.nan, PAYLOAD, -0.0, np.inf, 1e300, 0.1]
    return odd


IMAGES = {
    "new": DIGITS[200:230],
    "one": DIGITS[:1],
    "none": DIGITS[:0],
    "brighter": DIGITS[:3] * 15,
    "wider": DIGITS[:3].astype("uint16") * 900,
    "strange": strange(DIGITS[:3]),
}
TABLES = {
    "new": TABLE[300:],
    "one": TABLE[:1],
    "none": TABLE[:0],
    "indexed": TABLE.sample(20, random_state=0).set_index(pd.Index(range(20, 0, -1), name="key")),
    "ordered": TABLE[["job", "day", "pay", "vote", "age", "weight"]][:9],
    "strange": TABLE[:9].assign(
        pay=strange(TABLE.pay[:9].to_numpy()), job=[None, "", "né\n", *TABLE.job[3:9]]
    ),
    "objects": TABLE[:3].assign(pay=pd.Series([1.5, "much", None], dtype=object)),
    "arrow": pa.Table.from_pandas(TABLE[:20]),
}


@pytest.mark.parametrize("name", IMAGES)
def test_images_come_back(images, name):
    comes_back(images, IMAGES[name])


@pytest.mark.parametrize("name", IMAGES)
def test_images_come_back_with_bits_back(vae, name):
    comes_back(vae, IMAGES[name])


@pytest.mark.parametrize("name", TABLES)
def test_tables_come_back(table, name):
    comes_back(table, TABLES[name])


def test_arrays_of_numbers_come_back(numbers):
    array = TABLE[["age", "pay"]].to_numpy()
    comes_back(numbers, array)
    comes_back(numbers, array[:5].astype(np.float32))
    comes_back(numbers, strange(array[:5]))


@pytest.mark.parametrize("rows", [200, 50, 1, 0])
def test_series_come_back(series, rows):
    comes_back(series, HOURS[:rows])


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_csv_file_comes_back_byte_for_byte(table, series, end, tmp_path, monkeypatch):
    monkeypatch.setattr(compression, "ROWS", 96)
    path = tmp_path / "table.csv"
    for codec, frame in ((table, TABLE), (series, HOURS)):
        text = frame.to_csv(index=False, lineterminator=end) + f'a line, of {end}no{end * 2}"table'
        path.write_bytes(text.encode())
        compressed = codec.compress(path)
        assert codec.decompress(compressed) == path.read_bytes()
        assert len(ArchiveReader(compressed)) > 2
        path.write_bytes(text[: text.index(end) + len(end)].encode())
        assert codec.decompress(codec.compress(path)) == path.read_bytes()


def test_files_are_read_as_the_model_needs_them(table, images, tmp_path):
    odd = tmp_path / "table.txt"
    TABLE[:50].to_csv(odd, sep="|", index=False, encoding="utf-16")
    given = attar.Csv(odd, delimiter="|", encoding="utf-16")
    assert table.decompress(table.compress(given)) == odd.read_bytes()
    TABLE[:50].to_parquet(tmp_path / "table.parquet")
    back = table.decompress(table.compress(tmp_path / "table.parquet"))
    pd.testing.assert_frame_equal(back, TABLE[:50])
    np.save(tmp_path / "images.npy", DIGITS[:9])
    back = images.decompress(images.compress(str(tmp_path / "images.npy")))
    np.testing.assert_array_equal(back, DIGITS[:9])


def test_values_that_come_back_are_remembered(tmp_path):
    model = fitted(REPEATED[:3000], likelihood=SMALL)
    assert [memory.column for memory in model.fitted_.memories] == [1]
    kept = comes_back(Codec(model), REPEATED[3000:])
    model.save(tmp_path / "model.attar")
    again = attar.load(tmp_path / "model.attar")
    assert Codec(again).compress(REPEATED[3000:]) == kept
    again.fitted_ = replace(again.fitted_, memories=())
    forgetful = Codec(again)
    assert len(kept) < 0.9 * len(comes_back(forgetful, REPEATED[3000:]))
    with pytest.raises(ArchiveError, match="another model"):
        forgetful.decompress(kept)


def test_a_saved_model_is_the_same_one(table, tmp_path):
    table.model.save(tmp_path / "model.attar")
    again = Codec(attar.load(tmp_path / "model.attar"))
    assert again.fingerprint == table.fingerprint
    tensors, weights = table.model.fitted_.tensors(), dict(table.model.model_.named_parameters())
    assert {tensors[f"model.{name}"].dtype for name in weights} == {torch.float16}
    assert again.compress(TABLE[300:]) == table.compress(TABLE[300:])


def test_some_rows_are_taken_from_the_chunks_that_hold_them(images, table, series, monkeypatch):
    monkeypatch.setattr(compression, "ROWS", 24)
    compressed = images.compress(DIGITS[200:260])
    archive, read = Archive(ArchiveReader(compressed), images), []
    monkeypatch.setattr(images, "_decoded", lambda *a, do=images._decoded: read.append(a) or do(*a))
    assert len(archive) == 60
    assert len(archive.reader) == 3
    np.testing.assert_array_equal(archive[30:50], DIGITS[230:250])
    assert len(read) == 2
    for rows in (slice(0, 0), slice(59, None), slice(40, 20), slice(None)):
        np.testing.assert_array_equal(archive[rows], DIGITS[200:260][rows])
    for codec, frame in ((table, TABLE[:100].set_index("age", drop=False)), (series, HOURS)):
        archive = Archive(ArchiveReader(codec.compress(frame)), codec)
        pd.testing.assert_frame_equal(archive[20:60], frame[20:60])
        pd.testing.assert_frame_equal(archive[:], frame)
    for wrong in (slice(0, 9, 2), 3):
        with pytest.raises(SettingError, match="archive\\[i:j\\]"):
            archive[wrong]


def test_a_file_may_hold_its_model(images, tmp_path):
    alone, whole = tmp_path / "alone.atz", tmp_path / "whole.atz"
    images.compress_file(DIGITS[:30], alone)
    images.compress_file(DIGITS[:30], whole, with_model=True)
    for archive in (open_archive(whole), open_archive(alone, images.model), attar.open(whole)):
        np.testing.assert_array_equal(archive[:], DIGITS[:30])
    with pytest.raises(ArchiveError, match="does not hold its model"):
        open_archive(alone)
    with pytest.raises(FileError, match="cannot be read"):
        open_archive(tmp_path / "none.atz")


def test_the_sum_is_told(images, table, tmp_path):
    rate = images.rate(DIGITS[200:300])
    assert (rate.rows, rate.cells, rate.raw_bytes) == (100, 64, 6400)
    assert rate.bytes == len(images.compress(DIGITS[200:300]))
    assert rate.bits_per_dimension == pytest.approx(8 * rate.bytes / 6400)
    assert rate.general in ("bz2", "xz")
    assert rate.to_json()["pays_from_rows"] == rate.pays_from
    path = tmp_path / "table.csv"
    TABLE.to_csv(path, index=False)
    rate = table.rate(path)
    assert (rate.rows, rate.cells, rate.raw_bytes) == (N, 6, path.stat().st_size)
    assert table.rate(TABLE).raw_bytes == rate.raw_bytes
    assert Rate(10, 1, 100, 50, 1000, "xz", 60).pays_from == 1000
    assert Rate(10, 1, 100, 60, 1000, "xz", 60).pays_from is None


def test_discrete_codes_are_sent_in_two_parts():
    comes_back(Codec(fitted(DIGITS[:200], "fsq")), DIGITS[200:230])


def test_models_that_do_not_compress_are_refused(numbers):
    with pytest.raises(SettingError, match="compression needs"):
        Codec(fitted(DIGITS[:100], "ae"))
    with pytest.raises(SettingError, match="real numbers"):
        Codec(fitted(rng.normal(size=(100, 3)), "vae"))
    conditioned = attar.Autoencoder("lossless", epochs=1, likelihood=SMALL, random_state=0)
    conditioned.fit(TABLE[["age", "vote"]], condition=TABLE.job)
    with pytest.raises(SettingError, match="condition"):
        Codec(conditioned)


def test_other_data_are_refused_by_name(images, table, series, numbers):
    with pytest.raises(DataError, match="lacks the column 'job'"):
        table.compress(TABLE.drop(columns="job"))
    with pytest.raises(DataError, match="has a column 'more'"):
        table.compress(TABLE.assign(more=1))
    with pytest.raises(DataError, match="named columns"):
        table.compress(DIGITS)
    with pytest.raises(DataError, match="fitted on an array"):
        images.compress(TABLE)
    with pytest.raises(DataError, match="shape"):
        images.compress(DIGITS[:, :4])
    with pytest.raises(DataError, match="3 features"):
        numbers.compress(np.zeros((5, 3)))
    with pytest.raises(DataError, match="row for each point"):
        series.compress(np.zeros((5, 3)))
    with pytest.raises(DataError, match="'load'"):
        series.compress(TABLE)
    with pytest.raises(DataError, match="rows"):
        numbers.compress(3.0)
    with pytest.raises(FileError, match="no such file"):
        table.compress("nowhere.csv")


def test_a_failed_compression_leaves_no_file(table, tmp_path):
    with pytest.raises(DataError):
        table.compress_file(TABLE.drop(columns="job"), tmp_path / "out.atz")
    assert not list(tmp_path.iterdir())


def test_files_of_other_models_are_refused(images, numbers):
    other = Codec(fitted(DIGITS[:200], likelihood=SMALL, batch_size=16))
    with pytest.raises(ArchiveError, match=other.fingerprint[:12]):
        other.decompress(images.compress(DIGITS[:9]))
    with pytest.raises(ArchiveError, match="another model"):
        numbers.decompress(images.compress(DIGITS[:9]))


def forged(codec, tmp_path, rows, data, schema=None):
    """Return a compressed file of a chunk whose checksums are right."""
    path = tmp_path / "forged.atz"
    known = ArchiveReader(codec.compress(DIGITS[:3])).schema if schema is None else schema
    with ArchiveWriter(path, codec.fingerprint, known) as writer:
        writer.write(data, rows, digest_of(b""))
    return path.read_bytes()


def test_forged_files_are_refused_with_little_memory(images, vae, tmp_path):
    for codec in (images, vae):
        chunk = ArchiveReader(codec.compress(DIGITS[:3]))[0].read()
        with pytest.raises(ArchiveError, match="1,048,576 rows"):
            codec.decompress(forged(codec, tmp_path, 1 << 20, chunk))
        for rows, data in ((3, chunk), (9000, chunk), (3, b""), (3, b"\xff" * 30), (3, chunk[:-4])):
            with pytest.raises(FileError):
                codec.decompress(forged(codec, tmp_path, rows, data))
        for schema in ({}, [], {"values": 3}, {"values": {"dtype": "no"}}):
            with pytest.raises(FileError):
                codec.decompress(forged(codec, tmp_path, 3, chunk, schema))


def test_the_users_settings_do_not_matter(images):
    compressed = images.compress(DIGITS[200:220])
    precision = torch.get_float32_matmul_precision()
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            codec = Codec(images.model)
            assert codec.compress(DIGITS[200:220]) == compressed
            np.testing.assert_array_equal(codec.decompress(compressed), DIGITS[200:220])
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)
        torch.set_float32_matmul_precision(precision)


def test_chunks_of_any_size_decode_alike(images, monkeypatch):
    sizes = set()
    for rows in (1 << 14, 20):
        monkeypatch.setattr(compression, "ROWS", rows)
        compressed = comes_back(images, DIGITS[200:250])
        sizes.add(len(ArchiveReader(compressed)))
    assert sizes == {1, 3}


def test_the_number_of_threads_does_not_matter(images, monkeypatch):
    monkeypatch.setattr(compression, "ROWS", 20)
    before, found = torch.get_num_threads(), set()
    for threads in (1, 2):
        monkeypatch.setattr(os, "cpu_count", lambda: threads)  # noqa: B023
        torch.set_num_threads(threads)
        found.add(comes_back(images, DIGITS[200:250]))
    torch.set_num_threads(before)
    assert len(found) == 1


DECODE_AND_ENCODE = """
import sys, hashlib, attar
archive = attar.open(sys.argv[1])
rows = archive[:]
for data in rows.tobytes(), archive.codec.compress(rows):
    print(hashlib.sha256(data).hexdigest())
"""

# This one's own instructions, often those of AVX-512, are the third.
MACHINES = [
    {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "OMP_NUM_THREADS": "2"},
    {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "OMP_NUM_THREADS": "1"},
]


def test_every_machine_gives_the_same_bytes(images, tmp_path):
    path, rows = tmp_path / "digits.atz", DIGITS[200:204]
    images.compress_file(rows, path, with_model=True)
    started = [
        subprocess.Popen(
            [sys.executable, "-c", DECODE_AND_ENCODE, str(path)],
            env={**os.environ, **machine},
            stdout=subprocess.PIPE,
            text=True,
        )
        for machine in MACHINES
    ]
    expected = [sha256(data).hexdigest() for data in (rows.tobytes(), images.compress(rows))]
    for process in started:
        assert process.communicate(timeout=100)[0].split() == expected
