import numpy as np
import pytest
from scipy.stats import entropy

from attar.evaluation.metrics import perplexity, relative_perplexity, usage

# All used alike, one alone, two of four with shares 3/4 and 1/4.
SYMBOLS = np.stack([np.arange(8), np.full(8, 5), np.r_[[0] * 6, [2] * 2]], axis=1)
SIZES = (8, 10, 4)


def test_usage_is_the_share_of_entries_that_occur():
    np.testing.assert_allclose(usage(SYMBOLS, SIZES), [1, 0.1, 0.5])


def test_perplexity_is_the_size_for_even_use_and_one_for_one_symbol():
    expected = [8, 1, np.exp(entropy([0.75, 0.25]))]
    np.testing.assert_allclose(perplexity(SYMBOLS, SIZES), expected)
    np.testing.assert_allclose(relative_perplexity(SYMBOLS, SIZES), np.divide(expected, SIZES))


def test_positions_that_share_a_codebook_are_one_column():
    shared = np.array([[0, 1], [2, 3]])
    np.testing.assert_allclose(perplexity(shared, (4, 4)), [2, 2])
    np.testing.assert_allclose(perplexity(shared.reshape(-1, 1), (4,)), [4])
    np.testing.assert_allclose(usage(shared.reshape(-1, 1), (8,)), [0.5])


def test_each_position_needs_its_size():
    with pytest.raises(ValueError, match="zip"):
        usage(SYMBOLS, (8, 10))
