"""Optimizers: the step from a gradient to new weights."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from attar.parts import Part


class Optimizer(Part):
    """How weights follow the gradient.

    Attributes
    ----------
    learning_rate : float
        The largest step size that serves well where the user names none.
    clip : float or None
        The most that the gradient's norm may be; None for no limit.
    """

    learning_rate: ClassVar[float]
    clip: float | None

    @abstractmethod
    def build(
        self, parameters: Iterable[nn.Parameter], learning_rate: float
    ) -> torch.optim.Optimizer:
        """Return torch's optimizer, in its fused form where it has one."""


@dataclass(frozen=True)
class Sgd(Optimizer, name="sgd"):
    """Stochastic gradient descent with Nesterov's momentum.

    Parameters
    ----------
    momentum : float
    clip : float or None
    """

    momentum: float = 0.9
    clip: float | None = None

    learning_rate = 1.0

    def build(
        self, parameters: Iterable[nn.Parameter], learning_rate: float
    ) -> torch.optim.Optimizer:
        """Return torch's SGD."""
        return torch.optim.SGD(
            parameters,
            learning_rate,
            momentum=self.momentum,
            nesterov=self.momentum > 0,
            fused=True,
        )


@dataclass(frozen=True)
class RmsProp(Optimizer, name="rmsprop"):
    """Steps divided by a running root mean square of the gradient.

    Parameters
    ----------
    decay : float
        How much of the running mean is kept at each step.
    clip : float or None

    References
    ----------
    Tieleman and Hinton, "Lecture 6.5: rmsprop", COURSERA 2012.
    """

    decay: float = 0.99
    clip: float | None = None

    learning_rate = 0.001

    def build(
        self, parameters: Iterable[nn.Parameter], learning_rate: float
    ) -> torch.optim.Optimizer:
        """Return torch's RMSprop."""
        return torch.optim.RMSprop(parameters, learning_rate, alpha=self.decay, foreach=True)


@dataclass(frozen=True)
class Adam(Optimizer, name="adam"):
    """Adam: running mean of the gradient over the root of its running square.

    Parameters
    ----------
    betas : pair of float
        How much of either running mean is kept at each step.
    clip : float or None

    References
    ----------
    Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015.
    """

    betas: tuple[float, float] = (0.9, 0.99)
    clip: float | None = None

    learning_rate = 0.003

    def build(
        self, parameters: Iterable[nn.Parameter], learning_rate: float
    ) -> torch.optim.Optimizer:
        """Return torch's fused Adam."""
        return torch.optim.Adam(parameters, learning_rate, betas=self.betas, fused=True)


@dataclass(frozen=True)
class AdamW(Optimizer, name="adamw"):
    """Adam with weight decay apart from the gradient.

    Parameters
    ----------
    weight_decay : float
    betas : pair of float
    clip : float or None

    References
    ----------
    Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019.
    """

    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.99)
    clip: float | None = None

    learning_rate = 0.003

    def build(
        self, parameters: Iterable[nn.Parameter], learning_rate: float
    ) -> torch.optim.Optimizer:
        """Return torch's fused AdamW."""
        return torch.optim.AdamW(
            parameters,
            learning_rate,
            betas=self.betas,
            weight_decay=self.weight_decay,
            fused=True,
        )


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
