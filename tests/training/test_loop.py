import math
from itertools import count

import pytest
import torch

from attar import AttarWarning, TrainingError
from attar.codes import Gaussian
from attar.recipe import Recipe
from attar.training import Callback, Constant, Cosine, Optimizer


class Poison(Callback):
    """Makes a weight NaN in given epochs, counted with those that are tried again."""

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


def test_the_figures_are_those_of_the_model_after_each_epoch(training):
    seen = []

    class Look(Callback):
        def on_epoch(self, progress):
            objective = made.objective
            seen.append((objective.measure(made.seen), objective.measure(made.held_out)))

    made = training("vae", callbacks=[Look()])
    history = made.run()
    assert [epoch.epoch for epoch in history] == [1, 2, 3, 4, 5, 6]
    for epoch, (learnt, held_out) in zip(history, seen, strict=True):
        assert (epoch.loss, epoch.distortion, epoch.rate) == tuple(learnt.values())
        assert epoch.validation_loss == held_out["loss"]
        assert epoch.rows_per_second > 0


def test_the_code_hears_of_the_end_of_each_epoch(training):
    events = []

    class Listen(Callback):
        def on_step(self, progress):
            events.append("step")

        def on_epoch(self, progress):
            events.append("measured")

    made = training(callbacks=[Listen()], epochs=3)
    made.model.code.on_epoch = lambda: events.append("code")
    made.run()
    assert events == 3 * [*4 * ["step"], "code", "measured"]


def test_speed_is_training_rows_by_the_seconds_of_an_epoch(training, monkeypatch):
    # Every look at the clock takes four seconds.
    monkeypatch.setattr("attar.training.loop.time.perf_counter", count(step=4.0).__next__)
    assert [epoch.rows_per_second for epoch in training(epochs=2).run()] == [10.0, 10.0]


def test_the_step_size_follows_the_schedule(training):
    history = training(schedule=Cosine(), learning_rate=0.02, epochs=5).run()
    for i, epoch in enumerate(history):
        last = (4 * i + 3) / 20
        assert epoch.learning_rate == pytest.approx(0.01 * (1 + math.cos(math.pi * last)))


@pytest.mark.parametrize("held_out", [True, False])
def test_training_leaves_the_best_weights(training, held_out):
    made = training(callbacks=[Spoil()], held_out=held_out)
    history = made.run()
    assert [epoch.validation_loss is not None for epoch in history] == [held_out] * 6
    best = min(epoch.monitored_loss for epoch in history)
    assert made.best_epoch == 2
    rows = made.held_out if held_out else made.seen
    assert made.objective.measure(rows)["loss"] == best == history[1].monitored_loss
    assert not made.model.training


def test_training_ends_when_patience_does(training):
    made = training(callbacks=[Spoil()], patience=3, epochs=50)
    history = made.run()
    assert len(history) == 2 + 3 + 1
    assert made.objective.measure(made.held_out)["loss"] == history[1].validation_loss


def test_training_ends_after_its_time_with_its_schedule_complete(training, monkeypatch):
    # Every look at the clock takes a second.
    clock = iter(range(100_000))
    monkeypatch.setattr("attar.training.loop.time.monotonic", lambda: float(next(clock)))
    history = training(schedule=Cosine(), epochs=10_000, max_minutes=0.5).run()
    assert len(history) == math.ceil(30 / 4)
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

    class Look(Callback):
        def on_step(self, progress):
            squares = [p.grad.square().sum() for p in progress.model.parameters()]
            norms.append(torch.stack(squares).sum().sqrt().item())

    training(optimizer=Optimizer("adam", clip=0.01), callbacks=[Look()]).run()
    assert max(norms) == pytest.approx(0.01, rel=1e-3)


def test_equal_seeds_give_equal_weights(training):
    first = training(Recipe(Gaussian()))
    first.run()
    second = training(Recipe(Gaussian()))
    second.run()
    for name, tensor in first.model.state_dict().items():
        assert torch.equal(tensor, second.model.state_dict()[name])


def test_one_loss_that_is_no_number_sends_training_back_with_smaller_steps(training):
    made = training(callbacks=[Poison(3)], schedule=Constant())
    with pytest.warns(AttarWarning, match=r"no finite number in epoch 3: going back .* a tenth"):
        history = made.run()
    assert [epoch.epoch for epoch in history] == [1, 2, 3, 4, 5, 6]
    rates = [epoch.learning_rate for epoch in history]
    assert rates == pytest.approx([0.01] * 2 + [0.001] * 4)
    assert all(math.isfinite(epoch.loss) for epoch in history)
    assert all(p.isfinite().all() for p in made.model.parameters())


def test_going_back_is_to_the_state_before_the_epoch(training):
    states = {}

    class Keep(Callback):
        def on_epoch(self, progress):
            states[poison.steps] = [p.detach().clone() for p in progress.model.parameters()]

        def on_step(self, progress):
            self.on_epoch(progress)

    poison = Poison(3)
    with pytest.warns(AttarWarning):
        training(callbacks=[poison, Keep()], schedule=Constant()).run()
    # The first step after going back is one of Adam's, of a tenth of its size.
    for before, after in zip(states[8], states[13], strict=True):
        moved = (after - before).abs().max()
        assert 0 < moved < 0.0015


def test_losing_the_number_again_is_an_error_that_names_the_step_size(training):
    made = training(callbacks=[Poison(2, 3)])
    with (
        pytest.warns(AttarWarning),
        pytest.raises(TrainingError, match=r"again in epoch 2.* learning rate 0\.01 is probably"),
    ):
        made.run()


def test_a_huge_step_size_is_found_out(training):
    made = training(optimizer=Optimizer("sgd"), learning_rate=1e25)
    with (
        pytest.warns(AttarWarning, match="no finite number"),
        pytest.raises(TrainingError, match=r"learning rate 1e\+25 is probably too large"),
    ):
        made.run()


@pytest.mark.parametrize("largest", [1e30, math.inf, math.nan])
def test_huge_data_are_found_out(training, largest):
    x = torch.ones(60, 6)
    x[::7] = largest
    made = training(x=x)
    with (
        pytest.warns(AttarWarning, match="no finite number in epoch 1"),
        pytest.raises(TrainingError, match="the data has prepared values as large as"),
    ):
        made.run()


def test_half_precision_learns_about_the_same(training):
    full, half = (training(half=low, epochs=30).run()[-1].loss for low in (False, True))
    start = training(epochs=1).run()[0].loss
    assert half - full < 0.1 * (start - full)
