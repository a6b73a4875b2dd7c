"""The page of a clusterer says how large clusters are, and what sets each apart."""

from __future__ import annotations

import re
from types import SimpleNamespace
from xml.etree.ElementTree import tostring

import numpy as np
import pandas as pd
import pytest

import attar
from attar.errors import SettingError
from attar.reporting import clusters as module
from attar.reporting.clusters import Clustered, SeriesPortrait, TextPortrait


def page_of(clusterer, X, folder):
    attar.report(clusterer, X, folder / "page.html")
    return (folder / "page.html").read_text("utf-8")


def words(html):
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


@pytest.fixture(scope="module")
def table():
    rng, group = np.random.default_rng(0), np.repeat([0, 1], [200, 100])
    return pd.DataFrame(
        {
            "noise": rng.normal(size=300),
            "size": rng.normal(size=300) + 9 * group,
            "colour": np.array(["red", "blue"])[group],
        }
    )


def test_columns_that_differ_come_first_with_means_and_shares(table, tmp_path):
    clusterer = attar.Clusterer(2, random_state=0).fit(table)
    assert clusterer.sizes_.tolist() == [200, 100]
    said = words(page_of(clusterer, table, tmp_path))
    assert "2 clusters of 300 rows" in said
    assert "cluster 0 200 66.7%" in said
    own, other = (table["size"][table["colour"] == name].mean() for name in ("red", "blue"))
    compared = said[said.index("What distinguishes the clusters") :]
    first = compared[compared.index("cluster 0") : compared.index("cluster 1")]
    assert f"size {own:.3g} {other:.3g}".replace("-", "−") in first
    assert "colour red 100.0% 0.0%" in first
    assert first.index("size") < first.index("noise")


def test_many_clusters_are_cut_to_the_largest(table, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SHOWN", 3)
    clusterer = attar.Clusterer(5, random_state=0).fit(table)
    said = words(page_of(clusterer, table, tmp_path))
    assert "The 3 largest of 5 clusters" in said
    assert "cluster 2 " in said


def test_one_cluster_is_set_apart_from_nothing(tmp_path):
    X = np.random.default_rng(0).normal(size=(50, 2))
    said = words(page_of(attar.Clusterer(1).fit(X), X, tmp_path))
    assert "1 cluster of 50 rows" in said
    assert "sets each cluster apart" not in said


def test_images_have_a_mean_and_examples(tmp_path):
    images = np.random.default_rng(0).integers(0, 99, (40, 8, 8)).astype(np.uint8)
    images[::2, :4] += 150
    clusterer = attar.Clusterer(2, epochs=1, random_state=0).fit(images)
    html = page_of(clusterer, images, tmp_path)
    assert html.count("<img") == 2 * 12
    assert "Cluster 1: the mean, and images of" in words(html)


def test_windows_have_mean_curves():
    rows = np.zeros((30, 1, 8))
    rows[10:] = 1
    found = Clustered(rows, np.repeat([0, 1], [10, 20]), np.ones(30), np.zeros((30, 2)))
    kind = SimpleNamespace(form=SimpleNamespace(channels=["load"]))
    (drawn,) = SeriesPortrait(kind).sections(found, range(2))
    html = tostring(drawn, "unicode")
    assert html.count('class="chart"') == 2
    assert "load, mean of cluster 1." in html


def test_words_of_a_cluster_are_those_that_others_lack(monkeypatch):
    texts = ["the goal of the team"] * 5 + ["the price of shares"] * 5
    monkeypatch.setattr(module, "texts_of", lambda kind, rows: list(rows))
    found = Clustered(np.array(texts), np.repeat([0, 1], 5), np.ones(10), np.zeros((10, 2)))
    (drawn,) = TextPortrait(None).sections(found, range(2))
    said = words(tostring(drawn, "unicode"))
    assert "Cluster 0: goal, team, of, the." in said
    assert "Cluster 1: price, shares, of, the." in said


def test_labels_are_refused(table, tmp_path):
    clusterer = attar.Clusterer(2, random_state=0).fit(table)
    with pytest.raises(SettingError, match="The report of Clusterer has no labels or condition"):
        attar.report(clusterer, table, tmp_path / "page.html", labels=[0] * 300)
