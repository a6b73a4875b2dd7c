"""Regions are unlikely by the conditionals of a Gaussian, and found where images were spoilt."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.metrics import roc_auc_score

import attar
from attar.data import datasets
from attar.errors import DataError
from attar.tasks.anomalies.regions import SIDE, Regions


def test_maps_are_conditionals_of_the_gaussian():
    rng = np.random.default_rng(0)
    images = rng.normal(size=(200, 2, 1, 1)) * rng.normal(size=(2, 6, 7))
    images += rng.normal(0, 0.3, images.shape)
    model = Regions.fit(images)
    W, p = model.principal.factors, images[0].size
    covariance = np.linalg.inv((np.eye(p) - W @ W.T) / model.principal.noise)
    joint = multivariate_normal(model.mean.ravel(), covariance)
    nats, expected = model._conditionals(images[:3])
    at, block = 3 * 7 + 4, model._blocks[3 * 7 + 4]
    rest = np.setdiff1d(np.arange(p), block)
    others = multivariate_normal(joint.mean[rest], covariance[np.ix_(rest, rest)])
    rows = images[:3].reshape(3, -1)
    mean = joint.mean[block] + (rows[:, rest] - joint.mean[rest]) @ np.linalg.solve(
        covariance[np.ix_(rest, rest)], covariance[np.ix_(rest, block)]
    )
    own = np.flatnonzero(block % 42 == at)
    np.testing.assert_allclose(expected.reshape(3, 2, -1)[:, :, at], mean[:, own])
    truth = others.logpdf(rows[:, rest]) - joint.logpdf(rows)
    np.testing.assert_allclose(np.diff(nats[:, 3, 4]), np.diff(truth), rtol=1e-8)


@pytest.fixture(scope="module")
def digits():
    images, labels = datasets.load("digits", "train")
    new, of_new = datasets.load("digits", "test")
    detector = attar.AnomalyDetector(random_state=0).fit(images[labels == 0])
    return detector, new[of_new == 0]


def test_what_was_spoilt_is_found_and_mended(digits, tmp_path):
    detector, images = digits
    spoilt, rng = images.copy(), np.random.default_rng(0)
    mask = np.zeros(images.shape, bool)
    for image, where in zip(spoilt, mask, strict=True):
        y, x = rng.integers(0, 7, 2)
        where[y : y + 2, x : x + 2] = True
        image[where] = 16 - image[where]
    maps = detector.anomaly_maps(spoilt)
    assert roc_auc_score(mask.ravel(), maps.nats.ravel()) > 0.9
    assert maps.expected.dtype == images.dtype
    off = np.abs(maps.expected[mask] - images[mask].astype(float)).mean()
    assert off < 0.3 * np.abs(spoilt[mask] - images[mask].astype(float)).mean()

    why = detector.explain(spoilt, most=2)
    assert list(why.columns) == ["row", "y", "x", "nats", "value", "expected", "low", "high"]
    first = why[~why["row"].duplicated()]
    assert mask[first["row"], first["y"], first["x"]].mean() > 0.6
    assert (why["low"] < why["expected"]).all()
    assert (why["expected"] < why["high"]).all()

    detector.save(tmp_path / "d.attar")
    again = attar.AnomalyDetector.load(tmp_path / "d.attar").anomaly_maps(spoilt)
    np.testing.assert_array_equal(again.nats, maps.nats)


def test_intervals_hold_what_they_promise(digits):
    detector, images = digits
    why = detector.explain(images, most=1)
    # These are the least likely regions of each: fewer than 90% are within.
    within = (why["value"] >= why["low"]) & (why["value"] <= why["high"])
    assert within.mean() > 0.6
    assert 0.3 < (why["nats"] < np.log(2)).mean() < 0.9  # as of half of the usual ones


def test_large_colour_images_have_maps_of_their_size():
    rng = np.random.default_rng(0)
    shades = np.linspace(0, 200, 70)[:, None, None] * rng.random((40, 1, 1, 3))
    images = np.broadcast_to(shades, (40, 70, 45, 3)) + rng.normal(0, 5, (40, 70, 45, 3))
    with pytest.warns(attar.AttarWarning, match="need 99 rows"):
        detector = attar.AnomalyDetector(random_state=0).fit(images[1:])
    spoilt = images[:1].copy()
    spoilt[0, 40:55, 10:20, 0] += 80
    assert set(detector.drift(images[1:]).columns["column"]) == {
        *("(scores)", "edges", "channel 0", "channel 1", "channel 2")
    }
    maps = detector.anomaly_maps(spoilt)
    assert maps.nats.shape == (1, 70, 45)
    assert maps.expected.shape == spoilt.shape
    assert SIDE < 45
    y, x = np.unravel_index(maps.nats[0].argmax(), (70, 45))
    assert 40 <= y < 55
    assert 10 <= x < 20


def test_rows_of_a_table_have_no_maps():
    rows = np.random.default_rng(0).normal(size=(120, 3))
    detector = attar.AnomalyDetector(random_state=0).fit(rows)
    with pytest.raises(DataError, match="Only images have maps"):
        detector.anomaly_maps(rows)
