import numpy as np
import pyarrow as pa
import pytest

from attar.data.columns.arrow import (
    OPAQUE,
    TIMES,
    coarsest,
    from_ticks,
    places,
    scalar,
    schema_from_json,
    schema_to_json,
    sort_of,
    ticks,
    ticks_per_day,
)

TEXT = pa.large_string()

TIME_TYPES = [
    pa.date32(),
    pa.date64(),
    pa.time32("s"),
    pa.time64("ns"),
    pa.timestamp("ms"),
    pa.timestamp("ns", "Asia/Kathmandu"),
    pa.duration("us"),
]


@pytest.mark.parametrize(
    ("type_", "sort"),
    [
        (pa.null(), "nothing"),
        (pa.uint8(), "numbers"),
        (pa.float16(), "numbers"),
        (pa.decimal256(40, 2), "numbers"),
        (pa.bool_(), "booleans"),
        (TEXT, "text"),
        (pa.dictionary(pa.int8(), TEXT), "text"),
        (pa.date32(), "dates"),
        (pa.timestamp("s"), "dates"),
        (pa.timestamp("s", "UTC"), "dates with a time zone"),
        (pa.time32("s"), "times of day"),
        (pa.duration("s"), "durations"),
        (pa.binary(), "values of the type binary"),
        (OPAQUE, "values of mixed or unknown types"),
    ],
)
def test_types_have_plain_words(type_, sort):
    assert sort_of(type_) == sort


@pytest.mark.parametrize("type_", TIME_TYPES, ids=str)
def test_times_are_whole_numbers_and_come_back(type_):
    day = ticks_per_day(type_)
    array = from_ticks(np.array([0, day, 9]), np.array([True, True, False]), type_)
    assert array.type == type_
    numbers, known = ticks(pa.chunked_array([array]))
    assert numbers.tolist() == [0, day, 0]
    assert known.tolist() == [True, True, False]
    assert any(is_time(type_) for is_time in TIMES)
    assert scalar(day, type_).equals(array[1])


def test_a_day_has_as_many_ticks_as_its_unit_says():
    days = [1, 86_400_000, 86_400, 86_400 * 10**9, 86_400_000, 86_400 * 10**9, 86_400 * 10**6]
    assert [ticks_per_day(type_) for type_ in TIME_TYPES] == days


@pytest.mark.parametrize(
    ("seconds", "unit"),
    [(0, 86_400), (172_800, 86_400), (7200, 3600), (5400, 60), (90, 1), (-86_400, 86_400)],
)
def test_the_coarsest_unit_divides_a_distance(seconds, unit):
    assert coarsest(seconds, pa.timestamp("s")) == unit
    assert coarsest(seconds * 10**9, pa.timestamp("ns")) == unit * 10**9


def test_units_below_a_second_are_thousandths():
    for distance, unit in [(5 * 10**6, 10**6), (2000, 1000), (7, 1)]:
        assert coarsest(distance, pa.time64("ns")) == unit
    assert coarsest(3, pa.date32()) == 1


def test_places_of_text_among_labels():
    labels = pa.array(["b", "a"], TEXT)
    plain = pa.chunked_array([["a", None], ["c", "b"]], TEXT)
    for array in (plain, plain.dictionary_encode()):
        assert places(array, labels).tolist() == [1, -1, -1, 0]
    assert places(pa.chunked_array([pa.nulls(2)]), labels).tolist() == [-1, -1]


@pytest.mark.parametrize(
    ("value", "type_"),
    [(2**63, pa.uint64()), (0.1, pa.float32()), (1.25, pa.decimal128(5, 2)), (True, pa.bool_())],
)
def test_plain_values_are_scalars_of_a_type(value, type_):
    assert scalar(value, type_).type == type_
    assert float(scalar(value, type_).as_py()) == pytest.approx(float(value), rel=1e-7)


def test_a_schema_comes_back_from_text():
    schema = pa.schema([pa.field("a", pa.list_(pa.int8()), metadata={"k": "v"})], {"m": "n"})
    assert schema_from_json(schema_to_json(schema)).equals(schema, check_metadata=True)
