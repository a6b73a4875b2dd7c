"""A file of text is read in pieces: memory does not grow with it."""

from __future__ import annotations

import gc
import tracemalloc
import weakref

import numpy as np
import pytest
import torch

import attar
from attar.data import lines, stream, training_data
from attar.data.kinds import form_of, preparation
from attar.data.scaling import Unscaled
from attar.recipes import recipe

PIECE, PIECES, WORDS = 200, 12, ["red ball", "blue car", "old hat", "new map"]


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    """Make pieces, samples and buffers small."""
    monkeypatch.setattr(lines, "PIECE", PIECE)
    monkeypatch.setattr(stream.Sample.__init__, "__defaults__", (100, 0))
    monkeypatch.setattr(training_data, "BUFFER_ROWS", 40)
    monkeypatch.setattr(training_data, "HELD", 1 << 12)


@pytest.fixture
def path(tmp_path):
    """Return how to write a file of so many lines."""

    def write(n):
        rng, name = np.random.default_rng(0), tmp_path / f"{n}.txt"
        name.write_text("".join(f"{i} {' '.join(rng.choice(WORDS, 3))}\n" for i in range(n)))
        return name

    return write


class Piece(list[str]):
    """Lines that can be referred to weakly."""


class Counted(attar.Lines):
    """Lines that know how many of their pieces are in memory when each is read."""

    def __init__(self, path):
        super().__init__(path)
        self.pieces, self.held = list[weakref.ref[Piece]](), list[int]()

    def __iter__(self):
        for found in super().__iter__():
            piece = Piece(found)
            self.pieces.append(weakref.ref(piece))
            self.held.append(sum(other() is not None for other in self.pieces))
            yield piece


def peak(work):
    """Return the most bytes that were allocated at once."""
    gc.collect()
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_fit_reads_form_sample_and_batches_in_constant_memory(path):
    def work(text):
        kind, summary = form_of(text)
        made = training_data.training_data_of(text, kind, summary, 0.1, 0)
        batches = made.batches(preparation(kind, Unscaled(), summary), 64, torch.device("cpu"))
        assert sum(len(batch.values) for batch in batches.shuffled()) == batches.rows

    short, long = attar.Lines(path(10 * PIECE)), attar.Lines(path(60 * PIECE))
    work(short)  # what is kept for ever is allocated before
    assert peak(lambda: work(long)) < 1.2 * peak(lambda: work(short))


def test_no_method_holds_many_pieces(path, monkeypatch):
    monkeypatch.setattr(lines, "PIECE", 20)
    name, small = path(20 * PIECES), recipe("text")
    small = small.replace(network__width=8, likelihood__width=8, likelihood__layers=1)
    ae = attar.Autoencoder(small, epochs=1, code_size=8, random_state=0, verbose=False)
    detector = attar.AnomalyDetector(random_state=0)
    for method in (
        ae.fit,
        ae.transform,
        ae.score_samples,
        detector.fit,
        detector.score_samples,
        detector.drift,
    ):
        text = Counted(name)
        method(text)
        assert len(text.held) >= PIECES
        assert max(text.held) <= 5
