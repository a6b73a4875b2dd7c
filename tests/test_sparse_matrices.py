"""Sparse matrices are learnt as they are, and come back in their own form."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

import attar
from attar import recipes
from attar.data.sparse import Sparse
from attar.likelihoods import Multinomial
from attar.networks import Bag

# Recipes that need nothing but the rows, whatever these are.
PLAIN = [
    name
    for name, row in recipes.TABLE.items()
    if row.recipe.condition is None and row.recipe.likelihood is None
]


def quick(*args, **settings):
    settings = {"epochs": 5, "random_state": 0, "verbose": False} | settings
    return attar.Autoencoder(*args, **settings)


def topics(n=500, width=60, seed=0):
    """Counts of words in texts of three topics, each with words of its own."""
    generator = np.random.default_rng(seed)
    rates = np.full((3, width), 0.02)
    for topic in range(3):
        rates[topic, topic * 20 : topic * 20 + 20] = 0.8
    label = generator.integers(0, 3, n)
    return generator.poisson(rates[label]), label


@pytest.mark.parametrize("form", [sparse.csr_array, sparse.csr_matrix, sparse.coo_array])
def test_a_sparse_matrix_comes_back_in_its_own_form(form, tmp_path):
    dense, label = topics()
    matrix = form(dense)
    ae = quick(code_size=2, epochs=40).fit(matrix)
    assert isinstance(ae._fitted.likelihood, Multinomial)
    assert isinstance(ae._fitted.network, Bag)
    back = ae.reconstruct(matrix)
    assert type(back) is type(matrix)
    assert (back.shape, back.dtype, back.format) == (matrix.shape, matrix.dtype, matrix.format)
    # Words of other topics do not come back.
    own = np.repeat(np.arange(3), 20)[None] == label[:, None]
    full = back.toarray()
    assert (full[own] > 0).mean() > 0.8
    assert (full[~own] > 0).mean() < 0.02
    assert ae.evaluate(matrix)["rows"] == 500
    ae.save(tmp_path / "m.attar")
    again = attar.load(tmp_path / "m.attar")
    codes = ae.transform(matrix)
    assert_array_equal(again.transform(matrix), codes)
    assert_array_equal(again.reconstruct(matrix).toarray(), full)
    assert_array_equal(again.score_samples(matrix), ae.score_samples(matrix))
    assert type(again.inverse_transform(codes)) is type(matrix)
    assert type(again.sample(3, random_state=0)) is type(matrix)


def test_dense_and_sparse_rows_get_the_same_from_a_sparse_model():
    dense, _ = topics()
    ae = quick(code_size=2).fit(sparse.csr_array(dense))
    codes = ae.transform(sparse.csr_array(dense))
    assert_allclose(ae.transform(dense), codes, rtol=1e-6, atol=1e-6)
    assert sparse.issparse(ae.reconstruct(dense))


@pytest.mark.parametrize("name", PLAIN)
def test_every_recipe_learns_sparse_matrices(name):
    dense, _ = topics(200)
    ae = quick(name).fit(sparse.csr_array(dense))
    assert np.isfinite(ae.score_samples(sparse.csr_array(dense))).all()
    assert ae.history_[-1].loss < ae.history_[0].loss


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.float32, np.float64, bool])
def test_sparse_values_of_any_type_come_back_in_their_range(dtype):
    dense, _ = topics(200)
    matrix = sparse.csr_array(dense.astype(dtype))
    back = quick(likelihood="gaussian").fit(matrix).reconstruct(matrix)
    assert back.dtype == dtype
    assert_allclose(back.toarray(), dense.astype(dtype), atol=dense.max())


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [("uint8", [0, 255, 0]), ("int8", [-1, 127, 0]), ("bool", [0, 1, 0])],
)
def test_sparse_whole_numbers_are_rounded_and_never_wrap_around(dtype, expected):
    kind, _ = Sparse.of([sparse.csr_array(np.eye(3, dtype=dtype))])
    back = kind.restore(kind.thinned(np.array([[-1.4, 300.0, 0.2]])))
    assert back.dtype == dtype
    assert_array_equal(back.toarray(), np.array([expected], dtype))


def test_entries_that_are_stored_twice_are_one():
    dense, _ = topics(100)
    once = sparse.csr_array(dense)
    twice = sparse.csr_array(
        (np.repeat(once.data, 2), np.repeat(once.indices, 2), 2 * once.indptr), once.shape
    )
    assert not twice.has_canonical_format
    ae = quick(code_size=2).fit(2 * once)
    assert_array_equal(ae.transform(twice), ae.transform(2 * once))
    assert_array_equal(ae.score_samples(twice), ae.score_samples(2 * once))
    assert twice.nnz == 2 * once.nnz
