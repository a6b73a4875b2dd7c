import io

import pytest
from rich.console import Console

from attar.training import Callback
from attar.training.callbacks import ProgressBar


class Diary(Callback):
    """Notes every call, in a diary that several callbacks may share."""

    def __init__(self, pages, name=""):
        self.pages, self.name = pages, name

    def on_start(self, progress):
        self.pages.append(f"{self.name}start")

    def on_step(self, progress):
        self.pages.append(f"{self.name}step")

    def on_epoch(self, progress):
        self.pages.append(f"{self.name}epoch {progress.history[-1].epoch}")

    def on_end(self, progress):
        self.pages.append(f"{self.name}end")


def test_callbacks_are_called_in_order(training):
    pages = []
    training(callbacks=[Diary(pages)], epochs=2).run()
    steps = ["step"] * 4
    assert pages == ["start", *steps, "epoch 1", *steps, "epoch 2", "end"]


def test_callbacks_take_turns(training):
    pages = []
    training(callbacks=[Diary(pages, "a "), Diary(pages, "b ")], epochs=1).run()
    assert pages == [
        f"{name} {what}" for what in ["start", *["step"] * 4, "epoch 1", "end"] for name in "ab"
    ]


def test_progress_says_how_far_training_is(training):
    shares = []

    class Watch(Callback):
        def on_step(self, progress):
            assert (progress.epochs, progress.steps_per_epoch) == (2, 4)
            shares.append(progress.share)

    training(callbacks=[Watch()], epochs=2).run()
    assert shares == [i / 8 for i in range(8)]


def test_a_callback_may_stop_training_after_the_epoch(training):
    class Stop(Callback):
        def on_step(self, progress):
            progress.stop = len(progress.history) == 2

    assert len(training(callbacks=[Stop()]).run()) == 3


def test_callbacks_are_told_of_the_end_after_a_failure_too(training):
    pages = []

    class Break(Callback):
        def on_epoch(self, progress):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training(callbacks=[Diary(pages), Break()]).run()
    assert pages == ["start", *["step"] * 4, "epoch 1", "end"]


def test_the_bar_shows_the_last_figures(training, monkeypatch):
    written = io.StringIO()

    def console(stderr):
        return Console(file=written, width=120, force_terminal=True)

    monkeypatch.setattr("rich.console.Console", console)
    history = training(callbacks=[ProgressBar()], epochs=3).run()
    assert "epoch 3/3" in written.getvalue()
    assert f"loss {history[-1].loss:.4g}" in written.getvalue()
    assert f"held-out {history[-1].validation_loss:.4g}" in written.getvalue()
