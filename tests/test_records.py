import json

import pytest
import torch
from torch.distributions import Normal

from attar.records import Batch, Coded, Epoch, Trace

DOUBLE = torch.float64


def trace(observed=None):
    target = torch.randn(5, 2, 3, dtype=DOUBLE)
    parameters = torch.randn(4, 5, 2, 3, dtype=DOUBLE)
    coded = Coded(torch.zeros(4, 5, 1), torch.zeros(4, 5))
    log_prob = lambda p, x: Normal(p, 1.0).log_prob(x)  # noqa: E731
    return Trace(Batch(target, target, observed), target, target, coded, parameters, log_prob)


def test_the_log_likelihood_of_a_row_is_the_sum_over_its_cells():
    t = trace()
    expected = Normal(t.parameters, 1.0).log_prob(t.batch.target).sum((2, 3))
    torch.testing.assert_close(t.log_likelihood, expected, rtol=1e-14, atol=0)


def test_cells_that_are_not_observed_are_left_out():
    observed = torch.rand(5, 2, 3) < 0.5
    t = trace(observed)
    for k in range(4):
        for b in range(5):
            cells = Normal(t.parameters[k, b], 1.0).log_prob(t.batch.target[b])
            torch.testing.assert_close(t.log_likelihood[k, b], cells[observed[b]].sum())


@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
def test_a_batch_of_rows_masks_missing_cells_and_has_0_there(dtype):
    prepared = torch.randn(5, 2, 3, dtype=dtype)
    missing = torch.rand(5, 2, 3) < 0.4
    before = prepared.masked_fill(missing, torch.nan)
    batch = Batch.of(before)
    assert torch.equal(batch.observed, ~missing)
    assert torch.equal(batch.target, torch.where(missing, 0.0, prepared))
    assert torch.equal(batch.values, batch.target)
    assert before.isnan().equal(missing)


@pytest.mark.parametrize("size", [1, 3, 7, 9])
@pytest.mark.parametrize("sparse", [False, True])
def test_the_parts_of_a_batch_are_its_rows_in_order(size, sparse):
    values = torch.randn(7, 4) * (torch.rand(7, 4) < 0.5)
    observed, visible = torch.rand(2, 7, 4) < 0.5
    given, level = values.to_sparse() if sparse else values, torch.rand(7, 1)
    batch = Batch(given, values, observed, visible, values + 1, level)
    parts = list(batch.split(size))
    assert [len(part.target) for part in parts] == [min(size, 7 - i) for i in range(0, 7, size)]
    assert all(part.values.is_sparse == sparse for part in parts)
    for name, whole in vars(batch).items():
        assert torch.cat([getattr(part, name) for part in parts]).to_dense().equal(whole.to_dense())


def test_the_parts_of_a_complete_batch_have_no_masks():
    x = torch.randn(5, 2)
    for part in Batch(x, x).split(2):
        assert part.observed is part.visible is part.condition is part.level is None


def test_restrictions_of_a_batch_add_up():
    x, first, second = torch.randn(5, 2), torch.rand(5, 2) < 0.5, torch.rand(5, 2) < 0.5
    batch = Batch(x, x).restricted(first)
    assert torch.equal(batch.observed, first)
    assert torch.equal(batch.restricted(second).observed, first & second)


def test_the_monitored_loss_is_that_of_validation_rows_where_there_are_any():
    metrics = {"loss": 2.0, "distortion": 1.5, "rate": 0.5}
    rest = {"learning_rate": 0.1, "rows_per_second": 9.0}
    assert Epoch(1, **metrics, validation_loss=None, **rest).monitored_loss == 2.0
    assert Epoch(1, **metrics, validation_loss=3.0, **rest).monitored_loss == 3.0


def test_an_epoch_survives_json():
    epoch = Epoch(3, 2.0, 1.5, 0.5, None, 0.1, 9.0)
    assert Epoch(**json.loads(json.dumps(epoch.to_json()))) == epoch
