import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

import attar
from attar import recipes
from attar.data.kinds import preparation
from attar.data.scaling import Standard
from attar.data.sparse import SparseMatrix
from attar.errors import DataError, SettingError
from attar.likelihoods import Multinomial
from attar.networks import Bag


def counts(n=30, width=12, seed=0, storage="csr"):
    dense = np.random.default_rng(seed).poisson(0.3, (n, width))
    return sparse.csr_array(dense).asformat(storage)


def prepared(matrix):
    kind, summary = SparseMatrix.of([matrix])
    return preparation(kind, kind.scaling(summary), summary), kind.rows(matrix)


@given(
    st.sampled_from(["csr", "csc", "coo", "lil", "dok"]),
    st.sampled_from([np.int64, np.int8, np.float32, np.float64, bool]),
    st.booleans(),
    st.integers(0, 1000),
)
def test_a_matrix_is_restored_in_its_own_form(storage, dtype, array, seed):
    dense = np.random.default_rng(seed).poisson(0.3, (9, 7)).astype(dtype)
    form = sparse.csr_array if array else sparse.csr_matrix
    matrix = form(dense).asformat(storage)
    how, rows = prepared(matrix)
    kind = SparseMatrix.from_json(how.kind.to_json())
    parts = [how.raw(how.prepare(part)) for part in (rows[:4], rows[4:])]
    back = kind.restore(how.stacked(parts))
    assert type(back) is type(matrix)
    assert (back.format, back.dtype) == (storage, matrix.dtype)
    assert_array_equal(back.toarray(), dense)


def test_the_encoder_sees_sparse_rows_and_the_loss_dense_ones():
    matrix = counts()
    how, rows = prepared(matrix)
    chosen = torch.tensor([3, 0, 29])
    batch = how.hold(rows, torch.device("cpu")).batch(chosen)
    expected = torch.from_numpy(matrix.toarray()[chosen.numpy()]).float()
    assert batch.values.is_sparse
    torch.testing.assert_close(batch.values.to_dense(), expected)
    torch.testing.assert_close(batch.target, expected)


def test_reconstructions_far_below_the_smallest_value_are_zero():
    matrix = sparse.csr_array(np.array([[0.5, 0.0], [0.0, 2.0]]))
    kind, _ = SparseMatrix.of([matrix])
    rows = kind.sparsified(np.array([[0.24, 0.26], [-0.3, 1e-9]]))
    assert rows.nnz == 2
    assert_array_equal(rows.toarray(), [[0, 0.26], [-0.3, 0]])


def test_the_summary_is_of_the_stored_values():
    matrix = counts()
    _, summary = SparseMatrix.of([matrix])
    assert summary.rows == 30
    assert summary.moments.mean[0] == pytest.approx(matrix.data.mean())
    assert_array_equal(summary.sample.toarray(), matrix.toarray())
    assert not summary.missing


def test_a_scaling_that_moves_zeros_is_refused():
    kind, summary = SparseMatrix.of([counts()])
    with pytest.raises(SettingError, match="'standard' would make a sparse matrix dense"):
        preparation(kind, Standard(), summary)


def test_bad_matrices_are_refused():
    kind, _ = SparseMatrix.of([counts()])
    with pytest.raises(DataError, match="X has 5 features, but attar is expecting 12"):
        kind.rows(counts(width=5))
    broken = counts().astype(float)
    broken.data[2] = np.nan
    with pytest.raises(DataError, match="missing values"):
        kind.rows(broken)
    broken.data[2] = np.inf
    with pytest.raises(DataError, match="The sparse matrix has 1 infinite values"):
        kind.rows(broken)
    with pytest.raises(DataError, match="complex128"):
        kind.rows(counts().astype(complex))


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


def test_a_model_reconstructs_a_sparse_matrix_in_its_own_form(tmp_path):
    dense, label = topics()
    matrix = sparse.coo_array(dense)
    ae = quick(code_size=2, epochs=40).fit(matrix)
    assert isinstance(ae._fitted.likelihood, Multinomial)
    assert isinstance(ae._fitted.network, Bag)
    back = ae.reconstruct(matrix)
    assert type(back) is type(matrix)
    assert (back.shape, back.dtype, back.format) == (matrix.shape, matrix.dtype, matrix.format)
    # Words of other topics are not reconstructed.
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
def test_every_recipe_fits_sparse_matrices(name):
    dense, _ = topics(60)
    ae = quick(name, epochs=3).fit(sparse.csr_array(dense))
    assert np.isfinite(ae.score_samples(sparse.csr_array(dense))).all()
    assert ae.history_.loss.iloc[-1] < ae.history_.loss.iloc[0]


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.float32, np.float64, bool])
def test_sparse_values_of_any_type_are_reconstructed_in_their_range(dtype):
    dense, _ = topics(200)
    matrix = sparse.csr_array(dense.astype(dtype))
    back = quick(likelihood="gaussian").fit(matrix).reconstruct(matrix)
    assert back.dtype == dtype
    assert_allclose(back.toarray(), dense.astype(dtype), atol=dense.max())


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [("uint8", [0, 255, 0]), ("int8", [-1, 127, 0]), ("bool", [0, 1, 0])],
)
def test_sparse_integers_are_rounded_and_never_wrap_around(dtype, expected):
    kind, _ = SparseMatrix.of([sparse.csr_array(np.eye(3, dtype=dtype))])
    back = kind.restore(kind.sparsified(np.array([[-1.4, 300.0, 0.2]])))
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


@pytest.mark.parametrize(
    "matrix", [sparse.csr_matrix((50, 10)), sparse.coo_array(([0], ([1], [2])))]
)
def test_a_matrix_of_zeros_is_refused_in_a_sentence(matrix):
    with pytest.raises(DataError, match="All cells of the sparse matrix are zero: there is noth"):
        quick().fit(matrix)


def test_the_total_of_a_row_is_the_mean_of_all_rows():
    # The few rows that choices are made from are all zero.
    matrix = sparse.csr_array(([3, 5], ([7, 9], [1, 2])), (2000, 10))
    assert quick(epochs=1).fit(matrix)._fitted.likelihood == Multinomial(8 / 2000)


def ratings(n=400, width=30, seed=0):
    """Ratings of rank 2, from 1 to 5: those of all cells, and the matrix of the known third."""
    generator = np.random.default_rng(seed)
    full = 3 + generator.normal(size=(n, 2)) @ generator.normal(size=(2, width))
    full = np.clip(np.rint(full), 1, 5)
    places = np.nonzero(generator.random((n, width)) < 0.35)
    return full, sparse.csr_array((full[places], places), full.shape)


def known_cells(matrix):
    cells = matrix.tocoo()
    known = np.zeros(matrix.shape, bool)
    known[cells.row, cells.col] = True
    return known


def test_absent_ratings_are_missing_and_stored_zeros_are_not():
    given = sparse.csr_array(([0.0, 4.0, 2.0], ([0, 0, 1], [1, 2, 0])), (2, 3))
    kind, summary = SparseMatrix.of([attar.Sparse(given, absent="missing")])
    how = preparation(kind, kind.scaling(summary), summary)
    assert summary.missing
    inspection = attar.Autoencoder().inspect(attar.Sparse(given, absent="missing"))
    assert inspection.columns[0].missing == 0.5
    z = np.sqrt(1.5)  # 0, 2 and 4 have the mean 2 and the variance 8 / 3
    expected = np.array([[np.nan, -z, z], [0, np.nan, np.nan]])
    assert_allclose(how.prepare(kind.rows(given)).numpy(), expected, rtol=1e-6)
    batch = how.batch(kind.rows(given), torch.float64, torch.device("cpu"))
    assert_allclose(batch.values.to_dense().numpy(), np.nan_to_num(expected), rtol=1e-12)
    assert_allclose(batch.target.numpy(), np.nan_to_num(expected), rtol=1e-12)
    assert_array_equal(batch.observed.numpy(), ~np.isnan(expected))
    back = how.raw(batch.target)
    assert_array_equal(known_cells(back), True)
    assert_allclose(back.toarray(), np.nan_to_num(expected) * np.sqrt(8 / 3) + 2, rtol=1e-12)


def test_known_ratings_are_hidden_from_the_encoder_only():
    _, matrix = ratings()
    kind, summary = SparseMatrix.of([attar.Sparse(matrix, absent="missing")])
    how = preparation(kind, kind.scaling(summary), summary)
    torch.manual_seed(0)
    held = how.hold(kind.rows(matrix), torch.device("cpu"), hidden=0.15)
    batch = held.batch(torch.arange(400))
    known, visible = known_cells(matrix), batch.visible.numpy()
    assert_array_equal(batch.observed.numpy(), known)
    assert not (visible & ~known).any()
    # A row hides 0 to 30% of its cells.
    assert 1 - visible.sum() / known.sum() == pytest.approx(0.15, abs=0.03)
    assert_array_equal(batch.values.to_dense().numpy(), batch.target.numpy() * visible)


@pytest.mark.parametrize("recipe", ["ae", "vae"])
def test_unknown_ratings_are_predicted(recipe, tmp_path):
    full, matrix = ratings(400)
    ae = quick(recipe, code_size=4, epochs=40)
    ae.fit(attar.Sparse(matrix, absent="missing"))
    unknown = ~known_cells(matrix)
    means = matrix.sum(0) / known_cells(matrix).sum(0)

    def error(predicted):
        return np.sqrt(np.mean((predicted - full)[unknown] ** 2))

    predicted = ae.expected_values(matrix, range(30))
    assert error(predicted) < 0.6 * error(np.broadcast_to(means, full.shape))
    assert_allclose(ae.reconstruct(matrix).toarray(), predicted, rtol=1e-4)
    best = np.argsort(-np.where(unknown, predicted, -np.inf), axis=1)[:, :3]
    assert_array_equal(ae.recommend(matrix, 3)[0], best)
    ae.save(tmp_path / "m.attar")
    again = attar.load(tmp_path / "m.attar")
    assert_array_equal(again.expected_values(matrix, range(30)), predicted)
    assert_array_equal(again.score_samples(matrix), ae.score_samples(matrix))


def test_the_score_of_ratings_does_not_depend_on_the_absent_cells_stored_form():
    _, matrix = ratings()
    ae = quick().fit(attar.Sparse(matrix, absent="missing"))
    for form in (sparse.coo_array, sparse.csc_matrix):
        assert_array_equal(ae.transform(form(matrix)), ae.transform(matrix))
    wrapped = attar.Sparse(matrix, absent="missing")
    assert_array_equal(ae.score_samples(wrapped), ae.score_samples(matrix))


@pytest.mark.parametrize("name", PLAIN)
def test_every_recipe_fits_ratings(name):
    _, matrix = ratings(200)
    ae = quick(name).fit(attar.Sparse(matrix, absent="missing"))
    assert np.isfinite(ae.score_samples(matrix[:20])).all()
    cells = matrix.tocoo()
    error = ae.reconstruct(matrix).toarray()[cells.row, cells.col] - cells.data
    assert np.square(error).mean() < cells.data.var()


def test_ratings_of_the_wrong_form_are_refused():
    _, matrix = ratings(50)
    ae = quick().fit(attar.Sparse(matrix, absent="missing"))
    with pytest.raises(DataError, match="dense X has none: give a scipy"):
        ae.transform(matrix.toarray())
    with pytest.raises(DataError, match="fitted with absent='missing', but X has absent='zero'"):
        ae.transform(attar.Sparse(matrix))
    with pytest.raises(DataError, match=r"attar.Sparse takes a scipy.sparse matrix, not ndarray"):
        quick().fit(attar.Sparse(matrix.toarray(), absent="missing"))
    with pytest.raises(SettingError, match="absent"):
        attar.Sparse(matrix, absent="mising")
    with pytest.raises(SettingError, match="'multinomial' needs complete rows"):
        quick(likelihood="multinomial").fit(attar.Sparse(matrix, absent="missing"))
    with pytest.raises(DataError, match="All values are missing"):
        quick().fit(attar.Sparse(sparse.csr_array((20, 4)), absent="missing"))
