"""Codes on the unit sphere."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn import functional

from attar.codes.base import Code, CodeModule, LogLikelihood
from attar.errors import SettingError
from attar.priors import Prior, PriorModule
from attar.records import Coded

# Integrals are sums of Gauss-Legendre quadratures over cells of REACH widths around the mode.
CELLS, REACH = 64, 20.0


@cache
def quadrature(device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the nodes and the weights of a cell on a device, to which they are copied once."""
    nodes, weights = np.polynomial.legendre.leggauss(8)
    return torch.as_tensor(nodes, device=device), torch.as_tensor(weights, device=device)


class Angle:
    """The distribution of an angle θ in [0, π] with density ∝ exp(κ cos θ) sin^(d-2) θ.

    It is the angle of a von Mises-Fisher sample to the mean. Integrals are computed in double
    precision around the mode: nothing overflows at any κ or d, and all is differentiable in κ.

    Parameters
    ----------
    concentration : double Tensor (B,)
        κ of each row, at least 0.
    size : int
        d, at least 2.

    Examples
    --------
    In three dimensions the mean cosine is coth κ - 1/κ:

    >>> import math, torch
    >>> from attar.codes.sphere import Angle
    >>> angle = Angle(torch.tensor([2.0], dtype=torch.float64), size=3)
    >>> round(angle.mean_cosine.item(), 6), round(1 / math.tanh(2) - 1 / 2, 6)
    (0.537315, 0.537315)
    """

    def __init__(self, concentration: Tensor, size: int) -> None:
        self.concentration, self.size = concentration, size
        kappa = concentration.detach()
        self.nodes, self.weights = quadrature(kappa.device)
        steep = 0.5 * (size - 2 + (4 * kappa.square() + (size - 2) ** 2).sqrt())
        steep = steep.clamp_min(torch.finfo(kappa.dtype).tiny)
        mode = torch.atan2(((size - 2) / steep).sqrt(), kappa / steep)
        reach = REACH / (kappa.square() / steep + steep).sqrt()
        low, high = (mode - reach).clamp_min(0), (mode + reach).clamp_max(math.pi)
        self.peak = self._log_density(mode, kappa)
        self.edges = low[:, None] + (high - low)[:, None] * torch.linspace(
            0, 1, CELLS + 1, dtype=kappa.dtype, device=kappa.device
        )
        angles, masses = self._quadrature(self.edges[:, :-1], self.edges[:, 1:])
        self.total = masses.sum((1, 2))
        self.versine = (2 * (angles / 2).sin().square() * masses).sum((1, 2)) / self.total
        self.cumulative = functional.pad(masses.sum(2).cumsum(1) / self.total[:, None], (1, 0))

    @property
    def log_scale(self) -> Tensor:
        """Return log ∫ exp(κ (cos θ - 1)) sin^(d-2) θ dθ: (B,)."""
        return self.total.log() + self.peak

    @property
    def mean_cosine(self) -> Tensor:
        """Return the mean of cos θ, which is I_{d/2}(κ) / I_{d/2-1}(κ): (B,)."""
        return 1 - self.versine

    @property
    def divergence(self) -> Tensor:
        """Return the KL divergence from the distribution at κ = 0, in nats: (B,)."""
        return self._at_zero() - self.log_scale - self.concentration * self.versine

    def log_ratio(self, angle: Tensor) -> Tensor:
        """Return the log of the density ratio to κ = 0 at angles (K, B): (K, B)."""
        versine = 2 * (angle / 2).sin().square()
        return self._at_zero() - self.log_scale - self.concentration * versine

    def quantile(self, probability: Tensor) -> Tensor:
        """Return the quantiles of probabilities (K, B): (K, B).

        The gradient is implicit: dθ/dκ = -(∂F/∂κ) / f, with the CDF F and the density f.
        """
        probability = probability.T.contiguous()
        cell = torch.searchsorted(self.cumulative.detach(), probability, right=True) - 1
        cell = cell.clamp(0, CELLS - 1)
        low, high = self.edges.gather(1, cell), self.edges.gather(1, cell + 1)
        angle = (low + high) / 2
        with torch.no_grad():
            for _ in range(12):
                excess, density = self._excess(angle, probability, cell, low)
                angle = (angle - excess / density).clamp(low, high)
        excess, density = self._excess(angle, probability, cell, low)
        return (angle + (excess.detach() - excess) / density.detach()).T

    def _excess(
        self, angle: Tensor, probability: Tensor, cell: Tensor, low: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return F(angle) - probability (B, K), and the density."""
        _, masses = self._quadrature(low, angle)
        total = self.total[:, None]
        density = self._relative_density(angle[..., None])[..., 0] / total
        excess = self.cumulative.gather(1, cell) + masses.sum(2) / total - probability
        return excess, density.clamp_min(torch.finfo(density.dtype).tiny)

    def _quadrature(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """Return nodes between angles (B, n), and their masses: (B, n, nodes)."""
        half = ((high - low) / 2)[..., None]
        angles = low[..., None] + half * (1 + self.nodes)
        return angles, self._relative_density(angles) * self.weights * half

    def _relative_density(self, angles: Tensor) -> Tensor:
        """Return the density of angles (B, n, m) relative to the mode."""
        log_density = self._log_density(angles, self.concentration[:, None, None])
        return (log_density - self.peak[:, None, None]).exp()

    def _log_density(self, angle: Tensor, kappa: Tensor) -> Tensor:
        """Return κ (cos θ - 1) + (d - 2) log sin θ."""
        return torch.xlogy(self.size - 2, angle.sin()) - 2 * kappa * (angle / 2).sin().square()

    def _at_zero(self) -> float:
        """Return log ∫ sin^(d-2) θ dθ."""
        half = self.size / 2
        return 0.5 * math.log(math.pi) + math.lgamma(half - 0.5) - math.lgamma(half)


@dataclass(frozen=True)
class UniformSphere(Prior, name="uniform-sphere"):
    """The uniform distribution on the unit sphere: p(z) = Γ(d/2) / (2 π^(d/2)).

    Examples
    --------
    >>> import torch
    >>> from attar.codes import UniformSphere
    >>> UniformSphere().build(3).log_prob(torch.tensor([[0.0, 0.0, 1.0]]))  # -log 4π
    tensor([-2.5310])
    """

    needs = frozenset({"sphere"})

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> PriorModule:
        """Return the module."""
        return UniformSphereModule(code_size)


class UniformSphereModule(PriorModule):
    """The uniform distribution on the unit sphere."""

    def __init__(self, code_size: int) -> None:
        super().__init__()
        self.code_size = code_size

    def log_prob(self, z: Tensor) -> Tensor:
        """Return the log-density of directions (..., d) with respect to the area: (...)."""
        half = self.code_size / 2
        density = math.lgamma(half) - math.log(2) - half * math.log(math.pi)
        return torch.full_like(z[..., 0], density)

    def sample(self, n: int, generator: Generator | None = None) -> Tensor:
        """Return ``n`` directions: (n, code_size)."""
        return unit(torch.randn(n, self.code_size, generator=generator))


@dataclass(frozen=True)
class Sphere(Code, name="sphere"):
    """A von Mises-Fisher posterior: q(z|x) ∝ exp(κ μ·z) on the unit sphere.

    The rate is its divergence from the uniform distribution. A sample is cos θ μ + sin θ v, with a
    quantile θ of the angle's distribution and a uniform direction v orthogonal to μ. The decoder
    receives √d z. κ = √d (1 + softplus(feature)): below √d the rate is under half a nat, too
    little for training.

    Parameters
    ----------
    beta : float
        The weight of the rate; 1 gives the evidence lower bound.

    Examples
    --------
    >>> import torch
    >>> from attar.codes import Sphere
    >>> code = Sphere().build(code_size=2)
    >>> code.point(torch.tensor([[3.0, 4.0, 0.0]]))  # two features of the mean, one of κ
    tensor([[0.6000, 0.8000]])

    References
    ----------
    Davidson, Falorsi, De Cao, Kipf and Tomczak, "Hyperspherical variational auto-encoders", UAI
    2018. Figurnov, Mohamed and Mnih, "Implicit reparameterization gradients", NeurIPS 2018.
    """

    beta: float = 1.0

    prior = UniformSphere()
    provides = frozenset({"density", "sphere"})

    @property
    def least_size(self) -> int:
        """Two dimensions: a circle."""
        return 2

    def width(self, code_size: int) -> int:
        """Return the features of the mean, and one of the concentration."""
        return code_size + 1

    def noise(self, code_size: int) -> int:
        """Return one normal for the angle, and one for each dimension of the direction."""
        return code_size + 1

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> CodeModule:
        """Return the module; a code has at least two dimensions."""
        if code_size < 2:
            raise SettingError(
                f"A code on a sphere cannot have the size {code_size}: choose 2 or more."
            )
        return SphereModule(self.prior.build(code_size, shape), code_size)


class SphereModule(CodeModule):
    """Takes mean direction and concentration from the features and samples."""

    prior: PriorModule

    def __init__(self, prior: PriorModule, code_size: int) -> None:
        super().__init__(prior)
        self.code_size = code_size

    def forward(
        self,
        features: Tensor,
        noise: Tensor | None = None,
        log_likelihood: LogLikelihood | None = None,
    ) -> Coded:
        """Return samples of the posterior, and its divergence from the prior."""
        rows, dtype = features.shape[0], features.dtype
        if noise is None:
            noise = torch.randn_like(features)[None]
        noise = noise.expand(-1, rows, -1).double()
        mean = unit(features[:, :-1].double())
        distribution = Angle(self.concentration(features), self.code_size)
        angle = distribution.quantile(torch.special.ndtr(noise[..., 0]))
        direction = noise[..., 1:]
        direction = unit(direction - (direction * mean).sum(-1, keepdim=True) * mean)
        z = angle.cos()[..., None] * mean + angle.sin()[..., None] * direction
        log_p = self.prior.log_prob(z)
        log_q = log_p + distribution.log_ratio(angle)
        rate = distribution.divergence.expand(len(noise), -1)
        return Coded(z.to(dtype), rate.to(dtype), log_q.to(dtype), log_p.to(dtype))

    def concentration(self, features: Tensor) -> Tensor:
        """Return κ, in double precision: (B,)."""
        kappa: Tensor = 1 + functional.softplus(features[:, -1].double())
        return math.sqrt(self.code_size) * kappa

    def point(self, features: Tensor, log_likelihood: LogLikelihood | None = None) -> Tensor:
        """Return the mean direction: (B, d)."""
        return unit(features[:, :-1])

    def decoder_input(self, z: Tensor) -> Tensor:
        """Return √d times codes (n, d), of the length of standard normals."""
        return math.sqrt(self.code_size) * z

    def constrain(self, z: Tensor) -> Tensor:
        """Return the directions of codes (n, d), unchanged where their length is 1 already."""
        length = torch.linalg.vector_norm(z, dim=-1, keepdim=True, dtype=torch.float64)
        return torch.where((length - 1).abs() <= 16 * torch.finfo(z.dtype).eps, z, unit(z))

    def interpolate(self, start: Tensor, end: Tensor, fraction: Tensor) -> Tensor:
        """Return the directions at fractions (s,) of the great circle: (s, d).

        To the opposite direction, where the great circle is not unique, one is chosen.
        """
        tangent = end - (end @ start) * start
        length = torch.linalg.vector_norm(tangent)
        axis = functional.one_hot(start.abs().argmin(), len(start)).to(start)
        other = axis - (axis @ start) * start
        tangent = torch.where(length > 16 * torch.finfo(start.dtype).eps, tangent, other)
        angle = fraction[:, None] * torch.atan2(length, end @ start)
        return self.constrain(angle.cos() * start + angle.sin() * unit(tangent))

    def distance(self, z: Tensor, others: Tensor) -> Tensor:
        """Return the angle between directions (n, d) and others (m, d): (n, m)."""
        exact = "donot_use_mm_for_euclid_dist"
        near, far = (torch.cdist(z, o, compute_mode=exact) for o in (others, -others))
        return 2 * torch.atan2(near, far)


def unit(vectors: Tensor) -> Tensor:
    """Return the directions of vectors (..., d); that of the first axis where one is zero."""
    axis = torch.zeros_like(vectors)
    axis[..., 0].fill_(1)
    length = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    vectors = torch.where(length > 0, vectors, axis)
    return functional.normalize(vectors, dim=-1, eps=torch.finfo(vectors.dtype).tiny)
