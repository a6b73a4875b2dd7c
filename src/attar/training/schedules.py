"""Schedules: how the step size changes from the first step to the last."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass

from attar.parts import Part


class Schedule(Part):
    """A factor on the learning rate, by how much of the training is done."""

    @abstractmethod
    def factor(self, progress: float) -> float:
        """Return the factor, 0 to 1, at a progress of 0 (first step) to 1 (end)."""


@dataclass(frozen=True)
class Constant(Schedule, name="constant"):
    """The same step size throughout."""

    def factor(self, progress: float) -> float:
        """Return 1."""
        return 1.0


@dataclass(frozen=True)
class Cosine(Schedule, name="cosine"):
    """From the full step size down to none along half a cosine: (1 + cos πt) / 2.

    References
    ----------
    Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017.
    """

    def factor(self, progress: float) -> float:
        """Return (1 + cos πt) / 2."""
        return 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


@dataclass(frozen=True)
class OneCycle(Schedule, name="one-cycle"):
    """Up from a small step size along half a cosine, then down to none along another.

    Parameters
    ----------
    warmup : float
        The share of the training that goes up, 0 to 1.
    start : float
        The factor at the first step.

    References
    ----------
    Smith and Topin, "Super-convergence: very fast training of neural networks using large learning
    rates", 2018.
    """

    warmup: float = 0.2
    start: float = 0.04

    def factor(self, progress: float) -> float:
        """Return the factor at this progress."""
        if progress < self.warmup or self.warmup == 1:
            rise = 0.5 * (1 - math.cos(math.pi * progress / self.warmup))
            return self.start + (1 - self.start) * rise
        return Cosine().factor((progress - self.warmup) / (1 - self.warmup))
