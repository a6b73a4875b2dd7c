"""Lapped transforms invert themselves before training, and start as the cosine transform."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.fft import dctn

from attar.errors import SettingError
from attar.networks.lapped import Lapped, around, cosines, frequencies, quadrants, spectrum


def network_and_images(shape, block=4, rows=2):
    torch.manual_seed(0)
    return Lapped(block, hidden=8), torch.rand(rows, *shape)


def decoded(network, images, log_step=0.0):
    shape = tuple(images.shape[1:])
    coefficients = network.encoder(shape, network.features(shape))(images)
    codes = torch.cat([coefficients, torch.full((len(images), 1), log_step)], 1)
    return network.decoder(codes.shape[1], (2 * shape[0], *shape[1:]))(codes)


@example(3, 17, 8, 8)
@given(st.integers(1, 3), st.integers(1, 21), st.integers(1, 21), st.sampled_from([2, 4]))
@settings(max_examples=20, deadline=None)
@torch.no_grad()
def test_the_decoder_inverts_the_encoder_before_training(channels, height, width, block):
    network, images = network_and_images((channels, height, width), block)
    found = decoded(network, images, log_step=-1.5)
    assert found.shape == (2, 2 * channels, height, width)
    torch.testing.assert_close(found[:, :channels], images, atol=3e-6, rtol=0)
    assert (found[:, channels:] == -1.5).all()


@pytest.mark.parametrize(("channels", "block"), [(1, 8), (3, 4), (4, 2)])
def test_the_cosine_transform_is_orthonormal_and_that_of_scipy(channels, block):
    basis = cosines(channels, block)
    torch.testing.assert_close(basis @ basis.T, torch.eye(len(basis)), atol=2e-6, rtol=0)
    pixels = np.random.default_rng(0).random((channels, block, block))
    expected = dctn(pixels, norm="ortho")
    found = basis.numpy() @ pixels.ravel().astype(np.float32)
    places = tuple(np.array(frequencies(channels, block)).T)
    np.testing.assert_allclose(found, expected[places], atol=1e-5)


@pytest.mark.parametrize(("channels", "block"), [(1, 8), (3, 8), (2, 2)])
def test_frequencies_are_all_once_means_first_then_from_low_to_high(channels, block):
    found = frequencies(channels, block)
    every = {(c, u, v) for c in range(channels) for u in range(block) for v in range(block)}
    assert len(found) == len(every)
    assert set(found) == every
    assert found[:channels] == [(c, 0, 0) for c in range(channels)]
    first = [u**2 + v**2 for c, u, v in found[channels:] if c == 0]
    assert first == sorted(first)
    assert found[-1] == (channels - 1, block - 1, block - 1)


def test_scales_fall_with_the_frequency():
    scales = spectrum(1, 8)
    assert scales[0] == 2
    assert (np.diff(scales) <= 0).all()


@torch.no_grad()
def test_coefficients_of_a_constant_image_are_its_mean():
    network, _ = network_and_images((1, 8, 12))
    encoder = network.encoder((1, 8, 12), network.features((1, 8, 12)))
    grid = encoder.grid(torch.full((1, 1, 8, 12), 0.7))
    assert grid.shape == (1, 2, 3, 16)
    torch.testing.assert_close(grid[..., 0], torch.full((1, 2, 3), 4 * 0.7))
    torch.testing.assert_close(grid[..., 1:], torch.zeros(1, 2, 3, 15), atol=1e-6, rtol=0)


@torch.no_grad()
def test_corrections_are_relative_to_the_step():
    network, images = network_and_images((1, 8, 8))
    shape, coefficients = (2, 8, 8), network.encoder((1, 8, 8), 64)(images)
    decoder = network.decoder(65, shape)
    decoder.last.bias.fill_(0.5)

    def added(step):
        codes = torch.cat([coefficients, torch.full((2, 1), step).log()], 1)
        return decoder(codes)[:, :1] - images

    torch.testing.assert_close(added(0.4), 4 * added(0.1), atol=2e-6, rtol=0)
    assert added(0.1).abs().max() > 0.01


def test_neighbours_are_those_around_a_place():
    grid = torch.arange(35.0).reshape(1, 5, 7, 1)
    found = around(grid, radius=1, spacing=2)
    assert found.shape == (1, 1, 3, 9)
    assert found[0, 0, 1].tolist() == [1, 3, 5, 15, 17, 19, 29, 31, 33]
    assert quadrants(grid)[0, 3, 2].tolist() == [23, 24, 30, 31]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Lapped(3).features((1, 8, 8)), "even number of rows, not 3"),
        (lambda: Lapped(0).features((1, 8, 8)), "block"),
        (lambda: Lapped().features((20,)), "needs images"),
        (lambda: Lapped().encoder((1, 8, 8), 32), "makes 64 coefficients .* not 32"),
        (lambda: Lapped(hidden=-1).decoder(65, (2, 8, 8)), "hidden"),
    ],
)
def test_what_is_no_lapped_transform_is_refused(make, said):
    with pytest.raises(SettingError, match=said):
        make()
