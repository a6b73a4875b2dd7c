"""Fits of clean data warn of nothing, whatever the warning filters."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.datasets import load_digits, load_iris

import attar


def mixed_frame():
    generator = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "size": generator.normal(size=120).astype(np.float32),
            "rooms": generator.integers(1, 9, 120),
            "town": generator.choice(["Bonn", "Ulm", "Trier"], 120),
            "paid": generator.random(120) < 0.4,
            "kind": pd.Categorical(generator.choice(list("ab"), 120)),
            "when": pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(120) * 7, "h"),
        }
    )


def readings():
    day = pd.date_range("2024-01-01", periods=120, freq="h")
    return pd.DataFrame({"date": day, "heat": np.sin(np.arange(120) / 4)})


DIGITS = load_digits().images[:150]
CLEAN = {
    "doubles": lambda: load_iris().data,
    "singles": lambda: load_iris().data.astype(np.float32),
    "integers": lambda: (10 * load_iris().data).astype(np.int64),
    "frame": lambda: load_iris(as_frame=True).data,
    "mixed frame": mixed_frame,
    "bytes": lambda: DIGITS.astype(np.uint8) * 15,
    "images": lambda: DIGITS / 16,
    "series": lambda: attar.Series(readings(), time="date", window=24),
    "counts": lambda: sparse.csr_matrix(np.random.default_rng(0).poisson(0.3, (150, 40))),
    "sparse": lambda: sparse.random(150, 60, 0.1, "csr", random_state=0),
}


@pytest.mark.parametrize("recipe", ["ae", "vae"])
@pytest.mark.parametrize("name", CLEAN)
def test_clean_data_are_warned_of_nothing(name, recipe, tmp_path):
    data = CLEAN[name]()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ae = attar.Autoencoder(recipe, epochs=2, random_state=0, verbose=False).fit(data)
        codes = ae.transform(data)
        ae.inverse_transform(codes)
        ae.reconstruct(data)
        ae.score_samples(data, draws=2)
        ae.evaluate(data, draws=2)
        ae.sample(3)
        ae.diagnose()
        ae.save(tmp_path / "m.attar")
        again = attar.load(tmp_path / "m.attar")
    np.testing.assert_array_equal(again.transform(data), codes)
