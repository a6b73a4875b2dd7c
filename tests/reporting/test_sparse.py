"""Sparse matrices have their largest cells on the page, and the largest predictions."""

from xml.etree.ElementTree import tostring

import numpy as np
import pytest
import torch
from scipy import sparse

import attar
from attar.reporting.html import number


@pytest.fixture(scope="module")
def matrix():
    generator = np.random.default_rng(0)
    rates = generator.gamma(0.2, 5, (4, 40))
    return sparse.csr_array(generator.poisson(rates[generator.integers(0, 4, 80)]))


@pytest.fixture(scope="module")
def model(fitted, matrix):
    return fitted(matrix, code_size=2)


@pytest.fixture(scope="module")
def tree(page, model, matrix):
    return page(model, matrix)


def test_cells_are_the_largest_stored_and_the_largest_predictions(tree, model, matrix):
    predictor = model._fitted.predictor
    decoded = predictor.decode(predictor.encode(matrix)).numpy()
    tables = next(e for e in tree.iter("div") if e.get("class") == "bags").findall("table")
    assert len(tables) == 6
    dense = matrix.toarray()
    for table in tables:
        row = int(table.find("caption").text.removeprefix("row "))
        lines = {
            part: {
                int(tr.find("th")[0].text[1:]): [td.text for td in tr.findall("td")[1:]]
                for tr in table.findall("tr")
                if tr.get("class") == part
            }
            for part in ("", "predicted")
        }
        for part in lines.values():
            for column, texts in part.items():
                value, other = dense[row, column], float(decoded[row, column])
                assert texts == [number(value), number(other)]
        stored = min(6, np.count_nonzero(dense[row]))
        assert len(lines[""]) == stored
        assert sorted(dense[row, list(lines[""])]) == sorted(np.sort(dense[row])[-stored:])
        others = np.where(dense[row] == 0, np.abs(decoded[row]), 0)
        assert set(lines["predicted"]) == set(np.argsort(-others)[:3])


def test_samples_are_the_largest_cells_of_draws(tree, model):
    grid = next(e for e in tree.iter("div") if e.get("class") == "scrolling sampled")
    codes = model._fitted.sampler()(8, torch.Generator().manual_seed(0)).numpy()
    drawn = model._fitted.draw(model._fitted.predictor, codes, None, 0).toarray()
    for row, tr in zip(drawn, grid.find("table").findall("tr"), strict=True):
        cells = {int(td[0].text[1:]): td[0].tail for td in tr.findall("td") if len(td)}
        assert cells == {j: number(float(row[j])) for j in cells}
        assert sorted(np.abs(row[list(cells)])) == sorted(s for s in np.sort(np.abs(row))[-6:] if s)


@pytest.mark.parametrize("width", [1, 3])
def test_narrow_and_empty_rows_have_a_page_too(page, fitted, width):
    dense = np.random.default_rng(0).poisson(0.7, (40, width))
    data = sparse.csr_matrix(dense)
    tree = page(fitted(data, code_size=1), data)
    for table in next(e for e in tree.iter("div") if e.get("class") == "bags").findall("table"):
        columns = [tr.find("th")[0].text for tr in table.findall("tr")]
        assert len(columns) == len(set(columns)) == width


def test_ratings_are_shown_in_their_own_unit(fitted, page):
    generator = np.random.default_rng(0)
    places = np.nonzero(generator.random((60, 12)) < 0.4)
    matrix = sparse.csr_array((generator.integers(0, 6, len(places[0])) / 1.0, places), (60, 12))
    model = fitted(attar.Sparse(matrix, absent="missing"), code_size=2)
    expected = model.expected_values(matrix, range(12))
    bags = next(e for e in page(model, matrix).iter("div") if e.get("class") == "bags")
    assert "nan" not in tostring(bags, encoding="unicode")
    for table in bags.findall("table"):
        row = int(table.find("caption").text.removeprefix("row "))
        known = dict(
            zip(matrix[row : row + 1].tocoo().col, matrix[row : row + 1].data, strict=True)
        )
        for line in table.findall("tr"):
            column = int(line.find("th")[0].text[1:])
            given, decoded = (cell.text for cell in line.findall("td")[1:])
            assert (line.get("class") == "predicted") == (column not in known)
            assert decoded == number(float(expected[row, column]))
            assert given == (number(known[column]) if column in known else "—")
