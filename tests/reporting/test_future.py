"""The page of a forecaster says what forecasts are, and how good they were."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import attar
from attar.errors import SettingError
from attar.reporting import svg
from attar.reporting.scale import Scale

HOURS = pd.date_range("2024-01-01", periods=500, freq="h")


def table(seed, steps=500):
    rng = np.random.default_rng(seed)
    wave = np.sin(2 * np.pi * np.arange(steps) / 24)
    values = {"load": 10 + wave + rng.normal(0, 0.1, steps), "price": rng.normal(0, 1, steps)}
    return pd.DataFrame({"time": HOURS[:steps], **values})


@pytest.fixture(scope="module")
def forecaster():
    return attar.Forecaster(horizon=12).fit(attar.Series(table(0)[:350], time="time"))


def words(element):
    return " ".join("".join(element.itertext()).split())


def test_forecasts_and_a_backtest_are_shown(page, forecaster):
    tree = page(forecaster, table(0))
    assert "forecasts of 2 channels, 12 steps ahead" in words(tree)
    scores = forecaster.backtest(table(0)).scores()
    channels = next(e for e in tree.iter("div") if e.get("aria-label") == "Channels")
    for row, one in zip(list(channels.iter("tr"))[1:], scores.itertuples(), strict=True):
        name, rmse, mae, coverage, width = (words(cell) for cell in row)
        found = [float(text) for text in (rmse, mae, width)]
        assert name == one.Index
        assert found == [float(f"{x:.3g}") for x in (one.mse**0.5, one.mae, one.width)]
        assert coverage == f"{one.coverage:.1%}"
    fans = [e for e in tree.iter("svg") if "and a forecast of 12" in (e.get("aria-label") or "")]
    assert [fan.get("aria-label").split(":")[0] for fan in fans] == ["load", "price"]
    for fan in fans:
        assert [p.get("class") for p in fan.iter("path")].count("band first") == 3


def test_series_without_later_steps_have_no_backtest(page, forecaster):
    text = words(page(forecaster, table(0)[:350]))
    assert "too few steps after those of the fit for a backtest" in text
    assert "Error of each step ahead" not in text


def test_a_changed_series_is_a_finding(page, forecaster):
    new = table(0)
    new.loc[350:, "load"] = 10 + np.random.default_rng(1).normal(0, 30, 150)
    text = words(page(forecaster, new))
    assert "The series have changed since the fit" in text


def test_labels_are_refused(page, forecaster):
    with pytest.raises(SettingError, match="The report of Forecaster has no labels"):
        page(forecaster, table(0), labels=np.zeros(500))


def test_a_band_is_between_its_ends():
    scale = Scale.over(0, 10, "step")
    past = (np.arange(3.0), np.array([1.0, np.nan, 3.0]))
    forecast = (np.arange(3.0, 5.0), np.array([2.0, 2.0]))
    drawn = svg.fan(scale, "x", past, forecast, [(forecast[1] - 1, forecast[1] + 1)])
    band = next(p for p in drawn.iter("path") if p.get("class") == "band first")
    places = [tuple(map(float, place.split())) for place in band.get("d").strip("MZ").split("L")]
    heights = [y for _, y in places]
    assert heights[0] == heights[1] < heights[2] == heights[3]
    assert [x for x, _ in places] == [132.0, 176.0, 176.0, 132.0]
    line = [p for p in drawn.iter("path") if p.get("class") == "line second"]
    assert len(line) == 2  # broken where a value is missing
