import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import skew, yeojohnson, yeojohnson_llf
from sklearn.preprocessing import MinMaxScaler, PowerTransformer, RobustScaler, StandardScaler

from attar.data.scaling import (
    Between,
    MinMax,
    Robust,
    Scaler,
    Scaling,
    Standard,
    Symmetric,
    Unscaled,
    inverse_yeo_johnson,
    skewness,
    yeo_johnson,
)
from attar.data.summary import Moments

PEERS = [(Standard(), StandardScaler()), (MinMax(), MinMaxScaler()), (Robust(), RobustScaler())]
SCALINGS = [Scaling.named(name) for name in Scaling.members]
TABLES = arrays(
    np.float64,
    st.tuples(st.integers(2, 9), st.integers(1, 4)),
    elements=st.floats(-1e6, 1e6, width=32),
)


def scaled(scaling, x):
    return scaler_of(scaling, x)(torch.from_numpy(np.asarray(x, np.float64))).numpy()


def fitted(scaling, x):
    return scaling.fit(Moments.of(x), x)


def scaler_of(scaling, x):
    scales = fitted(scaling, x)
    return Scaler(
        scales.shift,
        scales.scale,
        scales.power,
        None if scales.tail is None else np.array(scales.tail),
    )


@pytest.mark.parametrize(("scaling", "peer"), PEERS, ids=lambda part: type(part).__name__)
@given(seed=st.integers(0, 1000))
def test_a_scaling_is_scikit_learns(scaling, peer, seed):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(30, 4)) * [1, 1e-3, 1e5, 1] + [0, 3, 1e6, -7]
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
    scaler = scaler_of(scaling, x)
    back = scaler.inverse(scaler(torch.from_numpy(x))).numpy()
    np.testing.assert_allclose(back, x, rtol=1e-9, atol=1e-9 * np.abs(x).max() + 1e-300)


@pytest.mark.parametrize("scaling", SCALINGS, ids=lambda part: part.name)
@pytest.mark.parametrize("value", [0.0, 0.1, -7.3, 1e9 + 0.1, 1e-30, 255])
def test_a_constant_column_has_scale_one(scaling, value):
    scales = fitted(scaling, np.full((1000, 1), value))
    assert scales.scale.tolist() == [1.0]
    assert scales.power is None
    shift = 0.0 if isinstance(scaling, Between | Unscaled) else value
    assert scales.shift[0] == pytest.approx(shift, rel=1e-15)


@pytest.mark.parametrize("scaling", SCALINGS, ids=lambda part: part.name)
def test_read_only_numbers_are_taken_and_left_alone(scaling):
    x = np.random.default_rng(0).normal(size=(9, 2))
    before = x.copy()
    x.setflags(write=False)
    for numbers in (x, x.astype(np.float32)):
        numbers.setflags(write=False)
        scales = fitted(scaling, numbers)
        assert scales.shift.dtype == scales.scale.dtype == np.float64
    assert np.array_equal(x, before)


def test_unscaled_values_stay_as_they_are():
    x = np.random.default_rng(0).normal(size=(9, 2))
    assert np.array_equal(scaled(Unscaled(), x), x)


def test_outliers_do_not_move_a_robust_scaling():
    x = np.arange(101.0)[:, None]
    y = x.copy()
    y[-1] = 1e12
    first, second = fitted(Robust(), x), fitted(Robust(), y)
    assert (first.shift.tolist(), first.scale.tolist()) == ([50.0], [50.0])
    assert (second.shift.tolist(), second.scale.tolist()) == ([50.0], [50.0])


GAPS = arrays(
    np.float64,
    st.tuples(st.integers(1, 12), st.integers(1, 4)),
    elements=st.floats(-1e6, 1e6, width=32) | st.just(np.nan),
)


@pytest.mark.parametrize(("scaling", "peer"), PEERS, ids=lambda part: type(part).__name__)
@given(seed=st.integers(0, 1000))
def test_missing_values_are_left_out_and_stay_missing(scaling, peer, seed):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(30, 3)) * [1, 1e-3, 1e5] + [0, 3, 1e6]
    x[generator.random(x.shape) < 0.3] = np.nan
    np.testing.assert_allclose(scaled(scaling, x), peer.fit_transform(x), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("scaling", SCALINGS, ids=lambda part: part.name)
@given(GAPS)
def test_columns_with_missing_values_come_back(scaling, x):
    scaler = scaler_of(scaling, x)
    assert scaler.shift.isfinite().all()
    assert (scaler.scale > 0).all()
    back = scaler.inverse(scaler(torch.from_numpy(x))).numpy()
    largest = np.nanmax(np.abs(x), initial=0)
    np.testing.assert_allclose(back, x, rtol=1e-9, atol=1e-9 * largest + 1e-300)


@pytest.mark.parametrize("scaling", SCALINGS, ids=lambda part: part.name)
def test_a_column_without_a_value_is_left_as_it_is(scaling):
    x = np.column_stack([np.full(50, np.nan), np.arange(50.0)])
    scales = fitted(scaling, x)
    assert (scales.shift[0], scales.scale[0]) == (0, 1)


POWERS = [0.0, 1e-12, 0.3, 0.5, 1.0, 1.4, 2 - 1e-12, 2.0]


@pytest.mark.parametrize("power", POWERS)
def test_the_power_transform_is_scipys(power):
    x = np.concatenate([np.linspace(-9, 9, 181), [1e-12, -1e-12, 1e4, -1e4]])
    found = yeo_johnson(torch.from_numpy(x), torch.tensor(power, dtype=torch.float64)).numpy()
    # An exponent of 1e-12 counts as 0.
    np.testing.assert_allclose(found, yeojohnson(x, power), rtol=1e-11, atol=1e-15)


@given(
    st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=9),
    st.floats(0, 2) | st.sampled_from(POWERS),
)
def test_the_inverse_undoes_the_power_transform(values, power):
    x = torch.tensor(values, dtype=torch.float64)
    power = torch.tensor(power, dtype=torch.float64)
    back = inverse_yeo_johnson(yeo_johnson(x, power), power)
    torch.testing.assert_close(back, x, rtol=1e-10, atol=1e-12)
    assert (yeo_johnson(x, power).sign() == x.sign()).all()


@given(st.floats(0, 2))
def test_the_power_transform_keeps_the_order(power):
    x = torch.linspace(-20, 20, 999, dtype=torch.float64)
    assert (yeo_johnson(x, torch.tensor(power, dtype=torch.float64)).diff() > 0).all()


def test_what_is_missing_stays_missing_when_transformed():
    x = torch.tensor([[torch.nan, 1.0]], dtype=torch.float64)
    power = torch.tensor([0.5, 0.5], dtype=torch.float64)
    assert yeo_johnson(x, power).isnan().tolist() == [[True, False]]
    assert inverse_yeo_johnson(x, power).isnan().tolist() == [[True, False]]


def skewed(n=3000, seed=0):
    generator = np.random.default_rng(seed)
    return np.column_stack(
        [
            generator.lognormal(3, 1, n),
            -generator.gamma(0.7, 5, n),
            generator.normal(7, 3, n),
            np.full(n, 4.0),
            generator.random(n) < 0.5,
        ]
    )


def test_skewed_columns_are_transformed_as_scikit_learn_does():
    x = skewed()[:, :2]
    found = scaled(Symmetric(), x)
    # Scikit-learn has no bounds; where its power lies between 0 and 2 both find the same.
    peer = PowerTransformer().fit((x - x.mean(0)) / x.std(0))
    powers = fitted(Symmetric(), x).power[0]
    for j in range(2):
        if 0.01 < peer.lambdas_[j] < 1.99:
            assert powers[j] == pytest.approx(peer.lambdas_[j], abs=1e-4)
            expected = peer.transform((x - x.mean(0)) / x.std(0))[:, j]
            np.testing.assert_allclose(found[:, j], expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(found.mean(0), 0, atol=1e-9)
    np.testing.assert_allclose(found.std(0), 1, rtol=1e-9)


@settings(max_examples=10)
@given(st.integers(0, 200))
def test_the_power_is_the_likeliest_from_0_to_2(seed):
    generator = np.random.default_rng(seed)
    x = generator.lognormal(0, generator.uniform(0.8, 2), (500, 1)) * generator.choice([-1, 1])
    power = fitted(Symmetric(), x).power[0, 0]
    standard = (x[:, 0] - x.mean()) / x.std()
    others = [yeojohnson_llf(other, standard) for other in np.linspace(0, 2, 101)]
    assert yeojohnson_llf(power, standard) >= max(others) - 1e-4 * abs(max(others))


def test_transformed_columns_are_less_skewed_and_the_others_are_standardized():
    x = skewed()
    scales = fitted(Symmetric(), x)
    found, plain = scaled(Symmetric(), x), scaled(Standard(), x)
    for j in range(2):
        assert abs(skew(found[:, j])) < 1 < 1.5 < abs(skew(x[:, j]))
    # To the last bit: what is not skewed is not touched.
    np.testing.assert_array_equal(found[:, 2:], plain[:, 2:])
    np.testing.assert_array_equal(scales.power[:, 2:], [[1] * 3, [0] * 3, [1] * 3])


def test_missing_values_do_not_change_the_power():
    x = skewed()
    holed = np.concatenate([x, np.full((500, x.shape[1]), np.nan)])
    complete, missing = fitted(Symmetric(), x), fitted(Symmetric(), holed)
    np.testing.assert_allclose(missing.power, complete.power, rtol=1e-6, atol=1e-9)


def test_a_tolerance_says_what_is_skewed():
    x = skewed()[:, :1]
    assert fitted(Symmetric(tolerance=100.0), x).power is None
    slight = np.random.default_rng(0).gamma(20, 1, (5000, 1))
    assert fitted(Symmetric(), slight).power is None
    assert fitted(Symmetric(tolerance=0.1), slight).power is not None


@given(TABLES)
def test_skewness_is_scipys(x):
    x = x / 1e3
    varies = np.ptp(x, axis=0) > 1e-6 * np.abs(x).max()
    expected = np.where(varies, skew(np.where(varies, x, np.arange(len(x))[:, None])), 0)
    np.testing.assert_allclose(skewness(x)[varies], expected[varies], rtol=1e-6, atol=1e-6)
    holed = np.concatenate([x, np.full((3, x.shape[1]), np.nan)])
    np.testing.assert_allclose(skewness(holed), skewness(x), rtol=1e-9, atol=1e-12)


def test_a_scaler_comes_back_from_its_buffers():
    x = skewed()
    scaler = scaler_of(Symmetric(), x)
    back = Scaler.restored(scaler.state_dict())
    assert torch.equal(back(torch.from_numpy(x)), scaler(torch.from_numpy(x)))
    plain = Scaler.restored(scaler_of(Standard(), x).state_dict())
    assert plain.power is None


def test_values_far_out_are_compressed_in_order_and_stay_finite():
    x = np.array([[-1e308], [-5.0], [0.0], [5.0], [10.0], [20.0], [1e30], [1e308]])
    y = scaled(Between((0.0,), (10.0,)), x)[:, 0]
    np.testing.assert_allclose(y, [-1, -1 / 3, 0, 0.5, 1, 1.5, 2, 2], rtol=1e-12)
    clipped = scaled(Between((0.0,), (10.0,), tail=0.0), x)[:, 0]
    np.testing.assert_array_equal(clipped, (x[:, 0] / 10).clip(0, 1))
