"""The page of an imputer says what was missing, and what it was imputed with."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

import attar
from attar.reporting.measured import percent


def rows(seed, n=150):
    rng = np.random.default_rng(seed)
    size = rng.uniform(20, 150, n)
    frame = pd.DataFrame({"size": size, "rent": 10 * size + rng.normal(0, 5, n)})
    frame["kind"] = np.where(size > 80, "house", "flat")
    frame["noise"] = rng.normal(size=n)
    return frame


def holes(frame, seed, share=0.1):
    return frame.mask(np.random.default_rng(seed).random(frame.shape) < share)


@pytest.fixture(scope="module")
def imputer():
    return attar.Imputer(recipe=None, random_state=0).fit(holes(rows(0), 1))


def words(element):
    return " ".join("".join(element.itertext()).split())


def table_of(tree, name):
    return next(e for e in tree.iter("div") if e.get("aria-label") == name)


def test_the_table_has_the_error_of_each_column_beside_its_baseline(page, imputer):
    new = holes(rows(2), 3)
    tree = page(imputer, new)
    table = [[words(x) for x in r] for r in table_of(tree, "Error of each column").iter("tr")][1:]
    errors = imputer.errors_.set_index("column")
    assert sorted(line[0] for line in table) == sorted(errors.index)
    assert table[0][0] == "noise"  # the largest part of its baseline
    for name, _, relative, _, here, of_fit in table:
        one = errors.loc[name]
        assert relative == f"{one.error / one.baseline:.1%}"
        assert (here, of_fit) == (f"{new[name].isna().mean():.1%}", f"{one.share:.1%}")
    assert f"missing values, {percent(new.isna().to_numpy().mean())} of all" in words(tree)
    assert "noise: missing values are hardly predicted better than by the mean" in words(tree)


def test_imputed_cells_are_marked_with_their_interval_and_known_ones_are_not(page, imputer):
    new = holes(rows(2), 3)
    tree = page(imputer, new)
    filled = imputer.transform(new)
    table = table_of(tree, "Imputed rows")
    lines = list(table.iter("tr"))
    columns = [words(cell) for cell in lines[0]][1:]
    assert columns == list(new.columns)
    for line in lines[1:]:
        row = int(words(line[0]).removeprefix("row "))
        for name, cell in zip(columns, list(line)[1:], strict=True):
            marked = cell[0].get("class") == "differs"
            assert marked == pd.isna(new.loc[row, name])
            if name == "kind":
                assert words(cell[0]) == filled.loc[row, name]
            elif marked:
                low, high = (float(x.replace("−", "-")) for x in words(cell[1]).split(" to "))
                assert low <= filled.loc[row, name] <= high


def test_more_gaps_than_in_the_fit_are_a_finding(page, imputer):
    text = words(page(imputer, holes(rows(4), 5, 0.4)))
    assert re.search("a larger share is missing than in the fit", text)


def test_rows_without_gaps_have_only_errors(page, imputer):
    text = words(page(imputer, rows(6)))
    assert "Error of each column" in text
    assert "Imputed rows" not in text


def test_the_longest_gaps_of_series_are_shaded_with_their_intervals(page):
    rng = np.random.default_rng(0)
    hours = pd.date_range("2024-01-01", periods=400, freq="h")
    load = np.sin(np.arange(400) / 4) + 0.1 * rng.normal(size=400)
    table = pd.DataFrame({"time": hours, "load": load, "heat": load + 0.1 * rng.normal(size=400)})
    for start, steps in ((50, 5), (150, 12), (300, 3)):
        table.loc[start : start + steps - 1, "load"] = np.nan
    imputer = attar.Imputer(random_state=0).fit(attar.Series(table, time="time"))
    grid = table_of(page(imputer, table), "Imputed steps")
    heads = [words(cell) for cell in next(grid.iter("tr"))][1:]
    assert heads[0] == f"from {hours[150 - 24]:%Y-%m-%d %H:%M}"  # the longest gap comes first
    rows = list(grid.iter("tr"))[1:]
    assert [words(row[0][0]) for row in rows] == ["load"]
    drawn = next(rows[0].iter("svg"))
    classes = [mark.get("class") for mark in drawn]
    assert classes.count("gap") == classes.count("band first") == 1


def test_images_are_shown_with_and_without_gaps(page):
    rng = np.random.default_rng(0)
    images = np.rint(rng.random((60, 1, 1)) * 200 + 20 * rng.random((60, 6, 6)))
    images[::3, 2:4, 2:4] = np.nan
    imputer = attar.Imputer(random_state=0).fit(images)
    tree = page(imputer, images[:30])
    alts = [image.get("alt") for image in tree.iter("img")]
    assert alts[:2] == ["row 0, incomplete", "row 0, imputed"]
    assert len(alts) == 20
    errors = [words(cell) for cell in list(table_of(tree, "Error of each channel").iter("tr"))[1]]
    here = np.isnan(images[:30]).mean()
    assert errors[-2] == f"{here:.1%}"
