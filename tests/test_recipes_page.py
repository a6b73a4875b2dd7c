"""The page of recipes is generated from the table, and its metrics are those of the recipes."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from attar import (
    bounds,
    codes,
    conditions,
    corruptions,
    likelihoods,
    networks,
    penalties,
    priors,
    sampling,
)
from attar.bounds import ImportanceWeighted
from attar.codes import Flowed, Gaussian, InverseAutoregressive, Point
from attar.data.source import read
from attar.penalties import L1, L2
from attar.priors import Mixture, StandardNormal
from attar.recipe import Recipe
from attar.recipes import TABLE

DOCS = Path(__file__).parents[1] / "docs"


def loaded():
    spec = importlib.util.spec_from_file_location("make_recipes", DOCS / "make_recipes.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


maker = loaded()
METRICS = json.loads(maker.METRICS.read_text("utf-8"))
# Some parts of different families have one name: a code is meant, as on the page.
PARTS = {"Recipe": Recipe} | {
    name: part
    for module in (
        *(bounds, conditions, corruptions, likelihoods, networks, penalties, priors, sampling),
        codes,
    )
    for name, part in vars(module).items()
}


def require(condition, what):
    if not condition:
        pytest.fail(f"{what}: run `make recipes`.", pytrace=False)


def test_the_page_is_what_the_table_gives():
    same = maker.PAGE.read_text("utf-8") == maker.page(TABLE, METRICS)
    require(same, "docs/recipes.md is not that of the table")


def test_the_table_without_torch_is_the_table():
    same = maker.JSON.read_text("utf-8") == maker.json_of(TABLE)
    require(same, "src/attar/recipes.json is not that of the table")


def test_every_row_was_measured_and_has_a_picture():
    stale = ", ".join(maker.changed(METRICS))
    require(not stale, f"The recipes have changed since they were measured: {stale}")
    pictures = {path.stem for path in maker.PICTURES.glob("*.png")} | set(METRICS)
    measured = {name for name, row in TABLE.items() if maker.of_digits(row.recipe)}
    require(pictures == measured, "The pictures and metrics are not those of the table's rows")


def test_a_new_row_needs_a_new_page():
    row = next(iter(TABLE.values()))
    assert maker.page(TABLE | {"new": row}, METRICS) != maker.page(TABLE, METRICS)
    with pytest.raises(pytest.fail.Exception, match="run `make recipes`"):
        require(False, "The page is outdated")


@pytest.mark.parametrize("name", TABLE)
def test_an_expression_gives_the_recipe_back(name):
    words = maker.expression(TABLE[name].recipe)
    assert f"```python\n{words}\n```" in maker.page({name: TABLE[name]}, {})
    assert eval(words, PARTS) == TABLE[name].recipe


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        (Recipe(), "Recipe(Point())"),
        (Recipe(Gaussian(1.0)), "Recipe(Gaussian())"),
        (Recipe(Gaussian(beta=4.0)), "Recipe(Gaussian(beta=4.0))"),
        (
            Recipe(Gaussian(prior=Mixture(components=3)), bound=ImportanceWeighted(7)),
            "Recipe(Gaussian(prior=Mixture(components=3)), bound=ImportanceWeighted(samples=7))",
        ),
        (
            Recipe(Point("tanh"), penalties=(L1(),)),
            'Recipe(Point(activation="tanh"), penalties=(L1(),))',
        ),
        (
            Recipe(Flowed(flow=InverseAutoregressive(widths=(8, 8))), penalties=(L1(), L2())),
            "Recipe(Flowed(flow=InverseAutoregressive(widths=(8, 8))), penalties=(L1(), L2()))",
        ),
        (Recipe(Point(prior=StandardNormal())), "Recipe(Point(prior=StandardNormal()))"),
    ],
)
def test_an_expression_shows_what_differs_from_the_defaults(recipe, words):
    assert maker.expression(recipe) == words
    assert eval(words, PARTS) == recipe


def test_the_groups_are_the_kinds_of_codes():
    groups = {
        "Deterministic codes": ["Ordered", "Point"],
        "Sparse codes": ["BatchTopK", "Gated", "JumpRelu", "Matryoshka", "SparseKL", "TopK"],
        "Gaussian codes": ["Flowed", "Gaussian", "Hamiltonian", "Ladder"],
        "Curved spaces": ["Poincare", "Riemannian", "Sphere"],
        "Discrete codes": [
            "BernoulliBits",
            "FiniteScalar",
            "Gumbel",
            "TwoLevels",
            "VectorQuantized",
        ],
        "No code": ["NoCode"],
    }
    assert list(groups) == list(maker.GROUPS)
    for title, names in groups.items():
        assert {maker.group(PARTS[name]()) for name in names} == {title}


def test_a_picture_begins_with_the_test_digits():
    test = read("digits/test")
    places = maker.ten(test.labels)
    np.testing.assert_array_equal(test.labels[places], np.arange(10))
    digits = np.rint(test.data[places] * (255 / 16))
    for name in filter(lambda name: maker.of_digits(TABLE[name].recipe), TABLE):
        with Image.open(maker.PICTURES / f"{name}.png") as picture:
            pixels = np.array(picture)[::4, ::4]
        # Tiles of eight pixels, with a white pixel between them.
        first = [pixels[:8, 9 * column : 9 * column + 8] for column in range(10)]
        np.testing.assert_array_equal(first, digits)
        assert pixels.shape == (26, 89)
        assert (pixels[8::9] == 255).all()
        assert (pixels[:, 8::9] == 255).all()


def test_the_pictures_are_small():
    assert sum(path.stat().st_size for path in maker.PICTURES.iterdir()) < 400_000
