import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from attar.data import training_data as corpora
from attar.data.kinds import kind_of, preparation
from attar.data.scaling import Unscaled
from attar.data.series import Series
from attar.data.stream import Stream, pieces
from attar.data.training_data import (
    FromStream,
    InMemory,
    most_rows,
    split,
    split_runs,
    training_data_of,
)

CPU = torch.device("cpu")


class Pieces(Stream):
    """Arrays as a stream whose size nobody knows."""

    def __init__(self, *given, fingerprint="pieces", size=None):
        self.given, self.name, self.size = given, fingerprint, size

    def __iter__(self):
        return iter(self.given)

    @property
    def fingerprint(self):
        return self.name

    @property
    def bytes(self):
        return self.size


def numbered(n, width=2):
    """Rows that tell their own number."""
    return np.arange(n * width, dtype=float).reshape(n, width)


def numbers(rows):
    width = rows.shape[1]
    return (np.asarray(rows)[:, 0] / width).astype(int).tolist()


def training_data(data, fraction=0.2, seed=0):
    kind, summary = kind_of(data).of(pieces(data))
    return training_data_of(data, kind, summary, fraction, seed), preparation(
        kind, Unscaled(), summary
    )


def learnt_in_an_epoch(made, how, size=7):
    batches = list(made.batches(how, size, CPU).shuffled())
    return [number for batch in batches for number in numbers(batch.target.to_dense().numpy())]


@given(st.integers(2, 400), st.floats(0, 0.95), st.integers(0, 9))
def test_a_split_takes_each_row_once(n, fraction, seed):
    learning, holding = split(np.arange(n), fraction, seed)
    assert sorted([*learning, *holding]) == list(range(n))
    assert len(learning) >= 2
    wanted = min(round(fraction * n), n - 2)
    assert len(holding) == (wanted if wanted >= 5 else 0)


def test_a_split_is_by_chance_and_the_same_for_a_seed():
    first, second, other = (split(np.arange(1000), 0.1, seed)[1] for seed in (1, 1, 2))
    assert first.tolist() == second.tolist()
    assert first.tolist() != other.tolist()
    means = [split(np.arange(1000), 0.1, seed)[1].mean() for seed in range(200)]
    # A mean of 100 of the numbers 0 to 999 has a deviation of 27; that of 200 such means 2.
    assert abs(np.mean(means) - 499.5) < 8


@given(st.integers(2, 3000), st.floats(0.01, 0.6), st.integers(0, 50), st.integers(1, 60))
def test_no_row_held_out_overlaps_with_one_that_is_learnt(n, fraction, seed, overlap):
    rows = np.arange(n)
    learning, holding = split_runs(rows, fraction, seed, overlap)
    assert len(set(learning)) + len(set(holding)) == len(learning) + len(holding) <= n
    assert set(learning).isdisjoint(holding)
    if not len(holding):
        assert sorted(learning) == list(range(n))
        return
    assert len(learning) >= 2
    assert len(holding) >= 5
    apart = np.abs(np.sort(learning)[:, None] - np.sort(holding)[None])
    assert apart.min() > overlap


@pytest.mark.parametrize("overlap", [1, 7, 20])
def test_runs_hold_out_about_the_share_and_lose_little(overlap):
    for seed in range(5):
        learning, holding = split_runs(np.arange(20_000), 0.1, seed, overlap)
        assert len(holding) == pytest.approx(2000, rel=0.02)
        # On either side of a run of ten times the overlap, once the overlap is lost.
        assert len(learning) >= 20_000 - 2000 * 1.25
        starts = np.flatnonzero(np.diff(np.sort(holding), prepend=-2) > 1)
        assert len(starts) == pytest.approx(2000 / (10 * overlap), abs=1)


def test_the_rows_of_a_corpus_in_memory_are_learnt_or_held_out():
    made, how = training_data(numbered(100))
    assert isinstance(made, InMemory)
    learnt, apart = numbers(made.learnt), numbers(made.apart)
    assert sorted([*learnt, *apart]) == list(range(100))
    assert len(apart) == 20
    assert sorted(learnt_in_an_epoch(made, how)) == sorted(learnt)


@pytest.mark.parametrize("cuts", [[], [1], [30, 31, 70]])
def test_the_rows_of_a_stream_are_learnt_or_held_out(cuts):
    made, how = training_data(Pieces(*np.split(numbered(100), cuts)))
    assert isinstance(made, FromStream)
    learnt, apart = numbers(made.learnt), numbers(made.apart)
    assert sorted([*learnt, *apart]) == list(range(100))
    assert len(apart) == 20
    for _ in range(2):
        assert sorted(learnt_in_an_epoch(made, how)) == sorted(learnt)


def test_of_a_long_stream_rows_of_the_sample_are_held_out_and_all_others_learnt():
    rows = numbered(50_000)
    stream = Pieces(*np.split(rows, 10))
    _, summary = kind_of(stream).of(stream)
    made, how = training_data(stream, 0.1)
    apart = set(numbers(summary.sample[made.holding]))
    assert len(apart) == round(0.1 * len(summary.sample))
    assert set(numbers(made.apart)) <= apart
    assert apart <= set(summary.places.tolist())
    assert set(numbers(made.learnt)) <= set(summary.places.tolist()) - apart
    batches = made.batches(how, 1024, CPU)
    found = learnt_in_an_epoch(made, how, 1024)
    assert set(found) == set(range(50_000)) - apart
    assert len(found) == batches.rows == 50_000 - len(apart)
    assert len(list(batches.shuffled())) == len(batches)


def test_no_row_that_is_held_out_is_ever_learnt_from_a_frame_in_pieces():
    frame = pd.DataFrame(numbered(90), columns=["a", "b"])
    made, how = training_data(Pieces(frame[:40], frame[40:]))
    assert isinstance(made, FromStream)
    assert set(learnt_in_an_epoch(made, how)) == set(range(90)) - set(numbers(made.apart))


def test_what_streams_is_large_or_of_unknown_size(monkeypatch):
    rows = numbered(60)
    for size, expected in ((None, FromStream), (10, InMemory), (1 << 40, FromStream)):
        made, how = training_data(Pieces(rows[:20], rows[20:], size=size))
        assert type(made) is expected
        found = learnt_in_an_epoch(made, how) + numbers(made.apart)
        assert sorted(found) == list(range(60))
    monkeypatch.setattr(corpora, "HELD", 9)
    assert type(training_data(Pieces(rows, size=10))[0]) is FromStream


def test_windows_of_a_series_are_held_out_in_runs():
    series = Series(np.arange(3000.0)[:, None], window=20, stride=5)
    made, _ = training_data(series, 0.2)
    kind, _ = kind_of(series).of([series])
    assert kind.overlap == 3
    learnt, apart = made.rows[made.learning], made.rows[made.holding]
    assert len(apart) == pytest.approx(0.2 * len(made.rows), rel=0.1)
    # No point of a window that is held out is in a window that is learnt from.
    assert not np.intersect1d(learnt[~np.isnan(learnt)], apart[~np.isnan(apart)]).size


def test_the_rows_of_a_sparse_matrix_are_learnt_or_held_out():
    dense = numbered(60) + 1
    made, how = training_data(sparse.csr_array(dense))
    learnt, apart = numbers(made.learnt.toarray()), numbers(made.apart.toarray())
    assert sorted([*learnt, *apart]) == list(range(60))
    assert sorted(learnt_in_an_epoch(made, how)) == sorted(learnt)


def test_a_look_takes_fewer_rows_where_they_are_wide():
    assert most_rows(np.empty((9, 3))) == corpora.MOST_ROWS
    assert most_rows(np.empty((9, 3, 64, 64))) == corpora.MOST_CELLS // (3 * 64 * 64)
    assert most_rows(np.empty((9, 1 << 20))) == corpora.FEWEST_ROWS
    made, _ = training_data(numbered(40_000), 0.5)
    assert len(made.learnt) == len(made.apart) == corpora.MOST_ROWS


def variants():
    rows = numbered(60)
    other = rows.copy()
    other[31, 1] += 1e-9
    return rows, other


@pytest.mark.parametrize(
    "form",
    [
        lambda x: x,
        lambda x: sparse.csr_array(x),
        lambda x: Pieces(x),
        lambda x: pd.DataFrame(x, columns=["a", "b"]),
    ],
    ids=["array", "sparse", "stream", "frame"],
)
def test_a_digest_tells_data_apart(form):
    rows, other = variants()
    first, same, changed = (
        training_data(form(data))[0].digest() for data in (rows, rows.copy(), other)
    )
    assert first == same
    assert first != changed


def test_the_digest_of_a_stream_goes_with_its_fingerprint():
    first, other = (
        training_data(Pieces(numbered(60), fingerprint=name))[0].digest()
        for name in ("then", "now")
    )
    assert first != other
