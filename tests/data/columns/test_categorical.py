import random

import numpy as np
import pyarrow as pa
import pytest

from attar.data.cells import Category
from attar.data.columns import categorical
from attar.data.columns.base import FEW, Column
from attar.data.columns.categorical import CAP, CategoricalColumn
from attar.data.columns.profiles import UntypedProfile

TEXT = pa.large_string()


def profiled(*pieces):
    profile = UntypedProfile("x")
    for piece in pieces:
        profile.add(pa.chunked_array([piece]))
    plain = [piece.cast(TEXT) for piece in pieces]
    return profile, profile.column(pa.chunked_array(plain, TEXT))


def column_of(values):
    return profiled(pa.array(values, TEXT))[1]


def dictionary(values, labels):
    places = [None if v is None else labels.index(v) for v in values]
    return pa.DictionaryArray.from_arrays(pa.array(places, pa.int8()), pa.array(labels, TEXT))


def many(n, repeats):
    """Return n categories that occur ``repeats`` times and more, the first ones most often."""
    return [f"{i:04}" for i in range(n) for _ in range(repeats + (i < 7))]


def test_text_of_few_values_becomes_the_indices_of_its_categories():
    column = column_of(["b", "a", None, "b"])
    assert column.categories == ("a", "b")
    assert column.cells == (Category("x", ("a", "b")),)
    rows = column.encode(pa.chunked_array([["b", None, "a"]], TEXT))
    np.testing.assert_array_equal(rows, [[1], [np.nan], [0]])
    assert column.decode(rows).to_pylist() == ["b", None, "a"]
    assert Column.from_json(column.to_json(), TEXT) == column
    assert column.remark is None


def test_categories_keep_their_order_and_absent_ones_are_left_out():
    column = profiled(dictionary(["x", "z", None], ["z", "y", "x"]))[1]
    assert column.categories == ("z", "x")
    again = pa.chunked_array([dictionary(["x", None], ["x", "z"]), dictionary(["z"], ["z"])])
    np.testing.assert_array_equal(column.encode(again), [[1], [np.nan], [0]])


def test_text_and_categories_are_the_same_to_a_column():
    column = column_of(["b", "a"])
    for array in (pa.array(["a", None], TEXT), dictionary(["a", None], ["c", "a"])):
        np.testing.assert_array_equal(column.encode(pa.chunked_array([array])), [[0], [np.nan]])


def test_an_unseen_category_is_minus_1_and_restored_as_missing():
    column = column_of(["b", "a"])
    rows = column.encode(pa.chunked_array([["c", "a", None]], TEXT))
    np.testing.assert_array_equal(rows, [[-1], [0], [np.nan]])
    assert column.decode(rows).to_pylist() == [None, "a", None]


def test_predictions_are_rounded_to_a_category():
    column = column_of(["b", "a"])
    assert column.decode(np.array([[0.4], [0.6], [9.0]])).to_pylist() == ["a", "b", "b"]


def test_the_most_frequent_categories_are_kept_and_the_others_are_one():
    values = many(CAP + 20, repeats=3) + ["0119", "0118"] * 2
    random.Random(0).shuffle(values)
    column = column_of(values)
    assert column.categories == tuple(f"{i:04}" for i in [*range(CAP - 2), 118, 119])
    assert column.other == "other"
    assert column.cells[0].categories[-1] == "other"
    assert column.remark == "kept the 100 most frequent categories, the rest become 'other'"
    rows = column.encode(pa.chunked_array([["0000", "0117", "new", None]], TEXT))
    np.testing.assert_array_equal(rows, [[0], [CAP], [CAP], [np.nan]])
    assert column.decode(rows).to_pylist() == ["0000", "other", "other", None]


def test_other_categories_are_restored_as_the_most_frequent_of_them():
    values = [v for v in many(CAP + 20, repeats=3) if v != "0007"]
    labels = sorted(set(values))
    column = profiled(dictionary_16(values, labels[::-1]))[1]
    assert len(column.categories) == CAP
    assert column.other not in column.categories
    assert column.other in labels


def dictionary_16(values, labels):
    places = {label: i for i, label in enumerate(labels)}
    numbers = pa.array([places[v] for v in values], pa.int16())
    return pa.DictionaryArray.from_arrays(numbers, pa.array(labels, TEXT))


@pytest.mark.parametrize("n", [FEW + 1, CAP + 1])
def test_text_that_is_nearly_all_different_is_dropped(n):
    column = column_of([str(i) for i in range(n)])
    assert column.remark == "nearly all of its values are different"
    assert column.decode(np.empty((2, 0))).to_pylist() == ["", ""]


def test_few_different_texts_and_texts_that_occur_twice_are_categories():
    assert column_of([str(i) for i in range(FEW)]).cells
    assert column_of([str(i) for i in range(FEW + 1)] * 2).cells
    assert column_of([str(i) for i in range(CAP + 1)] * 2).other == "other"


@pytest.mark.parametrize("cut", [1, 250, 499])
def test_the_column_does_not_depend_on_how_the_rows_are_cut(cut):
    values = many(CAP + 20, repeats=4)
    random.Random(1).shuffle(values)
    whole = column_of(values)
    pieces = (pa.array(values[:cut], TEXT), pa.array(values[cut:], TEXT))
    assert profiled(*pieces)[1] == whole


def test_beyond_the_most_texts_that_are_counted_the_sample_counts(monkeypatch):
    monkeypatch.setattr(categorical, "COUNTED", 150)
    monkeypatch.setattr(categorical, "CHUNK", 40)
    profile = UntypedProfile("x")
    profile.add(pa.chunked_array([many(200, repeats=2)], TEXT))
    sample = pa.chunked_array([many(150, repeats=2)], TEXT)
    column = profile.column(sample)
    assert column.categories == tuple(f"{i:04}" for i in range(CAP))
    assert column.other == "other"
    assert profile.moments(column).count == len(many(200, repeats=2))


def test_the_moments_count_what_is_not_missing():
    profile, column = profiled(pa.array(["a", None, "b", "b"], TEXT))
    moments = profile.moments(column)
    assert (moments.count, moments.low, moments.high) == (3, 0, 1)


def test_one_text_is_a_constant():
    column = column_of(["a", "a"])
    assert column.remark == "it is constant"
    assert column.decode(np.empty((2, 0))).to_pylist() == ["a", "a"]


def test_one_text_or_none_is_a_category():
    profile, column = profiled(pa.array(["a", None], TEXT), pa.array(["a"], TEXT))
    assert column.cells == (Category("x", ("a",)),)
    assert (column.remark, column.advice) == (None, "")
    rows = column.encode(pa.chunked_array([["b", None, "a"]], TEXT))
    np.testing.assert_array_equal(rows, [[-1], [np.nan], [0]])
    assert column.decode(rows).to_pylist() == [None, None, "a"]
    assert profile.moments(column).count == 2
    assert Column.from_json(column.to_json(), TEXT) == column


def test_the_json_of_a_column():
    assert CategoricalColumn("x", TEXT, ("a",)).to_json() == {
        "column": "categorical",
        "name": "x",
        "categories": ("a",),
        "other": None,
    }
