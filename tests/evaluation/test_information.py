import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from attar.evaluation.information import active_units, mutual_information
from attar.evaluation.probes import neighbour_accuracy, probe_accuracy

GENERATOR, PROBED = np.random.default_rng(5), np.random.default_rng(0)


def test_units_are_active_where_their_mean_varies_by_more_than_the_threshold():
    means = np.array([[-1.0, 1.0]] * 50).reshape(-1, 1) * [1.0, 0.11, 0.09, 0.0] + 7
    assert active_units(means).tolist() == [True, True, False, False]
    assert active_units(means, threshold=0.5).tolist() == [True, False, False, False]


@pytest.mark.parametrize("noise", [[1.0], [0.5], [2.0, 0.7]])
def test_a_linear_gaussian_channel_has_its_capacity(noise):
    x = GENERATOR.normal(size=(4000, len(noise)))
    log_variances = np.broadcast_to(2 * np.log(noise), x.shape)
    expected = 0.5 * np.log1p(1 / np.square(noise)).sum()
    # The deviation of a mean of 4,000 is below 0.02.
    assert mutual_information(x, log_variances) == pytest.approx(expected, abs=0.06)


def test_the_mutual_information_of_two_rows_is_that_of_numerical_integration():
    def surprise(z):
        p, q = norm.pdf(z, -1), norm.pdf(z, 1)
        return p * math.log(2 * p / (p + q))

    expected = quad(surprise, -12, 12)[0]
    means = np.tile([[-1.0], [1.0]], (2000, 1))
    assert mutual_information(means, np.zeros_like(means)) == pytest.approx(expected, abs=0.03)


def test_the_mutual_information_of_distant_rows_is_log_n():
    means = 100 * np.arange(300.0)[:, None]
    assert mutual_information(means, np.zeros((300, 1))) == pytest.approx(math.log(300), abs=1e-6)
    sharp = np.full((300, 2), -30.0)
    found = mutual_information(GENERATOR.normal(size=(300, 2)), sharp)
    assert found == pytest.approx(math.log(300), abs=1e-3)


def test_equal_posteriors_have_no_mutual_information():
    means, log_variances = np.full((200, 3), 0.7), np.full((200, 3), -1.2)
    assert mutual_information(means, log_variances) == pytest.approx(0, abs=1e-12)


def test_the_mutual_information_does_not_depend_on_chunks(monkeypatch):
    means, log_variances = GENERATOR.normal(size=(2, 90, 4))
    whole = mutual_information(means, log_variances, seed=3)
    monkeypatch.setattr("attar.evaluation.information.PAIRS", 700)
    assert mutual_information(means, log_variances, seed=3) == pytest.approx(whole, rel=1e-12)
    assert mutual_information(means, log_variances, seed=4) != pytest.approx(whole, rel=1e-6)


def blobs(n, distance, seed):
    generator = np.random.default_rng(seed)
    labels = generator.integers(3, size=n)
    centres = distance * np.eye(3)[labels] * [1, 1e3, 1e-3]
    return centres + generator.normal(size=(n, 3)) * [1, 1e3, 1e-3], labels


@pytest.mark.parametrize("accuracy", [probe_accuracy, neighbour_accuracy])
def test_labels_of_distant_blobs_are_predicted(accuracy):
    codes, labels = blobs(300, 12, 0)
    scales = [1, 1, 1] if accuracy is probe_accuracy else [1, 1e-3, 1e3]
    test_codes, test_labels = blobs(200, 12, 1)
    assert accuracy(codes * scales, labels, test_codes * scales, test_labels) == 1
    words = np.array(["a", "b", "c"])
    assert accuracy(codes * scales, words[labels], test_codes * scales, words[test_labels]) == 1


@pytest.mark.parametrize("accuracy", [probe_accuracy, neighbour_accuracy])
def test_independent_labels_have_the_accuracy_of_a_guess(accuracy):
    codes, labels = blobs(2000, 0, 0)
    assert accuracy(codes[:1000], labels[:1000], codes[1000:], labels[1000:]) == pytest.approx(
        1 / 3, abs=0.06
    )


def test_a_ring_is_separated_by_neighbours_but_not_by_a_line():
    angles, inner = PROBED.uniform(0, 2 * np.pi, 800), np.arange(800) % 2
    radius = np.where(inner, 1, 5) + 0.1 * PROBED.normal(size=800)
    codes = np.stack([np.cos(angles), np.sin(angles)], axis=1) * radius[:, None]
    parts = codes[:400], inner[:400], codes[400:], inner[400:]
    assert neighbour_accuracy(*parts) == 1
    assert probe_accuracy(*parts) < 0.7


def test_the_probe_is_as_good_as_the_best_possible_for_gaussian_classes():
    labels = PROBED.integers(2, size=20000)
    codes = PROBED.normal(size=(20000, 1)) + 2 * labels[:, None]
    found = probe_accuracy(codes[:10000], labels[:10000], codes[10000:], labels[10000:])
    # Φ(1), with the middle as the threshold.
    assert found == pytest.approx(0.8413, abs=0.012)
