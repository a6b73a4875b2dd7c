"""Callbacks: functions called during training and after it; progress bars, and trackers."""

from __future__ import annotations

import io
import math
import re
import shutil
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from datetime import timedelta
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from torch import nn

from attar import names
from attar.errors import FileError, SettingError, first_line, warn
from attar.records import Epoch

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from optuna import Trial
    from rich.progress import TaskID
    from trackio import Run

Pixels = NDArray[np.uint8]

# At so many moments of a training the losses of trials are compared.
MOMENTS = 20

# What a run, a picture and a page are called.
EXPERIMENT, PICTURE, PAGE = "attar", "reconstruction", "report.html"


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
    settings : mapping of str
        What is trained, and how: the recipe, the network, the learning rate, ...
    penalties : mapping of str to float
        The weighted penalties in the loss of the last batch, by name.
    picture : callable
        Returns rows above their reconstructions by the present weights, as pixels (height, width,
        3), or None where the data are neither images nor windows.
    error : BaseException or None
        What ended training before its time, in :meth:`Callback.on_end`.
    """

    model: nn.Module
    epochs: int
    steps_per_epoch: int
    fraction: float = 0.0
    history: list[Epoch] = field(default_factory=list)
    stop: bool = False
    settings: Mapping[str, object] = field(default_factory=dict)
    penalties: Mapping[str, float] = field(default_factory=dict)
    picture: Callable[[], Pixels | None] = lambda: None
    error: BaseException | None = None


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

    def on_fit(self, metrics: Mapping[str, float]) -> None:
        """Run once the fitted model was measured on held-out rows."""

    def on_report(self, page: Path, metrics: Mapping[str, float]) -> None:
        """Run when :func:`attar.report` has written a page of the model, with these metrics."""


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


class Pruning(Callback):
    """Ends a trial of an Optuna study whose validation loss is worse than that of others.

    The loss is reported at each twentieth of the training, whatever the number of epochs is.

    Parameters
    ----------
    trial : optuna.Trial
    offset : float, default 0
        What is added to the loss, in nats per row.
    until : float, default inf
        The time of ``time.monotonic()`` at which the trial ends in any case.

    Examples
    --------
    >>> import attar, optuna
    >>> def objective(trial):
    ...     rate = trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True)
    ...     ae = attar.Autoencoder(learning_rate=rate, epochs=2, callbacks=[Pruning(trial)])
    ...     return ae.fit("digits").history_.validation_loss.min()
    >>> study = optuna.create_study(pruner=optuna.pruners.MedianPruner())
    >>> study.optimize(objective, n_trials=2)
    >>> len(study.trials)
    2
    """

    def __init__(self, trial: Trial, offset: float = 0.0, until: float = math.inf) -> None:
        self.trial, self.offset, self.until = trial, offset, until

    def on_start(self, progress: Progress) -> None:
        """Begin to report."""
        self._reported = 0

    def on_epoch(self, progress: Progress) -> None:
        """Report the loss, and end the trial where it is worse than that of others."""
        from optuna import TrialPruned

        last = progress.history[-1]
        done = max(progress.fraction, last.epoch / progress.epochs)
        for moment in range(self._reported, int(MOMENTS * done)):
            self._reported = moment + 1
            self.trial.report(last.monitored_loss + self.offset, self._reported)
        if self.trial.should_prune() or time.monotonic() > self.until:
            raise TrialPruned


class Tracker(Callback, ABC):
    """Writes each fit as a run to a tracker of experiments; abstract.

    A run has the settings; after each epoch loss, distortion, rate, validation loss, penalties,
    learning rate and speed; in epochs 1, 2, 4, 8, ... a picture of held-out rows above their
    reconstructions, where the data are images or windows; at the end the errors on held-out rows;
    and of each :func:`attar.report` its metrics, and the page as an artefact.

    Where the tracker fails once training runs, there is a warning, and training goes on without it.

    Raises
    ------
    SettingError
        If the library is not installed.
    FileError
        If no run can be started.
    """

    package: ClassVar[str]

    def __init__(self) -> None:
        if find_spec(self.package) is None:
            raise SettingError(
                f"{type(self).__name__} needs {self.package}: install it with "
                "pip install 'attar[trackers]'."
            )
        self._lost = False

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        # Clones of an estimator write to the same tracker, whose connection has no copy.
        return self

    def on_start(self, progress: Progress) -> None:
        """Start a run, with the settings."""
        self._lost = False
        try:
            self._start({name: str(value) for name, value in progress.settings.items()})
        except Exception as error:
            raise FileError(f"{type(self).__name__} cannot start a run: {_said(error)}.") from error

    def on_epoch(self, progress: Progress) -> None:
        """Write the terms of the loss, and a picture in epochs 1, 2, 4, 8, ..."""
        last = progress.history[-1]
        terms = {name: value for name, value in last.to_json().items() if value is not None}
        del terms["epoch"]
        self._write(lambda: self._metrics({**terms, **progress.penalties}, last.epoch))
        if last.epoch.bit_count() == 1:
            self._write(lambda: self._show(progress.picture(), last.epoch))

    def on_end(self, progress: Progress) -> None:
        """End the run."""
        self._write(lambda: self._end(progress.error))

    def on_fit(self, metrics: Mapping[str, float]) -> None:
        """Write the errors of the fitted model."""
        self._write(lambda: self._results(metrics))

    def on_report(self, page: Path, metrics: Mapping[str, float]) -> None:
        """Write the metrics of a report, and keep its page."""
        self._write(lambda: self._results(metrics, page))

    def _show(self, pixels: Pixels | None, epoch: int) -> None:
        if pixels is not None:
            self._picture(pixels, epoch)

    def _write(self, write: Callable[[], object]) -> None:
        if self._lost:
            return
        try:
            write()
        except Exception as error:
            self._lost = True
            name = type(self).__name__
            warn(f"{name} failed, and the fit goes on without it: {_said(error)}.")

    @abstractmethod
    def _start(self, settings: Mapping[str, str]) -> None:
        """Start a run."""

    @abstractmethod
    def _metrics(self, metrics: Mapping[str, float], epoch: int) -> None:
        """Write numbers of an epoch."""

    @abstractmethod
    def _picture(self, pixels: Pixels, epoch: int) -> None:
        """Write a picture (height, width, 3) of an epoch."""

    @abstractmethod
    def _end(self, error: BaseException | None) -> None:
        """End the run."""

    @abstractmethod
    def _results(self, metrics: Mapping[str, float], page: Path | None = None) -> None:
        """Write numbers of the fitted model, after the end of the run, and keep a page."""


class TensorBoard(Tracker):
    """Writes fits to event files, for ``tensorboard --logdir FOLDER``.

    Each fit has a folder of its own, ``fit-1``, ``fit-2``, ..., which also keeps the report.

    Parameters
    ----------
    folder : path

    Attributes
    ----------
    run_ : Path
        The folder of the latest fit.

    Examples
    --------
    >>> import attar
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     ae = attar.Autoencoder(epochs=2, callbacks=[TensorBoard(folder)]).fit("digits")
    ...     [path.name for path in Path(folder).iterdir()]
    ['fit-1']
    """

    package = "tensorboard"
    run_: Path

    def __init__(self, folder: str | Path) -> None:
        super().__init__()
        self.folder = folder

    def _start(self, settings: Mapping[str, str]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        Path(self.folder).mkdir(parents=True, exist_ok=True)
        for number in count(1):
            self.run_ = Path(self.folder, f"fit-{number}")
            try:
                self.run_.mkdir()
                break
            except FileExistsError:
                continue
        self._open = SummaryWriter(str(self.run_))
        rows = "".join(f"\n| {name} | {value} |" for name, value in settings.items())
        self._open.add_text("settings", f"| setting | value |\n|---|---|{rows}")

    def _metrics(self, metrics: Mapping[str, float], epoch: int) -> None:
        for name, value in metrics.items():
            self._open.add_scalar(name, value, epoch)
        self._open.flush()

    def _picture(self, pixels: Pixels, epoch: int) -> None:
        self._open.add_image(PICTURE, pixels, epoch, dataformats="HWC")

    def _end(self, error: BaseException | None) -> None:
        self._open.close()

    def _results(self, metrics: Mapping[str, float], page: Path | None = None) -> None:
        from torch.utils.tensorboard import SummaryWriter

        with SummaryWriter(str(self.run_)) as writer:
            for name, value in metrics.items():
                writer.add_scalar(f"results/{name}", value)
            if page is not None:
                writer.add_text("report", str(shutil.copyfile(page, self.run_ / PAGE)))


class MLflow(Tracker):
    """Writes fits as runs to MLflow: to a server, or to a database.

    Parameters
    ----------
    uri : str
        Of the tracking store, such as ``"sqlite:///mlflow.db"`` or ``"http://localhost:5000"``.
    experiment : str, default "attar"

    Attributes
    ----------
    run_ : str
        The identifier of the latest fit's run.
    """

    package = "mlflow"
    run_: str

    def __init__(self, uri: str, experiment: str = EXPERIMENT) -> None:
        super().__init__()
        self.uri, self.experiment = uri, experiment

    def _start(self, settings: Mapping[str, str]) -> None:
        from mlflow import MlflowClient

        self._client: MlflowClient = MlflowClient(self.uri)
        known = self._client.get_experiment_by_name(self.experiment)
        of = known.experiment_id if known else self._client.create_experiment(self.experiment)
        self.run_ = self._client.create_run(of).info.run_id
        for name, value in settings.items():
            self._client.log_param(self.run_, name, value)

    def _metrics(self, metrics: Mapping[str, float], epoch: int) -> None:
        for name, value in metrics.items():
            self._client.log_metric(self.run_, name, value, step=epoch)

    def _picture(self, pixels: Pixels, epoch: int) -> None:
        self._client.log_image(self.run_, pixels, key=PICTURE, step=epoch)

    def _end(self, error: BaseException | None) -> None:
        status = "FINISHED" if error is None else "FAILED"
        status = "KILLED" if isinstance(error, KeyboardInterrupt) else status
        self._client.set_terminated(self.run_, status)

    def _results(self, metrics: Mapping[str, float], page: Path | None = None) -> None:
        for name, value in metrics.items():
            self._client.log_metric(self.run_, f"results.{name}", value)
        if page is not None:
            self._client.log_text(self.run_, page.read_text("utf-8"), PAGE)


class Trackio(Tracker):
    """Writes fits as runs to Trackio's local store, for ``trackio show``.

    Parameters
    ----------
    project : str

    Attributes
    ----------
    run_ : str
        The name of the latest fit's run.
    """

    package = "trackio"
    run_: str

    def __init__(self, project: str) -> None:
        super().__init__()
        self.project = project

    def _start(self, settings: Mapping[str, str]) -> None:
        self._settings = dict(settings)
        self._open = self._run()
        self.run_ = self._open.name

    def _metrics(self, metrics: Mapping[str, float], epoch: int) -> None:
        self._open.log(dict(metrics), step=epoch)

    def _picture(self, pixels: Pixels, epoch: int) -> None:
        from trackio import Image

        self._open.log({PICTURE: Image(pixels)}, step=epoch)

    def _end(self, error: BaseException | None) -> None:
        import trackio

        with _silent():
            trackio.finish()

    def _results(self, metrics: Mapping[str, float], page: Path | None = None) -> None:
        # A run that has nothing yet is not stored.
        run = self._run(name=self.run_, resume="allow")
        run.log({f"results/{name}": value for name, value in metrics.items()})
        if page is not None:
            run.log_artifact(page, name=f"{self.run_}-{PAGE}", type="report")
        self._end(None)

    def _run(self, name: str | None = None, resume: str = "never") -> Run:
        with _silent():
            import trackio

            run: Run = trackio.init(
                self.project,
                name,
                config=self._settings,
                resume=resume,
                embed=False,
                auto_log_gpu=False,
                auto_log_cpu=False,
            )
        return run


def tracker(assignment: str) -> Tracker:
    """Return the tracker of ``name:place``, such as ``tensorboard:runs``.

    Raises
    ------
    SettingError
        If there is no such tracker, or no place, or the library is not installed.
    """
    names.check_tracker(assignment)
    name, _, place = assignment.partition(":")
    match name:
        case "tensorboard":
            return TensorBoard(place)
        case "mlflow":
            return MLflow(place)
    return Trackio(place)


@contextmanager
def _silent() -> Iterator[None]:
    """Keep what a library prints out of the output."""
    with redirect_stdout(io.StringIO()):
        yield


def _said(error: Exception) -> str:
    """Return the first sentence of what an error says, without the password of a URI."""
    return re.sub(r"//[^/@\s]*@", "//", re.split(r"\.\s", first_line(error))[0])
