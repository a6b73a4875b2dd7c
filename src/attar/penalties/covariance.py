"""Penalties on the dependence of latent dimensions."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass

from torch import Tensor

from attar.model import Model
from attar.penalties.base import Penalty, PenaltyTerm, codes_of, moments_of
from attar.priors import log_density


class Dip(Penalty):
    r"""The squared distance of a covariance C of the latent dimensions from the identity.

    .. math:: \sum_{i≠j} C_{ij}^2 + λ \sum_i (C_{ii} - 1)^2

    over the batch, where λ is ``diagonal``.

    Attributes
    ----------
    diagonal : float
        The weight of the variances relative to the covariances.
    """

    diagonal: float

    needs = frozenset({"moments"})

    @abstractmethod
    def covariance(self, mean: Tensor, log_variance: Tensor) -> Tensor:
        """Return the covariance (d, d) of posteriors with these moments (B, d)."""

    def build(self, model: Model, code_size: int, shape: tuple[int, ...]) -> PenaltyTerm:
        """Return the distance; the diagonal must not be negative."""
        diagonal = self.non_negative("diagonal")
        return self.term(
            lambda trace: distance_from_identity(self.covariance(*moments_of(trace)), diagonal)
        )


@dataclass(frozen=True)
class DipI(Dip, name="dip-i"):
    r"""The squared distance of the covariance of the posterior means from the identity.

    .. math:: \sum_{i≠j} C_{ij}^2 + λ \sum_i (C_{ii} - 1)^2, \quad C = \mathrm{Cov}(μ)

    over the batch, where λ is ``diagonal``.

    Parameters
    ----------
    weight : float
    diagonal : float
        The weight of the variances relative to the covariances.

    Examples
    --------
    >>> import torch
    >>> mean, log_variance = torch.tensor([[1.0, 1.0], [-1.0, -1.0]]), torch.zeros(2, 2)
    >>> DipI().covariance(mean, log_variance)
    tensor([[1., 1.],
            [1., 1.]])

    References
    ----------
    Kumar, Sattigeri and Balakrishnan, "Variational inference of disentangled latent concepts from
    unlabeled observations", ICLR 2018.
    """

    weight: float = 1.0
    diagonal: float = 10.0

    def covariance(self, mean: Tensor, log_variance: Tensor) -> Tensor:
        """Return Cov(μ)."""
        return covariance(mean)


@dataclass(frozen=True)
class DipII(Dip, name="dip-ii"):
    r"""The squared distance of the covariance of the aggregate posterior from the identity.

    .. math:: \sum_{i≠j} C_{ij}^2 + λ \sum_i (C_{ii} - 1)^2, \quad
        C = \mathrm{Cov}(μ) + E \, \mathrm{diag}(σ^2)

    over the batch, where λ is ``diagonal``.

    Parameters
    ----------
    weight : float
    diagonal : float
        The weight of the variances relative to the covariances.

    Examples
    --------
    >>> import torch
    >>> mean, log_variance = torch.tensor([[1.0, 1.0], [-1.0, -1.0]]), torch.zeros(2, 2)
    >>> DipII().covariance(mean, log_variance)
    tensor([[2., 1.],
            [1., 2.]])

    References
    ----------
    Kumar, Sattigeri and Balakrishnan, "Variational inference of disentangled latent concepts from
    unlabeled observations", ICLR 2018.
    """

    weight: float = 1.0
    diagonal: float = 1.0

    def covariance(self, mean: Tensor, log_variance: Tensor) -> Tensor:
        """Return Cov(μ) + E diag(σ²)."""
        return covariance(mean) + log_variance.exp().mean(0).diag()


def covariance(mean: Tensor) -> Tensor:
    """Return the covariance of means (B, d) over the batch, divided by B: (d, d)."""
    centred = mean - mean.mean(0)
    return centred.T @ centred / len(mean)


def distance_from_identity(covariance: Tensor, diagonal: float) -> Tensor:
    """Return Σ_{i≠j} C_ij² + diagonal · Σ_i (C_ii - 1)²: a scalar."""
    variances = covariance.diagonal()
    off_diagonal = covariance.square().sum() - variances.square().sum()
    return off_diagonal + diagonal * (variances - 1).square().sum()


@dataclass(frozen=True)
class TotalCorrelation(Penalty, name="total-correlation"):
    r"""The total correlation of the batch's mixture of posteriors.

    .. math:: KL(q(z) \,\|\, \textstyle\prod_j q(z_j)), \quad
        q(z) = \frac{1}{B} \sum_{i=1}^B q(z|x_i)

    The published weights for the size of the whole data add constants without a gradient. As each z
    is a sample of one of the B components, the estimate is too high where posteriors are narrow
    relative to their spread. Memory is proportional to B² d.

    Parameters
    ----------
    weight : float
        β - 1 of a β-TCVAE.

    Examples
    --------
    Two equal dimensions with two narrow modes share log 2 nats:

    >>> import torch
    >>> mean = torch.tensor([[1.0, 1.0], [-1.0, -1.0]])
    >>> total_correlation(mean, mean, torch.full((2, 2), -9.0))
    tensor(0.6931)

    References
    ----------
    Chen, Li, Grosse and Duvenaud, "Isolating sources of disentanglement in variational
    autoencoders", NeurIPS 2018.
    """

    weight: float = 5.0

    needs = frozenset({"moments"})

    def build(self, model: Model, code_size: int, shape: tuple[int, ...]) -> PenaltyTerm:
        """Return the estimate."""
        return self.term(lambda trace: total_correlation(codes_of(trace), *moments_of(trace)))


def total_correlation(z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return the estimate at samples z (n, d) of an even mixture of gaussians (m, d): a scalar."""
    # The log-density of each dimension by itself.
    log_q = log_density(z[:, None, :, None], mean[..., None], log_variance[..., None])
    joint = log_q.sum(-1).logsumexp(1) - math.log(len(mean))
    marginals = (log_q.logsumexp(1) - math.log(len(mean))).sum(-1)
    return (joint - marginals).mean()
