"""P-values and false discoveries are those of the books."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from attar.tasks.anomalies.calibration import (
    alarm_interval,
    discoveries,
    own_surprise,
    pvalues,
    surprise,
)

# Benjamini and Hochberg 1995, section 3.2: four of fifteen are rejected at 0.05.
PUBLISHED = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240]
PUBLISHED += [0.4262, 0.5719, 0.6528, 0.7590, 1.0]


@given(st.lists(st.integers(0, 5), min_size=2, max_size=6), st.floats(0.01, 0.99))
def test_a_row_like_the_others_has_no_smaller_pvalue_than_promised(scores, level):
    # Each of n + 1 exchangeable rows may be the new one.
    found = []
    for new in range(len(scores)):
        others = np.delete(np.array(scores, float), new)
        found.append(pvalues(others, np.array([float(scores[new])]))[0])
    assert np.mean(np.array(found) <= level) <= level + 1e-12


def test_pvalues_count_scores_that_are_at_least_as_large():
    for calibration in permutations([0.0, 1.0, 1.0, 4.0]):
        found = pvalues(np.array(calibration), np.array([-1.0, 1.0, 2.0, 4.0, 5.0]))
        np.testing.assert_allclose(found, [1.0, 0.8, 0.4, 0.4, 0.2])
    found = surprise(np.arange(99.0), np.array([98.0, 98.001, 147.0]))
    np.testing.assert_allclose(found, [np.log(50), np.log(100), np.log(200)], rtol=1e-4)


@given(st.lists(st.integers(0, 9), min_size=2, max_size=9))
def test_no_row_calibrates_its_own_score(scores):
    values = np.array(scores, float)
    others = [surprise(np.delete(values, i), values[[i]])[0] for i in range(len(values))]
    np.testing.assert_allclose(own_surprise(values), others)


def test_discoveries_are_those_of_the_published_example():
    found = discoveries(np.array(PUBLISHED), 0.05)
    assert found.sum() == 4
    assert found[:4].all()


@pytest.mark.parametrize(("rate", "rows"), [(0.01, 500), (0.1, 60)])
def test_the_interval_holds_the_share_of_false_alarms(rate, rows):
    rng = np.random.default_rng(0)
    low, high = alarm_interval(rate, rows)
    shares = []
    for _ in range(2000):
        # Of uniform scores the share of new ones beyond a limit is known.
        ordered = np.sort(rng.random(rows))[::-1]
        rank = int(rate * (rows + 1))
        shares.append(1 - ordered[rank - 1])
    assert np.mean((np.array(shares) >= low) & (np.array(shares) <= high)) == pytest.approx(
        0.95, abs=0.02
    )
    assert np.mean(shares) == pytest.approx(rank / (rows + 1), rel=0.05)


def test_too_few_rows_flag_nothing():
    assert alarm_interval(0.01, 98) == (0.0, 0.0)
    low, high = alarm_interval(0.01, 99)
    assert (low, high) == pytest.approx(tuple(stats.beta(1, 99).ppf([0.025, 0.975])))
