"""Small steps get one thread; whatever was set before comes back."""

import pytest
import torch

from attar.training.runtime import ALONE, threads_for


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_small_steps_are_done_alone_and_large_ones_are_shared():
    with threads_for(1, ALONE - 1):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2
    with threads_for(2, ALONE // 2):
        assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_threads_come_back_after_an_error():
    with pytest.raises(KeyError), threads_for(1, 1):
        raise KeyError
    assert torch.get_num_threads() == 2
