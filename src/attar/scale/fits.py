"""A fit by workers of Ray: each runs it on its share of the rows, and all get the same model."""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, chdir, contextmanager, redirect_stderr, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, cast

import torch

from attar import workers
from attar.data.source import Data
from attar.errors import AttarError, AttarWarning, ClusterError, first_line, warn
from attar.estimator import Autoencoder
from attar.fitted import Fitted
from attar.scale import cluster

if TYPE_CHECKING:
    from ray.data import Dataset

# So many times a fit whose worker was lost goes on from its last checkpoint.
RESTARTS = 3

# The folder of a data set of Ray's, and the file of the lines that the first worker prints.
ROWS, LINES = "rows", "lines"


@dataclass(frozen=True)
class Work:
    """What each worker does.

    Attributes
    ----------
    estimator : Autoencoder
    data : table, array, path, ...
    settings : dict
        Further arguments of :meth:`Autoencoder.fit`.
    here : Path
        The folder that paths are relative to.
    storage : Path
        A folder that every worker sees.
    """

    estimator: Autoencoder
    data: Data
    settings: dict[str, Any]
    here: Path
    storage: Path

    def __call__(self) -> tuple[Fitted, list[str]]:
        """Fit, and return the model, for any machine, and the warnings."""
        import ray.train.torch

        cluster.require_seen(self.storage)
        device = ray.train.torch.get_device()
        torch.set_num_threads(1)
        with ExitStack() as stack:
            if self.here.is_dir():
                stack.enter_context(chdir(self.here))
            lines = os.devnull
            if ray.train.get_context().get_world_rank() == 0:
                lines = os.fspath(self.storage / LINES)
            seen = stack.enter_context(open(lines, "a", buffering=1))
            stack.enter_context(redirect_stderr(seen))
            found = stack.enter_context(warnings.catch_warnings(record=True))
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", AttarWarning)
            if device.type == "cuda":
                torch.cuda.set_device(device)
            stack.enter_context(workers.joined())
            fitted = self.estimator.fit(self.data, **self.settings).fitted_
        return fitted.on(torch.device("cpu")), [str(one.message) for one in found]


def fit(
    estimator: Autoencoder,
    X: Data | Dataset,
    on: str,
    workers: int | None,
    exact: bool,
    settings: dict[str, Any],
) -> None:
    """Fit an estimator by workers of Ray; as :func:`attar.scale.ray.fit`."""
    gpus = None if estimator.device == "auto" else estimator.device.startswith("cuda")
    checkpoint = settings["checkpoint"]
    with cluster.reached(on, workers, exact, gpus) as found, ExitStack() as stack:
        place = None if found.local else Path(checkpoint or "x").absolute().parent
        temporary = TemporaryDirectory(prefix=".attar-", dir=place, ignore_cleanup_errors=True)
        folder = stack.enter_context(temporary)
        storage = Path(folder)
        data = _written(X, storage / ROWS)
        work = Work(estimator, data, settings, Path.cwd(), storage)
        stack.enter_context(_echoed(storage / LINES))
        fitted, said = _made(work, found)
    for message in dict.fromkeys(said):
        warn(message)
    estimator.fitted_ = fitted


def _written(X: Data | Dataset, folder: Path) -> Data:
    """Return data that each epoch reads in the same order: of Ray's data sets a copy in files."""
    from ray.data import Dataset

    if not isinstance(X, Dataset):
        return X
    X.write_parquet(os.fspath(folder))
    return folder


def _made(work: Work, found: cluster.Cluster) -> tuple[Fitted, list[str]]:
    """Return what the first worker made, after as many tries as it takes.

    Raises
    ------
    AttarError
        Of the fit.
    ClusterError
        If workers are lost again and again.
    """
    from ray.train import RunConfig, ScalingConfig, TrainingFailedError
    from ray.train.torch import TorchConfig, TorchTrainer

    # Else Ray prints what is printed a second time.
    os.environ.setdefault("RAY_TRAIN_ENABLE_PRINT_PATCH", "0")
    for left in reversed(range(RESTARTS + 1)):
        trainer = TorchTrainer(
            cast("Callable[[], None]", work),  # whose result Ray returns all the same
            torch_config=TorchConfig("cpu:gloo,cuda:nccl" if found.gpus else "gloo"),
            scaling_config=ScalingConfig(num_workers=found.workers, use_gpu=found.gpus),
            run_config=RunConfig(name="fit", storage_path=os.fspath(work.storage)),
        )
        try:
            return _result(trainer)
        except TrainingFailedError as error:
            failures = list(getattr(error, "worker_failures", {}).values())
            for failure in failures:
                if isinstance(failure, AttarError):
                    raise failure from None
            if not left:
                # That others are gone, those who stay say by a RuntimeError.
                cause = min(failures, key=lambda one: isinstance(one, RuntimeError), default=error)
                raise ClusterError(
                    f"Workers were lost {RESTARTS + 1} times ({first_line(cause)}), perhaps for "
                    "lack of memory: use fewer workers a machine, and go on with --resume."
                ) from error
            state = "the last checkpoint" if work.settings["checkpoint"] else "its start"
            warn(f"A worker was lost: the fit goes on from {state}.")
    raise AssertionError


def _result(trainer: Any) -> tuple[Fitted, list[str]]:
    """Return what a trainer's first worker returns; here an interrupt is not Ray's, but ours."""
    found: list[Any] = []

    def wait() -> None:
        try:
            found.append(trainer.fit().return_value)
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(1.0)
    if isinstance(found[0], BaseException):
        raise found[0]
    result: tuple[Fitted, list[str]] = found[0]
    return result


@contextmanager
def _echoed(path: Path) -> Iterator[None]:
    """Print the lines that are written to a file, about once a second."""
    ended = threading.Event()

    def echo() -> None:
        done = 0
        while True:
            last = ended.wait(1.0)
            with suppress(FileNotFoundError), path.open() as file:
                file.seek(done)
                sys.stderr.write(file.read())
                sys.stderr.flush()
                done = file.tell()
            if last:
                return

    thread = threading.Thread(target=echo, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
