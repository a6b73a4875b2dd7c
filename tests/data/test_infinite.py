import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from attar.data.source import without_infinities
from attar.data.stream import Stream
from attar.errors import AttarWarning


class Pieces(Stream):
    fingerprint = "pieces"

    def __init__(self, *pieces):
        self.given = pieces

    def __iter__(self):
        return iter(self.given)


VALUES = np.array([[1.0, np.inf], [np.nan, -np.inf], [np.inf, 2.0]])
CLEAN = np.array([[1.0, np.nan], [np.nan, np.nan], [np.nan, 2.0]])


def test_infinite_cells_of_an_array_become_missing():
    with pytest.warns(AttarWarning, match="3 infinite values count as missing"):
        np.testing.assert_array_equal(without_infinities(VALUES), CLEAN)


def test_a_frame_keeps_its_dtypes():
    frame = pd.DataFrame(VALUES, columns=["a", "b"]).astype({"b": np.float32})
    frame["words"] = ["x", "y", "z"]
    frame["nullable"] = pd.array([1.5, None, np.inf], "Float64")
    with pytest.warns(AttarWarning, match="4 infinite values"):
        clean = without_infinities(frame)
    assert clean.dtypes.tolist() == frame.dtypes.tolist()
    np.testing.assert_array_equal(clean[["a", "b"]], CLEAN)
    assert clean["nullable"].isna().tolist() == [False, True, True]


def test_an_arrow_table_keeps_its_schema():
    table = pa.table({"a": VALUES[:, 0], "n": [1, 2, None]})
    with pytest.warns(AttarWarning, match="1 infinite values"):
        clean = without_infinities(table)
    assert clean.schema == table.schema
    assert clean["a"].null_count == 1


def test_a_stream_is_counted_once():
    stream = without_infinities(Pieces(VALUES[:1], VALUES[1:]))
    with pytest.warns(AttarWarning, match="3 infinite values"):
        first = list(stream)
    again = list(stream)  # a warning here would be an error
    for pieces in (first, again):
        np.testing.assert_array_equal(np.concatenate(pieces), CLEAN)


def test_finite_data_stays_the_same_object():
    for data in (CLEAN, pd.DataFrame({"a": [1.0], "b": ["x"]})):
        assert without_infinities(data) is data
