"""A Ray cluster: one that runs already, or one on this machine for as long as it is needed."""

from __future__ import annotations

import logging
import os
import re
import socket
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

from attar.checks import positive_integer
from attar.errors import ClusterError, FileError, SettingError, first_line, unknown, warn
from attar.remote import Url

# What a Ray on this machine keeps for objects: models and messages, while rows stay in the workers.
OBJECTS = 256 << 20

# The port of a cluster's head, and the seconds after which nothing answers there.
PORT, PATIENCE = "6379", 5.0

# Messages on Ray's own future, which its users cannot heed.
UNHEEDED = (DeprecationWarning, FutureWarning, ResourceWarning)


@dataclass(frozen=True)
class Cluster:
    """A cluster that was reached.

    Attributes
    ----------
    workers : int
        How many of its processes work.
    gpus : bool
        Whether each has a GPU.
    local : bool
        Whether all of it is on this machine, and ends with the work.
    """

    workers: int
    gpus: bool = False
    local: bool = True


@contextmanager
def reached(
    on: str, workers: int | None = None, exact: bool = False, gpus: bool | None = False
) -> Iterator[Cluster]:
    """Reach a cluster, or start one on this machine and end it afterwards.

    Parameters
    ----------
    on : str
        ``"ray"`` is the cluster that this program is connected to, else that of the environment
        variable ``RAY_ADDRESS``, else a new one on this machine. ``"ray://auto"`` is the one that
        this machine belongs to, and ``"ray://host:6379"`` that one by the address of its head.
    workers : int or None
        How many processes shall work; None: as many as there are CPUs, or GPUs.
    exact : bool
        Whether fewer are refused, instead of warned of.
    gpus : bool or None
        Whether each takes a GPU; None: where there are some.

    Raises
    ------
    SettingError
        If Ray is not installed, ``on`` is unknown, or there are fewer workers than were asked for.
    ClusterError
        If the cluster cannot be reached, or is of another version.
    """
    engine, _, address = on.partition("://")
    if engine != "ray":
        raise unknown("engine", engine, ["ray"])
    if workers is not None:
        positive_integer("The number of workers", workers)
    ray = ray_module()
    with _quiet(), ExitStack() as stack:
        local = False
        if ray.is_initialized() and address:
            raise SettingError(
                f"This program is connected to a Ray already, and takes no other, such as {on}: "
                "use on='ray', or call ray.shutdown() before."
            )
        if not ray.is_initialized():
            address = (address or os.environ.get("RAY_ADDRESS", "")).removeprefix("ray://")
            stack.callback(ray.shutdown)
            if address:
                _connect(ray, address)
            else:
                local = True
                # Its sockets are in there, whose paths may have some hundred bytes at most.
                folder = stack.enter_context(TemporaryDirectory(prefix="attar-ray-", dir="/tmp"))
                _start(ray, folder)
        resources = ray.cluster_resources()
        gpus = bool(resources.get("GPU")) if gpus is None else gpus
        kind = "GPU" if gpus else "CPU"
        most = int(resources.get(kind, 0))
        wanted = workers or max(most, 1)
        if most < wanted:
            found = f"{wanted} workers need as many {kind}s, and Ray has {most}"
            if exact or not most:
                raise SettingError(f"{found}: ask for fewer workers, or give it more machines.")
            warn(f"{found}: so many work.")
        yield Cluster(min(wanted, most), gpus, local)


def ray_module() -> ModuleType:
    """Return Ray, which is an extra.

    Raises
    ------
    SettingError
        If it is not installed.
    """
    try:
        return import_module("ray")
    except ImportError:
        raise SettingError(
            "Work on several machines needs Ray: install it with pip install 'attar[ray]'."
        ) from None


def require_seen(path: Path) -> None:
    """Refuse a path that is not on this machine, that of a worker.

    Raises
    ------
    FileError
        That says on which.
    """
    if not isinstance(path, Url) and not path.exists():
        raise FileError(
            f"{path} is not there on the machine {socket.gethostname()}: use storage that every "
            "worker sees."
        )


def _start(ray: ModuleType, folder: str) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(
        "local",
        log_to_driver=False,
        include_dashboard=False,
        object_store_memory=OBJECTS,
        _temp_dir=folder,
    )


def _connect(ray: ModuleType, address: str) -> None:
    """Connect to a cluster.

    Raises
    ------
    ClusterError
        If it cannot be reached, or is of another version.
    """
    try:
        if address != "auto":
            host, _, port = address.partition(":")
            address = f"{host}:{port or PORT}"
            socket.create_connection((host, int(port or PORT)), PATIENCE).close()
        ray.init(address, log_to_driver=False)
    except (OSError, ValueError, RuntimeError) as error:
        versions = re.findall(r"Ray: (\S+)\s+Python: (\S+)", str(error))
        if len(versions) == 2:
            there, here = (f"Ray {its} and Python {python}" for its, python in versions)
            raise ClusterError(
                f"The cluster at {address} has {there}, and this program {here}: install the same."
            ) from None
        raise ClusterError(
            f"No Ray answers at {address} ({first_line(error)}): start it with ray start --head; "
            "if it asks for a token, set RAY_AUTH_MODE=token."
        ) from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what Ray prints and logs to itself, in C++ too; what attar prints is seen."""
    with ExitStack() as stack:
        nowhere = stack.enter_context(open(os.devnull, "w"))
        stack.enter_context(redirect_stdout(nowhere))
        own = os.dup(2)
        stack.callback(os.close, own)
        if sys.stderr is sys.__stderr__:
            seen = stack.enter_context(open(os.dup(own), "w"))
            stack.enter_context(redirect_stderr(seen))
        stack.callback(os.dup2, own, 2)
        os.dup2(nowhere.fileno(), 2)
        stack.callback(logging.disable, logging.root.manager.disable)
        logging.disable(logging.CRITICAL)
        stack.enter_context(warnings.catch_warnings())
        for category in UNHEEDED:
            warnings.simplefilter("ignore", category)
        yield
