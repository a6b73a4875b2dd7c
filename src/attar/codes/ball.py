"""The hyperbolic code: a wrapped normal in the Poincaré ball."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor

from attar.codes.base import Code, CodeModule, LogLikelihood
from attar.errors import SettingError
from attar.priors import Prior, PriorModule, log_normal, moments
from attar.records import Coded


@dataclass(frozen=True)
class Ball:
    """The Poincaré ball of curvature -c: |x| < 1/√c, with the metric (2 / (1 - c|x|²))² dx².

    The exponential map exp₀ preserves lengths: |v| is the distance of exp₀(v) from the origin.

    Parameters
    ----------
    curvature : float
        c.

    Examples
    --------
    >>> import torch
    >>> from attar.codes.ball import Ball
    >>> ball, v = Ball(curvature=1.0), torch.tensor([[3.0, 4.0]])
    >>> ball.distance(torch.zeros(1, 2), ball.exp0(v))
    tensor([[5.0000]])

    References
    ----------
    Ungar, "A gyrovector space approach to hyperbolic geometry", 2008.
    """

    curvature: float

    @property
    def root(self) -> float:
        """√c."""
        return math.sqrt(self.curvature)

    def exp0(self, vectors: Tensor) -> Tensor:
        """Return exp₀ of vectors (..., d): tanh(√c|v|/2) v / (√c|v|)."""
        length = _length(vectors)
        return (self.root * length / 2).tanh() / (self.root * length) * vectors

    def log0(self, points: Tensor) -> Tensor:
        """Return log₀ of points (..., d), the inverse of exp₀."""
        length = _length(points)
        return 2 * (self.root * length).atanh() / (self.root * length) * points

    def add(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the Möbius sum x ⊕ y; -x ⊕ (x ⊕ y) = y."""
        c, product = self.curvature, (x * y).sum(-1, keepdim=True)
        xx, yy = x.square().sum(-1, keepdim=True), y.square().sum(-1, keepdim=True)
        sum_ = (1 + 2 * c * product + c * yy) * x + (1 - c * xx) * y
        return self.project(sum_ / (1 + 2 * c * product + c**2 * xx * yy))

    def project(self, points: Tensor) -> Tensor:
        """Return points (..., d), those at the boundary or beyond it moved inside."""
        margin = 64 * torch.finfo(points.dtype).eps
        length = self.root * _length(points)
        return torch.where(length < 1 - margin, points, points * ((1 - 2 * margin) / length))

    def distance(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the geodesic distances of points (n, d) from others (m, d): (n, m)."""
        distances = torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
        x, y = (1 - self.curvature * points.square().sum(-1) for points in (x, y))
        return 2 / self.root * (self.root * distances / (x[:, None] * y).sqrt()).asinh()

    def sum_radius(self, v: Tensor, w: Tensor) -> Tensor:
        """Return the distance of exp₀(v) ⊕ exp₀(w) from the origin: (..., 1).

        The hyperbolic law of cosines, cosh r = cosh a cosh b + sinh a sinh b cos θ, is accurate
        also where points round to the boundary.
        """
        tiny = torch.finfo(v.dtype).tiny
        a, b = _length(v), _length(w)
        cosine = ((v / a) * (w / b)).sum(-1, keepdim=True).clamp(-1, 1)
        a, b = -2 * self.root * a, -2 * self.root * b
        # The logarithm of cosh r, which would overflow.
        parts = 2 * (a.exp() + b.exp()) + a.expm1() * b.expm1() * (1 + cosine)
        log_cosh = (parts / 4).clamp_min(tiny).log() - (a + b) / 2
        tanh = (-(-2 * log_cosh).expm1()).clamp_min(tiny).sqrt()
        return (log_cosh + tanh.log1p()) / self.root

    def log_volume(self, length: Tensor, size: int) -> Tensor:
        """Return the log-determinant of exp₀ at vectors of a length r in d dimensions.

        It is log (sinh(√c r) / (√c r))^(d-1).
        """
        length = self.root * length
        return (size - 1) * (length + (-(-2 * length).expm1() / (2 * length)).log())


@dataclass(frozen=True)
class WrappedNormal(Prior, name="wrapped-normal"):
    """The wrapped standard normal of the Poincaré ball: z = exp₀(v), with v ~ N(0, I).

    Densities are with respect to the hyperbolic volume.

    Parameters
    ----------
    curvature : float
        c > 0, where the ball's curvature is -c.

    Examples
    --------
    The density at the origin is that of a standard normal:

    >>> import torch
    >>> from attar.codes import WrappedNormal
    >>> WrappedNormal().build(2).log_prob(torch.zeros(1, 2))  # -log 2π
    tensor([-1.8379])

    References
    ----------
    Nagano, Yamaguchi, Fujita and Koyama, "A wrapped normal distribution on hyperbolic space for
    gradient-based learning", ICML 2019.
    """

    curvature: float = 1.0

    needs = frozenset({"ball"})

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> WrappedNormalModule:
        """Return the module; the curvature must be above 0."""
        return WrappedNormalModule(Ball(self.positive("curvature")), code_size)


class WrappedNormalModule(PriorModule):
    """The wrapped standard normal."""

    def __init__(self, ball: Ball, code_size: int) -> None:
        super().__init__()
        self.ball, self.code_size = ball, code_size

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log N(v; 0, I) - log |det exp₀'(v)| of codes z = exp₀(v) (..., d): (...)."""
        return self.log_prob_at(_length(self.ball.log0(z))[..., 0])

    def log_prob_at(self, length: Tensor) -> Tensor:
        """Return the log-density at distances (...) from the origin: (...)."""
        normal = -0.5 * (length.square() + self.code_size * math.log(2 * math.pi))
        return normal - self.ball.log_volume(length, self.code_size)

    def sample(self, n: int, generator: Generator | None = None) -> Tensor:
        """Return ``n`` points of the ball: (n, code_size)."""
        normals = torch.randn(n, self.code_size, generator=generator)
        return self.ball.project(self.ball.exp0(normals))


@dataclass(frozen=True)
class Poincare(Code, name="poincare"):
    """A wrapped normal in the Poincaré ball: z = μ ⊕ exp₀(σ ε), with μ = exp₀(features).

    The rate is log q(z|x) - log p(z) at each sample. The decoder receives log₀(z).

    Parameters
    ----------
    beta : float
        The weight of the rate; 1 gives the evidence lower bound.
    prior : WrappedNormal
        Its curvature is the ball's.

    Examples
    --------
    >>> import torch
    >>> from attar.codes import Poincare
    >>> code = Poincare().build(code_size=2)
    >>> z = code.point(torch.tensor([[3.0, 4.0, 0.0, 0.0]]))  # at a distance of 5: tanh(5 / 2)
    >>> z.norm(), code.decoder_input(z).norm()
    (tensor(0.9866), tensor(5.0000))

    References
    ----------
    Mathieu, Le Lan, Maddison, Tomioka and Teh, "Continuous hierarchical representations with
    Poincaré variational auto-encoders", NeurIPS 2019. Nagano, Yamaguchi, Fujita and Koyama, "A
    wrapped normal distribution on hyperbolic space for gradient-based learning", ICML 2019.
    """

    beta: float = 1.0
    prior: WrappedNormal = field(default_factory=WrappedNormal)

    provides = frozenset({"density", "ball"})

    def width(self, code_size: int) -> int:
        """Return two features, mean and log-variance, for each code dimension."""
        return 2 * code_size

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> CodeModule:
        """Return the module; the prior must be a WrappedNormal."""
        if not isinstance(self.prior, WrappedNormal):
            raise SettingError(f"The prior of {self!r} must be a WrappedNormal.")
        return PoincareModule(self.prior.build(code_size, shape))


class PoincareModule(CodeModule):
    """Takes mean and log-variance from the features and samples in the ball."""

    prior: WrappedNormalModule

    def __init__(self, prior: WrappedNormalModule) -> None:
        super().__init__(prior)
        self.ball = prior.ball

    def forward(
        self,
        features: Tensor,
        noise: Tensor | None = None,
        log_likelihood: LogLikelihood | None = None,
    ) -> Coded:
        """Return samples of the posterior, and log q - log p at each."""
        mean, log_variance = moments(features)
        epsilon = torch.randn_like(log_variance)[None] if noise is None else noise
        v = epsilon * (0.5 * log_variance).exp()
        z = self.ball.add(self.point(features), self.ball.exp0(v))
        length = _length(v)[..., 0]
        log_q = log_normal(epsilon, log_variance) - self.ball.log_volume(length, v.shape[-1])
        radius = self.ball.sum_radius(mean.double(), v.double())[..., 0]
        log_p = self.prior.log_prob_at(radius).to(z.dtype)
        return Coded(z, log_q - log_p, log_q, log_p)

    def point(self, features: Tensor, log_likelihood: LogLikelihood | None = None) -> Tensor:
        """Return the posterior's centre: (B, d)."""
        return self.ball.project(self.ball.exp0(features.chunk(2, dim=-1)[0]))

    def decoder_input(self, z: Tensor) -> Tensor:
        """Return log₀ of codes (n, d): (n, d)."""
        return self.ball.log0(self.ball.project(z))

    def constrain(self, z: Tensor) -> Tensor:
        """Return the codes (n, d), those at the boundary or beyond it moved inside."""
        return self.ball.project(z)

    def interpolate(self, start: Tensor, end: Tensor, fraction: Tensor) -> Tensor:
        """Return the points at fractions (s,) of the geodesic from start to end: (s, d)."""
        # Single precision loses the differences of points at the boundary.
        first, last = start.double(), end.double()
        direction = self.ball.log0(self.ball.add(-first, last))
        return self.ball.add(first, self.ball.exp0(fraction[:, None] * direction)).to(start)

    def distance(self, z: Tensor, others: Tensor) -> Tensor:
        """Return the geodesic distances of codes (n, d) from others (m, d): (n, m)."""
        return self.ball.distance(z, others)


def _length(vectors: Tensor) -> Tensor:
    """Return the lengths of vectors (..., d), above 0 to be divided by: (..., 1)."""
    length: Tensor = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    return length.clamp_min(torch.finfo(vectors.dtype).tiny ** 0.5)
