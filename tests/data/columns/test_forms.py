import datetime as dt
import decimal
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from attar.data.columns.forms import Arrow, Form, form_of
from attar.data.columns.frames import frame_of, opened


def form_and_table(data):
    frame = frame_of(data)
    table = opened(frame)
    return form_of(data, frame, table), table


def there_and_back(data, passthrough=None):
    form, table = form_and_table(data)
    again = Form.from_json(json.loads(json.dumps(form.to_json())))
    assert again == form
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


def test_the_index_and_other_columns_come_from_aside():
    frame = pd.DataFrame({"a": [1.5, 2.5], "b": ["x", "y"]}, index=pd.Index([9, 9], name="i"))
    form = form_and_table(frame)[0]
    back = form.close({"a": pa.array([1.5, 2.5])}, frame[["b"]])
    pd.testing.assert_frame_equal(back, frame)


def test_what_was_put_aside_from_another_kind_of_table_is_taken():
    frame = pd.DataFrame({"a": [1.5, 2.5], "b": ["x", "y"]})
    table = pa.Table.from_pandas(frame, preserve_index=False)
    passthrough = table.select(["b"]).to_pandas(types_mapper=pd.ArrowDtype)
    back = form_and_table(frame)[0].close({"a": pa.array([1.5, 2.5])}, passthrough)
    pd.testing.assert_frame_equal(back, frame)
    form = form_and_table(table)[0]
    assert form.close({"a": pa.array([1.5, 2.5])}, frame[["b"]]).equals(
        table.replace_schema_metadata(form.schema.metadata)
    )


@pytest.mark.parametrize("strange", [[None, 3], ["x", "y"]])
def test_what_was_put_aside_and_does_not_fit_keeps_its_own_type(strange):
    frame = pd.DataFrame({"key": [1, 2], "a": [1.5, 2.5]})
    passthrough = pd.DataFrame({"key": strange})
    arrays = {"a": pa.array([1.5, 2.5])}
    back = form_and_table(frame)[0].close(arrays, passthrough)
    pd.testing.assert_frame_equal(back, frame.assign(key=passthrough["key"]))
    table = form_and_table(pa.table(frame))[0].close(arrays, passthrough)
    assert table["key"].to_pylist() == strange


def test_dataframes_are_numbered_anew_where_each_begins_at_0():
    frame = pd.DataFrame({"a": [1.5, 2.5]})
    form = form_and_table(frame)[0]
    assert form.joined([frame, frame]).index.tolist() == [0, 1, 2, 3]
    running = [frame, frame.set_axis([2, 3])]
    assert form.joined(running).index.tolist() == [0, 1, 2, 3]
    assert form.joined([frame.set_axis([5, 6])] * 2).index.tolist() == [5, 6, 5, 6]


def merged(first, second, void=False):
    forms = [form_and_table(piece)[0] for piece in (first, second)]
    return forms[0].merged(forms[1], [void])


def test_pieces_of_dataframes_have_a_dtype_that_holds_them_all():
    whole, real = pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [1.5]})
    assert merged(whole, real).dtypes == (np.dtype("float64"),)
    empty, text = pd.DataFrame({"a": [np.nan]}), pd.DataFrame({"a": ["x"]})
    assert merged(empty, text, void=True).dtypes == (text["a"].dtype,)
    objects = [pd.DataFrame({"a": pd.Series(v, dtype=object)}) for v in (["x"], [None], [np.nan])]
    assert merged(objects[0], objects[1]).missing == ("None",)
    assert merged(objects[1], objects[2]).missing == ("None",)


def test_pieces_of_tables_have_a_type_and_categories_that_hold_them_all():
    form = merged(pa.table({"a": [1]}), pa.table({"a": [1.5]}))
    assert isinstance(form, Arrow)
    assert form.schema.types == [pa.float64()]
    pieces = [pa.table({"a": pa.array(v).dictionary_encode()}) for v in (["x", "y"], ["z", "y"])]
    assert merged(*pieces).categories == (("x", "y", "z"),)
