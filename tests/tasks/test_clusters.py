"""Clusters: graphs against closed forms, made clusters found, files, new rows, bad input."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.datasets import make_blobs, make_circles, make_moons
from sklearn.metrics import adjusted_rand_score

import attar
from attar.errors import AttarWarning, DataError, ModelFileError, SettingError
from attar.tasks.clusters import clusterer as module
from attar.tasks.clusters.partition import (
    basins,
    normalized_cut,
    refined,
    spectral_embedding,
    spectral_partition,
)
from attar.tasks.neighbours import NeighbourGraph


def ring(m):
    """The cycle of m points."""
    ahead = sparse.csr_array((np.ones(m), (np.arange(m), (np.arange(m) + 1) % m)), (m, m))
    return sparse.csr_array(ahead + ahead.T)


def test_eigenvalues_of_a_ring_are_cosines():
    # Degrees and τ are 2, so that all eigenvalues but the first are 1 - cos(2πj/m) / 2.
    values, vectors = spectral_embedding(ring(24), 5)
    cosines = np.cos(2 * np.pi * np.array([1, 1, 2, 2]) / 24)
    assert_allclose(values, [0, *(1 - cosines / 2)], atol=1e-12)
    assert_allclose(vectors.T @ vectors, np.eye(5), atol=1e-12)


def test_iterations_find_the_eigenvectors_of_the_dense_matrix(monkeypatch):
    points = torch.from_numpy(np.random.default_rng(0).normal(size=(300, 3))).float()
    affinity = NeighbourGraph.of(points).affinity
    values, vectors = spectral_embedding(affinity, 6)
    monkeypatch.setattr("attar.tasks.clusters.partition.FEW", 0)
    sparse_values, sparse_vectors = spectral_embedding(affinity, 6)
    assert_allclose(sparse_values, values, atol=1e-5)
    assert_allclose(abs(vectors.T @ sparse_vectors), np.eye(6), atol=1e-2)


def test_a_partition_of_blocks_is_their_components():
    sizes = [5, 9, 30]
    blocks = sparse.csr_array(sparse.block_diag([np.ones((n, n)) - np.eye(n) for n in sizes]))
    truth = np.repeat([0, 1, 2], sizes)
    for found in (spectral_partition(blocks, 3), refined(blocks, truth, 3)):
        assert adjusted_rand_score(truth, found) == 1
    assert normalized_cut(blocks, truth) == 0
    assert normalized_cut(blocks, np.repeat([0, 1, 1], sizes)) == 0
    one = truth.copy()
    one[0] = 1
    # Of a block of five, one point is elsewhere: 4 of its affinities are cut on both sides.
    assert normalized_cut(blocks, one) == pytest.approx(4 / 16 + 4 / (9 * 8 + 4))


def test_a_wrong_point_moves_back():
    blocks = sparse.csr_array(sparse.block_diag([np.ones((8, 8)) - np.eye(8)] * 2))
    truth = np.repeat([0, 1], 8)
    wrong = truth.copy()
    wrong[[0, 15]] = [1, 0]
    assert_array_equal(refined(blocks, wrong, 2), truth)


def test_persistences_are_depths_of_passes():
    path = sparse.csr_array(sparse.diags_array([1.0] * 6, offsets=1, shape=(7, 7)))
    height = np.array([1.0, 6.0, 2.0, 4.0, 3.5, 5.0, 0.0])
    labels, falls = basins(path + path.T, height)
    assert falls.tolist() == [np.inf, 3.0, 0.5]
    assert_array_equal(labels, 0)
    labels, _ = basins(path + path.T, height, least=1.0)
    assert_array_equal(labels, [0, 0, 0, 1, 1, 1, 1])
    labels, _ = basins(path + path.T, height, least=0.5)
    assert len(np.unique(labels)) == 3


MADE = {
    "blobs": make_blobs(400, 5, centers=6, random_state=0),
    "sizes": make_blobs([400, 120, 40, 20], 3, cluster_std=0.7, random_state=1),
    "moons": make_moons(600, noise=0.06, random_state=0),
    "circles": make_circles(600, noise=0.05, factor=0.5, random_state=0),
    "one": (np.random.default_rng(0).normal(size=(500, 6)), np.zeros(500)),
    "even": (np.random.default_rng(0).random((500, 2)), np.zeros(500)),
}


@pytest.mark.parametrize("name", MADE)
def test_made_clusters_and_their_number_are_found(name):
    X, y = MADE[name]
    clusterer = attar.Clusterer(random_state=0).fit(X)
    assert clusterer.n_clusters_ == len(np.unique(y))
    assert adjusted_rand_score(y, clusterer.labels_) > 0.99
    assert (np.diff(clusterer.sizes_) <= 0).all()


def test_clusters_that_overlap_are_found_by_their_number():
    X, y = make_blobs(600, 2, centers=[[0, 0], [3.2, 0]], random_state=0)
    clusterer = attar.Clusterer(2, random_state=0).fit(X)
    assert adjusted_rand_score(y, clusterer.labels_) > 0.7


def test_the_order_of_rows_and_a_shift_change_nothing():
    X, _ = MADE["sizes"]
    order = np.random.default_rng(1).permutation(len(X))
    first = attar.Clusterer(random_state=0).fit_predict(X)
    assert_array_equal(attar.Clusterer(random_state=0).fit_predict(X[order]), first[order])


def test_rows_of_the_fit_keep_their_clusters_and_new_ones_join_them():
    X, y = make_moons(1000, noise=0.06, random_state=0)
    clusterer = attar.Clusterer(2, random_state=0).fit(X[:600])
    assert_array_equal(clusterer.predict(X[:600]), clusterer.labels_)
    shares = clusterer.memberships(X[600:])
    assert_allclose(shares.sum(1), 1)
    assert adjusted_rand_score(y[600:], shares.argmax(1)) == 1
    far = clusterer.memberships(X[:2] + 1e6)
    assert_allclose(far.sum(1), 1)


def test_more_rows_than_landmarks_have_the_clusters_of_their_neighbours(monkeypatch):
    monkeypatch.setattr(module, "LANDMARKS", 200)
    X, y = MADE["blobs"]
    clusterer = attar.Clusterer(random_state=0).fit(X)
    assert len(clusterer.model_.landmarks.points) == 200
    assert adjusted_rand_score(y, clusterer.labels_) == 1


def test_equal_rows_are_one_point():
    X = np.repeat([[0.0, 0.0], [0.1, 0.0], [9.0, 9.0], [9.1, 9.0]], [50, 1, 40, 1], axis=0)
    clusterer = attar.Clusterer(2, random_state=0).fit(X)
    assert clusterer.sizes_.tolist() == [51, 41]
    with pytest.warns(AttarWarning, match="The 4 different rows of X are 4 clusters, not 5"):
        assert attar.Clusterer(5, random_state=0).fit(X).n_clusters_ == 4


def test_a_mixed_table_with_gaps_has_clusters_of_its_columns():
    rng, group = np.random.default_rng(0), np.arange(300) % 3
    table = pd.DataFrame(
        {
            "size": rng.normal(size=300) + 6 * group,
            "colour": np.array(["red", "green", "blue"])[group],
            "price": rng.normal(size=300) - 6 * group,
        }
    )
    table.loc[::7, "size"] = np.nan
    clusterer = attar.Clusterer(3, random_state=0).fit(table)
    assert adjusted_rand_score(group, clusterer.labels_) > 0.95
    assert list(clusterer.feature_names_in_) == list(table.columns)


@pytest.fixture(scope="module")
def of_images():
    rng = np.random.default_rng(0)
    images = rng.random((60, 8, 8)) * 0.2
    images[::2, :4] += 0.8
    images[1::2, 4:] += 0.8
    return images, attar.Clusterer(2, epochs=2, random_state=0).fit(images)


def test_images_have_clusters_of_codes(of_images):
    images, clusterer = of_images
    assert adjusted_rand_score(np.arange(60) % 2, clusterer.labels_) == 1
    assert clusterer.autoencoder_.transform(images).shape[0] == 60


@pytest.mark.parametrize("of_codes", [False, True])
def test_a_file_gives_equal_results(of_codes, of_images, tmp_path):
    X, fitted = of_images
    if not of_codes:
        X, _ = MADE["moons"]
        fitted = attar.Clusterer(random_state=0).fit(X)
    fitted.save(tmp_path / "c.attar")
    back = attar.Clusterer.load(tmp_path / "c.attar")
    assert_array_equal(back.labels_, fitted.labels_)
    assert_array_equal(back.memberships(X), fitted.memberships(X))
    assert back.n_features_in_ == fitted.n_features_in_
    with pytest.raises(ModelFileError, match=r"open it with attar.Clusterer.load, or attar pred"):
        attar.Autoencoder.load(tmp_path / "c.attar")


def test_bad_input_is_answered_in_a_sentence(of_images):
    X, _ = MADE["moons"]
    for number in (0, -1, 2.5, "many", True):
        with pytest.raises(SettingError, match="n_clusters must be 'auto' or an integer above 0"):
            attar.Clusterer(number).fit(X)
    with pytest.raises(DataError, match="X has 4 rows, and cannot have 5 clusters"):
        attar.Clusterer(5).fit(X[:4])
    with pytest.raises(SettingError, match="did you mean"):
        attar.Clusterer(recipe="vea").fit(X)
    with pytest.raises(DataError, match="recipe=None is for tables, and the data are images"):
        attar.Clusterer(recipe=None).fit(of_images[0])
    with pytest.raises(DataError, match="fitted on images, but X is a table"):
        of_images[1].predict(X)


def test_few_rows_are_enough():
    X, _ = MADE["moons"]
    for n in (2, 3, 5, 16, 17):
        for number in (1, 2, n):
            found = attar.Clusterer(number, random_state=0).fit_predict(X[:n])
            assert len(np.unique(found)) == number


def test_equal_seeds_give_equal_clusters():
    X, _ = MADE["one"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first, second = (attar.Clusterer(4, random_state=0).fit_predict(X) for _ in range(2))
    assert_array_equal(first, second)


def test_the_command_line_prints_sizes_and_writes_clusters(run, tmp_path):
    X, y = MADE["blobs"]
    table = pd.DataFrame(X, columns=list("abcde")).assign(kind=y)
    table.to_csv(tmp_path / "x.csv", index=False)
    words = ("fit", "x.csv", "--for", "clusters", "--label", "kind", "-o", "c.attar")
    status, out, err = run(*words)
    assert (status, err) == (0, "")
    assert out.startswith("6 clusters of 400 rows:")
    assert "67 rows  16.8%" in out
    status, out, err = run("predict", "c.attar", "x.csv", "-o", "p.csv")
    assert (status, out, err) == (0, "", "")
    found = pd.read_csv(tmp_path / "p.csv")
    assert list(found.columns) == ["cluster", "probability"]
    assert adjusted_rand_score(y, found["cluster"]) == 1
    assert (found["probability"] > 0.99).all()
    status, out, _ = run("info", "c.attar", "--json")
    assert json.loads(out)["sizes"] == [67, 67, 67, 67, 66, 66]
    status, out, _ = run(*words, "--clusters", 2, "--json")
    assert len(json.loads(out)["sizes"]) == 2
    for wrong in (("--clusters", 0), ("--clusters", 401), ("--set", "depth=3")):
        status, out, err = run(*words, *wrong)
        assert (status, out, err.count("\n")) == (2, "", 1)
    status, _, err = run("fit", "x.csv", "--clusters", 2, "-o", "m.attar")
    assert (status, err) == (2, "attar: --clusters is of --for clusters: leave it out.\n")
