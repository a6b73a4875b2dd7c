import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from attar import DataError
from attar.data.images import Images
from attar.data.scaling import MinMax
from attar.data.source import kind_of

SIZES = st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 5))


@given(st.data())
def test_images_come_back_in_their_own_shape_and_dtype(data):
    dtype = data.draw(st.sampled_from([np.uint8, np.float32, np.float64, np.int16, np.bool_]))
    size = data.draw(SIZES) + data.draw(st.sampled_from([(), (1,), (3,), (4,)]))
    finite = {"allow_nan": False, "allow_infinity": False}
    elements = finite if np.dtype(dtype).kind == "f" else {}
    images = data.draw(arrays(dtype, size, elements=elements))
    kind = Images.from_json(Images.of(images).to_json())
    rows = kind.rows(images)
    assert rows.shape == (len(images), *kind.shape)
    back = kind.restore(rows.astype(np.float64))
    assert back.dtype == images.dtype
    np.testing.assert_array_equal(back, images)


def test_channels_come_first_for_networks():
    images = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3), np.uint8)
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
    images = np.random.default_rng(0).integers(7, 200, (5, 4, 4), np.uint8)
    kind = kind_of(images)
    rows = kind.rows(images)
    shift, scale = kind.scaling(rows).fit(kind.columns(rows))
    assert kind.scaling(rows) == MinMax()
    assert kind.spread(shift).shape == (1, 1, 1)
    assert (shift.item(), scale.item()) == (images.min(), int(images.max()) - images.min())


def test_images_of_another_size_are_refused():
    kind = kind_of(np.zeros((2, 4, 5)))
    with pytest.raises(DataError, match=re.escape("have shape (5, 5), but")):
        kind.rows(np.zeros((2, 5, 5)))


@pytest.mark.parametrize(
    ("value", "what"), [(np.nan, "2 missing values (NaN)"), (np.inf, "2 infinite values (inf)")]
)
def test_pixels_that_are_no_finite_numbers_are_counted_by_place(value, what):
    images = np.zeros((6, 4, 5, 3))
    images[[1, 3], 2, 4, 1] = value
    with pytest.raises(DataError, match=re.escape(f"Pixel (2, 4) has {what}")):
        kind_of(images).rows(images)


def test_images_of_text_are_refused():
    with pytest.raises(DataError, match="where numbers belong"):
        kind_of(np.full((2, 3, 3), "x"))
