import numpy as np

from attar.data.summary import with_means


def test_what_is_missing_becomes_the_mean_of_what_is_known():
    columns = np.array([[1.0, np.nan, np.nan], [3.0, 5.0, np.nan], [np.nan, 7.0, np.nan]])
    expected = [[1.0, 6.0, 0.0], [3.0, 5.0, 0.0], [2.0, 7.0, 0.0]]
    np.testing.assert_array_equal(with_means(columns), expected)


def test_what_is_complete_stays_the_same_object():
    columns = np.ones((2, 2), np.float32)
    assert with_means(columns) is columns
