import pytest
import torch
from torch.distributions import Normal

from attar import Recipe, SettingError
from attar.codes import BatchTopK, Matryoshka
from attar.likelihoods import FixedGaussian
from attar.networks import Linear
from attar.records import Batch


def test_each_draw_of_training_keeps_the_first_units_of_the_whole():
    features = torch.randn(10, 16)
    coded = Matryoshka(3, levels=5).build(16)(features)
    whole = BatchTopK(3).build(16).point(features)
    assert coded.z.shape == (5, 10, 16)
    for z, size in zip(coded.z, (16, 8, 4, 2, 1), strict=True):
        assert torch.equal(z[:, :size], whole[:, :size])
        assert not z[:, size:].any()
    assert torch.equal(coded.rate, torch.zeros(5, 10))


def test_the_log_likelihood_is_the_mean_over_the_nested_dictionaries():
    objective = Recipe(Matryoshka(2, levels=3)).build((5,), 8, Linear(), FixedGaussian())
    x = torch.randn(7, 5)
    trace = objective.model(Batch(x, x))
    layer, z = objective.model.decoder[0], trace.coded.z[0]
    expected = [
        Normal(z[:, :size] @ layer.weight[:, :size].T + layer.bias, 1.0).log_prob(x).sum(1)
        for size in (2, 4, 8)
    ]
    distortion = objective.terms(trace)["distortion"]
    torch.testing.assert_close(distortion, -torch.stack(expected).mean())


def test_outside_training_there_is_but_the_whole():
    code, features = Matryoshka(2).build(8), torch.randn(9, 8)
    code(features)
    code.eval()
    z = code.point(features)
    assert torch.equal(code(features).z, z[None])
    assert torch.equal(code(features, torch.randn(3, 1, 8)).z, torch.stack([z, z, z]))
    assert torch.equal(code.constrain(z), z)


def test_dead_units_are_revived_as_in_the_inner_code():
    features = torch.rand(50, 8)
    features[:, 5] -= 30
    code = Matryoshka(2).build(8)
    assert not code.point(features)[:, 5].any()
    code.on_epoch()
    assert code.point(features)[:, 5].argmax() == features[:, 5].argmax()


@pytest.mark.parametrize("levels", [0, 5, 1.5])
def test_the_levels_must_suit_the_code_size(levels):
    with pytest.raises(SettingError, match="choose levels between 1 and 4"):
        Matryoshka(2, levels).build(8)


def test_k_must_suit_the_code_size():
    with pytest.raises(SettingError, match="choose k between 1 and 4"):
        Matryoshka(5).build(4)


def test_the_smallest_sensible_code_holds_the_active_units_twice_and_every_level():
    assert Matryoshka(5, levels=3).least_size == 10
    assert Matryoshka(2, levels=6).least_size == 32
