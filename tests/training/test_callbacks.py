import io
import re
import sys
from datetime import timedelta
from types import ModuleType, SimpleNamespace

import pytest
from rich.console import Console

from attar.training import Callback
from attar.training.callbacks import NotebookBar, ProgressBar, ProgressLines, shown_progress


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


def test_the_lines_show_the_metrics_and_the_time_left(training, monkeypatch, capsys):
    seconds = iter(range(0, 1000, 6))
    clock = SimpleNamespace(monotonic=lambda: next(seconds))
    monkeypatch.setattr("attar.training.callbacks.time", clock)
    loop = training(callbacks=[ProgressLines()], epochs=3)
    steps = 3 * loop.progress.steps_per_epoch
    _, before_last, _ = loop.run()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == (steps - 1) // 2  # After 12 s, 24 s, ...
    assert lines[0] == f"attar: epoch 1/3, {timedelta(seconds=6 * (steps - 2))} left"
    assert lines[-1].startswith(f"attar: epoch 3/3, loss {before_last.loss:.4g}, validation ")


def test_a_short_training_prints_no_lines(training, capsys):
    training(callbacks=[ProgressLines()], epochs=3).run()
    assert capsys.readouterr().err == ""


class Handle:
    """What IPython's ``display`` returns."""

    def __init__(self, shown):
        self.shown = shown

    def update(self, value):
        self.shown.append(repr(value))


def test_the_bar_of_a_notebook_is_one_output(monkeypatch, training):
    shown = []
    module = ModuleType("IPython.display")
    module.display = lambda value, display_id: shown.append(repr(value)) or Handle(shown)
    ipython = ModuleType("IPython")
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    ipython.get_ipython = SimpleNamespace
    assert isinstance(shown_progress(), ProgressBar | ProgressLines)
    ipython.get_ipython = lambda: SimpleNamespace(kernel=1)
    monkeypatch.setattr(NotebookBar, "SECONDS", 0.0)
    bar = shown_progress()
    assert isinstance(bar, NotebookBar)
    history = training(callbacks=[bar], epochs=2).run()
    assert len(shown) == 2 + 8
    assert shown[0].startswith("epoch 0/2 ────")
    loss = history[-1].loss
    assert re.fullmatch(rf"epoch 2/2 ━{{32}}  loss {loss:.4g}  .* rows/s  0:00:0\d", shown[-1])
    assert all("\n" not in line for line in shown)
