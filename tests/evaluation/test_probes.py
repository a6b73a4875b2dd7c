import numpy as np
import pytest

from attar.evaluation.probes import neighbour_accuracy, probe_accuracy

CHANCE = np.random.default_rng(0)


def blobs(n, apart, seed):
    generator = np.random.default_rng(seed)
    labels = generator.integers(3, size=n)
    centres = apart * np.eye(3)[labels] * [1, 1e3, 1e-3]
    return centres + generator.normal(size=(n, 3)) * [1, 1e3, 1e-3], labels


@pytest.mark.parametrize("accuracy", [probe_accuracy, neighbour_accuracy])
def test_labels_of_blobs_that_are_apart_are_told_from_codes(accuracy):
    codes, labels = blobs(300, 12, 0)
    scales = [1, 1, 1] if accuracy is probe_accuracy else [1, 1e-3, 1e3]
    test_codes, test_labels = blobs(200, 12, 1)
    assert accuracy(codes * scales, labels, test_codes * scales, test_labels) == 1
    words = np.array(["a", "b", "c"])
    assert accuracy(codes * scales, words[labels], test_codes * scales, words[test_labels]) == 1


@pytest.mark.parametrize("accuracy", [probe_accuracy, neighbour_accuracy])
def test_labels_that_codes_do_not_know_are_guessed(accuracy):
    codes, labels = blobs(2000, 0, 0)
    assert accuracy(codes[:1000], labels[:1000], codes[1000:], labels[1000:]) == pytest.approx(
        1 / 3, abs=0.06
    )


def test_a_line_cannot_tell_a_ring_from_its_middle_but_neighbours_can():
    angles, inner = CHANCE.uniform(0, 2 * np.pi, 800), np.arange(800) % 2
    radius = np.where(inner, 1, 5) + 0.1 * CHANCE.normal(size=800)
    codes = np.stack([np.cos(angles), np.sin(angles)], axis=1) * radius[:, None]
    parts = codes[:400], inner[:400], codes[400:], inner[400:]
    assert neighbour_accuracy(*parts) == 1
    assert probe_accuracy(*parts) < 0.7


def test_the_probe_is_as_good_as_the_best_possible_for_gaussian_classes():
    labels = CHANCE.integers(2, size=20000)
    codes = CHANCE.normal(size=(20000, 1)) + 2 * labels[:, None]
    found = probe_accuracy(codes[:10000], labels[:10000], codes[10000:], labels[10000:])
    # Φ(1), with the middle as the threshold.
    assert found == pytest.approx(0.8413, abs=0.012)
