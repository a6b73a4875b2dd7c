"""Distances between the aggregate posterior and the prior: MMD and sliced Wasserstein."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

from attar.checks import positive
from attar.errors import SettingError
from attar.model import Model
from attar.parts import Part
from attar.penalties.base import Penalty, PenaltyTerm, draws, prior_of
from attar.records import Trace

SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class Kernel(Part):
    """How alike two codes are, mean over several scales.

    Attributes
    ----------
    scales : tuple of float
        Squared widths of the kernel. The unit is 2 d, the mean squared distance of two standard
        normal codes of d numbers.
    """

    scales: tuple[float, ...]

    @abstractmethod
    def of(self, share: Tensor) -> Tensor:
        """Return the likeness for squared distances in units of a scale: (...) -> (...)."""

    def similarity(self, codes: Tensor, others: Tensor) -> Tensor:
        """Return how alike codes (n, d) are to others (m, d): (n, m)."""
        squares = torch.cdist(codes, others, compute_mode="donot_use_mm_for_euclid_dist").square()
        unit = squares / (2 * codes.shape[1])
        return torch.stack([self.of(unit / scale) for scale in self.scales]).mean(0)

    def check(self) -> None:
        """Refuse scales that are none.

        Raises
        ------
        SettingError
            If there is no scale, or one that is not above 0.
        """
        if not self.scales:
            raise SettingError(f"The scales of {self!r} must be one at least.")
        for scale in self.scales:
            positive(f"Each of the scales of {self!r}", scale)


@dataclass(frozen=True)
class InverseMultiquadratic(Kernel, name="inverse-multiquadratic"):
    """k(x, y) = s / (s + |x - y|²), with tails that are felt from far away."""

    scales: tuple[float, ...] = SCALES

    def of(self, share: Tensor) -> Tensor:
        """Return 1 / (1 + share)."""
        return 1 / (1 + share)


@dataclass(frozen=True)
class GaussianKernel(Kernel, name="gaussian"):
    """k(x, y) = exp(-|x - y|² / s)."""

    scales: tuple[float, ...] = SCALES

    def of(self, share: Tensor) -> Tensor:
        """Return exp(-share)."""
        return (-share).exp()


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


@dataclass(frozen=True)
class Sliced(Penalty, name="sliced-wasserstein"):
    """The squared Wasserstein distance between codes and prior draws, mean over directions.

    Along a direction it takes no more than sorting: mean (sort(z·θ) - sort(p·θ))². A shift of all
    codes by s counts |s|² / d.

    Parameters
    ----------
    weight : float
        In nats.
    directions : int
        How many random ones are taken in each step.

    References
    ----------
    Kolouri, Pope, Martin and Rohde, "Sliced Wasserstein auto-encoders", ICLR 2019.
    """

    weight: float = 10.0
    directions: int = 50

    needs = frozenset({"prior"})

    def build(self, model: Model, code_size: int, shape: tuple[int, ...]) -> PenaltyTerm:
        """Return the distance, bound to the prior of the code; it takes a direction at least."""
        prior, count = prior_of(self, model), self.positive_integer("directions")

        def distance(trace: Trace) -> Tensor:
            z = trace.coded.z[0]
            normals = torch.randn(count, code_size, dtype=z.dtype, device=z.device)
            return sliced_distance(z, draws(prior, z), functional.normalize(normals, dim=1))

        return self.term(distance)


def sliced_distance(codes: Tensor, others: Tensor, directions: Tensor) -> Tensor:
    """Return the mean over directions (s, d) for codes and others (n, d): a scalar."""
    sorted_codes, sorted_others = ((z @ directions.T).sort(0).values for z in (codes, others))
    return (sorted_codes - sorted_others).square().mean()
