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
from attar.penalties.base import Penalty, PenaltyTerm, codes_of, prior_of, samples_like
from attar.records import Trace

SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class Kernel(Part):
    """A positive definite kernel k(x, y) of codes, mean over several scales.

    Attributes
    ----------
    scales : tuple of float
        Squared widths of the kernel. The unit is 2 d, the mean squared distance of two standard
        normal codes of size d.
    """

    scales: tuple[float, ...]

    @abstractmethod
    def of(self, ratio: Tensor) -> Tensor:
        """Return the kernel of squared distances divided by a scale: (...) -> (...)."""

    def matrix(self, codes: Tensor, others: Tensor) -> Tensor:
        """Return the kernel of codes (n, d) and others (m, d): (n, m)."""
        squares = torch.cdist(codes, others, compute_mode="donot_use_mm_for_euclid_dist").square()
        unit = squares / (2 * codes.shape[1])
        return torch.stack([self.of(unit / scale) for scale in self.scales]).mean(0)

    def check(self) -> None:
        """Check the scales.

        Raises
        ------
        SettingError
            If there is no scale, or one that is not above 0.
        """
        if not self.scales:
            raise SettingError(f"The scales of {self!r} are empty: give at least one.")
        for scale in self.scales:
            positive(f"Each of the scales of {self!r}", scale)


@dataclass(frozen=True)
class InverseMultiquadratic(Kernel, name="inverse-multiquadratic"):
    """k(x, y) = s / (s + |x - y|²), with heavier tails than a Gaussian kernel.

    Examples
    --------
    The squared distance 4 is one unit of 2 d here:

    >>> InverseMultiquadratic(scales=(1.0,)).matrix(torch.zeros(1, 2), torch.tensor([[0.0, 2.0]]))
    tensor([[0.5000]])
    """

    scales: tuple[float, ...] = SCALES

    def of(self, ratio: Tensor) -> Tensor:
        """Return 1 / (1 + ratio)."""
        return 1 / (1 + ratio)


@dataclass(frozen=True)
class GaussianKernel(Kernel, name="gaussian"):
    """k(x, y) = exp(-|x - y|² / s).

    Examples
    --------
    The squared distance 4 is one unit of 2 d here:

    >>> GaussianKernel(scales=(1.0,)).matrix(torch.zeros(1, 2), torch.tensor([[0.0, 2.0]]))
    tensor([[0.3679]])
    """

    scales: tuple[float, ...] = SCALES

    def of(self, ratio: Tensor) -> Tensor:
        """Return exp(-ratio)."""
        return (-ratio).exp()


@dataclass(frozen=True)
class MaximumMeanDiscrepancy(Penalty, name="mmd"):
    r"""The squared maximum mean discrepancy between the batch's codes and the prior.

    .. math:: E \, k(z, z') + E \, k(p, p') - 2 E \, k(z, p)

    over pairs of different codes z and of as many samples p of the prior: an unbiased estimate,
    which may be slightly negative.

    Parameters
    ----------
    weight : float
        The discrepancy itself is between 0 and 2.
    kernel : Kernel

    Examples
    --------
    Two point masses far apart have the largest discrepancy:

    >>> codes, far = torch.zeros(5, 2), torch.full((5, 2), 1e6)
    >>> squared_discrepancy(codes, far, InverseMultiquadratic())
    tensor(2.)

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
            z = codes_of(trace)
            return squared_discrepancy(z, samples_like(prior, z), kernel)

        return self.term(discrepancy)


def squared_discrepancy(codes: Tensor, others: Tensor, kernel: Kernel) -> Tensor:
    """Return the estimate from codes (n, d) and others (m, d): a scalar."""
    within = _mean_of_pairs(codes, kernel) + _mean_of_pairs(others, kernel)
    return within - 2 * kernel.matrix(codes, others).mean()


def _mean_of_pairs(codes: Tensor, kernel: Kernel) -> Tensor:
    """Return the mean kernel of pairs of different codes; 0 where there is only one code."""
    n = len(codes)
    matrix = kernel.matrix(codes, codes)
    return (matrix.sum() - matrix.trace()) / max(1, n * (n - 1))


@dataclass(frozen=True)
class SlicedWasserstein(Penalty, name="sliced-wasserstein"):
    r"""The squared 2-Wasserstein distance of codes and prior samples over random directions θ.

    .. math:: E_θ \frac{1}{n} \sum_{i=1}^n (\mathrm{sort}(z·θ)_i - \mathrm{sort}(p·θ)_i)^2

    In one dimension sorting solves the transport. A shift of all codes by s has the distance
    :math:`|s|^2 / d`.

    Parameters
    ----------
    weight : float
    directions : int
        The number of random directions in each step.

    Examples
    --------
    >>> p = torch.randn(100, 2)
    >>> round(sliced_distance(p + 3, p, directions=torch.eye(2)).item(), 4)
    9.0

    References
    ----------
    Kolouri, Pope, Martin and Rohde, "Sliced Wasserstein auto-encoders", ICLR 2019.
    """

    weight: float = 10.0
    directions: int = 50

    needs = frozenset({"prior"})

    def build(self, model: Model, code_size: int, shape: tuple[int, ...]) -> PenaltyTerm:
        """Return the distance, bound to the prior of the code."""
        prior, count = prior_of(self, model), self.positive_integer("directions")

        def distance(trace: Trace) -> Tensor:
            z = codes_of(trace)
            normals = torch.randn(count, code_size, dtype=z.dtype, device=z.device)
            return sliced_distance(z, samples_like(prior, z), functional.normalize(normals, dim=1))

        return self.term(distance)


def sliced_distance(codes: Tensor, others: Tensor, directions: Tensor) -> Tensor:
    """Return the mean over directions (s, d) for codes and others (n, d): a scalar."""
    sorted_codes, sorted_others = ((z @ directions.T).sort(0).values for z in (codes, others))
    return (sorted_codes - sorted_others).square().mean()
