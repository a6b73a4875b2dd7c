"""Imputer fills gaps with what is true, leaves all else as it is, and says how sure it is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from scipy import sparse

import attar
from attar.errors import DataError, ModelFileError, SettingError
from attar.tasks.gaps import lookup
from attar.tasks.gaps.filled import Filled, posterior

N = 400


def flats(n=N, seed=0):
    rng = np.random.default_rng(seed)
    size, town = rng.uniform(20, 150, n).round(1), rng.integers(0, 3, n)
    return pd.DataFrame(
        {
            "size": size,
            "rooms": (size // 25).astype(int),
            "town": np.array(["Bonn", "Hof", "Kiel"])[town],
            "large": size > 85,
            "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(size.astype(int), unit="D"),
            "rent": size * (8 + 4 * town) + rng.normal(0, 20, n),
        },
        index=pd.Index(np.arange(n) * 2, name="flat"),
    )


def holes_in(frame, share=0.15, seed=1):
    hidden = np.random.default_rng(seed).random(frame.shape) < share
    holes = frame.convert_dtypes().mask(hidden)
    return holes.astype({"town": "category"}), hidden


@pytest.fixture(scope="module")
def fitted():
    holes, hidden = holes_in(flats())
    return attar.Imputer(random_state=0).fit(holes), holes, hidden


@pytest.fixture
def briefly(monkeypatch):
    """Let lookups learn for two steps, where it does not matter how good they are."""
    monkeypatch.setattr(lookup, "STEPS", 2)


def test_known_cells_dtypes_and_index_stay_and_no_gap_is_left(fitted):
    imputer, holes, hidden = fitted
    filled = imputer.transform(holes)
    pd.testing.assert_series_equal(filled.dtypes, holes.dtypes)
    pd.testing.assert_index_equal(filled.index, holes.index)
    assert not filled.isna().to_numpy().any()
    pd.testing.assert_frame_equal(filled.mask(hidden), holes.mask(hidden))
    assert holes.isna().to_numpy().sum() == hidden.sum()  # X itself is not touched


def test_filled_cells_are_near_the_truth(fitted):
    imputer, _, _ = fitted
    new = flats(seed=7)
    holes, hidden = holes_in(new, seed=8)
    filled = imputer.transform(holes)
    gap = dict(zip(new.columns, hidden.T, strict=True))
    error = {c: (filled[c] - new[c])[gap[c]].astype(float) for c in ("size", "rooms", "rent")}
    assert error["size"].std() < 0.3 * new["size"].std()
    assert error["rent"].std() < 0.4 * new["rent"].std()
    assert (filled["town"].astype(str) == new["town"])[gap["town"]].mean() > 0.6
    assert (filled["large"] == new["large"])[gap["large"]].mean() > 0.9
    days = (filled["day"] - new["day"])[gap["day"]].dt.days.abs()
    assert days.median() <= 6
    assert imputer.errors_["share"].between(0.1, 0.2).all()
    assert imputer.errors_["error"].between(0, 0.5).all()


def test_a_column_without_any_value_in_new_rows_is_filled_in_the_dtype_of_the_fit(fitted):
    imputer, holes, _ = fitted
    new = holes.head(5).assign(town=np.nan, rent=None)
    filled = imputer.transform(new)
    assert filled["town"].isin(["Bonn", "Hof", "Kiel"]).all()
    assert filled["rent"].dtype == holes["rent"].dtype
    assert not filled.isna().to_numpy().any()


def test_intervals_have_their_probability(fitted):
    imputer, _, _ = fitted
    new = flats(4000, seed=9).drop(columns=["day"]).assign(day=pd.NaT)[flats(2).columns]
    holes, _ = holes_in(new.astype({"day": "datetime64[us]"}), seed=10)
    found = imputer.uncertainty(holes)
    assert found["row"].is_monotonic_increasing
    numbers = found[found["column"] == "rent"]
    truth = new["rent"].to_numpy()[numbers["row"]]
    inside = (numbers["low"].astype(float) <= truth) & (truth <= numbers["high"].astype(float))
    assert 0.8 < inside.mean() < 0.97
    towns = found[found["column"] == "town"]
    right = towns["value"].to_numpy() == new["town"].to_numpy()[towns["row"]]
    assert abs(right.mean() - towns["probability"].mean()) < 0.12
    assert (numbers["probability"] == 0.9).all()
    assert towns["low"].isna().all()


def test_a_file_fills_alike(fitted, tmp_path):
    imputer, holes, _ = fitted
    imputer.save(tmp_path / "g.attar")
    again = attar.Imputer.load(tmp_path / "g.attar")
    pd.testing.assert_frame_equal(again.transform(holes), imputer.transform(holes))
    pd.testing.assert_frame_equal(again.errors_, imputer.errors_)
    for one, other in zip(again.impute_many(holes, 2), imputer.impute_many(holes, 2), strict=True):
        pd.testing.assert_frame_equal(one, other)
    with pytest.raises(ModelFileError, match=r"open it with attar\.Imputer\.load"):
        attar.Autoencoder.load(tmp_path / "g.attar")
    with pytest.raises(ModelFileError, match="no AnomalyDetector"):
        attar.AnomalyDetector.load(tmp_path / "g.attar")
    attar.AnomalyDetector().fit(np.random.default_rng(0).normal(size=(120, 2))).save(tmp_path / "a")
    with pytest.raises(ModelFileError, match="holds no Imputer"):
        attar.Imputer.load(tmp_path / "a")


@pytest.mark.parametrize("form", [pl.from_pandas, pa.Table.from_pandas])
def test_tables_of_other_libraries_come_back_as_they_are(form, briefly):
    frame = flats(60).reset_index(drop=True)
    hidden = np.random.default_rng(0).random(frame.shape) < 0.1
    holes = form(frame.astype({"rooms": "Int64", "large": "boolean"}).mask(hidden))
    filled = attar.Imputer(random_state=0).fit_transform(holes)
    assert type(filled) is type(holes)
    assert filled.schema == holes.schema
    before, after = (x.to_arrow() if hasattr(x, "to_arrow") else x for x in (holes, filled))
    for one, other in zip(before.columns, after.columns, strict=True):
        assert other.null_count == 0
        pairs = zip(one.to_pylist(), other.to_pylist(), strict=True)
        assert all(a == b for a, b in pairs if a is not None)


def test_arrays_keep_their_dtype_and_bits():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 1))
    X = np.concatenate([x, 2 * x, x + rng.normal(0, 0.1, (200, 1))], 1).astype(np.float32)
    holes = np.where(rng.random(X.shape) < 0.1, np.float32(np.nan), X)
    filled = attar.Imputer(random_state=0).fit_transform(holes)
    assert filled.dtype == np.float32
    known = ~np.isnan(holes)
    np.testing.assert_array_equal(filled[known], holes[known])
    assert np.abs(filled - X)[~known].mean() < 0.25


def test_what_cannot_be_filled_is_said(briefly):
    X = np.random.default_rng(0).normal(size=(40, 3))
    with pytest.warns(attar.AttarWarning, match="no missing cell that was learned: a copy"):
        filled = attar.Imputer(random_state=0).fit_transform(X)
    np.testing.assert_array_equal(filled, X)
    assert filled is not X
    X[:, 1] = np.nan
    X[3, 0] = np.nan
    with pytest.warns(attar.AttarWarning, match="'x1' is not used, as all of its values are miss"):
        filled = attar.Imputer(random_state=0).fit_transform(X)
    assert np.isnan(filled).sum(0).tolist() == [0, 40, 0]
    with pytest.raises(DataError, match="takes tables, series and images, not sparse"):
        attar.Imputer().fit(sparse.eye_array(20, format="csr"))


def test_settings_out_of_range_are_refused(fitted):
    imputer, holes, _ = fitted
    with pytest.raises(SettingError, match="level of an interval"):
        imputer.uncertainty(holes, level=1.0)
    with pytest.raises(SettingError, match="n_imputations"):
        imputer.impute_many(holes, 0)
    with pytest.raises(SettingError, match="recipe"):
        attar.Imputer("denosing").fit(holes)


def test_pooled_estimates_are_rubins():
    found = attar.Imputer.pool([[1.0, 2.0], [3.0, 2.0]], [[1.0, 4.0], [2.0, 4.0]])
    np.testing.assert_allclose(found.estimate, [2, 2])
    np.testing.assert_allclose(found.error**2, [1.5 + 1.5 * 2, 4])
    np.testing.assert_allclose(found.degrees, [(1 + 1.5 / 3) ** 2, np.inf])
    low, high = found.interval()
    np.testing.assert_allclose((high - low)[1], 2 * 1.959964 * 2, rtol=1e-6)
    with pytest.raises(SettingError, match="two or more imputations"):
        attar.Imputer.pool([1.0], [1.0])


def test_draws_keep_slope_and_noise_where_gaps_depend_on_another_column():
    rng = np.random.default_rng(4)
    x = rng.normal(size=600)
    y = 1 + 2 * x + rng.normal(size=600)
    holes = np.stack([x, np.where(rng.random(600) < 1 / (1 + np.exp(-2 * x)), np.nan, y)], 1)
    imputer = attar.Imputer(random_state=0).fit(holes)
    gap, slopes, noise = np.isnan(holes[:, 1]), [], []
    for drawn in imputer.impute_many(holes, 6):
        slope, start = np.polyfit(drawn[gap, 0], drawn[gap, 1], 1)
        slopes.append(slope)
        noise.append(np.std(drawn[gap, 1] - start - slope * drawn[gap, 0]))
    assert abs(np.mean(slopes) - 2) < 0.2
    assert abs(np.mean(noise) - 1) < 0.15
    expected = imputer.transform(holes)[gap, 1]
    assert np.std(expected - 1 - 2 * x[gap]) < 0.5  # while a mean has no noise


def test_a_regression_has_the_moments_of_its_posterior():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    X[:, 2] = 1 + X[:, 0] - 2 * X[:, 1] + 0.5 * rng.normal(size=60)
    features, generator = torch.from_numpy(X).float(), torch.Generator().manual_seed(0)
    rows = Filled(features, torch.ones(60, 3), tuple(slice(i, i + 1) for i in range(3)))
    drawn = [posterior(rows, features, 2, generator) for _ in range(1000)]
    coefficients = np.stack([b[:, 0].numpy() for b, _ in drawn])
    A = np.column_stack([np.ones(60), X[:, :2]])
    found, squares, *_ = np.linalg.lstsq(A, X[:, 2], rcond=None)
    variance = squares[0] / (60 - 3 - 2)  # the mean of the inverse chi^2
    covariance = variance * np.linalg.inv(A.T @ A)
    error = np.sqrt(np.diag(covariance) / 1000)
    assert (np.abs(coefficients.mean(0) - found) < 4 * error).all()
    np.testing.assert_allclose(np.cov(coefficients.T), covariance, atol=0.15 * covariance.max())
    rest = np.mean([float(r.square().mean()) for _, r in drawn])
    assert abs(rest / variance - 1) < 4 * np.sqrt(2 / 57 / 1000)


def least_squares(rows):
    x = np.column_stack([np.ones(len(rows)), rows[:, :-1]])
    found, squares, *_ = np.linalg.lstsq(x, rows[:, -1], rcond=None)
    return found, squares[0] / (len(x) - x.shape[1]) * np.diag(np.linalg.inv(x.T @ x))


def chained(holes, rng):
    """Bayesian linear chained equations: mice's norm."""
    missing, rows = np.isnan(holes), np.where(np.isnan(holes), np.nanmean(holes, 0), holes)
    for _ in range(10):
        for j in np.flatnonzero(missing.any(0)):
            x, gap = np.column_stack([np.ones(len(rows)), np.delete(rows, j, 1)]), missing[:, j]
            spread = np.linalg.inv(x[~gap].T @ x[~gap])
            found = spread @ x[~gap].T @ rows[~gap, j]
            rest = ((rows[~gap, j] - x[~gap] @ found) ** 2).sum()
            variance = rest / rng.chisquare((~gap).sum() - x.shape[1])
            found += np.linalg.cholesky(spread * variance) @ rng.normal(size=len(found))
            rows[gap, j] = x[gap] @ found + rng.normal(size=gap.sum()) * variance**0.5
    return rows


def test_pooled_regressions_are_those_of_bayesian_chained_equations():
    rng = np.random.default_rng(0)
    x = rng.multivariate_normal([0, 0], [[1, 0.5], [0.5, 1]], 400)
    y = 1 + x @ [1, -0.5] + rng.normal(size=400)
    holes = np.column_stack([x, y])
    for j, sign in enumerate((1, -1)):
        holes[rng.random(400) < 1 / (1 + np.exp(1 - sign * y)), j] = np.nan
    imputer = attar.Imputer(None, random_state=0).fit(holes)
    ours, theirs = imputer.impute_many(holes, 20), [chained(holes, rng) for _ in range(60)]
    one, other = (
        attar.Imputer.pool(*zip(*map(least_squares, x), strict=True)) for x in (ours, theirs)
    )
    assert (np.abs(one.estimate - other.estimate) < 0.4 * other.error).all()
    np.testing.assert_allclose(one.error, other.error, rtol=0.3)


@pytest.mark.parametrize("why", ["itself", "another"])
def test_values_missing_because_of_what_they_are_are_tilted(why):
    rng = np.random.default_rng(0)
    X = rng.multivariate_normal(np.zeros(4), 0.5 + 0.5 * np.eye(4), 600)
    X[:, 3] = X[:, 3] > 0
    cause = X[:, 0] if why == "itself" else X[:, 1]
    gap = rng.random(600) < 1 / (1 + np.exp(0.8 - 1.2 * cause))
    holes = X.copy()
    holes[gap, 0] = np.nan
    imputer = attar.Imputer(None, mask_model=True, random_state=0).fit(holes)
    truth, known = X[:, 0].mean(), np.nanmean(holes[:, 0])
    filled = imputer.transform(holes)[:, 0].mean()
    drawn = np.mean([one[:, 0].mean() for one in imputer.impute_many(holes, 5)])
    for found in (filled, drawn):
        assert abs(found - truth) < 0.3 * abs(known - truth)


def test_levels_that_are_missing_because_of_what_they_are_are_tilted():
    rng = np.random.default_rng(1)
    level, noise = rng.random(900) < 0.5, rng.normal(size=(900, 3))
    X = pd.DataFrame(level[:, None] + noise * [1, 2, 3], columns=list("xyz")).assign(level=level)
    gap = rng.random(900) < np.where(level, 0.6, 0.15)
    holes = X.assign(level=X["level"].astype("boolean").mask(gap))
    imputer = attar.Imputer(None, mask_model=True, random_state=0).fit(holes)
    drawn = np.mean([one["level"][gap].mean() for one in imputer.impute_many(holes, 2)])
    known, truth = holes["level"].mean(), X["level"][gap].mean()
    assert abs(drawn - truth) < 0.3 * abs(known - truth)
    imputer = attar.Imputer(None, random_state=0).fit(holes)
    plain = np.mean([one["level"][gap].mean() for one in imputer.impute_many(holes, 2)])
    assert abs(plain - truth) > 0.5 * abs(known - truth)
