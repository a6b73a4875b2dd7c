"""Numbers come back within their error bounds, and all else as it is."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from typer.testing import CliRunner

import attar
from attar.cli import app
from attar.codec.values import ArrayValues, values_of
from attar.compression import Codec
from attar.data.table import MixedTable, NumericTable
from attar.error_bounds import error_bounds
from attar.errors import SettingError
from attar.likelihoods import Causal, OneHot
from attar.likelihoods.lattices import Decimals, Distinct, alphabet_of, near

SMALL = Causal(window=(3, 5), width=8, layers=1, hidden=16)
rng = np.random.default_rng(0)
N = 300
TABLE = pd.DataFrame(
    {
        "price": rng.normal(50, 20, N).round(2),
        "count": rng.integers(-100, 10**6, N),
        "kind": rng.choice(["new", "used"], N),
        "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 300, N), "D"),
    }
)

BOUNDS = st.floats(1e-6, 1e6)


def passed(values, data):
    encoded = values.encode(data)
    opened = values.opened(encoded.rows, encoded.literals)
    return values.decode(encoded.symbols, encoded.residues, opened)


@given(arrays(np.float64, 20, elements=st.floats(width=64)), BOUNDS)
def test_near_numbers_are_within_the_bound(values, bound):
    found = near(values, bound)
    finite = np.isfinite(values)
    assert (np.abs(found[finite] - values[finite]) <= bound).all()
    np.testing.assert_array_equal(found[~finite], values[~finite])


@given(BOUNDS)
def test_near_numbers_are_multiples_of_almost_twice_the_bound(bound):
    values = np.linspace(-40, 40, 4001) * bound
    steps = np.diff(np.unique(near(values, bound))) / bound
    assert 1.98 < steps.min() <= steps.max() < 2 + 1e-6


@settings(deadline=None, max_examples=50)
@given(st.data(), BOUNDS, st.sampled_from(["float64", "float32", "int64", "uint8"]))
def test_any_array_comes_back_within_the_bound(data, bound, dtype):
    kind = NumericTable(dtype, 1)
    known = np.linspace(0, 200, 50)
    alphabet = alphabet_of(known, bound=bound)
    values = ArrayValues(kind, [alphabet], np.dtype(dtype).str)
    array = data.draw(arrays(dtype, (12, 1)))
    back = passed(values, array)
    assert back.dtype == array.dtype
    equal = back.view(f"u{back.itemsize}") == array.view(f"u{back.itemsize}")
    exact = [
        abs(int(a) - int(b)) if dtype[0] in "iu" else abs(float(a) - float(b))
        for a, b in zip(array[:, 0], back[:, 0], strict=True)
    ]
    assert all(same or error <= bound for same, error in zip(equal[:, 0], exact, strict=True))


def columns(frame):
    kind, _ = MixedTable.fit([frame])
    price = alphabet_of(TABLE["price"].to_numpy(), bound=0.25)
    count = alphabet_of(TABLE["count"].to_numpy(float), bound=100.5)
    known = {"price": price, "count": count, "kind": OneHot(2)}
    owners = [column.name for column in kind.fields for _ in column.cells]
    return values_of(kind, [known.get(name) for name in owners], frame)


@pytest.mark.parametrize("form", ["numpy", "nullable", "arrow", "polars", "pyarrow"])
def test_tables_of_any_library_come_back_within_the_bounds(form):
    frame = TABLE.assign(price=TABLE["price"].where(TABLE.index % 7 > 0))
    frame.loc[3, "price"] = np.inf
    table = {
        "numpy": lambda: frame,
        "nullable": lambda: frame.convert_dtypes(),
        "arrow": lambda: frame.convert_dtypes(dtype_backend="pyarrow"),
        "polars": lambda: pl.from_pandas(frame),
        "pyarrow": lambda: pl.from_pandas(frame).to_arrow(),
    }[form]()
    values = columns(TABLE if form in ("numpy", "nullable", "arrow") else pl.from_pandas(TABLE))
    back = passed(values, table)
    assert type(back) is type(table)
    plain, again = (
        (x if isinstance(x, pd.DataFrame) else pl.DataFrame(x).to_pandas()) for x in (table, back)
    )
    if form in ("numpy", "nullable", "arrow"):
        assert (back.dtypes == table.dtypes).all()
    pd.testing.assert_frame_equal(again[["kind", "day"]], plain[["kind", "day"]])
    for name, bound in {"price": 0.25, "count": 100}.items():
        a, b = (x[name].to_numpy(float, na_value=np.nan) for x in (plain, again))
        np.testing.assert_array_equal(np.isnan(a), np.isnan(b))
        finite = np.isfinite(a)
        np.testing.assert_array_equal(a[~finite], b[~finite])
        assert 0 < np.abs(a[finite] - b[finite]).max() <= bound


def test_integers_come_back_as_integers_of_a_step_that_is_odd():
    likelihood = Causal(error_bounds=(("count", 3.7),))
    kind, summary = MixedTable.fit([TABLE])
    bounds = error_bounds(likelihood, kind, summary.sample)
    place = [column.name for column in kind.fields for _ in column.cells].index("count")
    assert bounds[place] == 3.5
    assert sum(map(bool, bounds)) == 1
    values = np.arange(-50.0, 50.0)
    found = near(values, bounds[place])
    assert set(np.diff(np.unique(found))) == {7.0}
    assert np.abs(found - values).max() == 3


def test_a_bound_is_a_share_of_the_range_but_for_columns_that_have_their_own():
    likelihood = Causal(error_bound=0.01, error_bounds=(("price", 0.5),))
    kind, summary = MixedTable.fit([TABLE])
    bounds = error_bounds(likelihood, kind, summary.sample)
    found = dict(zip((c.name for c in kind.fields for _ in c.cells), bounds, strict=True))
    assert found["price"] == 0.5
    assert found["count"] == np.floor(0.01 * np.ptp(TABLE["count"])) + 0.5
    assert found["kind"] == found["day"] == 0
    with pytest.raises(SettingError, match="There is no column of numbers named 'kind'"):
        error_bounds(Causal(error_bounds=(("kind", 1.0),)), kind, summary.sample)
    with pytest.raises(SettingError, match=r"column 'price' is 0\.0, not above 0"):
        error_bounds(Causal(error_bounds=(("price", 0.0),)), kind, summary.sample)


def test_alphabets_are_on_the_grid():
    few = alphabet_of(rng.normal(size=2000), bound=0.25)
    assert isinstance(few, Distinct)
    np.testing.assert_allclose(np.diff(few.numbers), 0.499)
    many = alphabet_of(rng.normal(size=5000), bound=1e-4)
    assert isinstance(many, Decimals)
    assert many.step / 10**many.decimals == 1.99e-4


def test_images_have_no_error_bounds():
    images = rng.integers(0, 256, (50, 4, 4), dtype=np.uint8)
    ae = attar.Autoencoder("lossless", likelihood=SMALL.replace(error_bound=0.1), epochs=1)
    with pytest.raises(SettingError, match="not for images"):
        ae.fit(images)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bounds")
    TABLE.assign(price=TABLE["price"].map("{:.2f} €".format)).to_csv(folder / "t.csv", index=False)
    return folder


def invoke(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_a_csv_file_comes_back_within_bounds_and_is_smaller(folder):
    exact, loose = folder / "exact.attar", folder / "loose.attar"
    common = ["fit", folder / "t.csv", "--recipe", "lossless", "--effort", 1, "--epochs", 1]
    for model, more in ((exact, []), (loose, ["--error", 0.02, "--error", "price=0.5"])):
        assert invoke(*common, "-o", model, *more).exit_code == 0
    sizes = {}
    for model in (exact, loose):
        done = invoke("compress", model, folder / "t.csv", "-o", model.with_suffix(".atz"))
        assert done.exit_code == 0, done.output
        sizes[model] = model.with_suffix(".atz").stat().st_size
    assert "price ±0.5" in done.output
    assert sizes[loose] < 0.7 * sizes[exact]
    info = json.loads(invoke("info", loose.with_suffix(".atz"), "--json").output)
    assert info["error_bounds"]["price"] == 0.5
    back = folder / "back.csv"
    assert invoke("decompress", loose, loose.with_suffix(".atz"), "-o", back).exit_code == 0
    again = pd.read_csv(back)
    prices = again["price"].str.removesuffix(" €").astype(float)
    assert 0 < (prices - TABLE["price"]).abs().max() <= 0.5
    assert (again["count"] - TABLE["count"]).abs().max() <= 0.02 * np.ptp(TABLE["count"])
    assert (again["kind"] == TABLE["kind"]).all()
    assert (again["day"] == TABLE["day"].astype(str)).all()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--recipe", "lossless", "--error", "0"], "leave it out"),
        (["--recipe", "lossless", "--error", "price=much"], "--error takes 0.01 or COLUMN=0.5"),
        (["--recipe", "lossless", "--error", "prize=1"], "did you mean 'price'"),
        (["--recipe", "vae", "--error", "0.1"], "--error is for the recipe lossless"),
    ],
)
def test_bounds_that_cannot_be_are_refused(folder, words, said):
    done = invoke("fit", folder / "t.csv", "-o", folder / "no.attar", *words)
    assert isinstance(done.exception, SettingError)
    assert said in str(done.exception)
    assert not (folder / "no.attar").exists()


def test_series_come_back_within_bounds():
    hours = pd.DataFrame(
        {
            "time": pd.date_range("2024-01-01", periods=200, freq="h"),
            "load": rng.normal(0, 5, 200).cumsum(),
            "count": rng.poisson(40, 200),
        }
    )
    likelihood = SMALL.replace(window=(5,), error_bound=0.01)
    ae = attar.Autoencoder("lossless", likelihood=likelihood, epochs=1, random_state=0)
    codec = Codec(ae.fit(attar.Series(hours, time="time", window=24)))
    back = codec.decompress(codec.compress(hours))
    assert (back["time"] == hours["time"]).all()
    assert (back.dtypes == hours.dtypes).all()
    for name in ("load", "count"):
        error = (back[name] - hours[name]).abs().max()
        assert 0 < error <= 0.01 * np.ptp(hours[name]) or error == 0 == np.ptp(hours[name]) // 100
