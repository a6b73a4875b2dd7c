import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, rel_entr

from attar import SettingError
from attar.codes import SparseKL

DOUBLE = torch.float64


@given(st.floats(0.01, 0.99), st.integers(0, 1000))
def test_the_rate_is_the_sum_of_relative_entropies(target, seed):
    features = torch.randn(7, 4, dtype=DOUBLE, generator=torch.Generator().manual_seed(seed))
    coded = SparseKL(target).build(4)(features)
    mean = expit(features.numpy()).mean(0)
    expected = (rel_entr(target, mean) + rel_entr(1 - target, 1 - mean)).sum()
    np.testing.assert_allclose(coded.rate.numpy(), np.full((1, 7), expected), rtol=1e-9)


def test_the_rate_is_zero_at_the_target():
    features = torch.full((3, 2), 0.25, dtype=DOUBLE).logit()
    rate = SparseKL(0.25).build(2)(features).rate
    torch.testing.assert_close(rate, torch.zeros_like(rate), rtol=0, atol=1e-15)


@pytest.mark.parametrize("feature", [-200.0, 200.0])
def test_the_rate_of_saturated_units_is_finite(feature):
    assert SparseKL().build(2)(torch.full((3, 2), feature)).rate.isfinite().all()


@pytest.mark.parametrize("target", [0, 1, -0.1, 1.1])
def test_a_target_beyond_0_and_1_is_refused(target):
    with pytest.raises(SettingError, match="must lie between 0 and 1"):
        SparseKL(target).build(2)


def test_the_nearest_valid_code_lies_between_0_and_1():
    z = torch.tensor([[-1.0, 0.3, 2.0]])
    assert torch.equal(SparseKL().build(3).constrain(z), torch.tensor([[0.0, 0.3, 1.0]]))
