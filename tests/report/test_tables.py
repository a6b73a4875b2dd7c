"""Tables hold the numbers of the data."""

import numpy as np
import pandas as pd

from attar.report.markup import number


def rows_of(tree, name):
    table = next(e for e in tree.iter("div") if (e.get("class") or "").endswith(name)).find("table")
    head, *body = table.findall("tr")
    return [th[0].text for th in head.findall("th")], {tr.find("th")[0].text: tr for tr in body}


def test_cells_are_original_over_reconstruction_over_difference(table_page, table_model, table):
    columns, body = rows_of(table_page, "compared")
    back = table_model.reconstruct(table)
    assert columns == list(table.columns)
    assert len(body) == 6
    for name, tr in body.items():
        row = int(name.removeprefix("row "))
        for column, cell in zip(columns, tr.findall("td"), strict=True):
            x, y = table[column][row], back[column][row]
            sign = "+" if y > x else ""
            assert [span.text for span in cell] == [number(x), number(y), sign + number(y - x)]
            assert (f"--{'above' if y > x else 'below'}") in cell[2].get("style")


def test_column_errors_are_the_worst_first(table_page, table_model, table):
    bars = next(e for e in table_page.iter("ol") if e.get("class") == "bars")
    back = table_model.reconstruct(table)
    errors = np.square((table - back) / table.std(ddof=0)).mean()
    # The model's own scale is that of the rows learnt from, not of all rows.
    shown = [li[0].text for li in bars]
    assert shown == list(errors.sort_values(ascending=False).index)
    assert bars[0][1].get("style") == "--share:1.0000"


def test_of_many_columns_those_with_most_error_are_shown(page, fitted):
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(50, 30))).add_prefix("column ")
    model = fitted(X, code_size=2, scaling="none")
    columns, _ = rows_of(page(model, X), "compared")
    errors = np.square(X - model.reconstruct(X)).mean()
    assert set(columns) == set(errors.nlargest(8).index)


def test_samples_are_the_models(table_page, table_model):
    columns, body = rows_of(table_page, "sampled")
    samples = table_model.sample(8, random_state=0)
    for i, tr in enumerate(body.values()):
        shown = [td.text for td in tr.findall("td")]
        assert shown == [number(samples[column][i]) for column in columns]


def test_whole_numbers_come_back_whole(page, fitted):
    X = pd.DataFrame(np.random.default_rng(0).integers(0, 50, (40, 2)), columns=["m", "n"])
    _, body = rows_of(page(fitted(X, code_size=1), X), "compared")
    cells = [span.text for tr in body.values() for td in tr.findall("td") for span in td]
    assert all(cell.lstrip("+−").isdigit() for cell in cells)
