import re
import warnings
from math import prod

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from attar import AttarWarning, DataError
from attar.data import images as module
from attar.data.images import Images
from attar.data.kinds import preparation, restored
from attar.data.pictures import Pictures
from attar.data.scaling import Between, MinMax, Scaler

SIZES = st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 5))
CHANCE = np.random.default_rng(0)


def kind_of(images):
    return Images.of([images])[0]


@given(st.data())
def test_images_come_back_in_their_own_shape_and_dtype(data):
    dtype = data.draw(
        st.sampled_from([np.uint8, np.uint16, np.float32, np.float64, np.int16, np.bool_])
    )
    size = data.draw(SIZES) + data.draw(st.sampled_from([(), (1,), (3,), (4,)]))
    finite = {"allow_nan": False, "allow_infinity": False, "min_value": -1e9, "max_value": 1e9}
    elements = finite if np.dtype(dtype).kind == "f" else {}
    images = data.draw(arrays(dtype, size, elements=elements))
    kind = Images.from_json(kind_of(images).to_json())
    rows = kind.rows(images)
    assert rows.shape == (len(images), *kind.shape)
    back = kind.restore(rows.astype(np.float64), kind.passthrough(images))
    assert back.dtype == images.dtype
    np.testing.assert_array_equal(back, images)
    halves = [kind.restore(kind.rows(half)) for half in (images[:1], images[1:])]
    np.testing.assert_array_equal(kind.joined(halves), images)


def test_channels_come_first_for_networks():
    images = CHANCE.integers(0, 256, (2, 4, 5, 3), np.uint8)
    rows = kind_of(images).rows(images)
    assert kind_of(images).shape == (3, 4, 5)
    assert rows[1, 2, 3, 4] == images[1, 3, 4, 2]
    grey = images[..., 0]
    assert kind_of(grey).shape == (1, 4, 5)
    np.testing.assert_array_equal(kind_of(grey).rows(grey)[:, 0], grey)


def test_names_of_cells_are_in_the_order_of_the_cells():
    images = np.arange(24).reshape(1, 2, 4, 3)
    kind = kind_of(images)
    for name, value in zip(kind.feature_names(), kind.rows(images)[0].ravel(), strict=True):
        i, j, c = map(int, name.removeprefix("pixel_").split("_"))
        assert images[0, i, j, c] == value
    assert kind_of(images[..., 0]).feature_names()[5] == "pixel_1_1"


def test_brightness_has_one_scale():
    images = CHANCE.integers(7, 200, (5, 4, 4, 3), np.uint8)
    kind, summary = Images.of([images])
    assert kind.scaling(summary) == MinMax()
    moments = summary.moments
    assert (moments.low, moments.high) == (images.min(), images.max())
    np.testing.assert_allclose(moments.mean, images.mean())
    np.testing.assert_allclose(moments.deviation, images.std())
    spread = kind.spread(moments.low, neutral=0.0)
    assert spread.shape == (1, 1, 1)
    assert (kind.rows(images) - spread).min() == 0


def test_the_column_of_pixels_is_no_copy():
    images = CHANCE.integers(0, 256, (2, 4, 5, 3), np.uint8)
    for stack in (images, images[..., 0].copy()):
        kind = kind_of(stack)
        assert np.shares_memory(kind.columns(kind.rows(stack)), stack)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_pieces_are_summarized_as_the_whole(dtype):
    images = CHANCE.integers(0, 256, (50, 3, 4), np.uint8).astype(dtype)
    kind, whole = Images.of([images])
    cut, parts = Images.of(np.split(images, [0, 7, 31]))
    assert cut == kind
    assert parts.rows == whole.rows == 50
    for name in ("count", "mean", "squares", "low", "high"):
        metrics = (getattr(summary.moments, name) for summary in (parts, whole))
        np.testing.assert_allclose(*metrics, rtol=1e-12)
    np.testing.assert_array_equal(parts.sample, kind.rows(images))
    np.testing.assert_array_equal(parts.places, np.arange(50))


def test_the_sample_of_large_images_is_small(monkeypatch):
    images = CHANCE.integers(0, 256, (40, 3, 4), np.uint8)
    monkeypatch.setattr(module, "FEWEST", 2)
    monkeypatch.setattr(module, "CELLS", 5 * prod(images.shape[1:]))
    kind, summary = Images.of([images])
    assert len(summary.places) == 5
    np.testing.assert_array_equal(summary.sample, kind.rows(images)[summary.places])


def test_pixels_may_be_missing():
    images = CHANCE.normal(size=(6, 4, 5, 3))
    images[2, 1, 3, 0] = np.nan
    kind, summary = Images.of([images])
    assert summary.missing
    assert summary.moments.count == images.size - 1
    np.testing.assert_allclose(summary.moments.mean, np.nanmean(images))
    assert np.argwhere(np.isnan(kind.rows(images))).tolist() == [[2, 0, 1, 3]]


def test_pieces_of_several_dtypes_have_the_one_that_holds_all():
    pieces = [np.full((2, 3, 3), 200, np.uint8), np.full((2, 3, 3), 0.5)]
    kind, summary = Images.of(pieces)
    assert kind.dtype == "float64"
    assert summary.moments.mean == 100.25


def test_images_of_another_size_are_refused():
    kind = kind_of(np.zeros((2, 4, 5)))
    with pytest.raises(DataError, match=re.escape("have shape (5, 5), but")):
        kind.rows(np.zeros((2, 5, 5)))
    with pytest.raises(DataError, match=re.escape("different shapes ((4, 5), (5, 5))")):
        Images.of([np.zeros((2, 4, 5)), np.zeros((2, 5, 5))])


@pytest.mark.parametrize("pieces", [[], [np.zeros((0, 4, 5))]], ids=["no piece", "empty piece"])
def test_no_images_are_refused(pieces):
    with pytest.raises(DataError, match="There are no images"):
        Images.of(pieces)


def test_infinite_pixels_are_counted_by_place():
    images = np.zeros((6, 4, 5, 3))
    images[[1, 3], 2, 4, 1] = np.inf
    with pytest.raises(DataError, match=re.escape("Pixel (2, 4) has 2 infinite values (inf)")):
        Images.of([images])


def test_images_of_text_are_refused():
    with pytest.raises(DataError, match="where numbers belong"):
        Images.of([np.full((2, 3, 3), "x")])


@pytest.fixture
def folder(tmp_path):
    """Two grey pictures of different sizes."""
    for name, size in (("a", (4, 6)), ("b", (8, 8))):
        Image.fromarray(CHANCE.integers(0, 256, size, np.uint8)).save(tmp_path / f"{name}.png")
    return tmp_path


class TestPicturesOfAFittedKind:
    def test_are_resized_if_those_at_fit_were(self, folder):
        fitted = Pictures(folder, size=(5, 5))
        kind = Images.from_json(Images.of(fitted)[0].to_json())
        assert (kind.size, kind.dtype) == ((5, 5), "uint8")
        np.testing.assert_array_equal(kind.pictures(folder).read(), fitted.read())

    def test_are_else_refused_if_they_are_of_another_size(self, folder):
        (folder / "b.png").unlink()
        kind = kind_of(np.zeros((2, 5, 5), np.uint8))
        with pytest.raises(DataError, match=re.escape("have shape (4, 6), but")):
            kind.rows(kind.pictures(folder).read())

    def test_get_the_colours_that_those_at_fit_had(self, folder):
        grey = Pictures(folder, size="6x6").read()
        coloured = Images((6, 6, 3), "uint8", resized=True).pictures(folder)
        np.testing.assert_array_equal(coloured.read(), np.stack([grey] * 3, axis=-1))
        deep = Images((6, 6), "uint16", resized=True).pictures(folder)
        np.testing.assert_array_equal(deep.read(), 257 * grey.astype(np.uint16))

    def test_are_refused_if_they_have_more_colours(self, folder):
        Image.new("RGB", (5, 5)).save(folder / "b.png")
        with pytest.raises(DataError, match=r"b\.png is colour, but 'L' holds only grey"):
            Images((5, 5), "uint8", resized=True).pictures(folder)

    def test_are_refused_by_a_model_of_other_arrays(self, folder):
        with pytest.raises(DataError, match=r"fitted on float32 arrays of shape \(5, 5\)"):
            Images((5, 5), "float32").pictures(folder)


def spots(n=60, channels=None, high=255.0, dtype="float64", seed=0):
    generator = np.random.default_rng(seed)
    shape = (n, 8, 8) if channels is None else (n, 8, 8, channels)
    images = generator.random(shape) * high
    images.reshape(n, -1)[:, 0], images.reshape(n, -1)[:, -1] = 0, high
    return images.astype(dtype)


def test_channels_of_unlike_range_are_scaled_apart_and_back():
    images = np.concatenate([spots(channels=1, high=1.0), spots(channels=1, high=1e4)], -1)
    kind, summary = Images.of([images])
    ready = preparation(kind, kind.scaling(summary), summary)
    prepared = ready.prepare(kind.rows(images), torch.float64)
    expected = np.moveaxis(images, -1, 1) / np.array([1, 1e4])[:, None, None]
    np.testing.assert_allclose(prepared.numpy(), expected, rtol=1e-12)
    np.testing.assert_allclose(kind.restore(ready.raw(prepared)), images, rtol=1e-12)
    assert ("channels are scaled separately", "their ranges are unlike") in kind.remarks


def test_the_channels_of_pictures_are_colours():
    names = ["red", "green", "blue", "alpha"]
    for channels, dtype, expected in (
        (3, "uint8", names[:3]),
        (4, "uint8", names),
        (2, "uint8", ["channel 0", "channel 1"]),
        (3, "float32", ["channel 0", "channel 1", "channel 2"]),
    ):
        kind = kind_of(np.zeros((2, 4, 5, channels), dtype))
        parts = {name: (part.start, part.stop) for name, part in kind.parts}
        assert parts == {name: (20 * i, 20 * i + 20) for i, name in enumerate(expected)}


@pytest.mark.parametrize("channels", [None, 3])
def test_bytes_of_one_range_are_scaled_together(channels):
    images = spots(channels=channels, dtype="uint8")
    kind, summary = Images.of([images])
    assert (kind.per_channel, kind.scaling(summary)) == (False, MinMax())
    scales = MinMax().fit(summary.moments, kind.columns(summary.sample))
    assert (scales.shift.tolist(), scales.scale.tolist()) == ([0.0], [255.0])


@pytest.mark.parametrize("places", [np.s_[7, 3, 3], np.s_[7], np.s_[:, 3, 3]])
def test_odd_values_do_not_change_the_scale_of_the_others(places):
    images = spots(high=200, dtype="uint16")
    images[places] = 65535
    kind, summary = Images.of([images])
    scaling = kind.scaling(summary)
    assert isinstance(scaling, Between)
    assert (scaling.low, scaling.high) == ((0.0,), (pytest.approx(200, abs=2),))
    ready = preparation(kind, scaling, summary)
    prepared = ready.prepare(kind.rows(images), torch.float64)
    assert prepared.max() <= 2
    again = restored(kind, Scaler.restored(ready.scaler.state_dict()))
    assert torch.equal(again.prepare(kind.rows(images), torch.float64), prepared)
    np.testing.assert_array_equal(kind.restore(ready.raw(prepared)), images)


def test_stars_in_every_image_are_no_outliers():
    generator = np.random.default_rng(0)
    images = generator.random((200, 32, 32))
    images[generator.random(images.shape) < 0.003] = 1000
    kind, summary = Images.of([images])
    assert kind.scaling(summary) == MinMax()


def test_channels_first_are_recognized_and_restored():
    images = np.moveaxis(spots(channels=3, dtype="uint8"), -1, 1)
    kind, _ = Images.of([images])
    assert (kind.first, kind.shape) == (True, (3, 8, 8))
    np.testing.assert_array_equal(kind.restore(kind.rows(images).astype(float)), images)
    assert Images.from_json(kind.to_json()) == kind
    assert not Images.of([np.moveaxis(images, 1, -1)])[0].first


def test_what_looks_like_one_colour_image_is_said():
    with pytest.warns(AttarWarning, match=r"taken for 32 grey images of 32 x 3.*X\[None\]"):
        Images.of([np.zeros((32, 32, 3), "uint8")])


@pytest.mark.parametrize(
    ("fitted", "other", "says"),
    [
        (spots(dtype="uint8"), spots(high=1.0), "float64 values from 0 to 1, .* from 0 to 255"),
        (spots(high=1.0), spots(dtype="uint8"), "uint8 values from 0 to 255, .* from 0 to 1:"),
        (spots(), spots(high=1.0), "from 0 to 1, .* from 0 to 255"),
    ],
)
def test_another_unit_than_was_fitted_is_said_once(fitted, other, says):
    kind, _ = Images.of([fitted])
    with pytest.warns(AttarWarning, match=says) as caught:
        list(kind.pieces(other))
    assert len(caught) == 1


@pytest.mark.parametrize("factor", [1, 0.1])
def test_images_of_the_fitted_unit_are_not_warned_of(factor):
    images = spots(dtype="uint8")
    kind, _ = Images.of([images])
    with warnings.catch_warnings(action="error"):
        list(kind.pieces((images * factor).astype("uint8")))
        list(kind.pieces(images.astype(float)))
        list(kind.pieces(images + np.random.default_rng(0).normal(0, 80, images.shape)))


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_restored_images_stay_in_the_observed_range(dtype):
    images = spots(high=200, dtype=dtype)
    kind, _ = Images.of([images])
    restored = kind.restore(np.array([-50.0, 100.0, 900.0]).repeat(64).reshape(3, 1, 8, 8))
    assert restored.dtype == dtype
    np.testing.assert_array_equal(np.unique(restored), [0, 100, 200])


@pytest.mark.parametrize(
    ("shape", "advice"),
    [((4, 8, 8, 1), r"use X\[\.\.\., 0\]"), ((4, 9, 9), "resize them")],
)
def test_images_of_another_shape_are_refused_with_advice(shape, advice):
    kind, _ = Images.of([spots()])
    with pytest.raises(DataError, match=advice):
        kind.rows(np.zeros(shape))
