import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attar import SettingError
from attar.corruptions import Patches

SHAPES = st.sampled_from([(7,), (1, 9), (3, 8), (1, 8, 8), (3, 7, 10), (2, 1, 5)])


def patches_of(hidden, size):
    """Cuts the places of rows (B, *places) into patches: tensors (B, cells)."""
    parts = [hidden]
    for axis in range(1, hidden.ndim):
        long = max(1, min(size, hidden.shape[axis] // 2))
        parts = [piece for part in parts for piece in part.split(long, axis)]
    return [part.flatten(1) for part in parts]


@given(SHAPES, st.integers(1, 5), st.floats(0, 1, exclude_min=True))
def test_patches_are_hidden_whole_with_all_channels_and_as_many_of_each_row(shape, size, share):
    values = torch.rand(6, *shape) + 1
    damaged, hidden = Patches(share, size).build().damage(values)
    assert torch.equal(damaged == 0, hidden)
    assert torch.equal(damaged[~hidden], values[~hidden])
    places = hidden if len(shape) == 1 else hidden[:, 0]
    if len(shape) > 1:
        assert torch.equal(hidden, places[:, None].expand_as(hidden))
    patches = patches_of(places, 1 if len(shape) == 1 else size)
    whole = torch.stack([patch.all(1) for patch in patches], 1)
    assert torch.equal(whole, torch.stack([patch.any(1) for patch in patches], 1))
    assert (whole.sum(1) == max(1, round(share * len(patches)))).all()


def test_any_patch_is_hidden_as_often_as_any_other():
    hidden = Patches(0.25, 2).build().damage(torch.ones(20_000, 1, 4, 8))[1]
    often = hidden.double().mean((0, 1))
    error = (0.25 * 0.75 / 20_000) ** 0.5
    torch.testing.assert_close(often, torch.full_like(often, 0.25), rtol=0, atol=4 * error)


def test_rows_hide_different_patches():
    hidden = Patches(0.5, 2).build().damage(torch.ones(50, 1, 8, 8))[1]
    assert len(hidden.flatten(1).unique(dim=0)) > 40


@pytest.mark.parametrize("shape", [(1, 3), (2, 4), (1, 4, 4), (3, 2, 7)])
def test_a_row_no_longer_than_a_patch_is_told_from_its_rest(shape):
    hidden = Patches(0.5, 8).build().damage(torch.ones(20, *shape))[1].flatten(1)
    assert hidden.any(1).all()
    assert not hidden.all(1).any()


def test_however_small_the_share_something_is_asked_for():
    hidden = Patches(0.01).build().damage(torch.ones(20, 6))[1]
    assert (hidden.sum(1) == 1).all()


def test_a_share_of_nothing_is_refused():
    with pytest.raises(SettingError, match=r"share of .* must be above 0"):
        Patches(0.0).build()


def test_a_zero_that_is_hidden_must_be_brought_back_too():
    hidden = Patches(1.0).build().damage(torch.zeros(3, 1, 8, 8))[1]
    assert hidden.all()


@pytest.mark.parametrize("size", [0, -1, 1.5, True])
def test_a_size_that_is_none_is_refused(size):
    with pytest.raises(SettingError, match=r"size of .* must be an integer above 0"):
        Patches(size=size).build()
