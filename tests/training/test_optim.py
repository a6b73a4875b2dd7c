"""Optimizers and learning rate schedules."""

import json
import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attar import SettingError
from attar.training import Constant, Cosine, OneCycle, Optimizer, Schedule
from attar.training.optim import ALGORITHMS, DEFAULTS, SCALED_EPS, drop_denormals

DOUBLE = torch.float64
START, RATE = torch.tensor([1.0, -2.0, 0.5], dtype=DOUBLE), 0.1


def sgd(w, g, step):
    # Nesterov's momentum as torch computes it.
    velocity = 0.9 * step.get("v", 0) + g
    step["v"] = velocity
    return w - RATE * (g + 0.9 * velocity)


def rmsprop(w, g, step):
    step["s"] = 0.99 * step.get("s", 0) + 0.01 * g**2
    return w - RATE * g / (step["s"] ** 0.5 + 1e-8)


def adam(w, g, step):
    t = step["t"] = step.get("t", 0) + 1
    step["m"] = 0.9 * step.get("m", 0) + 0.1 * g
    step["s"] = 0.99 * step.get("s", 0) + 0.01 * g**2
    mean, square = step["m"] / (1 - 0.9**t), step["s"] / (1 - 0.99**t)
    return w - RATE * mean / (square**0.5 + 1e-8)


def adamw(w, g, step):
    return adam(w * (1 - RATE * 0.01), g, step)


STEPS = {"sgd": sgd, "rmsprop": rmsprop, "adam": adam, "adamw": adamw}


def test_each_optimizer_with_own_defaults_is_tested():
    assert set(STEPS) == set(DEFAULTS)


@pytest.mark.parametrize("name", STEPS)
def test_steps_are_those_of_the_paper(name):
    weight = torch.nn.Parameter(START.clone())
    optimizer = Optimizer.named(name).build([weight], RATE)
    expected, state = START.clone(), {}
    scale = torch.tensor([1.0, 5.0, 0.2], dtype=DOUBLE)
    for _ in range(4):
        optimizer.zero_grad()
        (scale * weight.square() / 2).sum().backward()
        expected = STEPS[name](expected, scale * expected, state)
        optimizer.step()
        torch.testing.assert_close(weight.detach(), expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", STEPS)
def test_a_regression_finds_the_least_squares(name):
    x, y = torch.randn(50, 4, dtype=DOUBLE), torch.randn(50, 1, dtype=DOUBLE)
    part = Optimizer(name, {"weight_decay": 0.0})
    layer = torch.nn.Linear(4, 1, bias=False, dtype=DOUBLE)
    rate = 0.05 if name != "sgd" else 0.1
    optimizer = part.build(layer.parameters(), rate)
    for step in range(600):
        for group in optimizer.param_groups:
            group["lr"] = rate * (1 - step / 600)
        optimizer.zero_grad()
        (layer(x) - y).square().mean().backward()
        optimizer.step()
    best = torch.linalg.lstsq(x, y).solution.T
    torch.testing.assert_close(layer.weight.detach(), best, rtol=1e-3, atol=1e-4)


def test_weight_decay_shrinks_weights_without_a_gradient():
    weight = torch.nn.Parameter(START.clone())
    optimizer = Optimizer("adamw", {"weight_decay": 0.5}).build([weight], RATE)
    weight.grad = torch.zeros_like(weight)
    optimizer.step()
    torch.testing.assert_close(weight.detach(), START * (1 - RATE * 0.5))


@pytest.mark.parametrize("name", sorted(set(Optimizer.members) - set(DEFAULTS)))
def test_other_optimizers_are_torchs(name):
    weight, expected = (torch.nn.Parameter(START[:, None].clone()) for _ in range(2))
    optimizer = Optimizer(name).build([weight], RATE)
    torchs = ALGORITHMS[name]([expected], lr=RATE)
    for _ in range(3):
        for parameter, follows in ((weight, optimizer), (expected, torchs)):
            parameter.grad = parameter.detach() ** 3
            follows.step()
    assert torch.equal(weight, expected)
    assert not torch.equal(weight, START[:, None])
    assert Optimizer(name).learning_rate == ALGORITHMS[name]([expected]).defaults["lr"]


@pytest.mark.parametrize(
    ("name", "setting", "value"),
    [
        ("sgd", "nesterov", False),
        ("rmsprop", "alpha", 0.5),
        ("adam", "betas", (0.5, 0.6)),
        ("adamw", "weight_decay", 0.2),
        ("nadam", "momentum_decay", 0.1),
    ],
)
def test_settings_reach_torch(name, setting, value):
    weight = torch.nn.Parameter(START.clone())
    usual = Optimizer(name).build([weight], 0.3).defaults
    changed = Optimizer(name, {setting: value}).build([weight], 0.3).defaults
    assert usual["lr"] == 0.3
    assert usual[setting] != value
    assert changed == usual | {setting: value}


def test_the_learning_rate_may_be_a_setting():
    assert Optimizer("sgd").learning_rate == 1.0
    assert Optimizer("sgd", {"lr": 0.25}).learning_rate == 0.25


def test_the_order_of_settings_does_not_matter():
    settings = {"weight_decay": 0.1, "betas": (0.5, 0.6)}
    first, second = Optimizer("adam", settings), Optimizer("adam", dict(reversed(settings.items())))
    assert first == second
    assert hash(first) == hash(second)
    assert Optimizer.from_json(json.loads(json.dumps(first.to_json()))) == first


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (Optimizer("nadan"), "no optimizer named 'nadan': did you mean 'nadam'"),
        (Optimizer("adam", "betas"), "must be a mapping"),
        (Optimizer("lbfgs"), "no optimizer named 'lbfgs'"),
        (
            Optimizer("adam", {"beta": 0.5}),
            "no setting of 'adam' named 'beta': did you mean 'betas'",
        ),
    ],
)
def test_unknown_names_are_refused(wrong, words):
    with pytest.raises(SettingError, match=words):
        wrong.build([torch.nn.Parameter(START.clone())], RATE)


# RAdam's first steps are as long as the gradient.
@pytest.mark.parametrize("name", sorted(SCALED_EPS - {"radam"}))
def test_gradients_per_cell_make_the_steps_of_gradients_per_row(name):
    weight, other = (torch.nn.Parameter(START.clone()) for _ in range(2))
    row = Optimizer(name).build([weight], RATE)
    cell = Optimizer(name).build([other], RATE, cells=20_000)
    for _ in range(3):
        gradient = torch.tensor([1.0, 1e-8, -1e-5], dtype=DOUBLE)
        weight.grad, other.grad = gradient, gradient / 20_000
        row.step()
        cell.step()
    torch.testing.assert_close(other, weight, rtol=1e-6, atol=0)


def test_denormal_means_alone_are_set_to_zero():
    weight = torch.nn.Parameter(torch.ones(4))
    optimizer = Optimizer().build([weight], 0.1)
    weight.grad = torch.tensor([1.0, 0.0, 1e-3, 0.0])
    optimizer.step()
    optimizer.state[weight]["exp_avg"][1] = 1e-39
    # Far below what single precision adds to 1, but no denormal number.
    optimizer.state[weight]["exp_avg"][3] = 1e-28
    before = {name: tensor.clone() for name, tensor in optimizer.state[weight].items()}
    drop_denormals(optimizer)
    after = optimizer.state[weight]
    assert after["exp_avg"][1] == 0
    assert torch.equal(after["exp_avg"][[0, 2, 3]], before["exp_avg"][[0, 2, 3]])
    assert torch.equal(after["exp_avg_sq"], before["exp_avg_sq"])
    assert torch.equal(after["step"], before["step"])


FRACTIONS = st.floats(0, 1)


@given(FRACTIONS)
def test_constant_is_one(fraction):
    assert Constant().factor(fraction) == 1


@given(FRACTIONS)
def test_cosine_is_half_of_one_plus_the_cosine(fraction):
    assert Cosine().factor(fraction) == pytest.approx(
        (1 + math.cos(math.pi * fraction)) / 2, abs=1e-15
    )


def test_cosine_is_torchs_annealing():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 1.0)
    peer = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 20)
    for step in range(20):
        assert Cosine().factor(step / 20) == pytest.approx(peer.get_last_lr()[0], abs=1e-12)
        optimizer.step()
        peer.step()


def test_one_cycle_is_torchs():
    steps, warmup, start = 21, 0.25, 0.04
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 1.0)
    peer = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 1.0, steps, pct_start=6 / 21, div_factor=1 / start, final_div_factor=1e12
    )
    schedule = OneCycle(warmup, start)
    for step in range(steps):
        assert schedule.factor(step / 20) == pytest.approx(peer.get_last_lr()[0], abs=1e-9)
        optimizer.step()
        peer.step()


@given(st.floats(0, 1), st.floats(0, 1), FRACTIONS)
def test_one_cycle_rises_from_its_start_to_one_and_falls_to_zero(warmup, start, fraction):
    schedule = OneCycle(warmup, start)
    assert 0 <= schedule.factor(fraction) <= 1
    if warmup > 0:
        assert schedule.factor(0.0) == pytest.approx(start)
        assert schedule.factor(fraction * warmup) <= schedule.factor(warmup) + 1e-12
    assert schedule.factor(warmup) == pytest.approx(1)
    if warmup < 0.999:
        assert schedule.factor(1.0) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("name", Schedule.members)
def test_a_schedule_is_continuous(name):
    schedule = Schedule.named(name)
    factors = [schedule.factor(i / 1000) for i in range(1001)]
    assert max(abs(a - b) for a, b in pairwise(factors)) < 0.01
