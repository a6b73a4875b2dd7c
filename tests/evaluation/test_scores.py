import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.metrics import roc_auc_score

import attar
from attar import AttarWarning, Autoencoder
from attar.evaluation.scores import log_likelihoods

LARGEST = np.finfo(np.float64).max


def fitted(X, recipe="ae", **settings):
    settings = {"code_size": 2, "epochs": 60, "random_state": 0, "verbose": False} | settings
    return Autoencoder(recipe, **settings).fit(X)


def odd_rows():
    """Rows near a plane of two of eight dimensions, but for the first forty."""
    generator = np.random.default_rng(0)
    X = generator.normal(size=(800, 2)) @ generator.normal(size=(2, 8))
    X += 0.1 * generator.normal(size=X.shape)
    odd = np.arange(800) < 40
    X[odd] = generator.normal(size=(40, 8)) * X.std(0)
    return X, odd, generator


@pytest.fixture(scope="module", params=[0.1, 0.3])
def gappy(request):
    X, odd, generator = odd_rows()
    for share in (0.1, 0.3)[: 1 + (request.param == 0.3)]:
        missing = generator.random(X.shape) < share
    X = np.where(missing, np.nan, X)
    return fitted(X, epochs=20), X, odd, missing


def test_gaps_do_not_count_for_or_against_a_row(gappy):
    ae, X, odd, missing = gappy
    scores = ae.score_samples(X)
    assert abs(np.corrcoef(scores, missing.sum(1))[0, 1]) < 0.1
    assert roc_auc_score(odd, -scores) > 0.98


def test_a_complete_row_has_its_log_likelihood(gappy):
    ae, X, _, missing = gappy
    complete = X[~missing.any(1)]
    predictor = ae.fitted_.predictor
    assert_array_equal(ae.score_samples(complete), log_likelihoods(predictor, complete, 32))


def test_the_score_of_a_row_with_gaps_is_the_documented_sum(gappy):
    ae, X, _, missing = gappy
    reference = ae.fitted_.training_summary.reference
    rows, gaps = X[missing.any(1)], missing[missing.any(1)]
    offset = np.interp(8 - gaps.sum(1), reference.known, reference.offset)
    expected = log_likelihoods(ae.fitted_.predictor, rows, 32)
    expected += gaps @ reference.cells + reference.offset[-1] - offset
    assert_allclose(ae.score_samples(rows), expected, rtol=1e-12)


def test_score_and_evaluate_agree_with_the_scores(gappy, tmp_path):
    ae, X, _, _ = gappy
    scores = ae.score_samples(X)
    assert ae.score(X) == pytest.approx(scores.mean())
    assert ae.evaluate(X)["distortion"] == pytest.approx(-scores.mean(), rel=1e-12)
    ae.save(tmp_path / "model.attar")
    assert_array_equal(attar.load(tmp_path / "model.attar").score_samples(X), scores)


def table(n=200):
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(generator.normal(size=(n, 2)), columns=["a", "b"])
    frame["s"] = generator.choice(list("vwxyz"), n, p=[0.5, 0.3, 0.1, 0.08, 0.02])
    return frame.assign(c=frame.a + frame.b, price=3.5, word="x")


@pytest.fixture(scope="module", params=["ae", "vae", "iwae"])
def of_table(request):
    with pytest.warns(AttarWarning, match="constant"):
        return fitted(table(), request.param, epochs=15)


def test_an_unseen_category_costs_more_than_any_known_one(of_table):
    frame = table()
    with pytest.warns(AttarWarning, match="did not see"):
        unseen = of_table.score_samples(frame.assign(s="new"))
    for level in "vwxyz":
        assert unseen.mean() < of_table.score_samples(frame.assign(s=level)).mean()
    assert (unseen < of_table.score_samples(frame)).all()


@pytest.mark.parametrize(("column", "value"), [("price", 3.6), ("word", "y")])
def test_a_constant_column_that_differs_is_noticed(of_table, column, value):
    frame = table()
    before = of_table.score_samples(frame)
    frame.loc[3, column] = value
    with pytest.warns(AttarWarning, match=f"constant in the fit.*1 rows: '{column}'"):
        after = of_table.score_samples(frame)
    change = np.where(np.arange(len(frame)) == 3, -np.log(201), 0)
    assert_allclose(after - before, change, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_a_constant_column_of_an_array_that_differs_is_noticed(dtype):
    X = (100 * np.random.default_rng(0).normal(size=(300, 4))).astype(dtype)
    X[:, 2] = 10 if dtype == "int64" else 0.1
    ae = fitted(X, epochs=5)
    before, other = ae.score_samples(X), X.astype("float64")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ae.score_samples(other)
        ae.score_samples(X.astype("float32"))
    X[3, 2] = 20
    with pytest.warns(AttarWarning, match="constant in the fit.*1 rows: 'x2'"):
        after = ae.score_samples(X)
    with pytest.warns(AttarWarning, match="constant"):
        assert ae.evaluate(X)["distortion"] == pytest.approx(-after.mean(), rel=1e-6)
    change = np.where(np.arange(300) == 3, -np.log(301), 0)
    assert_allclose(after - before, change, atol=1e-5)


FAR_OUT = [("float32", [1e30]), ("float64", [1e155, LARGEST, -LARGEST])]


@pytest.mark.parametrize(("dtype", "values"), FAR_OUT)
@pytest.mark.parametrize("recipe", ["ae", "vae"])
@pytest.mark.parametrize("seen", [False, True])
def test_values_far_out_are_the_oddest_and_do_not_ruin_their_columns(dtype, values, recipe, seen):
    X, _, _ = odd_rows()
    X = X[40:340].astype(dtype)
    odd, places = X.copy(), np.arange(len(values))
    odd[places + 7, places + 2] = values
    ae = fitted(odd if seen else X, recipe, epochs=20)
    scores = ae.score_samples(odd)
    assert np.isfinite(scores).all()
    assert set(scores.argsort()[: len(values)]) == set(places + 7)
    back = ae.reconstruct(odd)
    assert np.isfinite(back).all()
    error = np.delete(back - X, places + 7, 0).std(0) / X.std(0)
    assert error[places + 2].max() < 0.15


@pytest.mark.parametrize("likelihood", ["bernoulli", "bernoulli-probability"])
def test_a_value_outside_the_unit_interval_is_odd(likelihood):
    X = np.random.default_rng(0).random((200, 4)).round()
    ae = fitted(X, likelihood=likelihood, epochs=5)
    X[7, 2] = 1e155
    assert ae.score_samples(X).argmin() == 7


def test_a_model_of_complete_rows_warns_of_gaps():
    X, _, _ = odd_rows()
    ae = fitted(X, epochs=5)
    X[5, 3] = np.nan
    with pytest.warns(AttarWarning, match="X has 1 missing cell, .*fit on rows"):
        ae.reconstruct(X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted(X, epochs=5).reconstruct(X)
