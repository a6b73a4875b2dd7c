"""The page says which rows were measured, what is missing and not used, and which rows are odd."""

import numpy as np
import pandas as pd
import pytest

from attar import AttarWarning
from attar.reporting.measured import oddest


def words(element):
    return "".join(element.itertext())


@pytest.fixture(scope="module")
def gaps():
    generator = np.random.default_rng(0)
    data = pd.DataFrame(generator.normal(size=(80, 3)), columns=["a", "b", "c"])
    data.loc[::4, "a"] = np.nan
    data["constant"] = "same"
    return data.assign(code=[f"id {i}" for i in range(80)])


@pytest.fixture(scope="module")
def gaps_model(fitted, gaps):
    with pytest.warns(AttarWarning, match="not used"):
        return fitted(gaps, code_size=2, epochs=1, columns={"code": "id"})


def test_missing_cells_unused_columns_and_identifiers_are_named(page, gaps_model, gaps):
    tree = page(gaps_model, gaps)
    text = words(tree.find(".//header"))
    assert "attar report on 80 rows" in text
    assert "These rows are not the 80 rows of the fit." in text
    assert "Missing: 8.3% of the cells of all columns (a 25.0%)." in text
    assert "Not used by the model: constant (" in text
    assert ", code (" in text
    names = [words(th) for th in tree.iter("th") if th.get("scope") == "row"]
    assert sum(name.startswith("id ") for name in names) == 12


def test_validation_and_training_rows_are_called_so(page, gaps_model, gaps, fitted):
    text = words(page(gaps_model, gaps[::-1]).find(".//header"))
    assert "attar report on 8 validation rows" in text
    assert "Measured on 8 validation rows of the 80 rows of the fit." in text
    numbers = gaps[["b", "c"]]
    model = fitted(numbers, code_size=1, epochs=1, validation_fraction=0)
    text = words(page(model, numbers[::-1]).find(".//header"))
    assert "attar report on 80 training rows" in text
    assert "No rows were held out" in text


def test_rows_are_named_by_the_index_of_a_frame(page, fitted):
    data = pd.DataFrame(np.random.default_rng(0).normal(size=(40, 3)))
    data.index = [f"person {i}" for i in range(40)]
    tree = page(fitted(data, code_size=1, epochs=1), data)
    names = [words(th) for th in tree.iter("th") if th.get("scope") == "row"]
    assert sum(name.startswith("person ") for name in names) == 12


def test_odd_rows_do_not_overlap():
    scores = np.array([-9.0, -8.0, -1.0, -7.0, -1.0, -1.0])
    places = np.array([10, 11, 12, 13, 20, 30])
    assert oddest(scores, places, 2).tolist() == [0, 3, 4, 5]
    assert oddest(scores, places, 0).tolist() == [0, 1, 3, 2, 4, 5]
