import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from attar.data.kinds import preparation
from attar.data.scaling import Standard
from attar.data.sparse import Sparse
from attar.errors import DataError, SettingError


def counts(n=30, width=12, seed=0, layout="csr"):
    dense = np.random.default_rng(seed).poisson(0.3, (n, width))
    return sparse.csr_array(dense).asformat(layout)


def prepared(matrix):
    kind, summary = Sparse.of([matrix])
    return preparation(kind, kind.scaling(summary), summary), kind.rows(matrix)


@given(
    st.sampled_from(["csr", "csc", "coo", "lil", "dok"]),
    st.sampled_from([np.int64, np.int8, np.float32, np.float64, bool]),
    st.booleans(),
    st.integers(0, 1000),
)
def test_a_matrix_comes_back_in_its_own_form(layout, dtype, array, seed):
    dense = np.random.default_rng(seed).poisson(0.3, (9, 7)).astype(dtype)
    form = sparse.csr_array if array else sparse.csr_matrix
    matrix = form(dense).asformat(layout)
    how, rows = prepared(matrix)
    kind = Sparse.from_json(how.kind.to_json())
    parts = [how.raw(how.prepare(part)) for part in (rows[:4], rows[4:])]
    back = kind.restore(how.stacked(parts))
    assert type(back) is type(matrix)
    assert (back.format, back.dtype) == (layout, matrix.dtype)
    np.testing.assert_array_equal(back.toarray(), dense)


def test_the_encoder_sees_sparse_rows_and_the_loss_dense_ones():
    matrix = counts()
    how, rows = prepared(matrix)
    chosen = torch.tensor([3, 0, 29])
    batch = how.hold(rows, torch.device("cpu")).batch(chosen)
    expected = torch.from_numpy(matrix.toarray()[chosen.numpy()]).float()
    assert batch.values.is_sparse
    torch.testing.assert_close(batch.values.to_dense(), expected)
    torch.testing.assert_close(batch.target, expected)


def test_what_comes_back_far_below_the_smallest_value_is_zero():
    matrix = sparse.csr_array(np.array([[0.5, 0.0], [0.0, 2.0]]))
    kind, _ = Sparse.of([matrix])
    thinned = kind.thinned(np.array([[0.24, 0.26], [-0.3, 1e-9]]))
    assert thinned.nnz == 2
    np.testing.assert_array_equal(thinned.toarray(), [[0, 0.26], [-0.3, 0]])


def test_the_summary_is_of_the_stored_values():
    matrix = counts()
    _, summary = Sparse.of([matrix])
    assert summary.rows == 30
    assert summary.moments.mean[0] == pytest.approx(matrix.data.mean())
    np.testing.assert_array_equal(summary.sample.toarray(), matrix.toarray())
    assert not summary.missing


def test_a_scaling_that_moves_zeros_is_refused():
    kind, summary = Sparse.of([counts()])
    with pytest.raises(SettingError, match="'standard' would make a sparse matrix dense"):
        preparation(kind, Standard(), summary)


def test_bad_matrices_are_refused():
    kind, _ = Sparse.of([counts()])
    with pytest.raises(DataError, match="X has 5 features, but Autoencoder is expecting 12"):
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
