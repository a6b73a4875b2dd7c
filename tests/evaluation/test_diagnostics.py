import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.linalg import subspace_angles
from sklearn.decomposition import PCA

from attar import Autoencoder, recipes
from attar.codes import Gaussian, Ordered, Point, SparseL1, VectorQuantized
from attar.corruptions import GaussianNoise
from attar.data.kinds import kind_of
from attar.data.preparation import DensePreparation
from attar.data.scaling import Unscaled
from attar.data.training_data import FittedRows
from attar.evaluation.baseline import Baseline
from attar.evaluation.diagnostics import Diagnostics, Finding, TrainingSummary, code_gain
from attar.evaluation.diagnostics import diagnose as diagnosed
from attar.evaluation.evaluate import Evaluation
from attar.evaluation.reconstruction import PartMetrics
from attar.likelihoods import FixedGaussian
from attar.networks import Linear, Mlp
from attar.predictor import Predictor
from attar.recipe import Recipe
from attar.records import Epoch

GENERATOR = np.random.default_rng(0)
X = (GENERATOR.normal(size=(80, 10)) * np.arange(1, 11)) @ GENERATOR.normal(size=(10, 10)) + 5
NEW = (GENERATOR.normal(size=(30, 10)) * np.arange(1, 11)) @ GENERATOR.normal(size=(10, 10)) + 5


@pytest.mark.parametrize("rows", [X, NEW], ids=["train", "new"])
def test_errors_are_those_of_scikit_learns_pca_for_every_size(rows):
    errors = Baseline.fit(X, 10).errors(rows)
    assert len(errors) == 11
    total = np.square(rows - X.mean(0)).mean()
    assert errors[0] == pytest.approx(total, rel=1e-6)
    for k in range(1, 11):
        pca = PCA(k).fit(X)
        expected = np.square(rows - pca.inverse_transform(pca.transform(rows))).mean()
        assert errors[k] == pytest.approx(expected, rel=1e-4, abs=1e-6 * total)


@pytest.mark.parametrize("k", [0, 1, 4, 10])
def test_reconstructions_are_those_of_scikit_learns_pca(k):
    baseline = Baseline.fit(X.reshape(80, 2, 5), 10)
    reconstructed = baseline.reconstruct(NEW.reshape(30, 2, 5), k)
    pca = PCA(max(k, 1)).fit(X)
    expected = pca.inverse_transform(pca.transform(NEW)) if k else np.tile(X.mean(0), (30, 1))
    np.testing.assert_allclose(reconstructed.reshape(30, 10), expected, rtol=1e-4, atol=1e-3)
    error = np.square(NEW - reconstructed.reshape(30, 10)).mean()
    total = np.square(NEW - X.mean(0)).mean()
    assert baseline.errors(NEW)[k] == pytest.approx(error, rel=1e-4, abs=1e-6 * total)


def test_the_randomized_solver_for_wide_rows_finds_the_same_components():
    scales = np.r_[[30, 20, 10], np.full(597, 0.1)]
    wide = GENERATOR.normal(size=(100, 600)) * scales
    found = Baseline.fit(wide, 3).components
    exact = PCA(3, svd_solver="full").fit(wide).components_
    assert subspace_angles(found.T, exact.T).max() < 1e-3


def test_the_number_of_components_is_limited_by_rows_and_cells():
    assert Baseline.fit(X, 99).components.shape == (10, 10)
    assert Baseline.fit(X[:4], 99).components.shape == (3, 10)
    assert Baseline.fit(X[:4], 99).errors(X[:4])[-1] == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("rows", [X[:1], np.ones((9, 4))], ids=["one row", "constant"])
def test_constant_rows_have_no_error(rows):
    baseline = Baseline.fit(rows, 2)
    assert baseline.errors(rows) == pytest.approx([0.0] * (len(baseline.components) + 1), abs=1e-9)
    np.testing.assert_allclose(baseline.reconstruct(rows, 0), rows, rtol=1e-6)


def incomplete(rows):
    return np.where(np.random.default_rng(4).random(rows.shape) < 0.2, np.nan, rows)


def test_missing_cells_are_set_to_the_mean_and_have_no_error():
    rows, known = incomplete(X), ~np.isnan(incomplete(X))
    baseline = Baseline.fit(rows, 10)
    filled = np.where(known, rows, np.nanmean(rows, 0))
    np.testing.assert_allclose(baseline.mean, np.nanmean(rows, 0), rtol=1e-6)
    errors = baseline.errors(rows)
    assert len(errors) == 11
    total = np.square(filled - filled.mean(0))[known].mean()
    assert errors[0] == pytest.approx(total, rel=1e-5)
    for k in range(1, 11):
        pca = PCA(k).fit(filled)
        reconstructed = pca.inverse_transform(pca.transform(filled))
        expected = np.square(filled - reconstructed)[known].mean()
        assert errors[k] == pytest.approx(expected, rel=1e-4, abs=1e-6 * total)


def test_missing_cells_of_other_rows_are_set_to_the_training_mean():
    rows = incomplete(NEW)
    baseline = Baseline.fit(X, 10)
    error = baseline.errors(rows)[3]
    known = ~np.isnan(rows)
    filled = np.where(known, rows, X.mean(0))
    pca = PCA(3).fit(X)
    expected = np.square(rows - pca.inverse_transform(pca.transform(filled)))[known].mean()
    assert error == pytest.approx(expected, rel=1e-4)


def test_rows_with_missing_cells_only_have_no_error():
    assert Baseline.fit(X, 2).errors(np.full((3, 10), np.nan)) == [0.0, 0.0, 0.0]


GOOD = Diagnostics(
    error=0.5,
    train_error=0.45,
    pca_errors=[4.0, 2.0, 1.0],
    rows_of="validation",
    importance=[1.0, 0.7],
    column_scales=[1.0, 1.2, 0.8],
    column_names=["a", "b", "c"],
    best_epoch=20,
)


def history_of(losses):
    return [Epoch(i + 1, loss, loss, 0.0, loss, 0.1, 1.0) for i, loss in enumerate(losses)]


PLAIN, NOISY = Recipe(Point()), Recipe(Point(), GaussianNoise())


def diagnose(diagnostics, history, recipe=PLAIN, network=None):
    return diagnosed(diagnostics, history, recipe, network or Mlp())


FLAT = history_of([2.0 ** -min(i, 12) for i in range(20)])
RISING = history_of([2.0 ** -min(i, 9) + 0.03 * max(0, i - 9) for i in range(20)])
FALLING = history_of([20.0 - i for i in range(20)])


def names(diagnostics, history=FLAT):
    return [finding.name for finding in diagnose(diagnostics, history)]


def test_a_good_model_has_no_problems():
    (finding,) = diagnose(GOOD, FLAT)
    assert finding.name == "no-problems"
    assert str(finding) == "No problems detected: the MSE is 0.50 times PCA's."


PROBLEMS = {
    "worse-than-pca": {"error": 1.1, "train_error": 1.1},
    "inactive-dimensions": {"importance": [1.0, 0.0]},
    "unexplained": {"part_names": ["a", "b", "c"], "explained": [0.9, -0.1, 0.5]},
    "generalization-gap": {"train_error": 0.1},
    "unscaled": {"column_scales": [1.0, 1.0, 40.0]},
    "constant-columns": {"column_scales": [1.0, 0.0, 1.0]},
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_each_problem_is_found_by_itself(name):
    assert names(replace(GOOD, **PROBLEMS[name])) == [name]


LIMITS = {
    "as good as pca": {"error": 1.004, "train_error": 1.0},
    "a dimension of little importance": {"importance": [1.0, 0.01]},
    "a larger validation error": {"train_error": 0.26},
    "training rows only": {"train_error": 0.1, "rows_of": "training"},
    "tiny errors": {"error": 9e-7, "train_error": 1e-9},
    "a wide column": {"column_scales": [1.0, 1.0, 29.0]},
    "more dimensions than components": {"importance": [1.0] * 9},
    "a column explained a little": {"part_names": ["a", "b"], "explained": [0.9, 0.02]},
    "one column": {"part_names": ["a"], "explained": [-0.1]},
}


@pytest.mark.parametrize("case", LIMITS)
def test_values_below_the_thresholds_are_no_problems(case):
    assert names(replace(GOOD, **LIMITS[case])) == ["no-problems"]


def test_a_decreasing_loss_has_not_converged():
    assert names(GOOD, FALLING) == ["not-converged"]
    (finding,) = diagnose(GOOD, FALLING)
    assert "epochs=40" in finding.advice


def test_short_and_early_stopped_trainings_are_no_problem():
    assert names(GOOD, FALLING[:2]) == ["no-problems"]
    assert names(replace(GOOD, best_epoch=15), FALLING) == ["no-problems"]


def test_overfitting_is_found_where_the_validation_loss_rises():
    gap = replace(GOOD, train_error=0.1, best_epoch=10)
    (finding,) = diagnose(gap, RISING)
    assert finding.name == "overfitting"
    assert finding.problem == (
        "The MSE is 5.0 times that of training rows, and the validation loss rises after epoch 10"
    )
    assert names(replace(GOOD, best_epoch=10), RISING) == ["no-problems"]
    assert names(gap, history_of([e.loss for e in FLAT])) == ["generalization-gap"]


@pytest.mark.parametrize(
    ("history", "recipe", "network", "advice"),
    [
        (FALLING, PLAIN, Mlp(), "set epochs=40"),
        (FLAT[:2], PLAIN, Mlp(), "set epochs=4"),
        (FLAT, PLAIN, Mlp(), "use a wider network"),
        (FLAT, PLAIN, Linear(), "use network='mlp'"),
        (FLAT, Recipe(Gaussian()), Mlp(), "use a wider network"),
        (FLAT, NOISY, Mlp(), "use less corruption, or use a wider network"),
    ],
)
def test_advice_is_of_what_the_model_has_and_its_curve_shows(history, recipe, network, advice):
    worse = replace(GOOD, error=1.1, train_error=1.1)
    assert diagnose(worse, history, recipe, network)[0].advice == advice
    dead = replace(GOOD, importance=[0.0], pca_errors=[4.0, 1.0])
    finding = next(
        f for f in diagnose(dead, history, recipe, network) if f.name == "inactive-dimensions"
    )
    assert finding.problem == "The latent dimension is inactive"
    assert "code_size" not in finding.advice


def test_the_kl_weight_is_not_named_where_a_code_has_none():
    history = [replace(epoch, rate=3.0) for epoch in FLAT]
    worse = replace(GOOD, error=1.1, train_error=1.1)
    (finding,) = diagnose(worse, history, Recipe(VectorQuantized()))
    assert finding.advice == "use a wider network"
    (finding,) = diagnose(worse, history, Recipe(SparseL1()))
    assert finding.advice == (
        "lower the weight of the sparsity penalty (beta), or use a wider network"
    )


def test_remedies_that_the_model_has_already_are_not_advised():
    gap = replace(GOOD, train_error=0.1)
    (finding,) = diagnose(gap, FLAT, NOISY, Mlp(dropout=0.1))
    assert finding.advice == "add rows, or use a smaller network"
    (finding,) = diagnose(gap, FLAT, network=Linear())
    assert finding.advice == "add rows, or use a corruption such as 'gaussian-noise'"


def test_the_error_of_other_rows_takes_the_place_of_that_of_validation_rows():
    explained = {"a": 0.9, "b": -0.1, "c": math.nan}
    parts = [PartMetrics(name, share, 0.0, 0.3) for name, share in explained.items()]
    metrics = {"error": 2.0, "rows": 30}
    few = GOOD.on(Evaluation(metrics | {"rows": 29}, [5.0, 3.0, 1.5], parts, np.zeros(1)))
    assert names(few) == ["worse-than-pca", "generalization-gap"]
    other = GOOD.on(Evaluation(metrics, [5.0, 3.0, 1.5], parts, np.zeros(1)))
    problems = {f.name: f.problem for f in diagnose(other, FLAT)}
    assert "The MSE of 2 is above" in problems["worse-than-pca"]
    assert problems["unexplained"] == (
        "1 of 2 columns is reconstructed no better than by the mean: 'b'"
    )


def test_findings_are_ordered_by_severity():
    diagnostics = replace(
        GOOD, error=3.0, importance=[1.0, 0.0], train_error=0.1, column_scales=[1.0, 0.0, 99.0]
    )
    assert names(
        replace(diagnostics, column_scales=[1.0, 1.0, 99.0, 0.0], column_names=list("abcd")),
        FALLING,
    ) == [
        "worse-than-pca",
        "inactive-dimensions",
        "generalization-gap",
        "unscaled",
        "constant-columns",
        "not-converged",
    ]


def test_findings_say_how_many_and_which():
    found = {
        f.name: f for name in PROBLEMS for f in diagnose(replace(GOOD, **PROBLEMS[name]), FLAT)
    }
    assert found["worse-than-pca"].problem == (
        "The MSE of 1.1 is above that of PCA with as many dimensions, 1"
    )
    assert str(found["inactive-dimensions"]) == (
        "1 of 2 latent dimensions is inactive: use code_size=1."
    )
    assert found["generalization-gap"].problem == "The MSE is 5.0 times that of training rows"
    assert "column 'c' is 40 times the median" in found["unscaled"].problem
    assert found["constant-columns"].problem == "1 of 3 columns is constant, such as 'b'"


def test_the_kl_weight_is_named_where_a_code_has_a_rate():
    history = [replace(epoch, rate=3.0) for epoch in FLAT]
    diagnostics = replace(GOOD, importance=[0.0] * 45 + [1.0] * 19)
    (finding,) = diagnose(diagnostics, history, Recipe(Gaussian()))
    assert str(finding) == (
        "45 of 64 latent dimensions are inactive: lower the KL weight (beta), or use code_size=19."
    )
    assert finding == Finding("inactive-dimensions", finding.problem, finding.advice)


def test_a_pca_without_error_is_not_divided_by():
    exact = replace(GOOD, pca_errors=[4.0, 2.0, 1e-9], error=0.019, train_error=0.019)
    assert math.isnan(exact.error_to_pca)
    (finding,) = diagnose(exact, FLAT)
    assert str(finding) == ("No problems detected: the MSE of 0.019 is close to 0, which PCA's is.")
    assert names(replace(exact, error=0.021)) == ["worse-than-pca"]
    assert replace(GOOD, pca_errors=[4.0, 2.0, 1e-3]).error_to_pca == 500


def test_constant_data_are_not_worse_than_pca():
    diagnostics = replace(
        GOOD, error=0.0, train_error=0.0, pca_errors=[0.0], column_scales=[0.0] * 3
    )
    assert "constant-columns" in names(diagnostics)
    assert "worse-than-pca" not in names(diagnostics)


def test_diagnostics_and_findings_are_json():
    assert Diagnostics(**json.loads(json.dumps(GOOD.to_json()))) == GOOD
    (finding,) = diagnose(GOOD, FLAT)
    assert json.loads(json.dumps(finding.to_json()))["name"] == "no-problems"


def summary_of(predictor, train, validation, code=None):
    measured = FittedRows(1000, np.arange(len(validation)), True, "")
    rows = predictor, train, np.arange(len(train)), predictor, validation
    return TrainingSummary.of(*rows, measured, best_epoch=3, recipe=Recipe(code or Point()))


@pytest.fixture
def pca_model():
    """PCA in the form of a linear autoencoder whose third latent dimension is inactive."""
    x = np.random.default_rng(0).normal(size=(200, 5)) * [4, 3, 1, 0.5, 0.2] + 2
    pca = PCA(2).fit(x[:150])
    model = Recipe(Point()).build((5,), 3, Linear(), FixedGaussian()).model.double()
    basis = torch.zeros(3, 5, dtype=torch.float64)
    basis[:2] = torch.from_numpy(pca.components_)
    mean = torch.from_numpy(pca.mean_)
    with torch.no_grad():
        model.encoder[1].weight.copy_(basis)
        model.encoder[1].bias.copy_(-basis @ mean)
        model.decoder[0].weight.copy_(basis.T)
        model.decoder[0].bias.copy_(mean)
    kind, summary = kind_of(x).of([x])
    preparation = DensePreparation.fit(kind, Unscaled(), summary)
    return Predictor(preparation, model.float().eval(), 3, doubles=True), pca, x[:150], x[150:]


def test_the_diagnostics_of_a_model_that_is_pca(pca_model):
    predictor, pca, train, validation = pca_model
    training_summary = summary_of(predictor, train, validation)
    diagnostics = training_summary.diagnostics

    def error(rows):
        return np.square(rows - pca.inverse_transform(pca.transform(rows))).mean()

    assert diagnostics.error == pytest.approx(error(validation), rel=1e-4)
    assert diagnostics.train_error == pytest.approx(error(train), rel=1e-4)
    assert diagnostics.pca_errors[2] == pytest.approx(diagnostics.error, rel=1e-3)
    assert diagnostics.column_scales == pytest.approx(train.std(0), rel=1e-4)
    codes = pca.transform(train)
    np.testing.assert_allclose(training_summary.codes[:, :2], codes, rtol=1e-3, atol=1e-4)
    assert not training_summary.codes[:, 2].any()


def test_the_importance_of_a_dimension_is_its_share_of_the_variance(pca_model):
    predictor, pca, train, validation = pca_model
    importance = summary_of(predictor, train, validation).diagnostics.importance
    codes = pca.transform(validation)
    # A component fixed at its mean adds its variance, up to the mean of the residuals.
    left = validation - pca.inverse_transform(codes)
    for j in range(2):
        gone = np.outer(codes[:, j] - codes[:, j].mean(), pca.components_[j])
        expected = np.square(left + gone).mean() - np.square(left).mean()
        assert importance[j] == pytest.approx(expected, rel=1e-3)
    assert importance[2] == pytest.approx(0, abs=1e-9)


def test_diagnostics_are_of_observed_cells(pca_model):
    predictor, _, train, validation = pca_model
    generator = np.random.default_rng(5)
    incomplete = np.where(generator.random(validation.shape) < 0.3, np.nan, validation)
    diagnostics = summary_of(predictor, train, incomplete).diagnostics
    known = ~np.isnan(incomplete)
    # This model was built for complete data: missing cells are 0 to it.
    filled = np.where(known, incomplete, 0.0)
    reconstructed = predictor.decode(predictor.encode(filled)).numpy()
    assert diagnostics.error == pytest.approx(
        np.square(filled - reconstructed)[known].mean(), rel=1e-4
    )
    codes = predictor.encode(filled)
    for j in range(2):
        held = codes.copy()
        held[:, j] = codes[:, j].mean()
        without = np.square(filled - predictor.decode(held).numpy())[known].mean()
        assert diagnostics.importance[j] == pytest.approx(without - diagnostics.error, rel=1e-3)
    summary = summary_of(predictor, np.vstack([train, incomplete]), validation)
    whole = np.vstack([train, incomplete])
    assert summary.diagnostics.column_scales == pytest.approx(np.nanstd(whole, 0), rel=1e-4)


def test_an_ordered_code_has_an_error_for_each_size(pca_model):
    predictor, pca, train, validation = pca_model
    diagnostics = summary_of(predictor, train, validation, Ordered()).diagnostics
    assert len(diagnostics.size_errors) == 4
    # The codes are those of PCA about its mean, so that the first k are PCA's of size k.
    for k in range(3):
        first = pca.transform(validation)
        first[:, k:] = 0
        expected = np.square(validation - pca.inverse_transform(first)).mean()
        assert diagnostics.size_errors[k] == pytest.approx(expected, rel=1e-4)
    assert diagnostics.size_errors[3] == pytest.approx(diagnostics.error, rel=1e-6)
    assert not summary_of(predictor, train, validation).diagnostics.size_errors


def test_a_decoder_of_text_that_ignores_the_code_has_collapsed():
    lines = [
        f"{a} {b}" for a in ("oil", "gold", "tea") for b in ("rises", "falls", "waits", "is up")
    ]
    small = {
        "network__width": 8,
        "network__heads": 1,
        "likelihood__width": 8,
        "likelihood__heads": 1,
    }
    settings = {"code_size": 64, "validation_fraction": 0.5, "random_state": 0, "verbose": False}
    ae = Autoencoder(recipes.recipe("text").replace(**small), epochs=1, **settings).fit(lines)
    diagnostics = ae.fitted_.training_summary.diagnostics
    assert diagnostics.code_gain > 1
    assert "posterior-collapse" not in [finding.name for finding in ae.diagnose()]
    vae = recipes.recipe("text-vae").replace(**small)
    ae = Autoencoder(vae, epochs=1, **settings).fit(lines)
    torch.nn.init.zeros_(ae.fitted_.predictor.model.decoder.context.weight)
    assert code_gain(ae.fitted_.predictor, ae.fitted_.kind.rows(lines)) == 0
    (finding, *_) = diagnosed(
        replace(GOOD, code_gain=0.25), history_of([2.0, 1.0, 1.0, 1.0]), vae, ae.fitted_.network
    )
    assert finding.name == "posterior-collapse"
    assert "is 0.25 nats more likely" in finding.problem
    assert "word_dropout" in finding.advice
