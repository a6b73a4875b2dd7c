"""attar fit --for gaps and attar impute: known cells of a CSV file are the same bytes."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import attar
from attar.cli import app
from attar.errors import FileError, SettingError
from attar.tasks.gaps import lookup

ABSENT = ["", "?", "NA"]


def invoke(*words):
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder, rng, rows = tmp_path_factory.mktemp("gaps"), np.random.default_rng(0), []
    for _ in range(200):
        size = rng.uniform(20, 150)
        day = pd.Timestamp("2024-01-01") + pd.Timedelta(days=int(size))
        town = ["Bonn", '"Hof; West"', "Kiel"][int(size // 50)]
        price = f"{1000 * size:,.2f} €".translate(str.maketrans(",.", ".,"))
        cells = [f"{size:.1f}".replace(".", ","), town, day.strftime("%d.%m.%Y"), price]
        hidden = rng.random(4) < 0.12
        rows.append(
            [ABSENT[rng.integers(3)] if h else c for c, h in zip(cells, hidden, strict=True)]
        )
    text = "size;town;day;price\r\n" + "".join(";".join(row) + "\r\n" for row in rows)
    (folder / "holes.csv").write_bytes(text.encode())
    done = invoke("fit", folder / "holes.csv", "--for", "gaps", "-o", folder / "g.attar")
    assert done.exit_code == 0, done.output
    assert "size" in done.output
    assert "missing" in done.output
    return folder


def cells_of(path):
    lines = path.read_bytes().decode().split("\r\n")
    return [line.replace("Hof; West", "Hof: West").split(";") for line in lines]


def test_no_gap_is_left_and_known_cells_are_the_same_bytes(folder):
    done = invoke("impute", folder / "g.attar", folder / "holes.csv", "-o", folder / "full.csv")
    assert done.exit_code == 0, done.output
    before, after = cells_of(folder / "holes.csv"), cells_of(folder / "full.csv")
    assert len(before) == len(after)
    new = []
    for one, other in zip(before[:-1], after[:-1], strict=True):
        for a, b in zip(one, other, strict=True):
            assert a == b or a in ABSENT
            new += [b] if a in ABSENT else []
    assert not set(new) & set(ABSENT)
    assert any(text.endswith(" €") and "." in text for text in new)
    assert any(text.count(".") == 2 and text.endswith("2024") for text in new)
    full = attar.Csv(folder / "full.csv").read()
    assert not full.isna().to_numpy().any()
    assert full["price"].dtype == float


def test_other_formats_and_uncertainty_are_written(folder):
    done = invoke(
        *("impute", folder / "g.attar", folder / "holes.csv"),
        *("-o", folder / "full.parquet", "--uncertainty", folder / "u.csv"),
    )
    assert done.exit_code == 0, done.output
    assert not pd.read_parquet(folder / "full.parquet").isna().to_numpy().any()
    unsure = pd.read_csv(folder / "u.csv")
    assert list(unsure.columns) == ["row", "column", "value", "low", "high", "probability"]
    gaps = attar.Csv(folder / "holes.csv").read().isna().to_numpy().sum()
    assert len(unsure) == gaps


def test_draws_are_one_long_table(folder, monkeypatch):
    long = folder / "long.csv"
    done = invoke("impute", folder / "g.attar", folder / "holes.csv", "-o", long, "--draws", 3)
    assert done.exit_code == 0, done.output
    found, holes = pd.read_csv(long), attar.Csv(folder / "holes.csv").read()
    assert list(found) == ["imputation", *holes]
    assert not found.isna().to_numpy().any()
    first, second, third = (one["price"].to_numpy() for _, one in found.groupby("imputation"))
    known = holes["price"].notna().to_numpy()
    np.testing.assert_array_equal(first[known], holes["price"][known])
    np.testing.assert_array_equal(third[known], holes["price"][known])
    assert (first[~known] != second[~known]).mean() > 0.9
    found[::9].to_csv(folder / "again.csv", index=False)
    monkeypatch.setattr(lookup, "STEPS", 2)
    fit = ("fit", folder / "again.csv", "--for", "gaps", "--set", "recipe=null")
    assert invoke(*fit, "-o", folder / "a.attar").exit_code == 0
    done = invoke(
        *("impute", folder / "a.attar", folder / "again.csv"),
        *("-o", folder / "b.csv", "--draws", 2),
    )
    assert "rename it" in str(done.exception)


def test_a_table_without_gaps_is_copied_and_said(folder):
    invoke("impute", folder / "g.attar", folder / "holes.csv", "-o", folder / "full.csv")
    with pytest.warns(attar.AttarWarning, match="no missing cell"):
        done = invoke("impute", folder / "g.attar", folder / "full.csv", "-o", folder / "c.csv")
    assert done.exit_code == 0
    assert (folder / "c.csv").read_bytes() == (folder / "full.csv").read_bytes()


def test_info_and_json_tell_of_it(folder, monkeypatch):
    monkeypatch.setattr(lookup, "STEPS", 2)  # the size of errors does not matter here
    assert "gaps" in invoke("info", folder / "g.attar").output
    done = invoke(
        *("fit", folder / "holes.csv", "--for", "gaps", "--json"),
        *("-o", folder / "h.attar", "--set", "recipe=null"),
    )
    errors = json.loads(done.stdout)["errors"]
    assert [one["column"] for one in errors] == ["size", "town", "day", "price"]


def test_what_does_not_belong_is_refused_in_a_sentence(folder):
    fit = ("fit", folder / "holes.csv", "--for")
    assert "anomalies, gaps, future" in str(invoke(*fit, "gap", "-o", "x").exception)
    refused = invoke(*fit, "gaps", "-o", folder / "x", "--label", "town").exception
    assert isinstance(refused, SettingError)
    assert "--drop town" in str(refused)
    refused = invoke(*fit, "gaps", "-o", folder / "x", "--set", "span=3").exception
    assert "settings of --for gaps are columns" in str(refused)
    refused = invoke(
        "impute", folder / "g.attar", folder / "holes.csv", "-o", folder / "p"
    ).exception
    assert isinstance(refused, FileError)
