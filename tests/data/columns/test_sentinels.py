import datetime as dt

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import attar
from attar import AttarWarning
from attar.data.columns.sentinels import sentinel_of

DAYS = [dt.date(2024, 1, day) for day in range(1, 30)]


@pytest.mark.parametrize(
    ("values", "sentinel"),
    [
        ([*range(40), -999, -999], "-999"),
        ([0.5, 250_000.0, -99.0, -99.0], "-99"),
        ([*range(40), 9999, 9999, None], "9999"),
        ([*range(40), -999], None),
        ([*range(100), 99], None),
        ([-250, 300, -999, -999], "-999"),
        ([-5000, 3000, -999, -999], None),
        ([*range(40), -5, -5], None),
        ([-999, -999], None),
        ([*DAYS, dt.date(9999, 12, 31), dt.date(9999, 12, 31)], "9999-12-31"),
        ([*DAYS, dt.date(1900, 1, 1), dt.date(1900, 1, 1)], "1900-01-01"),
        (
            [dt.date(1970, 1, 1), dt.date(1970, 1, 1), dt.date(1970, 1, 2), dt.date(1980, 1, 1)],
            None,
        ),
        (["-999", "-999", "a"], None),
        ([None, None], None),
    ],
)
def test_an_extreme_that_is_often_no_value_is_found(values, sentinel):
    assert sentinel_of(pa.chunked_array([values])) == sentinel


def test_a_fit_says_what_to_do(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(20, 5, 60).round(1), "b": rng.normal(size=60)})
    frame.loc[::6, "a"] = -999
    frame.to_csv(tmp_path / "a.csv", index=False)
    ae = attar.Autoencoder(epochs=1, verbose=False, random_state=0)
    with pytest.warns(AttarWarning, match=r"Column 'a' has -999, far .* name it with na= "):
        ae.fit(tmp_path / "a.csv")
    inspection = ae.inspect(attar.Csv(tmp_path / "a.csv", na="-999.0"))
    assert inspection.columns[0].missing == pytest.approx(1 / 6)
