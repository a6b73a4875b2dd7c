import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from attar.evaluation.information import active_units, mutual_information

CHANCE = np.random.default_rng(5)


def test_units_are_active_where_their_mean_varies_by_more_than_the_threshold():
    means = np.array([[-1.0, 1.0]] * 50).reshape(-1, 1) * [1.0, 0.11, 0.09, 0.0] + 7
    assert active_units(means).tolist() == [True, True, False, False]
    assert active_units(means, threshold=0.5).tolist() == [True, False, False, False]


@pytest.mark.parametrize("noise", [[1.0], [0.5], [2.0, 0.7]])
def test_a_linear_gaussian_channel_has_its_capacity(noise):
    x = CHANCE.normal(size=(4000, len(noise)))
    log_variances = np.broadcast_to(2 * np.log(noise), x.shape)
    expected = 0.5 * np.log1p(1 / np.square(noise)).sum()
    # The deviation of a mean of 4,000 is below 0.02.
    assert mutual_information(x, log_variances) == pytest.approx(expected, abs=0.06)


def test_two_rows_share_what_numerical_integration_finds():
    def surprise(z):
        p, q = norm.pdf(z, -1), norm.pdf(z, 1)
        return p * math.log(2 * p / (p + q))

    expected = quad(surprise, -12, 12)[0]
    means = np.tile([[-1.0], [1.0]], (2000, 1))
    assert mutual_information(means, np.zeros_like(means)) == pytest.approx(expected, abs=0.03)


def test_rows_that_are_far_apart_share_log_n_and_no_more():
    means = 100 * np.arange(300.0)[:, None]
    assert mutual_information(means, np.zeros((300, 1))) == pytest.approx(math.log(300), abs=1e-6)
    sharp = np.full((300, 2), -30.0)
    found = mutual_information(CHANCE.normal(size=(300, 2)), sharp)
    assert found == pytest.approx(math.log(300), abs=1e-3)


def test_equal_posteriors_say_nothing():
    means, log_variances = np.full((200, 3), 0.7), np.full((200, 3), -1.2)
    assert mutual_information(means, log_variances) == pytest.approx(0, abs=1e-12)


def test_rows_in_parts_give_what_they_give_at_once(monkeypatch):
    means, log_variances = CHANCE.normal(size=(2, 90, 4))
    whole = mutual_information(means, log_variances, seed=3)
    monkeypatch.setattr("attar.evaluation.information.PAIRS", 700)
    assert mutual_information(means, log_variances, seed=3) == pytest.approx(whole, rel=1e-12)
    assert mutual_information(means, log_variances, seed=4) != pytest.approx(whole, rel=1e-6)
