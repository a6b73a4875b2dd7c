"""Optimizers: the step from a gradient to new weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn

from attar.errors import SettingError, unknown
from attar.parts import Part

Setting = bool | float | tuple[float, ...] | str | None

# The others need a closure, sparse gradients, or weights that are all matrices.
ALGORITHMS: dict[str, type[torch.optim.Optimizer]] = {
    name.lower(): found
    for name, found in vars(torch.optim).items()
    if isinstance(found, type) and issubclass(found, torch.optim.Optimizer)
    if name not in {"Optimizer", "LBFGS", "SparseAdam", "Muon"}
}

# Where attar's defaults are not torch's.
DEFAULTS: dict[str, dict[str, Setting]] = {
    "sgd": {"lr": 1.0, "momentum": 0.9, "nesterov": True, "fused": True},
    "rmsprop": {"lr": 0.001, "foreach": True},
    "adam": {"lr": 0.003, "betas": (0.9, 0.99), "fused": True},
    "adamw": {"lr": 0.003, "betas": (0.9, 0.99), "fused": True},
}


@dataclass(frozen=True)
class Optimizer(Part):
    """An optimizer of ``torch.optim``, by its name in lower case.

    Parameters
    ----------
    name : str
        Such as ``"sgd"`` (with Nesterov's momentum), ``"rmsprop"``, ``"adam"`` or ``"nadam"``.
    settings : mapping of str
        Arguments of torch's class that differ from the defaults. ``lr`` is the learning rate where
        the estimator's is ``"auto"``.
    clip : float or None
        The most that the gradient's norm may be; None for no limit.

    Examples
    --------
    >>> Optimizer("adamw", {"weight_decay": 0.05}, clip=1.0)
    Optimizer(name='adamw', settings=(('weight_decay', 0.05),), clip=1.0)
    """

    name: str = "adam"
    settings: Mapping[str, Setting] | tuple[tuple[str, Setting], ...] = ()
    clip: float | None = None

    def __post_init__(self) -> None:
        # A mapping has no hash, which parts have.
        if isinstance(self.settings, Mapping):
            object.__setattr__(self, "settings", tuple(sorted(self.settings.items())))

    @property
    def learning_rate(self) -> float:
        """The largest step size that works well where the user names none."""
        return float(self._arguments()["lr"])

    def build(
        self, parameters: Iterable[nn.Parameter], learning_rate: float
    ) -> torch.optim.Optimizer:
        """Return torch's optimizer.

        Raises
        ------
        SettingError
            If torch has no such optimizer, or the optimizer no such setting.
        """
        arguments = self._arguments() | {"lr": learning_rate}
        return ALGORITHMS[self.name](parameters, **arguments)

    def _arguments(self) -> dict[str, Any]:
        if self.name not in ALGORITHMS:
            raise unknown("optimizer", self.name, ALGORITHMS)
        if not isinstance(self.settings, tuple):
            raise SettingError(f"The settings of {self!r} must be a mapping from names to values.")
        known = list(signature(ALGORITHMS[self.name]).parameters.values())[1:]
        arguments = {argument.name: argument.default for argument in known}
        for setting, value in (DEFAULTS.get(self.name, {}) | dict(self.settings)).items():
            if setting not in arguments:
                raise unknown(f"setting of {self.name!r}", setting, arguments)
            arguments[setting] = value
        return arguments


Optimizer.members.update({name: partial(Optimizer, name) for name in ALGORITHMS})


@torch.no_grad()
def drop_denormals(optimizer: torch.optim.Optimizer) -> None:
    """Set running means that have all but died out to zero.

    A weight whose input has been silent for a thousand steps has means so small that a processor
    computes with them many times slower; they have long had no effect.
    """
    for tensors in optimizer.state.values():
        for tensor in tensors.values():
            if isinstance(tensor, Tensor) and tensor.ndim:
                tensor.masked_fill_(tensor.abs() < 1e-30, 0.0)
