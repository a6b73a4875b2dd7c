"""The section of compressed sizes, and the page of a model without a code."""

from __future__ import annotations

import bz2
import lzma

import numpy as np
import pandas as pd
import pytest

import attar
from attar.data import datasets
from attar.likelihoods import Causal
from attar.reporting import compressed
from attar.reporting.compressed import compressed_table

SHOWN = [
    *("Diagnostics", "Lossless compression", "Loss curves", "Oddest images"),
    *("Generated samples", "Settings chosen from the data"),
]


@pytest.fixture(scope="module")
def images():
    return datasets.load("digits", "train")[0][:120]


@pytest.fixture(scope="module")
def model(images):
    return attar.Autoencoder("lossless", epochs=1, random_state=0, verbose=False).fit(images)


def words(element):
    return " ".join("".join(element.itertext()).split())


def sizes(table):
    lines = [[words(cell) for cell in line] for line in table.iter("tr")]
    return {name: (int(size.replace(",", "")), float(bits)) for name, _, size, bits in lines[1:]}


def test_sizes_are_those_of_the_rows(model, images):
    found = sizes(compressed_table(model, images[:, None], "image"))
    raw = images.tobytes()
    assert {name: size for name, (size, _) in found.items() if name != "PNG"} == {
        "this model": len(attar.Codec(model).compress(images)),
        "bz2": len(bz2.compress(raw, 9)),
        "xz": len(lzma.compress(raw, preset=9)),
        "plain": images.size,
    }
    assert found["PNG"][0] < images.size
    assert found["plain"][1] == 8
    for size, bits in found.values():
        assert bits == pytest.approx(8 * size / images.size, abs=0.0005)


def test_of_many_rows_some_are_compressed(model, images, monkeypatch):
    monkeypatch.setattr(compressed, "MOST_CELLS", 64 * 50)
    table = compressed_table(model, images[:, None], "image")
    assert sizes(table)["plain"][0] == 64 * 50
    assert "Bytes of 50 images of this report" in words(table)


def test_a_table_is_compared_as_csv():
    frame = pd.DataFrame({"a": np.arange(60) % 5, "b": ["x", "y", "z"] * 20})
    ae = attar.Autoencoder("lossless", epochs=1, random_state=0, verbose=False).fit(frame)
    table = compressed_table(ae, ae.fitted_.kind.rows(frame), "row")
    assert sizes(table)["plain"][0] == len(frame.to_csv(index=False))
    assert "PNG" not in words(table)


def test_a_page_of_a_table_without_a_code_has_its_first_columns(page):
    values = np.random.default_rng(0).integers(0, 4, (80, 10))
    frame = pd.DataFrame(values, columns=[f"c{i}" for i in range(10)])
    ae = attar.Autoencoder("lossless", epochs=1, random_state=0, verbose=False).fit(frame)
    text = words(page(ae, frame[::-1]))
    assert "Rows drawn from the model, of the first 8 of 10 columns." in text
    assert "expected" not in text


def test_what_does_not_compress_is_said(images):
    # A causal likelihood beside a code of its own.
    ae = attar.Autoencoder(
        "ae", likelihood=Causal(), code_size=2, epochs=1, random_state=0, verbose=False
    ).fit(images)
    assert words(compressed_table(ae, images[:, None], "image")).startswith(
        "These images are not compressed: "
    )


def test_a_page_without_a_code_shows_no_reconstructions(page, model, images):
    tree = page(model, images[::-1])
    assert [words(heading) for heading in tree.iter("h2")] == SHOWN
    text = words(tree)
    for word in ("PCA", "MSE", "econstruct", "atent"):
        assert word not in text
    assert words(tree.find(".//h1")) == "images of 8 × 8 pixels"
    # Samples are draws, and not all the same.
    samples = [e.get("src") for e in tree.iter("img") if e.get("alt", "").startswith("sample")]
    assert len(set(samples)) > 20
    assert "Images drawn from the model." in text
