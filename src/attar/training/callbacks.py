"""Callbacks: functions called during training."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from torch import nn

from attar.records import Epoch

if TYPE_CHECKING:
    from rich.progress import TaskID


@dataclass
class Progress:
    """The state of a training that callbacks read; they may set ``stop``.

    Attributes
    ----------
    model : Module
        The model with its present weights.
    epochs : int
        The most epochs.
    steps_per_epoch : int
    fraction : float
        How much of the training is done, 0 to 1, by steps or by time.
    history : list of Epoch
    stop : bool
        Set it to end training after the present epoch.
    """

    model: nn.Module
    epochs: int
    steps_per_epoch: int
    fraction: float = 0.0
    history: list[Epoch] = field(default_factory=list)
    stop: bool = False


class Callback:
    """A base for callbacks; each method does nothing by default.

    Examples
    --------
    >>> class StopEarly(Callback):
    ...     def on_epoch(self, progress):
    ...         progress.stop = progress.history[-1].monitored_loss < 0.5
    """

    def on_start(self, progress: Progress) -> None:
        """Run before the first step."""

    def on_step(self, progress: Progress) -> None:
        """Run after each step."""

    def on_epoch(self, progress: Progress) -> None:
        """Run after each epoch, once its metrics are in the history."""

    def on_end(self, progress: Progress) -> None:
        """Run once at the end, after an error too."""


class ProgressBar(Callback):
    """A bar in the terminal: training loss, validation loss, rows per second, time left."""

    def on_start(self, progress: Progress) -> None:
        """Show the bar."""
        from rich import progress as bars
        from rich.console import Console

        self._bar = bars.Progress(
            bars.TextColumn("epoch {task.fields[epoch]}"),
            bars.BarColumn(),
            bars.TextColumn("{task.fields[metrics]}"),
            bars.TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._task: TaskID = self._bar.add_task("", total=1.0, epoch=1, metrics="")
        self._bar.start()

    def on_step(self, progress: Progress) -> None:
        """Move the bar."""
        self._bar.update(self._task, completed=progress.fraction)

    def on_epoch(self, progress: Progress) -> None:
        """Show the epoch's metrics."""
        last = progress.history[-1]
        epoch = f"{last.epoch}/{progress.epochs}"
        self._bar.update(self._task, epoch=epoch, metrics="  ".join(_metrics(last)))

    def on_end(self, progress: Progress) -> None:
        """Complete the bar and leave it on the screen."""
        self._bar.update(self._task, completed=1.0)
        self._bar.stop()


class NotebookBar(Callback):
    """A bar of text in a notebook, one line that is replaced: the last one is saved with it."""

    SECONDS, WIDTH = 0.25, 32

    def on_start(self, progress: Progress) -> None:
        """Show the bar."""
        from IPython.display import display

        self._shown, self._began = time.monotonic(), time.monotonic()
        self._handle = display(  # type: ignore[no-untyped-call]
            Line(self._line(progress, 0.0)), display_id=True
        )

    def on_step(self, progress: Progress) -> None:
        """Replace the bar, some times a second."""
        if time.monotonic() - self._shown >= self.SECONDS:
            self._show(progress, progress.fraction)

    def on_end(self, progress: Progress) -> None:
        """Complete the bar and leave it."""
        self._show(progress, 1.0)

    def _show(self, progress: Progress, fraction: float) -> None:
        self._shown = time.monotonic()
        self._handle.update(Line(self._line(progress, fraction)))

    def _line(self, progress: Progress, fraction: float) -> str:
        done = round(self.WIDTH * fraction)
        bar = "━" * done + "─" * (self.WIDTH - done)
        words = [f"epoch {len(progress.history)}/{progress.epochs} {bar}"]
        words += _metrics(progress.history[-1]) if progress.history else []
        return "  ".join([*words, str(timedelta(seconds=round(self._shown - self._began)))])


@dataclass(frozen=True)
class Line:
    """A text that a notebook shows as it is."""

    text: str

    def __repr__(self) -> str:
        return self.text


def shown_progress() -> Callback:
    """Return the progress that suits where the program runs: a notebook, a terminal, or neither."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if hasattr(shell, "kernel"):  # that of IPython in a terminal has none
        return NotebookBar()
    return ProgressBar() if sys.stderr.isatty() else ProgressLines()


class ProgressLines(Callback):
    """A line every ten seconds, where there is no terminal: what the bar shows, in words."""

    SECONDS = 10.0

    def on_start(self, progress: Progress) -> None:
        """Forget the clock of a training before."""
        self._first: tuple[float, float] | None = None

    def on_step(self, progress: Progress) -> None:
        """Print a line if it is time."""
        now, done = time.monotonic(), progress.fraction
        if self._first is None:
            self._first, self._printed = (now, done), now
        began, resumed_at = self._first
        if now - self._printed < self.SECONDS or done <= resumed_at:
            return
        self._printed = now
        words = [f"epoch {len(progress.history) + 1}/{progress.epochs}"]
        words += _metrics(progress.history[-1]) if progress.history else []
        left = timedelta(seconds=round((now - began) * (1 - done) / (done - resumed_at)))
        print(f"attar: {', '.join(words)}, {left} left", file=sys.stderr, flush=True)


def _metrics(epoch: Epoch) -> list[str]:
    validation = epoch.validation_loss
    return [
        f"loss {epoch.loss:.4g}",
        *([] if validation is None else [f"validation {validation:.4g}"]),
        f"{epoch.rows_per_second:,.0f} rows/s",
    ]
