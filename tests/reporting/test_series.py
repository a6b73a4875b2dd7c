"""Charts of series have the points of the windows."""

import re

import numpy as np
import pandas as pd
import pytest

import attar
from attar.data.series import Windows
from attar.reporting.scale import text_width
from attar.reporting.series import GAP, NARROWEST, TICK_SIZE, step_times
from attar.reporting.svg import CHART_WIDTH, ROOM


def lines(figure):
    return {e.get("class").split()[1]: e.get("d") for e in figure.iter("path")}


def heights(path):
    return np.array([float(place.split()[1]) for place in re.findall(r"[\d.]+ [\d.]+", path)])


@pytest.fixture(scope="module")
def frame():
    times = pd.date_range("2024-01-01", periods=240, freq="h")
    wave = np.sin(np.arange(240) * 2 * np.pi / 24)
    generator = np.random.default_rng(0)
    data = {"date": times, "load": 5 * wave + generator.normal(size=240), "heat": 20 - wave}
    frame = pd.DataFrame(data)
    frame.loc[7::20, "heat"] = np.nan
    return frame


@pytest.fixture(scope="module")
def model(fitted, frame):
    return fitted(attar.Series(frame, time="date", window=24, stride=5), code_size=2)


@pytest.fixture(scope="module")
def tree(page, model, frame):
    return page(model, frame)


def grids(tree):
    return [e for e in tree.iter("div") if e.get("class") == "scrolling charts"]


def test_windows_are_named_by_their_start_and_drawn_correctly(tree, model, frame):
    kind = model._fitted.kind
    rows, index = kind.rows(frame), kind.index(frame)
    predictor = model._fitted.predictor
    reconstructed = predictor.preparation.raw(predictor.decode(predictor.encode(rows)))
    starts = {str(start)[:16]: i for i, start in enumerate(index["start"])}
    head, *body = grids(tree)[0].find("table").findall("tr")
    names = [th[0].text for th in head.findall("th")]
    assert len(names) == 6
    windows = [starts[name] for name in names]
    errors = np.nanmean(
        (predictor.preparation.prepare(rows) - predictor.decode(predictor.encode(rows))) ** 2,
        axis=(1, 2),
    )
    assert (windows[0], windows[-1]) == (errors.argmin(), errors.argmax())
    assert [tr.find("th")[0].text for tr in body] == ["load", "heat"]
    for channel, tr in enumerate(body):
        for window, cell in zip(windows, tr.findall("td"), strict=True):
            drawn = lines(cell)
            known = ~np.isnan(rows[window, channel])
            both = [(drawn["faint"], rows[window, channel][known])]
            both.append((drawn["first"], reconstructed[window, channel]))
            for path, values in both:
                assert np.corrcoef(heights(path), values)[0, 1] < -0.99
                assert len(heights(path)) == len(values)


def test_missing_values_are_explained_where_there_are_any(tree, frame, page, fitted):
    assert "are predicted" in "".join(tree.itertext())
    whole = attar.Series(frame[["date", "load"]], time="date", window=24)
    other = page(fitted(whole, code_size=2), whole)
    assert "are predicted" not in "".join(other.itertext())
    assert other.find(".//h1").text == "windows of 24 steps in 2 latent dimensions"


def test_an_interpolation_starts_and_ends_at_the_reconstructions(tree, model, frame):
    kind, predictor = model._fitted.kind, model._fitted.predictor
    rows = kind.rows(frame)
    reconstructed = predictor.preparation.raw(predictor.decode(predictor.encode(rows)))
    starts = {str(start)[:16]: i for i, start in enumerate(kind.index(frame)["start"])}
    tables = [e for e in tree.iter("table") if e.get("class") == "interpolation"]
    assert len(tables) == 4
    for table in tables:
        ends = [starts[name] for name in table.find("caption").text.split(" → ")]
        for tr in table.findall("tr"):
            channel = ["load", "heat"].index(tr.find("th")[0].text)
            steps = tr.findall("td")
            assert len(steps) == 8
            for place, step in zip(ends, (steps[0], steps[-1]), strict=True):
                drawn = heights(lines(step)["first"])
                assert np.corrcoef(drawn, reconstructed[place, channel])[0, 1] < -0.99


def test_samples_are_windows(tree):
    grid = grids(tree)[-1].find("table")
    head, *body = grid.findall("tr")
    assert [th[0].text for th in head.findall("th")] == [f"sample {i}" for i in range(6)]
    for tr in body:
        assert all(len(heights(lines(cell)["first"])) == 24 for cell in tr.findall("td"))


def test_of_many_channels_those_with_the_largest_errors_are_drawn(page, fitted):
    series = np.random.default_rng(0).normal(size=(40, 10, 12)).cumsum(1)
    model = fitted(attar.Series(series), code_size=2)
    tree = page(model, attar.Series(series))
    predictor, rows = model.fitted_.predictor, model.evaluate_held_out(attar.Series(series)).rows
    residuals = predictor.decode(predictor.encode(rows)) - predictor.preparation.prepare(rows)
    worst = {f"x{j}" for j in residuals.square().mean((0, 2)).argsort(descending=True)[:8].tolist()}
    body = grids(tree)[0].find("table").findall("tr")[1:]
    assert {tr.find("th")[0].text for tr in body} == worst
    names = [th[0].text for th in grids(tree)[0].find("table").find("tr").findall("th")]
    assert all(re.fullmatch(r"series \d+", name) for name in names)


HOURS = pd.date_range("2024-02-27", periods=200, freq="h")


@pytest.mark.parametrize(
    "times",
    [
        HOURS,
        HOURS.tz_localize("Asia/Tehran"),
        HOURS.strftime("%Y-%m-%dT%H:%M:%S+03:30"),
        HOURS.to_period("h"),
        np.arange(200.0),
    ],
)
def test_times_are_those_of_the_first_and_last_step_even_where_they_are_absent(times):
    frame = pd.DataFrame({"time": times, "hour": np.arange(200.0)})
    kept = np.random.default_rng(0).random(200) < 0.6
    kept[1:] &= np.arange(1, 200) % 24 != 0
    kept[0] = True
    series = attar.Series(frame[kept], time="time", window=24, stride=5)
    kind, _ = Windows.of([series])
    rows, found = kind.rows(series), step_times(kind, series)
    assert np.isnan(rows[1:, 0, 0]).any()
    if found.dtype.kind == "M":
        found = (found - HOURS[0].to_datetime64()) / np.timedelta64(1, "h")
    expected = found[:, :1] + np.arange(24)
    known = ~np.isnan(rows[:, 0])
    assert np.allclose(rows[:, 0][known], expected[known])
    assert np.allclose(expected[:, -1], found[:, 1])


@pytest.mark.parametrize(
    ("data", "time"),
    [
        (np.zeros((3, 12)), None),
        (pd.DataFrame({"value": np.arange(30.0)}), None),
        (pd.DataFrame({"since": pd.to_timedelta(range(30), "h"), "value": 1.0}), "since"),
    ],
)
def test_steps_without_dates_have_no_times(data, time):
    series = attar.Series(data, time=time)
    kind, _ = Windows.of([series])
    assert step_times(kind, series) is None


def test_ticks_are_the_times_that_they_say_and_do_not_overlap(tree):
    table = grids(tree)[0].find("table")
    starts = [pd.Timestamp(th[0].text) for th in table.find("tr").findall("th")]
    axis = table.find("tfoot").find("tr")
    assert axis.find("th").text == "time"
    lines = [
        [e.get("class") for e in td.iter("path")].count("grid tick")
        for td in table.findall("tr")[1].findall("td")
    ]
    assert lines == [len(cell.find("div")) for cell in axis.findall("td")]
    for start, cell in zip(starts, axis.findall("td"), strict=True):
        end = 0.0
        assert len(cell.find("div")) >= 2
        for label in cell.find("div"):
            place, shift = re.findall(r"-?[\d.]+", label.get("style"))
            share = (float(place) / 100 * CHART_WIDTH - ROOM) / (CHART_WIDTH - 2 * ROOM)
            time = (start + pd.Timedelta(23 * share, "h")).round("h")
            midnight = time == time.normalize()
            assert label.text == (f"{time:%-d %b}" if midnight else f"{time:%H:%M}")
            width = text_width(label.text, TICK_SIZE)
            left = NARROWEST * float(place) / 100 + width * float(shift) / 100
            assert left >= end - 0.5
            end = left + width + GAP
        assert end - GAP <= NARROWEST + 0.5


def test_missing_values_are_shaded_and_not_bridged(tree, model, frame):
    kind = model._fitted.kind
    rows, index = kind.rows(frame), kind.index(frame)
    places = {str(start)[:16]: i for i, start in enumerate(index["start"])}
    table = grids(tree)[0].find("table")
    names = [th[0].text for th in table.find("tr").findall("th")]
    heat = table.findall("tr")[2]
    for name, cell in zip(names, heat.findall("td"), strict=True):
        missing = np.isnan(rows[places[name], 1])
        assert missing.any()
        runs = np.flatnonzero(np.diff(np.concatenate([[0], ~missing, [0]])) == 1)
        assert lines(cell)["faint"].count("M") == len(runs)
        assert lines(cell)["first"].count("M") == 1
        step = (CHART_WIDTH - 2 * ROOM) / 23
        shaded = np.zeros(24, bool)
        for gap in cell.iter("rect"):
            left = (float(gap.get("x")) - ROOM) / step
            right = left + float(gap.get("width")) / step
            shaded |= (np.arange(24) >= left - 0.01) & (np.arange(24) <= right + 0.01)
        assert np.array_equal(shaded, missing)
