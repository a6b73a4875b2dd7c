import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from attar import DataError
from attar.data.columns.frames import array_of, frame_of, in_order, is_table, names_of, opened

TEXT = pa.large_string()


def test_tables_are_what_pandas_and_arrow_know():
    assert is_table(pd.DataFrame())
    assert is_table(pa.table({"a": [1]}))
    assert not is_table(np.zeros((2, 2)))


def test_a_single_column_is_no_table():
    with pytest.raises(DataError, match="got one column instead"):
        frame_of(pd.Series([1, 2]))


@pytest.mark.parametrize("labels", [["a", "a"], [1, "1"]])
def test_two_columns_of_one_name_are_refused(labels):
    frame = pd.DataFrame([[1.0, 2.0]], columns=labels)
    with pytest.raises(DataError, match=f"more than one column named '{labels[0]}': rename them"):
        names_of(frame)


def test_a_table_without_columns_is_refused():
    with pytest.raises(DataError, match="has no columns"):
        names_of(pd.DataFrame(index=[1, 2]))


@pytest.mark.parametrize("make", [pd.DataFrame, pa.table])
def test_columns_are_put_in_order(make):
    table = make({"b": [30], "a": [10]})
    assert names_of(in_order(table, ["a", "b"])) == ["a", "b"]
    assert in_order(table, ["b", "a"]) is table


@pytest.mark.parametrize("make", [pd.DataFrame, pa.table])
def test_a_missing_and_a_foreign_column_are_named(make):
    with pytest.raises(DataError, match="lacks the column 'b' that the model was fitted on"):
        in_order(make({"a": [1.0]}), ["a", "b"])
    with pytest.raises(DataError, match="a column 'c' that the model was not fitted on: drop it"):
        in_order(make({"a": [1.0], "c": [3.0], "b": [2.0]}), ["a", "b"])


def test_text_has_one_type_and_categories_are_text():
    table = opened(
        pa.table(
            {
                "s": pa.array(["a"]),
                "v": pa.array(["a"], pa.string_view()),
                "d": pa.array(["a"]).dictionary_encode(),
                "i": pa.array([7]).dictionary_encode(),
                "l": pa.DictionaryArray.from_arrays(pa.array([0]), pa.array([[1]])),
            }
        )
    )
    assert table["s"].type == table["v"].type == TEXT
    assert table["d"].type.value_type == table["i"].type.value_type == TEXT
    assert table["i"].to_pylist() == ["7"]
    assert pa.types.is_list(table["l"].type.value_type)


@pytest.mark.parametrize(
    ("values", "void"),
    [
        ([None, None], True),
        ([np.nan, None], True),
        ([None, np.nan], True),
        ([np.nan, 1.0], False),
        ([1.0, None], False),
        ([], True),
    ],
)
def test_a_column_without_a_value_is_null(values, void):
    table = opened(pa.table({"x": pa.array(values, pa.float64())}))
    assert pa.types.is_null(table["x"].type) == void


def test_arrays_are_made_of_frames_of_numbers():
    frame = pd.DataFrame({"a": [1, 2], "b": pd.array([True, None], dtype="boolean"), "c": np.nan})
    np.testing.assert_array_equal(array_of(frame), [[1, 1, np.nan], [2, np.nan, np.nan]])
    with pytest.raises(DataError, match="Column 's' holds text such as 'x', but the model was"):
        array_of(pa.table({"s": ["x"]}))


@pytest.mark.parametrize("data", [[[1, 2]], ((1, 2),), np.array([[1, 2]])])
def test_lists_are_arrays(data):
    np.testing.assert_array_equal(array_of(data), [[1, 2]])


def test_none_in_an_array_is_a_missing_number():
    np.testing.assert_array_equal(array_of(np.array([[1, None]], object)), [[1, np.nan]])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.array([["a", "b"]]), "The array holds <U1 values such as 'a' where numbers belong"),
        (np.array([["a", None]], object), "The array holds object values such as 'a'"),
        (np.ones((2, 2)) * 1j, "Complex data not supported"),
    ],
)
def test_arrays_that_are_no_numbers_are_refused(data, message):
    with pytest.raises(DataError, match=re.escape(message)):
        array_of(data)


def test_objects_that_are_no_numbers_are_refused_in_scikit_learns_words():
    with pytest.raises(TypeError, match="argument must be a string or a real number"):
        array_of(np.array([[{}]], object))
