"""The page of a model of text shows which texts are near in latent space."""

import numpy as np
import pytest

from attar.recipes import recipe

LINES = [f"{n} {c} {t}" for n in ("a", "one") for c in ("red", "blue") for t in ("car", "hat", "b")]


@pytest.fixture(scope="module")
def model(fitted):
    small = recipe("text").replace(network__width=16, likelihood__width=16, likelihood__layers=1)
    return fitted(np.array(LINES), recipe=small, code_size=16, epochs=1)


def test_each_text_has_those_whose_codes_are_nearest(page, model):
    tree = page(model, LINES)
    grid = next(e for e in tree.iter("div") if e.get("class") == "nearest")
    distances, places = model.neighbours(LINES, 5, among=LINES)
    found = list(grid.iter("table"))
    assert len(found) == 6
    for table in found:
        own = LINES.index("".join(next(table.iter("caption")).itertext()))
        texts = [["".join(cell.itertext()) for cell in row] for row in table.iter("tr")]
        assert [LINES.index(text) for text, _ in texts] == places[own][1:].tolist()
        shown = [float(distance) for _, distance in texts]
        np.testing.assert_allclose(shown, distances[own][1:], rtol=5e-3)


def test_a_single_text_has_no_neighbours(page, model):
    tree = page(model, LINES[:1])
    assert not [e for e in tree.iter("div") if e.get("class") == "nearest"]
