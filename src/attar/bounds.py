"""Bounds: how the likelihoods and the rates of K draws become a loss."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from attar.errors import SettingError
from attar.parts import Part
from attar.records import Coded

Terms = dict[str, Tensor]


class Bound(Part):
    """How the likelihoods and the rates of K draws become a loss.

    Attributes
    ----------
    weighs : bool
        Whether draws are weighed by their likelihood: the gradient then depends on its value.
    """

    needs = frozenset({"density"})
    weighs: ClassVar[bool] = True

    @property
    @abstractmethod
    def draws(self) -> int:
        """How many draws of each code training makes."""

    @property
    def encoder(self) -> Bound | None:
        """The bound of the same draws that trains all but decoder and prior; None for this one."""
        return None

    @abstractmethod
    def terms(self, log_likelihood: Tensor, coded: Coded, beta: float, share: float) -> Terms:
        """Return the terms of the loss, which add up to it, in nats a row.

        Parameters
        ----------
        log_likelihood : Tensor (K, B)
        coded : Coded
        beta : float
            The weight of the rate.
        share : float
            How much of the training is done, 0 to 1.
        """


@dataclass(frozen=True)
class Elbo(Bound, name="elbo"):
    """The evidence lower bound, with its sign turned: distortion + β · rate.

    References
    ----------
    Kingma and Welling, "Auto-encoding variational Bayes", ICLR 2014.
    """

    needs = frozenset()
    weighs = False
    draws = 1

    def terms(self, log_likelihood: Tensor, coded: Coded, beta: float, share: float) -> Terms:
        """Return -log p(x|z) and β · rate, in the mean."""
        distortion = {"distortion": -log_likelihood.mean()}
        return distortion | {"rate": beta * coded.rate.mean()} if beta else distortion


@dataclass(frozen=True)
class Capacity(Bound, name="capacity"):
    """The rate is drawn to a target that grows evenly from 0: distortion + β |rate - c|.

    Parameters
    ----------
    nats : float
        The target in the end, reached after three quarters of the training.

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

    def terms(self, log_likelihood: Tensor, coded: Coded, beta: float, share: float) -> Terms:
        """Return -log p(x|z) and β |rate - c|, in the mean."""
        target = self.nats * min(1.0, share / 0.75)
        rate = beta * (coded.rate.mean() - target).abs()
        return {"distortion": -log_likelihood.mean(), "rate": rate}


@dataclass(frozen=True)
class ImportanceWeighted(Bound, name="iwae"):
    """The importance weighted bound: -log Σ p(x, z) / q(z|x) / K.

    Parameters
    ----------
    samples : int
        K, the draws of each row.

    References
    ----------
    Burda, Grosse and Salakhutdinov, "Importance weighted autoencoders", ICLR 2016.
    """

    samples: int = 5

    @property
    def draws(self) -> int:
        """K draws."""
        return self.positive_integer("samples")

    def terms(self, log_likelihood: Tensor, coded: Coded, beta: float, share: float) -> Terms:
        """Return the bound as one term."""
        return {"bound": -bound(weights(log_likelihood, coded, beta)).mean()}


@dataclass(frozen=True)
class Multiple(Bound, name="miwae"):
    """The mean of several importance weighted bounds: the encoder learns from less noise.

    Parameters
    ----------
    groups : int
        M, how many bounds.
    samples : int
        K, the draws of each row for each.

    References
    ----------
    Rainforth et al., "Tighter variational bounds are not necessarily better", ICML 2018.
    """

    groups: int = 4
    samples: int = 4

    @property
    def draws(self) -> int:
        """M K draws."""
        return self.positive_integer("groups") * self.positive_integer("samples")

    def terms(self, log_likelihood: Tensor, coded: Coded, beta: float, share: float) -> Terms:
        """Return the mean bound as one term."""
        logs = weights(log_likelihood, coded, beta)
        grouped = logs.reshape(-1, self.samples, logs.shape[1])
        return {"bound": -bound(grouped.transpose(0, 1)).mean()}


@dataclass(frozen=True)
class Combined(Bound, name="ciwae"):
    """A mean of the evidence lower bound and the importance weighted one.

    Parameters
    ----------
    share : float
        The weight of the former, 0 to 1.
    samples : int

    References
    ----------
    Rainforth et al., "Tighter variational bounds are not necessarily better", ICML 2018.
    """

    share: float = 0.05
    samples: int = 5

    @property
    def draws(self) -> int:
        """K draws."""
        if not 0 <= self.share <= 1:
            raise SettingError(f"The share of {self!r} must lie between 0 and 1.")
        return self.positive_integer("samples")

    def terms(self, log_likelihood: Tensor, coded: Coded, beta: float, share: float) -> Terms:
        """Return the weighted mean as one term."""
        logs = weights(log_likelihood, coded, beta)
        both = self.share * logs.mean(0) + (1 - self.share) * bound(logs)
        return {"bound": -both.mean()}


@dataclass(frozen=True)
class Partial(Bound, name="piwae"):
    """Decoder and prior learn from one bound of M K draws, all else from M bounds of K draws.

    Parameters
    ----------
    groups : int
        M, how many bounds the encoder learns from.
    samples : int
        K, the draws of each row for each.

    References
    ----------
    Rainforth et al., "Tighter variational bounds are not necessarily better", ICML 2018.
    """

    groups: int = 4
    samples: int = 4

    @property
    def draws(self) -> int:
        """M K draws."""
        return self.positive_integer("groups") * self.positive_integer("samples")

    @property
    def encoder(self) -> Bound:
        """M bounds of K draws."""
        return Multiple(self.groups, self.samples)

    def terms(self, log_likelihood: Tensor, coded: Coded, beta: float, share: float) -> Terms:
        """Return the bound of all draws as one term."""
        return ImportanceWeighted(self.draws).terms(log_likelihood, coded, beta, share)


def weights(log_likelihood: Tensor, coded: Coded, beta: float) -> Tensor:
    """Return log p(x|z) + β (log p(z) - log q(z|x)) of each draw: (K, B)."""
    assert coded.log_p is not None
    assert coded.log_q is not None
    return log_likelihood + beta * (coded.log_p - coded.log_q)


def bound(logs: Tensor) -> Tensor:
    """Return log Σ exp(log weight) / K over the first axis."""
    return logs.logsumexp(0) - math.log(len(logs))
