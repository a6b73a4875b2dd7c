"""Ticks are the numbers and dates that they say."""

import numpy as np
import pandas as pd
import pytest

from attar.reporting.scale import MONTHS, Scale, time_texts, time_ticks


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2016-07-01", "2018-06-26"),
        ("1931-05-05", "2023-01-01"),
        ("2024-02-27T15:00", "2024-03-02T14:00"),
        ("2023-12-30", "2024-01-20"),
        ("2024-01-01T22:10", "2024-01-02T01:00"),
        ("2024-01-01T22:10:05", "2024-01-01T22:10:41"),
        ("1969-12-30", "1970-01-03"),
        ("2024-01-01T00:00:00.100", "2024-01-01T00:00:00.300"),
    ],
)
@pytest.mark.parametrize("most", [3, 6])
def test_ticks_of_times(start, end, most):
    start, end = np.datetime64(start, "us"), np.datetime64(end, "us")
    scale = Scale.over_times(start, end, "time", most)
    ticks = time_ticks(start, end, most)
    assert 1 <= len(ticks) <= most
    year = pd.Timestamp(ticks[0]).year
    for (place, text), tick in zip(scale.ticks, ticks, strict=True):
        assert scale.share(place) == pytest.approx((tick - start) / (end - start), abs=1e-5)
        time = pd.Timestamp(tick)
        words = text.split()
        if text.isdigit():
            year, expected = int(text), pd.Timestamp(int(text), 1, 1)
        elif words[0] in MONTHS:
            year = int(words[1]) if words[1:] else year
            expected = pd.Timestamp(year, MONTHS.index(words[0]) + 1, 1)
        elif words[1:] == ["s"]:
            expected = time.floor("min") + pd.Timedelta(float(words[0]), "s")
        elif ":" in text:
            clock = text if text.count(":") == 2 else f"{text}:00"
            expected = time.normalize() + pd.Timedelta(clock)
        else:
            expected = pd.Timestamp(time.year, MONTHS.index(words[1]) + 1, int(words[0]))
        assert expected == time


def test_ticks_of_a_week_or_more_are_mondays():
    ticks = time_ticks(np.datetime64("2023-12-28"), np.datetime64("2024-02-01"), 6)
    assert {pd.Timestamp(tick).day_name() for tick in ticks} == {"Monday"}
    assert time_texts(ticks)[0] == "1 Jan"


def test_a_single_time_has_a_tick():
    moment = np.datetime64("2024-05-05T10:00")
    scale = Scale.over_times(moment, moment, "time", 3)
    assert [text for _, text in scale.ticks] == ["10:00"]
    assert scale.share(scale.ticks[0][0]) == 0.5
