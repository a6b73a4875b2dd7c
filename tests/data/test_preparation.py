import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from attar.data.kinds import kind_of, preparation
from attar.data.scaling import Between, MinMax, Robust, Scaling, Standard, Symmetric

SCALINGS = [Scaling.named(name) for name in Scaling.members]
TYPES = ["bool", "uint8", "int16", "int32", "float32", "float64"]


def fitted(data, scaling):
    kind, summary = kind_of(data).of([data])
    return preparation(kind, scaling, summary), kind.rows(data)


def restored(how, prepared):
    return how.kind.restore(how.raw(prepared))


@given(st.data())
def test_data_comes_back_in_its_own_form(data):
    dtype = np.dtype(data.draw(st.sampled_from(TYPES)))
    shape = data.draw(array_shapes(min_dims=2, max_dims=4, max_side=4))
    elements = {"min_value": -1000, "max_value": 1000} if dtype.kind in "if" else {}
    x = data.draw(arrays(dtype, shape, elements=elements))
    how, rows = fitted(x, data.draw(st.sampled_from(SCALINGS)))
    back = restored(how, how.prepare(rows, torch.float64))
    assert back.dtype == x.dtype
    if dtype.kind == "f":
        np.testing.assert_allclose(back, x, rtol=1e-6, atol=1e-6)
    else:
        np.testing.assert_array_equal(back, x)


@pytest.mark.parametrize("scaling", SCALINGS, ids=lambda part: part.name)
def test_bytes_and_truths_come_back_from_single_precision_too(scaling):
    generator = np.random.default_rng(0)
    for x in (generator.integers(0, 256, (20, 5, 4, 3), np.uint8), generator.random((20, 5)) < 0.3):
        how, rows = fitted(x, scaling)
        np.testing.assert_array_equal(restored(how, how.prepare(rows)), x)


@pytest.mark.parametrize("scaling", [Standard(), MinMax(), Robust()], ids=lambda part: part.name)
def test_large_offsets_cost_no_digits(scaling):
    moved = np.random.default_rng(0).normal(size=(200, 1))
    plain, rows = fitted(moved, scaling)
    expected = plain.prepare(rows, torch.float64)
    how, rows = fitted(1.6e9 + moved, scaling)
    found = how.prepare(rows)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(restored(how, found), 1.6e9 + moved, rtol=0, atol=1e-6)


def test_a_frame_comes_back_with_its_columns_and_dtypes():
    frame = pd.DataFrame({"year": [1990, 2024], "share": [0.25, 0.5], "paid": [True, False]})
    how, rows = fitted(frame, Standard())
    pd.testing.assert_frame_equal(restored(how, how.prepare(rows)), frame)


@pytest.mark.parametrize("scaling", SCALINGS, ids=lambda part: part.name)
def test_a_constant_column_is_prepared_as_finite_numbers_and_comes_back(scaling):
    x = np.column_stack([np.full(9, 1e9 + 0.1), np.arange(9.0)])
    if isinstance(scaling, Between):  # compresses what lies beyond its limits
        scaling = Between((0.0,), (2e9,))
    how, rows = fitted(x, scaling)
    prepared = how.prepare(rows, torch.float64)
    assert prepared.isfinite().all()
    assert (prepared[:, 0] == prepared[0, 0]).all()
    np.testing.assert_allclose(restored(how, prepared), x, rtol=1e-15)


@pytest.mark.parametrize("dtype", ["uint8", "bool", "float64", "int32"])
@pytest.mark.parametrize("channels_last", [False, True])
def test_held_rows_are_the_prepared_ones(dtype, channels_last):
    shape = (30, 4, 5, 3) if channels_last else (30, 6)
    x = np.random.default_rng(0).integers(0, 200, shape).astype(dtype)
    how, rows = fitted(x, MinMax())
    held = how.hold(rows, torch.device("cpu"))
    assert held.values.dtype == (torch.uint8 if dtype in ("uint8", "bool") else torch.float32)
    index = torch.tensor([3, 29, 0])
    expected = how.prepare(rows)[index]
    torch.testing.assert_close(held.batch(index).target, expected, rtol=1e-6, atol=1e-7)


def test_read_only_data_is_taken_and_left_alone():
    x = np.random.default_rng(0).integers(0, 256, (10, 4, 4), np.uint8)
    x.setflags(write=False)
    before = x.copy()
    how, rows = fitted(x, MinMax())
    held = how.hold(rows, torch.device("cpu"))
    held.batch(torch.arange(3))
    how.prepare(rows)
    assert np.array_equal(x, before)


def test_many_rows_are_prepared_as_few_are():
    x = np.random.default_rng(0).normal(size=(9000, 2)) * 7 + 3
    how, rows = fitted(x, Standard())
    expected = torch.from_numpy((x - x.mean(0)) / x.std(0)).float()
    torch.testing.assert_close(how.prepare(rows), expected, rtol=1e-6, atol=1e-6)


def test_prepared_columns_that_have_a_unit_are_known():
    frame = pd.DataFrame({"a": [0.5, 1.5, 4.0], "word": ["x", "y", "x"], "n": [3, 9, 1]})
    kind, summary = kind_of(frame).of([frame])
    how = preparation(kind, Scaling.named("none"), summary)
    names, columns = kind.with_unit(how.prepare(kind.rows(frame)).numpy())
    assert names == ["a", "n"]
    np.testing.assert_array_equal(columns, frame[["a", "n"]])


@given(st.data())
def test_missing_cells_stay_missing_there_and_back(data):
    shape = data.draw(array_shapes(min_dims=2, max_dims=4, max_side=4))
    # Whatever is far out would be cut off.
    cells = st.floats(-1000, 1000).map(lambda value: round(value, 2)) | st.just(np.nan)
    x = data.draw(arrays(np.float64, shape, elements=cells))
    how, rows = fitted(x, data.draw(st.sampled_from(SCALINGS)))
    prepared = how.prepare(rows, torch.float64)
    np.testing.assert_allclose(restored(how, prepared), x, rtol=1e-6, atol=1e-6)
    batch = how.batch(rows, torch.float64, torch.device("cpu"))
    assert torch.equal(batch.observed, ~prepared.isnan())
    assert torch.equal(batch.target, prepared.nan_to_num(0.0))


def mixed_frame(n=60):
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "income": generator.lognormal(8, 2, n),
            "town": generator.choice(["Bonn", "Ulm", "Trier"], n),
            "rooms": generator.integers(1, 9, n),
            "paid": generator.random(n) < 0.4,
            "size": generator.normal(size=n),
        }
    )
    frame.loc[3:9, "income"] = np.nan
    frame.loc[[0, 20], "town"] = None
    return frame


def test_a_frame_with_missing_cells_and_a_power_transform_comes_back():
    frame = mixed_frame()
    how, rows = fitted(frame, Symmetric())
    assert how.scaler.power is not None
    prepared = how.prepare(rows, torch.float64)
    assert prepared.shape == (60, 1 + 3 + 1 + 1 + 1)
    # A missing category is missing in all of its features.
    assert prepared[[0, 20], 1:4].isnan().all()
    assert (prepared[1:20, 1:4].sum(1) == 1).all()
    back = restored(how, prepared)
    pd.testing.assert_frame_equal(back, frame, rtol=1e-9)


def test_only_what_has_a_unit_is_scaled():
    frame = mixed_frame()
    for scaling in SCALINGS:
        how, rows = fitted(frame, scaling)
        prepared = how.prepare(rows, torch.float64)
        assert set(prepared[1, 1:4].tolist()) == {0.0, 1.0}
        assert set(prepared[:, 5].tolist()) == {0.0, 1.0}


def test_held_rows_with_missing_cells_are_the_prepared_ones():
    how, rows = fitted(mixed_frame(), Symmetric())
    held = how.hold(rows, torch.device("cpu"))
    assert held.missing
    index = torch.tensor([3, 20, 0, 59])
    expected = how.prepare(rows)[index]
    batch = held.batch(index)
    assert torch.equal(batch.observed, ~expected.isnan())
    torch.testing.assert_close(batch.target, expected.nan_to_num(0.0), rtol=0, atol=0)


def test_rows_without_missing_cells_are_held_without_a_mask():
    how, rows = fitted(np.random.default_rng(0).normal(size=(9, 3)), Standard())
    assert how.hold(rows, torch.device("cpu")).batch(torch.arange(3)).observed is None


def test_columns_that_are_not_transformed_are_exactly_standardized():
    generator = np.random.default_rng(0)
    x = np.column_stack([generator.lognormal(0, 1.5, 500), generator.normal(5, 2, (500, 2))])
    transformed, rows = fitted(x, Symmetric())
    plain, _ = fitted(x, Standard())
    assert transformed.scaler.power is not None
    assert torch.equal(transformed.prepare(rows)[:, 1:], plain.prepare(rows)[:, 1:])
    np.testing.assert_array_equal(
        transformed.raw(transformed.prepare(rows))[:, 1:], plain.raw(plain.prepare(rows))[:, 1:]
    )
