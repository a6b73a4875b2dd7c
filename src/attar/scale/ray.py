"""Models applied to tables in many files, and trained on them, by workers of Ray.

Rows are read where they are, by the workers: the driver, this process, sees none of them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from attar.compression import Codec
from attar.data.source import Data
from attar.estimator import Autoencoder
from attar.scale import fits
from attar.scale.parts import Tables, apply
from attar.scale.trials import SideBySide
from attar.scale.verbs import CompressParts, Detect, Encode, Impute, Reconstruct, Score
from attar.tasks.anomalies.detector import AnomalyDetector
from attar.tasks.gaps.imputer import Imputer
from attar.tuning.study import Tuner, Tuning, tuned

if TYPE_CHECKING:
    from ray.data import Dataset


def fit(
    estimator: Autoencoder,
    X: Data | Dataset,
    *,
    condition: Data | None = None,
    checkpoint: str | Path | None = None,
    freeze: str | None = None,
    on: str = "ray",
    workers: int | None = None,
    exact: bool = False,
) -> Autoencoder:
    """Fit an autoencoder by several processes, and return it.

    Each reads its share of the rows of several files, or of the row groups of a Parquet file, and
    computes its part of each batch; gradients are averaged, and all get the same model. If a worker
    is lost, all go on from the last checkpoint, to the same weights.

    Parameters
    ----------
    estimator : Autoencoder
        Its ``batch_size`` is that of all workers together.
    X : path, table, ..., or ray.data.Dataset
        As of :meth:`attar.Autoencoder.fit`; paths that every worker sees. A data set of Ray's is
        written to Parquet files first, since every epoch reads the same rows in the same order.
    condition : array (n,) or table (n, columns), default None
    checkpoint : path or None
        A file that every worker sees and that keeps the state of the training while it runs. Where
        it exists already, training resumes from it. None: a lost worker costs all that was done.
    freeze : {"encoder"}, default None
    on, workers, exact
        As of :func:`encode`; with ``device="cuda"`` a worker takes a GPU, and with ``"auto"`` where
        there are some.

    Raises
    ------
    DataError, SettingError, TrainingError
        As of :meth:`attar.Autoencoder.fit`.
    ClusterError
        If Ray cannot be reached, or workers are lost again and again.

    Examples
    --------
    ::

        import attar
        from attar.scale import ray

        ae = attar.Autoencoder("vae", random_state=0)
        ray.fit(ae, "parts/", checkpoint="vae.checkpoint", workers=8)
    """
    settings = {"condition": condition, "checkpoint": checkpoint, "freeze": freeze}
    fits.fit(estimator, X, on, workers, exact, settings)
    return estimator


def tune(
    X: Data,
    estimator: Autoencoder | None = None,
    search: Mapping[str, object] | Sequence[str] = ("learning_rate", "network"),
    *,
    trials: int = 30,
    minutes: float | None = None,
    storage: str | Path | None = None,
    condition: Data | None = None,
    verbose: bool | Literal["auto"] = "auto",
    on: str = "ray",
    workers: int | None = None,
    exact: bool = False,
) -> Tuning:
    """Search for settings as :func:`attar.tune`, with a trial for each worker at a time.

    Each worker reads X by itself. No trial is pruned, and a trial whose worker is lost has failed.
    The best model is fitted by this process, which alone writes to the storage.

    Parameters
    ----------
    X : path, table, ...
        As of :func:`attar.tune`; paths that every worker sees.
    estimator, search, trials, minutes, storage, condition, verbose
        As of :func:`attar.tune`; trials that run when the minutes are over are completed.
    on, workers, exact
        As of :func:`encode`.

    Raises
    ------
    SettingError, DataError, FileError, TrainingError
        As of :func:`attar.tune`.
    ClusterError
        If Ray cannot be reached.

    Examples
    --------
    ::

        from attar.scale import ray

        found = ray.tune("parts/", search=["learning_rate"], trials=40, workers=8)
        found.estimator.save("best.attar")
    """
    arguments = (estimator or Autoencoder(), X, search, condition)
    return tuned(
        lambda: Tuner(*arguments),
        SideBySide(arguments, on, workers, exact),
        trials,
        minutes,
        None if storage is None else Path(storage),
        verbose,
    )


def encode(
    model: Autoencoder,
    X: Tables,
    out: str | os.PathLike[str],
    *,
    label: str | None = None,
    on: str = "ray",
    workers: int | None = None,
    exact: bool = False,
) -> int:
    """Write the codes of the rows of a table as Parquet parts, and return how many there are.

    Parameters
    ----------
    model : Autoencoder
        Fitted on a table.
    X : path, paths, or TableStream
        Files of tables, a folder of them, or a pattern, of the columns that were fitted.
    out : path
        A new folder, which every worker sees.
    label : str or None
        A column of labels, which is left out; None for that of the fit.
    on : str, default "ray"
        A Ray that is started on this machine, or ``"ray://host:6379"``, ``"ray://auto"``; see
        :func:`attar.scale.cluster.reached`.
    workers : int or None
        How many processes work; None: one for each CPU.
    exact : bool, default False
        Whether fewer workers are refused, instead of warned of.

    Raises
    ------
    DataError
        If X is no table in files, its files have different columns, or they don't fit the model.
    FileError
        If a file cannot be read or written by a worker, or the folder is not empty.
    ClusterError
        If Ray cannot be reached, or a part ends each worker that gets it.

    Examples
    --------
    ::

        import attar
        from attar.scale import ray

        ray.encode(attar.load("m.attar"), "parts/", "codes/", workers=8)
    """
    return apply(Encode(model, label=label), X, out, on, workers, exact)


def reconstruct(
    model: Autoencoder,
    X: Tables,
    out: str | os.PathLike[str],
    *,
    label: str | None = None,
    on: str = "ray",
    workers: int | None = None,
    exact: bool = False,
) -> int:
    """Write the reconstructions of rows; all as of :func:`encode`."""
    return apply(Reconstruct(model, label=label), X, out, on, workers, exact)


def score(
    model: Autoencoder | AnomalyDetector,
    X: Tables,
    out: str | os.PathLike[str],
    *,
    label: str | None = None,
    explain: bool = False,
    on: str = "ray",
    workers: int | None = None,
    exact: bool = False,
) -> int:
    """Write how odd rows are, by a detector, or their log-likelihoods; all as of :func:`encode`.

    With ``explain`` a detector also says which columns make a row odd.
    """
    of_detector = isinstance(model, AnomalyDetector)
    verb = Detect(model, explain, label=label) if of_detector else Score(model, label=label)
    return apply(verb, X, out, on, workers, exact)


def impute(
    model: Imputer,
    X: Tables,
    out: str | os.PathLike[str],
    *,
    on: str = "ray",
    workers: int | None = None,
    exact: bool = False,
) -> int:
    """Write rows with their missing cells filled; all as of :func:`encode`."""
    return apply(Impute(model), X, out, on, workers, exact)


def compress(
    model: Autoencoder,
    X: Tables,
    out: str | os.PathLike[str],
    *,
    with_model: bool = False,
    on: str = "ray",
    workers: int | None = None,
    exact: bool = False,
) -> int:
    """Write compressed parts (.atz), which are opened one by one; all as of :func:`encode`.

    With ``with_model`` each has the model in it.
    """
    return apply(CompressParts(Codec(model), with_model), X, out, on, workers, exact)
