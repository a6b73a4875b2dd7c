"""Recommendations are the columns with the highest expected values that a row doesn't have yet."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

import attar
from attar.errors import AttarWarning, SettingError


def quick(*args, **settings):
    return attar.Autoencoder(*args, **{"epochs": 5, "random_state": 0, "verbose": False} | settings)


def counts(n=40, width=12, seed=0):
    return sparse.csr_array(np.random.default_rng(seed).poisson(0.8, (n, width)))


@pytest.mark.parametrize("dtype", [np.int64, np.float64])
@pytest.mark.parametrize("chunk", [2048, 7])
def test_recommendations_are_the_order_of_the_expected_values(dtype, chunk, monkeypatch):
    matrix = counts().astype(dtype)
    ae = quick(code_size=2).fit(matrix)
    expected = ae.fitted_.predictor.decode(ae.transform(matrix)).numpy()
    monkeypatch.setattr("attar.predictor.CHUNK", chunk)
    assert_allclose(ae.expected_values(matrix, range(12)), expected, rtol=1e-6)
    assert_array_equal(
        ae.expected_values(matrix, [3, 0]), ae.expected_values(matrix, range(12))[:, [3, 0]]
    )
    columns, values = ae.recommend(matrix, 5, seen=True)
    assert_array_equal(columns, np.argsort(-expected, axis=1)[:, :5])
    assert_allclose(values, -np.sort(-expected, axis=1)[:, :5], rtol=1e-6)
    columns, values = ae.recommend(matrix, 3)
    new = np.where(matrix.toarray() > 0, -np.inf, expected)
    places = np.argsort(-new, axis=1)[:, :3]
    best = np.where(np.isneginf(np.take_along_axis(new, places, 1)), -1, places)
    assert_array_equal(columns, best)


def test_a_row_with_too_few_new_columns_gets_no_others():
    matrix = sparse.csr_array([[1, 2, 0], [0, 1, 3]] * 10)
    columns, values = quick(code_size=1).fit(matrix).recommend(matrix[:1], 3)
    assert_array_equal(columns, [[2, -1, -1]])
    assert_array_equal(np.isnan(values), [[False, True, True]])


def test_stored_zeros_are_no_values():
    ae = quick(code_size=1).fit(counts())
    row = sparse.csr_array(([1, 0], ([0, 0], [4, 5])), (1, 12))
    columns, _ = ae.recommend(row, 11)
    assert sorted(columns[0]) == [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11]


def test_what_cannot_be_recommended_is_refused():
    ae = quick(code_size=1).fit(counts())
    with pytest.raises(SettingError, match="There are 12 columns, too few to recommend 13"):
        ae.recommend(counts(), 13)
    with pytest.raises(SettingError, match="number of columns"):
        ae.recommend(counts(), 0)
    with pytest.raises(SettingError, match="no column 12: columns are numbered from 0 to 11"):
        ae.expected_values(counts(), [0, 12])
    with pytest.raises(SettingError, match="list of column numbers, not 'x3'"):
        ae.expected_values(counts(), "x3")
    table = quick(code_size=1).fit(counts().toarray().astype(float))
    for method in (table.recommend, lambda X: table.expected_values(X, [0])):
        with pytest.raises(SettingError, match=r"fitted on table: fit it on scipy\.sparse"):
            method(counts().toarray().astype(float))


def test_rows_without_values_are_warned_of():
    ae = quick(code_size=1).fit(counts())
    empty = sparse.csr_array(([0, 2], ([0, 1], [4, 5])), (3, 12))
    with pytest.warns(AttarWarning, match="Rows without values .* there are 2 of") as caught:
        columns, _ = ae.recommend(empty, 2)
    assert caught[0].filename == __file__
    assert_array_equal(columns[0], columns[2])


def test_held_out_items_are_among_the_recommended_ones():
    # Each user has a taste, a mixture of eight, and picks items by it: counts of rank eight.
    generator = np.random.default_rng(0)
    tastes = generator.dirichlet(np.full(200, 0.1), 8)
    rates = generator.dirichlet(np.full(8, 0.1), 1000) @ tastes
    full = generator.poisson(30 * rates)
    stored = [np.flatnonzero(row) for row in full]
    hidden = [generator.choice(places, 3, replace=False) for places in stored]
    given = full.copy()
    np.put_along_axis(given, np.array(hidden), 0, axis=1)
    ae = quick("vae", epochs=30).fit(sparse.csr_array(given))

    def recall(columns):
        return np.mean([np.isin(h, c).mean() for h, c in zip(hidden, columns, strict=True)])

    found, _ = ae.recommend(sparse.csr_array(given), 10)

    def best(scores):
        return np.argsort(-np.where(given > 0, -np.inf, scores), axis=1)[:, :10]

    popular, oracle = recall(best(given.sum(0))), recall(best(rates))
    assert recall(found) > 2 * popular
    assert recall(found) > 0.8 * oracle
