import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from attar.data.preparation import Preparation
from attar.data.scaling import MinMax, Robust, Scaling, Standard
from attar.data.source import kind_of

SCALINGS = [Scaling.named(name) for name in Scaling.members]
TYPES = ["bool", "uint8", "int16", "int32", "float32", "float64"]


def fitted(data, scaling):
    kind = kind_of(data)
    rows = kind.rows(data)
    return Preparation.fit(kind, scaling, rows), rows


@given(st.data())
def test_data_comes_back_in_its_own_form(data):
    dtype = np.dtype(data.draw(st.sampled_from(TYPES)))
    shape = data.draw(array_shapes(min_dims=2, max_dims=4, max_side=4))
    elements = {"min_value": -1000, "max_value": 1000} if dtype.kind in "if" else {}
    x = data.draw(arrays(dtype, shape, elements=elements))
    preparation, rows = fitted(x, data.draw(st.sampled_from(SCALINGS)))
    back = preparation.restore(preparation.prepare(rows, torch.float64))
    assert back.dtype == x.dtype
    if dtype.kind == "f":
        np.testing.assert_allclose(back, x, rtol=1e-6, atol=1e-6)
    else:
        np.testing.assert_array_equal(back, x)


@pytest.mark.parametrize("scaling", SCALINGS, ids=lambda part: part.name)
def test_bytes_and_truths_come_back_from_single_precision_too(scaling):
    chance = np.random.default_rng(0)
    for x in (chance.integers(0, 256, (20, 5, 4, 3), np.uint8), chance.random((20, 5)) < 0.3):
        preparation, rows = fitted(x, scaling)
        np.testing.assert_array_equal(preparation.restore(preparation.prepare(rows)), x)


@pytest.mark.parametrize("scaling", [Standard(), MinMax(), Robust()], ids=lambda part: part.name)
def test_large_offsets_cost_no_digits(scaling):
    moved = np.random.default_rng(0).normal(size=(200, 1))
    plain, rows = fitted(moved, scaling)
    expected = plain.prepare(rows, torch.float64)
    preparation, rows = fitted(1.6e9 + moved, scaling)
    found = preparation.prepare(rows)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(preparation.restore(found), 1.6e9 + moved, rtol=0, atol=1e-6)


def test_a_frame_comes_back_with_its_columns_and_dtypes():
    frame = pd.DataFrame({"year": [1990, 2024], "share": [0.25, 0.5], "paid": [True, False]})
    preparation, rows = fitted(frame, Standard())
    pd.testing.assert_frame_equal(preparation.restore(preparation.prepare(rows)), frame)


@pytest.mark.parametrize("scaling", SCALINGS, ids=lambda part: part.name)
def test_a_constant_column_is_prepared_as_finite_numbers_and_comes_back(scaling):
    x = np.column_stack([np.full(9, 1e9 + 0.1), np.arange(9.0)])
    preparation, rows = fitted(x, scaling)
    prepared = preparation.prepare(rows, torch.float64)
    assert prepared.isfinite().all()
    assert (prepared[:, 0] == prepared[0, 0]).all()
    np.testing.assert_allclose(preparation.restore(prepared), x, rtol=1e-15)


@pytest.mark.parametrize("dtype", ["uint8", "bool", "float64", "int32"])
@pytest.mark.parametrize("channels_last", [False, True])
def test_held_rows_are_the_prepared_ones(dtype, channels_last):
    shape = (30, 4, 5, 3) if channels_last else (30, 6)
    x = np.random.default_rng(0).integers(0, 200, shape).astype(dtype)
    preparation, rows = fitted(x, MinMax())
    held = preparation.hold(rows, torch.device("cpu"))
    assert held.values.dtype == (torch.uint8 if dtype in ("uint8", "bool") else torch.float32)
    index = torch.tensor([3, 29, 0])
    expected = preparation.prepare(rows)[index]
    torch.testing.assert_close(held.batch(index).target, expected, rtol=1e-6, atol=1e-7)


def test_read_only_data_is_taken_and_left_alone():
    x = np.random.default_rng(0).integers(0, 256, (10, 4, 4), np.uint8)
    x.setflags(write=False)
    before = x.copy()
    preparation, rows = fitted(x, MinMax())
    held = preparation.hold(rows, torch.device("cpu"))
    held.batch(torch.arange(3))
    preparation.prepare(rows)
    assert np.array_equal(x, before)


def test_many_rows_are_prepared_as_few_are():
    x = np.random.default_rng(0).normal(size=(9000, 2)) * 7 + 3
    preparation, rows = fitted(x, Standard())
    expected = torch.from_numpy((x - x.mean(0)) / x.std(0)).float()
    torch.testing.assert_close(preparation.prepare(rows), expected, rtol=1e-6, atol=1e-6)


def test_the_scales_of_prepared_columns_are_their_deviations():
    x = np.random.default_rng(0).normal(size=(50, 3)) * [1, 2, 0]
    preparation, rows = fitted(x, Scaling.named("none"))
    found = preparation.scales(preparation.prepare(rows, torch.float64).numpy())
    np.testing.assert_allclose(found, x.std(0), rtol=1e-12)
