"""Rows that are labelled, and many that are not: against closed forms, SciPy and scikit-learn."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize_scalar
from scipy.sparse import csr_array
from scipy.special import log_softmax
from sklearn.datasets import load_iris, make_moons
from sklearn.ensemble import RandomForestRegressor
from sklearn.kernel_ridge import KernelRidge as Peer
from sklearn.linear_model import LogisticRegression

import attar
from attar.errors import AttarWarning, DataError, ModelFileError, SettingError
from attar.tasks.labels import graph as graphs
from attar.tasks.labels import kernel, members
from attar.tasks.labels.graph import SPREAD, LabelledGraph
from attar.tasks.labels.heads import ClassHead, NumberHead, pooled
from attar.tasks.labels.kernel import KernelRidge, chosen, ridge
from attar.tasks.labels.members import Forest, Logistic, Propagation
from attar.tasks.labels.targets import Classes, Numbers, are_numbers, missing
from attar.tasks.neighbours import Landmarks

rng = np.random.default_rng(0)
ROWS = rng.normal(size=(60, 3))

# No row of a graph is near.
NONE = csr_array((0, 0))


@pytest.fixture
def small(monkeypatch):
    """Forests and penalties of which there are few."""
    monkeypatch.setattr(members, "TREES", 20)
    monkeypatch.setattr(members, "PENALTIES", (1.0,))


def kernel_of(graph):
    """Return K of all rows of a graph, by a dense solver."""
    links = graph.links.toarray()
    assert_allclose(links, links.T)
    assert_allclose(np.abs(np.linalg.eigvalsh(links)).max(), 1)
    return np.linalg.inv(np.eye(len(links)) - SPREAD * links)


def test_labels_spread_over_the_graph_as_a_dense_solver_says(monkeypatch):
    monkeypatch.setattr(graphs, "TOLERANCE", 1e-8)
    graph, labels = LabelledGraph.of(ROWS, np.arange(12), 0), np.eye(12, 3)
    dense = kernel_of(graph)[:, :12]
    assert_allclose(graph.near, dense[:12], rtol=1e-6)
    assert_allclose(graph.spread(labels), dense @ labels, rtol=1e-6)
    monkeypatch.setattr(graphs, "AT_ONCE", 60)  # a column at once
    assert_allclose(graph.spread(labels), dense @ labels, rtol=1e-6)


def test_the_kernel_is_computed_of_few_labelled_rows_only(monkeypatch):
    monkeypatch.setattr(graphs, "PAIRED", 12)
    assert LabelledGraph.of(ROWS, np.arange(12), 0).near is not None
    many = LabelledGraph.of(ROWS, np.arange(13), 0)
    assert many.near is None
    targets = np.eye(2)[np.arange(13) % 2]
    model, _ = KernelRidge.fit(ROWS, np.arange(13), targets, many, 0)
    assert_array_equal(model.spread, np.zeros((60, 2)))


def test_leave_one_out_predictions_are_those_of_fits_without_the_row():
    gram, y = np.exp(-np.square(ROWS[:, None] - ROWS).sum(2)), ROWS[:, :2] ** 2
    coefficients, held_out = ridge(gram, gram, y)
    peer = Peer(alpha=1, kernel="precomputed")
    assert_allclose(coefficients, peer.fit(gram, y).dual_coef_, atol=1e-5)
    for i in (0, 17, 59):
        others = np.delete(np.arange(60), i)
        peer.fit(gram[np.ix_(others, others)], y[others])
        assert_allclose(held_out[[i]], peer.predict(gram[[i]][:, others]), atol=1e-5)


def test_landmarks_minimize_what_they_say():
    gram, y = np.exp(-np.square(ROWS[:, None] - ROWS).sum(2)), ROWS[:, :1] ** 2
    some = gram[:, :15]
    expected = np.linalg.solve(some.T @ some + gram[:15, :15], some.T @ y)
    assert_allclose(some @ ridge(some, gram[:15, :15], y)[0], some @ expected, atol=1e-5)


def test_a_kernel_that_says_nothing_weighs_less(monkeypatch):
    monkeypatch.setattr(kernel, "PRIOR", 1e-6)
    y = ROWS[:, :1] - ROWS[:, :1].mean()
    noise = rng.normal(size=(60, 40))
    kernels = np.stack([ROWS[:, :1] @ ROWS[:, :1].T, noise @ noise.T / 40])
    weights = chosen(kernels, y)
    assert weights[0] > 10 * weights[1]


def test_the_graph_bends_with_two_moons():
    X, y = make_moons(400, noise=0.05, random_state=0)
    labelled = np.concatenate([np.flatnonzero(y == k)[:4] for k in (0, 1)])
    graph = LabelledGraph.of(X, labelled, 0)
    spread = graph.spread(np.eye(2)[y[labelled]])
    others = np.setdiff1d(np.arange(400), labelled)
    assert (spread[8:].argmax(1) == y[others]).mean() > 0.99


def test_the_graph_is_a_kernel_beside_others():
    labelled, targets = np.arange(12), np.eye(2)[np.arange(12) % 2]
    graph = LabelledGraph.of(ROWS, labelled, 0)
    model, _ = KernelRidge.fit(ROWS, labelled, targets, graph, 0)
    alike = kernel_of(graph)[:, :12]
    scale = model.weights[-1] / np.trace(alike) * 12
    assert_allclose(model.spread, scale * alike @ model.coefficients, rtol=1e-3, atol=1e-4)
    assert LabelledGraph.of(ROWS[:12], labelled, 0) is None


def test_propagated_labels_are_those_of_the_closed_form(monkeypatch):
    monkeypatch.setattr(graphs, "TOLERANCE", 1e-8)
    labelled, targets = np.arange(5, 17), np.eye(2)[np.arange(12) % 2]
    graph = LabelledGraph.of(ROWS, labelled, 0)
    found, held_out = Propagation.fit(ROWS, labelled, targets, graph, 0)
    kernel, parts = kernel_of(graph)[:, :12], members.dealt(targets, 0)
    for known, rows, result in (
        (parts >= 0, slice(None), found.shares),
        *((parts != part, np.flatnonzero(parts == part), held_out) for part in range(5)),
    ):
        spread = kernel[:, known] @ targets[known]
        shares = spread / spread.sum(0)
        assert_allclose(result[rows], (shares / shares.sum(1, keepdims=True))[rows], rtol=1e-5)
    near = graph.landmarks.weights(torch.from_numpy(ROWS).float())
    assert_allclose(found.predict(ROWS, near), near @ found.shares)


def test_rows_of_a_class_are_dealt_out_to_the_parts():
    targets = np.eye(3)[np.repeat([0, 1, 2], [10, 15, 5])]
    parts = members.dealt(targets, 0)
    for label in range(3):
        assert_array_equal(np.bincount(parts[targets[:, label] == 1]), [2, 3, 1][label])
    assert (members.dealt(targets, 1) != parts).any()


def test_without_other_rows_propagated_shares_are_equal():
    found, held_out = Propagation.fit(ROWS[:4], np.arange(4), np.eye(4), None, 0)
    assert_allclose(held_out, 0.25)
    near = Landmarks.none(3).weights(torch.zeros(60, 3))
    assert_allclose(found.predict(ROWS, near), np.full((60, 4), 0.25))


def test_logistic_regression_is_scikit_learns():
    X, y = load_iris(return_X_y=True)
    X = (X - X.mean(0)) / X.std(0)
    found = members._logistic(X, np.eye(3)[y], 2.0, np.zeros((5, 3)))
    peer = LogisticRegression(C=0.5, tol=1e-8).fit(X, y)
    assert_allclose(Logistic(found).predict(X, NONE), peer.predict_log_proba(X), atol=0.02)


def test_a_forest_in_arrays_is_scikit_learns(small):
    y = np.eye(2)[(ROWS[:, 0] > 0).astype(int)]
    forest, held_out = Forest.fit(ROWS, np.arange(60), y, None, 3)
    settings = {"min_samples_leaf": 2, "max_features": "sqrt", "oob_score": True}
    with warnings.catch_warnings(action="ignore"):
        peer = RandomForestRegressor(20, random_state=3, max_samples=60, **settings).fit(ROWS, y)
    others = rng.normal(size=(50, 3))
    assert_allclose(forest.predict(others, NONE), peer.predict(others))
    seen = ~np.isclose(held_out, y.mean(0)).all(1)
    assert_allclose(held_out[seen], peer.oob_prediction_[seen])


def test_one_member_without_a_prior_is_temperature_scaling():
    scores, y = rng.normal(size=(200, 3)) * 4, rng.integers(0, 3, 200)
    scores[np.arange(200), y] += 3
    weight = pooled(ClassHead.loss, scores[None], np.eye(3)[y], np.ones(1), prior=0.0)

    def loss(inverse):
        return -log_softmax(inverse * scores, axis=1)[np.arange(200), y].sum()

    assert_allclose(weight[0], minimize_scalar(loss, bounds=(0, 9)).x, rtol=1e-3)


def test_few_rows_that_are_all_right_make_nothing_certain():
    scores = np.eye(2)[[0, 1, 0]]
    weight = pooled(ClassHead.loss, scores[None], scores, np.ones(1))
    assert weight[0] < 10


def test_a_member_that_is_wrong_weighs_nothing():
    y = rng.normal(size=(100, 1))
    wrong = rng.normal(size=(100, 1)) - y
    weights = pooled(NumberHead.loss, np.stack([0.5 * y, wrong]), y, np.ones(2), prior=1e-9)
    assert_allclose(weights, [2, 0], atol=1e-4)


@pytest.mark.parametrize(
    ("labels", "known"),
    [
        ([0, 1, -1, 2], [1, 1, 0, 1]),
        ([0.0, 1.0, np.nan], [1, 1, 0]),
        (["a", None, "", "b", np.nan], [1, 0, 0, 1, 0]),
        (pd.Series([1, None, 2], dtype="Int64"), [1, 0, 1]),
        (pd.Series(["a", None, "b"]), [1, 0, 1]),
        ([True, False], [1, 1]),
    ],
)
def test_unknown_labels_are_those_of_scikit_learn_and_pandas(labels, known):
    array = labels.to_numpy() if isinstance(labels, pd.Series) else np.asarray(labels)
    assert_array_equal(missing(array), ~np.array(known, bool))


def test_what_cannot_be_learnt_from_is_refused_in_a_sentence():
    for labels, words in (
        ([-1, -1], "No label is known"),
        (["a", None, "a"], "one class, 'a'"),
        (np.linspace(0, 1, 50), "50 different numbers: use attar.Regressor"),
        (np.arange(50), "use attar.Regressor"),
        (np.array(["a", 1, 1, "a"], object), "text and numbers"),
        (None, "requires y to be passed"),
        (np.ones((2, 2)), "no single label"),
    ):
        with pytest.raises(DataError, match=words):
            Classes.of(labels)
    for labels, words in ((["a"], r"use attar\.Classifier"), ([np.inf], "infinity")):
        with pytest.raises(DataError, match=words):
            Numbers.of(labels)


def test_a_class_of_one_row_and_minus_one_as_a_class_are_warned_of():
    with pytest.warns(AttarWarning, match="with the class 'rare'"):
        Classes.of(["a", "a", "b", "b", "rare"])
    with pytest.warns(AttarWarning, match="-1 and 1 only, which are taken for two classes"):
        classes, known, _ = Classes.of(np.array([-1, 1, -1, 1]))
    assert_array_equal(classes.values, [-1, 1])
    assert known.all()


def test_whole_numbers_with_few_values_are_classes():
    assert not are_numbers(np.array([0, 1, 2, -1]))
    assert not are_numbers(np.array([0.0, 1.0, np.nan]))
    assert not are_numbers(np.array(["a", "b"]))
    assert are_numbers(np.array([0.5, 1.0, np.nan]))
    assert are_numbers(np.arange(60))


def frame(n):
    table = pd.DataFrame({"a": rng.normal(size=n), "town": rng.choice(["x", "y", "z"], n)})
    table["b"] = table.a + 0.1 * rng.normal(size=n)
    table["kind"] = np.where(table.a + (table.town == "x") > 0.3, "high", "low")
    return table


@pytest.fixture(scope="module")
def labelled():
    table = frame(150)
    few = table.kind.where(np.arange(150) < 60)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(members, "TREES", 20)
        model = attar.Classifier(epochs=1, random_state=0).fit(table.drop(columns="kind"), few)
    return model, table


def test_a_classifier_and_its_file_give_equal_results(labelled, tmp_path):
    model, table = labelled
    model.save(tmp_path / "c.attar")
    again = attar.Classifier.load(tmp_path / "c.attar")
    X = table.drop(columns="kind")
    assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    assert_array_equal(again.classes_, model.classes_)
    assert again.held_out_ == model.held_out_
    assert model.score(X, table.kind) > 0.9
    assert_allclose(model.predict_proba(X).sum(1), 1)
    assert_array_equal(model.predict(X), model.classes_[model.predict_proba(X).argmax(1)])
    with pytest.raises(ModelFileError, match=r"no Regressor: open it with attar\.Classifier"):
        attar.Regressor.load(tmp_path / "c.attar")
    with pytest.raises(SettingError, match="no report of Classifier"):
        attar.report(model, X, tmp_path / "page.html")


def test_missing_cells_and_new_categories_are_predicted_from_the_rest(labelled):
    model, table = labelled
    X = table.drop(columns="kind")
    X.loc[:20, "b"] = np.nan
    with warnings.catch_warnings(action="ignore"):
        assert (model.predict(X) == table.kind).mean() > 0.85


def test_the_names_of_classes_and_the_order_of_rows_change_nothing(small):
    X, y = load_iris(return_X_y=True)
    few = np.where(np.arange(150) % 5 == 0, y, -1)
    names = np.array(["c", "b", "a", None], object)[few]
    one, other = (
        attar.Classifier(epochs=1, random_state=0).fit(X, labels) for labels in (few, names)
    )
    assert_array_equal(np.array(["c", "b", "a"])[one.predict(X)], other.predict(X))
    assert_allclose(one.predict_proba(X[::-1]), one.predict_proba(X)[::-1], atol=1e-6)


def test_a_column_that_is_also_the_label_is_left_out_and_said(small):
    table = frame(80)
    with pytest.warns(AttarWarning, match="Column 'kind' of X is what is to be predicted"):
        model = attar.Classifier(epochs=1, random_state=0).fit(table, table.kind)
    assert "kind" not in model.feature_names_in_
    assert_array_equal(model.predict(table), model.predict(table.drop(columns="kind")))


def test_numbers_are_predicted_in_their_own_unit_and_scale_with_it(small, tmp_path):
    X = rng.normal(size=(200, 2))
    y = np.where(np.arange(200) < 60, 5 + X[:, 0] - 2 * X[:, 1], np.nan)
    model, scaled = (attar.Regressor(epochs=1, random_state=0).fit(X, k * y) for k in (1, 1000))
    assert_allclose(scaled.predict(X), 1000 * model.predict(X), rtol=1e-3)
    assert model.score(X[60:], 5 + X[60:, 0] - 2 * X[60:, 1]) > 0.9
    assert_allclose(model.held_out_["r2"], 1 - (model.held_out_["rmse"] / np.nanstd(y)) ** 2)
    model.save(tmp_path / "r.attar")
    assert_array_equal(attar.Regressor.load(tmp_path / "r.attar").predict(X), model.predict(X))


def test_there_is_a_label_for_each_row():
    with pytest.raises(DataError, match="y has 4 labels, and X has 6 rows"):
        attar.Classifier().fit(np.ones((6, 2)), [0, 1, 0, 1])
