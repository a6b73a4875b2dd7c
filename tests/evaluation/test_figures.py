import math

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.decomposition import PCA
from sklearn.metrics import r2_score

from attar.codes import Point
from attar.data.kinds import kind_of, preparation
from attar.data.scaling import MinMax, Unscaled
from attar.evaluation import metrics
from attar.evaluation.diagnostics import Baseline
from attar.likelihoods import FixedGaussian
from attar.networks import Mlp
from attar.predictor import Predictor
from attar.recipe import Recipe

SIZE = 3


def applied_to(data, scaling, gaps=False):
    kind, summary = kind_of(data).of([data])
    torch.manual_seed(3)
    model = Recipe(Point()).build(kind.shape, SIZE, Mlp((7,), "tanh"), FixedGaussian(), gaps).model
    how = preparation(kind, scaling, summary)
    return Predictor(how, model.eval(), SIZE, doubles=True)


def data_of(n=60, seed=0):
    return np.random.default_rng(seed).random((n, 6)) @ np.diag([1, 2, 3, 0.5, 1, 1])


def looked_at(predictor, baseline, x, cuts=()):
    rows = predictor.preparation.kind.rows(x)
    pieces = [(predictor, piece) for piece in np.split(rows, cuts)]
    return metrics.reconstruction(predictor, baseline, pieces)


@pytest.mark.parametrize("scaling", [Unscaled(), MinMax()], ids=lambda part: part.name)
@pytest.mark.parametrize("cuts", [(), (1, 17, 40)])
def test_figures_are_those_of_scikit_learn(scaling, cuts):
    x, new = data_of(), data_of(seed=1)
    predictor = applied_to(x, scaling)
    prepared = predictor.preparation.prepare(x).numpy()
    baseline = Baseline.fit(prepared, 5)
    found = looked_at(predictor, baseline, new, cuts)
    target = predictor.preparation.prepare(new, torch.float64).numpy()
    back = predictor.decode(predictor.encode(new)).numpy()
    pca = PCA(SIZE).fit(prepared)
    linear = pca.inverse_transform(pca.transform(target))
    error, pca_error = np.square(target - back).mean(), np.square(target - linear).mean()
    assert found["rows"] == 60
    assert found["code_size"] == SIZE
    assert found["error"] == pytest.approx(error, rel=1e-5)
    assert found["pca_error"] == pytest.approx(pca_error, rel=1e-3)
    assert found["error_to_pca"] == pytest.approx(error / pca_error, rel=1e-3)
    explained = r2_score(target, back, multioutput="variance_weighted")
    assert found["explained_variance"] == pytest.approx(explained, rel=1e-4)


def test_only_values_from_0_to_1_have_a_signal_to_noise_ratio():
    x = data_of() / 3
    predictor = applied_to(x, Unscaled())
    baseline = Baseline.fit(x, SIZE)
    found = looked_at(predictor, baseline, x)
    assert found["psnr"] == pytest.approx(-10 * math.log10(found["error"]))
    assert "psnr" not in looked_at(predictor, baseline, 4 * x)


def test_missing_cells_count_for_nothing():
    x = data_of()
    gaps = np.where(np.random.default_rng(2).random(x.shape) < 0.3, np.nan, x)
    gaps[5] = np.nan
    predictor = applied_to(gaps, Unscaled(), gaps=True)
    baseline = Baseline.fit(gaps, SIZE)
    found = looked_at(predictor, baseline, gaps, [7, 20])
    back, known = predictor.decode(predictor.encode(gaps)).numpy(), ~np.isnan(gaps)
    error = np.square(gaps - back)[known].mean()
    mean = np.nanmean(gaps, 0)
    filled = np.where(known, gaps, mean)
    pca = PCA(SIZE).fit(filled)
    # What is missing counts as the mean, and has no error.
    linear = pca.inverse_transform(pca.transform(filled))
    assert found["error"] == pytest.approx(error, rel=1e-5)
    assert found["pca_error"] == pytest.approx(np.square(gaps - linear)[known].mean(), rel=1e-3)
    variation = np.square(gaps - mean)[known].mean()
    assert found["explained_variance"] == pytest.approx(1 - error / variation, rel=1e-5)


def test_rows_that_are_all_alike_explain_nothing():
    x = np.ones((9, 6))
    found = looked_at(applied_to(x, Unscaled()), Baseline.fit(x, SIZE), x)
    assert found["explained_variance"] == 0
    assert math.isnan(found["error_to_pca"])


def test_accuracy_is_the_share_of_levels_and_flags_that_come_back():
    generator = np.random.default_rng(4)
    frame = pd.DataFrame(
        {
            "a": generator.normal(size=80),
            "kind": pd.Categorical(generator.choice(["x", "y", "z"], 80)),
            "is": generator.random(80) < 0.5,
        }
    )
    frame.loc[::9, "kind"] = np.nan
    predictor = applied_to(frame, Unscaled(), gaps=True)
    rows = predictor.preparation.kind.rows(frame)
    baseline = Baseline.fit(predictor.preparation.prepare(rows).numpy(), SIZE)
    back = predictor.restore(predictor.encode(rows))
    right = (back["kind"] == frame["kind"])[frame["kind"].notna()].tolist()
    right += (back["is"] == frame["is"]).tolist()
    found = looked_at(predictor, baseline, frame, [7, 30])
    assert found["accuracy"] == pytest.approx(np.mean(right))
    assert "accuracy" not in looked_at(
        applied_to(data_of(), Unscaled()), Baseline.fit(data_of(), SIZE), data_of()
    )


def test_sparse_rows_are_measured_as_dense_ones():
    dense = np.random.default_rng(0).poisson(0.5, (40, 6))
    matrix = sparse.csr_array(dense)
    baseline = Baseline.fit(dense.astype(np.float32), SIZE)
    predictor, other = applied_to(matrix, Unscaled()), applied_to(dense, Unscaled())
    other = Predictor(other.preparation, predictor.model, SIZE, doubles=True)
    densified = Predictor(predictor.preparation, Densified(predictor.model), SIZE, doubles=True)
    rows = predictor.preparation.kind.rows(matrix)
    found = metrics.reconstruction(densified, baseline, [(densified, rows)])
    assert found == pytest.approx(looked_at(other, baseline, dense))


class Densified(torch.nn.Module):
    """A model for networks that take no sparse rows."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def encode(self, values, observed=None, condition=None):
        return self.model.encode(values.to_dense(), observed)

    def decode(self, z, condition=None):
        return self.model.decode(z)
