"""The training loop, and the steps of critics in it."""

import copy
import math
from itertools import count

import pytest
import torch

from attar import AttarWarning, TrainingError
from attar.codes import Gaussian, Point
from attar.likelihoods import Bernoulli
from attar.networks import Linear
from attar.penalties import Adversarial, DensityRatio
from attar.priors import StandardNormal
from attar.recipe import Recipe
from attar.records import Batch
from attar.training import Callback, Constant, Cosine, Optimizer
from attar.training.loop import Critics


class Poison(Callback):
    """Makes a weight NaN in given epochs, counting repeated ones."""

    def __init__(self, *epochs):
        self.epochs, self.steps = epochs, 0

    def on_step(self, progress):
        self.steps += 1
        if -(-self.steps // 4) in self.epochs:
            with torch.no_grad():
                next(progress.model.parameters()).fill_(math.nan)


class Spoil(Callback):
    """Makes all weights bad after the second epoch."""

    def on_step(self, progress):
        if len(progress.history) >= 2:
            with torch.no_grad():
                for parameter in progress.model.parameters():
                    parameter.fill_(10.0)


def test_the_metrics_are_those_of_the_model_after_each_epoch(training):
    measured = []

    class Measure(Callback):
        def on_epoch(self, progress):
            rows = made.monitored, made.validation
            measured.append([made.objective.measure(each) for each in rows])

    made = training("vae", callbacks=[Measure()])
    history = made.run()
    assert [epoch.epoch for epoch in history] == [1, 2, 3, 4, 5, 6]
    for epoch, (train, validation) in zip(history, measured, strict=True):
        assert (epoch.loss, epoch.distortion, epoch.rate) == tuple(train.values())
        assert epoch.validation_loss == validation["loss"]
        assert epoch.rows_per_second > 0


def test_the_code_is_called_after_each_epoch(training):
    events = []

    class Record(Callback):
        def on_step(self, progress):
            events.append("step")

        def on_epoch(self, progress):
            events.append("measured")

    made = training(callbacks=[Record()], epochs=3)
    made.model.code.on_epoch = lambda: events.append("code")
    made.run()
    assert events == 3 * [*4 * ["step"], "code", "measured"]


def test_speed_is_training_rows_by_the_seconds_of_an_epoch(training, monkeypatch):
    # Each reading of the clock takes four seconds.
    monkeypatch.setattr("attar.training.loop.time.perf_counter", count(step=4.0).__next__)
    assert [epoch.rows_per_second for epoch in training(epochs=2).run()] == [10.0, 10.0]


def test_the_learning_rate_follows_the_schedule(training):
    history = training(schedule=Cosine(), learning_rate=0.02, epochs=5).run()
    for i, epoch in enumerate(history):
        last = (4 * i + 3) / 20
        assert epoch.learning_rate == pytest.approx(0.01 * (1 + math.cos(math.pi * last)))


@pytest.mark.parametrize("validation", [True, False])
def test_training_leaves_the_best_weights(training, validation):
    made = training(callbacks=[Spoil()], validation=validation)
    history = made.run()
    assert [epoch.validation_loss is not None for epoch in history] == [validation] * 6
    best = min(epoch.monitored_loss for epoch in history)
    assert made.best_epoch == 2
    rows = made.validation if validation else made.monitored
    assert made.objective.measure(rows)["loss"] == best == history[1].monitored_loss
    assert not made.model.training


@pytest.mark.parametrize(("epochs", "last"), [(50, 25 + 3 + 1), (5, 5), (4, 4)])
def test_training_ends_when_patience_does_in_its_second_half(training, epochs, last):
    made = training(callbacks=[Spoil()], patience=3, epochs=epochs)
    history = made.run()
    assert len(history) == last
    assert made.objective.measure(made.validation)["loss"] == history[1].validation_loss


class Count(Callback):
    """Counts steps."""

    steps = 0

    def on_step(self, progress):
        self.steps += 1


def test_training_ends_after_its_time_with_its_schedule_complete(training, monkeypatch):
    # Each reading of the clock takes a second.
    clock = iter(range(100_000))
    monkeypatch.setattr("attar.training.loop.time.monotonic", lambda: float(next(clock)))
    count = Count()
    settings = {"schedule": Cosine(), "epochs": 10_000, "callbacks": [count]}
    history = training(**settings, max_minutes=0.5).run()
    assert (len(history), count.steps) == (math.ceil(30 / 4), 29)
    assert history[-1].learning_rate == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one-cycle"])
@pytest.mark.parametrize("warmup", [0.0, 0.2, 1.0])
def test_any_schedule_may_be_complete_before_the_last_step(training, monkeypatch, schedule, warmup):
    from attar.training import Schedule

    part = Schedule.named(schedule)
    if schedule == "one-cycle":
        part = part.replace(warmup=warmup)
    clock = iter(range(100_000))
    monkeypatch.setattr("attar.training.loop.time.monotonic", lambda: float(next(clock)))
    assert training(schedule=part, epochs=100, max_minutes=0.1).run()


def test_gradients_are_clipped(training):
    norms = []

    class Measure(Callback):
        def on_step(self, progress):
            squares = [p.grad.square().sum() for p in progress.model.parameters()]
            norms.append(torch.stack(squares).sum().sqrt().item())

    training(optimizer=Optimizer("adam", clip=0.01), callbacks=[Measure()]).run()
    assert max(norms) == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize(
    ("optimizer", "size"),
    [
        (Optimizer("adam"), 1.0),
        (Optimizer("adamw", {"weight_decay": 0.0}), 1.0),
        (Optimizer("adamax"), 1.0),
        (Optimizer("rmsprop"), 10.0),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_eps_shortens_no_steps_of_wide_data(training, optimizer, size):
    """The first step of a weight is ``size`` times the learning rate, whatever its gradient."""
    exact = []

    class FirstStep(Callback):
        def on_start(self, progress):
            self.before = [p.detach().clone() for p in progress.model.parameters()]

        def on_step(self, progress):
            if not exact:
                after = progress.model.parameters()
                steps = [(p - b).flatten() for p, b in zip(after, self.before, strict=True)]
                close = (torch.cat(steps).abs() / (0.01 * size) - 1).abs() < 0.01
                exact.append(close.float().mean().item())

    x = torch.randn(60, 20_000)
    settings = {"optimizer": optimizer, "schedule": Constant(), "epochs": 1}
    training(x=x, callbacks=[FirstStep()], **settings).run()
    assert exact[0] > 0.99


def test_equal_seeds_give_equal_weights(training):
    first = training(Recipe(Gaussian()))
    first.run()
    second = training(Recipe(Gaussian()))
    second.run()
    for name, tensor in first.model.state_dict().items():
        assert torch.equal(tensor, second.model.state_dict()[name])


def test_training_continues_with_smaller_steps_after_one_loss_that_is_not_finite(training):
    made = training(callbacks=[Poison(3)], schedule=Constant())
    with pytest.warns(
        AttarWarning, match=r"not finite in epoch 3: .* the last finite state, with a tenth"
    ):
        history = made.run()
    assert [epoch.epoch for epoch in history] == [1, 2, 3, 4, 5, 6]
    rates = [epoch.learning_rate for epoch in history]
    assert rates == pytest.approx([0.01] * 2 + [0.001] * 4)
    assert all(math.isfinite(epoch.loss) for epoch in history)
    assert all(p.isfinite().all() for p in made.model.parameters())


def test_it_continues_from_the_state_before_the_epoch(training):
    states = {}

    class Keep(Callback):
        def on_epoch(self, progress):
            states[poison.steps] = [p.detach().clone() for p in progress.model.parameters()]

        def on_step(self, progress):
            self.on_epoch(progress)

    poison = Poison(3)
    with pytest.warns(AttarWarning):
        training(callbacks=[poison, Keep()], schedule=Constant()).run()
    # The next step is one of Adam's with a tenth of its size.
    for before, after in zip(states[8], states[13], strict=True):
        change = (after - before).abs().max()
        assert 0 < change < 0.0015


def test_a_second_loss_that_is_not_finite_is_an_error(training):
    made = training(callbacks=[Poison(2, 3)])
    with (
        pytest.warns(AttarWarning),
        pytest.raises(TrainingError, match=r"again in epoch 2.* learning rate 0\.01 is probably"),
    ):
        made.run()


def test_a_huge_learning_rate_is_the_likely_cause(training):
    made = training(optimizer=Optimizer("sgd"), learning_rate=1e25)
    with (
        pytest.warns(AttarWarning, match="not finite"),
        pytest.raises(TrainingError, match=r"learning rate 1e\+25 is probably too large"),
    ):
        made.run()


@pytest.mark.parametrize("largest", [1e30, math.inf, math.nan])
def test_huge_data_are_the_likely_cause(training, largest):
    x = torch.ones(60, 6)
    x[::7] = largest
    made = training(x=x)
    with (
        pytest.warns(AttarWarning, match="not finite in epoch 1"),
        pytest.raises(TrainingError, match="the data has prepared values as large as"),
    ):
        made.run()


def test_half_precision_reaches_about_the_same_loss(training):
    full, half = (training(half_precision=half, epochs=30).run()[-1].loss for half in (False, True))
    start = training(epochs=1).run()[0].loss
    assert half - full < 0.1 * (start - full)


def objective_of(recipe):
    return recipe.build((6,), 2, Linear(), Bernoulli())


def copied(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def changed(before, module):
    return {name for name, tensor in module.state_dict().items() if not tensor.equal(before[name])}


def test_a_step_changes_the_critics_and_nothing_else():
    objective = objective_of(Recipe(Gaussian(), penalties=(DensityRatio(),)))
    critics = Critics(objective, 0.01)
    model, critic = copied(objective.model), copied(objective.critics["factor"])
    critics.step(objective.trace(Batch(torch.rand(20, 6), torch.rand(20, 6))))
    assert not changed(model, objective.model)
    assert changed(critic, objective.critics["factor"]) == set(critic)


def test_critics_are_trained_by_adam_with_little_momentum():
    """Steps are those of Adam with β₁ = 0.5 and β₂ = 0.9."""
    objective = objective_of(Recipe(Point(prior=StandardNormal()), penalties=(Adversarial(),)))
    trace, critic = objective.trace(Batch(*2 * [torch.rand(20, 6)])), objective.critics
    alone = copy.deepcopy(critic["adversarial"])
    alone.real = critic["adversarial"].real = torch.ones_like
    adam = torch.optim.Adam(alone.parameters(), 0.01, betas=(0.5, 0.9))
    critics = Critics(objective, 0.01)
    for _ in range(3):
        critics.step(trace)
        adam.zero_grad()
        alone.loss(trace).backward()
        adam.step()
    torch.testing.assert_close(dict(critic["adversarial"].state_dict()), dict(alone.state_dict()))


def test_a_critic_learns_to_discriminate_codes_from_the_prior():
    objective = objective_of(
        Recipe(Point(prior=StandardNormal()), penalties=(Adversarial(gradient_penalty=0.0),))
    )
    critics, critic = Critics(objective, 0.01), objective.critics["adversarial"]
    trace = objective.trace(Batch(*2 * [5 + torch.rand(100, 6)]))
    first = critic.loss(trace).item()
    for _ in range(200):
        critics.step(trace)
    assert critic.loss(trace).item() < 0.5 * first


def test_without_critics_a_step_does_nothing():
    objective = objective_of(Recipe(Point()))
    critics = Critics(objective, 0.01)
    critics.step(objective.trace(Batch(torch.rand(4, 6), torch.rand(4, 6))))
    assert critics.state() == {}


def test_a_state_restores_weights_and_optimizer():
    objective = objective_of(Recipe(Gaussian(), penalties=(DensityRatio(),)))
    trace = objective.trace(Batch(torch.rand(20, 6), torch.rand(20, 6)))
    critics = Critics(objective, 0.01)
    critics.step(trace)
    state = critics.state()

    def next_step():
        critics.restore(state)
        torch.manual_seed(3)
        critics.step(trace)
        return copied(objective.critics["factor"])

    first, second = next_step(), next_step()
    assert all(torch.equal(first[name], second[name]) for name in first)
