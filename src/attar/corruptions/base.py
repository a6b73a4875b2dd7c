"""The bases of corruptions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from attar.parts import Part
from attar.records import Batch

# Weights whose squares have a smaller sum count as this.
TINY = 1e-12


class Corrupted(NamedTuple):
    """Corrupted values.

    Attributes
    ----------
    values : Tensor (B, *shape)
        A copy.
    hidden : bool Tensor (B, *shape) or None
        The cells that must be reconstructed; None for all.
    level : Tensor (B, 1) or None
        The standard deviation of each row's noise, where the encoder gets it.
    """

    values: Tensor
    hidden: Tensor | None = None
    level: Tensor | None = None


class CorruptionModule(nn.Module, ABC):
    """Makes of a batch the one that a model is trained on."""

    @abstractmethod
    def corrupted(self, batch: Batch) -> Batch:
        """Return the batch with the values that the encoder is trained on."""


class ValuesCorruption(CorruptionModule, ABC):
    """Corrupts the prepared values that the encoder gets; the target stays."""

    @abstractmethod
    def forward(self, values: Tensor) -> Corrupted:
        """Return corrupted values (B, *shape)."""

    def corrupted(self, batch: Batch) -> Batch:
        """Return the batch with corrupted values."""
        values, hidden, level = self(batch.values.to_dense())
        batch = replace(batch, values=values, level=level)
        if hidden is None:
            return batch
        visible = batch.observed if batch.visible is None else batch.visible
        visible = ~hidden if visible is None else visible & ~hidden
        return replace(batch, visible=visible).restricted(hidden)


class Corruption(Part):
    """What is done to the input before encoding.

    Attributes
    ----------
    provides : frozenset of str
        ``"missing"`` where only some cells must be reconstructed, which excludes a likelihood that
        needs complete rows.
    """

    @abstractmethod
    def build(self) -> CorruptionModule:
        """Return the module.

        Raises
        ------
        SettingError
            If a hyperparameter is out of range.
        """

    def shrinkage(self, features: int) -> Shrinkage | None:
        """Return how the encoder gets the level of the noise, where there is one."""
        return None


class Shrinkage(nn.Module):
    """Shrinks features by the level s of the noise in the input: h / (1 + s² exp(a)).

    For principal components h = w (x - m) of variance 1, to which the noise adds s² |w|², this is
    the Wiener filter if exp(a) = |w|²; so it starts, and a is trained.

    Parameters
    ----------
    features : int
    low, high : float
        The least and the largest level of the training; the least where none is given.

    Attributes
    ----------
    floor : Tensor ()
        The level of noise that clean rows seem to have, which is not removed.

    Examples
    --------
    >>> import torch
    >>> from attar.corruptions import Shrinkage
    >>> shrinkage = Shrinkage(2, low=0.0, high=1.0)
    >>> shrinkage.start(torch.tensor([[3.0, 0.0], [0.0, 1.0]]))
    >>> shrinkage(torch.tensor([[1.0, 1.0]]), torch.tensor([[1.0]])).detach()
    tensor([[0.1000, 0.5000]])

    References
    ----------
    Wiener, "Extrapolation, interpolation, and smoothing of stationary time series", 1949.
    """

    floor: Tensor

    def __init__(self, features: int, low: float, high: float) -> None:
        super().__init__()
        self.low, self.high = low, high
        self.log_gain = nn.Parameter(torch.zeros(features))
        self.register_buffer("floor", torch.zeros(()))

    @torch.no_grad()
    def start(self, weight: Tensor) -> None:
        """Start at the Wiener filter of a linear encoder's weight (w, cells)."""
        self.log_gain.copy_(weight.square().sum(1).clamp_min(TINY).log())

    def forward(self, features: Tensor, level: Tensor | None) -> Tensor:
        """Return shrunk features (B, w) for levels (B, 1); None is the least of the training."""
        squared = self.low**2 if level is None else level.square()
        return features / (1 + squared * self.log_gain.exp())
