"""Bounds: the loss from the likelihoods and the rates of K draws."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from attar import workers
from attar.parts import Part
from attar.records import Coded

Terms = dict[str, Tensor]


class Bound(Part):
    """The loss from the likelihoods and the rates of K draws.

    Attributes
    ----------
    weighs : bool
        Whether draws are weighted by their likelihood, on whose value the gradient then depends.
    """

    needs = frozenset({"density"})
    weighs: ClassVar[bool] = True

    @property
    @abstractmethod
    def draws(self) -> int:
        """The number of draws of each code in training."""

    @property
    def encoder(self) -> Bound | None:
        """The bound that trains all but decoder and prior by the same draws, if another."""
        return None

    @abstractmethod
    def terms(
        self, log_likelihood: Tensor, coded: Coded, beta: float, progress: float | Tensor
    ) -> Terms:
        """Return the terms of the loss, which add up to it, in nats a row.

        Parameters
        ----------
        log_likelihood : Tensor (K, B)
        coded : Coded
        beta : float
            The weight of the rate.
        progress : float or Tensor ()
            The fraction of the training that is done, 0 to 1.
        """


@dataclass(frozen=True)
class Elbo(Bound, name="elbo"):
    r"""Minus the evidence lower bound, with β times the rate.

    .. math:: E_{q(z|x)} [-\log p(x|z)] + β \, KL(q(z|x) \,\|\, p(z))

    Examples
    --------
    >>> import torch
    >>> from attar.bounds import Elbo
    >>> from attar.records import Coded
    >>> log_q = log_p = torch.zeros(2, 1)
    >>> coded = Coded(torch.zeros(2, 1, 3), log_q - log_p, log_q, log_p)
    >>> log_likelihood = torch.tensor([[-1.0], [-3.0]])
    >>> {name: term.item() for name, term in Elbo().terms(log_likelihood, coded, 1.0, 0.0).items()}
    {'distortion': 2.0, 'rate': 0.0}

    References
    ----------
    Kingma and Welling, "Auto-encoding variational Bayes", ICLR 2014.
    """

    needs = frozenset()
    weighs = False
    draws = 1

    def terms(
        self, log_likelihood: Tensor, coded: Coded, beta: float, progress: float | Tensor
    ) -> Terms:
        """Return the means of -log p(x|z) and of β · rate."""
        distortion = {"distortion": -log_likelihood.mean()}
        return distortion | {"rate": beta * coded.rate.mean()} if beta else distortion


@dataclass(frozen=True)
class Capacity(Bound, name="capacity"):
    r"""A target capacity c for the rate, which grows linearly from 0.

    .. math:: E_{q(z|x)} [-\log p(x|z)] + β \, |KL(q(z|x) \,\|\, p(z)) - c|

    Parameters
    ----------
    nats : float
        The final target, reached after three quarters of the training.

    Examples
    --------
    A rate of 5 nats against the target of 20:

    >>> import torch
    >>> from attar.bounds import Capacity
    >>> from attar.records import Coded
    >>> coded = Coded(torch.zeros(1, 1, 3), torch.full((1, 1), 5.0))
    >>> Capacity(nats=20.0).terms(torch.zeros(1, 1), coded, 2.0, progress=1.0)["rate"].item()
    30.0

    References
    ----------
    Burgess et al., "Understanding disentangling in beta-VAE", NeurIPS workshop 2017.
    """

    nats: float = 20.0

    weighs = False

    @property
    def draws(self) -> int:
        """One draw."""
        self.non_negative("nats")
        return 1

    def terms(
        self, log_likelihood: Tensor, coded: Coded, beta: float, progress: float | Tensor
    ) -> Terms:
        """Return the mean of -log p(x|z), and β |mean rate - c|."""
        target = self.nats * (torch.as_tensor(progress) / 0.75).clamp(max=1.0)
        rate = beta * (coded.rate.mean() - target).abs()
        return {"distortion": -log_likelihood.mean(), "rate": rate}


@dataclass(frozen=True)
class FreeBits(Bound, name="free-bits"):
    r"""A rate that is free up to a minimum.

    .. math:: E_{q(z|x)} [-\log p(x|z)] + β \sum_j \max(λ, KL_j)

    KL_j is the divergence of a batch's posteriors from a standard normal in the latent dimension
    j. Below λ it has no gradient: a decoder that needs no code is no reason to leave it unused.

    Parameters
    ----------
    nats : float
        λ, for each latent dimension.

    Examples
    --------
    Two dimensions, of 2 nats and of none, where 0.5 are free:

    >>> import torch
    >>> from attar.bounds import FreeBits
    >>> from attar.records import Coded
    >>> moments = torch.tensor([[2.0, 0.0]]), torch.zeros(1, 2)
    >>> coded = Coded(torch.zeros(1, 1, 2), torch.full((1, 1), 2.0), moments=moments)
    >>> terms = FreeBits(nats=0.5).terms(torch.zeros(1, 1), coded, 1.0, progress=0.0)
    >>> terms["rate"].item()
    2.5

    References
    ----------
    Kingma et al., "Improving variational inference with inverse autoregressive flow", NeurIPS 2016.
    """

    nats: float = 0.1

    needs = frozenset({"moments"})
    weighs = False

    @property
    def draws(self) -> int:
        """One draw."""
        self.non_negative("nats")
        return 1

    def terms(
        self, log_likelihood: Tensor, coded: Coded, beta: float, progress: float | Tensor
    ) -> Terms:
        """Return the mean of -log p(x|z), and β Σ_j max(λ, KL_j)."""
        assert coded.moments is not None
        mean, log_variance = coded.moments
        rates = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)
        return {
            "distortion": -log_likelihood.mean(),
            "rate": beta * workers.all_rows(rates).mean(0).clamp(min=self.nats).sum(),
        }


@dataclass(frozen=True)
class ImportanceWeighted(Bound, name="iwae"):
    r"""The importance weighted bound of K draws of each code.

    .. math:: -\log \frac{1}{K} \sum_{k=1}^K \frac{p(x, z_k)}{q(z_k|x)}

    Parameters
    ----------
    samples : int
        K, the draws of each row.

    Examples
    --------
    -log((e⁻¹ + e⁻³) / 2), below the distortion of 2:

    >>> import torch
    >>> from attar.bounds import ImportanceWeighted
    >>> from attar.records import Coded
    >>> log_q = log_p = torch.zeros(2, 1)
    >>> coded = Coded(torch.zeros(2, 1, 3), log_q - log_p, log_q, log_p)
    >>> log_likelihood = torch.tensor([[-1.0], [-3.0]])
    >>> terms = ImportanceWeighted(samples=2).terms(log_likelihood, coded, 1.0, 0.0)
    >>> print(f"{terms['bound'].item():.4f}")
    1.5662

    References
    ----------
    Burda, Grosse and Salakhutdinov, "Importance weighted autoencoders", ICLR 2016.
    """

    samples: int = 5

    @property
    def draws(self) -> int:
        """K draws."""
        return self.positive_integer("samples")

    def terms(
        self, log_likelihood: Tensor, coded: Coded, beta: float, progress: float | Tensor
    ) -> Terms:
        """Return the bound as one term."""
        return {"bound": -bound(weights(log_likelihood, coded, beta)).mean()}


@dataclass(frozen=True)
class GroupedBound(Bound):
    """A bound of M groups of K draws."""

    groups: int = 4
    samples: int = 4

    @property
    def draws(self) -> int:
        """M K draws."""
        return self.positive_integer("groups") * self.positive_integer("samples")


@dataclass(frozen=True)
class Multiple(GroupedBound, name="miwae"):
    r"""The mean of M importance weighted bounds: less noise in the encoder's gradient.

    .. math:: -\frac{1}{M} \sum_{m=1}^M \log \frac{1}{K} \sum_{k=1}^K
        \frac{p(x, z_{mk})}{q(z_{mk}|x)}

    Parameters
    ----------
    groups : int
        M, the number of bounds.
    samples : int
        K, the draws of each row in each bound.

    Examples
    --------
    Bounds of one draw each are the evidence lower bound:

    >>> import torch
    >>> from attar.bounds import Multiple
    >>> from attar.records import Coded
    >>> log_q = log_p = torch.zeros(2, 1)
    >>> coded = Coded(torch.zeros(2, 1, 3), log_q - log_p, log_q, log_p)
    >>> log_likelihood = torch.tensor([[-1.0], [-3.0]])
    >>> Multiple(groups=2, samples=1).terms(log_likelihood, coded, 1.0, 0.0)["bound"].item()
    2.0

    References
    ----------
    Rainforth et al., "Tighter variational bounds are not necessarily better", ICML 2018.
    """

    def terms(
        self, log_likelihood: Tensor, coded: Coded, beta: float, progress: float | Tensor
    ) -> Terms:
        """Return the mean bound as one term."""
        logs = weights(log_likelihood, coded, beta)
        grouped = logs.reshape(-1, self.samples, logs.shape[1])
        return {"bound": -bound(grouped.transpose(0, 1)).mean()}


@dataclass(frozen=True)
class Combined(Bound, name="ciwae"):
    r"""A weighted mean of the evidence lower bound and the importance weighted bound.

    Of log-weights :math:`w_k = \log p(x, z_k) - \log q(z_k|x)` and the share s it is

    .. math:: -\frac{s}{K} \sum_k w_k - (1 - s) \log \frac{1}{K} \sum_k \exp w_k.

    Parameters
    ----------
    share : float
        The weight of the evidence lower bound, 0 to 1.
    samples : int
        K, the draws of each row.

    Examples
    --------
    Half of 2.0 and half of 1.5662, as in :class:`ImportanceWeighted`:

    >>> import torch
    >>> from attar.bounds import Combined
    >>> from attar.records import Coded
    >>> log_q = log_p = torch.zeros(2, 1)
    >>> coded = Coded(torch.zeros(2, 1, 3), log_q - log_p, log_q, log_p)
    >>> log_likelihood = torch.tensor([[-1.0], [-3.0]])
    >>> terms = Combined(share=0.5, samples=2).terms(log_likelihood, coded, 1.0, 0.0)
    >>> print(f"{terms['bound'].item():.4f}")
    1.7831

    References
    ----------
    Rainforth et al., "Tighter variational bounds are not necessarily better", ICML 2018.
    """

    share: float = 0.05
    samples: int = 5

    @property
    def draws(self) -> int:
        """K draws."""
        self.fraction("share")
        return self.positive_integer("samples")

    def terms(
        self, log_likelihood: Tensor, coded: Coded, beta: float, progress: float | Tensor
    ) -> Terms:
        """Return the weighted mean as one term."""
        logs = weights(log_likelihood, coded, beta)
        both = self.share * logs.mean(0) + (1 - self.share) * bound(logs)
        return {"bound": -both.mean()}


@dataclass(frozen=True)
class Partial(GroupedBound, name="piwae"):
    """One bound of M K draws trains decoder and prior, M bounds of K draws all else.

    Parameters
    ----------
    groups : int
        M, the number of bounds that train the encoder.
    samples : int
        K, the draws of each row in each of them.

    Examples
    --------
    >>> from attar.bounds import Partial
    >>> bound = Partial(groups=3, samples=8)
    >>> bound.draws, bound.encoder
    (24, Multiple(groups=3, samples=8))

    References
    ----------
    Rainforth et al., "Tighter variational bounds are not necessarily better", ICML 2018.
    """

    @property
    def encoder(self) -> Bound:
        """M bounds of K draws."""
        return Multiple(self.groups, self.samples)

    def terms(
        self, log_likelihood: Tensor, coded: Coded, beta: float, progress: float | Tensor
    ) -> Terms:
        """Return the bound of all draws as one term."""
        return ImportanceWeighted(self.draws).terms(log_likelihood, coded, beta, progress)


def weights(log_likelihood: Tensor, coded: Coded, beta: float) -> Tensor:
    """Return log p(x|z) + β (log p(z) - log q(z|x)) of each draw: (K, B)."""
    assert coded.log_p is not None
    assert coded.log_q is not None
    return log_likelihood + beta * (coded.log_p - coded.log_q)


def bound(logs: Tensor) -> Tensor:
    """Return log Σ exp(log weight) / K over the first axis."""
    return logs.logsumexp(0) - math.log(len(logs))
