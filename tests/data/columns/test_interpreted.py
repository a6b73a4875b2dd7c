import datetime as dt
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from attar import DataError, SettingError
from attar.data.columns.arrow import TEXT
from attar.data.columns.temporal import FORMS
from attar.data.table import Table

RNG = np.random.default_rng(0)
DAYS = [dt.datetime(2024, 1, 3) + dt.timedelta(hours=int(h)) for h in RNG.integers(0, 9999, 60)]


def fitted(values, kind=None, **others):
    """Return the table of a frame with these values as the column x."""
    frame = pd.DataFrame({"x": values, "n": np.linspace(0, 1, len(values)), **others})
    table, summary = Table.of([frame], None if kind is None else {"x": kind})
    again = Table.from_json(json.loads(json.dumps(table.to_json())))
    assert again == table
    back = again.restore(again.rows(frame), again.passthrough(frame))
    assert back.dtypes.equals(frame.dtypes)
    low, high = summary.moments.low, summary.moments.high
    cells = again.rows(frame)
    scaled = np.array([cell.scaled for cell in again.cells])
    if scaled.any():
        np.testing.assert_allclose(np.nanmin(cells, 0)[scaled], low[scaled])
        np.testing.assert_allclose(np.nanmax(cells, 0)[scaled], high[scaled])
    return again, frame, back


def portions(table):
    return [(portion.name, portion.type) for portion in table.portions]


# ---------------------------------------------------------------- dates as text


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form.pattern} {form.type}")
def test_text_in_a_known_form_is_dates_and_comes_back_as_it_was(form):
    dates = pa.chunked_array([pa.array(DAYS).cast(form.type, safe=False)])
    texts = form.written(dates)
    assert texts.type == TEXT
    assert form.read(texts).equals(dates)
    table, frame, back = fitted(texts.to_pylist())
    assert portions(table)[0] == ("x", "datetime")
    pd.testing.assert_frame_equal(back, frame)


def test_text_that_is_dates_has_the_cells_of_the_dates():
    texts = [day.isoformat(" ") for day in DAYS]
    as_text, as_dates = fitted(texts)[0], fitted(DAYS)[0]
    frames = [pd.DataFrame({"x": values, "n": 0.0}) for values in (texts, DAYS)]
    for table in (as_text, as_dates):
        text, dates = map(table.rows, frames)
        np.testing.assert_array_equal(text, dates)
    np.testing.assert_array_equal(as_text.rows(frames[0]), as_dates.rows(frames[0]))


def test_missing_dates_stay_missing():
    table, frame, back = fitted(["2024-01-03", None, "2024-05-01", "2024-03-09"] * 9)
    assert portions(table)[0] == ("x", "datetime")
    pd.testing.assert_frame_equal(back, frame)


@pytest.mark.parametrize(
    "texts",
    [
        ["2024-01-03", "2024-13-03"],
        ["2024-01-03", "open"],
        ["2024-01-03", "2024-01-03 10:00"],
        ["01/02/2024", "03/04/2024"],
        ["20240103", "20240104"],
    ],
    ids=str,
)
def test_other_text_and_text_with_two_meanings_is_categories(texts):
    assert portions(fitted(texts * 30)[0])[0] == ("x", "categorical")


def test_a_day_above_12_tells_what_stands_first():
    table = fitted(["01/02/2024", "03/04/2024", "31/12/2024"] * 20)[0]
    later = pd.DataFrame({"x": ["02/01/2024"], "n": [0.0]})
    same = pd.DataFrame({"x": [pd.Timestamp(2024, 1, 2)], "n": [0.0]})
    np.testing.assert_array_equal(table.rows(later), table.rows(same))


def test_pieces_agree_on_one_form():
    pieces = [pd.DataFrame({"x": [day] * 2, "n": [0, 1.5]}) for day in ("01/02/2024", "31/12/2024")]
    table = Table.of(pieces)[0]
    assert portions(table)[0] == ("x", "datetime")
    assert portions(Table.of([*pieces, pieces[0].assign(x="12/31/2024")])[0])[0][1] == "categorical"


def test_dates_in_another_form_than_in_the_fit_are_read_where_it_is_clear():
    table = fitted(DAYS)[0]
    later = pd.DataFrame({"x": ["31.12.2024 07:30"], "n": [0.0]})
    same = pd.DataFrame({"x": [pd.Timestamp(2024, 12, 31, 7, 30)], "n": [0.0]})
    np.testing.assert_array_equal(table.rows(later), table.rows(same))
    with pytest.raises(DataError, match=r"'x' holds text such as .01.* dates there"):
        table.rows(later.assign(x="01/02/2024"))


# ---------------------------------------------------------------- numbers as text

PRICES = [f"{x:.2f}".replace(".", ",") + " €" for x in RNG.uniform(1, 99, 40)]


def test_a_model_of_numbers_reads_text_with_words_for_missing_values():
    table = fitted(RNG.uniform(1, 99, 40))[0]
    text = pd.DataFrame({"x": [*PRICES[:2], "?", "n/a", ""], "n": 0.5})
    values = [float(price[:-2].replace(",", ".")) for price in PRICES[:2]]
    np.testing.assert_array_equal(table.rows(text)[:, 0], [*values, np.nan, np.nan, np.nan])


def test_text_that_is_left_out_although_it_stands_for_numbers_can_be_chosen():
    table = fitted([*PRICES, "?"])[0]
    assert table.remarks == [("x", "its text stands for numbers")]
    assert table.portions[0].advice == "convert it, or give columns={'x': 'number'}"
    table, frame, _ = fitted([*PRICES, "?"], "number")
    values = [float(price[:-2].replace(",", ".")) for price in PRICES]
    assert portions(table)[0] == ("x", "number")
    np.testing.assert_array_equal(table.rows(frame)[:, 0], [*values, np.nan])


def test_whole_numbers_as_text_are_names():
    assert fitted([str(n) for n in range(40)])[0].remarks[0][1].startswith("nearly all")


def test_a_refused_date_is_printed_as_a_date():
    numbers = fitted(np.arange(40) / 8)[0]
    dates = pd.DataFrame({"x": [dt.datetime(1956, 12, 24)], "n": 0.5})
    with pytest.raises(DataError, match="holds dates such as 1956-12-24 00:00:00, but"):
        numbers.rows(dates)


# ---------------------------------------------------------------- kinds that the user chooses


ZIPS = [90210, 10001, 1234] * 20


@pytest.mark.parametrize(
    ("values", "kind", "found", "features"),
    [
        (ZIPS, "categorical", "categorical", ["x=10001", "x=1234", "x=90210"]),
        ([1.5, 2.0, np.nan] * 9, "categorical", "categorical", ["x=1.5", "x=2"]),
        ([True, False] * 9, "categorical", "categorical", ["x=false", "x=true"]),
        (list(range(50)), "number", "integer", ["x"]),
        (["1.5", "2.25", None] * 9, "number", "number", ["x"]),
        (["7", "12"] * 9, "number", "integer", ["x"]),
        ([1, 0, 0] * 9, "boolean", "boolean", ["x"]),
        (["True", "False", None] * 9, "boolean", "boolean", ["x"]),
        (["2024-01-03", "2024-01-04"] * 9, "datetime", "datetime", ["x"]),
        (DAYS, "datetime", "datetime", ["x", "x (day, cos)"]),
        (["2024-01-03", "2024-01-04"] * 9, "categorical", "categorical", ["x=2024-01-03"]),
    ],
    ids=str,
)
def test_the_user_chooses_how_a_column_is_read_and_gets_it_back_as_it_was(
    values, kind, found, features
):
    table, frame, back = fitted(values, kind)
    assert portions(table)[0] == ("x", found)
    names = [name for name in table.feature_names() if name != "n"]
    assert names[: len(features)] == features
    pd.testing.assert_frame_equal(back, frame)


def test_a_choice_holds_where_attar_would_leave_the_column_out():
    names = [f"patient {i:03d}" for i in range(300)]
    table, _, back = fitted(names, "categorical")
    assert portions(table)[0] == ("x", "categorical")
    assert (back["x"] == "other").sum() == 200
    numbers = fitted(np.arange(300) * 7, "categorical")[0]
    assert portions(numbers)[0] == ("x", "categorical")


def test_rare_numbers_that_are_categories_come_back_missing():
    values = np.r_[np.repeat(np.arange(100.0), 3), 1000.0 + np.arange(20)]
    _, frame, back = fitted(values, "categorical")
    assert back["x"].isna().sum() == 20
    assert (back["x"][:300] == frame["x"][:300]).all()


def test_categories_of_numbers_are_known_by_their_text_too():
    table = fitted(ZIPS, "categorical")[0]
    later = [pd.DataFrame({"x": x, "n": 0.0}, [0]) for x in (90210, 90210.0, "90210")]
    first, *rest = [table.rows(frame) for frame in later]
    for cells in rest:
        np.testing.assert_array_equal(cells, first)


@pytest.mark.parametrize("kind", ["ignore", "id"])
@pytest.mark.parametrize("values", [ZIPS, ["a", "b"] * 30, [(1, 2), "c", 5.0] * 20], ids=str)
def test_columns_may_be_kept_out(values, kind):
    table, frame, back = fitted(values, kind)
    assert table.feature_names() == ["n"]
    pd.testing.assert_frame_equal(back, frame)
    assert table.portions[0].advice == ""
    assert table.remarks == [("x", f"it is set to {kind!r}")]


@pytest.mark.parametrize(
    ("values", "kind", "message"),
    [
        (["a", "b"], "number", "'x' holds text such as 'a', which cannot be read as 'number'"),
        ([1, 2], "boolean", "'x' holds numbers such as 1, which cannot be read as 'boolean'"),
        ([1, 2], "datetime", "'x' holds numbers such as 1, which cannot be read as 'datetime'"),
        (["01/02/2024", "02/03/2024"], "datetime", "'x' are written in no known form, or may be"),
        (["soon", "late"], "datetime", "'x' are written in no known form"),
    ],
)
def test_values_that_cannot_be_of_the_kind_are_refused(values, kind, message):
    with pytest.raises(DataError, match=message):
        fitted(values * 9, kind)


def test_a_choice_for_a_column_that_is_not_there_is_refused():
    with pytest.raises(SettingError, match="no column named 'zipp': did you mean 'zip'"):
        Table.of([pd.DataFrame({"zip": [1, 2], "n": [0, 1]})], {"zipp": "categorical"})
    with pytest.raises(SettingError, match="columns of an array have no names, such as 'zip'"):
        Table.of([np.eye(3)], {"zip": "categorical"})
