"""Series come back, as tables and as CSV files."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import attar
from attar.codec.windows import series_from_json, series_values
from attar.data.series import Windows
from attar.errors import DataError, FileError
from attar.likelihoods.lattices import alphabet_of

rng = np.random.default_rng(0)

N = 200
TABLE = pd.DataFrame(
    {
        "time": pd.date_range("2024-01-01", periods=N, freq="h"),
        "load": rng.normal(0, 50, N).cumsum().round(2),
        "count": rng.poisson(5, N),
    }
)


@pytest.fixture(scope="module")
def kind():
    return Windows.of([attar.Series(TABLE, time="time", window=24)])[0]


def passed(values, data):
    encoded = values.encode(data)
    opened = values.opened(encoded.rows, encoded.literals)
    np.testing.assert_array_equal(opened.hidden, values.channels.hidden(encoded.symbols))
    return values.decode(encoded.symbols, encoded.residues, opened), encoded


def alphabets():
    return [alphabet_of(TABLE[name].to_numpy(float), size=32) for name in ("load", "count")]


@pytest.mark.parametrize("form", ["frame", "csv"])
def test_series_come_back(kind, form):
    def made(frame):
        return frame if form == "frame" else frame.to_csv(index=False).encode()

    values = series_values(kind, alphabets(), made(TABLE))
    again = series_from_json(kind, alphabets(), json.loads(json.dumps(values.to_json())))
    odd = TABLE.iloc[::-1].assign(load=TABLE.load.where(TABLE.load > 0))
    for data in (TABLE, TABLE[:48], TABLE[5:30], TABLE[:0], odd):
        back, encoded = passed(again, made(data))
        assert encoded.symbols.shape == (-(-len(data) // 24), 2, 24)
        if form == "frame":
            pd.testing.assert_frame_equal(back, data, check_exact=True)
        else:
            assert back == made(data)
    back, encoded = passed(again, made(TABLE))
    assert len(encoded.literals) < 80
    assert encoded.residues.any()


def test_what_is_no_such_series_is_refused(kind):
    with pytest.raises(DataError, match="'count'"):
        series_values(kind, alphabets(), TABLE.drop(columns="count"))
    stack, _ = Windows.of([attar.Series(rng.normal(size=(3, 30, 1)))])
    with pytest.raises(DataError, match="row for each point"):
        series_values(stack, [], TABLE)
    values = series_values(kind, alphabets(), TABLE)
    encoded = values.encode(TABLE)
    for literals in (b"", b"\xff\xff\xff\xff", encoded.literals[:-3]):
        with pytest.raises(FileError):
            values.decode(encoded.symbols, encoded.residues, values.opened(9, literals))
