"""The page of a model that was fitted with Gaussian noise shows how much of it is removed."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

import attar
from attar.corruptions import GaussianNoise

SETTINGS = {"epochs": 15, "random_state": 0, "verbose": False, "code_size": 2}


def words(element):
    return " ".join("".join(element.itertext()).split())


@pytest.fixture(scope="module")
def waves():
    rng = np.random.default_rng(0)
    return np.sin(np.arange(16) / 3 + rng.uniform(0, 6, (300, 1)))


def left(tree):
    """Return what is said of the error before and after."""
    pattern = r"the RMSE is ([\d.]+) before and ([\d.]+) after denoising: ([\d.]+) dB"
    found = re.search(pattern, words(tree))
    return [float(number) for number in found.groups()]


def test_a_table_has_the_error_before_and_after(page, waves):
    ae = attar.Autoencoder(corruption=GaussianNoise(0.5), **SETTINGS).fit(waves)
    before, after, decibels = left(page(ae, waves))
    assert before == pytest.approx(0.5, rel=0.05)
    assert after < 0.6 * before  # the noise of two of sixteen dimensions would be 0.35 of it
    assert decibels == pytest.approx(20 * np.log10(before / after), abs=0.06)


def test_images_are_noisy_denoised_and_clean(page, waves):
    images = np.rint(100 + 80 * waves.reshape(-1, 4, 4)).astype("uint8")
    ae = attar.Autoencoder(corruption=GaussianNoise(0.2), **SETTINGS).fit(images)
    tree = page(ae, images)
    shown = [i.get("alt") for i in tree.iter("img") if "noisy" in (i.get("alt") or "")]
    assert len(shown) == 12
    for kind in ("denoised", "clean"):
        assert [i.get("alt") for i in tree.iter("img") if f", {kind}" in (i.get("alt") or "")] == [
            name.replace("noisy", kind) for name in shown
        ]


def test_series_have_three_lines(page, waves):
    table = pd.DataFrame({"load": waves.ravel()[:900]})
    series = attar.Series(table, window=16)
    settings = SETTINGS | {"network": attar.networks.Mlp((8,)), "epochs": 2}
    ae = attar.Autoencoder(corruption=GaussianNoise(0.3), **settings).fit(series)
    tree = page(ae, series)
    grid = next(e for e in tree.iter("div") if e.get("aria-label") == "Denoised windows")
    tones = [p.get("class") for p in next(grid.iter("svg")).iter("path")]
    assert tones == ["line faint", "line second", "line first"]


def test_other_models_have_no_such_section(table_page):
    assert "after denoising" not in words(table_page)
