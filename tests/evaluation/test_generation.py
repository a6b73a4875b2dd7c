import math

import numpy as np
import pytest
from scipy.linalg import sqrtm
from scipy.spatial.distance import cdist

from attar.errors import DataError, SettingError
from attar.evaluation.generation import frechet_distance, memorization, overlap

GENERATOR = np.random.default_rng(0)
X, Y = (
    GENERATOR.normal(size=(400, 5)),
    GENERATOR.normal(size=(300, 5)) @ GENERATOR.normal(size=(5, 5)) + 1,
)
TRAIN, HELD_OUT, NEW = np.random.default_rng(0).normal(size=(3, 2000, 4))


def with_moments(rows, mean, root):
    """Return rows that have exactly this mean, and the covariance root·rootᵀ."""
    centred = rows - rows.mean(0)
    white = centred @ np.linalg.inv(np.linalg.cholesky(np.cov(centred, rowvar=False)).T)
    return white @ np.transpose(root) + mean


def test_the_frechet_distance_of_gaussians_with_common_axes_has_a_closed_form():
    means, deviations = np.array([[0, 1, 2], [3, 1, 0.0]]), np.array([[1, 2, 0.5], [2, 2, 3.0]])
    one, other = (
        with_moments(GENERATOR.normal(size=(50, 3)), mean, np.diag(deviation))
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


def test_the_frechet_distance_of_equal_rows_is_0_for_singular_covariances():
    flat = np.c_[X, X, np.ones(len(X))]
    assert frechet_distance(flat, flat) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(flat, flat + 2) == pytest.approx(4 * 11, rel=1e-9)
    assert frechet_distance(X[:, :1], 3 * X[:, :1] - 2 * X[:, :1].mean()) == pytest.approx(
        4 * X[:, 0].var(ddof=1), rel=1e-9
    )


def test_equal_rows_have_full_precision_recall_and_coverage():
    found = overlap(X, X, k=5)
    assert (found.precision, found.recall, found.coverage) == (1, 1, 1)
    # Each ball holds its own row and its five neighbours.
    assert found.density == pytest.approx(6 / 5)


def test_rows_far_apart_do_not_overlap():
    found = overlap(X, X + 100)
    assert (found.precision, found.recall, found.density, found.coverage) == (0, 0, 0, 0)


def test_a_missing_mode_lowers_recall_and_coverage_only():
    real = np.r_[X[:100], X[100:200] + 50]
    found = overlap(real, X[:100])
    assert (found.precision, found.recall, found.coverage) == (1, 0.5, 0.5)


def test_a_spurious_mode_lowers_precision_and_density_only():
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
    radius, other_radius = (np.sort(cdist(rows, rows), axis=1)[:, k] for rows in (X, Y))
    inside = cdist(X, Y) <= radius[:, None]
    found = overlap(X, Y, k)
    assert found.precision == inside.any(0).mean()
    assert found.density == pytest.approx(inside.sum(0).mean() / k)
    assert found.coverage == inside.any(1).mean()
    assert found.recall == (cdist(X, Y) <= other_radius).any(1).mean()


def test_repeated_rows_lie_in_balls_of_radius_0():
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
def test_rows_that_cannot_be_compared_are_refused(measure):
    with pytest.raises(DataError, match="5 features cannot be compared with rows of 1"):
        measure(X, Y[:, :1])
    with pytest.raises(DataError, match="none missing"):
        measure(X, np.where(Y > 1, np.nan, Y))
    with pytest.raises(DataError, match="one or more"):
        measure(X, Y[:0])


def test_a_single_row_has_no_covariance():
    with pytest.raises(DataError, match="at least two real and two generated rows"):
        frechet_distance(X, Y[:1])


def test_copies_are_flagged():
    found = memorization(TRAIN[:500], TRAIN, HELD_OUT)
    assert found.sample_distance == pytest.approx(0, abs=1e-6)
    assert found.ratio == pytest.approx(0, abs=1e-6)
    assert found.copies == 1


def test_new_rows_are_as_far_as_held_out_ones():
    found = memorization(NEW, TRAIN, HELD_OUT)
    assert found.ratio == pytest.approx(1, abs=0.05)
    assert found.copies == pytest.approx(0.01, abs=0.01)


def test_the_fraction_of_copies_among_new_rows():
    found = memorization(np.r_[TRAIN[:500] + 1e-4, NEW[:1500]], TRAIN, HELD_OUT)
    assert found.copies == pytest.approx(0.25, abs=0.01)


def test_distances_are_to_the_nearest_training_row():
    train = np.array([[0.0, 0.0], [10.0, 0.0]])
    found = memorization(np.array([[0.0, 3.0], [10.0, 5.0]]), train, np.array([[0.0, 8.0]]))
    assert (found.sample_distance, found.held_out_distance, found.ratio) == (4, 8, 0.5)
    assert found.copies == 1


def test_the_ratio_is_nan_where_held_out_rows_are_copies():
    found = memorization(TRAIN[:9], TRAIN, TRAIN[:50])
    assert math.isnan(found.ratio)
    assert found.copies == 0


def test_memorization_refuses_rows_of_another_width():
    with pytest.raises(DataError, match="cannot be compared"):
        memorization(NEW[:, :2], TRAIN, HELD_OUT)
