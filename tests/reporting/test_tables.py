"""Tables have the values of the data."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import r2_score

from attar.errors import AttarWarning
from attar.reporting.display import Examples
from attar.reporting.html import MISSING, number
from attar.reporting.measured import percent
from attar.reporting.tables import fields_of


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


def test_columns_are_sorted_by_explained_variance(table_page, table_model, table):
    _, body = rows_of(table_page, "parts")
    explained = r2_score(table, table_model.reconstruct(table), multioutput="raw_values")
    order = np.argsort(explained)
    assert list(body) == [table.columns[j] for j in order]
    for j, tr in zip(order, body.values(), strict=True):
        bar, text = tr.findall("td")
        assert text.text == percent(explained[j])
        assert bar[0].get("style") == f"--share:{max(explained[j], 0):.4f}"


def test_of_many_columns_those_reconstructed_worst_are_compared(page, fitted):
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(50, 30))).add_prefix("column ")
    model = fitted(X, code_size=2, scaling="none")
    columns, _ = rows_of(page(model, X), "compared")
    explained = r2_score(X, model.reconstruct(X), multioutput="raw_values")
    assert set(columns) == set(X.columns[np.argsort(explained)[:8]])


def test_odd_rows_are_named_with_their_scores_and_cells(page, table_model, table):
    odd = table.copy()
    odd.iloc[7, 1] = 50.0
    _, body = rows_of(page(table_model, odd), "oddest")
    scores = table_model.score_samples(odd)
    order = np.argsort(scores)[:6]
    assert order[0] == 7
    assert list(body) == [f"row {row}" for row in order]
    texts = ["".join(tr[1].itertext()) for tr in body.values()]
    assert texts == [number(scores[row]) for row in order]
    expected = table_model.reconstruct(odd).iloc[7, 1]
    assert f"b & c = 50, expected {number(expected)} (−" in body["row 7"][2][0].text


def test_samples_are_draws(table_page, table_model, table):
    columns, body = rows_of(table_page, "sampled")
    fitted = table_model._fitted
    codes = fitted.sampler()(8, torch.Generator().manual_seed(0)).numpy()
    samples = fitted.sample(fitted.predictor, codes, None, 0)
    for i, tr in enumerate(body.values()):
        shown = [td.text for td in tr.findall("td")]
        assert shown == [number(samples[column][i]) for column in columns]
    assert (table.min() <= samples.min()).all()
    assert (samples.max() <= table.max()).all()


def test_samples_have_the_values_of_their_column(page, fitted):
    generator = np.random.default_rng(0)
    X = pd.DataFrame({"m": 10 * generator.integers(0, 2, 60), "n": generator.normal(size=60)})
    _, body = rows_of(page(fitted(X, code_size=1), X), "sampled")
    assert {tr.find("td").text for tr in body.values()} == {"0", "10"}


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
            "number": np.arange(n)[::-1],
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


def test_columns_have_their_explained_variance_accuracy_and_gaps(mixed_page, mixed_model, mixed):
    predictor, back = mixed_model._fitted.predictor, mixed_model.reconstruct(mixed)
    rows = predictor.preparation.kind.rows(mixed)
    prepared = predictor.preparation.prepare(rows)
    squares = (prepared - predictor.decode(predictor.encode(rows))) ** 2
    around = (prepared - prepared.nanmean(0)) ** 2
    _, body = rows_of(mixed_page, "parts")
    assert len(body) == 5
    for field in fields_of(predictor.preparation.kind):
        place, column = field.features, mixed[field.name]
        explained = 1 - squares[:, place].nansum() / around[:, place].nansum()
        texts = [td.text or "" for td in body[field.name].findall("td")[1:]]
        assert texts[0] == percent(explained.item())
        assert texts[-1] == percent(column.isna().mean())
        if field.name in ("city", "member"):
            known = column.notna()
            correct = (back[field.name] == column)[known].mean()
            frequent = column.value_counts(normalize=True).max()
            assert texts[1:3] == [percent(correct), percent(frequent)]
        else:
            assert texts[1:3] == ["", ""]


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
        ends = table.find("caption").text.split(" → ")
        start, end = (int(end.split(" · ")[0][1:]) for end in ends)
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
        model = fitted(pa.Table.from_pandas(mixed[::-1], preserve_index=False), code_size=3)
    _, body = rows_of(page(model, table), "compared")
    _, other = rows_of(mixed_page, "compared")
    texts = [[span.text for td in tr.findall("td") for span in td] for tr in body.values()]
    assert texts == [[span.text for td in tr.findall("td") for span in td] for tr in other.values()]


DAYS = pd.date_range("2023-12-25", periods=60, freq="D") + pd.to_timedelta(range(60), "h")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (DAYS, DAYS),
        (DAYS.tz_localize("America/New_York"), DAYS),
        (DAYS.normalize().strftime("%d.%m.%Y"), DAYS.normalize()),
        (DAYS - DAYS[0], (DAYS - DAYS[0]) / pd.Timedelta(1, "D")),
    ],
)
def test_times_that_colour_a_map_are_the_users(fitted, values, expected):
    frame = pd.DataFrame({"when": values, "x": np.arange(60.0)})
    frame.loc[7, "when"] = None
    kind = fitted(frame, code_size=1, epochs=1).fitted_.kind
    rows = kind.rows(frame)
    (field,) = (field for field in fields_of(kind) if field.name == "when")
    found = field.attribute(rows).values
    assert pd.isna(found[7])
    known = np.arange(60) != 7
    assert np.array_equal(found[known], np.asarray(expected)[known].astype(found.dtype))


def test_amounts_are_reconstructed_as_by_the_estimator(fitted):
    amounts = np.maximum(np.random.default_rng(0).normal(size=(200, 3)), 0) * 1000
    table = pd.DataFrame(amounts.round(), columns=["gain", "loss", "fee"])
    ae = fitted(table, code_size=1, epochs=2)
    predictor = ae.fitted_.predictor
    examples = Examples.of(predictor, predictor.preparation.kind.rows(table))
    assert examples.decoded.min() < predictor.preparation.prepare(np.zeros((1, 3))).min()
    assert examples.reconstructed.min() == 0
    np.testing.assert_allclose(examples.reconstructed, ae.reconstruct(table), rtol=1e-6)
