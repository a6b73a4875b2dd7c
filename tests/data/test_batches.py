import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attar.data.batches import Held, Selection
from attar.data.scaling import Scaler
from attar.records import Batch


def batches_of(n, size, rows=None):
    held = Held(torch.arange(2 * n).float().reshape(n, 2), lambda x: x)
    return Selection(held, torch.arange(n) if rows is None else rows, size)


def first_cells(batches):
    return [(batch.target[:, 0] / 2).long() for batch in batches]


@given(st.integers(1, 60), st.integers(1, 70))
def test_an_epoch_gives_each_row_once_in_batches_of_almost_equal_size(n, size):
    batches = batches_of(n, size)
    for way in (batches, batches.shuffled()):
        found = first_cells(way)
        sizes = [len(rows) for rows in found]
        assert len(found) == len(batches)
        assert max(sizes) <= size
        assert max(sizes) - min(sizes) <= 1
        assert sorted(torch.cat(found).tolist()) == list(range(n))


def test_only_the_chosen_rows_are_given():
    chosen = torch.tensor([7, 2, 5])
    batches = batches_of(9, 2, chosen)
    assert torch.cat(first_cells(batches)).tolist() == [7, 2, 5]
    assert sorted(torch.cat(first_cells(batches.shuffled())).tolist()) == [2, 5, 7]


def test_each_epoch_has_another_order_drawn_from_torchs_generator():
    batches, state = batches_of(50, 8), torch.get_rng_state()
    first, second = (torch.cat(first_cells(batches.shuffled())) for _ in range(2))
    assert not torch.equal(first, second)
    torch.set_rng_state(state)
    assert torch.equal(torch.cat(first_cells(batches.shuffled())), first)


def test_orders_are_fair():
    batches, counts = batches_of(5, 5), torch.zeros(5, 5)
    for _ in range(2000):
        (order,) = first_cells(batches.shuffled())
        counts[torch.arange(5), order] += 1
    assert counts / 2000 == pytest.approx(torch.full((5, 5), 0.2).numpy(), abs=4 * 0.4 / 2000**0.5)


def test_raw_bytes_are_scaled_batch_by_batch():
    raw = torch.randint(0, 256, (10, 3), dtype=torch.uint8)
    scaler = Scaler(*(torch.tensor(v).numpy() for v in ([1.0], [4.0]))).float()
    batches = Selection(Held(raw, scaler), torch.arange(10), 4)
    found = torch.cat([batch.target for batch in batches])
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, (raw.float() - 1) / 4, rtol=0, atol=0)
    assert all(batch.values is batch.target and batch.observed is None for batch in batches)


def test_missing_cells_are_marked_and_hold_0():
    x = torch.randn(10, 3)
    x[torch.rand(10, 3) < 0.3] = torch.nan
    rows = torch.tensor([7, 0, 3])
    batch = Held(x, lambda x: 2 * x, missing=True).batch(rows)
    expected = Batch.of(2 * x[rows])
    assert torch.equal(batch.observed, ~x[rows].isnan())
    assert torch.equal(batch.target, expected.target)
    assert torch.equal(batch.values, expected.values)


def test_there_are_as_many_rows_and_batches_as_were_chosen():
    batches = batches_of(9, 4, torch.arange(7))
    assert (batches.rows, len(batches), batches.size) == (7, 2, 4)


def test_cells_that_encode_one_value_are_hidden_together():
    x = torch.arange(4000.0).reshape(1000, 4)
    leaders = torch.tensor([0, 1, 1, 1])
    held = Held(x, lambda x: x, missing=True, hidden=0.3, leaders=leaders)
    visible = held.batch(torch.arange(1000)).visible
    assert visible is not None
    assert (visible[:, 1:] == visible[:, 1:2]).all()
    assert (visible[:, 0] != visible[:, 1]).any()
    assert float(visible.float().mean()) == pytest.approx(0.7, abs=0.05)
