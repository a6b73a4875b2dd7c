import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attar.errors import SettingError
from attar.networks.masked import autoregressive

DOUBLE = torch.float64


@given(st.integers(1, 5), st.lists(st.integers(1, 9), max_size=2), st.integers(1, 3))
def test_an_output_depends_on_the_numbers_before_it_alone(size, widths, each):
    network = autoregressive(size, tuple(widths), each).double()
    slopes = torch.autograd.functional.jacobian(network, torch.randn(size, dtype=DOUBLE))
    slopes = slopes.reshape(size, each, size)
    for i in range(size):
        assert not slopes[i, :, i:].any()


def test_an_output_depends_on_all_numbers_before_it_and_on_all_of_the_context():
    network = autoregressive(4, (32, 32), 2, context=3).double()
    slopes = torch.autograd.functional.jacobian(network, torch.randn(7, dtype=DOUBLE))
    slopes = slopes.reshape(4, 2, 7) != 0
    before = torch.ones(4, 4, dtype=torch.bool).tril(-1)[:, None].expand(4, 2, 4)
    assert torch.equal(slopes[..., :4], before)
    assert slopes[..., 4:].all()


def test_a_network_without_memory_takes_weights_from_a_file():
    network = autoregressive(3, (8,), 2)
    with torch.device("meta"):
        other = autoregressive(3, (8,), 2)
    other.load_state_dict(network.state_dict(), assign=True)
    x = torch.randn(5, 3)
    assert torch.equal(other(x), network(x))


def test_widths_below_one_are_refused():
    with pytest.raises(SettingError, match="positive integers"):
        autoregressive(3, (0,), 1)


def test_all_numbers_before_count_where_there_are_more_of_them_than_units():
    slopes = torch.autograd.functional.jacobian(autoregressive(12, (5, 5), 1), torch.randn(12))
    assert (slopes != 0).any(0)[:9].all()
