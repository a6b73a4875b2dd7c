"""Every penalty."""

import math

import pytest
import torch

from attar import SettingError
from attar.codes import Gaussian, Point
from attar.likelihoods import Bernoulli
from attar.networks import Mlp
from attar.parts import Part
from attar.penalties import Penalty
from attar.priors import StandardNormal
from attar.recipe import Recipe
from attar.records import Batch

EVERY = [Penalty.named(name) for name in Penalty.members]
pytestmark = pytest.mark.parametrize("penalty", EVERY, ids=lambda part: part.name)


def objective_of(penalty):
    code = Point(prior=StandardNormal()) if "point" in penalty.needs else Gaussian()
    return Recipe(code, penalties=(penalty,)).build((5,), 3, Mlp((6,), "tanh"), Bernoulli())


def trace_of(objective, rows):
    x = torch.rand(rows, 5)
    return objective.model(Batch(x, x), inputs_require_grad=objective.inputs_require_grad)


def test_it_is_a_finite_scalar_with_a_gradient_for_one_row_and_for_many(penalty):
    objective = objective_of(penalty)
    term = objective.penalties[penalty.name]
    for rows in (1, 2, 20):
        objective.model.zero_grad()
        value = term.value(trace_of(objective, rows))
        assert value.shape == ()
        assert value.isfinite()
        value.backward()
        slopes = [p.grad for p in objective.model.parameters() if p.grad is not None]
        assert slopes
        assert all(slope.isfinite().all() for slope in slopes)


def test_gradient_descent_lowers_it(penalty):
    objective = objective_of(penalty)
    term, model = objective.penalties[penalty.name], objective.model
    with torch.no_grad():
        for weight in model.parameters():
            torch.nn.init.normal_(weight, std=0.6)
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    values = []
    for step in range(50):
        torch.manual_seed(step % 5)
        optimizer.zero_grad()
        value = term.value(trace_of(objective, 30))
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert sum(values[-5:]) < sum(values[:5])


def test_it_survives_json(penalty):
    changed = penalty.replace(weight=0.123)
    assert Part.from_json(changed.to_json()) == changed


@pytest.mark.parametrize("weight", [-1.0, math.nan, math.inf, "1"])
def test_an_invalid_weight_is_refused(penalty, weight):
    with pytest.raises(SettingError, match=r"weight of .* must be 0 or a number above"):
        objective_of(penalty.replace(weight=weight))


def test_it_adds_its_weight_times_its_value_to_the_loss(penalty):
    objective = objective_of(penalty.replace(weight=3.0))
    trace = trace_of(objective, 8)
    torch.manual_seed(2)
    value = objective.penalties[penalty.name].value(trace)
    torch.manual_seed(2)
    torch.testing.assert_close(objective.terms(trace)[penalty.name], 3 * value)
