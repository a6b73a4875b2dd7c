"""Any model file: what it holds, as an estimator."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from attar import storage
from attar.errors import SettingError
from attar.estimator import Autoencoder
from attar.remote import file_at


def load(
    path: str | Path, network: tuple[object, object] | None = None, *, device: str = "cpu"
) -> Any:
    """Return the estimator of a model file: an autoencoder, or one for a task.

    A type checker takes it for any; that of ``attar.Autoencoder.load``, ``attar.Classifier.load``
    and the like it knows.

    Parameters
    ----------
    path : path
        A file, or its URL, such as ``"hf://user/name"``.
    network : pair of torch modules or None
        Of an autoencoder: as of :meth:`attar.Autoencoder.load`.
    device : str, default "cpu"
        Of an autoencoder: as of :meth:`attar.Autoencoder.load`.

    Raises
    ------
    FileError
        If there is no such file.
    ModelFileError
        If it is damaged, of another format, or not a model of attar's.
    SettingError
        If a network or a device is given for a task, or does not fit.

    Examples
    --------
    >>> import attar
    >>> from sklearn.datasets import load_iris
    >>> from tempfile import TemporaryDirectory
    >>> clusterer = attar.Clusterer(2, random_state=0).fit(load_iris().data)
    >>> with TemporaryDirectory() as folder:
    ...     clusterer.save(f"{folder}/c.attar")
    ...     attar.load(f"{folder}/c.attar")
    Clusterer(n_clusters=2)
    """
    path = file_at(path)  # what is at a URL is copied once
    task = storage.task_of(path)
    if task not in storage.TASKS:
        return Autoencoder.load(path, network, device=device)
    name, _ = storage.TASKS[task]
    if network is not None or device != "cpu":
        raise SettingError(
            f"{path} holds a {name}, which takes no network and no device: leave them out."
        )
    # The one class is imported, and not those of all tasks.
    return getattr(import_module("attar"), name).load(path)
