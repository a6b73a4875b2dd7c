"""Compressed files are read as they were written, or refused."""

from __future__ import annotations

import io
import pickle
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attar.codec import container
from attar.codec.container import ArchiveReader, ArchiveWriter, digest_of
from attar.errors import ArchiveError, FileError, SettingError

SCHEMA = {"columns": ["größe", "b"], "cells": [1, None, 2.5]}
CHUNKS = [(b"first", 3, b"FIRST"), (b"", 0, b""), (b"\0\0", 4, b"SECOND"), (b"third!", 1, b"3")]


def packed(chunks=CHUNKS, model=b"weights", schema=SCHEMA):
    file = io.BytesIO()
    with ArchiveWriter(file, "a1b2", schema, model) as writer:
        for data, rows, decoded in chunks:
            writer.write(data, rows, digest_of(decoded))
    return file.getvalue()


def read_all(source):
    archive = ArchiveReader(source)
    for chunk in archive:
        chunk.read()
    return archive, archive.model


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_file_is_read_as_written(tmp_path, in_memory):
    (tmp_path / "f.atz").write_bytes(packed())
    archive = ArchiveReader(packed() if in_memory else tmp_path / "f.atz")
    archive = pickle.loads(pickle.dumps(archive))  # so that processes may decode in parallel
    assert (archive.fingerprint, archive.schema, archive.model) == ("a1b2", SCHEMA, b"weights")
    assert (len(archive), archive.rows) == (4, 8)
    assert [(chunk.read(), chunk.rows) for chunk in archive] == [c[:2] for c in CHUNKS]
    for chunk, (_, _, decoded) in zip(archive, CHUNKS, strict=True):
        chunk.check(digest_of(decoded[:2], decoded[2:]))
        with pytest.raises(ArchiveError, match="another model: rows"):
            chunk.check(digest_of(decoded + b"?"))


def test_a_file_of_nothing():
    archive, model = read_all(packed([], b"", None))
    assert (len(archive), archive.rows, archive.schema, model) == (0, 0, None, None)
    assert list(archive.chunks_of(0, 1)) == []


@given(st.lists(st.integers(0, 5)), st.integers(0, 30), st.integers(0, 30))
@settings(deadline=None)
def test_the_chunks_of_rows_are_those_with_any_of_them(lengths, start, stop):
    archive = ArchiveReader(packed([(b"x", rows, b"y") for rows in lengths]))
    wanted = {chunk.start for chunk in archive if max(start, chunk.start) < min(stop, chunk.stop)}
    assert [c.start for c in archive.chunks_of(start, stop) if c.rows] == sorted(wanted)


def write_and_stop(path, stop):
    with ArchiveWriter(path, "other", None) as writer:
        writer.write(b"first", 3, digest_of(b""))
        raise stop


def test_a_path_gets_the_whole_file_or_none(tmp_path):
    path = tmp_path / "f.atz"
    with ArchiveWriter(path, "a1b2", SCHEMA, b"weights") as writer:
        for data, rows, decoded in CHUNKS:
            writer.write(data, rows, digest_of(decoded))
        assert not path.exists()
    assert path.read_bytes() == packed()
    for stop in (KeyboardInterrupt, ValueError):
        with pytest.raises(stop):
            write_and_stop(path, stop)
    assert path.read_bytes() == packed()
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    with (
        pytest.raises(FileError, match=r"nowhere/f\.atz cannot be written"),
        ArchiveWriter(tmp_path / "nowhere" / "f.atz", "a1b2", None),
    ):
        pass


def test_every_flipped_bit_is_found():
    data = packed()
    for i in range(len(data)):
        for bit in range(8):
            flipped = data[:i] + bytes([data[i] ^ 1 << bit]) + data[i + 1 :]
            with pytest.raises(ArchiveError):
                read_all(flipped)


def test_every_cut_and_every_addition_is_found(tmp_path):
    data = packed()
    for n in range(len(data)):
        for broken in (data[:n], data[n + 1 :], data[:n] + data[n + 1 :], data[:n] + b"\0" + data):
            with pytest.raises(ArchiveError):
                read_all(broken)
    with pytest.raises(ArchiveError):
        read_all(data + b"\0")


def test_damage_is_found_where_it_is_read():
    data = bytearray(packed([(b"a" * 50, 5, b""), (b"b" * 50, 5, b"")]))
    data[data.index(b"aaa") + 9] ^= 1
    data[data.index(b"weights")] ^= 1
    archive = ArchiveReader(bytes(data))
    assert archive[1].read() == b"b" * 50
    with pytest.raises(ArchiveError, match="the checksum of rows 0 to 5 is wrong"):
        archive[0].read()
    with pytest.raises(ArchiveError, match="the checksum of the model inside is wrong"):
        archive.model  # noqa: B018


def test_chunks_of_another_file_are_found():
    a, b = (
        packed([(b"one", 1, b""), (b"two", 1, b"")]),
        packed([(b"two", 1, b""), (b"one", 1, b"")]),
    )
    swapped = a.replace(b"onetwo", b"twoone")
    assert a != swapped != b
    with pytest.raises(ArchiveError, match="rows 0 to 1"):
        read_all(swapped)
    with pytest.raises(ArchiveError, match="table"):
        read_all(a[: a.index(b"onetwo")] + packed(schema=None)[-200:])


def test_random_bytes_are_refused():
    rng = np.random.default_rng(0)
    start = packed()[:6]
    for n in rng.integers(0, 200, 5_000):
        noise = rng.bytes(int(n))
        for data in (noise, start + noise):
            with pytest.raises(ArchiveError):
                ArchiveReader(data)


def test_a_foreign_file_a_newer_one_and_none_are_named(tmp_path):
    path = tmp_path / "f.atz"
    with pytest.raises(FileError, match=r"f\.atz cannot be read: no such file"):
        ArchiveReader(path)
    with pytest.raises(FileError, match="cannot be read: is a directory"):
        ArchiveReader(tmp_path)
    path.write_bytes(b"a,b\n1,2\n")
    with pytest.raises(ArchiveError, match=r"f\.atz is not a compressed file of attar's"):
        ArchiveReader(path)
    data = packed()
    path.write_bytes(data[:4] + struct.pack("<H", 9) + data[6:])
    with pytest.raises(ArchiveError, match="has format 9, and this attar reads 1: update attar"):
        ArchiveReader(path)


def forged(text, rows=(), bytes_=(), lengths=None):
    """Return a file whose checksums are right, whatever it says."""
    header = zlib.compress(text)
    start = container._START.pack(container.MAGIC, 1, *(lengths or (len(header), 0))) + header
    first = len(start) + 16
    entries = [(r, first + b, b"\0" * 16, 0) for r, b in zip(rows, bytes_, strict=True)]
    table = np.array(entries, container._ENTRY).tobytes()
    digest = container._digest_of_table(digest_of(start), table, len(entries))
    return start + digest_of(start) + table + container._END.pack(len(entries), digest)


FINE = b'{"fingerprint": "f", "schema": null}'


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (forged(FINE, lengths=(1 << 31, 0)), "header"),
        (forged(FINE, lengths=(44, 1 << 63)), "header"),
        (forged(b"[" * 100_000), "header"),
        (forged(b"[]"), "header"),
        (forged(b"{}"), "header"),
        (forged(b"\xff"), "header"),
        (forged(FINE[:-1] + b" " * (1 << 26) + b"}"), "header"),
        (forged(FINE)[:-20] + container._END.pack((1 << 32) - 1, b"\0" * 16), "table"),
        (forged(FINE, [1 << 60], [0]), "table"),
        (forged(FINE, [5, 1 << 21], [0, 0]), "table"),
        (forged(FINE, [5, 3], [0, 0]), "table"),
        (forged(FINE, [5], [1 << 50]), "table"),
        (forged(FINE, [5, 6, 7], [0, 1 << 62, 0]), "table"),
        (forged(FINE, [5], [-20]), "table"),
    ],
)
def test_what_a_file_claims_takes_no_memory(data, what):
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveError, match=f"the checksum of the {what}"):
            ArchiveReader(data)
        assert tracemalloc.get_traced_memory()[1] < 3 * container.MAX_HEADER
    finally:
        tracemalloc.stop()


def test_the_forged_files_differ_from_good_ones_in_what_they_claim_only():
    archive = ArchiveReader(forged(FINE, [5, 9], [0, 0]))
    assert [chunk.rows for chunk in archive] == [5, 4]


def test_what_cannot_be_written_is_refused():
    with ArchiveWriter(io.BytesIO(), "a1b2", None) as writer:
        with pytest.raises(SettingError, match="16 bytes, not 3"):
            writer.write(b"", 1, b"abc")
        for rows in (-1, container.MAX_ROWS + 1):
            with pytest.raises(SettingError, match="rows"):
                writer.write(b"", rows, digest_of(b""))
    with pytest.raises(SettingError, match="schema"):
        ArchiveWriter(io.BytesIO(), "a1b2", "x" * container.MAX_HEADER)


def test_writing_and_reading_take_the_memory_of_a_chunk(tmp_path):
    chunk = np.random.default_rng(0).bytes(1 << 20)
    tracemalloc.start()
    with ArchiveWriter(tmp_path / "f.atz", "a1b2", None) as writer:
        for _ in range(20):
            writer.write(chunk, 1000, digest_of(chunk))
    archive = ArchiveReader(tmp_path / "f.atz")
    assert sum(len(c.read()) for c in archive.chunks_of(4_000, 20_000)) == 16 << 20
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20
