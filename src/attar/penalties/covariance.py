"""Penalties on the dependence of latent dimensions."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from attar.model import Model
from attar.penalties.base import Penalty, PenaltyTerm, moments_of
from attar.priors import log_density
from attar.records import Trace


@dataclass(frozen=True)
class DipI(Penalty, name="dip-i"):
    """How far the covariance of the posteriors' means is from the identity.

    Σ_{i≠j} C_ij² + diagonal · Σ_i (C_ii - 1)², with C = Cov(μ) over the batch.

    Parameters
    ----------
    weight : float
        In nats.
    diagonal : float
        How much more the variances count than the covariances.

    References
    ----------
    Kumar, Sattigeri and Balakrishnan, "Variational inference of disentangled latent concepts from
    unlabeled observations", ICLR 2018.
    """

    weight: float = 1.0
    diagonal: float = 10.0

    needs = frozenset({"moments"})

    def build(self, model: Model, code_size: int, shape: tuple[int, ...]) -> PenaltyTerm:
        """Return the distance; the diagonal must not count less than 0."""
        share = self.non_negative("diagonal")
        return self.term(lambda trace: from_identity(covariance(moments_of(trace)[0]), share))


@dataclass(frozen=True)
class DipII(Penalty, name="dip-ii"):
    """How far the covariance of all posteriors together is from the identity.

    Σ_{i≠j} C_ij² + diagonal · Σ_i (C_ii - 1)², with C = Cov(μ) + E diag(σ²) over the batch.

    Parameters
    ----------
    weight : float
        In nats.
    diagonal : float
        How much more the variances count than the covariances.

    References
    ----------
    Kumar, Sattigeri and Balakrishnan, "Variational inference of disentangled latent concepts from
    unlabeled observations", ICLR 2018.
    """

    weight: float = 1.0
    diagonal: float = 1.0

    needs = frozenset({"moments"})

    def build(self, model: Model, code_size: int, shape: tuple[int, ...]) -> PenaltyTerm:
        """Return the distance; the diagonal must not count less than 0."""
        share = self.non_negative("diagonal")

        def distance(trace: Trace) -> Tensor:
            mean, log_variance = moments_of(trace)
            return from_identity(covariance(mean) + log_variance.exp().mean(0).diag(), share)

        return self.term(distance)


def covariance(mean: Tensor) -> Tensor:
    """Return the covariance of means (B, d) over the batch itself: (d, d)."""
    centred = mean - mean.mean(0)
    return centred.T @ centred / len(mean)


def from_identity(covariance: Tensor, diagonal: float) -> Tensor:
    """Return Σ_{i≠j} C_ij² + diagonal · Σ_i (C_ii - 1)²: a scalar."""
    variances = covariance.diagonal()
    off_diagonal = covariance.square().sum() - variances.square().sum()
    return off_diagonal + diagonal * (variances - 1).square().sum()


@dataclass(frozen=True)
class TotalCorrelation(Penalty, name="total-correlation"):
    """How far the numbers of a code are from independent: KL(q(z) || Π_j q(z_j)).

    q(z) is taken for the mean posterior of the batch, Σ_i q(z|x_i) / B. Weighing by the size of the
    whole data, as published, adds constants that the gradient does not see. Each row is among those
    that its own code is compared with, so that codes which are much narrower than their spread
    are told apart by this alone: the estimate is then too high. It takes memory for B² d numbers.

    Parameters
    ----------
    weight : float
        In nats a nat; β - 1 of a β-TCVAE.

    References
    ----------
    Chen, Li, Grosse and Duvenaud, "Isolating sources of disentanglement in variational
    autoencoders", NeurIPS 2018.
    """

    weight: float = 5.0

    needs = frozenset({"moments"})

    def build(self, model: Model, code_size: int, shape: tuple[int, ...]) -> PenaltyTerm:
        """Return the estimate."""
        return self.term(_of_batch)


def _of_batch(trace: Trace) -> Tensor:
    return total_correlation(trace.coded.z[0], *moments_of(trace))


def total_correlation(z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return the estimate from draws (n, d) of a mixture of equal gaussians (m, d): a scalar."""
    # The density of a single number is that of a code of one number.
    each = log_density(z[:, None, :, None], mean[..., None], log_variance[..., None])
    together = each.sum(-1).logsumexp(1) - math.log(len(mean))
    off_diagonal = (each.logsumexp(1) - math.log(len(mean))).sum(-1)
    return (together - off_diagonal).mean()
