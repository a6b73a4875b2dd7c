"""The future of series by the command line."""

from __future__ import annotations

import pathlib

import numpy as np
import pandas as pd
import pytest

import attar


@pytest.fixture
def table(tmp_path):
    """Write hours with a load and a price, and return them."""
    hours = pd.date_range("2024-01-01", periods=300, freq="h")
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"date": hours, "load": 10 + np.sin(np.arange(300) * 2 * np.pi / 24)})
    frame["load"] += 0.1 * rng.normal(size=300)
    frame["price"] = rng.normal(size=300)
    frame.to_csv(tmp_path / "t.csv", index=False)
    return frame


FIT = ("fit", "t.csv", "--time", "date", "--for", "future", "-o", "f.attar")


def test_rows_go_on_in_time_with_columns_for_each_interval(run, table):
    status, out, err = run(*FIT, "--horizon", "24")
    assert (status, err) == (0, "")
    assert "of 24 steps forecast from" in out
    assert run("forecast", "f.attar", "t.csv", "-o", "n.csv") == (0, "", "")
    found = pd.read_csv("n.csv", parse_dates=["date"])
    names = ["date", "load", "load_low", "load_high", "price", "price_low", "price_high"]
    assert list(found.columns) == names
    hours = pd.date_range(table["date"].iloc[-1], periods=25, freq="h")[1:]
    assert (found["date"] == hours).all()
    assert (found["load_low"] < found["load"]).all()
    forecaster = attar.Forecaster.load("f.attar")
    np.testing.assert_allclose(found["load"], forecaster.predict(table)["load"])
    words = ("--horizon", "5", "--coverage", "0.5")
    assert run("forecast", "f.attar", "t.csv", "-o", "n.parquet", *words) == (0, "", "")
    narrow = pd.read_parquet("n.parquet")
    assert len(narrow) == 5
    assert (narrow["load_high"] < found["load_high"][:5]).all()
    assert "future" in run("info", "f.attar")[1]


def test_columns_that_are_known_ahead_are_in_the_rows_to_come(run, table):
    table[:290].to_csv("t.csv", index=False)
    assert run(*FIT, "--horizon", "4", "--known", "price", "--json")[0] == 0
    status, _, err = run("forecast", "f.attar", "t.csv", "-o", "n.csv")
    assert (status, "Known-ahead columns are missing for 4 of 4 steps" in err) == (2, True)
    table.assign(load=table["load"].where(table.index < 290)).to_csv("more.csv", index=False)
    assert run("forecast", "f.attar", "more.csv", "-o", "n.csv") == (0, "", "")
    found = pd.read_csv("n.csv", parse_dates=["date"])
    assert list(found["date"]) == list(table["date"][290:294])
    np.testing.assert_allclose(found["price"], table["price"][290:294])


def test_a_model_goes_on_after_the_series_of_its_fit(run, table):
    shops = pd.concat(
        [table.assign(shop=shop, region=region) for shop, region in (("a", "n"), ("b", "s"))]
    )
    shops.assign(sale=np.arange(600) % 7 < 2).to_csv("t.csv", index=False)
    words = ("--series", "shop", "--static", "region", "--known", "sale", "--horizon", "3")
    assert run(*FIT, *words, "--quiet") == (0, "", "")
    hours = pd.date_range(table["date"].iloc[-1], periods=4, freq="h")[1:]
    ahead = pd.DataFrame({"date": hours, "sale": [True, False, False]})
    ahead = pd.concat([ahead.assign(shop=shop) for shop in "ab"])
    ahead.to_csv("ahead.csv", index=False)
    assert run("forecast", "f.attar", "--future", "ahead.csv", "-o", "n.csv") == (0, "", "")
    assert run("forecast", "f.attar", "t.csv", "--future", "ahead.csv", "-o", "m.csv")[0] == 0
    found, other = (pd.read_csv(name, parse_dates=["date"]) for name in ("n.csv", "m.csv"))
    pd.testing.assert_frame_equal(found, other)
    assert list(found["date"]) == list(hours) * 2
    assert list(found["region"]) == list("nnnsss")
    assert list(found["sale"]) == [True, False, False] * 2
    status, _, err = run("forecast", "f.attar", "-o", "x.csv")
    assert (status, "Known-ahead columns are missing for 3 of 3 steps" in err) == (2, True)
    changed = shops.assign(sale=True, region=["n"] * 350 + ["s"] * 250)
    changed.to_csv("t.csv", index=False)
    status, _, err = run("forecast", "f.attar", "t.csv", "--future", "ahead.csv", "-o", "x.csv")
    assert (status, "'region' of the series b changes at 2024-01-03 02:00" in err) == (2, True)
    assert not pathlib.Path("x.csv").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((*FIT, "--horizon", "400"), "horizon of 400 steps is longer than the series"),
        ((*FIT, "--label", "price"), "--label is not of --for future: leave it out"),
        ((*FIT, "--window", "3"), "--window is not of --for future: leave it out"),
        ((*FIT, "--epochs", "3"), "--epochs is of an autoencoder, not of --for future"),
        ((*FIT, "--set", "nothing=1"), "The settings of --for future are"),
        (("fit", "t.csv", "--horizon", "3", "-o", "f.attar"), "--horizon is of --for future"),
        (("fit", "t.csv", "--for", "past", "-o", "f.attar"), "--for takes anomalies, gaps, future"),
    ],
)
def test_bad_words_are_answered_in_one_sentence(run, table, words, message):
    status, _, err = run(*words)
    assert status == 2
    assert message in err
    assert err.count("\n") == 1


def test_a_horizon_that_was_not_fitted_is_refused(run, table):
    assert run(*FIT, "--horizon", "4", "--quiet") == (0, "", "")
    status, _, err = run("forecast", "f.attar", "t.csv", "-o", "n.csv", "--horizon", "5")
    assert (status, "was fitted for 4 steps, and horizon=5 is more" in err) == (2, True)
    status, _, err = run("score", "f.attar", "t.csv", "-o", "n.csv")
    assert (status, "attar forecast" in err) == (2, True)
