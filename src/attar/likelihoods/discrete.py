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
    LocationModule,
    Shape,
)


@dataclass(frozen=True)
class Bernoulli(ColumnLikelihood, name="bernoulli"):
    r"""A Bernoulli distribution of each cell from the decoder's logits; for data from 0 to 1.

    .. math:: \log p(x) = x \log σ(a) + (1 - x) \log (1 - σ(a))

    This is minus the binary cross-entropy. A value outside that range, which no fit takes, counts
    as the nearest within, less its squared distance.

    Examples
    --------
    >>> import torch
    >>> from attar.likelihoods import Bernoulli
    >>> logits, x = torch.zeros(1, 2), torch.tensor([0.0, 1.0])
    >>> Bernoulli().build().log_prob(logits, x).exp().tolist()
    [[0.5, 0.5]]
    """

    needs = frozenset({"unit-interval"})

    def build(self) -> LikelihoodModule:
        """Return the module."""
        return BernoulliLikelihoodModule()


# The logit of a probability of 0.95.
LOGIT = 3.0


class BernoulliLikelihoodModule(LikelihoodModule):
    """A Bernoulli distribution from logits."""

    def log_prob(self, parameters: Tensor, target: Tensor) -> Tensor:
        """Return x a - log(1 + exp a)."""
        within = target.clamp(0, 1)
        inside = within * parameters - functional.softplus(parameters)
        return inside - (target - within).square()

    def start(self, target: Tensor) -> Tensor:
        """Return logits of probabilities from 0.05 to 0.95."""
        return LOGIT * (2 * target.clamp(0, 1) - 1)

    def mean(self, parameters: Tensor) -> Tensor:
        """Return σ(a)."""
        return parameters.sigmoid()

    def sample(self, parameters: Tensor) -> Tensor:
        """Return 1 with probability σ(a), else 0."""
        return parameters.sigmoid().bernoulli()

    def gradient(self, parameters: Tensor, target: Tensor) -> Tensor:
        """Return σ(a) - x."""
        return parameters.sigmoid().sub_(target)


@dataclass(frozen=True)
class BernoulliProbability(ColumnLikelihood, name="bernoulli-probability"):
    r"""A Bernoulli distribution of each cell from probabilities, for decoders ending in a sigmoid.

    .. math:: \log p(x) = x \log p + (1 - x) \log (1 - p)

    Probabilities are clipped to [1e-7, 1 - 1e-7], as in Keras. A value outside that range, which no
    fit takes, counts as the nearest within, less its squared distance.

    Examples
    --------
    >>> import torch
    >>> from attar.likelihoods import BernoulliProbability
    >>> p, x = torch.tensor([[0.25, 0.25]]), torch.tensor([0.0, 1.0])
    >>> BernoulliProbability().build().log_prob(p, x).exp().tolist()
    [[0.75, 0.25]]
    """

    needs = frozenset({"unit-interval"})

    def build(self) -> LikelihoodModule:
        """Return the module."""
        return BernoulliProbabilityModule()


class BernoulliProbabilityModule(LikelihoodModule):
    """A Bernoulli distribution from probabilities."""

    def log_prob(self, parameters: Tensor, target: Tensor) -> Tensor:
        """Return x log p + (1 - x) log(1 - p)."""
        p, within = parameters.clamp(1e-7, 1 - 1e-7), target.clamp(0, 1)
        inside = torch.xlogy(within, p) + torch.xlogy(1 - within, 1 - p)
        return inside - (target - within).square()

    def mean(self, parameters: Tensor) -> Tensor:
        """Return p."""
        return parameters

    def sample(self, parameters: Tensor) -> Tensor:
        """Return 1 with probability p, else 0."""
        return parameters.clamp(0, 1).bernoulli()


@dataclass(frozen=True)
class Categorical(ColumnLikelihood, name="categorical"):
    r"""A categorical distribution from the decoder's logits; for one-hot cells.

    .. math:: \log P(x) = \sum_j x_j \log \mathrm{softmax}(a)_j

    Cells that are all zero, of a category outside the training rows, have no loss.

    Parameters
    ----------
    categories : int
        The number of categories and of cells; outside a table, these are the last axis of a row.

    Examples
    --------
    >>> import torch
    >>> from attar.likelihoods import Categorical
    >>> logits, x = torch.zeros(1, 4), torch.tensor([0.0, 0.0, 1.0, 0.0])
    >>> Categorical(4).build().log_prob(logits, x).sum().exp().item()
    0.25
    """

    categories: int = 2

    @property
    def cells(self) -> int:
        """One for each category."""
        return self.categories

    @property
    def group(self) -> Hashable:
        """The type and a range of sizes: small columns are padded, less than fourfold."""
        return self.name, self.categories.bit_length() // 2

    def build(self) -> LikelihoodModule:
        """Return the module; there must be a category."""
        return self.build_columns([self])

    def parameters(self, shape: Shape) -> Shape:
        """Return the shape of a row, whose last axis must be the categories."""
        if shape[-1] != self.categories:
            raise SettingError(
                f"{self!r} needs rows of {self.categories} cells, one for each category, but the "
                f"prepared rows have {shape[-1]}: use 'mixed' for several columns."
            )
        return shape

    @classmethod
    def build_columns(cls, columns: Sequence[Self]) -> LikelihoodModule:
        """Return the module of several columns."""
        return CategoricalModule([column.positive_integer("categories") for column in columns])


class CategoricalModule(LikelihoodModule):
    """Softmaxes over segments of a row: the columns, padded to the size of the largest."""

    places: Tensor

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__()
        self.padded = len(sizes), max(sizes)
        # Not by torch.cat: a model is loaded on torch's meta device, where it imports a compiler.
        places, end = torch.empty(sum(sizes), dtype=torch.long), 0
        for i, n in enumerate(sizes):
            start, end = end, end + n
            places[start:end] = torch.arange(i * max(sizes), i * max(sizes) + n)
        self.register_buffer("places", places, persistent=False)

    def log_prob(self, parameters: Tensor, target: Tensor) -> Tensor:
        """Return x_j log softmax(a)_j."""
        return target * self._log_softmax(parameters)

    def start(self, target: Tensor) -> Tensor:
        """Return logits, higher by six for the category of each row."""
        return 2 * LOGIT * target

    def mean(self, parameters: Tensor) -> Tensor:
        """Return the probability of each category."""
        return self._log_softmax(parameters).exp()

    def sample(self, parameters: Tensor) -> Tensor:
        """Return one-hot cells of a category, the largest of logits plus Gumbel noise."""
        noise = -torch.empty_like(parameters).exponential_().log()
        segments = self._segments(parameters + noise)
        hit = functional.one_hot(segments.argmax(-1), self.padded[1]).to(parameters.dtype)
        return hit.flatten(-2).gather(-1, self.places.expand_as(parameters))

    def _log_softmax(self, logits: Tensor) -> Tensor:
        log_softmax = self._segments(logits).log_softmax(-1)
        return log_softmax.flatten(-2).gather(-1, self.places.expand_as(logits))

    def _segments(self, logits: Tensor) -> Tensor:
        """Return the logits of each column, padded: (..., columns, size)."""
        segments, size = self.padded
        lead = logits.shape[:-1]
        padded = logits.new_full((*lead, segments * size), -torch.inf)
        padded = padded.scatter(-1, self.places.expand_as(logits), logits)
        return padded.reshape(*lead, segments, size)


@dataclass(frozen=True)
class Discretized(ColumnLikelihood, name="discretized"):
    r"""A logistic around the decoder's output, integrated over each value's bin; for integers.

    .. math:: P(x) = σ\left(\frac{x + w/2 - m}{s}\right) - σ\left(\frac{x - w/2 - m}{s}\right)

    with a trained scale s: a probability, not a density, which would grow without bound on integers
    as the scale shrinks.

    Parameters
    ----------
    width : float
        w, the distance of two neighbouring values in units of the prepared data.

    Examples
    --------
    The integers have all of the probability:

    >>> import torch
    >>> from attar.likelihoods import Discretized
    >>> x = torch.arange(-50.0, 50.0)
    >>> log_prob = Discretized(width=1.0).build().log_prob(torch.tensor([[0.3]]), x)
    >>> print(f"{log_prob.exp().sum().item():.4f}")
    1.0000

    References
    ----------
    Kingma et al., "Improving variational inference with inverse autoregressive flow",
    NeurIPS 2016.
    """

    width: float = 1.0

    @property
    def group(self) -> Hashable:
        """The type: each column has its own width."""
        return self.name

    def build(self) -> LikelihoodModule:
        """Return the module, with one scale for all cells; the width must be positive."""
        return self.build_columns([self])

    @classmethod
    def build_columns(cls, columns: Sequence[Self]) -> LikelihoodModule:
        """Return the module, with a scale for each column."""
        return DiscretizedModule(torch.tensor([column.positive("width") for column in columns]))


class DiscretizedModule(LocationModule):
    """A logistic over bins with trained scales."""

    width: Tensor

    def __init__(self, width: Tensor) -> None:
        super().__init__()
        self.register_buffer("width", width, persistent=False)
        self.log_scale = nn.Parameter(torch.zeros(width.shape))

    def log_density(self, deviation: Tensor) -> Tensor:
        """Return log(1 - exp(-w/s)) + log σ(z + w/2s) + log σ(w/2s - z), with z = r / s.

        This is the logarithm of the difference, rearranged so that nothing cancels.
        """
        scale = LEAST_SCALE + self.log_scale.exp()
        z, width = deviation / scale, self.width / scale
        sides = functional.logsigmoid(width / 2 + z) + functional.logsigmoid(width / 2 - z)
        return sides + torch.log(-torch.expm1(-width))

    def deviations(self, parameters: Tensor) -> Tensor:
        """Return logistic numbers of scale s: the nearest of the values has probability P."""
        scale = LEAST_SCALE + self.log_scale.exp()
        return scale * logistic(parameters)


def logistic(like: Tensor) -> Tensor:
    """Return numbers from the standard logistic distribution: the difference of two Gumbels."""
    one, other = torch.empty_like(like).exponential_(), torch.empty_like(like).exponential_()
    return one.log() - other.log()


def log_interval(z: Tensor, half: Tensor, lowest: Tensor, highest: Tensor) -> Tensor:
    """Return log(σ(z + h) - σ(z - h)), rearranged so that nothing cancels.

    Where z is the lowest level σ(z - h) counts as 0, and where it is the highest, σ(z + h) as 1.
    """
    below = functional.logsigmoid(half + z).masked_fill(highest, 0)
    above = functional.logsigmoid(half - z).masked_fill(lowest, 0)
    within = torch.log(-torch.expm1(-2 * half)).masked_fill(lowest | highest, 0)
    return below + above + within


LARGEST_LOG_RATE = 30.0


@dataclass(frozen=True)
class Poisson(ColumnLikelihood, name="poisson"):
    r"""A Poisson distribution of each cell from the decoder's log-rates; for counts.

    .. math:: \log P(x) = x a - e^a - \log x!

    Log-rates are clipped at 30.

    Examples
    --------
    >>> import torch
    >>> from attar.likelihoods import Poisson
    >>> a, x = torch.tensor([[0.7]]), torch.tensor([3.0])
    >>> log_prob = Poisson().build().log_prob(a, x)
    >>> torch.allclose(log_prob, torch.distributions.Poisson(a.exp()).log_prob(x))
    True
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

    def sample(self, parameters: Tensor) -> Tensor:
        """Return counts of these rates."""
        return torch.poisson(self.mean(parameters))

    def gradient(self, parameters: Tensor, target: Tensor) -> Tensor:
        """Return exp(a) - x, which also lowers log-rates above 30."""
        return parameters.clamp_max(LARGEST_LOG_RATE).exp().sub_(target)


@dataclass(frozen=True)
class Multinomial(Likelihood, name="multinomial"):
    r"""A multinomial distribution of a row of counts from the decoder's logits.

    .. math:: \log P(x) = \log N! - \sum_j \log x_j! + \sum_j x_j \log \mathrm{softmax}(a)_j

    with :math:`N = \sum_j x_j` from the row itself, which is not modelled. The term log N! is split
    evenly among the cells.

    Parameters
    ----------
    total : float
        The total of a reconstructed row, whose cells are total · softmax(a).

    Examples
    --------
    Two of four draws each, from two equal cells: 4! / (2! 2!) / 2⁴.

    >>> import torch
    >>> from attar.likelihoods import Multinomial
    >>> log_prob = Multinomial().build().log_prob(torch.zeros(1, 2), torch.tensor([2.0, 2.0]))
    >>> print(f"{log_prob.sum().exp().item():.4f}")
    0.3750

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

    def sample(self, parameters: Tensor) -> Tensor:
        """Return counts, whose total is Poisson distributed: each is then Poisson by itself."""
        return torch.poisson(self.mean(parameters))

    def gradient(self, parameters: Tensor, target: Tensor) -> Tensor:
        """Return N softmax(a)_j - x_j."""
        return parameters.softmax(-1).mul_(target.sum(-1, keepdim=True)).sub_(target)
