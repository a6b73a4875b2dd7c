import numpy as np
import pytest
from scipy.linalg import sqrtm
from scipy.spatial.distance import cdist

from attar.errors import DataError, SettingError
from attar.evaluation.generation import frechet_distance, overlap

CHANCE = np.random.default_rng(0)
X, Y = CHANCE.normal(size=(400, 5)), CHANCE.normal(size=(300, 5)) @ CHANCE.normal(size=(5, 5)) + 1


def with_moments(rows, mean, root):
    """Return rows that have exactly this mean, and the covariance root·rootᵀ."""
    still = rows - rows.mean(0)
    white = still @ np.linalg.inv(np.linalg.cholesky(np.cov(still, rowvar=False)).T)
    return white @ np.transpose(root) + mean


def test_the_frechet_distance_of_gaussians_with_common_axes_has_a_closed_form():
    means, deviations = np.array([[0, 1, 2], [3, 1, 0.0]]), np.array([[1, 2, 0.5], [2, 2, 3.0]])
    one, other = (
        with_moments(CHANCE.normal(size=(50, 3)), mean, np.diag(deviation))
        for mean, deviation in zip(means, deviations, strict=True)
    )
    expected = (
        np.square(np.diff(means, axis=0)).sum() + np.square(np.diff(deviations, axis=0)).sum()
    )
    assert frechet_distance(one, other) == pytest.approx(expected, rel=1e-9)


def test_the_frechet_distance_is_that_of_scipys_matrix_root():
    one, other = np.cov(X, rowvar=False), np.cov(Y, rowvar=False)
    cross = np.trace(sqrtm(one @ other)).real
    between = np.square(X.mean(0) - Y.mean(0)).sum()
    expected = between + np.trace(one) + np.trace(other) - 2 * cross
    assert frechet_distance(X, Y) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(Y, X) == pytest.approx(expected, rel=1e-9)


def test_the_frechet_distance_of_equal_rows_is_nothing_even_where_columns_repeat():
    flat = np.c_[X, X, np.ones(len(X))]
    assert frechet_distance(flat, flat) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(flat, flat + 2) == pytest.approx(4 * 11, rel=1e-9)
    assert frechet_distance(X[:, :1], 3 * X[:, :1] - 2 * X[:, :1].mean()) == pytest.approx(
        4 * X[:, 0].var(ddof=1), rel=1e-9
    )


def test_equal_rows_overlap_wholly():
    found = overlap(X, X, k=5)
    assert (found.precision, found.recall, found.coverage) == (1, 1, 1)
    # Each ball holds its own row and its five neighbours.
    assert found.density == pytest.approx(6 / 5)


def test_rows_far_apart_do_not_overlap():
    found = overlap(X, X + 100)
    assert (found.precision, found.recall, found.density, found.coverage) == (0, 0, 0, 0)


def test_a_lost_mode_costs_recall_and_coverage_alone():
    real = np.r_[X[:100], X[100:200] + 50]
    found = overlap(real, X[:100])
    assert (found.precision, found.recall, found.coverage) == (1, 0.5, 0.5)


def test_an_invented_mode_costs_precision_and_density_alone():
    found = overlap(X[:100], np.r_[X[:100], X[100:200] + 50])
    assert (found.precision, found.recall, found.coverage) == (0.5, 1, 1)
    assert found.density == pytest.approx(6 / 5 / 2)


def test_equal_distributions_have_the_expected_density_and_coverage():
    one, other = np.random.default_rng(4).random((2, 3000, 2))
    found = overlap(one, other, k=5)
    assert found.density == pytest.approx(1, abs=0.05)
    assert found.coverage == pytest.approx(1 - 2**-5, abs=0.02)


@pytest.mark.parametrize("k", [1, 4])
def test_the_overlap_is_that_of_its_definition(k, monkeypatch):
    monkeypatch.setattr("attar.evaluation.generation.PAIRS", 1000)
    reach, other_reach = (np.sort(cdist(rows, rows), axis=1)[:, k] for rows in (X, Y))
    inside = cdist(X, Y) <= reach[:, None]
    found = overlap(X, Y, k)
    assert found.precision == inside.any(0).mean()
    assert found.density == pytest.approx(inside.sum(0).mean() / k)
    assert found.coverage == inside.any(1).mean()
    assert found.recall == (cdist(X, Y) <= other_reach).any(1).mean()


def test_rows_that_all_repeat_are_found_in_balls_without_extent():
    bits = np.repeat([[0.0, 1.0], [1.0, 1.0]], 10, axis=0)
    found = overlap(bits, bits, k=5)
    assert (found.precision, found.recall, found.coverage) == (1, 1, 1)


def test_too_few_rows_for_the_neighbours_are_refused():
    with pytest.raises(SettingError, match="more than 5 rows, not 5"):
        overlap(X[:5], Y)
    with pytest.raises(SettingError, match="smaller k"):
        overlap(X, Y[:3])


def test_images_are_compared_cell_by_cell():
    images, others = X[:, :4].reshape(-1, 2, 2), Y[:, :4].reshape(-1, 2, 2)
    assert frechet_distance(images, others) == frechet_distance(X[:, :4], Y[:, :4])
    assert overlap(images, others) == overlap(X[:, :4], Y[:, :4])


@pytest.mark.parametrize("measure", [frechet_distance, overlap])
def test_what_cannot_be_compared_is_refused(measure):
    with pytest.raises(DataError, match="5 features cannot be compared with rows of 1"):
        measure(X, Y[:, :1])
    with pytest.raises(DataError, match="none missing"):
        measure(X, np.where(Y > 1, np.nan, Y))
    with pytest.raises(DataError, match="one or more"):
        measure(X, Y[:0])


def test_a_single_row_has_no_covariance():
    with pytest.raises(DataError, match="two real and two generated rows"):
        frechet_distance(X, Y[:1])
