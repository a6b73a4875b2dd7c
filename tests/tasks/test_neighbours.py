"""Nearest neighbours: against all distances, closed forms, and what affinities must be."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.distance import cdist

from attar.tasks.neighbours import Landmarks, NeighbourGraph, nearest

POINTS = torch.from_numpy(np.random.default_rng(0).normal(size=(60, 3))).float()


def test_neighbours_are_those_of_all_distances():
    rng = np.random.default_rng(0)
    points, among = rng.normal(size=(50, 3)) + 100, rng.normal(size=(80, 3)) + 100
    points, among = points.astype(np.float32), among.astype(np.float32)
    distances, places = nearest(torch.from_numpy(points), torch.from_numpy(among), 5)
    expected = cdist(points.astype(float), among.astype(float))
    assert_array_equal(places, np.argsort(expected, axis=1)[:, :5])
    assert_allclose(distances, np.sort(expected, axis=1)[:, :5], rtol=1e-4)


def test_affinities_are_symmetric_and_of_the_seventh_neighbour():
    points = torch.from_numpy(np.random.default_rng(0).normal(size=(40, 2))).float()
    graph = NeighbourGraph.of(points)
    dense = graph.affinity.toarray()
    assert_array_equal(dense, dense.T)
    expected = cdist(points.double(), points.double())
    scale = np.sort(expected, axis=1)[:, 7]
    i, j = 0, int(graph.places[0, 2])
    mutual = (1 + (0 in graph.places[j])) / 2
    assert dense[i, j] == pytest.approx(
        mutual * np.exp(-(expected[i, j] ** 2) / (scale[i] * scale[j])), rel=1e-5
    )


def test_points_that_are_equal_are_neighbours_and_none_is_its_own():
    twice = NeighbourGraph.of(POINTS[:20].repeat_interleave(12, dim=0))
    assert twice.affinity.diagonal().sum() == 0
    assert (twice.landmarks.scales > 0).all()
    expected = twice.distances == 0
    assert expected[:, :11].all()
    assert not expected[:, 11:].any()
    rows, columns = twice.affinity.nonzero()
    assert_allclose(twice.affinity.toarray()[rows, columns][rows // 12 == columns // 12], 1)


def test_what_is_interpolated_is_a_mean_by_affinities():
    landmarks = NeighbourGraph.of(POINTS).landmarks
    others = POINTS[:30] + 0.3
    weights = landmarks.weights(others).toarray()
    distances = cdist(others.double(), POINTS.double())
    order = np.sort(distances, axis=1)
    own = np.maximum(order[:, 6], landmarks.scales.min())
    expected = np.exp(-(distances**2) / np.outer(own, landmarks.scales))
    expected *= distances <= order[:, [14]]
    assert_allclose(weights, expected / expected.sum(1, keepdims=True), atol=1e-5)


def test_a_landmark_counts_more_than_its_neighbours():
    weights = NeighbourGraph.of(POINTS).landmarks.weights(POINTS).toarray()
    assert (np.diag(weights) > 0.5).all()
    assert_allclose(weights.sum(1), 1)


def test_far_from_all_landmarks_near_ones_still_count():
    landmarks = NeighbourGraph.of(POINTS).landmarks
    weights = landmarks.weights(POINTS[:1] + 1e5)
    assert weights.sum() == pytest.approx(1)


def test_without_landmarks_there_are_no_weights():
    none = Landmarks.none(3)
    assert none.weights(POINTS).shape == (60, 0)
    assert Landmarks.restored(none.tensors()).weights(POINTS).shape == (60, 0)
