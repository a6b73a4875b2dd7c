import datetime as dt
import decimal
import json
import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from attar import DataError
from attar.data.columns.frames import (
    FrameFormat,
    TableFormat,
    array_of,
    format_of,
    frame_of,
    in_order,
    is_table,
    names_of,
    opened,
)

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


def format_and_table(data):
    frame = frame_of(data)
    table = opened(frame)
    return format_of(data, frame, table), table


def there_and_back(data, passthrough=None):
    format_, table = format_and_table(data)
    again = FrameFormat.from_json(json.loads(json.dumps(format_.to_json())))
    assert again == format_
    columns = dict(zip(table.column_names, table.columns, strict=True))
    return again.close(columns, passthrough)


def arrow_table():
    values = {
        "i": pa.array([1, None], pa.int16()),
        "f": pa.array([0.5, None], pa.float32()),
        "s": pa.array(["a", None]),
        "v": pa.array(["a", None], pa.string_view()),
        "d": pa.array([dt.date(2020, 1, 1), None]),
        "t": pa.array([dt.time(1), None]),
        "z": pa.array([5, None], pa.timestamp("ms", "Europe/Paris")),
        "x": pa.array([decimal.Decimal("1.25"), None], pa.decimal128(6, 3)),
        "c": pa.DictionaryArray.from_arrays(pa.array([1, None], pa.int8()), ["u", "v"]),
        "n": pa.DictionaryArray.from_arrays(
            pa.array([1, 0], pa.uint16()), pa.array([10, 20], pa.int32()), ordered=True
        ),
        "l": pa.array([[1], None]),
        "0": pa.nulls(2),
        "m": pa.array([None, None], pa.int64()),
    }
    table = pa.table(values)
    field = pa.field("i", pa.int16(), metadata={"unit": "m"})
    schema = table.schema.set(0, field).with_metadata({"from": "here"})
    return table.cast(schema)


def test_a_table_of_pyarrow_comes_back_with_its_schema():
    back = there_and_back(arrow_table())
    assert back.equals(arrow_table(), check_metadata=True)


def test_a_record_batch_comes_back_as_one():
    batch = arrow_table().to_batches()[0]
    back = there_and_back(batch)
    assert isinstance(back, pa.RecordBatch)
    assert back.equals(batch)
    assert there_and_back(batch.slice(0, 0)).equals(batch.slice(0, 0))


def test_a_frame_of_polars_comes_back_with_its_schema():
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame(
        {
            "i": pl.Series([1, None], dtype=pl.Int8),
            "s": ["a", None],
            "c": pl.Series(["u", "v"], dtype=pl.Categorical),
            "e": pl.Series(["u", None], dtype=pl.Enum(["w", "v", "u"])),
            "d": [dt.date(2020, 1, 1), None],
            "z": pl.Series([dt.datetime(2020, 1, 1), None]).dt.replace_time_zone("Asia/Kathmandu"),
            "l": [[1], [2, 3]],
            "x": [decimal.Decimal("1.25"), None],
            "b": [b"a", None],
        }
    )
    back = there_and_back(frame)
    assert back.schema == frame.schema
    assert back.equals(frame)


def test_what_others_stream_comes_back_from_pyarrow():
    class Other:
        def __arrow_c_stream__(self, requested_schema=None):
            return pa.table({"a": [1, 2]}).__arrow_c_stream__(requested_schema)

    assert there_and_back(Other()).equals(pa.table({"a": [1, 2]}))


def test_dictionaries_in_chunks_are_one():
    chunks = [pa.array(values).dictionary_encode() for values in (["a", "b"], ["c", "b"])]
    table = pa.table({"x": pa.chunked_array(chunks)})
    back = there_and_back(table)
    assert back["x"].to_pylist() == ["a", "b", "c", "b"]
    assert back["x"].chunk(0).dictionary.to_pylist() == ["a", "b", "c"]


@pytest.mark.parametrize(
    "columns",
    [
        pd.RangeIndex(2),
        pd.Index([7, "a"], dtype=object, name="mixed"),
        pd.MultiIndex.from_tuples([("a", 1), ("a", 2)], names=["x", "y"]),
        pd.to_datetime(["2020-01-01", "2021-01-01"]),
    ],
    ids=str,
)
def test_a_dataframe_comes_back_with_its_labels(columns):
    frame = pd.DataFrame([[1.5, 2.0], [np.nan, 4.0]], columns=columns)
    pd.testing.assert_frame_equal(there_and_back(frame), frame)


def test_the_index_and_other_columns_come_from_passthrough():
    frame = pd.DataFrame({"a": [1.5, 2.5], "b": ["x", "y"]}, index=pd.Index([9, 9], name="i"))
    format_ = format_and_table(frame)[0]
    back = format_.close({"a": pa.array([1.5, 2.5])}, frame[["b"]])
    pd.testing.assert_frame_equal(back, frame)


def test_passthrough_from_another_library_is_taken():
    frame = pd.DataFrame({"a": [1.5, 2.5], "b": ["x", "y"]})
    table = pa.Table.from_pandas(frame, preserve_index=False)
    passthrough = table.select(["b"]).to_pandas(types_mapper=pd.ArrowDtype)
    back = format_and_table(frame)[0].close({"a": pa.array([1.5, 2.5])}, passthrough)
    pd.testing.assert_frame_equal(back, frame)
    format_ = format_and_table(table)[0]
    assert format_.close({"a": pa.array([1.5, 2.5])}, frame[["b"]]).equals(
        table.replace_schema_metadata(format_.schema.metadata)
    )


@pytest.mark.parametrize("strange", [[None, 3], ["x", "y"]])
def test_passthrough_that_does_not_fit_keeps_its_own_type(strange):
    frame = pd.DataFrame({"key": [1, 2], "a": [1.5, 2.5]})
    passthrough = pd.DataFrame({"key": strange})
    arrays = {"a": pa.array([1.5, 2.5])}
    back = format_and_table(frame)[0].close(arrays, passthrough)
    pd.testing.assert_frame_equal(back, frame.assign(key=passthrough["key"]))
    table = format_and_table(pa.table(frame))[0].close(arrays, passthrough)
    assert table["key"].to_pylist() == strange


def test_dataframes_are_numbered_anew_where_each_starts_at_0():
    frame = pd.DataFrame({"a": [1.5, 2.5]})
    format_ = format_and_table(frame)[0]
    assert format_.joined([frame, frame]).index.tolist() == [0, 1, 2, 3]
    running = [frame, frame.set_axis([2, 3])]
    assert format_.joined(running).index.tolist() == [0, 1, 2, 3]
    assert format_.joined([frame.set_axis([5, 6])] * 2).index.tolist() == [5, 6, 5, 6]


def merged(first, second, void=False):
    formats = [format_and_table(piece)[0] for piece in (first, second)]
    return formats[0].merged(formats[1], [void])


def test_pieces_of_dataframes_have_a_dtype_that_holds_them_all():
    integers, real = pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [1.5]})
    assert merged(integers, real).dtypes == (np.dtype("float64"),)
    empty, text = pd.DataFrame({"a": [np.nan]}), pd.DataFrame({"a": ["x"]})
    assert merged(empty, text, void=True).dtypes == (text["a"].dtype,)
    objects = [pd.DataFrame({"a": pd.Series(v, dtype=object)}) for v in (["x"], [None], [np.nan])]
    assert merged(objects[0], objects[1]).missing == ("None",)
    assert merged(objects[1], objects[2]).missing == ("None",)


def test_pieces_of_tables_have_a_type_and_categories_that_hold_them_all():
    format_ = merged(pa.table({"a": [1]}), pa.table({"a": [1.5]}))
    assert isinstance(format_, TableFormat)
    assert format_.schema.types == [pa.float64()]
    pieces = [pa.table({"a": pa.array(v).dictionary_encode()}) for v in (["x", "y"], ["z", "y"])]
    assert merged(*pieces).categories == (("x", "y", "z"),)
