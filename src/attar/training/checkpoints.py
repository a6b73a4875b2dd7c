"""Checkpoints: everything that training needs to go on as if it had never stopped."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from attar.errors import FileError, ModelFileError
from attar.files import written_whole

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

    def write(self, state: State, facts: dict[str, Any]) -> None:
        """Write tensors and plain facts, in place of what was there.

        Raises
        ------
        FileError
            If the place cannot be written to, or the disk is full.
        """
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
        metadata = {"attar-checkpoint": self.identity, "facts": json.dumps(facts)}
        with written_whole(self.path) as beside:
            try:
                save_file(tensors, beside, metadata)
            except SafetensorError as error:
                raise FileError(f"{self.path} cannot be written: {error}.") from None
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
            with safe_open(self.path, "pt") as file:
                metadata = file.metadata() or {}
                state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError):
            raise ModelFileError(f"{self.path} is damaged: delete it and fit again.") from None
        if metadata.get("attar-checkpoint") != self.identity:
            raise ModelFileError(
                f"{self.path} is the checkpoint of a training with other data or settings: give "
                "the same ones again, or delete it."
            )
        return state, json.loads(metadata["facts"])


def nested(prefix: str, state: Mapping[str, Tensor]) -> State:
    """Return the state with ``prefix.`` before each name."""
    return {f"{prefix}.{name}": tensor for name, tensor in state.items()}


def unnested(prefix: str, state: Mapping[str, Tensor]) -> State:
    """Return the part of the state under ``prefix.``, without it."""
    start = f"{prefix}."
    return {name.removeprefix(start): t for name, t in state.items() if name.startswith(start)}


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
