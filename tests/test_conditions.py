import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from scipy import sparse
from sklearn import config_context
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import attar
from attar.conditions import Joined
from attar.data.condition_encoder import ConditionEncoder
from attar.errors import DataError, SettingError

X, Y = load_digits(return_X_y=True)
X = X.reshape(-1, 8, 8).astype(np.uint8) * 15


@pytest.fixture(scope="module")
def conditional():
    ae = attar.Autoencoder("conditional", 8, epochs=12, random_state=0, verbose=False)
    return ae.fit(X[:1200], condition=Y[:1200])


def test_a_joined_condition_starts_as_the_identity():
    module = Joined(8).build(5, 3)
    features, condition = torch.randn(4, 5), torch.randn(4, 3)
    assert torch.equal(module(features, condition), features)
    for weight in module.parameters():
        torch.nn.init.normal_(weight)
    assert not torch.allclose(module(features, condition), module(features, -condition))


@pytest.mark.parametrize("labels", [np.array([3, 1, 3]), ["c", "a", "c"], pd.Series([3, 1, 3])])
def test_labels_are_one_hot_encoded(labels):
    encoder = ConditionEncoder.fit(labels, 3)
    assert encoder.size == 2
    assert encoder.prepare(labels, 3).tolist() == [[0, 1], [1, 0], [0, 1]]
    assert encoder.prepare(labels[:1], 2).tolist() == [[0, 1], [0, 1]]
    assert encoder.prepare(labels[1], 1).tolist() == [[1, 0]]


def test_a_matrix_of_one_column_is_labels_and_a_label_fits_a_table_of_one_column():
    labels = np.array([3, 1, 3])
    encoder = ConditionEncoder.fit(labels[:, None], 3)
    assert encoder.size == 2
    assert encoder.prepare(1, 2).tolist() == [[1, 0], [1, 0]]
    assert encoder.prepare(labels[:, None], 3).tolist() == [[0, 1], [1, 0], [0, 1]]
    named = ConditionEncoder.fit(pd.DataFrame({"town": ["Ulm", "Bonn", "Ulm"]}), 3)
    assert named.prepare("Ulm", 2).tolist() == [[0, 1], [0, 1]]


def test_a_condition_goes_with_fit_transform_and_score():
    ae = attar.Autoencoder("conditional", 4, epochs=2, random_state=0, verbose=False)
    codes = ae.fit_transform(X[:200], condition=Y[:200])
    np.testing.assert_array_equal(codes, ae.transform(X[:200], condition=Y[:200]))
    score = ae.score(X[:200], condition=Y[:200])
    assert score == ae.score_samples(X[:200], condition=Y[:200]).mean()
    for method in (ae.score, ae.transform):
        with pytest.raises(SettingError, match=r"give condition=.*enable_metadata_routing=True"):
            method(X[:200])


def test_conditions_are_routed_in_pipelines_and_searches():
    x, y = X[:80].reshape(80, -1).astype(float), Y[:80]
    x = x[:, (x > 0).mean(0) > 0.3]

    def plain():
        return attar.Autoencoder("conditional", 4, epochs=2, random_state=0, verbose=False)

    def made():
        ae = plain()
        ae.set_fit_request(condition=True).set_transform_request(condition=True)
        return ae.set_score_request(condition=True)

    with config_context(enable_metadata_routing=True):
        search = GridSearchCV(made(), {"code_size": [2, 4]}, cv=2, error_score="raise")
        search.fit(x, condition=y)
        pipeline = make_pipeline(FunctionTransformer(), made())
        codes = pipeline.fit_transform(x, condition=y)
        np.testing.assert_array_equal(codes, pipeline.transform(x, condition=y))
    folds = KFold(2).split(x)
    scores = [plain().fit(x[a], condition=y[a]).score(x[b], condition=y[b]) for a, b in folds]
    np.testing.assert_array_equal(search.cv_results_["mean_test_score"][1], np.mean(scores))
    np.testing.assert_array_equal(codes, plain().fit_transform(x, condition=y))


def test_a_table_is_standardized_and_one_hot_encoded():
    table = pd.DataFrame({"size": [0.5, 1.5, 2.5, np.nan], "kind": list("abaa")})
    encoder = ConditionEncoder.fit(table, 4)
    encoded = encoder.prepare(table, 4)
    sizes = (table["size"] - table["size"].mean()) / table["size"].std(ddof=0)
    np.testing.assert_allclose(encoded[:, 0], sizes.fillna(0), rtol=1e-5, atol=1e-6)
    assert encoded[:, 1:].tolist() == [[1, 0], [0, 1], [1, 0], [1, 0]]
    restored = ConditionEncoder.restored(encoder.to_json(), encoder.tensors())
    assert torch.equal(restored.prepare(table, 4), encoded)


def test_new_rows_are_of_the_label_that_is_asked_for(conditional):
    nearest = {}
    means = np.stack([X[digit == Y].mean(0) for digit in range(10)])
    for digit in range(10):
        drawn = conditional.sample(40, condition=digit, random_state=0).astype(float)
        distance = np.square(drawn[:, None] - means).sum((2, 3))
        nearest[digit] = np.mean(distance.argmin(1) == digit)
    assert np.mean(list(nearest.values())) > 0.8
    assert nearest[0] > 0.9
    several = conditional.sample(40, condition=20 * [0, 6], random_state=1).astype(float)
    asked = np.square(several[:, None] - means).sum((2, 3)).argmin(1).reshape(20, 2) == [0, 6]
    assert (asked.mean(0) > 0.8).all()


def test_the_code_is_nearly_independent_of_the_label(conditional):
    """The decoder has the label, so the codes need not encode it."""
    plain = attar.Autoencoder("vae", 8, epochs=12, random_state=0, verbose=False).fit(X[:1200])
    from sklearn.linear_model import LogisticRegression

    def accuracy(codes, test_codes):
        model = LogisticRegression(max_iter=2000).fit(codes, Y[:1200])
        return model.score(test_codes, Y[1200:])

    with_labels = accuracy(
        conditional.transform(X[:1200], condition=Y[:1200]),
        conditional.transform(X[1200:], condition=Y[1200:]),
    )
    without = accuracy(plain.transform(X[:1200]), plain.transform(X[1200:]))
    assert with_labels < without - 0.2


def test_a_wrong_label_makes_a_row_less_likely(conditional):
    right = conditional.score_samples(X[1200:1300], condition=Y[1200:1300])
    wrong = conditional.score_samples(X[1200:1300], condition=(Y[1200:1300] + 3) % 10)
    assert np.mean(right > wrong) > 0.9


def test_any_recipe_accepts_a_condition_and_saves_its_encoder(tmp_path):
    ae = attar.Autoencoder("ae", 4, epochs=2, random_state=0, verbose=False)
    ae.fit(X[:300], condition=Y[:300])
    ae.save(tmp_path / "conditional.attar")
    restored = attar.load(tmp_path / "conditional.attar")
    given = {"condition": Y[300:320]}
    np.testing.assert_array_equal(
        restored.reconstruct(X[300:320], **given), ae.reconstruct(X[300:320], **given)
    )
    assert restored.evaluate(X[300:320], **given) == ae.evaluate(X[300:320], **given)


def test_a_resumed_fit_needs_the_same_condition(tmp_path):
    def fit(labels):
        ae = attar.Autoencoder("conditional", 4, epochs=2, random_state=0, verbose=False)
        return ae.fit(X[:200], condition=labels, checkpoint=tmp_path / "c")

    fit(Y[:200])
    with pytest.raises(attar.ModelFileError, match="other data or settings"):
        fit(Y[200:400])


def test_missing_and_unexpected_conditions_are_refused(conditional):
    with pytest.raises(SettingError, match=r"needs a condition: use fit\(X, condition=...\)"):
        attar.Autoencoder("conditional").fit(X[:50])
    for use in (conditional.transform, conditional.reconstruct, conditional.evaluate):
        with pytest.raises(SettingError, match="fitted with a condition: give condition"):
            use(X[:5])
    with pytest.raises(SettingError, match="fitted with a condition: give condition"):
        conditional.sample(3)
    with pytest.raises(DataError, match="has 3 rows, but the data has 5"):
        conditional.transform(X[:5], condition=Y[:3])
    with pytest.raises(DataError, match="lacks the column 'condition'"):
        conditional.sample(3, condition=pd.DataFrame({"a": [1.5], "b": [2.5]}))
    plain = attar.Autoencoder("ae", 2, epochs=1, verbose=False).fit(X[:50])
    with pytest.raises(SettingError, match="fitted without a condition"):
        plain.transform(X[:5], condition=Y[:5])


def test_an_unseen_condition_is_warned_of():
    ae = attar.Autoencoder("conditional", 2, epochs=1, random_state=0, verbose=False)
    ae.fit(X[:50], condition=Y[:50] % 2)
    with pytest.warns(attar.AttarWarning, match="that the fit did not see.*'condition'"):
        ae.sample(2, condition=7)


@pytest.mark.parametrize("given", [2, "2", [2], 2.0])
def test_a_numeric_condition_may_be_given_in_any_form(given):
    values = np.array([0.5, 2.0, 3.25])
    encoder = ConditionEncoder.fit(values, 3)
    expected = (2 - values.mean()) / values.std()
    assert encoder.prepare(given, 1).item() == pytest.approx(expected)
    with pytest.raises(DataError, match=r"In the condition: .* text such as 'much'"):
        encoder.prepare("much", 1)


def test_a_table_of_any_library_is_a_condition():
    table = pd.DataFrame({"size": [0.5, 1.5, 2.5, 4.0], "kind": list("abaa")})
    encoder = ConditionEncoder.fit(table, 4)
    expected = encoder.prepare(table, 4)
    columns = table.to_dict("list")
    for same in (pa.table(columns), columns):
        assert torch.equal(encoder.prepare(same, 4), expected)
        assert torch.equal(ConditionEncoder.fit(same, 4).prepare(same, 4), expected)
    assert torch.equal(encoder.prepare({"size": 1.5, "kind": "b"}, 1), expected[1:2])


@pytest.mark.parametrize("given", [np.ones((3, 2, 2)), sparse.eye_array(3)])
def test_arrays_of_higher_rank_are_refused(given):
    with pytest.raises(DataError, match="condition is labels"):
        ConditionEncoder.fit(given, 3)
