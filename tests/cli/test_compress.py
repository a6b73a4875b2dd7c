"""Files are compressed and come back as they were, or one sentence says why not."""

from __future__ import annotations

import bz2
import json
import lzma
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

import attar
from attar.codec.container import ArchiveWriter, digest_of
from attar.compression import Codec, Rate
from attar.data import datasets
from attar.likelihoods.causal import EFFORTS

verbs = import_module("attar.cli.compress")
DIGITS = datasets.load("digits", "test")[0][:40]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Return the paths of a model of digits, of a table, and of a CSV file."""
    folder = tmp_path_factory.mktemp("lossless")
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"a": np.arange(90) % 7, "b": list("xyz") * 30, "c": rng.normal(size=90).round(2)}
    )
    frame.to_csv(folder / "t.csv", index=False, sep=";", lineterminator="\r\n")
    settings = {"epochs": 1, "random_state": 0, "verbose": False}
    images = datasets.load("digits", "train")[0][:200]
    attar.Autoencoder("lossless", **settings).fit(images).save(folder / "d.attar")
    attar.Autoencoder("lossless", **settings).fit(folder / "t.csv").save(folder / "t.attar")
    attar.Autoencoder("ae", **settings).fit(images).save(folder / "ae.attar")
    return folder


@pytest.fixture
def folder(run, models, tmp_path):
    """Return an empty folder with links to the models, and an array of digits."""
    for path in models.iterdir():
        (tmp_path / path.name).symlink_to(path)
    np.save(tmp_path / "d.npy", DIGITS)
    return tmp_path


def test_a_folder_of_pictures_of_any_sizes_comes_back(run, tmp_path):
    slope = np.add.outer(np.arange(9), 2 * np.arange(14)).astype("uint8")
    noisy = slope + np.random.default_rng(0).integers(0, 5, slope.shape, "uint8")
    pictures = {"a": noisy, "b": noisy[:, :9].copy(), "c": noisy[3:].T.copy()}
    for name, pixels in pictures.items():
        Path("in").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(f"in/{name}.webp", lossless=True)
    fit = ("fit", "in", "--tile", 4, "--recipe", "lossless", "--effort", 1, "--epochs", 1)
    assert run(*fit, "-qo", "p")[0] == 0
    assert run("compress", "p", "in", "-o", "p.atz")[0] == 0
    assert "pictures" in run("info", "p.atz")[1]
    assert run("decompress", "p", "p.atz", "-o", "back")[:2] == (0, "")
    for name in pictures:
        found = np.asarray(Image.open(f"back/{name}.png"))
        assert_array_equal(found, np.asarray(Image.open(f"in/{name}.webp")), strict=True)
    status, _, err = run("decompress", "p", "p.atz", "-o", "back.npy")
    assert (status, err.count("\n")) == (2, 1)
    assert "holds pictures of any sizes: write them to a folder" in err
    assert not Path("back.npy").exists()


def test_an_array_comes_back(run, folder):
    status, out, err = run("compress", "d.attar", "d.npy", "-o", "d.atz")
    assert (status, err) == (0, "")
    assert out.splitlines()[-1].endswith(": d.atz.")
    assert run("decompress", "d.attar", "d.atz", "-o", "back.npy") == (0, "", "")
    assert_array_equal(np.load("back.npy"), DIGITS, strict=True)
    assert run("decompress", "d.attar", "d.atz", "-o", "back.npz")[0] == 0
    assert_array_equal(np.load("back.npz")["X"], DIGITS, strict=True)
    assert run("decompress", "d.attar", "d.atz", "-o", "pictures")[0] == 0
    pictures = attar.Pictures("pictures").read()
    assert_array_equal(np.asarray(pictures).reshape(DIGITS.shape), DIGITS)


def test_a_csv_file_comes_back_byte_for_byte(run, folder):
    assert run("compress", "t.attar", "t.csv", "-o", "t.atz")[0] == 0
    assert run("decompress", "t.attar", "t.atz", "-o", "back.csv") == (0, "", "")
    assert Path("back.csv").read_bytes() == Path("t.csv").read_bytes()


def test_text_comes_back_byte_for_byte(run, folder):
    lines = [f"{one} prices {two}" for one in ("oil", "gas", "gold") for two in ("rise", "fall")]
    small = {"network__width": 16, "likelihood__width": 16}
    recipe = attar.recipes.recipe("text").replace(**small)
    model = attar.Autoencoder(recipe, epochs=1, code_size=2, random_state=0).fit(lines * 5)
    model.save("text.attar")
    Path("a.log").write_bytes(b"oil prices rise\r\n\xff\0no end")
    status, out, err = run("compress", "text.attar", "a.log", "-o", "a.atz")
    assert (status, err) == (0, "")
    size = Path("a.atz").stat().st_size
    bits = f"{8 * size / 25:.4g} bits a byte, {8 * size / 2:,.4g} bits a line."
    assert out.startswith(f"2 lines: 25 bytes in, {size} bytes out; {bits}")
    assert run("decompress", "text.attar", "a.atz", "-o", "back.log") == (0, "", "")
    assert Path("back.log").read_bytes() == Path("a.log").read_bytes()
    contents = json.loads(run("info", "a.atz", "--json")[1])
    assert contents["data"] == "text: a file, byte for byte"
    assert contents["bits_per_byte"] == pytest.approx(8 * size / 25, abs=1e-4)
    Codec(model).compress_file(lines, "rows.atz")
    status, _, err = run("decompress", "text.attar", "rows.atz", "-o", "rows.txt")
    assert (status, err.count("\n")) == (2, 1)
    assert "holds a list of strings, not a file: decompress it in Python" in err
    assert not Path("rows.txt").exists()


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_table_comes_back(run, folder, suffix):
    frame = pd.read_csv("t.csv", sep=";")
    frame.to_parquet("t.parquet")
    assert run("compress", "t.attar", "t.parquet", "-o", "t.atz")[0] == 0
    assert run("decompress", "t.attar", "t.atz", "-o", f"back{suffix}") == (0, "", "")
    read = pd.read_csv if suffix == ".csv" else pd.read_parquet
    pd.testing.assert_frame_equal(read(f"back{suffix}"), frame, check_exact=True)


def test_with_its_model_a_file_is_enough(run, folder):
    out = run("compress", "d.attar", "d.npy", "-o", "d.atz", "--with-model")[1]
    assert out.splitlines()[-1].endswith(": d.atz, with its model.")
    Path("d.attar").unlink()
    assert run("decompress", "d.atz", "-o", "back.npy") == (0, "", "")
    assert_array_equal(np.load("back.npy"), DIGITS, strict=True)


def test_the_sum_is_that_of_the_files(run, folder):
    result = json.loads(run("compress", "d.attar", "d.npy", "-o", "d.atz", "--json")[1])
    raw, model = Path("d.npy").read_bytes(), os.path.getsize("d.attar")
    bits = 8 * os.path.getsize("d.atz") / len(DIGITS)
    others = {"bz2": len(bz2.compress(raw, 9)), "xz": len(lzma.compress(raw, preset=9))}
    best = min(others, key=others.get)
    expected = {
        "file": "d.atz",
        "with_model": False,
        "rows": len(DIGITS),
        "raw_bytes": len(raw),
        "bytes": os.path.getsize("d.atz"),
        "bits_per_row": bits,
        "bits_per_dimension": bits / 64,
        "model_bytes": model,
        "best_general": best,
        "best_general_bytes": others[best],
        "general_estimated": False,
    }
    assert {name: result[name] for name in expected} == expected
    inside = json.loads(
        run("compress", "d.attar", "d.npy", "-o", "e.atz", "--with-model", "--json")[1]
    )
    # The model is counted by itself, wherever it is; its digest is not.
    assert (inside["bytes"], inside["model_bytes"]) == (result["bytes"] + 16, model)
    assert os.path.getsize("e.atz") == model + inside["bytes"]


def test_a_data_set_is_its_test_rows(run, folder, monkeypatch):
    monkeypatch.setattr(verbs, "COMPARED", 10_000)
    result = json.loads(run("compress", "d.attar", "digits", "-o", "d.atz", "--json")[1])
    assert (result["rows"], result["raw_bytes"]) == (360, 360 * 64)
    assert result["general_estimated"]
    raw = datasets.load("digits", "test")[0].tobytes()
    assert result["best_general_bytes"] == pytest.approx(
        min(len(bz2.compress(raw, 9)), len(lzma.compress(raw, preset=9))), rel=0.05
    )
    words = run("compress", "d.attar", "digits", "-o", "d.atz")[1]
    assert " bytes (estimated from the first 10,000).\n" in words


def test_the_sum_in_words():
    rate = Rate(1000, 10, 10_000, 2_000, 50_000, "xz", 3_000)
    first, second, third = verbs._words(rate, {"bz2": 4_000, "xz": 3_000}, False)
    assert first.endswith("10,000 bytes in, 2,000 bytes out; 1.6 bits a dimension, 16 bits a row.")
    assert second == "bz2 takes 4,000, xz takes 3,000 bytes."
    assert third.endswith("take less than xz from 50,000 rows on.")
    empty = Rate(0, 10, 20, 100, 50_000, "xz", 60)
    assert next(verbs._words(empty, {"xz": 60}, False)) == "0 rows: 20 bytes in, 100 bytes out."
    worse = Rate(1000, 10, 10_000, 3_000, 50_000, "xz", 3_000)
    assert list(verbs._words(worse, {"xz": 3_000}, False))[2].endswith(
        "than the data do without it."
    )


def test_a_fit_without_a_code_prints_bits(run, folder):
    words = ("fit", "d.npy", "-o", "m.attar", "--epochs", 1, "--effort", 1, "--recipe")
    line = run(*words, "lossless")[1].splitlines()[0]
    nats = json.loads(run("evaluate", "m.attar", "d.npy", "--json")[1])["nll_bound"]
    bits = nats / np.log(2)
    assert line == f"Training NLL {nats:.4g} nats per row, which are {bits:.4g} bits."
    assert attar.load("m.attar").fitted_.likelihood.width == EFFORTS[1]["width"]
    status, _, err = run(*words, "vae")
    assert (status, err) == (2, "attar: --effort is for the recipe lossless, not for vae.\n")


@pytest.mark.parametrize(("model", "source", "cells"), [("d", "d.npy", 64), ("t", "t.csv", 3)])
def test_evaluate_prints_bits_and_real_bytes(model, source, cells, run, folder):
    found = json.loads(run("evaluate", f"{model}.attar", source, "--json")[1])
    bits, rows, size = found["bits_per_row"], found["rows"], found["compressed_bytes"]
    expected = {
        "rows_of": {"d": "given", "t": "validation"}[model],
        "rows": {"d": 40, "t": 9}[model],
        "nll_bound": bits * np.log(2),
        "bits_per_row": bits,
        "bits_per_dimension": bits / cells,
        "compressed_rows": rows,
        "compressed_bytes": size,
        "compressed_bits_per_dimension": 8 * size / rows / cells,
    }
    assert found == pytest.approx(expected)
    if model == "d":  # beside the bits of the model there is the beginning of a file
        assert 0 < size - rows * bits / 8 < 300


def test_info_prints_what_is_inside(run, folder):
    run("compress", "d.attar", "d.npy", "-o", "d.atz", "--with-model")
    contents = json.loads(run("info", "d.atz", "--json")[1])
    model = json.loads(run("info", "d.attar", "--json")[1])
    assert contents["fingerprint"] == model["fingerprint"]
    assert (contents["rows"], contents["chunks"]) == (40, 1)
    assert contents["bytes"] == os.path.getsize("d.atz")
    assert contents["model_bytes"] == os.path.getsize("d.attar")
    out = run("info", "d.atz")[1]
    assert f"fingerprint        {contents['fingerprint']}\n" in out
    run("compress", "t.attar", "t.csv", "-o", "t.atz")
    assert json.loads(run("info", "t.atz", "--json")[1])["model_bytes"] == 0
    assert contents["data"] == "array of uint8"
    bits = 8 * (contents["bytes"] - contents["model_bytes"]) / 40
    assert contents["bits_per_dimension"] == pytest.approx(bits / 64, abs=1e-4)
    assert "data               CSV file, byte for byte\n" in run("info", "t.atz")[1]


def test_info_divides_by_the_cells_and_loads_nothing(tmp_path):
    path = tmp_path / "d.atz"
    schema = {"csv": False, "cells": 64, "values": {"format": {}}}
    with ArchiveWriter(path, "a1", schema) as writer:
        for _ in range(2):
            writer.write(b"12345678", rows=3, digest=digest_of(b""))
    program = (
        "import atexit, sys\n"
        "heavy = {'torch', 'sklearn', 'pandas', 'pyarrow'}\n"
        "atexit.register(lambda: print(heavy & set(sys.modules), file=sys.stderr))\n"
        f"sys.argv = ['attar', 'info', {str(path)!r}, '--json']\n"
        "from attar.cli import main\n"
        "main()"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == "set()\n"
    contents = json.loads(done.stdout)
    bits = 8 * path.stat().st_size / 6
    assert (contents["rows"], contents["chunks"], contents["data"]) == (6, 2, "table")
    assert contents["bits_per_row"] == round(bits, 4)
    assert contents["bits_per_dimension"] == round(bits / 64, 4)


def test_a_header_of_another_form_is_refused(run, tmp_path):
    for schema in None, [], {"csv": False}, {"csv": False, "cells": 1, "values": {"dtype": "?!"}}:
        with ArchiveWriter("x.atz", "a1", schema):
            pass
        status, out, err = run("info", "x.atz")
        assert (status, out) == (2, "")
        assert err == "attar: x.atz is damaged: its schema is of another form.\n"


BAD = {
    "foreign": (["decompress", "d.attar", "d.npy"], "no compressed file|not a compressed file"),
    "foreign info": (["info", "d.npy"], "not a file of attar's"),
    "missing": (["decompress", "d.attar", "none.atz"], "none.atz cannot be read: no such file"),
    "no model": (["decompress", "d.atz"], "does not hold its model"),
    "another model": (["decompress", "t.attar", "d.atz"], "was compressed by another model"),
    "three files": (["decompress", "d.attar", "d.atz", "d.atz"], "a model and a file, not 3"),
    "csv as array": (["decompress", "t.attar", "t.atz"], "holds a CSV file, not an array"),
    "no compressor": (["compress", "ae.attar", "d.npy"], "has the code 'point', but"),
    "another kind": (["compress", "d.attar", "t.csv"], "fitted on an array|fitted on images"),
    "another column": (["compress", "t.attar", "other.parquet"], "'b'"),
    "another shape": (["compress", "d.attar", "wide.npy"], r"\b9\b"),
    "no source": (["compress", "d.attar", "none.npy"], "There is no file none.npy"),
    "no such model": (["compress", "none.attar", "d.npy"], "no model file none.attar"),
}


@pytest.fixture(scope="module")
def compressed(models, tmp_path_factory):
    """Return the paths of compressed digits and of a compressed CSV file, without their models."""
    folder = tmp_path_factory.mktemp("compressed")
    for name, data in ("d", DIGITS), ("t", models / "t.csv"):
        codec = Codec(attar.load(models / f"{name}.attar"))
        codec.compress_file(data, folder / f"{name}.atz")
    return folder


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_refused_in_one_sentence(case, run, folder, compressed):
    for path in compressed.iterdir():
        Path(path.name).symlink_to(path)
    pd.DataFrame({"a": [1], "x": ["x"], "c": [0.5]}).to_parquet("other.parquet")
    np.save("wide.npy", np.zeros((3, 8, 9), np.uint8))
    before = sorted(os.listdir())
    words, message = BAD[case]
    output = [] if words[0] == "info" else ["-o", "out.npy"]
    status, out, err = run(*words, *output)
    assert (status, out, sorted(os.listdir())) == (2, "", before)
    assert err.startswith("attar: ")
    assert err.count("\n") == 1
    assert re.search(message, err)


@pytest.mark.parametrize("output", ["none/out.npy", "d.attar", "d.atz", "out.xyz", "t.attar/x.npy"])
def test_an_output_that_cannot_be_written_is_refused(output, run, folder):
    run("compress", "d.attar", "d.npy", "-o", "d.atz")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    for words in ("decompress", "d.attar", "d.atz"), ("compress", "d.attar", "d.atz"):
        if words[0] == "compress" and output == "out.xyz":
            continue  # a compressed file may have any name
        status, _, err = run(*words, "-o", output)
        assert (status, err.count("\n")) == (2, 1)
        assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_a_cut_or_flipped_file_is_refused(run, folder):
    run("compress", "d.attar", "d.npy", "-o", "d.atz")
    data = Path("d.atz").read_bytes()
    for place in np.linspace(0, len(data) - 1, 10).astype(int):
        flipped = bytearray(data)
        flipped[place] ^= 1 << (place % 8)
        for damaged in data[:place], bytes(flipped):
            Path("d.atz").write_bytes(damaged)
            status, out, err = run("decompress", "d.attar", "d.atz", "-o", "back.npy")
            assert (status, out, err.count("\n")) == (2, "", 1)
            assert not any(path.name.startswith((".", "back")) for path in folder.iterdir())


@pytest.mark.parametrize("verb", ["compress", "decompress"])
def test_an_interrupted_run_leaves_no_file(verb, run, folder, monkeypatch):
    run("compress", "d.attar", "d.npy", "-o", "d.atz")
    before = sorted(os.listdir())

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Codec, {"compress": "_encoded", "decompress": "_decoded"}[verb], interrupt)
    source = {"compress": "d.npy", "decompress": "d.atz"}[verb]
    assert run(verb, "d.attar", source, "-o", "new.npy")[0] == 130
    assert sorted(os.listdir()) == before


def test_long_work_prints_lines(run, folder, monkeypatch):
    np.save("d.npy", DIGITS)
    monkeypatch.setattr(verbs, "SECONDS", 0.0)
    monkeypatch.setattr(Codec, "chunk", 16)
    status, _, err = run("compress", "d.attar", "d.npy", "-o", "d.atz")
    assert (status, err) == (0, "attar: 16 rows\nattar: 32 rows\nattar: 40 rows\n")
    status, out, err = run("decompress", "d.attar", "d.atz", "-o", "back.npy")
    assert (status, out) == (0, "")
    assert [line.partition(" rows")[0] for line in err.splitlines()] == [
        "attar: 16 of 40",
        "attar: 32 of 40",
    ]
    assert_array_equal(np.load("back.npy"), DIGITS)
