import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from attar.evaluation.metrics import ssim

CHANCE = np.random.default_rng(0)
X, Y = CHANCE.random((2, 3, 16, 19))


@pytest.mark.parametrize("shape", [(2, 8, 8), (2, 28, 20), (2, 12, 12, 3)])
def test_equal_images_are_alike_and_inverted_ones_are_not(shape):
    x = np.random.default_rng(1).random(shape)
    assert ssim(x, x) == pytest.approx(1, abs=1e-12)
    assert ssim(x, 1 - x) < 0


@given(st.floats(0, 1), st.floats(0, 1))
def test_flat_images_differ_by_their_luminance_alone(a, b):
    expected = (2 * a * b + 1e-4) / (a * a + b * b + 1e-4)
    found = ssim(np.full((1, 12, 12), a), np.full((1, 12, 12), b))
    assert found == pytest.approx(expected, abs=1e-9)


def test_it_is_the_mean_over_windows_that_scipys_filter_gives():
    def mean(planes):
        return gaussian_filter(planes, 1.5, radius=5, axes=(1, 2))[:, 5:-5, 5:-5]

    a, b = mean(X), mean(Y)
    xx, yy, xy = mean(X * X) - a * a, mean(Y * Y) - b * b, mean(X * Y) - a * b
    expected = (2 * a * b + 1e-4) * (2 * xy + 9e-4) / (a**2 + b**2 + 1e-4) / (xx + yy + 9e-4)
    assert ssim(X, Y) == pytest.approx(expected.mean(), rel=1e-9)


def test_in_a_window_of_one_pixel_only_luminance_counts():
    a, b = np.array([[[0.2]], [[0.8]]]), np.array([[[0.6]], [[0.5]]])
    expected = np.mean((2 * a * b + 1e-4) / (a * a + b * b + 1e-4))
    assert ssim(a, b) == pytest.approx(expected, rel=1e-9)


def test_channels_are_compared_each_by_itself():
    found = ssim(np.stack([X, Y], axis=-1), np.stack([Y, Y], axis=-1))
    assert found == pytest.approx((ssim(X, Y) + 1) / 2, rel=1e-9)


def test_missing_pixels_count_as_brought_back():
    gaps = np.where(CHANCE.random(X.shape) < 0.2, np.nan, X)
    assert ssim(gaps, Y) == pytest.approx(ssim(np.where(np.isnan(gaps), Y, X), Y), rel=1e-12)
    assert ssim(gaps, X) == pytest.approx(1, abs=1e-12)
