import datetime as dt

import pandas as pd
import pyarrow as pa
import pytest

from attar import DataError
from attar.data.columns.profiles import TableProfile, UntypedProfile


def profiled(*pieces):
    profile = UntypedProfile("x")
    for piece in pieces:
        profile.add(pa.chunked_array([piece]))
    return profile, profile.column(pa.chunked_array([pieces[-1]]))


def test_numbers_of_several_types_have_one_that_holds_them_all():
    profile, column = profiled(pa.array([1, 2]), pa.nulls(1), pa.array([2.5]))
    assert column.type == pa.float64()
    assert profile.moments(column).count == 3


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ([1], ["a"], "holds numbers .int64. in one piece of the data and text .large_string."),
        ([True], [1], "holds booleans .bool. in one piece of the data and numbers .int64."),
        ([dt.date(1, 1, 1)], [dt.datetime(1, 1, 1)], "holds dates .date32.*and dates .timestamp"),
    ],
)
def test_pieces_of_different_sorts_are_refused(first, second, message):
    arrays = [pa.array(values) for values in (first, second)]
    arrays = [a.cast(pa.large_string()) if a.type == pa.string() else a for a in arrays]
    with pytest.raises(DataError, match=f"Column 'x' {message}"):
        profiled(*arrays)


def test_a_column_without_a_value_is_dropped():
    column = profiled(pa.nulls(2), pa.nulls(3))[1]
    assert column.remark == "all of its values are missing"


@pytest.mark.parametrize("order", [1, -1])
def test_values_of_an_unsupported_type_drop_the_column(order):
    column = profiled(*[pa.array([[1]]), pa.nulls(1), pa.array([1])][::order])[1]
    assert column.remark == "it holds values of the type list<item: int64>"


def test_the_sample_of_a_table_leaves_out_unsupported_types():
    profile = TableProfile()
    profile.add(pd.DataFrame({"a": [1, 2], "b": [[1], [2]], "c": pd.Categorical(["x", "y"])}))
    profile.add(pd.DataFrame({"c": ["z"], "b": [None], "a": [0.5]}))
    sample, places = profile.sampled()
    assert sample.to_pydict() == {"a": [1, 2, 0.5], "b": [None] * 3, "c": ["x", "y", "z"]}
    assert places.tolist() == [0, 1, 2]


def test_an_empty_table_has_an_empty_sample():
    profile = TableProfile()
    profile.add(pd.DataFrame({"a": pd.Series([], dtype=float)}))
    sample, places = profile.sampled()
    assert (len(sample), len(places)) == (0, 0)
    assert sample.column_names == ["a"]
