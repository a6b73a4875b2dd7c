import numpy as np
import pytest
from scipy.linalg import subspace_angles
from sklearn.decomposition import PCA

from attar.evaluation.diagnostics import Baseline

CHANCE = np.random.default_rng(0)
X = (CHANCE.normal(size=(80, 10)) * np.arange(1, 11)) @ CHANCE.normal(size=(10, 10)) + 5
NEW = (CHANCE.normal(size=(30, 10)) * np.arange(1, 11)) @ CHANCE.normal(size=(10, 10)) + 5


@pytest.mark.parametrize("rows", [X, NEW], ids=["learnt", "new"])
def test_errors_are_those_of_scikit_learns_pca_for_every_size(rows):
    errors = Baseline.fit(X, 10).errors(rows)
    assert len(errors) == 11
    total = np.square(rows - X.mean(0)).mean()
    assert errors[0] == pytest.approx(total, rel=1e-6)
    for k in range(1, 11):
        pca = PCA(k).fit(X)
        expected = np.square(rows - pca.inverse_transform(pca.transform(rows))).mean()
        assert errors[k] == pytest.approx(expected, rel=1e-4, abs=1e-6 * total)


@pytest.mark.parametrize("k", [0, 1, 4, 10])
def test_reconstructions_are_those_of_scikit_learns_pca(k):
    baseline = Baseline.fit(X.reshape(80, 2, 5), 10)
    back = baseline.reconstruct(NEW.reshape(30, 2, 5), k)
    pca = PCA(max(k, 1)).fit(X)
    expected = pca.inverse_transform(pca.transform(NEW)) if k else np.tile(X.mean(0), (30, 1))
    np.testing.assert_allclose(back.reshape(30, 10), expected, rtol=1e-4, atol=1e-3)
    error = np.square(NEW - back.reshape(30, 10)).mean()
    total = np.square(NEW - X.mean(0)).mean()
    assert baseline.errors(NEW)[k] == pytest.approx(error, rel=1e-4, abs=1e-6 * total)


def test_the_quick_way_for_wide_rows_finds_the_same_components():
    scales = np.r_[[30, 20, 10], np.full(597, 0.1)]
    wide = CHANCE.normal(size=(100, 600)) * scales
    found = Baseline.fit(wide, 3).components
    exact = PCA(3, svd_solver="full").fit(wide).components_
    assert subspace_angles(found.T, exact.T).max() < 1e-3


def test_there_are_no_more_components_than_rows_and_cells_allow():
    assert Baseline.fit(X, 99).components.shape == (10, 10)
    assert Baseline.fit(X[:4], 99).components.shape == (3, 10)
    assert Baseline.fit(X[:4], 99).errors(X[:4])[-1] == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("rows", [X[:1], np.ones((9, 4))], ids=["one row", "constant"])
def test_rows_that_do_not_vary_have_no_error(rows):
    baseline = Baseline.fit(rows, 2)
    assert baseline.errors(rows) == pytest.approx([0.0] * (len(baseline.components) + 1), abs=1e-9)
    np.testing.assert_allclose(baseline.reconstruct(rows, 0), rows, rtol=1e-6)


def gaps_of(rows):
    return np.where(np.random.default_rng(4).random(rows.shape) < 0.2, np.nan, rows)


def test_missing_cells_count_as_the_mean_and_have_no_error():
    gaps, known = gaps_of(X), ~np.isnan(gaps_of(X))
    baseline = Baseline.fit(gaps, 10)
    filled = np.where(known, gaps, np.nanmean(gaps, 0))
    np.testing.assert_allclose(baseline.mean, np.nanmean(gaps, 0), rtol=1e-6)
    errors = baseline.errors(gaps)
    assert len(errors) == 11
    total = np.square(filled - filled.mean(0))[known].mean()
    assert errors[0] == pytest.approx(total, rel=1e-5)
    for k in range(1, 11):
        pca = PCA(k).fit(filled)
        back = pca.inverse_transform(pca.transform(filled))
        expected = np.square(filled - back)[known].mean()
        assert errors[k] == pytest.approx(expected, rel=1e-4, abs=1e-6 * total)


def test_what_stands_in_a_missing_cell_of_other_rows_changes_nothing():
    gaps = gaps_of(NEW)
    baseline = Baseline.fit(X, 10)
    few = baseline.errors(gaps)[3]
    known = ~np.isnan(gaps)
    filled = np.where(known, gaps, X.mean(0))
    pca = PCA(3).fit(X)
    expected = np.square(gaps - pca.inverse_transform(pca.transform(filled)))[known].mean()
    assert few == pytest.approx(expected, rel=1e-4)


def test_rows_of_which_nothing_is_known_have_no_error():
    assert Baseline.fit(X, 2).errors(np.full((3, 10), np.nan)) == [0.0, 0.0, 0.0]
