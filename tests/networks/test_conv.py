import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from attar import SettingError
from attar.networks import Asymmetric, Conv

SIZES = st.integers(1, 21)


def moved(module):
    """Return the module with weights away from its start, where much is zero."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return module


@settings(max_examples=20)
@given(
    channels=st.sampled_from([1, 3]),
    height=SIZES,
    width=SIZES,
    stages=st.lists(st.integers(1, 6), max_size=3),
    normalization=st.booleans(),
)
def test_images_of_any_size_are_reconstructed_in_it(channels, height, width, stages, normalization):
    check_sizes(Conv(tuple(stages), normalization=normalization), (channels, height, width))


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 5, 9), (2, 4, 4)])
def test_light_decoders_keep_sizes_too(shape):
    check_sizes(Asymmetric((32, 16), hidden=6), shape)


def check_sizes(network, shape):
    encoder, decoder = moved(network.encoder(shape, 5)), moved(network.decoder(5, shape))
    x = torch.randn(2, *shape)
    z = encoder(x)
    assert decoder(z).shape == x.shape
    # Each image by itself, whatever its batch.
    torch.testing.assert_close(encoder(x[1:]), z[1:])
    torch.testing.assert_close(decoder(z[1:]), decoder(z)[1:])


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 7, 11), (1, 28, 28), (3, 5, 1)])
@pytest.mark.parametrize(
    "network", [Conv((4, 8)), Conv((4, 8), normalization=True), Asymmetric((4, 8), hidden=6)]
)
def test_a_gradient_reaches_every_parameter_and_every_pixel(shape, network):
    x = torch.randn(4, *shape, requires_grad=True)
    z = torch.randn(4, 5, requires_grad=True)
    for module, given_in in ((network.encoder(shape, 5), x), (network.decoder(5, shape), z)):
        module(given_in).square().sum().backward()
        assert given_in.grad.ne(0).all()
        assert all(p.grad is not None and p.grad.any() for p in module.parameters())


def test_each_stage_halves_the_image_rounding_up():
    encoder = Conv((2, 3)).encoder((1, 7, 10), 5)
    x, sizes = torch.randn(1, 1, 7, 10), []
    for layer in encoder:
        x = layer(x)
        if isinstance(layer, nn.Conv2d):
            sizes.append(tuple(x.shape[1:]))
    assert sizes == [(2, 4, 5), (3, 2, 3)]


def test_a_picture_moved_by_whole_strides_moves_the_maps():
    first = Conv((4,)).encoder((1, 16, 16), 5)[0]
    x = torch.zeros(1, 1, 16, 16)
    x[..., 4:8, 4:8] = torch.rand(4, 4)
    torch.testing.assert_close(first(x.roll((2, 4), (2, 3))), first(x).roll((1, 2), (2, 3)))


def test_normalization_makes_a_row_independent_of_its_batch():
    encoder = Conv((8,), normalization=True).encoder((1, 6, 6), 3)
    x = torch.randn(4, 1, 6, 6)
    torch.testing.assert_close(encoder(x)[:1], encoder(x[:1]), rtol=1e-4, atol=1e-6)


def test_dropout_silences_whole_maps_in_training_and_none_afterwards():
    encoder = Conv((64,), dropout=0.5).encoder((1, 8, 8), 3)
    dropped = encoder[:-2](torch.randn(50, 1, 8, 8)).flatten(2)
    silent = (dropped == 0).all(2)
    assert torch.equal(silent, (dropped == 0).any(2))
    assert silent.double().mean().item() == pytest.approx(0.5, abs=4 * 0.5 / 3200**0.5)
    encoder.eval()
    x = torch.randn(5, 1, 8, 8)
    assert torch.equal(encoder(x), encoder(x))


def test_rows_that_are_no_images_are_refused():
    with pytest.raises(SettingError, match=r"needs images .* shape \(6,\): use 'mlp'"):
        Conv().encoder((6,), 3)
    with pytest.raises(SettingError, match="'asymmetric' needs images"):
        Asymmetric().decoder(3, (6,))
