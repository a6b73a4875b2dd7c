import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from attar import DataError
from attar.data.scaling import MinMax, Standard
from attar.data.source import kind_of
from attar.data.table import Table

SHAPES = st.tuples(st.integers(1, 6), st.integers(1, 5))
DTYPES = ["bool", "uint8", "int8", "int16", "uint32", "int32", "float32", "float64", "float16"]


def there_and_back(data, dtype=np.float64):
    table = Table.from_json(Table.of(data).to_json())
    assert table == Table.of(data)
    return table.restore(table.rows(data).astype(dtype))


@given(st.data())
def test_an_array_comes_back_in_its_own_dtype(data):
    dtype = np.dtype(data.draw(st.sampled_from(DTYPES)))
    finite = {"allow_nan": False, "allow_infinity": False} if dtype.kind == "f" else {}
    x = data.draw(arrays(dtype, SHAPES, elements=finite))
    back = there_and_back(x)
    assert back.dtype == dtype
    np.testing.assert_array_equal(back, x)


def test_a_frame_comes_back_with_its_columns_in_order_and_in_their_dtypes():
    frame = pd.DataFrame(
        {
            "z": np.array([1.5, 2.5], np.float32),
            "a": np.array([True, False]),
            "m": np.array([-3, 7], np.int16),
            "b": np.array([0, 255], np.uint8),
            "n": np.array([1e300, -2.0]),
        }
    )
    pd.testing.assert_frame_equal(there_and_back(frame), frame)


def test_integers_are_rounded_and_kept_in_range_on_the_way_back():
    table = Table(("uint8",) * 4)
    assert table.restore(np.array([[-3.0, 2.4, 2.6, 999.0]])).tolist() == [[0, 2, 3, 255]]
    assert Table(("bool",) * 3).restore(np.array([[-1.0, 0.49, 0.5]])).tolist() == [
        [False, False, True]
    ]


@pytest.mark.parametrize("dtype", ["int64", "uint64"])
def test_the_largest_integers_do_not_overflow_on_the_way_back(dtype):
    limits = np.iinfo(dtype)
    low, high = Table((dtype,) * 2).restore(np.array([[-1e30, 1e30]]))[0]
    assert low == limits.min
    assert limits.max - high <= 2**11


def test_columns_may_come_in_another_order():
    table = Table.of(pd.DataFrame({"a": [1, 2], "b": [3, 4]}))
    assert table.rows(pd.DataFrame({"b": [30], "a": [10]})).tolist() == [[10, 30]]


def test_a_missing_and_a_foreign_column_are_named():
    table = Table.of(pd.DataFrame({"a": [1.0], "b": [2.0]}))
    with pytest.raises(DataError, match="lacks the column 'b'"):
        table.rows(pd.DataFrame({"a": [1.0]}))
    with pytest.raises(DataError, match="a column 'c' that the model was not fitted on"):
        table.rows(pd.DataFrame({"a": [1.0], "b": [2.0], "c": [3.0]}))


def test_the_wrong_number_of_columns_is_refused():
    with pytest.raises(DataError, match=r"X has 3 features, but .* is expecting 2"):
        Table.of(np.zeros((4, 2))).rows(np.zeros((4, 3)))


@pytest.mark.parametrize("names", [["a", "a"], [1, "1"]])
def test_two_columns_of_one_name_are_refused(names):
    frame = pd.DataFrame([[1.0, 2.0]], columns=names)
    with pytest.raises(DataError, match=f"more than one column named '?{names[0]}'?: rename them"):
        Table.of(frame)


def test_text_is_refused_by_its_column_and_an_example():
    frame = pd.DataFrame({"size": [1.0, 2.0], "city": [None, "Grasse"]})
    with pytest.raises(DataError, match=r"Column 'city' holds .* such as 'Grasse'"):
        Table.of(frame)


@pytest.mark.parametrize(
    "values",
    [pd.to_datetime(["2020-01-01", "2020-01-02"]), pd.Categorical(["a", "b"]), [1j, 2j]],
    ids=["time", "category", "complex"],
)
def test_columns_that_are_no_numbers_are_refused(values):
    with pytest.raises(DataError, match=r"Column 'v' holds .* where numbers belong"):
        Table.of(pd.DataFrame({"v": values}))


@pytest.mark.parametrize(
    "data", [np.array([["a", "b"]]), np.array([["1", None]], dtype=object), np.ones((2, 2)) * 1j]
)
def test_arrays_that_are_no_numbers_are_refused(data):
    with pytest.raises((DataError, TypeError)):
        Table.of(data).rows(data)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("as_frame", [True, False])
def test_cells_that_are_no_finite_numbers_are_counted_by_column(value, as_frame):
    x = np.zeros((10, 3))
    x[[2, 5, 7], 1] = value
    data = pd.DataFrame(x, columns=["a", "b", "c"]) if as_frame else x
    column = "Column 'b'" if as_frame else "Column 1 of X"
    what = "3 missing values (NaN)" if np.isnan(value) else "3 infinite values (inf)"
    with pytest.raises(DataError, match=re.escape(f"{column} has {what}")):
        Table.of(data).rows(data)


def test_infinities_of_both_signs_are_counted_too():
    x = np.array([[np.inf], [-np.inf], [0.0]])
    with pytest.raises(DataError, match="has 2 infinite values"):
        Table.of(x).rows(x)


def test_numbers_so_large_that_their_sum_overflows_are_taken():
    x = np.full((4, 2), 1.7e308)
    np.testing.assert_array_equal(Table.of(x).rows(x), x)


def test_missing_cells_of_pandas_own_types_are_counted():
    frame = pd.DataFrame({"n": pd.array([1, None, 3], dtype="Int64")})
    with pytest.raises(DataError, match="Column 'n' has 1 missing values"):
        Table.of(frame).rows(frame)


def test_pandas_own_types_are_read_as_numpys():
    frame = pd.DataFrame(
        {"n": pd.array([1, 2], dtype="Int16"), "b": pd.array([True, False], dtype="boolean")}
    )
    table = Table.of(frame)
    assert table.rows(frame).tolist() == [[1, 1], [2, 0]]
    assert table.dtypes == ("int16", "bool")


def test_names_of_cells_are_the_columns():
    assert Table.of(pd.DataFrame({"a": [1], "b": [2]})).feature_names() == ["a", "b"]
    assert Table.of(np.zeros((1, 3))).feature_names() == ["x0", "x1", "x2"]


def test_columns_between_0_and_1_keep_their_range_and_others_are_standardized():
    table = Table.of(np.zeros((1, 2)))
    assert table.scaling(np.array([[0.0, 1.0], [0.5, 0.2]])) == MinMax()
    assert table.scaling(np.array([[0.0, 1.1], [0.5, 0.2]])) == Standard()


@pytest.mark.parametrize("data", [np.zeros(3), 5.0, np.zeros((1, 2, 3, 4, 5)), None])
def test_data_of_other_dimensions_is_refused(data):
    with pytest.raises(DataError, match="Expected 2D array"):
        kind_of(data)


def test_ragged_rows_are_refused_by_their_shapes():
    with pytest.raises(DataError, match=re.escape("different shapes ((2,), (3,))")):
        kind_of([[1, 2], [1, 2, 3]])
    with pytest.raises(DataError, match=re.escape("different shapes ((2, 2), (3, 2))")):
        kind_of([np.zeros((2, 2)), np.zeros((3, 2))])


def test_lists_are_tables_too():
    assert kind_of([[1, 2], [3, 4]]) == Table(("int64", "int64"))
