"""Profiles of parts of a table merge to the profile of the whole."""

from itertools import pairwise

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from attar.data.columns.profiles import TableProfile
from attar.data.stream import ROWS_OF_A_SHARE, Sample, places_of

ROWS = 60


def a_table():
    rng = np.random.default_rng(0)
    days = pd.Timestamp("2024-03-01") + pd.to_timedelta(6 * rng.integers(0, 900, ROWS), unit="h")
    return pd.DataFrame(
        {
            "row": np.arange(7, ROWS + 7),
            "number": rng.normal(size=ROWS),
            "whole": np.where(rng.random(ROWS) < 0.2, np.nan, rng.integers(-5, 5, ROWS)),
            "half": np.where(np.arange(ROWS) < 30, 1.0, 0.5),
            "level": pd.array(rng.integers(0, 9, ROWS), dtype="Int64"),
            "city": rng.choice(["Graz", "Oslo", "Rome"], ROWS),
            "size": pd.Categorical(rng.choice(["S", "M"], ROWS), ["S", "M", "L"], ordered=True),
            "good": rng.random(ROWS) < 0.5,
            "when": days,
            "zoned": days.tz_localize("Europe/Vienna", ambiguous="NaT", nonexistent="NaT"),
            "written": pd.Series(days).dt.strftime("%d.%m.%Y"),
            "mixed": np.where(np.arange(ROWS) < 30, "03.04.2024", "some text"),
            "lasts": pd.to_timedelta(90 * rng.integers(0, 99, ROWS), unit="s"),
            "late": [None] * 40 + list(rng.normal(size=ROWS - 40)),
            "same": "one",
            "void": np.full(ROWS, np.nan),
        }
    )


def summary(profile):
    sample, places = profile.sampled()
    columns = profile.columns(sample)
    return columns, places.tolist(), profile.moments(columns), profile.format.to_json()


@given(st.lists(st.integers(0, ROWS), max_size=4).map(sorted))
def test_profiles_of_parts_merge_to_that_of_the_whole(cuts):
    table = a_table()
    whole = TableProfile.of([table], {"level": "number"})
    ends = [0, *cuts, ROWS]
    merged, *others = (
        TableProfile.of([table[a:b]], {"level": "number"}, a) for a, b in pairwise(ends)
    )
    for other in others:
        merged.merge(other)
    columns, places, moments, form = summary(merged)
    expected = summary(whole)
    assert (columns, places, form) == (expected[0], expected[1], expected[3])
    for name, values in vars(moments).items():
        np.testing.assert_allclose(values, vars(expected[2])[name], rtol=1e-9, atol=1e-6)


@given(st.integers(1, 400), st.integers(1, 400), st.integers(1, 50))
def test_thin_samples_of_shares_merge_to_that_of_the_whole(first, second, size):
    def a_sample(start, rows):
        sample = Sample(lambda piece, places: piece[places], size, start)
        sample.add(rows, len(rows))
        sample.thin(first + second)
        return sample

    rows = np.arange(first + second)
    both, one = a_sample(0, rows), a_sample(0, rows[:first])
    one.merge(a_sample(first, rows[first:]))
    for found, expected in zip(
        one.result(np.concatenate), both.result(np.concatenate), strict=True
    ):
        np.testing.assert_array_equal(found, expected)
    assert one.seen == first + second


def test_rows_numbered_share_by_share_have_their_places_among_all():
    rows = np.array([0, 4, ROWS_OF_A_SHARE, ROWS_OF_A_SHARE + 1, 2 * ROWS_OF_A_SHARE])
    np.testing.assert_array_equal(places_of(rows, (5, 2, 9)), [0, 4, 5, 6, 7])
    np.testing.assert_array_equal(places_of(np.array([0, 11]), (5, 2, 9)), [0, 11])
