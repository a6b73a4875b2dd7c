import threading
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from attar.data import training_data as source
from attar.data.kinds import kind_of, preparation
from attar.data.preparation import DensePreparation
from attar.data.scaling import Unscaled
from attar.data.series import Series
from attar.data.stream import Stream, pieces
from attar.data.summary import Moments, Summary
from attar.data.training_data import (
    FromStream,
    InMemory,
    Streamed,
    most_rows,
    read_ahead,
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
    """Rows that hold their own number."""
    return np.arange(n * width, dtype=float).reshape(n, width)


def numbers(rows):
    width = rows.shape[1]
    return (np.asarray(rows)[:, 0] / width).astype(int).tolist()


def training_data(data, fraction=0.2, seed=0):
    kind, summary = kind_of(data).of(pieces(data))
    return training_data_of(data, kind, summary, fraction, seed), preparation(
        kind, Unscaled(), summary
    )


def trained_in_an_epoch(made, how, size=7):
    batches = list(made.batches(how, size, CPU).shuffled())
    return [number for batch in batches for number in numbers(batch.target.to_dense().numpy())]


@given(st.integers(2, 400), st.floats(0, 0.95), st.integers(0, 9))
def test_a_split_takes_each_row_once(n, fraction, seed):
    train, validation = split(n, fraction, seed)
    assert sorted([*train, *validation]) == list(range(n))
    assert len(train) >= 2
    wanted = min(round(fraction * n), n - 2)
    assert len(validation) == (wanted if wanted >= 5 else 0)


def test_a_split_is_random_and_the_same_for_a_seed():
    first, second, other = (split(1000, 0.1, seed)[1] for seed in (1, 1, 2))
    assert first.tolist() == second.tolist()
    assert first.tolist() != other.tolist()
    means = [split(1000, 0.1, seed)[1].mean() for seed in range(200)]
    # A mean of 100 of the numbers 0 to 999 has a deviation of 27; that of 200 such means 2.
    assert abs(np.mean(means) - 499.5) < 8


@given(st.integers(2, 3000), st.floats(0.01, 0.6), st.integers(0, 50), st.integers(1, 60))
def test_no_row_held_out_overlaps_with_one_that_is_trained(n, fraction, seed, overlap):
    train, validation = split_runs(n, fraction, seed, overlap)
    assert len(set(train)) + len(set(validation)) == len(train) + len(validation) <= n
    assert set(train).isdisjoint(validation)
    if not len(validation):
        assert sorted(train) == list(range(n))
        return
    assert len(train) >= 2
    assert len(validation) >= 5
    distance = np.abs(np.sort(train)[:, None] - np.sort(validation)[None])
    assert distance.min() > overlap


@pytest.mark.parametrize("overlap", [1, 7, 20])
def test_runs_hold_out_about_the_share_and_lose_little(overlap):
    for seed in range(5):
        train, validation = split_runs(20_000, 0.1, seed, overlap)
        assert len(validation) == pytest.approx(2000, rel=0.02)
        # On either side of a run of ten times the overlap, once the overlap is lost.
        assert len(train) >= 20_000 - 2000 * 1.25
        starts = np.flatnonzero(np.diff(np.sort(validation), prepend=-2) > 1)
        assert len(starts) == pytest.approx(2000 / (10 * overlap), abs=1)


def test_the_rows_of_data_in_memory_are_for_training_or_validation():
    made, how = training_data(numbered(100))
    assert isinstance(made, InMemory)
    train, validation = numbers(made.train), numbers(made.validation)
    assert sorted([*train, *validation]) == list(range(100))
    assert len(validation) == 20
    assert sorted(trained_in_an_epoch(made, how)) == sorted(train)


@pytest.mark.parametrize("cuts", [[], [1], [30, 31, 70]])
def test_the_rows_of_a_stream_are_for_training_or_validation(cuts):
    made, how = training_data(Pieces(*np.split(numbered(100), cuts)))
    assert isinstance(made, FromStream)
    train, validation = numbers(made.train), numbers(made.validation)
    assert sorted([*train, *validation]) == list(range(100))
    assert len(validation) == 20
    for _ in range(2):
        assert sorted(trained_in_an_epoch(made, how)) == sorted(train)


def test_of_a_long_stream_rows_of_the_sample_are_held_out_and_all_others_trained():
    rows = numbered(50_000)
    stream = Pieces(*np.split(rows, 10))
    _, summary = kind_of(stream).of(stream)
    made, how = training_data(stream, 0.1)
    validation = set(numbers(summary.sample[made.validation_index]))
    assert len(validation) == round(0.1 * len(summary.sample))
    assert set(numbers(made.validation)) <= validation
    assert validation <= set(summary.places.tolist())
    assert set(numbers(made.train)) <= set(summary.places.tolist()) - validation
    batches = made.batches(how, 1024, CPU)
    found = trained_in_an_epoch(made, how, 1024)
    assert set(found) == set(range(50_000)) - validation
    assert len(found) == batches.rows == 50_000 - len(validation)
    assert len(list(batches.shuffled())) == len(batches)


def test_no_row_that_is_held_out_is_ever_trained_from_a_frame_in_pieces():
    frame = pd.DataFrame(numbered(90), columns=["a", "b"])
    made, how = training_data(Pieces(frame[:40], frame[40:]))
    assert isinstance(made, FromStream)
    assert set(trained_in_an_epoch(made, how)) == set(range(90)) - set(numbers(made.validation))


def test_what_streams_is_large_or_of_unknown_size(monkeypatch):
    rows = numbered(60)
    for size, expected in ((None, FromStream), (10, InMemory), (1 << 40, FromStream)):
        made, how = training_data(Pieces(rows[:20], rows[20:], size=size))
        assert type(made) is expected
        found = trained_in_an_epoch(made, how) + numbers(made.validation)
        assert sorted(found) == list(range(60))
    monkeypatch.setattr(source, "HELD", rows.nbytes)
    assert type(training_data(Pieces(rows, size=10))[0]) is InMemory
    monkeypatch.setattr(source, "HELD", rows.nbytes - 1)
    assert type(training_data(Pieces(rows, size=10))[0]) is FromStream


def test_windows_of_a_series_are_held_out_in_runs():
    series = Series(np.arange(3000.0)[:, None], window=20, stride=5)
    made, _ = training_data(series, 0.2)
    kind, _ = kind_of(series).of([series])
    assert kind.overlap == 3
    train, validation = made.rows[made.train_index], made.rows[made.validation_index]
    assert len(validation) == pytest.approx(0.2 * len(made.rows), rel=0.1)
    # No point of a window that is held out is in a window that is trained on.
    assert not np.intersect1d(train[~np.isnan(train)], validation[~np.isnan(validation)]).size


def test_the_rows_of_a_sparse_matrix_are_for_training_or_validation():
    dense = numbered(60) + 1
    made, how = training_data(sparse.csr_array(dense))
    train, validation = numbers(made.train.toarray()), numbers(made.validation.toarray())
    assert sorted([*train, *validation]) == list(range(60))
    assert sorted(trained_in_an_epoch(made, how)) == sorted(train)


def test_a_look_takes_fewer_rows_where_they_are_wide():
    assert most_rows(np.empty((9, 3))) == source.MOST_ROWS
    assert most_rows(np.empty((9, 3, 64, 64))) == source.MOST_CELLS // (3 * 64 * 64)
    assert most_rows(np.empty((9, 1 << 20))) == source.FEWEST_ROWS
    made, _ = training_data(numbered(40_000), 0.5)
    assert len(made.train) == len(made.validation) == source.MOST_ROWS


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
def test_a_digest_identifies_data(form):
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


PREPARATION = SimpleNamespace(
    kind=SimpleNamespace(
        rows=lambda piece: piece, expand=lambda scaled: scaled, hidden=0.15, leaders=None
    ),
    scaled=lambda rows: torch.from_numpy(rows).float(),
)


def batches_of(n, cuts, size, validation=(), missing=False):
    rows = np.arange(2.0 * n).reshape(n, 2)
    pieces = Pieces(*np.split(rows, sorted(min(cut, n) for cut in cuts)))
    return Streamed(
        pieces,
        PREPARATION,
        np.array(sorted(validation), np.intp),
        n,
        size,
        torch.device("cpu"),
        missing,
    )


def streamed_numbers(batches):
    return [(batch.target[:, 0] / 2).long().tolist() for batch in batches.shuffled()]


@given(
    st.integers(2, 300),
    st.lists(st.integers(0, 300), max_size=5),
    st.integers(1, 50),
    st.integers(1, 100),
    st.sets(st.integers(0, 1)),
)
def test_each_row_comes_once_but_those_held_out(n, cuts, size, buffer, validation):
    if len(validation) == n:
        return
    batches = batches_of(n, cuts, size, validation)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source, "BUFFER_ROWS", buffer)
        found = streamed_numbers(batches)
    assert len(found) == len(batches)
    assert max(map(len, found)) <= size
    assert sorted(row for rows in found for row in rows) == sorted(set(range(n)) - validation)


def test_the_order_is_drawn_from_torchs_generator():
    batches, state = batches_of(100, [30, 60], 10), torch.get_rng_state()
    first, second = streamed_numbers(batches), streamed_numbers(batches)
    assert first != second
    torch.set_rng_state(state)
    assert streamed_numbers(batches) == first


def test_a_buffer_shuffles_far(monkeypatch):
    monkeypatch.setattr(source, "BUFFER_ROWS", 1000)
    order = np.concatenate(streamed_numbers(batches_of(10_000, range(0, 10_000, 500), 100)))
    # A row waits in the buffer for 1,000 others to come, in the mean.
    assert 400 < np.abs(order - np.arange(10_000)).mean() < 1600


def test_missing_cells_are_marked():
    batches = batches_of(4, [], 4, missing=True)
    batches.stream.given[0][1, 1] = np.nan
    (batch,) = batches.shuffled()
    where = (~batch.observed).nonzero().tolist()
    assert len(where) == 1
    assert batch.target[tuple(where[0])] == 0


def test_an_error_of_the_reader_is_raised_where_the_rows_are_used():
    def read():
        yield 1
        raise ValueError("the disk is gone")

    found = []
    with pytest.raises(ValueError, match="the disk is gone"):
        found.extend(read_ahead(read))


def test_a_reader_that_is_no_longer_needed_stops():
    made = []

    def read():
        for i in range(10_000):
            made.append(i)
            yield i

    ahead = read_ahead(read)
    assert [next(ahead) for _ in range(3)] == [0, 1, 2]
    ahead.close()
    assert len(made) < 20
    assert threading.active_count() == 1 or "work" not in str(threading.enumerate())


@pytest.mark.parametrize("fraction", [0.2, 0.0])
@pytest.mark.parametrize(
    ("given", "again"),
    [
        (numbered(50), [numbered(50).tolist(), numbered(50).astype(np.float32)]),
        (
            Pieces(*np.split(numbered(50), [9, 30])),
            [numbered(50), Pieces(numbered(50))],
        ),
        (sparse.csr_array(numbered(50) % 3), [sparse.csr_matrix(numbered(50) % 3)]),
    ],
    ids=["array", "stream", "sparse"],
)
def test_the_rows_that_judge_a_model_are_found_in_the_data_of_the_fit(given, again, fraction):
    kind, summary = kind_of(given).of(pieces(given))
    data = training_data_of(given, kind, summary, fraction, 0)
    measured, prepared = data.measured, preparation(kind, Unscaled(), summary)
    assert measured.held_out == (fraction > 0)
    assert (measured.total, len(measured.places)) == (50, 10 if fraction else 50)
    expected = data.validation if fraction else data.train
    for other in (given, *again):
        found = measured.found_in(prepared, np.asarray(other) if isinstance(other, list) else other)
        np.testing.assert_array_equal(dense(found), dense(expected))


@pytest.mark.parametrize("fraction", [0.0, 0.5])
def test_few_training_rows_are_measured_where_none_are_held_out(fraction):
    made, _ = training_data(numbered(5_000), fraction)
    measured, n = made.measured, 2_500 if fraction else source.MEASURED_ROWS
    judged = made.validation if fraction else made.train[:n]
    assert len(measured.places) == n
    np.testing.assert_array_equal(made.measured_rows, judged)
    np.testing.assert_array_equal(made.rows[measured.places], judged)


def test_other_data_are_not_those_of_the_fit():
    rows = numbered(50)
    kind, summary = kind_of(rows).of(pieces(rows))
    measured = training_data_of(rows, kind, summary, 0.2, 0).measured
    changed = rows.copy()
    changed[measured.places[3], 1] += 1e-9
    prepared = preparation(kind, Unscaled(), summary)
    for other in (rows[:-1], np.vstack([rows, rows[:1]]), rows[::-1], changed):
        assert measured.found_in(prepared, other) is None


def dense(rows):
    return rows if isinstance(rows, np.ndarray) else rows.toarray()


def test_a_stream_is_trained_on_no_rows_that_share_cells_with_validation_rows():
    stream, rows = Pieces(), np.arange(100.0).reshape(50, 2)
    kind = SimpleNamespace(overlap=2)
    summary = Summary(50, Moments.of(rows), rows, np.arange(50))
    data = FromStream(rows, np.arange(3, 45), np.array([20, 21, 49, 0]), None, stream, summary)
    batches = data.batches(DensePreparation(kind, None), 8, CPU)
    assert batches.validation.tolist() == [0, 1, 2, *range(18, 24), 47, 48, 49]
    assert batches.rows == 38
