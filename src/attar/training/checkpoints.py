"""Checkpoints: the state of a training, from which it resumes without a difference."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from attar import storage
from attar.errors import ModelFileError

State = dict[str, Tensor]


class Checkpoint:
    """A file with the latest state of a training.

    Parameters
    ----------
    path : Path
    identity : str
        A digest of model, data and settings; the checkpoint of another training is refused.
    every : float
        The least time between two writes, in seconds.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     checkpoint = Checkpoint(Path(folder) / "state", identity="a training")
    ...     checkpoint.write({"weight": torch.ones(2)}, {"epoch": 3})
    ...     checkpoint.read()
    ({'weight': tensor([1., 1.])}, {'epoch': 3})
    """

    def __init__(self, path: Path, identity: str, every: float = 2.0) -> None:
        self.path, self.identity, self.every = path, identity, every
        self._written = time.monotonic()

    def due(self, every: float = 0.0) -> bool:
        """Return whether ``every`` seconds, or the least time, have passed since the last write."""
        return time.monotonic() - self._written >= max(every, self.every)

    def write(self, state: State, progress: Mapping[str, object]) -> None:
        """Write tensors and the progress, as JSON, in place of the previous state.

        Raises
        ------
        FileError
            If the path cannot be written to, or the disk is full.
        """
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
        storage.write(self.path, tensors, {"identity": self.identity, "progress": progress})
        self._written = time.monotonic()

    def read(self) -> tuple[State, dict[str, Any]] | None:
        """Return the state and progress written last, or None where there is no file.

        Raises
        ------
        ModelFileError
            If the file is damaged, the checkpoint of another training, or none at all.
        """
        if not self.path.exists():
            return None
        check_checkpoint(self.path)
        try:
            state, metadata = storage.read(self.path)
        except ModelFileError:
            raise ModelFileError(f"{self.path} is damaged: delete it and fit again.") from None
        if metadata.get("identity") != self.identity:
            raise ModelFileError(
                f"{self.path} is the checkpoint of a training with other data or settings: give "
                "the same ones again, or delete it."
            )
        return state, metadata["progress"]


def check_checkpoint(path: Path) -> None:
    """Refuse a file that is not a checkpoint, which must be neither overwritten nor deleted.

    Raises
    ------
    ModelFileError
        If it is something else; a damaged checkpoint is one.
    """
    if not storage.begins_with(path, "identity"):
        raise ModelFileError(f"{path} is not a checkpoint of attar's: give another path.")


def module_state(module: nn.Module) -> State:
    """Return copies of a module's tensors by name."""
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def optimizer_state(optimizer: torch.optim.Optimizer) -> State:
    """Return copies of an optimizer's tensors by ``parameter.name``."""
    return {
        f"{parameter}.{name}": tensor.clone()
        for parameter, tensors in optimizer.state_dict()["state"].items()
        for name, tensor in tensors.items()
        if isinstance(tensor, Tensor)
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, state: State) -> None:
    """Restore the tensors of :func:`optimizer_state`."""
    tensors: dict[int, dict[str, Tensor]] = {}
    for key, tensor in state.items():
        parameter, name = key.split(".", 1)
        tensors.setdefault(int(parameter), {})[name] = tensor.clone()
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": tensors, "param_groups": groups})
