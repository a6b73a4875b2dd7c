"""Normal errors: mean squared error, with its variance given or learnt."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from attar.likelihoods.column import LEAST_SCALE, Column
from attar.likelihoods.likelihood import LikelihoodModule


@dataclass(frozen=True)
class Gaussian(Column, name="gaussian"):
    """A normal of fixed variance around the decoder's output: mean squared error.

    log p(x) = -((x - m)² / v + log 2πv) / 2.

    Parameters
    ----------
    variance : float
        v, in units of the prepared data.
    """

    variance: float = 1.0

    def build(self) -> LikelihoodModule:
        """Return the module; the variance must be positive."""
        return GaussianModule(self.positive("variance"))


class GaussianModule(LikelihoodModule):
    """A normal of fixed variance."""

    def __init__(self, variance: float) -> None:
        super().__init__()
        self.variance = variance

    def log_prob(self, parameters: Tensor, target: Tensor) -> Tensor:
        """Return -((x - m)² / v + log 2πv) / 2."""
        squares = (target - parameters).square() / self.variance
        return -0.5 * (squares + math.log(2 * math.pi * self.variance))

    def mean(self, parameters: Tensor) -> Tensor:
        """Return m."""
        return parameters

    def gradient(self, parameters: Tensor, target: Tensor) -> Tensor:
        """Return (m - x) / v."""
        return (parameters - target).div_(self.variance)


@dataclass(frozen=True)
class LearnedGaussian(Column, name="learned-gaussian"):
    """A normal around the decoder's output whose one variance, of all cells, is learnt.

    Among other columns, each has a variance of its own, of at least 0.03².

    References
    ----------
    Rybkin, Daniilidis and Levine, "Simple and effective VAE training with calibrated decoders",
    ICML 2021.
    """

    def build(self) -> LikelihoodModule:
        """Return the module."""
        return LearnedGaussianModule()

    @classmethod
    def together(cls, columns: Sequence[Self]) -> LikelihoodModule:
        """Return the module with a variance for each column."""
        return ColumnsGaussianModule(len(columns))


class VarianceModule(LikelihoodModule):
    """A normal with variances that are learnt."""

    @abstractmethod
    def log_variances(self) -> Tensor:
        """Return log v: one, or one for each column."""

    def log_prob(self, parameters: Tensor, target: Tensor) -> Tensor:
        """Return -((x - m)² / v + log 2πv) / 2."""
        log_variance = self.log_variances()
        squares = (target - parameters).square() * (-log_variance).exp()
        return -0.5 * (squares + log_variance + math.log(2 * math.pi))

    def mean(self, parameters: Tensor) -> Tensor:
        """Return m."""
        return parameters


class LearnedGaussianModule(VarianceModule):
    """A normal whose one log-variance is ten times a parameter.

    An optimizer moves a parameter by about its step size, whatever the slope; this one has a long
    way to go, and everything else waits for it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.tenth = nn.Parameter(torch.zeros(()))

    def log_variances(self) -> Tensor:
        """Return log v."""
        return 10 * self.tenth


class ColumnsGaussianModule(VarianceModule):
    """A normal with a variance for each column."""

    def __init__(self, columns: int) -> None:
        super().__init__()
        self.log_variance = nn.Parameter(torch.zeros(columns))

    def log_variances(self) -> Tensor:
        """Return log v, with v the square of the least scale and what is learnt."""
        return (LEAST_SCALE**2 + self.log_variance.exp()).log()
