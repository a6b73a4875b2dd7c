import copy

import torch

from attar.codes import Gaussian, Point
from attar.likelihoods import Bernoulli
from attar.networks import Linear
from attar.penalties import Adversarial, Permuted
from attar.priors import StandardNormal
from attar.recipe import Recipe
from attar.records import Batch
from attar.training.loop import Opponents


def made(recipe):
    return recipe.build((6,), 2, Linear(), Bernoulli())


def copied(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def changed(before, module):
    return {name for name, tensor in module.state_dict().items() if not tensor.equal(before[name])}


def test_a_step_moves_the_critics_and_nothing_else():
    objective = made(Recipe(Gaussian(), penalties=(Permuted(),)))
    opponents = Opponents(objective, 0.01)
    model, critic = copied(objective.model), copied(objective.critics["factor"])
    opponents.step(objective.trace(Batch(torch.rand(20, 6), torch.rand(20, 6))))
    assert not changed(model, objective.model)
    assert changed(critic, objective.critics["factor"]) == set(critic)


def test_opponents_have_little_momentum():
    """Steps are those of Adam with β₁ = 0.5 and β₂ = 0.9."""
    objective = made(Recipe(Point(prior=StandardNormal()), penalties=(Adversarial(),)))
    trace, critic = objective.trace(Batch(*2 * [torch.rand(20, 6)])), objective.critics
    alone = copy.deepcopy(critic["adversarial"])
    alone.wanted = critic["adversarial"].wanted = torch.ones_like
    adam = torch.optim.Adam(alone.parameters(), 0.01, betas=(0.5, 0.9))
    opponents = Opponents(objective, 0.01)
    for _ in range(3):
        opponents.step(trace)
        adam.zero_grad()
        alone.loss(trace).backward()
        adam.step()
    torch.testing.assert_close(dict(critic["adversarial"].state_dict()), dict(alone.state_dict()))


def test_a_critic_learns_to_tell_codes_from_draws_of_the_prior():
    objective = made(Recipe(Point(prior=StandardNormal()), penalties=(Adversarial(steep=0.0),)))
    opponents, critic = Opponents(objective, 0.01), objective.critics["adversarial"]
    trace = objective.trace(Batch(*2 * [5 + torch.rand(100, 6)]))
    first = critic.loss(trace).item()
    for _ in range(200):
        opponents.step(trace)
    assert critic.loss(trace).item() < 0.5 * first


def test_without_critics_there_is_nothing_to_do():
    objective = made(Recipe(Point()))
    opponents = Opponents(objective, 0.01)
    opponents.step(objective.trace(Batch(torch.rand(4, 6), torch.rand(4, 6))))
    assert opponents.state() == {}


def test_a_state_brings_weights_and_optimizer_back():
    objective = made(Recipe(Gaussian(), penalties=(Permuted(),)))
    trace = objective.trace(Batch(torch.rand(20, 6), torch.rand(20, 6)))
    opponents = Opponents(objective, 0.01)
    opponents.step(trace)
    state = opponents.state()

    def next_step():
        opponents.restore(state)
        torch.manual_seed(3)
        opponents.step(trace)
        return copied(objective.critics["factor"])

    first, second = next_step(), next_step()
    assert all(torch.equal(first[name], second[name]) for name in first)
