"""Checkpoints: the state of a training, from which it resumes as if it had never stopped."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from attar import storage
from attar.errors import ModelFileError

State = dict[str, Tensor]


class Checkpoint:
    """A file that holds the latest state of a training.

    Parameters
    ----------
    path : Path
    identity : str
        What is trained, on what, and how; a state of another identity is refused.
    every : float
        Seconds between two writes at least.
    """

    def __init__(self, path: Path, identity: str, every: float = 2.0) -> None:
        self.path, self.identity, self.every = path, identity, every
        self._written = time.monotonic()

    def due(self) -> bool:
        """Return whether it is time to write again."""
        return time.monotonic() - self._written >= self.every

    def write(self, state: State, progress: Mapping[str, Any]) -> None:
        """Write tensors and the progress as JSON, in place of what was there.

        Raises
        ------
        FileError
            If the place cannot be written to, or the disk is full.
        """
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
        storage.write(self.path, tensors, {"identity": self.identity, "progress": progress})
        self._written = time.monotonic()

    def read(self) -> tuple[State, dict[str, Any]] | None:
        """Return what was written, or None where there is no file.

        Raises
        ------
        ModelFileError
            If the file is no checkpoint, or one of another training.
        """
        if not self.path.exists():
            return None
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


def optimizer_state(optimizer: torch.optim.Optimizer) -> State:
    """Return the optimizer's tensors by ``parameter.name``."""
    return {
        f"{parameter}.{name}": tensor
        for parameter, tensors in optimizer.state_dict()["state"].items()
        for name, tensor in tensors.items()
        if isinstance(tensor, Tensor)
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, state: State) -> None:
    """Give the optimizer the tensors of :func:`optimizer_state` back."""
    tensors: dict[int, dict[str, Tensor]] = {}
    for key, tensor in state.items():
        parameter, name = key.split(".", 1)
        tensors.setdefault(int(parameter), {})[name] = tensor.clone()
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": tensors, "param_groups": groups})
