import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import gaussian_filter
from scipy.special import logsumexp
from scipy.stats import entropy
from sklearn.metrics import mean_squared_error

import attar.evaluation
from attar.evaluation import metrics
from attar.evaluation.metrics import perplexity, relative_perplexity, ssim, usage

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(40, 3)).astype(np.float32)
RECONSTRUCTED = X + 0.3 * GENERATOR.normal(size=X.shape).astype(np.float32)
IMAGES, OTHERS = np.random.default_rng(0).random((2, 3, 16, 19))

# Of eight rows: uniform, constant, and 3/4 and 1/4.
SYMBOLS = np.stack([np.arange(8), np.full(8, 5), np.r_[[0] * 6, [2] * 2]], axis=1)
SIZES = (8, 10, 4)


def test_all_metrics_are_exported_with_docstrings():
    assert sorted(attar.evaluation.__all__) == attar.evaluation.__all__
    for name in attar.evaluation.__all__:
        assert ">>>" in getattr(attar.evaluation, name).__doc__ or name[0].isupper()


def test_mean_squared_error_is_scikit_learns():
    assert metrics.mean_squared_error(X, RECONSTRUCTED) == pytest.approx(
        mean_squared_error(X, RECONSTRUCTED), rel=1e-6
    )
    images = X.reshape(10, 3, 4)
    assert metrics.mean_squared_error(images, images + 2) == pytest.approx(4, rel=1e-6)


def test_missing_cells_have_no_error():
    missing = X.copy()
    missing[::3, 1] = np.nan
    known = ~np.isnan(missing)
    expected = mean_squared_error(X[known], RECONSTRUCTED[known])
    assert metrics.mean_squared_error(missing, RECONSTRUCTED) == pytest.approx(expected, rel=1e-6)
    assert metrics.mean_squared_error(np.full((3, 2), np.nan), np.ones((3, 2))) == 0


def test_psnr_is_that_of_its_definition():
    x = GENERATOR.random((5, 4, 4))
    reconstructed = x + 0.1
    error = metrics.mean_squared_error(x, reconstructed)
    assert metrics.psnr(error) == pytest.approx(20, abs=1e-9)
    assert metrics.psnr(error) == pytest.approx(
        10 * math.log10(1 / np.mean((x - reconstructed) ** 2))
    )
    assert metrics.psnr(metrics.mean_squared_error(x, x)) == math.inf


@given(
    arrays(
        np.float64, st.tuples(st.integers(1, 6), st.integers(1, 4)), elements=st.floats(-1e5, 1e5)
    )
)
def test_log_mean_exp_is_scipys_log_sum_exp_but_for_the_count(values):
    expected = logsumexp(values, axis=0) - math.log(len(values))
    np.testing.assert_allclose(metrics.log_mean_exp(values), expected, rtol=1e-12, atol=1e-12)


def test_log_mean_exp_takes_impossible_draws():
    values = np.array([[-np.inf, 0.0], [1.0, 0.0]])
    np.testing.assert_allclose(metrics.log_mean_exp(values), [1 - math.log(2), 0.0])


def test_log_mean_exp_of_nothing_but_impossible_draws_is_impossible():
    values = np.array([[-np.inf, 0.0], [-np.inf, -np.inf]])
    assert metrics.log_mean_exp(values).tolist() == [-np.inf, -math.log(2)]


def test_accuracy_is_the_fraction_of_observed_cells_reconstructed_exactly():
    assert metrics.accuracy(np.array([0, 1, 1, 0]), np.array([0, 1, 0, 0])) == 0.75
    missing = np.array([[np.nan, 1.0], [0.0, 2.0]])
    assert metrics.accuracy(missing, np.array([[5.0, 1.0], [0.0, 3.0]])) == pytest.approx(2 / 3)
    words = np.array(["red", None, "blue"], dtype=object)
    assert metrics.accuracy(words, np.array(["red", "red", "red"], dtype=object)) == 0.5
    assert metrics.accuracy(np.full(3, np.nan), np.ones(3)) == 1


def test_a_fair_coin_takes_a_bit_and_a_fair_byte_eight():
    assert metrics.bits_per_dimension(5 * math.log(2), 5) == pytest.approx(1)
    assert metrics.bits_per_dimension(28 * 28 * math.log(256), 28 * 28) == pytest.approx(8)


@pytest.mark.parametrize("shape", [(2, 8, 8), (2, 28, 20), (2, 12, 12, 3)])
def test_ssim_is_1_for_equal_images_and_negative_for_inverted_ones(shape):
    x = np.random.default_rng(1).random(shape)
    assert ssim(x, x) == pytest.approx(1, abs=1e-12)
    assert ssim(x, 1 - x) < 0


@given(st.floats(0, 1), st.floats(0, 1))
def test_ssim_of_constant_images_is_the_luminance_term(a, b):
    expected = (2 * a * b + 1e-4) / (a * a + b * b + 1e-4)
    found = ssim(np.full((1, 12, 12), a), np.full((1, 12, 12), b))
    assert found == pytest.approx(expected, abs=1e-9)


def test_ssim_is_the_mean_over_windows_of_scipys_gaussian_filter():
    def mean(planes):
        return gaussian_filter(planes, 1.5, radius=5, axes=(1, 2))[:, 5:-5, 5:-5]

    a, b = mean(IMAGES), mean(OTHERS)
    xx, yy, xy = (
        mean(IMAGES * IMAGES) - a * a,
        mean(OTHERS * OTHERS) - b * b,
        mean(IMAGES * OTHERS) - a * b,
    )
    expected = (2 * a * b + 1e-4) * (2 * xy + 9e-4) / (a**2 + b**2 + 1e-4) / (xx + yy + 9e-4)
    assert ssim(IMAGES, OTHERS) == pytest.approx(expected.mean(), rel=1e-9)


def test_ssim_of_single_pixels_is_the_luminance_term():
    a, b = np.array([[[0.2]], [[0.8]]]), np.array([[[0.6]], [[0.5]]])
    expected = np.mean((2 * a * b + 1e-4) / (a * a + b * b + 1e-4))
    assert ssim(a, b) == pytest.approx(expected, rel=1e-9)


def test_ssim_averages_over_channels():
    found = ssim(np.stack([IMAGES, OTHERS], axis=-1), np.stack([OTHERS, OTHERS], axis=-1))
    assert found == pytest.approx((ssim(IMAGES, OTHERS) + 1) / 2, rel=1e-9)


def test_ssim_ignores_missing_pixels():
    missing = np.where(GENERATOR.random(IMAGES.shape) < 0.2, np.nan, IMAGES)
    assert ssim(missing, OTHERS) == pytest.approx(
        ssim(np.where(np.isnan(missing), OTHERS, IMAGES), OTHERS), rel=1e-12
    )
    assert ssim(missing, IMAGES) == pytest.approx(1, abs=1e-12)


def test_usage_is_the_fraction_of_entries_that_occur():
    np.testing.assert_allclose(usage(SYMBOLS, SIZES), [1, 0.1, 0.5])


def test_perplexity_is_the_exponential_of_the_entropy():
    expected = [8, 1, np.exp(entropy([0.75, 0.25]))]
    np.testing.assert_allclose(perplexity(SYMBOLS, SIZES), expected)
    np.testing.assert_allclose(relative_perplexity(SYMBOLS, SIZES), np.divide(expected, SIZES))


def test_positions_that_share_a_codebook_are_one_column():
    shared = np.array([[0, 1], [2, 3]])
    np.testing.assert_allclose(perplexity(shared, (4, 4)), [2, 2])
    np.testing.assert_allclose(perplexity(shared.reshape(-1, 1), (4,)), [4])
    np.testing.assert_allclose(usage(shared.reshape(-1, 1), (8,)), [0.5])


def test_each_position_needs_its_size():
    with pytest.raises(ValueError, match="zip"):
        usage(SYMBOLS, (8, 10))
