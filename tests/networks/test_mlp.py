import pytest
import torch
from torch import nn

from attar import SettingError
from attar.networks import Linear, Mlp
from attar.networks.base import ACTIVATIONS

SHAPE = (2, 3)


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


def test_a_shortcut_learns_with_its_hidden_layers_too():
    encoder, x = Mlp((7,), "silu", shortcut=True).encoder(SHAPE, 4), torch.randn(8, *SHAPE)
    optimizer = torch.optim.SGD(encoder.parameters(), 0.01)
    encoder(x).sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    assert len(parameters_with_gradient(encoder, x)) == len(list(encoder.parameters()))


def test_without_hidden_layers_there_is_nothing_to_cut_short():
    assert [type(m) for m in Mlp((), shortcut=True).encoder(SHAPE, 4)[1]] == [nn.Linear]


def test_dropout_silences_its_share_in_training_and_none_afterwards():
    encoder = Mlp((4000,), "identity", dropout=0.25).encoder((1,), 1)
    nn.init.ones_(encoder[1][0].weight)
    hidden = encoder[1][:-1](torch.ones(10, 1))
    assert (hidden == 0).double().mean().item() == pytest.approx(0.25, abs=4 * 0.433 / 200)
    encoder.eval()
    assert torch.equal(encoder[1][:-1](torch.ones(10, 1)), torch.ones(10, 4000))


@pytest.mark.parametrize("widths", [(0,), (-3,), (2.5,), (8, "9")])
def test_widths_that_are_no_positive_integers_are_refused(widths):
    with pytest.raises(SettingError, match=r"widths of Mlp.* must be an integer above 0"):
        Mlp(widths).encoder(SHAPE, 4)


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(SettingError, match="did you mean 'batch'"):
        Mlp((8,), normalization="bach").encoder(SHAPE, 4)
    with pytest.raises(SettingError, match="did you mean 'sigmoid'"):
        Mlp((8,), "sigmod").encoder(SHAPE, 4)
