"""Callbacks: what looks on while a model learns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import nn

from attar.records import Epoch


@dataclass
class Progress:
    """How far training is; callbacks read it, and may set ``stop``.

    Attributes
    ----------
    model : Module
        The model as it is now.
    epochs : int
        How many are planned.
    steps_per_epoch : int
    share : float
        How much of the training is done, 0 to 1, by steps or by time.
    history : list of Epoch
    stop : bool
        Set it to end training after the running epoch.
    """

    model: nn.Module
    epochs: int
    steps_per_epoch: int
    share: float = 0.0
    history: list[Epoch] = field(default_factory=list)
    stop: bool = False


class Callback:
    """Override what you need; each method does nothing by default."""

    def on_start(self, progress: Progress) -> None:
        """Is called before the first step."""

    def on_step(self, progress: Progress) -> None:
        """Is called after each step."""

    def on_epoch(self, progress: Progress) -> None:
        """Is called after each epoch, when its figures stand in the history."""

    def on_end(self, progress: Progress) -> None:
        """Is called once at the end, after a failure too."""


class ProgressBar(Callback):
    """A bar in the terminal: loss, held-out loss, rows a second, time left."""

    def on_start(self, progress: Progress) -> None:
        """Show the bar."""
        from rich import progress as bars
        from rich.console import Console

        self._bar = bars.Progress(
            bars.TextColumn("epoch {task.fields[epoch]}"),
            bars.BarColumn(),
            bars.TextColumn("{task.fields[figures]}"),
            bars.TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._task: Any = self._bar.add_task("", total=1.0, epoch=1, metrics="")
        self._bar.start()

    def on_step(self, progress: Progress) -> None:
        """Move the bar."""
        self._bar.update(self._task, completed=progress.share)

    def on_epoch(self, progress: Progress) -> None:
        """Show the epoch's figures."""
        last = progress.history[-1]
        held_out = "" if last.validation_loss is None else f"held-out {last.validation_loss:.4g}  "
        metrics = f"loss {last.loss:.4g}  {held_out}{last.rows_per_second:,.0f} rows/s"
        self._bar.update(self._task, epoch=f"{last.epoch}/{progress.epochs}", metrics=metrics)

    def on_end(self, progress: Progress) -> None:
        """Fill the bar and leave it there."""
        self._bar.update(self._task, completed=1.0)
        self._bar.stop()
