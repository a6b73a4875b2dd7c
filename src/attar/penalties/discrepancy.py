"""The maximum mean discrepancy between codes and the prior."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from attar.model import Model
from attar.penalties.kernels import InverseMultiquadratic, Kernel
from attar.penalties.penalty import Penalty, PenaltyTerm, draws, prior_of
from attar.records import Trace


@dataclass(frozen=True)
class Discrepancy(Penalty, name="mmd"):
    """The squared maximum mean discrepancy between the batch's codes and the prior.

    E k(z, z') + E k(p, p') - 2 E k(z, p), over pairs of different codes and of as many draws of the
    prior: an unbiased estimate, so it may be a little below zero.

    Parameters
    ----------
    weight : float
        In nats; the discrepancy is between 0 and 2.
    kernel : Kernel

    References
    ----------
    Gretton, Borgwardt, Rasch, Schölkopf and Smola, "A kernel two-sample test", JMLR 2012. In
    autoencoders: Tolstikhin, Bousquet, Gelly and Schölkopf, "Wasserstein auto-encoders", ICLR 2018;
    Zhao, Song and Ermon, "InfoVAE: balancing learning and inference in variational autoencoders",
    AAAI 2019.
    """

    weight: float = 100.0
    kernel: Kernel = field(default_factory=InverseMultiquadratic)

    needs = frozenset({"prior"})

    def build(self, model: Model, code_size: int, shape: tuple[int, ...]) -> PenaltyTerm:
        """Return the estimate, bound to the prior of the code."""
        prior, kernel = prior_of(self, model), self.kernel
        kernel.check()

        def discrepancy(trace: Trace) -> Tensor:
            z = trace.coded.z[0]
            return squared_discrepancy(z, draws(prior, z), kernel)

        return self.term(discrepancy)


def squared_discrepancy(codes: Tensor, others: Tensor, kernel: Kernel) -> Tensor:
    """Return the estimate from codes (n, d) and others (m, d): a scalar."""
    within = _among(codes, kernel) + _among(others, kernel)
    return within - 2 * kernel.similarity(codes, others).mean()


def _among(codes: Tensor, kernel: Kernel) -> Tensor:
    """Return the mean over pairs of different codes; 0 where there is only one."""
    n = len(codes)
    similarity = kernel.similarity(codes, codes)
    return (similarity.sum() - similarity.trace()) / max(1, n * (n - 1))
