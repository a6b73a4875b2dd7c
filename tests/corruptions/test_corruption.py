import pytest
import torch
from torch import nn

from attar import SettingError
from attar.codes import Point
from attar.corruptions import Corruption, Masking, Patches, SaltAndPepper
from attar.likelihoods import FixedGaussian
from attar.model import Model
from attar.records import Batch

EVERY = [Corruption.named(name) for name in Corruption.members]


@pytest.mark.parametrize("corruption", EVERY, ids=lambda part: part.name)
class TestEveryCorruption:
    def test_leaves_the_given_values_alone(self, corruption):
        values = torch.rand(20, 3)
        before = values.clone()
        assert not torch.equal(corruption.build()(values), before)
        assert torch.equal(values, before)

    def test_acts_in_training_only_and_never_on_the_target(self, corruption):
        model = Model(
            nn.Identity(), Point().build(50), nn.Identity(), FixedGaussian().build(), corruption.build()
        )
        values = torch.rand(20, 50)
        batch = Batch(values, target=values)
        trace = model(batch)
        assert not torch.equal(trace.inputs, values)
        assert torch.equal(trace.batch.target, values)
        assert torch.equal(model.eval()(batch).inputs, values)
        assert torch.equal(model.encode(values), values)

    def test_its_damage_is_what_it_says_must_be_brought_back(self, corruption):
        values = torch.rand(20, 3, 12) + 0.5
        damaged, asked = corruption.build().damage(values)
        assert (asked is not None) == ("gaps" in corruption.provides)
        if asked is not None:
            assert torch.equal(damaged != values, asked)


@pytest.mark.parametrize(
    "part",
    [
        Masking(-0.1),
        Masking(1.1),
        SaltAndPepper(2.0),
        Masking(float("nan")),
        Masking("half"),
        Patches(1.5),
    ],
)
def test_shares_beyond_0_and_1_are_refused(part):
    with pytest.raises(SettingError, match=r"share of .* must lie between 0 and 1"):
        part.build()
