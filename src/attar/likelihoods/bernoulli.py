"""Coin flips: binary cross-entropy."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from attar.likelihoods.column import Column
from attar.likelihoods.likelihood import LikelihoodModule


@dataclass(frozen=True)
class Bernoulli(Column, name="bernoulli"):
    """A coin for each cell, its log-odds given by the decoder; for data between 0 and 1.

    log p(x) = x log σ(a) + (1 - x) log(1 - σ(a)), the binary cross-entropy with its sign turned.
    """

    needs = frozenset({"unit-interval"})

    def build(self) -> LikelihoodModule:
        """Return the module."""
        return BernoulliModule()


class BernoulliModule(LikelihoodModule):
    """A coin from log-odds."""

    def log_prob(self, parameters: Tensor, target: Tensor) -> Tensor:
        """Return x a - log(1 + exp a)."""
        return target * parameters - functional.softplus(parameters)

    def mean(self, parameters: Tensor) -> Tensor:
        """Return σ(a)."""
        return parameters.sigmoid()

    def gradient(self, parameters: Tensor, target: Tensor) -> Tensor:
        """Return σ(a) - x."""
        return parameters.sigmoid().sub_(target)


@dataclass(frozen=True)
class BernoulliProbability(Column, name="bernoulli-probability"):
    """A coin for each cell, its probability given by the decoder; for networks ending in a sigmoid.

    Probabilities are kept 1e-7 away from 0 and 1, as Keras does.
    """

    needs = frozenset({"unit-interval"})

    def build(self) -> LikelihoodModule:
        """Return the module."""
        return BernoulliProbabilityModule()


class BernoulliProbabilityModule(LikelihoodModule):
    """A coin from its probability."""

    def log_prob(self, parameters: Tensor, target: Tensor) -> Tensor:
        """Return x log p + (1 - x) log(1 - p)."""
        p = parameters.clamp(1e-7, 1 - 1e-7)
        return torch.xlogy(target, p) + torch.xlogy(1 - target, 1 - p)

    def mean(self, parameters: Tensor) -> Tensor:
        """Return p."""
        return parameters
