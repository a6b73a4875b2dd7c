import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from scipy import sparse
from sklearn.datasets import load_digits

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


def test_a_joined_condition_begins_by_changing_nothing_and_then_may():
    module = Joined(8).build(5, 3)
    features, condition = torch.randn(4, 5), torch.randn(4, 3)
    assert torch.equal(module(features, condition), features)
    for weight in module.parameters():
        torch.nn.init.normal_(weight)
    assert not torch.allclose(module(features, condition), module(features, -condition))


@pytest.mark.parametrize("labels", [np.array([3, 1, 3]), ["c", "a", "c"], pd.Series([3, 1, 3])])
def test_labels_become_a_number_for_each_of_them(labels):
    told = ConditionEncoder.fit(labels, 3)
    assert told.size == 2
    assert told.prepare(labels, 3).tolist() == [[0, 1], [1, 0], [0, 1]]
    assert told.prepare(labels[:1], 2).tolist() == [[0, 1], [0, 1]]
    assert told.prepare(labels[1], 1).tolist() == [[1, 0]]


def test_a_table_becomes_standard_numbers_and_levels():
    table = pd.DataFrame({"size": [0.5, 1.5, 2.5, np.nan], "kind": list("abaa")})
    told = ConditionEncoder.fit(table, 4)
    numbers = told.prepare(table, 4)
    sizes = (table["size"] - table["size"].mean()) / table["size"].std(ddof=0)
    np.testing.assert_allclose(numbers[:, 0], sizes.fillna(0), rtol=1e-5, atol=1e-6)
    assert numbers[:, 1:].tolist() == [[1, 0], [0, 1], [1, 0], [1, 0]]
    back = ConditionEncoder.restored(told.to_json(), told.tensors())
    assert torch.equal(back.prepare(table, 4), numbers)


def test_new_rows_are_of_the_label_that_is_asked_for(conditional):
    nearest = {}
    means = np.stack([X[digit == Y].mean(0) for digit in range(10)])
    for digit in range(10):
        drawn = conditional.sample(40, condition=digit, random_state=0).astype(float)
        distance = np.square(drawn[:, None] - means).sum((2, 3))
        nearest[digit] = np.mean(distance.argmin(1) == digit)
    assert np.mean(list(nearest.values())) > 0.8
    assert nearest[0] > 0.9
    several = conditional.sample(2, condition=[0, 7], random_state=1)
    assert several.shape == (2, 8, 8)


def test_a_code_says_what_the_label_does_not(conditional):
    """Of the codes the digits can hardly be told, since the decoder is told them."""
    plain = attar.Autoencoder("vae", 8, epochs=12, random_state=0, verbose=False).fit(X[:1200])
    from sklearn.linear_model import LogisticRegression

    def told_from(codes, test_codes):
        model = LogisticRegression(max_iter=2000).fit(codes, Y[:1200])
        return model.score(test_codes, Y[1200:])

    with_labels = told_from(
        conditional.transform(X[:1200], condition=Y[:1200]),
        conditional.transform(X[1200:], condition=Y[1200:]),
    )
    without = told_from(plain.transform(X[:1200]), plain.transform(X[1200:]))
    assert with_labels < without - 0.2


def test_a_wrong_label_makes_a_row_less_likely(conditional):
    right = conditional.score_samples(X[1200:1300], condition=Y[1200:1300])
    wrong = conditional.score_samples(X[1200:1300], condition=(Y[1200:1300] + 3) % 10)
    assert np.mean(right > wrong) > 0.9


def test_any_recipe_may_be_told_something_and_keeps_it_in_its_file(tmp_path):
    ae = attar.Autoencoder("ae", 4, epochs=2, random_state=0, verbose=False)
    ae.fit(X[:300], condition=Y[:300])
    ae.save(tmp_path / "told.attar")
    back = attar.load(tmp_path / "told.attar")
    given = {"condition": Y[300:320]}
    np.testing.assert_array_equal(
        back.reconstruct(X[300:320], **given), ae.reconstruct(X[300:320], **given)
    )
    assert back.evaluate(X[300:320], **given) == ae.evaluate(X[300:320], **given)


def test_a_fit_that_goes_on_is_bound_to_its_condition(tmp_path):
    def fit(labels):
        ae = attar.Autoencoder("conditional", 4, epochs=2, random_state=0, verbose=False)
        return ae.fit(X[:200], condition=labels, checkpoint=tmp_path / "c")

    fit(Y[:200])
    with pytest.raises(attar.ModelFileError, match="other data or settings"):
        fit(Y[200:400])


def test_what_is_missing_or_too_much_is_refused_in_a_sentence(conditional):
    with pytest.raises(SettingError, match=r"none was given: use fit\(X, condition=...\)"):
        attar.Autoencoder("conditional").fit(X[:50])
    for use in (conditional.transform, conditional.reconstruct, conditional.evaluate):
        with pytest.raises(SettingError, match="fitted with a condition: give condition"):
            use(X[:5])
    with pytest.raises(SettingError, match="fitted with a condition: give condition"):
        conditional.sample(3)
    with pytest.raises(DataError, match=r"has 3 row\(s\), but the data has 5"):
        conditional.transform(X[:5], condition=Y[:3])
    with pytest.raises(DataError, match="lacks the column 'condition'"):
        conditional.sample(3, condition=pd.DataFrame({"a": [1.5], "b": [2.5]}))
    plain = attar.Autoencoder("ae", 2, epochs=1, verbose=False).fit(X[:50])
    with pytest.raises(SettingError, match="fitted without a condition"):
        plain.transform(X[:5], condition=Y[:5])


def test_a_condition_that_no_row_had_is_said():
    ae = attar.Autoencoder("conditional", 2, epochs=1, random_state=0, verbose=False)
    ae.fit(X[:50], condition=Y[:50] % 2)
    with pytest.warns(attar.AttarWarning, match="never seen in the fit.*'condition'"):
        ae.sample(2, condition=7)


@pytest.mark.parametrize("given", [2, "2", [2], 2.0])
def test_a_label_that_is_a_number_may_be_told_as_any(given):
    prices = np.array([0.5, 2.0, 3.25])
    told = ConditionEncoder.fit(prices, 3)
    expected = (2 - prices.mean()) / prices.std()
    assert told.prepare(given, 1).item() == pytest.approx(expected)
    with pytest.raises(DataError, match=r"In the condition: .* text such as 'much'"):
        told.prepare("much", 1)


def test_a_table_of_any_maker_is_a_condition():
    table = pd.DataFrame({"size": [0.5, 1.5, 2.5, 4.0], "kind": list("abaa")})
    told = ConditionEncoder.fit(table, 4)
    expected = told.prepare(table, 4)
    columns = table.to_dict("list")
    for same in (pa.table(columns), columns):
        assert torch.equal(told.prepare(same, 4), expected)
        assert torch.equal(ConditionEncoder.fit(same, 4).prepare(same, 4), expected)
    assert torch.equal(told.prepare({"size": 1.5, "kind": "b"}, 1), expected[1:2])


@pytest.mark.parametrize("given", [np.ones((3, 2, 2)), sparse.eye_array(3)])
def test_what_is_no_table_is_no_condition(given):
    with pytest.raises(DataError, match="condition is labels"):
        ConditionEncoder.fit(given, 3)
