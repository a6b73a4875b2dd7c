"""Student's t: normal errors, but for heavy tails."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from attar.likelihoods.column import LEAST_SCALE, Column
from attar.likelihoods.likelihood import LikelihoodModule


@dataclass(frozen=True)
class StudentT(Column, name="student-t"):
    """Student's t around the decoder's output, its scale learnt; for numbers with heavy tails.

    log p(x) = log Γ((ν + 1)/2) - log Γ(ν/2) - (log νπ)/2 - log s - (ν + 1)/2 log(1 + z²/ν), with
    z = (x - m) / s. Far values cost the logarithm of their distance, and pull the less the
    farther they are.

    Parameters
    ----------
    freedom : float
        ν, the degrees of freedom: 1 is Cauchy's distribution, infinitely many a normal one.

    References
    ----------
    Lange, Little and Taylor, "Robust statistical modeling using the t distribution", JASA 1989.
    """

    freedom: float = 4.0

    def build(self) -> LikelihoodModule:
        """Return the module, with one scale for all cells; the freedom must be positive."""
        return self.together([self])

    @classmethod
    def together(cls, columns: Sequence[Self]) -> LikelihoodModule:
        """Return the module, with a scale for each column."""
        return StudentTModule(columns[0].positive("freedom"), len(columns))


class StudentTModule(LikelihoodModule):
    """Student's t with scales that are parameters."""

    def __init__(self, freedom: float, columns: int) -> None:
        super().__init__()
        self.freedom = freedom
        self.log_scale = nn.Parameter(torch.zeros(columns))
        gammas = math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)
        self.log_peak = gammas - math.log(freedom * math.pi) / 2

    def log_prob(self, parameters: Tensor, target: Tensor) -> Tensor:
        """Return log Γ((ν+1)/2)/Γ(ν/2)√νπ - log s - (ν + 1)/2 log(1 + z²/ν)."""
        scale = LEAST_SCALE + self.log_scale.exp()
        squares = ((target - parameters) / scale).square()
        tail = (self.freedom + 1) / 2 * torch.log1p(squares / self.freedom)
        return self.log_peak - scale.log() - tail

    def mean(self, parameters: Tensor) -> Tensor:
        """Return m, also where so heavy a tail leaves the mean undefined."""
        return parameters
