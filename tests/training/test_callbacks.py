import io

import pytest
from rich.console import Console

from attar.training import Callback
from attar.training.callbacks import ProgressBar


class Log(Callback):
    """Logs each call, in a list that several callbacks may share."""

    def __init__(self, calls, name=""):
        self.calls, self.name = calls, name

    def on_start(self, progress):
        self.calls.append(f"{self.name}start")

    def on_step(self, progress):
        self.calls.append(f"{self.name}step")

    def on_epoch(self, progress):
        self.calls.append(f"{self.name}epoch {progress.history[-1].epoch}")

    def on_end(self, progress):
        self.calls.append(f"{self.name}end")


def test_callbacks_are_called_in_order(training):
    calls = []
    training(callbacks=[Log(calls)], epochs=2).run()
    steps = ["step"] * 4
    assert calls == ["start", *steps, "epoch 1", *steps, "epoch 2", "end"]


def test_several_callbacks_are_called_one_after_the_other(training):
    calls = []
    training(callbacks=[Log(calls, "a "), Log(calls, "b ")], epochs=1).run()
    assert calls == [
        f"{name} {what}" for what in ["start", *["step"] * 4, "epoch 1", "end"] for name in "ab"
    ]


def test_progress_has_the_fraction_that_is_done(training):
    fractions = []

    class Watch(Callback):
        def on_step(self, progress):
            assert (progress.epochs, progress.steps_per_epoch) == (2, 4)
            fractions.append(progress.fraction)

    training(callbacks=[Watch()], epochs=2).run()
    assert fractions == [i / 8 for i in range(8)]


def test_a_callback_may_stop_training_after_the_epoch(training):
    class Stop(Callback):
        def on_step(self, progress):
            progress.stop = len(progress.history) == 2

    assert len(training(callbacks=[Stop()]).run()) == 3


def test_the_end_is_called_after_an_error_too(training):
    calls = []

    class Break(Callback):
        def on_epoch(self, progress):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training(callbacks=[Log(calls), Break()]).run()
    assert calls == ["start", *["step"] * 4, "epoch 1", "end"]


def test_the_bar_shows_the_last_metrics(training, monkeypatch):
    written = io.StringIO()

    def console(stderr):
        return Console(file=written, width=120, force_terminal=True)

    monkeypatch.setattr("rich.console.Console", console)
    history = training(callbacks=[ProgressBar()], epochs=3).run()
    assert "epoch 3/3" in written.getvalue()
    assert f"loss {history[-1].loss:.4g}" in written.getvalue()
    assert f"validation {history[-1].validation_loss:.4g}" in written.getvalue()
