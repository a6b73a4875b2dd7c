"""Forecaster: series go on in time, in the user's form, and what it promises holds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import attar
from attar.errors import DataError, ModelFileError, SettingError

N, H = 600, 24


def day(steps, phase=0):
    return np.sin(2 * np.pi * (np.arange(steps) + phase) / 24)


def table(steps=N, seed=0, scale=0.1):
    rng = np.random.default_rng(seed)
    hours = pd.date_range("2024-01-01", periods=steps, freq="h")
    load = 10 + day(steps) + scale * rng.normal(size=steps)
    heat = 5 - 2 * day(steps, 6) + scale * rng.normal(size=steps)
    return pd.DataFrame({"time": hours, "load": load, "heat": heat})


def series(frame):
    return attar.Series(frame, time="time", series="place" if "place" in frame else None)


@pytest.fixture(scope="module")
def fitted():
    return attar.Forecaster(H).fit(series(table()))


def test_the_future_is_forecast_as_it_comes(fitted):
    later = table(N + H, scale=0.0)
    found = fitted.predict()
    pd.testing.assert_frame_equal(found[["time"]], later[["time"]].iloc[N:].reset_index(drop=True))
    assert list(found.columns) == ["time", "load", "heat"]
    assert_allclose(found["load"], later["load"][N:], atol=0.15)
    assert_allclose(found["heat"], later["heat"][N:], atol=0.15)


def test_a_shorter_horizon_is_the_start_of_the_longer_one(fitted):
    pd.testing.assert_frame_equal(fitted.predict(horizon=5), fitted.predict()[:5])
    pd.testing.assert_frame_equal(fitted.predict(table()), fitted.predict())
    with pytest.raises(SettingError, match="fitted for 24 steps, and horizon=25 is more: fit it"):
        fitted.predict(horizon=25)


def test_intervals_hold_their_share_in_each_quarter(fitted):
    later = table(N + 1200, seed=1)
    found = fitted.backtest(later)
    assert found.actual.shape == (1200 - H + 1, H, 2)
    assert_allclose(found.actual[0, :, 0], later["load"][N : N + H])
    assert abs(found.covered.mean() - 0.9) < 0.02
    assert all(0.85 < part.mean() < 0.95 for part in np.array_split(found.covered, 4))
    scores = found.scores()
    assert list(scores.index) == ["load", "heat"]
    assert_allclose(scores["mse"]["load"], ((found.actual - found.forecast)[..., 0] ** 2).mean())
    assert_allclose(scores["mse"], 0.01, rtol=0.4)
    assert len(fitted.backtest(later, stride=50).actual) == -(-len(found.actual) // 50)


def test_a_backtest_forecasts_as_if_it_were_then(fitted):
    later = table(N + 100, seed=2)
    found = fitted.backtest(later)
    then = fitted.predict_interval(later[: N + 40])
    assert_allclose(found.forecast[40, :, 0], then["load"])
    assert_allclose(found.low[40, :, 1], then["heat_low"])
    assert_allclose(found.high[40, :, 1], then["heat_high"])


def test_intervals_learn_from_outcomes_and_the_weights_do_not(fitted):
    wild = table(N + 400, seed=3)
    wild.loc[N:, "load"] += np.random.default_rng(4).normal(size=400)
    before, after = fitted.predict_interval(), fitted.predict_interval(wild)
    widths = [(each["load_high"] - each["load_low"]).mean() for each in (before, after)]
    assert widths[1] > 2 * widths[0]


def test_quantiles_are_in_order_and_paths_are_between_them(fitted):
    found = fitted.predict_quantiles(quantiles=(0.9, 0.1, 0.5))
    assert list(found.columns[1:5]) == ["load", "load_0.9", "load_0.1", "load_0.5"]
    assert (found["load_0.1"] < found["load_0.5"]).all()
    assert (found["load_0.5"] < found["load_0.9"]).all()
    paths = attar.Forecaster(H, random_state=0).fit(series(table())).sample(300)
    assert_array_equal(paths["path"].unique(), np.arange(300))
    each = paths["load"].to_numpy().reshape(300, H)
    interval = fitted.predict_interval()
    inside = (each >= interval["load_low"].to_numpy()) & (each <= interval["load_high"].to_numpy())
    assert abs(inside.mean() - 0.9) < 0.03
    with pytest.raises(SettingError, match=r"Quantiles are in \(0, 1\), not \[1.0\]"):
        fitted.predict_quantiles(quantiles=[1.0])


def test_a_file_gives_equal_forecasts(fitted, tmp_path):
    fitted.save(tmp_path / "f.attar")
    again = attar.Forecaster.load(tmp_path / "f.attar")
    later = table(N + 50, seed=5)
    expected = fitted.predict_interval(later)
    pd.testing.assert_frame_equal(again.predict_interval(later), expected, rtol=1e-5)
    assert again.get_params() == fitted.get_params()
    pd.testing.assert_frame_equal(again.predict_interval(), fitted.predict_interval(), rtol=1e-5)
    with pytest.raises(ModelFileError, match=r"no AnomalyDetector: .* attar.Forecaster.load, or"):
        attar.AnomalyDetector.load(tmp_path / "f.attar")
    with pytest.raises(ModelFileError, match=r"no Autoencoder: open it with attar.Forecaster.load"):
        attar.Autoencoder.load(tmp_path / "f.attar")


def test_a_file_holds_the_last_steps_of_series(tmp_path):
    parts = [
        table(n, seed=n).assign(place=place, kind=kind, open=np.arange(n) % 24 > 8)
        for n, place, kind in ((200, "a", "x"), (300, "b", "y"), (260, "c", "x"))
    ]
    frame = pd.concat(parts, ignore_index=True).astype({"load": "float32"})
    frame.loc[195:199, "load"] = np.nan
    frame.loc[[480, 490], "heat"] = np.nan
    fitted = attar.Forecaster(H, history=30, known=["open"], static=["kind"]).fit(series(frame))
    fitted.save(tmp_path / "f.attar")
    again = attar.Forecaster.load(tmp_path / "f.attar")
    assert len(again.series_.last) < 3 * 45
    hours = pd.date_range("2024-01-01", periods=330, freq="h")
    ahead = pd.concat(
        pd.DataFrame({"time": hours[n:], "place": place, "open": np.arange(n, 330) % 24 > 8})
        for n, place in ((200, "a"), (300, "b"), (260, "c"))
    )
    with pytest.raises(DataError, match="Known-ahead columns are missing for 24 of 24 steps"):
        again.predict()
    whole = fitted.predict_interval(frame, future=ahead)
    pd.testing.assert_frame_equal(again.predict_interval(future=ahead), whole, rtol=1e-5)
    assert list(whole["kind"].unique()) == ["x", "y"]
    assert whole["open"].dtype == bool
    pd.testing.assert_series_equal(
        fitted.sample(2, future=ahead)["time"], fitted.sample(2, frame, future=ahead)["time"]
    )


def autoregressive(weight, steps, seed):
    rng = np.random.default_rng(seed)
    y = rng.normal(size=steps)
    for i in range(1, steps):
        y[i] += weight * y[i - 1]
    return y


def places(count, steps, weights, first=0):
    """Return hours of series of two kinds, whose steps follow each other in two ways."""
    hours = pd.date_range("2024-01-01", periods=steps, freq="h")
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "time": hours,
                    "place": f"p{i}",
                    "y": autoregressive(weights[i % 2], steps, i),
                    "kind": "ab"[i % 2],
                    "size": float(np.random.default_rng(i).normal()),
                }
            )
            for i in range(first, first + count)
        ],
        ignore_index=True,
    )


def test_static_columns_tell_the_dynamics_of_series_apart():
    now, new = places(12, 60, (0.9, -0.9)), places(40, 60, (0.9, -0.9), first=100)
    errors = {}
    for static in ((), ("kind",), ("kind", "size")):
        some = [c for c in now if c not in ("kind", "size") or c in static]
        fitted = attar.Forecaster(3, static=static).fit(series(now[some]))
        test = fitted.backtest(new[some])
        errors[static] = ((test.actual - test.forecast) ** 2).mean()
        assert (fitted.model_.grouping is not None) == bool(static)
    assert errors["kind",] < 0.87 * errors[()]
    assert errors["kind", "size"] < 0.87 * errors[()]


def test_static_columns_that_say_nothing_do_no_harm():
    now, new = places(12, 60, (0.5, 0.5)), places(40, 60, (0.5, 0.5), first=100)
    plain = attar.Forecaster(3).fit(series(now.drop(columns=["kind", "size"])))
    fitted = attar.Forecaster(3, static=["kind", "size"]).fit(series(now))
    assert fitted.model_.grouping is None
    assert_allclose(
        fitted.predict(new)["y"], plain.predict(new.drop(columns=["kind", "size"]))["y"]
    )


def test_effects_of_known_columns_depend_on_static_ones():
    def shops(steps, first, count):
        days = pd.date_range("2024-01-01", periods=steps)
        rng = np.random.default_rng(first)
        price = rng.normal(size=(count, steps))
        kinds = np.arange(count) % 2
        y = np.where(kinds[:, None], -3.0, 3.0) * price + rng.normal(size=(count, steps))
        return pd.concat(
            pd.DataFrame(
                {"time": days, "place": f"p{first + i}", "y": y[i], "price": price[i]}
            ).assign(kind="ab"[kinds[i]])
            for i in range(count)
        )

    now, new = shops(80, 0, 8), shops(80, 50, 8)
    fitted = attar.Forecaster(4, known=["price"], static=["kind"]).fit(series(now))
    assert fitted.model_.with_static
    test = fitted.backtest(new)
    assert ((test.actual - test.forecast) ** 2).mean() < 1.5
    plain = attar.Forecaster(4, known=["price"]).fit(series(now.drop(columns="kind")))
    test = plain.backtest(new.drop(columns="kind"))
    assert ((test.actual - test.forecast) ** 2).mean() > 8


def test_a_static_column_has_one_value_for_each_series():
    frame = places(4, 60, (0.5, 0.5))
    options = {"static": ["kind", "size"]}
    fitted = attar.Forecaster(3, **options).fit(series(frame))
    assert (fitted.predict()["kind"] == np.repeat(list("abab"), 3)).all()
    changed = frame.assign(kind=frame["kind"].where(frame.index != 70, "a"))
    with pytest.raises(
        DataError, match="Column 'kind' of the series p1 changes at 2024-01-01 10:00:00"
    ):
        attar.Forecaster(3, **options).fit(series(changed))
    new = places(2, 60, (0.5, 0.5), first=20).assign(kind=None)
    with pytest.raises(DataError, match="Column 'kind' of the series p20 has no value"):
        fitted.predict(new)
    with pytest.warns(attar.AttarWarning, match="'kind' has a level that the fit did not .* 'z'"):
        found = fitted.predict(new.assign(kind="z"))
    assert found["y"].notna().all()
    with pytest.raises(SettingError, match="'kind' is both known and static"):
        attar.Forecaster(3, known=["kind"], static=["kind"]).fit(series(frame))
    with pytest.raises(SettingError, match="no column named 'kin': did you mean 'kind'"):
        attar.Forecaster(3, static=["kin", "kind"]).fit(series(frame.drop(columns="size")))
    with pytest.raises(SettingError, match="static is for tables"):
        attar.Forecaster(3, static=["x0"]).fit(np.ones((2, 40)))


def test_known_columns_may_be_categories():
    days = pd.date_range("2023-01-01", periods=430)
    rng = np.random.default_rng(0)
    holiday = pd.Series(rng.choice(["Easter", "Whitsun", "none"], 430, p=[0.1, 0.1, 0.8]))
    holiday = holiday.where(holiday != "none", None)
    sale = rng.random(430) < 0.3
    effect = holiday.map({"Easter": 4.0, "Whitsun": -3.0}).fillna(0.0) + 2 * sale
    frame = pd.DataFrame({"time": days, "y": effect + 0.3 * rng.normal(size=430)})
    frame = frame.assign(holiday=holiday, sale=sale)
    now, later = frame[:400], frame[400:].reset_index(drop=True)
    fitted = attar.Forecaster(30, known=["holiday", "sale"]).fit(series(now))
    found = fitted.predict(future=later.drop(columns="y"))
    assert_allclose(found["y"], effect[400:], atol=0.7)
    pd.testing.assert_frame_equal(found[["holiday", "sale"]], later[["holiday", "sale"]])
    with pytest.warns(attar.AttarWarning, match="'holiday' has a level that .* 'Xmas': it counts"):
        new = fitted.predict(future=later.assign(y=np.nan, holiday="Xmas"))
    none = fitted.predict(future=later.assign(y=np.nan, holiday=None))
    assert_allclose(new["y"], none["y"])
    with pytest.raises(DataError, match="future lacks the known-ahead column 'sale'"):
        fitted.predict(future=later[["time", "holiday"]])
    with pytest.raises(DataError, match="missing for 10 of 30 steps, from 2024-02-25"):
        fitted.predict(future=later[["time", "holiday", "sale"]][:20])
    many = frame.assign(holiday=[f"h{i}" for i in range(430)])
    with pytest.raises(DataError, match="'holiday' has 430 levels, of at most 100"):
        attar.Forecaster(30, known=["holiday"]).fit(series(many))


def test_several_series_of_different_lengths_share_a_model_and_new_ones_are_forecast():
    parts = [
        table(n, seed=n).assign(place=place, load=lambda t, k=k: k * t["load"])
        for n, place, k in ((300, "a", 1.0), (450, "b", 10.0), (260, "c", 100.0))
    ]
    fitted = attar.Forecaster(H).fit(series(pd.concat(parts, ignore_index=True)))
    found = fitted.predict()
    assert found.columns[0] == "time"
    for part, k in zip(parts, (1.0, 10.0, 100.0), strict=True):
        own = found[found["place"] == part["place"][0]]
        assert own["time"].iloc[0] == part["time"].iloc[-1] + pd.Timedelta("1h")
        later = k * (10 + day(len(part) + H)[-H:])
        assert_allclose(own["load"], later, atol=0.25 * k)
    new = table(100, seed=9).assign(place="d", load=lambda t: 1000 * t["load"])
    assert_allclose(fitted.predict(new)["load"], 1000 * (10 + day(100 + H)[-H:]), atol=300)
    interval = fitted.predict_interval(new)
    assert (interval["load_high"] - interval["load_low"]).mean() > 100


def test_gaps_in_the_history_and_at_its_end(fitted):
    holes = table(scale=0.0)
    holes.loc[np.random.default_rng(0).random(N) < 0.1, "load"] = np.nan
    holes = holes.drop(index=[50, 51, 52, 300])
    found = attar.Forecaster(H).fit(series(holes)).predict()
    expected = table(N + H, scale=0.0)[N:]
    assert_allclose(found["load"], expected["load"], atol=0.2)
    # Where the end is missing, it is forecast first, and the horizon begins after it.
    late = table(scale=0.0)
    late.loc[N - 10 :, "load"] = np.nan
    assert_allclose(fitted.predict(late)["load"], expected["load"], atol=0.2)


@pytest.mark.parametrize(
    ("times", "after"),
    [
        (pd.date_range("2000-01-01", periods=60, freq="MS"), ["2005-01-01", "2005-02-01"]),
        (pd.date_range("2000-01-31", periods=60, freq="ME"), ["2005-01-31", "2005-02-28"]),
        (pd.bdate_range("2024-01-01", periods=60), ["2024-03-25", "2024-03-26"]),
        (pd.bdate_range("2024-01-01", periods=60).delete([7, 30]), ["2024-03-25", "2024-03-26"]),
        (
            pd.date_range("2024-03-30", periods=60, freq="h", tz="Europe/Berlin"),
            ["2024-04-01 13:00+02:00", "2024-04-01 14:00+02:00"],
        ),
        (pd.date_range("2024-01-01", periods=60).astype(str), ["2024-03-01", "2024-03-02"]),
        (
            pd.date_range("2024-01-01", periods=60, freq="h").strftime("%Y-%m-%dT%H:%M"),
            ["2024-01-03T12:00", "2024-01-03T13:00"],
        ),
        (pd.period_range("2000-01", periods=60, freq="M"), ["2005-01", "2005-02"]),
        (np.arange(60) * 5, [300, 305]),
        (np.arange(60) * 0.5, [30.0, 30.5]),
        (pd.to_timedelta(np.arange(60), unit="min"), ["0 days 01:00:00", "0 days 01:01:00"]),
    ],
    ids=lambda x: str(getattr(x, "dtype", "")),
)
def test_times_go_on_as_the_user_has_them(times, after):
    values = np.random.default_rng(0).normal(size=len(times))
    frame = pd.DataFrame({"t": times, "y": values})
    found = attar.Forecaster(2, history=3).fit(attar.Series(frame, time="t")).predict()
    assert list(found["t"].astype(str)) == list(
        pd.Series(after).astype(found["t"].dtype).astype(str)
    )
    assert found["t"].dtype == frame["t"].dtype


def test_an_index_of_dates_and_plain_rows_go_on():
    frame = table()[["load"]]
    rows = attar.Forecaster(3).fit(frame).predict()
    assert_array_equal(rows.index, [N, N + 1, N + 2])
    dated = frame.set_axis(table()["time"])["load"]
    found = attar.Forecaster(3).fit(dated).predict()
    assert found.index[0] == pd.Timestamp("2024-01-26 00:00")
    assert_allclose(found["load"], rows["load"], atol=0.2)


def test_arrays_are_series_of_equal_lengths():
    array = np.stack([table(200, seed=i)[["load", "heat"]].to_numpy() for i in range(5)])
    fitted = attar.Forecaster(6).fit(array)
    found = fitted.predict(array)
    assert found.shape == (5, 6, 2)
    assert_allclose(found[:, :, 0], np.tile(10 + day(206)[-6:], (5, 1)), atol=0.35)
    assert fitted.predict_interval(array).shape == (5, 6, 2, 2)
    assert fitted.sample(4, array).shape == (4, 5, 6, 2)
    one = attar.Forecaster(6).fit(array[..., 0])
    assert one.predict(array[:2, :, 0]).shape == (2, 6)
    assert one.n_features_in_ == 200


def priced(steps, seed=0):
    rng = np.random.default_rng(seed)
    frame = table(steps, seed)
    frame["price"] = rng.normal(size=steps)
    frame["load"] -= frame["price"]
    return frame


def test_what_is_known_ahead_is_used_and_must_be_given():
    frame = priced(N + H)
    now, later = frame[:N], frame[N:]
    fitted = attar.Forecaster(H, known=["price"]).fit(series(now))
    ahead = later.assign(load=np.nan, heat=np.nan)
    found = fitted.predict(pd.concat([now, ahead]))
    errors = found["load"] - later["load"].reset_index(drop=True)
    assert errors.std() < 0.2 < later["price"].std()
    assert_array_equal(found["price"], later["price"])
    again = fitted.predict(now, future=later[["time", "price"]])
    pd.testing.assert_frame_equal(again, found)
    with pytest.raises(DataError, match=r"missing for 24 of 24 .*2024-01-26 00:00:00 to .*'price'"):
        fitted.predict(now)
    some = ahead.assign(price=ahead["price"].where(ahead.index != N + 3))
    with pytest.raises(
        DataError, match=r"for 1 of 24 steps, from 2024-01-26 03:00:00 to 2024-01-26 03"
    ):
        fitted.predict(pd.concat([now, some]))
    with pytest.raises(SettingError, match="no column named 'prize': did you mean 'price'"):
        attar.Forecaster(H, known=["prize"]).fit(series(now))


def test_the_calendar_is_known_by_itself():
    days = pd.date_range("2021-01-01", periods=900)
    rng = np.random.default_rng(0)
    week = np.array([0, 0, 0, 0, 0, 5, 5])
    frame = pd.DataFrame({"time": days, "y": week[days.day_of_week] + rng.normal(size=900)})
    found = attar.Forecaster(14, history=3).fit(series(frame))
    assert found.model_.with_calendar
    future = found.predict()
    assert_allclose(future["y"], week[future["time"].dt.day_of_week], atol=1.0)


def test_bad_times_and_horizons_are_named(fitted):
    frame = table()
    with pytest.raises(
        DataError, match="horizon of 700 steps is longer than the series, whose lon"
    ):
        attar.Forecaster(700).fit(series(frame))
    with pytest.raises(DataError, match="history of 590 steps and a horizon of 24 are longer"):
        attar.Forecaster(H, history=590).fit(series(frame))
    twice = pd.concat([frame[:10], frame[9:]], ignore_index=True)
    with pytest.raises(DataError, match=r"rows 9 .* and 10 .* have the same time"):
        attar.Forecaster(H).fit(series(twice))
    mixed = frame.iloc[[*range(20), 21, 20, *range(22, N)]].reset_index(drop=True)
    with pytest.raises(
        DataError, match=r"do not increase: the row 21 \(2024-01-01 20:00:00\) comes"
    ):
        attar.Forecaster(H).fit(series(mixed))
    changed = pd.concat([frame[:300], frame[300::6]], ignore_index=True)
    with pytest.raises(
        DataError, match=r"changes its frequency at 2024-01-13 12:00:00: steps of 3600, and of 6"
    ):
        attar.Forecaster(5).fit(series(changed))
    with pytest.raises(
        DataError, match="step of the series is 86400, but the forecaster was fitted"
    ):
        fitted.predict(frame[::24])
    with pytest.raises(DataError, match="later steps, or others"):
        fitted.backtest(frame)
    with pytest.raises(SettingError, match="coverage is a share"):
        fitted.predict_interval(coverage=90)
    with pytest.raises(SettingError, match=r"of autoencoders: give Forecaster\(history"):
        attar.Forecaster(H).fit(attar.Series(frame, time="time", window=48))
    with pytest.raises(DataError, match="future is for tables"):
        fitted.predict(np.ones((2, N)), future=np.ones((2, H)))
    empty = frame.assign(load=np.nan, heat=np.nan)
    with pytest.raises(DataError, match="no values to forecast"):
        attar.Forecaster(H).fit(series(empty))


def test_a_past_that_was_learnt_is_warned_of(fitted):
    with pytest.warns(attar.AttarWarning, match="X ends before the series of the fit did, at 2024"):
        fitted.predict(table(500))


def test_a_channel_that_never_changes_stays_and_one_without_values_is_missing():
    frame = table().assign(heat=7.0, none=np.nan)
    found = attar.Forecaster(H).fit(series(frame)).predict()
    assert_allclose(found["heat"], 7.0)
    assert found["none"].isna().all()
    with pytest.warns(attar.AttarWarning, match="'heat' has no value in X"):
        attar.Forecaster(H).fit(series(table())).predict(table().assign(heat=np.nan))


@pytest.mark.filterwarnings("ignore:A horizon of:attar.AttarWarning")
def test_too_few_steps_to_hold_some_out_are_warned_of():
    with pytest.warns(attar.AttarWarning, match="leaves none of the series' 30 to judge"):
        attar.Forecaster(20).fit(series(table(30)))
