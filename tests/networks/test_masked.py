import pytest
import torch

from attar.codes import InverseAutoregressive
from attar.errors import SettingError
from attar.networks.masked import hidden_features
from attar.priors import NormalizingFlow

DOUBLE = torch.float64


@pytest.mark.parametrize("size", [2, 5, 70])
@pytest.mark.parametrize("widths", [(64,), (3, 9)])
def test_a_number_of_a_flow_depends_on_itself_and_on_all_before_it(size, widths):
    flow = NormalizingFlow(1, widths).build(size).double()
    z = torch.zeros(size, dtype=DOUBLE)
    slopes = torch.autograd.functional.jacobian(lambda x: flow.flow().transform(x), z)
    assert torch.equal(slopes != 0, torch.ones(size, size, dtype=torch.bool).tril())


@pytest.mark.parametrize("size", [1, 5, 70])
@pytest.mark.parametrize("widths", [(64,), (3, 9)])
def test_an_autoregressive_step_depends_on_all_numbers_before_and_on_the_whole_context(
    size, widths
):
    (network,) = InverseAutoregressive(1, widths).build(size).double().networks
    slopes = torch.autograd.functional.jacobian(network, torch.randn(2 * size, dtype=DOUBLE))
    before, context = (slopes != 0).reshape(size, 2, 2, size).unbind(2)
    expected = torch.ones(size, size, dtype=torch.bool).tril(-1)
    assert torch.equal(before, expected[:, None].expand(size, 2, size))
    assert context.all()


@pytest.mark.parametrize("size", [1, 3])
def test_a_flow_without_memory_takes_weights_from_a_file(size):
    module = InverseAutoregressive(widths=(8,)).build(size)
    with torch.device("meta"):
        other = InverseAutoregressive(widths=(8,)).build(size)
    other.load_state_dict(module.state_dict(), assign=True)
    z, context = torch.randn(4, 5, size), torch.randn(5, size)
    assert torch.equal(other(z, context)[0], module(z, context)[0])


def test_layers_have_a_unit_for_each_number_at_least():
    assert hidden_features(5, (3, 9), 2) == [5, 9]


@pytest.mark.parametrize("widths", [(0,), (8, -1), (2.5,)])
def test_widths_that_are_no_positive_integers_are_refused(widths):
    with pytest.raises(SettingError, match="positive integers"):
        hidden_features(3, widths, 1)


@pytest.mark.parametrize(("size", "widths"), [(3, (10**12,)), (10**5, (8,)), (3, (10**5, 10**5))])
def test_networks_too_large_to_be_meant_are_refused_before_they_take_memory(size, widths):
    for flow in (NormalizingFlow(widths=widths), InverseAutoregressive(widths=widths)):
        with pytest.raises(SettingError, match="weights: use a smaller code"):
            flow.build(size)
