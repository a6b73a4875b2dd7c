"""Which rows the page shows, and their names and colours."""

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA

from attar.data import training_data
from attar.data.stream import Stream
from attar.reporting.selection import (
    by_label,
    interpolation_ends,
    plane,
    row_names,
    sample_rows,
    short_times,
)


class Pieces(Stream):
    """Rows in pieces of some size."""

    def __init__(self, data, size):
        self.data, self.size = data, size

    def __iter__(self):
        for start in range(0, len(self.data), self.size):
            yield self.data[start : start + self.size]

    @property
    def fingerprint(self):
        return "pieces"


def test_few_rows_are_all_selected(table_model, table):
    rows, places, total = sample_rows(table_model._fitted.predictor.preparation, Pieces(table, 7))
    assert places.tolist() == list(range(total)) == list(range(len(table)))
    assert np.array_equal(rows, table.to_numpy())


@pytest.mark.parametrize("size", [9, 60])
def test_the_sample_of_many_rows_does_not_depend_on_pieces(monkeypatch, table_model, table, size):
    monkeypatch.setattr(training_data, "MOST_ROWS", 10)
    rows, places, total = sample_rows(
        table_model._fitted.predictor.preparation, Pieces(table, size)
    )
    _, again, _ = sample_rows(table_model._fitted.predictor.preparation, Pieces(table, 11))
    assert (len(set(places)), total) == (10, len(table))
    assert places.tolist() == sorted(places) == again.tolist()
    assert np.array_equal(rows, table.to_numpy()[places])


def test_names_of_rows():
    starts = pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-03"])
    index = pd.DataFrame({"start": starts, "end": starts})
    places = np.array([0, 2])
    assert row_names(None, np.array([0, 1234])) == ["row 0", "row 1234"]
    assert row_names(index, places) == ["2024-01-01", "2024-01-03"]
    index.insert(0, "shop", ["a", "a", "b"])
    assert row_names(index, places) == ["a, 2024-01-01", "b, 2024-01-03"]
    whole = pd.DataFrame({"series": [0, 1, 2], "start": 0, "end": 5})
    assert row_names(whole, places) == ["series 0", "series 2"]
    ids = pd.DataFrame({"id": ["a", "b", "c"], "site": [7, 8, 9]})
    assert row_names(ids, np.array([0, 2])) == ["a, 7", "c, 9"]


@pytest.mark.parametrize(
    ("long", "short"),
    [
        (["2024-01-01 00:00:00", "—"], ["2024-01-01", "—"]),
        (["2024-01-01 00:00:00", "2024-01-01 05:30:00"], ["2024-01-01 00:00", "2024-01-01 05:30"]),
        (["2024-01-01 05:00:00+01:00"], ["2024-01-01 05:00+01:00"]),
        (["2024-01-01 05:00:10", "2024-01-01 05:00:00"], None),
        (["1:20:00", "0:03:00"], ["1:20", "0:03"]),
        (["12", "start"], None),
    ],
)
def test_times_are_as_short_as_possible(long, short):
    assert short_times(long) == (short or long)


def test_the_plane_of_wide_codes_is_that_of_two_principal_components():
    codes = np.random.default_rng(0).normal(size=(9, 40)) * np.arange(1, 41)
    points, x, y = plane(codes)
    pca = PCA(2).fit(codes)
    np.testing.assert_allclose(np.abs(points), np.abs(pca.transform(codes)), atol=1e-9)
    assert [
        f"{share:.0%}" in name
        for share, name in zip(pca.explained_variance_ratio_, (x, y), strict=True)
    ] == [True, True]


def test_the_plane_is_that_of_two_principal_components():
    codes = np.random.default_rng(0).normal(size=(50, 6)) * [1, 5, 1, 3, 1, 1]
    points, x, _ = plane(codes)
    pca = PCA(2).fit(codes)
    assert np.abs(points) == pytest.approx(np.abs(pca.transform(codes)))
    assert f"{pca.explained_variance_ratio_[0]:.0%}" in x


def test_codes_of_two_dimensions_are_unchanged():
    codes = np.random.default_rng(0).normal(size=(5, 2))
    assert plane(codes)[0] is codes


def test_interpolations_join_different_groups_where_there_are_some():
    groups = np.array([0] * 17 + [1] * 3)
    ends = interpolation_ends(groups, np.arange(20.0), 4)
    assert len(ends) == 3
    assert all(groups[a] != groups[b] for a, b in ends)


def test_interpolations_within_one_group_are_long():
    along = np.random.default_rng(0).permutation(20).astype(float)
    ends = interpolation_ends(np.zeros(20, int), along, 4)
    assert [along[b] - along[a] for a, b in ends] == [10] * 4
    assert interpolation_ends(np.zeros(1, int), along[:1], 4) == []


def test_few_labels_are_categories():
    colouring = by_label(np.array(["b", "a", "b"]))
    assert colouring.legend == [("c0", "a"), ("c1", "b")]
    assert colouring.groups.tolist() == [1, 0, 1]
    assert by_label(np.array([2.0, 10.0, 2.0])).meanings == ["2", "10"]
    assert by_label(np.array(["b", None, np.nan], object)).names == ["b", "missing", "missing"]


def test_many_values_are_a_scale():
    colouring = by_label(np.array([*range(70), np.nan]))
    assert not colouring.categorical
    assert colouring.groups[:70].tolist() == sorted(colouring.groups[:70].tolist())
    assert colouring.meanings[:2] == ["< 10", "10 to 20"]
    assert colouring.groups[[9, 10, 19, 20, 69]].tolist() == [0, 1, 1, 2, 6]
    assert colouring.legend[colouring.groups[70]] == ("other", "none")


def test_of_many_labels_the_most_frequent_have_colours():
    words = [f"w{i:02}" for i in range(20) for _ in range(i + 1)]
    colouring = by_label(np.array(words))
    assert colouring.meanings == [f"w{i:02}" for i in range(19, 10, -1)] + ["other"]
    assert colouring.groups[0] == 9
    assert colouring.groups[-1] == 0
