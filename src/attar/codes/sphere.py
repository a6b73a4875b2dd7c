"""Codes on the unit sphere."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from attar.codes.base import Code, CodeModule, LogLikelihood
from attar.errors import SettingError
from attar.priors import Prior, PriorModule
from attar.records import Coded

# The interval that matters is cut into cells, and each is integrated by Gauss and Legendre's rule.
CELLS, REACH = 64, 20.0
NODES, WEIGHTS = np.polynomial.legendre.leggauss(8)


class Angle:
    """The law of an angle θ in [0, π] with density ∝ exp(κ cos θ) sin^(d-2) θ.

    Integrals are sums over an interval of some twenty widths of the density on either side of its
    mode, in double precision: nothing overflows at any κ or d, and all is differentiable in κ.

    Parameters
    ----------
    concentration : double Tensor (B,)
        κ of each row, at least 0.
    size : int
        d, at least 2.
    """

    def __init__(self, concentration: Tensor, size: int) -> None:
        self.concentration, self.size = concentration, size
        kappa = concentration.detach()
        self.nodes, self.weights = (
            torch.as_tensor(a, device=kappa.device) for a in (NODES, WEIGHTS)
        )
        steep = 0.5 * (size - 2 + (4 * kappa.square() + (size - 2) ** 2).sqrt())
        steep = steep.clamp_min(torch.finfo(kappa.dtype).tiny)
        mode = torch.atan2(((size - 2) / steep).sqrt(), kappa / steep)
        reach = REACH / (kappa.square() / steep + steep).sqrt()
        low, high = (mode - reach).clamp_min(0), (mode + reach).clamp_max(math.pi)
        self.peak = self._relative(mode, kappa)
        self.edges = low[:, None] + (high - low)[:, None] * torch.linspace(
            0, 1, CELLS + 1, dtype=kappa.dtype, device=kappa.device
        )
        angles, masses = self._pieces(self.edges[:, :-1], self.edges[:, 1:])
        self.total = masses.sum((1, 2))
        self.versine = (2 * (angles / 2).sin().square() * masses).sum((1, 2)) / self.total
        self.below = nn.functional.pad(masses.sum(2).cumsum(1) / self.total[:, None], (1, 0))

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
        """Return the divergence from the angle's law at κ = 0, in nats: (B,)."""
        return self._at_zero() - self.log_scale - self.concentration * self.versine

    def log_ratio(self, angle: Tensor) -> Tensor:
        """Return the log of the density of angles (K, B) over theirs at κ = 0: (K, B)."""
        versine = 2 * (angle / 2).sin().square()
        return self._at_zero() - self.log_scale - self.concentration * versine

    def quantile(self, share: Tensor) -> Tensor:
        """Return the angles that shares (K, B) of all draws stay below: (K, B).

        The gradient is implicit: dθ/dκ = -(∂F/∂κ) / f, with F the share below θ and f its slope.
        """
        share = share.T.contiguous()
        cell = torch.searchsorted(self.below.detach(), share, right=True) - 1
        cell = cell.clamp(0, CELLS - 1)
        low, high = self.edges.gather(1, cell), self.edges.gather(1, cell + 1)
        angle = (low + high) / 2
        with torch.no_grad():
            for _ in range(12):
                excess, slope = self._excess(angle, share, cell, low)
                angle = (angle - excess / slope).clamp(low, high)
        excess, slope = self._excess(angle, share, cell, low)
        return (angle + (excess.detach() - excess) / slope.detach()).T

    def _excess(
        self, angle: Tensor, share: Tensor, cell: Tensor, low: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return by how much the share below angles (B, K) exceeds that wanted, and its slope."""
        _, masses = self._pieces(low, angle)
        total = self.total[:, None]
        slope = self._density(angle[..., None])[..., 0] / total
        excess = self.below.gather(1, cell) + masses.sum(2) / total - share
        return excess, slope.clamp_min(torch.finfo(slope.dtype).tiny)

    def _pieces(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """Return angles between others (B, n) and the masses they stand for: (B, n, nodes)."""
        half = ((high - low) / 2)[..., None]
        angles = low[..., None] + half * (1 + self.nodes)
        return angles, self._density(angles) * self.weights * half

    def _density(self, angles: Tensor) -> Tensor:
        """Return the density of angles (B, n, m), 1 at the mode."""
        relative = self._relative(angles, self.concentration[:, None, None])
        return (relative - self.peak[:, None, None]).exp()

    def _relative(self, angle: Tensor, kappa: Tensor) -> Tensor:
        return torch.xlogy(self.size - 2, angle.sin()) - 2 * kappa * (angle / 2).sin().square()

    def _at_zero(self) -> float:
        """Return log ∫ sin^(d-2) θ dθ."""
        half = self.size / 2
        return 0.5 * math.log(math.pi) + math.lgamma(half - 0.5) - math.lgamma(half)


@dataclass(frozen=True)
class UniformSphere(Prior, name="uniform-sphere"):
    """Every direction alike: p(z) = Γ(d/2) / (2 π^(d/2)) on the unit sphere."""

    needs = frozenset({"sphere"})

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> PriorModule:
        """Return the module."""
        return UniformSphereModule(code_size)


class UniformSphereModule(PriorModule):
    """The uniform law on the unit sphere."""

    def __init__(self, code_size: int) -> None:
        super().__init__()
        self.code_size = code_size

    def log_prob(self, z: Tensor) -> Tensor:
        """Return the log-density of directions (..., d) for the sphere's area: (...)."""
        half = self.code_size / 2
        density = math.lgamma(half) - math.log(2) - half * math.log(math.pi)
        return torch.full_like(z[..., 0], density)

    def sample(self, n: int, generator: Generator | None = None) -> Tensor:
        """Return ``n`` directions: (n, code_size)."""
        return unit(torch.randn(n, self.code_size, generator=generator))


@dataclass(frozen=True)
class Sphere(Code, name="sphere"):
    """A direction with a von Mises-Fisher posterior: q(z|x) ∝ exp(κ μ·z) on the unit sphere.

    The rate is its divergence from the uniform law. A draw is cos θ μ + sin θ v: the angle θ is a
    quantile of its one-dimensional law, v an even direction across μ. The decoder sees √d z.
    κ = √d (1 + softplus(feature)): below √d the rate is under half a nat, and nothing is learnt.

    Parameters
    ----------
    beta : float
        The weight of the rate; 1 gives the evidence lower bound.

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
        """Two numbers: a circle."""
        return 2

    def width(self, code_size: int) -> int:
        """Return the mean's features, and one for the concentration."""
        return code_size + 1

    def noise(self, code_size: int) -> int:
        """Return one normal for the angle, and as many as a code has for the side it goes to."""
        return code_size + 1

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> CodeModule:
        """Return the module; a code must have two numbers at least."""
        if code_size < 2:
            raise SettingError(
                f"A code on a sphere cannot have the size {code_size}: choose 2 or more."
            )
        return SphereModule(self.prior.build(code_size, shape), code_size)


class SphereModule(CodeModule):
    """Reads mean direction and concentration from the features and draws."""

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
        """Return draws of the posterior, and its divergence from the prior."""
        rows, dtype = len(features), features.dtype
        if noise is None:
            noise = torch.randn_like(features)[None]
        noise = noise.expand(-1, rows, -1).double()
        mean = unit(features[:, :-1].double())
        law = Angle(self.concentration(features), self.code_size)
        angle = law.quantile(torch.special.ndtr(noise[..., 0]))
        side = noise[..., 1:]
        side = unit(side - (side * mean).sum(-1, keepdim=True) * mean)
        z = angle.cos()[..., None] * mean + angle.sin()[..., None] * side
        log_p = self.prior.log_prob(z)
        log_q = log_p + law.log_ratio(angle)
        rate = law.divergence.expand(len(noise), -1)
        return Coded(z.to(dtype), rate.to(dtype), log_q.to(dtype), log_p.to(dtype))

    def concentration(self, features: Tensor) -> Tensor:
        """Return κ, in double precision: (B,)."""
        kappa: Tensor = 1 + functional.softplus(features[:, -1].double())
        return math.sqrt(self.code_size) * kappa

    def point(self, features: Tensor, log_likelihood: LogLikelihood | None = None) -> Tensor:
        """Return the mean direction: (B, d)."""
        return unit(features[:, :-1])

    def decoder_input(self, z: Tensor) -> Tensor:
        """Return √d times codes (n, d): their numbers are then about as large as a normal's."""
        return math.sqrt(self.code_size) * z

    def constrain(self, z: Tensor) -> Tensor:
        """Return the directions of codes (n, d), as they are where their length is 1 already."""
        length = torch.linalg.vector_norm(z, dim=-1, keepdim=True, dtype=torch.float64)
        return torch.where((length - 1).abs() <= 16 * torch.finfo(z.dtype).eps, z, unit(z))

    def between(self, start: Tensor, end: Tensor, share: Tensor) -> Tensor:
        """Return the directions a share (s,) of the way along the great circle: (s, d).

        From a direction to its opposite all ways are alike: one of them is taken.
        """
        across = end - (end @ start) * start
        width = torch.linalg.vector_norm(across)
        axis = functional.one_hot(start.abs().argmin(), len(start)).to(start)
        other = axis - (axis @ start) * start
        across = torch.where(width > 16 * torch.finfo(start.dtype).eps, across, other)
        angle = share[:, None] * torch.atan2(width, end @ start)
        return self.constrain(angle.cos() * start + angle.sin() * unit(across))

    def distance(self, z: Tensor, others: Tensor) -> Tensor:
        """Return the angle between directions (n, d) and others (m, d): (n, m)."""
        exact = "donot_use_mm_for_euclid_dist"
        near, far = (torch.cdist(z, o, compute_mode=exact) for o in (others, -others))
        return 2 * torch.atan2(near, far)


def unit(vectors: Tensor) -> Tensor:
    """Return the directions of vectors (..., d); that of the first axis where one is zero."""
    axis = torch.zeros_like(vectors)
    axis[..., 0] = 1
    length = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    vectors = torch.where(length > 0, vectors, axis)
    return functional.normalize(vectors, dim=-1, eps=torch.finfo(vectors.dtype).tiny)
