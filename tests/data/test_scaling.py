import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

from attar.data.scaling import MinMax, Robust, Scaler, Scaling, Standard, Unscaled

PEERS = [(Standard(), StandardScaler()), (MinMax(), MinMaxScaler()), (Robust(), RobustScaler())]
SCALINGS = [Scaling.named(name) for name in Scaling.members]
TABLES = arrays(
    np.float64,
    st.tuples(st.integers(2, 9), st.integers(1, 4)),
    elements=st.floats(-1e6, 1e6, width=32),
)


def scaled(scaling, x):
    return Scaler(*scaling.fit(x))(torch.from_numpy(np.asarray(x, np.float64))).numpy()


@pytest.mark.parametrize(("scaling", "peer"), PEERS, ids=lambda part: type(part).__name__)
@given(seed=st.integers(0, 1000))
def test_a_scaling_is_scikit_learns(scaling, peer, seed):
    chance = np.random.default_rng(seed)
    x = chance.normal(size=(30, 4)) * [1, 1e-3, 1e5, 1] + [0, 3, 1e6, -7]
    x[:, 3] = 5.0
    np.testing.assert_allclose(scaled(scaling, x), peer.fit_transform(x), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(("scaling", "peer"), PEERS, ids=lambda part: type(part).__name__)
@pytest.mark.parametrize(
    "dtype", ["uint8", "bool", "int16", "int64", "float32", "float16", ">f8", ">i4", "uint32"]
)
def test_numbers_of_any_type_are_scaled_alike(scaling, peer, dtype):
    x = np.random.default_rng(0).integers(0, 2 if dtype == "bool" else 100, (50, 3)).astype(dtype)
    expected = peer.fit_transform(x.astype(np.float64))
    np.testing.assert_allclose(scaled(scaling, x), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("scaling", SCALINGS, ids=lambda part: part.name)
@given(TABLES)
def test_scaling_back_gives_the_raw_values(scaling, x):
    scaler = Scaler(*scaling.fit(x))
    back = scaler.inverse(scaler(torch.from_numpy(x))).numpy()
    np.testing.assert_allclose(back, x, rtol=1e-9, atol=1e-9 * np.abs(x).max() + 1e-300)


@pytest.mark.parametrize("scaling", SCALINGS, ids=lambda part: part.name)
@pytest.mark.parametrize("value", [0.0, 0.1, -7.3, 1e9 + 0.1, 1e-30, 255])
def test_a_constant_column_has_scale_one(scaling, value):
    shift, scale = scaling.fit(np.full((1000, 1), value))
    assert scale.tolist() == [1.0]
    assert shift[0] == pytest.approx(0.0 if scaling == Unscaled() else value, rel=1e-15)


@pytest.mark.parametrize("scaling", SCALINGS, ids=lambda part: part.name)
def test_read_only_numbers_are_taken_and_left_alone(scaling):
    x = np.random.default_rng(0).normal(size=(9, 2))
    before = x.copy()
    x.setflags(write=False)
    for numbers in (x, x.astype(np.float32)):
        numbers.setflags(write=False)
        shift, scale = scaling.fit(numbers)
        assert shift.dtype == scale.dtype == np.float64
    assert np.array_equal(x, before)


def test_unscaled_values_stay_as_they_are():
    x = np.random.default_rng(0).normal(size=(9, 2))
    assert np.array_equal(scaled(Unscaled(), x), x)


def test_outliers_do_not_move_a_robust_scaling():
    x = np.arange(101.0)[:, None]
    y = x.copy()
    y[-1] = 1e12
    assert [v.tolist() for v in Robust().fit(x)] == [v.tolist() for v in Robust().fit(y)]
