"""The page of a detector says what the detector does."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import attar
from attar.errors import SettingError
from attar.reporting import svg
from attar.reporting.images import heat

N = 300


def rows(n, seed):
    rng = np.random.default_rng(seed)
    age = rng.integers(18, 70, n)
    frame = pd.DataFrame({"age": age, "pay": 1000 + 50.0 * age + rng.normal(0, 60, n)})
    frame["job"] = rng.choice(["clerk", "cook"], n)
    frame["since"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 300, n), "D")
    return frame


@pytest.fixture(scope="module")
def detector():
    return attar.AnomalyDetector(random_state=0, false_alarms=0.05).fit(rows(N, 0))


def words(element):
    return " ".join("".join(element.itertext()).split())


def marked(page):
    """Return what is marked in each row of the table of odd ones, and what is below."""
    table = next(e for e in page.iter("div") if e.get("aria-label") == "Oddest rows")
    found = {}
    for row in list(table.iter("tr"))[1:]:
        cells = [list(cell) for cell in row if len(cell) == 2]
        found[words(row[0])] = {words(a): (a.get("style"), words(b)) for a, b in cells}
    return found


def test_an_odd_row_has_its_unlikely_cell_marked_with_the_interval(page, detector):
    new = rows(200, 1)
    new.loc[7, "pay"] = 9000.0
    tree = page(detector, new)
    style, interval = marked(tree)["row 7"]["9000"]
    assert "--above" in style
    low, high = (float(text) for text in interval.split(" to "))
    assert low < 1000 + 50 * new["age"][7] < high
    text = words(tree)
    assert "attar report on 200 rows" in text
    flagged = (detector.predict(new) == -1).sum()
    assert f"flagged: {flagged:,} rows" in text
    assert f"Scores beyond {-detector.offset_:.3g} nats are flagged" in text


def test_moved_columns_are_found_and_usual_rows_are_not(page, detector):
    assert "no drift is found" in words(page(detector, rows(200, 2)))
    moved = words(page(detector, rows(200, 3).assign(job="cook")))
    assert re.search("do not come from where those of the fit came: job moved", moved)


def test_categories_and_dates_have_their_own_words(page):
    frame = rows(N, 4)
    frame["job"] = np.where(frame["pay"] > 3000, "cook", "clerk")
    detector = attar.AnomalyDetector(random_state=0, false_alarms=0.05).fit(frame)
    new = rows(60, 5)
    new["job"] = np.where(new["pay"] > 3000, "cook", "clerk")
    new.loc[5, ["age", "pay", "job"]] = [20, 2000.0, "cook"]
    new.loc[6, "since"] = pd.Timestamp("2031-05-01")
    found = marked(page(detector, new))
    assert found["row 5"]["cook"][1] == "clerk"
    assert "--another" in found["row 5"]["cook"][0]
    assert re.fullmatch(r"202\d-\d\d-\d\d to 202\d-\d\d-\d\d", found["row 6"]["2031-05-01"][1])


def test_an_odd_image_has_a_map_with_its_spoilt_pixels(page):
    rng = np.random.default_rng(0)
    images = np.rint(100 + 20 * rng.normal(size=(120, 1, 8)) * np.ones((1, 6, 1))).astype("uint8")
    detector = attar.AnomalyDetector(random_state=0, false_alarms=0.05).fit(images)
    new = images[:30].copy()
    new[3, 4, 6] = 250
    tree = page(detector, new)
    descriptions = [image.get("alt") for image in tree.iter("img")]
    assert descriptions[:3] == ["row 3, original", "row 3, expected", "row 3, where it is odd"]
    nats = detector.anomaly_maps(new[3:4]).nats[0]
    pixels = heat(nats)
    assert pixels[np.unravel_index(nats.argmax(), nats.shape)][3] == 255
    assert not pixels[nats <= 0][:, 3].any()


def test_an_odd_row_of_counts_has_its_unlikely_cells_listed(page):
    counts = np.random.default_rng(0).poisson(np.linspace(0.1, 2, 30), (150, 30))
    detector = attar.AnomalyDetector(random_state=0, false_alarms=0.05).fit(
        sparse.csr_array(counts)
    )
    counts[4, 1] = 20
    tree = page(detector, sparse.csr_array(counts[:50]))
    table = next(e for e in tree.iter("div") if e.get("aria-label") == "Oddest rows")
    first = list(table.iter("tr"))[1]
    assert words(first).startswith("row 4")
    assert "column 1 = 20, expected 0." in words(first)
    assert "sparse rows of 30 columns" in words(tree)


def test_an_odd_line_has_its_rare_words_marked(page, tmp_path):
    rng = np.random.default_rng(0)
    lines = [f"Job {rng.integers(999)} of {who} sent" for who in rng.choice(["anna", "ben"], 200)]
    detector = attar.AnomalyDetector(random_state=0).fit(lines)
    path = tmp_path / "new.log"
    new = ["Job 7 of <b>anna</b> sent", "Disk 3 failed: no space", "x" * 5000]
    path.write_text("\n".join([*lines[:50], *new]))
    tree = page(detector, path)
    table = next(e for e in tree.iter("div") if e.get("aria-label") == "Oddest lines")
    rows = {words(row[0]): row for row in list(table.iter("tr"))[1:]}
    scores = -detector.score_samples(path)
    shown = list(rows)[:3]
    assert shown == [f"row {place}" for place in np.argsort(-scores, kind="stable")[:3]]
    score, p, line = (words(cell) for cell in rows["row 51"][1:])
    assert float(score) == pytest.approx(scores[51], rel=0.01)
    assert float(p) == pytest.approx(detector.predict_pvalues(path)[51], rel=0.01)
    assert line == new[1]
    marks = [words(mark) for mark in rows["row 51"].iter("mark")]
    assert marks == ["Disk", "failed", "no", "space"]
    assert [words(mark) for mark in rows["row 50"].iter("mark")] == ["b", "b"]
    assert words(rows["row 52"]).endswith("x…")
    assert len(words(rows["row 52"])) < 700
    assert "attar report on 53 lines" in words(tree)


def test_bars_are_shares_and_flagged_ones_are_beyond_the_limit():
    rng = np.random.default_rng(0)
    scores, usual = rng.exponential(2, 500), rng.exponential(1, 400)
    figure = svg.score_histogram(scores, usual, 3.0)
    bars = [e for e in figure.iter("rect") if "bar" in (e.get("class") or "")]
    tones = [bar.get("class").split()[1] for bar in bars]
    assert tones == sorted(tones, reverse=True)  # first, the flagged, after second
    heights = {
        tone: sum(float(b.get("height")) for b in bars if tone in b.get("class"))
        for tone in ("first", "second")
    }
    share = heights["first"] / sum(heights.values())
    assert share == pytest.approx((scores > 3).mean(), abs=0.02)
    assert "beyond the limit" in figure.get("aria-label")
    svg.score_histogram(scores, scores, np.inf)
    svg.score_tails(np.ones(3), np.ones(2), 1.0)


def test_labels_are_refused(detector, tmp_path):
    with pytest.raises(SettingError, match="no labels or condition"):
        attar.report(detector, rows(20, 6), tmp_path / "p.html", labels=np.zeros(20))


def test_odd_moments_are_drawn_with_what_was_expected(page):
    rng = np.random.default_rng(0)
    times = pd.date_range("2024-01-01", periods=1200, freq="h")
    frame = pd.DataFrame({"at": times, "load": np.sin(np.arange(1200) / 4)})
    frame["load"] += 0.1 * rng.normal(size=1200)
    frame.loc[900:905, "load"] += 3
    detector = attar.AnomalyDetector(random_state=0).fit(attar.Series(frame[:600], time="at"))
    tree = page(detector, frame[600:].reset_index(drop=True))
    assert "600 steps" in words(tree)
    grids = [e for e in tree.iter("div") if e.get("aria-label") in ("All steps", "Oddest moments")]
    assert [len(list(grid.iter("svg"))) for grid in grids] == [2, 2 * 3]
    assert "2024-02-07" in words(next(grids[1].iter("tr")))
    # What is marked are the flagged steps, of all and around the oddest one.
    marked = next(grids[0].iter("svg"))
    share = sum(float(e.get("width")) for e in marked.iter("rect")) / svg.CHART_WIDTH
    flagged = (detector.predict(frame[600:]) == -1).mean()
    assert 0 < flagged < 0.3
    assert share == pytest.approx(flagged, abs=0.02)
    value = next(grids[1].iter("svg"))
    assert [e.get("class") for e in value.iter("path")][-2:] == ["line faint", "line first"]
