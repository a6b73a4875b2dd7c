"""Total correlation: what the numbers of a code tell of each other."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from attar.model import Model
from attar.penalties.penalty import Penalty, PenaltyTerm, moments_of
from attar.priors.normal import log_density
from attar.records import Trace


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
    apart = (each.logsumexp(1) - math.log(len(mean))).sum(-1)
    return (together - apart).mean()
