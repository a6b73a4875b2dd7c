import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from attar import SettingError
from attar.networks import Bag, Mlp
from attar.networks.mlp import Bags


def coo(dense):
    return dense.to_sparse_coo().coalesce()


def csr(dense, integer=torch.int32):
    rows, cells = coo(dense).indices()
    starts = torch.searchsorted(rows, torch.arange(len(dense) + 1))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(
            starts.to(integer),
            cells.to(integer),
            coo(dense).values(),
            size=dense.shape,
            check_invariants=False,
        )


def filled(rows, cells, share, seed=0):
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(rows, cells, dtype=torch.float64, generator=generator)
    return values * (torch.rand(rows, cells, generator=generator) < share)


@pytest.fixture
def rows():
    dense = filled(6, 9, 0.4)
    dense[[0, 2, 5]] = 0  # empty rows: the first, one inside, the last
    return dense


@given(
    shape=st.tuples(st.integers(1, 6), st.integers(1, 9)),
    share=st.floats(0, 1),
    layout=st.sampled_from([coo, csr, lambda dense: csr(dense, torch.int64), torch.clone]),
    seed=st.integers(0, 99),
)
def test_the_first_layer_is_a_linear_one_of_rows_of_unit_length(shape, share, layout, seed):
    dense, layer = filled(*shape, share, seed), Bags(shape[1], 4).double()
    nn.init.normal_(layer.bias)
    weights = torch.randn(shape[0], 4, dtype=torch.float64)
    expected = functional.linear(functional.normalize(dense), layer.weight.T, layer.bias)
    found = layer(layout(dense))
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(
        torch.autograd.grad((found.tanh() * weights).sum(), list(layer.parameters())),
        torch.autograd.grad((expected.tanh() * weights).sum(), list(layer.parameters())),
    )


def test_the_gradient_is_the_slope(rows):
    layer, (starts, cells) = (
        Bags(9, 2).double(),
        (csr(rows).crow_indices(), csr(rows).col_indices()),
    )

    def output(values, weight, bias):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
            x = torch.sparse_csr_tensor(
                starts, cells, values, size=rows.shape, check_invariants=False
            )
        return torch.func.functional_call(layer, {"weight": weight, "bias": bias}, x)

    values = csr(rows).values().requires_grad_()
    assert torch.autograd.gradcheck(output, (values, layer.weight, layer.bias))


def test_a_row_without_cells_gives_the_bias():
    layer = Bags(9, 4)
    nn.init.normal_(layer.bias)
    empty = torch.zeros(3, 9)
    for x in (empty, coo(empty), csr(empty)):
        assert torch.equal(layer(x), layer.bias.expand(3, 4))


def test_cells_of_explicit_zeros_are_nothing_and_learn_nothing_wrong():
    values = torch.zeros(3, requires_grad=True)
    x = torch.sparse_coo_tensor(
        torch.tensor([[0, 0, 1], [1, 3, 2]]),
        values,
        (2, 4),
        is_coalesced=True,
        check_invariants=False,
    )
    layer = Bags(4, 2)
    layer(x).sum().backward()
    assert not layer.weight.grad.any()
    assert values.grad.isfinite().all()


def test_twice_the_counts_are_the_same_direction(rows):
    encoder = Bag((8, 5)).encoder((9,), 3).double()
    torch.testing.assert_close(encoder(csr(7 * rows)), encoder(csr(rows)))


@pytest.mark.parametrize("layout", [coo, csr])
@pytest.mark.parametrize(
    "network",
    [
        Bag(()),
        Bag((8, 5), "gelu"),
        Bag((8,), normalization="layer"),
        Bag((8,), normalization="batch"),
        Bag((8,), shortcut=True),
    ],
    ids=str,
)
def test_an_encoder_gives_the_same_for_sparse_and_dense_rows(rows, network, layout):
    encoder = network.encoder((9,), 3).double()
    for parameter in encoder.parameters():
        nn.init.normal_(parameter)
    torch.testing.assert_close(encoder(layout(rows)), encoder(rows))


def test_after_the_first_layer_it_is_an_mlp_of_rows_of_unit_length(rows):
    settings = {"activation": "elu", "normalization": "layer"}
    bag = Bag((8, 5), **settings).encoder((9,), 3).double()
    mlp = Mlp((8, 5), **settings).encoder((9,), 3).double()
    state = {f"1.{name}": tensor for name, tensor in bag.state_dict().items()}
    mlp.load_state_dict(state | {"1.0.weight": state["1.0.weight"].T})
    torch.testing.assert_close(bag(csr(rows)), mlp(functional.normalize(rows)))


def test_the_decoder_is_that_of_an_mlp():
    torch.manual_seed(1)
    bag = Bag((8, 5), "relu").decoder(3, (9,))
    torch.manual_seed(1)
    mlp = Mlp((8, 5), "relu").decoder(3, (9,))
    z = torch.randn(4, 3)
    assert torch.equal(bag(z), mlp(z))


def test_a_first_layer_keeps_the_size_between_its_ends():
    weight = Bags(500, 99).weight
    # Glorot's variance, 2 / (inputs + outputs), with one input.
    assert weight.var().item() == pytest.approx(2 / 100, rel=0.03)
    assert weight.abs().max() <= (6 / 100) ** 0.5


def test_sparse_rows_never_become_dense():
    # Dense, these two rows would take 80 GB.
    x = torch.sparse_coo_tensor(
        torch.tensor([[0, 0, 1], [1, 5, 3]]),
        torch.ones(3),
        (2, 10**10),
        is_coalesced=True,
        check_invariants=False,
    )
    layer = Bags(6, 2)
    narrow = torch.zeros(2, 6)
    narrow[0, [1, 5]] = narrow[1, 3] = 1
    torch.testing.assert_close(layer(x), layer(narrow))


@pytest.mark.parametrize("widths", [(0,), (2.5,), (8, "9")])
def test_widths_that_are_no_positive_integers_are_refused(widths):
    with pytest.raises(SettingError, match=r"widths of Bag.* must be an integer above 0"):
        Bag(widths).encoder((9,), 3)
