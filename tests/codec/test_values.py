"""Values: whatever the data, what was encoded comes back to the last bit."""

from __future__ import annotations

import datetime as dt
import json
import struct
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attar.codec.objects import object_of, text_of
from attar.codec.values import values_from_json, values_of
from attar.data.cells import Boolean, Category, Number
from attar.data.images import Images
from attar.data.kinds import kind_of
from attar.data.table import MixedTable, NumericTable
from attar.errors import AttarError, DataError, FileError
from attar.likelihoods.alphabets import Levels, OneHot
from attar.likelihoods.lattices import Decimals, Distinct, alphabet_of

rng = np.random.default_rng(0)


def alphabets_of(kind, rows):
    """Return an alphabet for each cell of a table that has one."""
    alphabets = []
    for i, cell in enumerate(kind.cells):
        if isinstance(cell, Category):
            alphabets.append(OneHot(len(cell.categories)))
        elif isinstance(cell, Boolean):
            alphabets.append(Levels(2))
        else:
            alphabets.append(alphabet_of(rows[:, i]) if isinstance(cell, Number) else None)
    return alphabets


def fitted(data):
    kind, summary = kind_of(data).of([data])
    return values_of(kind, alphabets_of(kind, summary.sample), data), kind


class Uniform:
    """A coder of uniform integers."""

    def __init__(self):
        self.pushed = []

    def push_bits(self, values, bits):
        assert (values < 2**bits).all()
        self.pushed.append((values, bits))

    def pop_bits(self, n, bits):
        values, pushed = self.pushed.pop(0)
        assert (len(values), bits) == (n, pushed)
        return values


def passed(values, data):
    """Return data after a pass through symbols, residues and literals, and the literals' length."""
    encoded = values.encode(data)
    n = len(encoded.symbols)
    opened = values.opened(n, encoded.literals)
    np.testing.assert_array_equal(opened.hidden, values.channels.hidden(encoded.symbols))
    coder = Uniform()
    values.channels.push(coder, encoded.symbols, encoded.residues)
    residues = values.channels.pop(coder, encoded.symbols)
    np.testing.assert_array_equal(residues, encoded.residues)
    return values.decode(encoded.symbols, residues, opened), len(encoded.literals)


def same_frames(first, second):
    pd.testing.assert_frame_equal(first, second, check_exact=True, check_column_type=True)
    for name in first:
        for a, b in zip(first[name].astype(object), second[name].astype(object), strict=True):
            assert type(a) is type(b)
            if isinstance(a, float):
                assert struct.pack("d", a) == struct.pack("d", b)


N = 60
TYPICAL = pd.DataFrame(
    {
        "age": rng.integers(17, 90, N),
        "price": rng.integers(100, 9999, N) / 100,
        "real": rng.normal(size=N),
        "colour": rng.choice(["red", "green", "blue"], N),
        "member": rng.random(N) < 0.5,
        "day": pd.date_range("2024-01-01", periods=N),
        "name": [f"x{i * 37 % 101}" for i in range(N)],
        "only": "same",
        "row": range(N),
    }
)


@pytest.fixture(scope="module")
def typical():
    return fitted(TYPICAL)


def test_a_typical_table_needs_few_literals(typical):
    values, _ = typical
    back, literals = passed(values, TYPICAL)
    same_frames(back, TYPICAL)
    assert literals < 160  # the names, above all
    plain = TYPICAL.drop(columns=["name", "real", "row"])
    assert passed(fitted(plain)[0], plain)[1] < 40


def test_pieces_come_back_as_one(typical):
    values, kind = typical
    again = values_from_json(
        kind, alphabets_of(kind, kind.rows(TYPICAL)), json.loads(json.dumps(values.to_json()))
    )
    parts = [passed(again, TYPICAL.iloc[i : i + 25])[0] for i in (0, 25, 50)]
    same_frames(parts[1], TYPICAL.iloc[25:50])
    same_frames(pd.concat(parts), TYPICAL)


def odd(name, values, dtype=object):
    return TYPICAL[:6].assign(**{name: pd.Series(values, dtype=dtype)})


ZONE = ZoneInfo("Europe/Berlin")
HOURS = pd.date_range("2024-10-27", periods=6, freq="30min", tz="Europe/Berlin")
NANS = np.array([0x7FF8000000000001, 0xFFF8000000000000, 0x7FF0000000000005, 1, 2, 3], "u8")
SIX = TYPICAL[:6]
TIMES = [
    dt.datetime(2024, 1, 1, tzinfo=ZONE),
    dt.datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=ZONE),
    pd.Timestamp("2024-01-01", tz="UTC"),
    pd.Timedelta("3s"),
    np.datetime64("2024-01-01"),
    dt.time(1, 2, tzinfo=dt.UTC),
]
OTHERS = [b"\0red", Decimal("1.10"), dt.date(2024, 1, 1), ["a", {"b": (1, None)}], 1.5, "red"]
ODD = {
    "nothing new": SIX,
    "no rows": TYPICAL[:0],
    "huge integers": odd("age", [2**63 - 1, -(2**63), 0, -1, 2**53 + 1, 40], "int64"),
    "integers as objects": odd("age", [2**80, -1, 30, None, 41, np.int64(42)]),
    "text among numbers": odd("age", ["n/a", 1, 2.0, True, None, float("nan")]),
    "narrow integers": odd("age", [1, 2, 3, 255, 0, 40], "uint8"),
    "missing integers": odd("age", [1, None, 3, None, 200, 40], "Int64"),
    "numbers not seen": odd("price", [0.1 + 0.2, -0.0, 1e300, np.inf, -np.inf, 5e-324], "f8"),
    "payloads": odd("real", NANS.view("f8"), "float64"),
    "single precision": odd("real", [0.1, np.nan, 1e30, 3, 2, 1], "float32"),
    "masked floats": odd("real", [0.1, None, 1e30, 3, 2, 1], "Float64"),
    "new categories": odd("colour", ["red", "violet", None, "", "Red", "blue "]),
    "categories": odd("colour", ["red", "violet", None, "green", "red", "blue"], "category"),
    "kinds of missing": odd("colour", ["red", None, float("nan"), pd.NaT, pd.NA, "blue"]),
    "other objects": odd("colour", OTHERS),
    "marks": odd("colour", ["\0red", "\0", "\0s", "\n", "\ud800", "red"]),
    "missing booleans": odd("member", [True, None, False, None, True, False]),
    "nullable booleans": odd("member", [True, None, False, None, True, False], "boolean"),
    "booleans as integers": odd("member", [1, 0, 2, 0, 1, 1]),
    "dates with zones": odd("day", HOURS, HOURS.dtype),
    "dates as objects": odd("day", TIMES),
    "missing dates": odd("day", [None, "2024-01-01", None, None, "1700-01-01", None], "M8[us]"),
    "another constant": odd("only", ["same", "other", None, "same", "", "same"]),
    "rows in another order": SIX.iloc[::-1],
    "columns in another order": SIX[TYPICAL.columns[::-1]],
    "an index": SIX.set_index(pd.Index(list("abcdef"), name="key")),
    "times": SIX.set_index(pd.date_range("2024-01-01", periods=6, freq="h", name=("a", 1))),
    "levels": SIX.set_index(pd.MultiIndex.from_product([["a", "b"], [1, 2, 3]], names=["x", 0])),
    "intervals": SIX.set_index(pd.interval_range(0, 6)),
    "categories as index": SIX.set_index(pd.CategoricalIndex(list("abcabc"))),
}


@pytest.mark.filterwarnings("ignore:invalid value encountered in cast")
@pytest.mark.parametrize("name", ODD)
def test_odd_tables_come_back(typical, name):
    frame = ODD[name]
    back, _ = passed(typical[0], frame)
    same_frames(back, frame)
    assert back.index.identical(frame.index)
    assert type(back.index) is type(frame.index)


@pytest.mark.parametrize("form", ["arrow", "batch", "polars", "pandas of arrow"])
def test_tables_of_every_library_come_back(form):
    frame = TYPICAL.assign(
        age=TYPICAL.age.where(TYPICAL.age > 30).astype("Int64"),
        colour=TYPICAL.colour.astype("category"),
        list=[[1, 2], [], None] * 20,
    )
    table = pa.Table.from_pandas(frame, preserve_index=False)
    if form == "polars":
        table = polars.from_arrow(table)
    elif form == "batch":
        table = table.to_batches()[0]
    elif form == "pandas of arrow":
        table = table.to_pandas(types_mapper=pd.ArrowDtype)
    values, _ = fitted(table)
    odd = table[3:50]
    for part in (table, odd):
        back, _ = passed(values, part)
        assert type(back) is type(part)
        if isinstance(part, pd.DataFrame):
            pd.testing.assert_frame_equal(back, part)
        else:
            assert back.equals(part)
    if form in ("arrow", "batch"):
        assert back.schema.equals(table.schema, check_metadata=True)


def test_rows_of_another_schema_are_refused_by_the_columns_name(typical):
    with pytest.raises(DataError, match="'colour'"):
        typical[0].encode(TYPICAL.drop(columns="colour"))
    with pytest.raises(DataError, match="'extra'"):
        typical[0].encode(TYPICAL.assign(extra=1))
    with pytest.raises(DataError, match="'colour' holds an object of the type type"):
        typical[0].encode(odd("colour", [object, *[None] * 5]))


ARRAYS = {
    "floats": rng.normal(size=(30, 3)),
    "single": rng.normal(size=(30, 3)).astype("f4"),
    "half": rng.normal(size=(30, 3)).astype("f2"),
    "big-endian": rng.normal(size=(30, 3)).astype(">f8"),
    "integers": rng.integers(-(2**63), 2**63 - 1, (30, 3)),
    "unsigned": rng.integers(0, 2**64 - 1, (30, 3), dtype="u8"),
    "bytes": rng.integers(0, 255, (30, 3), dtype="u1"),
    "booleans": rng.random((30, 3)) < 0.5,
    "odd": np.array([[np.nan, np.inf, -0.0]] * 30),
    "payloads": np.full((30, 3), 0x7FF8000000000001).view("f8"),
    "long": rng.normal(size=(30, 3)).astype("g"),
    "objects": np.array([[1, 2.5, True]] * 30, object),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_come_back(name):
    kind, summary = NumericTable.fit(
        [np.column_stack([rng.normal(size=50), rng.integers(0, 9, (50, 2))])]
    )
    values = values_of(kind, alphabets_of(kind, summary.sample), np.zeros((1, 3)))
    array = ARRAYS[name]
    back, _ = passed(values, array)
    assert back.dtype == array.dtype
    if name == "objects":
        assert [*map(type, back[0])] == [int, float, bool]
    if name in ("long", "objects"):  # which have bytes that mean nothing
        assert back.tolist() == array.tolist()
    else:
        assert back.tobytes() == array.tobytes()


@pytest.mark.parametrize("size", [(5, 4), (5, 4, 3), (3, 8, 8)])
@pytest.mark.parametrize("dtype", ["u1", "u2", "f4", "?"])
def test_images_come_back(size, dtype):
    images = rng.integers(0, 255, (6, *size)).astype(dtype)
    kind, _ = Images.of([images])
    values = values_of(kind, [Levels()] * kind.shape[0], images)
    back, literals = passed(values, images)
    assert back.dtype == images.dtype
    np.testing.assert_array_equal(back, images)
    assert literals < 12
    other = (images.astype(float) * 300 + 0.5).astype("f4")
    other[0, 0, 0] = np.nan
    back, _ = passed(values, other)
    assert back.tobytes() == other.tobytes()
    with pytest.raises(DataError, match="shape"):
        values.encode(images[:, 1:])


def test_images_of_16_bits_have_residues():
    images = np.rint(rng.gamma(2, 3000, (40, 6, 5, 4))).astype("u2")
    kind, _ = Images.of([images])
    rows = kind.rows(images).astype(float)
    values = values_of(kind, [alphabet_of(rows[:, i].ravel()) for i in range(4)], images)
    back, literals = passed(values, images[::-1])
    assert values.encode(images).residues.max() > 30
    assert (back == images[::-1]).all()
    assert literals < 12


def test_void_columns_of_arrays_come_back():
    array = np.column_stack([np.arange(30.0), np.full(30, np.nan), np.ones(30)])
    kind, summary = NumericTable.fit([array])
    values = values_of(kind, alphabets_of(kind, summary.sample), array)
    array[3, 1], array[4, 2] = 5, 7
    back, _ = passed(values, array)
    np.testing.assert_array_equal(back, array)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_damaged_literals_are_an_error_or_other_data(typical, data):
    values, _ = typical
    encoded = values.encode(ODD["kinds of missing"])
    literals = bytearray(encoded.literals)
    place = data.draw(st.integers(0, len(literals) - 1))
    literals[place] ^= data.draw(st.integers(1, 255))
    cut = bytes(literals[: data.draw(st.integers(0, len(literals)))])
    try:
        opened = values.opened(6, cut)
        found = values.decode(encoded.symbols, encoded.residues, opened)
    except AttarError:
        return
    assert len(found) == 6


SCALARS = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.dates()),
    *(st.datetimes(), st.datetimes(timezones=st.sampled_from([dt.UTC, ZONE])), st.times()),
    *(st.timedeltas(), st.decimals(allow_nan=False)),
)
OBJECTS = SCALARS | st.lists(SCALARS, max_size=3) | st.tuples(SCALARS, st.lists(SCALARS))


@settings(max_examples=80, deadline=None)
@given(OBJECTS)
def test_objects_come_back(value):
    back = object_of(text_of(value))
    assert type(back) is type(value)
    assert repr(back) == repr(value)
    assert text_of(back) == text_of(value)


def test_texts_that_stand_for_nothing_are_damaged():
    for text in ("\0", "\0q", "\0iz", "\0f00", "\0xO8 00", "\0L[", "\0D1"):
        with pytest.raises(FileError):
            object_of(text)


def test_an_integer_alphabet_on_a_constant_and_on_distinct_values():
    kind, _ = NumericTable.fit([np.arange(20.0).reshape(10, 2)])
    array = np.array([[3.0, 7.0], [4.0, 9.0]])
    values = values_of(kind, [Distinct((3.0, 5.0)), Decimals((0,), (3,))], array)
    encoded = values.encode(array)
    assert encoded.symbols.tolist() == [[0, 0], [2, 1]]
    assert encoded.residues.tolist() == [7]
    assert passed(values, array)[0].tolist() == array.tolist()


def test_no_other_kind_is_compressed():
    series = pd.DataFrame({"time": pd.date_range("2024", periods=40), "y": rng.normal(size=40)})
    assert isinstance(fitted(series)[1], MixedTable)
    with pytest.raises(DataError, match="named columns"):
        values_of(fitted(series)[1], [], np.zeros((3, 2)))
