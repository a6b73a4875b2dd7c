"""Trials of a search for settings side by side, by workers of Ray."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from attar.errors import ClusterError
from attar.scale import cluster
from attar.tuning.space import Stored
from attar.tuning.study import Show, Tuner, complete_trials, record, recorded

if TYPE_CHECKING:
    from optuna import Study, Trial


class TrialWorker:
    """A worker, which makes one trial after the other.

    Parameters
    ----------
    here : Path
        The folder that paths are relative to.
    arguments : tuple
        Of :class:`~attar.tuning.study.Tuner`.
    """

    def __init__(self, here: Path, arguments: tuple[Any, ...]) -> None:
        torch.set_num_threads(1)
        if here.is_dir():
            os.chdir(here)
        self.tuner = Tuner(*arguments)

    def fitted(self, stored: Mapping[str, Stored]) -> tuple[float, float]:
        """Return the loss and the mean squared error of a trial with these settings."""
        return self.tuner.fitted(stored)


@dataclass(frozen=True)
class SideBySide:
    """A search whose trials are made by several workers at once; none is pruned.

    Attributes
    ----------
    arguments : tuple
        Of :class:`~attar.tuning.study.Tuner`, for each worker.
    on, workers, exact
        As of :func:`attar.scale.cluster.reached`.
    """

    arguments: tuple[Any, ...]
    on: str
    workers: int | None
    exact: bool

    def __call__(self, tuner: Tuner, study: Study, trials: int, until: float, show: Show) -> None:
        """Make trials until there are so many, or the time is over.

        Raises
        ------
        ClusterError
            If Ray cannot be reached.
        """
        import optuna

        # Of trials that run a loss is assumed that is no better than others.
        seed = (tuner.run.seed + len(study.trials)) % 2**32
        study.sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
        gpus = None if tuner.estimator.device == "auto" else tuner.estimator.device != "cpu"
        done = tuner.begin(study)
        running: dict[Any, tuple[Trial, Any]] = {}
        with cluster.reached(self.on, self.workers, self.exact, gpus) as found:
            ray: Any = cluster.ray_module()
            idle = [self._worker(ray, found) for _ in range(min(found.workers, trials - done))]
            while True:
                late = complete_trials(study) and time.monotonic() > until
                while idle and done + len(running) < trials and not late:
                    trial, worker = study.ask(), idle.pop()
                    running[worker.fitted.remote(tuner.suggested(trial))] = trial, worker
                if not running:
                    return
                (ended, *_), _ = ray.wait(list(running))
                trial, worker = running.pop(ended)
                with recorded(study, trial):
                    try:
                        record(study, trial, *ray.get(ended))
                    except ray.exceptions.RayTaskError as error:
                        raise error.cause from None
                    except ray.exceptions.RayError:
                        worker = self._worker(ray, found)
                        raise ClusterError("its worker was lost, perhaps for memory.") from None
                    finally:
                        idle.append(worker)
                done += 1
                show(done, study.trials[trial.number], study)

    def _worker(self, ray: Any, found: cluster.Cluster) -> Any:
        worker = ray.remote(num_cpus=1, num_gpus=int(found.gpus))(TrialWorker)
        return worker.remote(Path.cwd(), self.arguments)
