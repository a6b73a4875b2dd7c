import threading
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attar.data import streamed
from attar.data.stream import Stream
from attar.data.training_data import Streamed, read_ahead


class Pieces(Stream):
    fingerprint = "pieces"

    def __init__(self, *given):
        self.given = given

    def __iter__(self):
        return iter(self.given)


PREPARATION = SimpleNamespace(
    kind=SimpleNamespace(rows=lambda piece: piece, expand=lambda scaled: scaled),
    scaled=lambda rows: torch.from_numpy(rows).float(),
)


def batches_of(n, cuts, size, apart=(), gaps=False):
    rows = np.arange(2.0 * n).reshape(n, 2)
    pieces = Pieces(*np.split(rows, sorted(min(cut, n) for cut in cuts)))
    return Streamed(
        pieces,
        PREPARATION,
        np.array(sorted(apart), np.intp),
        n - len(apart),
        size,
        torch.device("cpu"),
        gaps,
    )


def numbers(batches):
    return [(batch.target[:, 0] / 2).long().tolist() for batch in batches.shuffled()]


@given(
    st.integers(2, 300),
    st.lists(st.integers(0, 300), max_size=5),
    st.integers(1, 50),
    st.integers(1, 100),
    st.sets(st.integers(0, 1)),
)
def test_each_row_comes_once_but_those_held_out(n, cuts, size, buffer, apart):
    if len(apart) == n:
        return
    batches = batches_of(n, cuts, size, apart)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streamed, "BUFFER_ROWS", buffer)
        found = numbers(batches)
    assert len(found) == len(batches)
    assert max(map(len, found)) <= size
    assert sorted(row for rows in found for row in rows) == sorted(set(range(n)) - apart)


def test_the_order_is_drawn_from_torchs_generator():
    batches, state = batches_of(100, [30, 60], 10), torch.get_rng_state()
    first, second = numbers(batches), numbers(batches)
    assert first != second
    torch.set_rng_state(state)
    assert numbers(batches) == first


def test_a_buffer_shuffles_far(monkeypatch):
    monkeypatch.setattr(streamed, "BUFFER_ROWS", 1000)
    order = np.concatenate(numbers(batches_of(10_000, range(0, 10_000, 500), 100)))
    # A row waits in the buffer for 1,000 others to come, in the mean.
    assert 400 < np.abs(order - np.arange(10_000)).mean() < 1600


def test_missing_cells_are_marked():
    batches = batches_of(4, [], 4, gaps=True)
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
