import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from attar.data.summary import Moments, with_means

columns = nps.arrays(
    np.float64,
    st.tuples(st.integers(1, 40), st.integers(1, 3)),
    elements=st.floats(-1e3, 1e3) | st.just(np.nan),
)


def check(moments, values):
    for j in range(values.shape[1]):
        known = values[~np.isnan(values[:, j]), j]
        assert moments.count[j] == len(known)
        if len(known):
            assert moments.mean[j] == pytest.approx(known.mean(), abs=1e-9)
            assert moments.deviation[j] == pytest.approx(known.std(), abs=1e-6)
            assert (moments.low[j], moments.high[j]) == (known.min(), known.max())


@given(columns)
def test_moments_are_numpys_without_what_is_missing(values):
    check(Moments.of(values), values)


@given(columns, st.integers(0, 40))
def test_moments_of_pieces_merge_to_those_of_the_whole(values, cut):
    pieces = values[:cut], values[cut:]
    merged = Moments.none(values.shape[1])
    for piece in pieces:
        merged = merged.merged(Moments.of(piece))
    check(merged, values)


def test_many_rows_are_taken_in_chunks_without_a_difference():
    values = np.random.default_rng(0).normal(3, 2, (300_000, 2))
    check(Moments.of(values), values)


@given(nps.arrays(np.uint8, st.integers(1, 200)))
def test_bytes_are_counted(values):
    column = values[:, None]
    check(Moments.of(column), column.astype(float))


def test_a_large_mean_costs_no_digits():
    values = 1e9 + np.random.default_rng(0).normal(size=(10_000, 1))
    merged = Moments.of(values[:10]).merged(Moments.of(values[10:]))
    assert merged.deviation[0] == pytest.approx(values.std(), rel=1e-6)


def test_columns_stand_side_by_side():
    a, b = np.arange(4.0)[:, None], np.ones((4, 2))
    check(Moments.beside([Moments.of(a), Moments.of(b)]), np.hstack([a, b]))


def test_what_is_missing_becomes_the_mean_of_what_is_known():
    columns = np.array([[1.0, np.nan, np.nan], [3.0, 5.0, np.nan], [np.nan, 7.0, np.nan]])
    expected = [[1.0, 6.0, 0.0], [3.0, 5.0, 0.0], [2.0, 7.0, 0.0]]
    np.testing.assert_array_equal(with_means(columns), expected)


def test_what_is_complete_stays_the_same_object():
    columns = np.ones((2, 2), np.float32)
    assert with_means(columns) is columns
