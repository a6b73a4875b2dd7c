"""Tables have the values of the data."""

import numpy as np
import pandas as pd
import pytest
import torch

from attar.errors import AttarWarning
from attar.report.html import MISSING, number
from attar.report.tables import fields_of


def rows_of(tree, name):
    table = next(e for e in tree.iter("div") if (e.get("class") or "").endswith(name)).find("table")
    head, *body = table.findall("tr")
    return [th[0].text for th in head.findall("th")], {tr.find("th")[0].text: tr for tr in body}


def test_cells_are_original_over_reconstruction_over_difference(table_page, table_model, table):
    columns, body = rows_of(table_page, "compared")
    reconstructed = table_model.reconstruct(table)
    assert columns == list(table.columns)
    assert len(body) == 6
    for name, tr in body.items():
        row = int(name.removeprefix("row "))
        for column, cell in zip(columns, tr.findall("td"), strict=True):
            x, y = table[column][row], reconstructed[column][row]
            sign = "+" if y > x else ""
            assert [span.text for span in cell] == [number(x), number(y), sign + number(y - x)]
            assert (f"--{'above' if y > x else 'below'}") in cell[2].get("style")


def test_column_errors_are_sorted(table_page, table_model, table):
    bars = next(e for e in table_page.iter("ol") if e.get("class") == "bars")
    reconstructed = table_model.reconstruct(table)
    errors = np.square((table - reconstructed) / table.std(ddof=0)).mean()
    # The scale of the model is that of the training rows, not of all rows.
    shown = [li[0].text for li in bars]
    assert shown == list(errors.sort_values(ascending=False).index)
    assert bars[0][1].get("style") == "--share:1.0000"


def test_of_many_columns_those_with_the_largest_errors_are_compared(page, fitted):
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(50, 30))).add_prefix("column ")
    model = fitted(X, code_size=2, scaling="none")
    columns, _ = rows_of(page(model, X), "compared")
    errors = np.square(X - model.reconstruct(X)).mean()
    assert set(columns) == set(errors.nlargest(8).index)


def test_samples_are_the_models(table_page, table_model):
    columns, body = rows_of(table_page, "sampled")
    codes = table_model._fitted.sampler()(8, torch.Generator().manual_seed(0)).numpy()
    samples = table_model.inverse_transform(codes)
    for i, tr in enumerate(body.values()):
        shown = [td.text for td in tr.findall("td")]
        assert shown == [number(samples[column][i]) for column in columns]


def test_integers_are_reconstructed_as_integers(page, fitted):
    X = pd.DataFrame(np.random.default_rng(0).integers(0, 50, (40, 2)), columns=["m", "n"])
    _, body = rows_of(page(fitted(X, code_size=1), X), "compared")
    cells = [span.text for tr in body.values() for td in tr.findall("td") for span in td]
    assert all(cell.lstrip("+−").isdigit() for cell in cells)


@pytest.fixture(scope="module")
def mixed():
    generator = np.random.default_rng(0)
    n = 120
    data = pd.DataFrame(
        {
            "age": generator.integers(18, 90, n).astype(float),
            "city": generator.choice(["Bern", "Oslo", "Rome"], n),
            "member": generator.random(n) < 0.4,
            "joined": pd.Timestamp("2020-01-01")
            + pd.to_timedelta(generator.integers(0, 900, n), "D"),
            "opens": pd.to_timedelta(generator.integers(1, 300, n), "min"),
            "number": np.arange(n),
        }
    )
    for name in ("age", "city", "joined"):
        data.loc[generator.random(n) < 0.2, name] = None
    return data


@pytest.fixture(scope="module")
def mixed_model(fitted, mixed):
    with pytest.warns(AttarWarning, match="'number' is not used"):
        return fitted(mixed, code_size=3)


@pytest.fixture(scope="module")
def mixed_page(page, mixed_model, mixed):
    return page(mixed_model, mixed)


def test_mixed_tables_have_the_users_own_values(mixed_page, mixed_model, mixed):
    columns, body = rows_of(mixed_page, "compared")
    reconstructed = mixed_model.reconstruct(mixed)
    assert columns == ["age", "city", "member", "joined", "opens"]
    marked = 0
    for name, tr in body.items():
        row = int(name.removeprefix("row "))
        for column, cell in zip(columns[1:4], tr.findall("td")[1:4], strict=True):
            x, y = mixed[column][row], reconstructed[column][row]
            short = [MISSING if pd.isna(v) else str(v).removesuffix(" 00:00:00") for v in (x, y)]
            assert [span.text for span in cell] == short
            differs = not pd.isna(x) and x != y
            assert (cell[1].get("class") == "differs") == differs
            marked += differs
            if differs and column == "joined":
                assert f"--{'above' if y > x else 'below'})" in cell[1].get("style")
            elif differs:
                assert "--another)" in cell[1].get("style")
    assert marked


def test_a_missing_number_is_a_dash_above_its_prediction(page, fitted):
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(40, 2)), columns=["a", "b"])
    X.loc[::2, "a"] = np.nan
    model = fitted(X, code_size=1)
    _, body = rows_of(page(model, X), "compared")
    reconstructed = model.reconstruct(X)["a"]
    rows = [int(name.removeprefix("row ")) for name in body]
    assert any(row % 2 == 0 for row in rows)
    for row, tr in zip(rows, body.values(), strict=True):
        shown = [span.text or "" for span in tr.findall("td")[0]]
        if row % 2 == 0:
            assert shown == [MISSING, number(reconstructed[row]), ""]
        else:
            assert shown[0] == number(X["a"][row])


def test_errors_of_columns_are_means_over_observed_cells(mixed_page, mixed_model, mixed):
    predictor = mixed_model._fitted.predictor
    rows = predictor.preparation.kind.rows(mixed)
    squares = (predictor.preparation.prepare(rows) - predictor.decode(predictor.encode(rows))) ** 2
    errors = {
        field.name: squares[:, field.features].nanmean().item()
        for field in fields_of(predictor.preparation.kind)
    }
    bars = next(e for e in mixed_page.iter("ol") if e.get("class") == "bars")
    assert {li[0].text: li[2].text for li in bars} == {k: number(v) for k, v in errors.items()}
    shown = [errors[li[0].text] for li in bars]
    assert shown == sorted(shown, reverse=True)


def test_rows_are_sorted_by_the_error_of_observed_cells(mixed_page, mixed_model, mixed):
    predictor = mixed_model._fitted.predictor
    rows = predictor.preparation.kind.rows(mixed)
    squares = (predictor.preparation.prepare(rows) - predictor.decode(predictor.encode(rows))) ** 2
    errors = squares.nanmean(1).numpy()
    _, body = rows_of(mixed_page, "compared")
    shown = [int(name.removeprefix("row ")) for name in body]
    assert (shown[0], shown[-1]) == (errors.argmin(), errors.argmax())


def test_interpolations_have_the_most_likely_categories(page, mixed_model, mixed):
    names = [f"r{i}" for i in range(len(mixed))]
    tree = page(mixed_model, mixed, names)
    codes = mixed_model.transform(mixed)
    tables = [e for e in tree.iter("table") if e.get("class") == "interpolation"]
    assert len(tables) == 4
    for table in tables:
        start, end = (int(end[1:]) for end in table.find("caption").text.split(" → "))
        steps = np.linspace(0, 1, 8)[:, None]
        along = mixed_model.inverse_transform((1 - steps) * codes[start] + steps * codes[end])
        (city,) = [tr for tr in table.findall("tr") if tr.find("th")[0].text == "city"]
        runs = [(td.text, int(td.get("colspan"))) for td in city.findall("td")]
        shown = [text for text, width in runs for _ in range(width)]
        assert shown == [along["city"][0], *along["city"], along["city"].iloc[-1]]


def test_a_category_that_is_not_in_the_training_rows_is_unseen(mixed_model, mixed):
    field = next(f for f in fields_of(mixed_model._fitted.kind) if f.name == "city")
    rows = np.zeros((3, 9))
    rows[:, field.cells.start] = [-1, np.nan, 1]
    assert field.texts(rows) == ["unseen", MISSING, "Oslo"]


def test_tables_of_arrow_look_like_those_of_pandas(page, fitted, mixed, mixed_page):
    import pyarrow as pa

    table = pa.Table.from_pandas(mixed, preserve_index=False)
    with pytest.warns(AttarWarning, match="'number' is not used"):
        model = fitted(table, code_size=3)
    _, body = rows_of(page(model, table), "compared")
    _, other = rows_of(mixed_page, "compared")
    texts = [[span.text for td in tr.findall("td") for span in td] for tr in body.values()]
    assert texts == [[span.text for td in tr.findall("td") for span in td] for tr in other.values()]
