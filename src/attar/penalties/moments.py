"""The covariance of codes is drawn to the identity: disentangled inferred priors.

References
----------
Kumar, Sattigeri and Balakrishnan, "Variational inference of disentangled latent concepts from
unlabeled observations", ICLR 2018.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from attar.model import Model
from attar.penalties.penalty import Penalty, PenaltyTerm, moments_of
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
        share = self.not_negative("diagonal")
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
        share = self.not_negative("diagonal")

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
    apart = covariance.square().sum() - variances.square().sum()
    return apart + diagonal * (variances - 1).square().sum()
