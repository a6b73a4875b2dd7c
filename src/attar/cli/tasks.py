"""The fit of an estimator for a task: its settings, its file, its trackers, what is printed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from torch import nn

from attar.cli import arguments
from attar.training.callbacks import Callback, Progress, Tracker, tracker

if TYPE_CHECKING:
    from attar.data.source import Data
    from attar.tasks.estimator import TaskEstimator


@dataclass(frozen=True)
class Outcome:
    """What a fit found.

    Attributes
    ----------
    record : mapping
        As JSON.
    lines : sequence of str
        In words.
    figures : mapping of str to float
        What a tracker keeps of it.
    """

    record: Mapping[str, object]
    lines: Sequence[str]
    figures: Mapping[str, float]


@dataclass(frozen=True)
class TaskFit:
    """The options of a fit.

    Attributes
    ----------
    output : Path
    purpose : str
        The name of the task.
    settings : mapping
    label : str or None
        The column of labels.
    log : sequence of str
        Trackers, such as ``tensorboard:runs``.
    quiet, as_json : bool
        Whether to print nothing, or JSON.
    """

    output: Path
    purpose: str
    settings: Mapping[str, Any]
    label: str | None
    log: Sequence[str]
    quiet: bool
    as_json: bool

    def run(
        self,
        estimator: TaskEstimator,
        outcome: Callable[[], Outcome],
        data: Data,
        *labels: Any,
    ) -> None:
        """Fit the estimator to data, write its file, and print and log the outcome."""
        arguments.with_settings(estimator, self.settings, self.purpose)
        trackers = [tracker(one) for one in self.log]
        epochs = Epochs(trackers)
        progress = Progress(nn.Identity(), 0, 0, settings=estimator.get_params(deep=False))
        if "callbacks" in progress.settings and trackers:
            estimator.set_params(callbacks=(epochs,))
        for one in trackers:
            one.on_start(progress)
        started = time.perf_counter()
        try:
            estimator.fit(data, *labels)
        except BaseException as error:
            progress.error = error
            raise
        finally:
            for one in trackers:
                one.on_end(progress)
        if self.label is not None:
            estimator.label_ = self.label
        seconds = time.perf_counter() - started
        estimator.save(self.output)
        found = outcome()
        if trackers:
            _log(trackers, estimator, data, {**epochs.metrics, **found.figures})
        if self.as_json:
            print(
                arguments.to_json({"model": str(self.output), "seconds": seconds, **found.record})
            )
        elif not self.quiet:
            print(*found.lines, f"Fitted in {seconds:.1f} s: {self.output}.", sep="\n")


class Epochs(Callback):
    """Gives trackers of a task the epochs of the training within it.

    Attributes
    ----------
    metrics : dict of str to float
        Those of the trained autoencoder.
    """

    def __init__(self, trackers: Sequence[Tracker]) -> None:
        self.trackers = trackers
        self.metrics: dict[str, float] = {}

    def on_epoch(self, progress: Progress) -> None:
        """Let trackers write the epoch."""
        for one in self.trackers:
            one.on_epoch(progress)

    def on_fit(self, metrics: Mapping[str, float]) -> None:
        """Keep the errors of the autoencoder."""
        self.metrics.update(metrics)


def _log(
    trackers: Sequence[Tracker], estimator: TaskEstimator, data: Data, figures: Mapping[str, float]
) -> None:
    """Give trackers the figures of a fitted estimator, and its report where it has one."""
    from attar.reporting import report
    from attar.tasks.labels.estimators import LabelEstimator

    for one in trackers:
        one.on_fit(figures)
    if isinstance(estimator, LabelEstimator):
        return
    with TemporaryDirectory() as folder:
        page = Path(folder, "report.html")
        report(estimator, data, page)
        for one in trackers:
            one.on_report(page, {})
