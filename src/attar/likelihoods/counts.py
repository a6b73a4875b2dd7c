"""Counts: how often something happened, and how often each of many things."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from attar.likelihoods.column import Column
from attar.likelihoods.likelihood import Likelihood, LikelihoodModule

LARGEST_LOG_RATE = 30.0


@dataclass(frozen=True)
class Poisson(Column, name="poisson"):
    """A Poisson distribution in each cell, whose log-rate the decoder gives; for counts.

    log P(x) = x a - exp(a) - log x!. Log-rates above 30 count as 30.
    """

    needs = frozenset({"counts"})

    def build(self) -> LikelihoodModule:
        """Return the module."""
        return PoissonModule()


class PoissonModule(LikelihoodModule):
    """A Poisson distribution from log-rates."""

    def log_prob(self, parameters: Tensor, target: Tensor) -> Tensor:
        """Return x a - exp(a) - log x!."""
        log_rate = parameters.clamp_max(LARGEST_LOG_RATE)
        # In place: a batch of rows of 50,000 cells is large, and so would be every temporary.
        return (log_rate * target).sub_(log_rate.exp()).sub_((target + 1).lgamma_())

    def mean(self, parameters: Tensor) -> Tensor:
        """Return exp(a)."""
        return parameters.clamp_max(LARGEST_LOG_RATE).exp()

    def gradient(self, parameters: Tensor, target: Tensor) -> Tensor:
        """Return exp(a) - x, which leads back from log-rates above 30 too."""
        return parameters.clamp_max(LARGEST_LOG_RATE).exp().sub_(target)


@dataclass(frozen=True)
class Multinomial(Likelihood, name="multinomial"):
    """How a row's total falls on its cells, whose logits the decoder gives; for counts in rows.

    log P(x) = log N! - Σ log x_j! + Σ x_j log softmax(a)_j, with N = Σ x_j taken from the row
    itself. The length of a row is not modelled. The cells share log N! evenly.

    Parameters
    ----------
    total : float
        The total of a reconstructed row, whose cells are total · softmax(a).

    References
    ----------
    Liang, Krishnan, Hoffman and Jebara, "Variational autoencoders for collaborative filtering",
    WWW 2018.
    """

    needs = frozenset({"counts", "complete"})

    total: float = 1.0

    def build(self) -> LikelihoodModule:
        """Return the module; the total must be positive."""
        return MultinomialModule(self.positive("total"))


class MultinomialModule(LikelihoodModule):
    """A multinomial distribution over the last axis."""

    def __init__(self, total: float) -> None:
        super().__init__()
        self.total = total

    def log_prob(self, parameters: Tensor, target: Tensor) -> Tensor:
        """Return x_j log softmax(a)_j - log x_j! + log N! / cells."""
        totals = target.sum(-1, keepdim=True)
        orders = (target + 1).lgamma_().sub_((totals + 1).lgamma_() / target.shape[-1])
        return (parameters.log_softmax(-1) * target).sub_(orders)

    def mean(self, parameters: Tensor) -> Tensor:
        """Return total · softmax(a)."""
        return parameters.softmax(-1) * self.total

    def gradient(self, parameters: Tensor, target: Tensor) -> Tensor:
        """Return N softmax(a)_j - x_j."""
        return parameters.softmax(-1).mul_(target.sum(-1, keepdim=True)).sub_(target)
