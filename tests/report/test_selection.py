"""What is shown of many rows."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from attar.report.colouring import by_label
from attar.report.selection import evenly_spread, plane, walk_ends


def test_evenly_spread_rows():
    assert evenly_spread(9, 5).tolist() == [0, 2, 4, 6, 8]
    assert evenly_spread(3, 5).tolist() == [0, 1, 2]


def test_the_plane_is_that_of_principal_components():
    codes = np.random.default_rng(0).normal(size=(50, 6)) * [1, 5, 1, 3, 1, 1]
    points, x, _ = plane(codes)
    pca = PCA(2).fit(codes)
    assert np.abs(points) == pytest.approx(np.abs(pca.transform(codes)))
    assert f"{pca.explained_variance_ratio_[0]:.0%}" in x


def test_codes_of_two_numbers_are_shown_as_they_are():
    codes = np.random.default_rng(0).normal(size=(5, 2))
    assert plane(codes)[0] is codes


def test_walks_join_different_groups_while_there_are_some():
    groups = np.array([0] * 17 + [1] * 3)
    ends = walk_ends(groups, np.arange(20.0), 4)
    assert len(ends) == 3
    assert all(groups[a] != groups[b] for a, b in ends)


def test_walks_within_one_group_are_long():
    along = np.random.default_rng(0).permutation(20).astype(float)
    ends = walk_ends(np.zeros(20, int), along, 4)
    assert [along[b] - along[a] for a, b in ends] == [10] * 4
    assert walk_ends(np.zeros(1, int), along[:1], 4) == []


def test_few_labels_are_categories():
    colouring = by_label(["b", "a", "b"], 3)
    assert colouring.legend == [("c0", "a"), ("c1", "b")]
    assert colouring.groups.tolist() == [1, 0, 1]
    assert by_label([2.0, 10.0, 2.0], 3).meanings == ["2", "10"]


def test_many_numbers_are_a_scale():
    colouring = by_label([*range(70), np.nan], 71)
    assert not colouring.categorical
    assert colouring.groups[:70].tolist() == sorted(colouring.groups[:70].tolist())
    assert colouring.meanings[0] == "0 to 9.86"
    assert colouring.legend[colouring.groups[70]] == ("other", "no number")


def test_of_many_words_the_most_frequent_have_colours():
    words = [f"w{i:02}" for i in range(20) for _ in range(i + 1)]
    colouring = by_label(words, len(words))
    assert colouring.meanings == [f"w{i:02}" for i in range(19, 10, -1)] + ["other"]
    assert colouring.groups[0] == 9
    assert colouring.groups[-1] == 0
