import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attar import SettingError
from attar.codes import TopK


@given(st.integers(1, 6), st.integers(0, 1000))
def test_exactly_the_k_largest_units_are_kept_and_rectified(k, seed):
    features = torch.randn(9, 6, generator=torch.Generator().manual_seed(seed))
    code = TopK(k).build(6).eval()
    for row, z in zip(features.numpy(), code.point(features).numpy(), strict=True):
        kept = np.argsort(row)[-k:]
        expected = np.zeros(6, np.float32)
        expected[kept] = np.maximum(row[kept], 0)
        assert np.array_equal(z, expected)


def test_code_and_nearest_valid_code_are_the_point():
    features, code = torch.randn(9, 6), TopK(2).build(6).eval()
    assert torch.equal(code(features, torch.randn(3, 1, 6)).z, code.point(features)[None])
    assert torch.equal(code.constrain(features), code.point(features))
    assert torch.equal(code(features).rate, torch.zeros(1, 9))


def test_only_the_kept_units_get_a_gradient():
    features = torch.tensor([[3.0, 1.0, 2.0, -1.0]], requires_grad=True)
    TopK(2).build(4).point(features).sum().backward()
    assert features.grad.tolist() == [[1.0, 0.0, 1.0, 0.0]]


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("handicap", [0.9, 30.0, 1000.0])
def test_a_dead_unit_is_chosen_by_the_row_that_likes_it_best_after_an_epoch(seed, handicap):
    features = torch.rand(50, 8, generator=torch.Generator().manual_seed(seed))
    features[:, 5] -= 1 + handicap
    code = TopK(2).build(8)
    for part in features.split(10):
        assert not code.point(part)[:, 5].any()
    code.on_epoch()
    likes = (features[:, 5] - features.topk(2).values[:, 1]).argmax()
    chosen = code.point(features)[:, 5] > 0
    assert chosen[likes]
    assert chosen.sum() <= 3


def test_of_several_dead_units_each_is_chosen_within_a_few_epochs():
    features = torch.rand(50, 8)
    features[:, 4:] -= torch.tensor([3.0, 1000.0, 30.0, 30.0])
    code, chosen = TopK(2).build(8), torch.zeros(8, dtype=torch.bool)
    for _ in range(6):
        chosen |= (code.point(features) > 0).any(0)
        code.on_epoch()
    assert chosen.all()


def test_units_that_are_kept_but_rectified_away_are_dead_too():
    features = -torch.rand(50, 4) - 1
    code = TopK(4).build(4)
    assert not code.point(features).any()
    code.on_epoch()
    assert (code.point(features) > 0).any(0).all()


def test_living_units_are_left_alone_after_an_epoch():
    code = TopK(2).build(4)
    code.point(torch.eye(4) + torch.eye(4).roll(1, 0))
    code.on_epoch()
    assert torch.equal(code.bias, torch.zeros(4))


def test_each_epoch_counts_its_wins_anew():
    code = TopK(1).build(2)
    code.point(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    code.on_epoch()
    code.point(torch.tensor([[1.0, 0.0], [1.0, 0.5]]))
    code.on_epoch()
    torch.testing.assert_close(code.bias, torch.tensor([0.0, 0.5]), rtol=0, atol=2e-5)


def test_rows_outside_training_are_not_counted():
    code = TopK(1).build(2).eval()
    before = {name: tensor.clone() for name, tensor in code.state_dict().items()}
    code.point(torch.randn(5, 2))
    for name, tensor in code.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_k_must_suit_the_code_size():
    for k in (0, 5):
        with pytest.raises(SettingError, match="choose k between 1 and 4"):
            TopK(k).build(4)


def test_the_smallest_sensible_code_has_twice_as_many_units():
    assert TopK(5).least_size == 10
