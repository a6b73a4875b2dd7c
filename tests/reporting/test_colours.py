"""Maps without labels have the colours of the column that they explain best."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score

import attar
from attar.reporting.colours import Attribute, best_explained
from attar.reporting.selection import by_value, plane

GENERATOR = np.random.default_rng(0)
POINTS = GENERATOR.normal(size=(80, 2))


def explained(values):
    return LinearRegression().fit(POINTS, values).score(POINTS, values)


def words(element):
    return "".join(element.itertext())


def latent_space(tree):
    return next(e for e in tree.iter("section") if e.find("h2").text == "Latent space")


def test_the_explained_variance_of_numbers_is_that_of_a_regression():
    values = POINTS @ [2.0, -1.0] + GENERATOR.normal(size=80)
    assert Attribute("a", values).explained_variance(POINTS) == pytest.approx(explained(values))
    gaps = np.where(np.arange(80) % 3 == 0, np.nan, values)
    known = ~np.isnan(gaps)
    model = LinearRegression().fit(POINTS[known], values[known])
    expected = model.score(POINTS[known], values[known])
    assert Attribute("a", gaps).explained_variance(POINTS) == pytest.approx(expected)


def test_the_explained_variance_of_dates_and_texts():
    days = np.rint(100 * POINTS[:, 0] + 30 * GENERATOR.normal(size=80))
    dates = np.datetime64("2020-01-01", "us") + days.astype("timedelta64[D]")
    assert Attribute("a", dates).explained_variance(POINTS) == pytest.approx(explained(days))
    texts = np.where(POINTS[:, 1] > 0.5, "high", np.where(POINTS[:, 0] > 0, "right", "left"))
    indicators = np.stack([texts == text for text in np.unique(texts)], 1).astype(float)
    fit = LinearRegression().fit(POINTS, indicators).predict(POINTS)
    expected = r2_score(indicators, fit, multioutput="variance_weighted")
    assert Attribute("a", texts).explained_variance(POINTS) == pytest.approx(expected)


def test_the_best_explained_varies():
    flat = Attribute("flat", np.full(80, 0.1))
    noise = Attribute("noise", GENERATOR.normal(size=80))
    one = Attribute("one", POINTS[:, 1] + 0.1)
    assert np.isnan(flat.explained_variance(POINTS))
    assert best_explained([flat, noise, one], POINTS) == (one, pytest.approx(1))
    assert best_explained([flat], POINTS) is None


def test_a_table_without_labels_has_the_colours_of_a_column(table_page, table_model, table):
    points = plane(table_model.transform(table))[0]
    shares = {
        name: LinearRegression().fit(points, table[name]).score(points, table[name])
        for name in table
    }
    best = max(shares, key=shares.get)
    section = latent_space(table_page)
    assert f"Colours are {best}, which the map explains best: {shares[best]:.0%}" in words(section)
    tones = [int(dot.get("class").removeprefix("dot s")) for dot in section.iter("circle")]
    values = table[best].to_numpy()
    for low in set(tones):
        for high in set(tones):
            if low < high:
                assert values[np.equal(tones, low)].max() <= values[np.equal(tones, high)].min()
    legend = next(e for e in section.iter("ul") if e.get("class") == "legend scale")
    assert {f"s{tone}" for tone in tones} <= {item.find("i").get("class") for item in legend}


def test_a_category_has_a_colour_for_each(page, fitted):
    group = np.repeat(["Bern", "Oslo", "Rome"], 40)
    noise = GENERATOR.normal(size=120)
    data = pd.DataFrame({"city": group, "land": np.char.upper(group), "noise": noise})
    section = latent_space(page(fitted(data, code_size=2, epochs=30), data))
    assert "Colours are city" in words(section)
    tones = np.array([dot.get("class") for dot in section.iter("circle")])
    legend = {item.find("i").get("class"): words(item) for item in section.find(".//ul")}
    assert [legend[tone.removeprefix("dot ")] for tone in tones] == group.tolist()


def test_labels_come_before_columns(page, table_model, table):
    section = latent_space(page(table_model, table, np.repeat(["x", "y"], 30)))
    assert "Colours are labels" in words(section)


def test_images_series_and_sparse_rows_have_colours(page, image_model, images, fitted):
    section = latent_space(page(image_model, images))
    assert "Colours are the mean brightness" in words(section)
    series = GENERATOR.normal(size=(40, 10, 2)).cumsum(1)
    model = fitted(attar.Series(series), code_size=2)
    assert "Colours are the mean of" in words(latent_space(page(model, attar.Series(series))))


def test_a_few_far_values_leave_colours_for_the_others():
    values = np.append(np.linspace(0, 10, 500), [1e6, 2e6])
    colouring = by_value(values, [""] * 502)
    assert len(colouring.meanings) >= 5
    assert np.bincount(colouring.groups).max() < 200
    bounds = [float(text.split()[-1 if "to" in text else 0]) for text in colouring.meanings[1:-1]]
    assert bounds == sorted(bounds)
    assert bounds[-1] <= 10


def test_dates_have_steps_between_round_dates():
    dates = np.arange("2020-03-05", "2023-02-11", dtype="datetime64[D]").astype("datetime64[us]")
    colouring = by_value(np.append(dates, np.datetime64("NaT")), [""] * (len(dates) + 1))
    assert colouring.meanings[-1] == "none"
    for group, meaning in enumerate(colouring.meanings[1:-2], start=1):
        low, high = map(np.datetime64, meaning.split(" to "))
        inside = dates[colouring.groups[:-1] == group]
        assert (inside[0], inside[-1]) == (low, high - np.timedelta64(1, "D"))


def test_zeros_with_a_few_other_numbers():
    values = np.append(np.zeros(1000), np.arange(1.0, 11))
    colouring = by_value(values, [""] * 1010)
    assert set(colouring.groups[:1000]) == {0}
    assert colouring.groups[-1] == len(colouring.meanings) - 1
