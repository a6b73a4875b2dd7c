import math

import numpy as np
import pytest

from attar.errors import DataError
from attar.evaluation.generation import memorization

CHANCE = np.random.default_rng(0)
TRAIN, HELD_OUT, NEW = CHANCE.normal(size=(3, 2000, 4))


def test_copies_are_flagged():
    found = memorization(TRAIN[:500], TRAIN, HELD_OUT)
    assert found.sample_distance == pytest.approx(0, abs=1e-6)
    assert found.ratio == pytest.approx(0, abs=1e-6)
    assert found.copies == 1


def test_new_rows_are_as_far_as_unseen_ones():
    found = memorization(NEW, TRAIN, HELD_OUT)
    assert found.ratio == pytest.approx(1, abs=0.05)
    assert found.copies == pytest.approx(0.01, abs=0.01)


def test_the_share_of_copies_is_found_among_new_rows():
    found = memorization(np.r_[TRAIN[:500] + 1e-4, NEW[:1500]], TRAIN, HELD_OUT)
    assert found.copies == pytest.approx(0.25, abs=0.01)


def test_distances_are_to_the_nearest_row_learnt_from():
    train = np.array([[0.0, 0.0], [10.0, 0.0]])
    found = memorization(np.array([[0.0, 3.0], [10.0, 5.0]]), train, np.array([[0.0, 8.0]]))
    assert (found.sample_distance, found.held_out_distance, found.ratio) == (4, 8, 0.5)
    assert found.copies == 1


def test_where_unseen_rows_are_copies_nothing_can_be_said():
    found = memorization(TRAIN[:9], TRAIN, TRAIN[:50])
    assert math.isnan(found.ratio)
    assert found.copies == 0


def test_rows_of_other_features_are_refused():
    with pytest.raises(DataError, match="cannot be compared"):
        memorization(NEW[:, :2], TRAIN, HELD_OUT)
