"""Likelihoods of discrete values: binary, categorical, integers and counts."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from attar.errors import SettingError
from attar.likelihoods.base import (
    LEAST_SCALE,
    ColumnLikelihood,
    Likelihood,
    LikelihoodModule,
    Shape,
)


@dataclass(frozen=True)
class Bernoulli(ColumnLikelihood, name="bernoulli"):
    """A coin for each cell, its log-odds given by the decoder; for data between 0 and 1.

    log p(x) = x log σ(a) + (1 - x) log(1 - σ(a)), the binary cross-entropy with its sign turned.
    """

    needs = frozenset({"unit-interval"})

    def build(self) -> LikelihoodModule:
        """Return the module."""
        return BernoulliLikelihoodModule()


class BernoulliLikelihoodModule(LikelihoodModule):
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
class BernoulliProbability(ColumnLikelihood, name="bernoulli-probability"):
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


@dataclass(frozen=True)
class Categorical(ColumnLikelihood, name="categorical"):
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
        return CategoricalModule([column.positive_integer("levels") for column in columns])


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


@dataclass(frozen=True)
class Discretized(ColumnLikelihood, name="discretized"):
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


LARGEST_LOG_RATE = 30.0


@dataclass(frozen=True)
class Poisson(ColumnLikelihood, name="poisson"):
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
