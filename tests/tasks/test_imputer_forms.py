"""Imputer fills series and pictures with what is true of them; known cells stay as they are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

import attar
from attar.cli import app
from attar.data.pictures import Pictures
from attar.errors import DataError, SettingError
from attar.tasks.gaps.stationary import StationaryGaussian


def autoregressive(steps, slope=0.9, seed=0):
    noise, x = np.random.default_rng(seed).normal(size=steps), np.zeros(steps)
    for t in range(1, steps):
        x[t] = slope * x[t - 1] + noise[t]
    return x


def loads(steps=900, seed=0):
    rng = np.random.default_rng(seed)
    days = pd.date_range("2024-01-01", periods=steps, freq="h")
    wave = np.sin(2 * np.pi * np.arange(steps) / 24)
    load = 50 + 10 * wave + rng.normal(0, 1, steps)
    table = pd.DataFrame({"hour": days, "load": load, "heat": 3 * load + rng.normal(0, 1, steps)})
    gaps = np.zeros((steps, 2), bool)
    for channel in range(2):
        for start in rng.integers(0, steps - 6, 25):
            gaps[start : start + 6, channel] = True
    holes = table.copy()
    holes[["load", "heat"]] = table[["load", "heat"]].mask(gaps)
    return table, holes, gaps


def digits(n=300, seed=0):
    rng = np.random.default_rng(seed)
    truth = (rng.uniform(size=(n, 3)) @ rng.uniform(size=(3, 64))).reshape(n, 8, 8)
    gaps = np.zeros(truth.shape, bool)
    for own, (top, left) in zip(gaps, rng.integers(0, 6, (n, 2)), strict=True):
        own[top : top + 3, left : left + 3] = True
    return truth, np.where(gaps, np.nan, truth), gaps


@pytest.fixture(scope="module")
def of_loads():
    table, holes, gaps = loads()
    return attar.Imputer(random_state=0).fit(attar.Series(holes, time="hour")), table, holes, gaps


@pytest.fixture(scope="module")
def of_digits():
    truth, holes, gaps = digits()
    return attar.Imputer(random_state=0).fit(holes), truth, holes, gaps


def test_a_process_is_what_its_covariances_say_in_every_way():
    rng = np.random.default_rng(0)
    part = rng.normal(size=(60, 2)).cumsum(0)
    process = StationaryGaussian.of([part - part.mean(0)], 9, 0.01)
    rows = part[:9] - part.mean(0)
    missing = np.zeros(rows.shape, bool)
    missing[3:5], missing[7, 1] = True, True
    c = process.covariance.numpy()
    cells = [(t, j) for t in range(9) for j in range(2)]
    joint = np.array(
        [[c[u - t, i, j] if u >= t else c[t - u, j, i] for u, j in cells] for t, i in cells]
    )
    joint += 0.01 * np.diag(np.diag(joint))
    m, o = np.flatnonzero(missing), np.flatnonzero(~missing)
    gain = joint[np.ix_(m, o)] @ np.linalg.inv(joint[np.ix_(o, o)])
    holes = np.where(missing, np.nan, rows)
    # Cells in the middle third of a window are given all of it.
    mean, variance = process(holes)
    inner = np.array([k for k, at in enumerate(m) if 3 <= cells[at][0] < 6])
    np.testing.assert_allclose(mean.ravel()[m[inner]], (gain @ rows.ravel()[o])[inner])
    rest = np.diag(joint[np.ix_(m, m)] - gain @ joint[np.ix_(o, m)])
    np.testing.assert_allclose(variance.ravel()[m[inner]], rest[inner])
    drawn = np.array(
        [process.drawn(holes, torch.Generator().manual_seed(i))[3:5].ravel() for i in range(500)]
    )
    spread = (joint[np.ix_(m, m)] - gain @ joint[np.ix_(o, m)])[np.ix_(inner, inner)]
    error = (2 / 500) ** 0.5 * spread.max()  # of a variance
    np.testing.assert_allclose(np.cov(drawn.T), spread, atol=4 * error)


def test_gaps_of_an_autoregression_are_bridged_as_in_closed_form():
    truth = autoregressive(3000)
    holes = truth.copy()
    starts = np.arange(20, 2980, 20)
    holes[starts] = np.nan
    filled = attar.Imputer(random_state=0).fit_transform(attar.Series(holes[None, :, None]))[
        0, :, 0
    ]
    bridge = 0.9 * (truth[starts - 1] + truth[starts + 1]) / (1 + 0.81)
    assert np.std(filled[starts] - bridge) < 0.06 * np.std(truth)
    known = np.setdiff1d(np.arange(3000), starts)
    np.testing.assert_array_equal(filled[known], truth[known])


def test_a_sinusoid_is_recovered_in_long_gaps():
    truth = np.sin(2 * np.pi * np.arange(2000) / 37)
    holes = truth.copy()
    for start in range(100, 1900, 150):
        holes[start : start + 20] = np.nan
    filled = attar.Imputer(random_state=0).fit_transform(attar.Series(holes[None]))[0]
    assert np.abs(filled - truth).max() < 0.05


def test_series_keep_what_is_known_and_are_filled_from_all_channels(of_loads):
    imputer, table, holes, gaps = of_loads
    filled = imputer.transform(holes)
    values, truth = filled[["load", "heat"]].to_numpy(), table[["load", "heat"]].to_numpy()
    assert not filled.isna().to_numpy().any()
    np.testing.assert_array_equal(values[~gaps], truth[~gaps])
    pd.testing.assert_series_equal(filled["hour"], table["hour"])
    # What load says of heat has an error of 1, of 30 that heat varies by.
    alone = gaps[:, 1] & ~gaps[:, 0]
    assert np.std((values - truth)[alone, 1]) < 1.6
    assert imputer.errors_["column"].tolist() == ["load", "heat"]
    np.testing.assert_allclose(imputer.errors_["share"], gaps.mean(0))
    shuffled = holes.sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(imputer.transform(shuffled).sort_index(), filled)


def test_intervals_and_draws_of_series_are_as_wide_as_errors(of_loads):
    imputer, _, _, _ = of_loads
    table, holes, gaps = loads(2500, seed=5)
    found = imputer.uncertainty(holes)
    truth = table.to_numpy()[found["row"], table.columns.get_indexer(found["column"])]
    inside = (found["low"] <= truth.astype(float)) & (truth.astype(float) <= found["high"])
    assert len(found) == gaps.sum()
    assert abs(inside.mean() - 0.9) < 0.06
    drawn = [one["load"].to_numpy()[gaps[:, 0]] for one in imputer.impute_many(holes, 6)]
    error = (imputer.transform(holes)["load"] - table["load"])[gaps[:, 0]]
    assert abs(np.std(drawn, 0, ddof=1).mean() / error.std() - 1) < 0.25


def test_pictures_of_low_rank_are_recovered(of_digits):
    imputer, truth, holes, gaps = of_digits
    filled = imputer.transform(holes)
    np.testing.assert_array_equal(filled[~gaps], truth[~gaps])
    assert np.median(np.abs(filled - truth)[gaps]) < 1e-3 * truth.std()
    new, new_holes, new_gaps = digits(50, seed=3)
    other = imputer.transform(new_holes)  # of other factors
    np.testing.assert_array_equal(other[~new_gaps], new[~new_gaps])
    assert other[new_gaps].max() <= np.nanmax(holes)


def test_pictures_of_integers_are_filled_by_integers_in_their_layout():
    rng = np.random.default_rng(0)
    base = rng.integers(0, 200, (400, 4, 4, 1))
    X = np.concatenate([base, base + 20], -1).astype(np.float32)
    holes = np.where(rng.random(X.shape) < 0.2, np.float32(np.nan), X)
    imputer = attar.Imputer(random_state=0).fit(holes)
    filled = imputer.transform(holes)
    assert filled.dtype == np.float32
    assert filled.shape == X.shape
    np.testing.assert_array_equal(filled, np.rint(filled))
    known = ~np.isnan(holes)
    np.testing.assert_array_equal(filled[known], X[known])
    other = ~known & known[..., ::-1]  # where the other channel is known
    assert np.abs(filled - X)[other].mean() < 5


def test_intervals_and_draws_of_pictures_are_as_wide_as_errors():
    rng = np.random.default_rng(0)
    smooth = rng.normal(size=(1500, 4)) @ rng.normal(size=(4, 36)) + rng.normal(0, 1, (1500, 36))
    truth = smooth.reshape(-1, 6, 6)
    gaps = rng.random(truth.shape) < 0.2
    holes = np.where(gaps, np.nan, truth)
    imputer = attar.Imputer(random_state=0).fit(holes[:1000])
    found = imputer.uncertainty(holes[1000:])
    value = truth[1000:][gaps[1000:]]
    inside = (found["low"].astype(float) <= value) & (value <= found["high"].astype(float))
    assert abs(inside.mean() - 0.9) < 0.04
    error = (imputer.transform(holes[1000:]) - truth[1000:])[gaps[1000:]]
    drawn = [one[gaps[1000:]] for one in imputer.impute_many(holes[1000:], 6)]
    assert abs(np.std(drawn, 0, ddof=1).mean() / error.std() - 1) < 0.15


@pytest.mark.parametrize("form", ["of_loads", "of_digits"])
def test_a_file_of_other_forms_fills_alike(form, request, tmp_path):
    imputer, _, holes, _ = request.getfixturevalue(form)
    imputer.save(tmp_path / "g.attar")
    again = attar.Imputer.load(tmp_path / "g.attar")
    pd.testing.assert_frame_equal(again.errors_, imputer.errors_)
    for one, other in zip(again.impute_many(holes, 2), imputer.impute_many(holes, 2), strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
    np.testing.assert_array_equal(
        np.asarray(again.transform(holes)), np.asarray(imputer.transform(holes))
    )


def test_what_cannot_be_filled_in_series_and_pictures_is_said(of_loads, of_digits, tmp_path):
    imputer, table, holes, _ = of_loads
    with pytest.warns(attar.AttarWarning, match="no missing cell"):
        pd.testing.assert_frame_equal(imputer.transform(table), table)
    with pytest.warns(attar.AttarWarning, match="'none' is not used, as all of its values"):
        again = attar.Imputer(random_state=0).fit(
            attar.Series(holes.head(300).assign(none=np.nan, one=7), time="hour")
        )
    gap = np.arange(300) % 7 == 0
    constant = np.where(gap, np.nan, 7)
    filled = again.transform(holes.head(300).assign(none=np.nan, one=constant))
    np.testing.assert_allclose(filled["one"], 7)
    assert filled["none"].isna().all()
    assert not filled.drop(columns="none").isna().to_numpy().any()
    with pytest.raises(DataError, match="needs 20 at least"):
        attar.Imputer().fit(attar.Series(np.ones((1, 9))))
    with pytest.raises(SettingError, match="columns is for tables"):
        attar.Imputer(columns={"load": "number"}).fit(attar.Series(holes, time="hour"))
    imputer, _, pictures, _ = of_digits
    with pytest.raises(DataError, match="resize them"):
        imputer.transform(np.zeros((3, 9, 9)))
    empty = np.concatenate([pictures[:2], np.full((1, 8, 8), np.nan)])
    with pytest.warns(attar.AttarWarning, match="1 pictures have no known pixel"):
        assert not np.isnan(imputer.transform(empty)).any()
    with pytest.raises(DataError, match="up to 4,096 values"):
        attar.Imputer().fit(np.zeros((20, 65, 65)))
    from PIL import Image

    for i in range(12):
        Image.fromarray(np.full((8, 8), i, np.uint8)).save(tmp_path / f"{i}.png")
    with pytest.raises(DataError, match="give an array"):
        attar.Imputer().fit(Pictures(tmp_path))


def test_series_and_pictures_are_filled_from_the_shell(tmp_path):
    holes = loads(400)[1]
    holes.to_csv(tmp_path / "holes.csv", index=False, float_format="%.3f")
    np.save(tmp_path / "p.npy", digits(60)[1])
    for source, options in (("holes.csv", ["--time", "hour"]), ("p.npy", [])):
        words = ["fit", str(tmp_path / source), "--for", "gaps", "-o", str(tmp_path / "g.attar")]
        done = CliRunner().invoke(app, [*words, *options])
        assert done.exit_code == 0, done.output
        full = tmp_path / f"full{source}"
        words = ["impute", str(tmp_path / "g.attar"), str(tmp_path / source), "-o", str(full)]
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, done.output
    before, after = (
        [line.split(",") for line in (tmp_path / name).read_text().splitlines()]
        for name in ("holes.csv", "fullholes.csv")
    )
    for one, other in zip(before, after, strict=True):
        assert all(b and (a in ("", b)) for a, b in zip(one, other, strict=True))
    pictures, filled = np.load(tmp_path / "p.npy"), np.load(tmp_path / "fullp.npy")
    known = ~np.isnan(pictures)
    assert not np.isnan(filled).any()
    np.testing.assert_array_equal(filled[known], pictures[known])
