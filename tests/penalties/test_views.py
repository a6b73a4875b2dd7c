import numpy as np
import pytest
import torch
from torch import nn

import attar
from attar import SettingError
from attar.codes import Point
from attar.corruptions import GaussianNoise, Patches, Splicing
from attar.likelihoods import FixedGaussian
from attar.model import Model
from attar.objective import Objective
from attar.penalties import Views
from attar.penalties.views import views_loss
from attar.records import Batch


def objective_of(corruption, penalty):
    likelihood = FixedGaussian().build()
    parts = nn.Identity(), Point().build(6), nn.Identity(), likelihood, corruption.build()
    model = Model(*parts)
    return Objective(model, penalties={"views": penalty.build(model, 6, (6,))})


def test_the_loss_is_that_of_the_paper():
    a, b = torch.randn(2, 50, 6, dtype=torch.float64) * torch.linspace(0.2, 2, 6)
    expected = 3 * np.square(a.numpy() - b.numpy()).mean()
    for z in (a.numpy(), b.numpy()):
        c = np.cov(z.T, bias=True)
        hinge = np.maximum(0, 1 - np.sqrt(np.diag(c) + 1e-4)).mean()
        expected += (2 * hinge + (np.square(c).sum() - np.square(np.diag(c)).sum()) / 6) / 2
    assert views_loss(a, b, 3.0, 2.0).item() == pytest.approx(expected)


def test_decorrelated_codes_of_equal_views_cost_nothing():
    z = 2 * torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    assert views_loss(z, z, 25.0, 25.0) == 0


def test_the_second_view_is_another_draw_of_the_corruption():
    objective = objective_of(GaussianNoise(0.5), Views(0.5, invariance=3.0, variance=2.0))
    seen = []
    objective.heads["views"].register_forward_hook(lambda *passed: seen.append(passed[1:]))
    rows = torch.randn(20_000, 6)
    penalty = objective.terms(objective.trace(Batch.of(rows)))["views"]
    (((codes,), projected),) = seen
    a, b = (codes - torch.cat([rows, rows])).chunk(2)
    assert a.std().item() == pytest.approx(0.5, rel=0.01)
    assert b.std().item() == pytest.approx(0.5, rel=0.01)
    assert (a * b).mean().abs() < 0.01
    one, other = projected.chunk(2)
    loss = views_loss(one, other, 3.0, 2.0).item()
    assert penalty.item() == pytest.approx(0.5 * 6 * loss)  # of six cells


def test_the_projection_is_trained_and_in_no_model_file():
    rows = np.random.default_rng(0).normal(size=(60, 6))
    recipe = attar.Recipe(Point(), corruption=GaussianNoise(), penalties=(Views(width=8),))
    ae = attar.Autoencoder(recipe, code_size=2, epochs=1, random_state=0).fit(rows)
    assert not [name for name in ae.fitted_.tensors() if "views" in name or "head" in name]


def test_masked_cells_stay_hidden_in_both_views():
    objective = objective_of(Patches(0.5, 1), Views())
    seen = []
    objective.model.encoder.register_forward_hook(lambda _, inputs, output: seen.append(inputs[0]))
    objective.terms(objective.trace(Batch.of(torch.ones(3, 6))))
    assert [view.sum(1).tolist() for view in seen] == [[3.0] * 3] * 2
    assert not torch.equal(*seen)


@pytest.mark.parametrize("field", ["weight", "invariance", "variance"])
def test_negative_weights_are_refused(field):
    with pytest.raises(SettingError, match=f"{field} of .* must be 0 or"):
        objective_of(GaussianNoise(), Views(**{field: -1.0}))


def test_a_corruption_that_makes_other_rows_is_refused():
    objective = objective_of(Splicing(), Views())
    rows = torch.randn(8, 1, 6)
    batch = Batch(rows, rows)
    with pytest.raises(SettingError, match="two views of each row"):
        objective.penalties["views"].value(objective.model(batch))
