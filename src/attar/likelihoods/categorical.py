"""Categories: a softmax over each one-hot segment."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from attar.errors import SettingError
from attar.likelihoods.column import Column
from attar.likelihoods.likelihood import LikelihoodModule, Shape


@dataclass(frozen=True)
class Categorical(Column, name="categorical"):
    """A choice among levels, whose logits the decoder gives; for one-hot cells.

    log P(x) = Σ x_j log softmax(a)_j. A segment without any one, of a level never seen, costs
    nothing.

    Parameters
    ----------
    levels : int
        The number of levels, and of the cells of a segment. Without other columns beside it, the
        last axis of a row is the segment.
    """

    levels: int = 2

    @property
    def cells(self) -> int:
        """One for each level."""
        return self.levels

    @property
    def kin(self) -> Hashable:
        """Their type, and about their size: the smaller are padded, less than fourfold."""
        return self.name, self.levels.bit_length() // 2

    def build(self) -> LikelihoodModule:
        """Return the module; there must be a level."""
        return self.together([self])

    def parameters(self, shape: Shape) -> Shape:
        """Return the shape of a row, whose last axis must be the segment."""
        if shape[-1] != self.levels:
            raise SettingError(
                f"{self!r} needs rows of {self.levels} cells, one for each level, but the prepared "
                f"rows have {shape[-1]}: use 'mixed' for several columns."
            )
        return shape

    @classmethod
    def together(cls, columns: Sequence[Self]) -> LikelihoodModule:
        """Return the module of several segments."""
        return CategoricalModule([column.counted("levels") for column in columns])


class CategoricalModule(LikelihoodModule):
    """Softmaxes over segments of a row, side by side."""

    places: Tensor

    def __init__(self, levels: Sequence[int]) -> None:
        super().__init__()
        self.padded = len(levels), max(levels)
        places = torch.cat([i * max(levels) + torch.arange(n) for i, n in enumerate(levels)])
        self.register_buffer("places", places, persistent=False)

    def log_prob(self, parameters: Tensor, target: Tensor) -> Tensor:
        """Return x_j log softmax(a)_j."""
        return target * self._log_softmax(parameters)

    def mean(self, parameters: Tensor) -> Tensor:
        """Return the probability of each level."""
        return self._log_softmax(parameters).exp()

    def _log_softmax(self, logits: Tensor) -> Tensor:
        places = self.places.expand_as(logits)
        segments, most = self.padded
        lead = logits.shape[:-1]
        padded = logits.new_full((*lead, segments * most), -torch.inf).scatter(-1, places, logits)
        log_softmax = padded.reshape(*lead, segments, most).log_softmax(-1)
        return log_softmax.flatten(-2).gather(-1, places)
