import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attar import SettingError
from attar.codes import BatchTopK
from attar.codes.sparse.topk import NEWEST


@given(st.integers(1, 6), st.integers(0, 1000))
def test_exactly_the_largest_units_of_the_batch_are_kept_and_rectified(k, seed):
    features = torch.randn(9, 6, generator=torch.Generator().manual_seed(seed))
    z = BatchTopK(k).build(6).point(features)
    flat = features.numpy().ravel()
    kept = np.argsort(flat)[-9 * k :]
    expected = np.zeros_like(flat)
    expected[kept] = np.maximum(flat[kept], 0)
    assert np.array_equal(z.numpy().ravel(), expected)


def test_the_threshold_keeps_k_units_a_row_in_the_mean_of_the_training_rows():
    features = torch.randn(200, 30) + torch.linspace(-1, 1, 30)
    code = BatchTopK(4).build(30)
    chosen = code.point(features)
    z = code.eval().point(features)
    assert torch.equal(z, chosen)
    assert (z > 0).sum() == 4 * 200


def test_over_many_batches_the_threshold_keeps_about_k_units_a_row():
    features = torch.randn(4000, 30) + torch.linspace(-1, 1, 30)
    code = BatchTopK(4).build(30)
    for batch in features.split(40):
        code.point(batch)
    active = (code.eval().point(features) > 0).sum(1).float().mean()
    assert active.item() == pytest.approx(4, rel=0.03)


def test_the_threshold_is_a_running_mean_of_the_smallest_that_were_kept():
    code, thresholds = BatchTopK(1).build(2), torch.rand(60) + 1
    for threshold in thresholds:
        code.point(torch.stack([threshold, threshold - 1])[None])
    expected = 0.0
    for n, threshold in enumerate(thresholds.tolist(), 1):
        expected += (threshold - expected) * max(1 / n, NEWEST)
    assert code.threshold.item() == pytest.approx(expected, rel=1e-5)


def test_a_row_does_not_depend_on_its_neighbours_outside_training():
    code = BatchTopK(2).build(6)
    code.point(torch.randn(50, 6))
    code.eval()
    features = torch.randn(20, 6)
    alone = torch.cat([code.point(row[None]) for row in features])
    assert torch.equal(code.point(features), alone)


def test_the_nearest_valid_code_has_nothing_below_the_threshold():
    code = BatchTopK(1).build(3)
    code.point(torch.tensor([[0.5, 0.2, 0.1]]))
    code.eval()
    z = torch.tensor([[0.5, 0.49, -2.0], [0.7, 3.0, 0.0]])
    valid = code.constrain(z)
    assert torch.equal(valid, torch.tensor([[0.5, 0.0, 0.0], [0.7, 3.0, 0.0]]))
    assert torch.equal(code.constrain(valid), valid)


def test_only_the_kept_units_get_a_gradient():
    features = torch.tensor([[3.0, 2.0, -1.0], [1.0, 0.5, 2.5]], requires_grad=True)
    BatchTopK(1).build(3).point(features).sum().backward()
    assert features.grad.tolist() == [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]


def test_a_dead_unit_is_chosen_by_the_row_that_likes_it_best_after_an_epoch():
    features = torch.rand(50, 8)
    features[:, 5] -= 30
    code = BatchTopK(2).build(8)
    smallest = code.point(features)[features > 0].unique()[1]
    assert not code.point(features)[:, 5].any()
    code.on_epoch()
    chosen = code.point(features)[:, 5]
    assert chosen.argmax() == features[:, 5].argmax()
    assert chosen.max().item() == pytest.approx(smallest.item(), abs=1e-4)


@pytest.mark.parametrize("k", [0, 5, 2.5])
def test_k_must_suit_the_code_size(k):
    with pytest.raises(SettingError, match="choose k between 1 and 4"):
        BatchTopK(k).build(4)


def test_the_smallest_sensible_code_has_twice_as_many_units():
    assert BatchTopK(5).least_size == 10
