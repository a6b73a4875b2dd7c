import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from attar import SettingError
from attar.codes import InverseAutoregressive
from attar.networks import Bag, Linear, Mlp
from attar.networks.base import ACTIVATIONS
from attar.networks.mlp import SparseLinear, Straight, hidden_features
from attar.priors import NormalizingFlow

SHAPE = (2, 3)
DOUBLE = torch.float64


def parameters_with_gradient(module, x):
    module(x).square().sum().backward()
    return [name for name, p in module.named_parameters() if p.grad is not None and p.grad.any()]


def test_linear_is_one_matrix_each_way():
    encoder, decoder = Linear().encoder(SHAPE, 4), Linear().decoder(4, SHAPE)
    (weight, bias), x = encoder.parameters(), torch.randn(5, *SHAPE)
    torch.testing.assert_close(encoder(x), x.reshape(5, 6) @ weight.T + bias)
    (weight, bias), z = decoder.parameters(), torch.randn(5, 4)
    torch.testing.assert_close(decoder(z), (z @ weight.T + bias).reshape(5, *SHAPE))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_hidden_layer_is_followed_by_its_activation(name):
    encoder, x = Mlp((7,), name).encoder(SHAPE, 4), torch.randn(5, *SHAPE)
    w1, b1, w2, b2 = encoder.parameters()
    hidden = ACTIVATIONS[name]()(x.reshape(5, 6) @ w1.T + b1)
    torch.testing.assert_close(encoder(x), hidden @ w2.T + b2)


def test_the_decoder_has_the_widths_in_reverse():
    encoder, decoder = Mlp((7, 5)).encoder(SHAPE, 4), Mlp((7, 5)).decoder(4, SHAPE)
    widths = [
        [m.out_features for m in n.modules() if isinstance(m, nn.Linear)]
        for n in (encoder, decoder)
    ]
    assert widths == [[7, 5, 4], [5, 7, 6]]
    assert decoder(torch.randn(3, 4)).shape == (3, *SHAPE)


@pytest.mark.parametrize("normalization", [None, "layer", "batch"])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_gradient_reaches_every_parameter(name, dropout, normalization):
    network = Mlp((16, 12), name, dropout, normalization)
    for module, x in (
        (network.encoder(SHAPE, 4), torch.randn(64, *SHAPE)),
        (network.decoder(4, SHAPE), torch.randn(64, 4)),
    ):
        # A bias is taken away again by the normalization of its batch.
        needless = {
            f"{path}.bias"
            for path, part in module.named_modules()
            if isinstance(part, nn.Linear) and normalization == "batch"
        }
        reached = set(parameters_with_gradient(module, x))
        assert reached >= {name for name, _ in module.named_parameters()} - needless


def test_biases_begin_at_zero_and_weights_as_glorot_has_them():
    encoder = Mlp((200,)).encoder((300,), 100)
    w1, b1, w2, b2 = encoder.parameters()
    assert not b1.any()
    assert not b2.any()
    for weight, fans in ((w1, 500), (w2, 300)):
        limit = (6 / fans) ** 0.5
        assert weight.abs().max() <= limit
        assert weight.var().item() == pytest.approx(limit**2 / 3, rel=0.05)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("normalization", [None, "layer", "batch"])
def test_with_a_shortcut_a_network_begins_as_its_straight_path(normalization, dropout):
    network = Mlp((7, 5), "silu", dropout, normalization, shortcut=True)
    encoder, decoder = network.encoder(SHAPE, 4), network.decoder(4, SHAPE)
    x, z = torch.randn(8, *SHAPE), torch.randn(8, 4)
    assert torch.equal(encoder(x), encoder[1].straight(x.flatten(1)))
    assert torch.equal(decoder(z), decoder[0].straight(z).reshape(8, *SHAPE))


@pytest.mark.parametrize("network", [Mlp, Bag])
def test_far_out_a_decoder_with_a_shortcut_is_its_linear_map(network):
    decoder = network((7,), "silu", shortcut=True).decoder(3, (4,)).double()
    for parameter in decoder.parameters():
        torch.nn.init.normal_(parameter)
    z = 1e9 * torch.randn(5, 3, dtype=DOUBLE)
    correction = decoder(z) - decoder[0].straight(z)
    assert 1 < correction.abs().max() < 1e4


def test_a_shortcut_learns_with_its_hidden_layers_too():
    encoder, x = Mlp((7,), "silu", shortcut=True).encoder(SHAPE, 4), torch.randn(8, *SHAPE)
    optimizer = torch.optim.SGD(encoder.parameters(), 0.01)
    encoder(x).sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    assert len(parameters_with_gradient(encoder, x)) == len(list(encoder.parameters()))


def test_without_hidden_layers_there_is_nothing_to_cut_short():
    assert [type(m) for m in Mlp((), shortcut=True).encoder(SHAPE, 4)[1]] == [Straight]


def test_dropout_silences_its_share_in_training_and_none_afterwards():
    encoder = Mlp((4000,), "identity", dropout=0.25).encoder((1,), 1)
    nn.init.ones_(encoder[1][0].weight)
    hidden = encoder[1][:-1](torch.ones(10, 1))
    assert (hidden == 0).double().mean().item() == pytest.approx(0.25, abs=4 * 0.433 / 200)
    encoder.eval()
    assert torch.equal(encoder[1][:-1](torch.ones(10, 1)), torch.ones(10, 4000))


@pytest.mark.parametrize("widths", [(0,), (-3,), (2.5,), (8, "9")])
def test_widths_of_an_mlp_that_are_no_positive_integers_are_refused(widths):
    with pytest.raises(SettingError, match=r"widths of Mlp.* must be an integer above 0"):
        Mlp(widths).encoder(SHAPE, 4)


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(SettingError, match="did you mean 'batch'"):
        Mlp((8,), normalization="bach").encoder(SHAPE, 4)
    with pytest.raises(SettingError, match="did you mean 'sigmoid'"):
        Mlp((8,), "sigmod").encoder(SHAPE, 4)


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
    dense, layer = filled(*shape, share, seed), SparseLinear(shape[1], 4).double()
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
        SparseLinear(9, 2).double(),
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
    layer = SparseLinear(9, 4)
    nn.init.normal_(layer.bias)
    empty = torch.zeros(3, 9)
    for x in (empty, coo(empty), csr(empty)):
        assert torch.equal(layer(x), layer.bias.expand(3, 4))


def test_explicit_zeros_have_no_gradient():
    values = torch.zeros(3, requires_grad=True)
    x = torch.sparse_coo_tensor(
        torch.tensor([[0, 0, 1], [1, 3, 2]]),
        values,
        (2, 4),
        is_coalesced=True,
        check_invariants=False,
    )
    layer = SparseLinear(4, 2)
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
    weight = SparseLinear(500, 99).weight
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
    layer = SparseLinear(6, 2)
    narrow = torch.zeros(2, 6)
    narrow[0, [1, 5]] = narrow[1, 3] = 1
    torch.testing.assert_close(layer(x), layer(narrow))


@pytest.mark.parametrize("widths", [(0,), (2.5,), (8, "9")])
def test_widths_of_a_bag_that_are_no_positive_integers_are_refused(widths):
    with pytest.raises(SettingError, match=r"widths of Bag.* must be an integer above 0"):
        Bag(widths).encoder((9,), 3)


@pytest.mark.parametrize("size", [2, 5, 70])
@pytest.mark.parametrize("widths", [(64,), (3, 9)])
def test_a_dimension_of_a_flow_depends_on_itself_and_on_all_before_it(size, widths):
    flow = NormalizingFlow(1, widths).build(size).double()
    z = torch.zeros(size, dtype=DOUBLE)
    slopes = torch.autograd.functional.jacobian(lambda x: flow.flow().transform(x), z)
    assert torch.equal(slopes != 0, torch.ones(size, size, dtype=torch.bool).tril())


@pytest.mark.parametrize("size", [1, 5, 70])
@pytest.mark.parametrize("widths", [(64,), (3, 9)])
def test_an_autoregressive_step_depends_on_all_dimensions_before_and_on_the_whole_context(
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


def test_layers_have_a_unit_for_each_dimension_at_least():
    assert hidden_features(5, (3, 9), 2) == [5, 9]


@pytest.mark.parametrize("widths", [(0,), (8, -1), (2.5,)])
def test_widths_of_a_flow_that_are_no_positive_integers_are_refused(widths):
    with pytest.raises(SettingError, match="positive integers"):
        hidden_features(3, widths, 1)


@pytest.mark.parametrize(("size", "widths"), [(3, (10**12,)), (10**5, (8,)), (3, (10**5, 10**5))])
def test_networks_too_large_to_be_meant_are_refused_before_they_take_memory(size, widths):
    for flow in (NormalizingFlow(widths=widths), InverseAutoregressive(widths=widths)):
        with pytest.raises(SettingError, match="weights: use a smaller code"):
            flow.build(size)
