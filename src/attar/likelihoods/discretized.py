"""Whole numbers: the probability of a bin."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from attar.likelihoods.column import LEAST_SCALE, Column
from attar.likelihoods.likelihood import LikelihoodModule


@dataclass(frozen=True)
class Discretized(Column, name="discretized"):
    """A logistic around the decoder's output, summed up over the bin of each value; scale learnt.

    P(x) = σ((x + w/2 - m) / s) - σ((x - w/2 - m) / s): a probability, not a density, so that
    whole numbers cannot be told ever better by an ever smaller scale.

    Parameters
    ----------
    width : float
        w, the distance of two neighbouring values in units of the prepared data.

    References
    ----------
    Kingma et al., "Improving variational inference with inverse autoregressive flow",
    NeurIPS 2016.
    """

    width: float = 1.0

    @property
    def kin(self) -> Hashable:
        """Their type: each has its own width."""
        return self.name

    def build(self) -> LikelihoodModule:
        """Return the module, with one scale for all cells; the width must be positive."""
        return self.together([self])

    @classmethod
    def together(cls, columns: Sequence[Self]) -> LikelihoodModule:
        """Return the module, with a scale for each column."""
        return DiscretizedModule(torch.tensor([column.positive("width") for column in columns]))


class DiscretizedModule(LikelihoodModule):
    """A logistic over bins, with scales that are parameters."""

    width: Tensor

    def __init__(self, width: Tensor) -> None:
        super().__init__()
        self.register_buffer("width", width, persistent=False)
        self.log_scale = nn.Parameter(torch.zeros_like(width))

    def log_prob(self, parameters: Tensor, target: Tensor) -> Tensor:
        """Return log(1 - exp(-w/s)) + log σ(z + w/2s) + log σ(w/2s - z), with z = (x - m) / s.

        This is the logarithm of the difference, rearranged so that nothing cancels.
        """
        scale = LEAST_SCALE + self.log_scale.exp()
        z, width = (target - parameters) / scale, self.width / scale
        sides = functional.logsigmoid(width / 2 + z) + functional.logsigmoid(width / 2 - z)
        return sides + torch.log(-torch.expm1(-width))

    def mean(self, parameters: Tensor) -> Tensor:
        """Return m."""
        return parameters
