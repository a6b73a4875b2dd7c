"""Optimizers and learning rate schedules."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from inspect import signature
from typing import Any

import torch
from torch import Tensor

from attar.errors import SettingError, unknown
from attar.parts import Part
from attar.training.muon import Muon, Weights

Setting = bool | float | tuple[float, ...] | str | None

# torch's others need a closure, sparse gradients, or weights that are all matrices.
ALGORITHMS: dict[str, type[torch.optim.Optimizer]] = {
    name.lower(): found
    for name, found in vars(torch.optim).items()
    if isinstance(found, type) and issubclass(found, torch.optim.Optimizer)
    if name not in {"Optimizer", "LBFGS", "SparseAdam", "Muon"}
} | {"muon": Muon}

# Where attar's defaults are not torch's.
DEFAULTS: dict[str, dict[str, Setting]] = {
    "sgd": {"lr": 1.0, "momentum": 0.9, "nesterov": True, "fused": True},
    "rmsprop": {"lr": 0.001, "foreach": True},
    "adam": {"lr": 0.003, "betas": (0.9, 0.99), "fused": True},
    "adamw": {"lr": 0.003, "betas": (0.9, 0.99), "fused": True},
}

# The algorithms whose eps has the unit of a gradient; Adadelta's and Adafactor's have others.
SCALED_EPS = {"adagrad", "adam", "adamax", "adamw", "muon", "nadam", "radam", "rmsprop"}


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
        The largest norm of the gradient; None for no limit.

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
        """The largest learning rate of a training whose ``learning_rate`` is ``"auto"``."""
        return float(self._arguments()["lr"])

    def build(
        self, parameters: Weights, learning_rate: float, cells: int = 1
    ) -> torch.optim.Optimizer:
        """Return torch's optimizer.

        Parameters
        ----------
        parameters : iterable of Parameter, or of groups
        learning_rate : float
        cells : int
            The number that gradients are divided by. An ``eps`` that is added to their size is
            divided by it too, or it would shorten the steps of wide data.

        Raises
        ------
        SettingError
            If torch has no such optimizer, or the optimizer no such setting.
        """
        arguments = self._arguments() | {"lr": learning_rate}
        if self.name in SCALED_EPS:
            arguments["eps"] /= cells
        return ALGORITHMS[self.name](parameters, **arguments)

    def _arguments(self) -> dict[str, Any]:
        if self.name not in ALGORITHMS:
            raise unknown("optimizer", self.name, ALGORITHMS)
        if not isinstance(self.settings, tuple):
            raise SettingError(f"The settings of {self!r} must be a mapping from names to values.")
        _, *accepted = signature(ALGORITHMS[self.name]).parameters.values()
        arguments = {argument.name: argument.default for argument in accepted}
        for setting, value in (DEFAULTS.get(self.name, {}) | dict(self.settings)).items():
            if setting not in arguments:
                raise unknown(f"setting of {self.name!r}", setting, arguments)
            arguments[setting] = value
        return arguments


Optimizer.members.update({name: partial(Optimizer, name) for name in ALGORITHMS})


@torch.no_grad()
def drop_denormals(optimizer: torch.optim.Optimizer) -> None:
    """Set vanishing running means to zero.

    The means of a weight whose gradient stays 0 decay to denormal numbers, with which a CPU
    computes many times slower; they have no effect on its steps.
    """
    for tensors in optimizer.state.values():
        for tensor in tensors.values():
            if isinstance(tensor, Tensor) and tensor.ndim:
                tensor.masked_fill_(tensor.abs() < 1e-30, 0.0)


class Schedule(Part):
    """A factor on the learning rate, a function of the fraction t of the training that is done."""

    @abstractmethod
    def factor(self, progress: float) -> float:
        """Return the factor, 0 to 1, at t from 0 (first step) to 1 (end)."""


@dataclass(frozen=True)
class Constant(Schedule, name="constant"):
    """A constant learning rate.

    Examples
    --------
    >>> Constant().factor(0.7)
    1.0
    """

    def factor(self, progress: float) -> float:
        """Return 1."""
        return 1.0


@dataclass(frozen=True)
class Cosine(Schedule, name="cosine"):
    r"""The learning rate falls to 0 along half a cosine.

    .. math:: \tfrac12 (1 + \cos πt)

    Examples
    --------
    >>> [Cosine().factor(t) for t in (0.0, 0.5, 1.0)]
    [1.0, 0.5, 0.0]

    References
    ----------
    Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017.
    """

    def factor(self, progress: float) -> float:
        """Return (1 + cos πt) / 2."""
        return 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


@dataclass(frozen=True)
class OneCycle(Schedule, name="one-cycle"):
    r"""The learning rate rises along half a cosine, then falls to 0 along another.

    With the start s and the warmup w, up to t = w it is

    .. math:: s + \tfrac12 (1 - s) (1 - \cos (πt / w)).

    Parameters
    ----------
    warmup : float
        The fraction of the training that rises, 0 to 1.
    start : float
        The factor at the first step.

    Examples
    --------
    >>> [round(OneCycle().factor(t), 2) for t in (0.0, 0.1, 0.2, 0.6, 1.0)]
    [0.04, 0.52, 1.0, 0.5, 0.0]

    References
    ----------
    Smith and Topin, "Super-convergence: very fast training of neural networks using large learning
    rates", 2018.
    """

    warmup: float = 0.2
    start: float = 0.04

    def factor(self, progress: float) -> float:
        """Return start + (1 - start) (1 - cos πt/w) / 2 up to the warmup w, then half a cosine."""
        if progress < self.warmup or self.warmup == 1:
            rise = 0.5 * (1 - math.cos(math.pi * progress / self.warmup))
            return self.start + (1 - self.start) * rise
        return Cosine().factor((progress - self.warmup) / (1 - self.warmup))
