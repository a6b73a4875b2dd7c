import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import logsumexp
from sklearn.metrics import mean_squared_error

from attar.evaluation import metrics

CHANCE = np.random.default_rng(0)
X = CHANCE.normal(size=(40, 3)).astype(np.float32)
BACK = X + 0.3 * CHANCE.normal(size=X.shape).astype(np.float32)


def test_mean_squared_error_is_scikit_learns():
    assert metrics.mean_squared_error(X, BACK) == pytest.approx(
        mean_squared_error(X, BACK), rel=1e-6
    )
    images = X.reshape(10, 3, 4)
    assert metrics.mean_squared_error(images, images + 2) == pytest.approx(4, rel=1e-6)


def test_missing_cells_have_no_error():
    gaps = X.copy()
    gaps[::3, 1] = np.nan
    known = ~np.isnan(gaps)
    expected = mean_squared_error(X[known], BACK[known])
    assert metrics.mean_squared_error(gaps, BACK) == pytest.approx(expected, rel=1e-6)
    assert metrics.mean_squared_error(np.full((3, 2), np.nan), np.ones((3, 2))) == 0


def test_psnr_is_that_of_its_definition():
    x = CHANCE.random((5, 4, 4))
    back = x + 0.1
    error = metrics.mean_squared_error(x, back)
    assert metrics.psnr(error) == pytest.approx(20, abs=1e-9)
    assert metrics.psnr(error) == pytest.approx(10 * math.log10(1 / np.mean((x - back) ** 2)))
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


def test_accuracy_is_the_share_of_known_cells_that_come_back():
    assert metrics.accuracy(np.array([0, 1, 1, 0]), np.array([0, 1, 0, 0])) == 0.75
    gaps = np.array([[np.nan, 1.0], [0.0, 2.0]])
    assert metrics.accuracy(gaps, np.array([[5.0, 1.0], [0.0, 3.0]])) == pytest.approx(2 / 3)
    words = np.array(["red", None, "blue"], dtype=object)
    assert metrics.accuracy(words, np.array(["red", "red", "red"], dtype=object)) == 0.5
    assert metrics.accuracy(np.full(3, np.nan), np.ones(3)) == 1


def test_a_fair_coin_takes_a_bit_and_a_fair_byte_eight():
    assert metrics.bits_per_dimension(5 * math.log(2), 5) == pytest.approx(1)
    assert metrics.bits_per_dimension(28 * 28 * math.log(256), 28 * 28) == pytest.approx(8)
