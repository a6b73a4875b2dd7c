import pytest
import torch
from torch.nn import functional

from attar import SettingError
from attar.codes import Point
from attar.networks.base import ACTIVATIONS

TRUTHS = {
    "identity": lambda x: x,
    "relu": functional.relu,
    "leaky-relu": functional.leaky_relu,
    "elu": functional.elu,
    "gelu": functional.gelu,
    "silu": functional.silu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_point_is_the_activation_of_its_features_at_no_rate(name):
    features = torch.randn(6, 3)
    code = Point(name).build(3)
    coded = code(features)
    assert torch.equal(coded.z, TRUTHS[name](features)[None])
    assert torch.equal(coded.rate, torch.zeros(1, 6))
    assert torch.equal(code.point(features), coded.z[0])
    assert coded.log_q is None
    assert coded.log_p is None


def test_noise_changes_nothing():
    features, code = torch.randn(6, 3), Point().build(3)
    assert torch.equal(code(features, torch.randn(4, 1, 3)).z, code(features).z)


def test_an_unknown_activation_suggests_the_nearest():
    with pytest.raises(SettingError, match="did you mean 'relu'"):
        Point("rellu").build(3)


def test_a_point_has_no_prior_and_no_density():
    assert Point().build(3).prior is None
    assert "density" not in Point().provides
    assert Point().beta == 0
